//! Containers as the Docker Engine API describes them.

mod config;
mod health;
mod host;
mod inspect;
mod life;
mod mount;
mod network;
mod resources;

pub use config::*;
pub use health::*;
pub use host::*;
pub use inspect::*;
pub use life::*;
pub use mount::*;
pub use network::*;
pub use resources::*;

/// A file that a container changed, `GET /containers/{id}/changes`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct FilesystemChange {
    /// Absolute, in the container.
    pub path: String,
    /// 0 modified, 1 added, 2 deleted.
    pub kind: u8,
}
