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
mod authz;
mod body;
mod builds;
mod common_name;
mod connection;
mod containers;
mod create;
mod detach;
mod dispatch;
mod endpoint_settings;
mod endpoints;
mod error;
mod exec;
pub mod fields;
mod files;
mod handshake;
mod hijack;
mod image_work;
mod images;
mod json;
mod life;
mod live;
mod logs;
mod network_wishes;
mod networks;
mod older;
#[cfg(test)]
mod properties;
mod prune;
mod query;
mod registries;
mod registry_work;
mod route;
mod serve;
mod signals;
mod stream;
mod system;
mod time;
mod validate;
mod versions;
mod volumes;
mod websocket;

use std::sync::Arc;

pub use error::status;
pub use serve::{GRACE, Listener};
pub use time::parse as parse_time;

use backend::{
    Authorization, Builds, Containers, Files, ImageWork, Images, Life, Live, Networks,
    RegistryWork, System, Volumes,
};

/// The API in front of its backends.
#[derive(Clone)]
pub struct Server {
    /// Containers and execs.
    pub containers: Arc<dyn Containers>,
    /// Files in containers.
    pub files: Arc<dyn Files>,
    /// Changes to containers' lives.
    pub life: Arc<dyn Life>,
    /// What containers do and take.
    pub live: Arc<dyn Live>,
    /// Images.
    pub images: Arc<dyn Images>,
    /// Longer work on images.
    pub image_work: Arc<dyn ImageWork>,
    /// Work in registries themselves.
    pub registry_work: Arc<dyn RegistryWork>,
    /// Builds of images.
    pub builds: Arc<dyn Builds>,
    /// Networks.
    pub networks: Arc<dyn Networks>,
    /// Volumes.
    pub volumes: Arc<dyn Volumes>,
    /// The daemon and its host.
    pub system: Arc<dyn System>,
    /// Who is asked about every request, if anyone.
    pub authorization: Option<Arc<dyn Authorization>>,
}

/// What a fuzzer feeds.
#[doc(hidden)]
pub mod fuzzing {
    use types::container::CreateRequest;

    use crate::{fields, json, validate};

    /// Reads a body that is to make a container.
    ///
    /// # Panics
    /// When a body that is taken reads differently for another reader of JSON.
    pub fn create(bytes: &[u8]) {
        let Ok(value) = json::parse(bytes) else {
            return;
        };
        let other: Option<serde_json::Value> = serde_json::from_slice(bytes).ok();
        assert_eq!(Some(&value), other.as_ref(), "it can be read in two ways");
        let Ok(mut request) = json::from_value::<CreateRequest>(value) else {
            return;
        };
        // An error is an answer.
        if fields::check(&request).is_ok() {
            fields::fill_host_config(&mut request.host_config);
            let _ = validate::request(&request);
        }
    }
}
