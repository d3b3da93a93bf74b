//! Containers as the Docker Engine API describes them.

mod config;
mod files;
mod health;
mod host;
mod inspect;
mod life;
mod mount;
mod network;
mod resources;

pub use config::*;
pub use files::*;
pub use health::*;
pub use host::*;
pub use inspect::*;
pub use life::*;
pub use mount::*;
pub use network::*;
pub use resources::*;
