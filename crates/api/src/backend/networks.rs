//! Networks.

use async_trait::async_trait;
use types::{
    firewall::Firewall,
    network::{NetworkConnect, NetworkCreate, NetworkCreated, NetworkDisconnect, NetworkInspect},
    options::Filters,
};

use super::Result;

/// Networks.
#[async_trait]
pub trait Networks: Send + Sync {
    /// Those that match, without their containers.
    async fn list(&self, filters: Filters) -> Result<Vec<NetworkInspect>>;
    /// Everything about one, by name, identifier or the unique beginning of one.
    async fn inspect(&self, name: &str) -> Result<NetworkInspect>;
    /// Makes one.
    async fn create(&self, wanted: NetworkCreate) -> Result<NetworkCreated>;
    /// Removes one that no container has.
    async fn remove(&self, name: &str) -> Result<()>;
    /// Puts a container into one, now if it runs and at each start.
    async fn connect(&self, name: &str, wanted: NetworkConnect) -> Result<()>;
    /// Takes a container out of one.
    async fn disconnect(&self, name: &str, wanted: NetworkDisconnect) -> Result<()>;
    /// What the host's rules let through.
    async fn firewall(&self) -> Result<Firewall>;
    /// Removes those of the user's own that match and that no container has, made before `until`
    /// (nanoseconds since the epoch); names of those gone.
    async fn prune(&self, filters: Filters, until: Option<i64>) -> Result<Vec<String>>;
}
