//! The Docker Engine API over HTTP: routes, versions, streams and statuses. It knows no engine:
//! it declares the narrow backends that it needs, and the binary supplies them.
//!
//! A request goes `serve` → `connection` → `dispatch` → `route` (path and version to an entry of
//! the table in `endpoints`) → the section that serves it (`containers`, `exec`, `images`,
//! `system`). What a client asks for that wharf does not do yet is refused by name (`fields`),
//! what is wrong in Docker's words (`validate`).

pub mod backend;

mod answer;
mod auth;
mod body;
mod connection;
mod containers;
mod create;
mod detach;
mod dispatch;
mod endpoints;
mod error;
mod exec;
pub mod fields;
mod hijack;
mod images;
mod logs;
#[cfg(test)]
mod properties;
mod query;
mod route;
mod serve;
mod signals;
mod stream;
mod system;
mod time;
mod validate;
mod versions;

use std::sync::Arc;

pub use error::status;
pub use serve::{GRACE, Listener};

use backend::{Containers, Images, System};

/// The API in front of its backends.
#[derive(Clone)]
pub struct Server {
    /// Containers and execs.
    pub containers: Arc<dyn Containers>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// The daemon and its host.
    pub system: Arc<dyn System>,
}
