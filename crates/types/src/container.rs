//! Containers as the Docker Engine API describes them.

mod config;
mod host;
mod inspect;
mod mount;
mod network;
mod resources;

pub use config::*;
pub use host::*;
pub use inspect::*;
pub use mount::*;
pub use network::*;
pub use resources::*;
