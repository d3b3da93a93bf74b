//! Networks, to read, for the API.

use api::backend::{self, Result};
use async_trait::async_trait;
use types::{network::NetworkInspect, options::Filters};

use super::Containers;

#[async_trait]
impl backend::Networks for Containers {
    async fn list(&self, filters: Filters) -> Result<Vec<NetworkInspect>> {
        Ok(self.engine.list_networks(&filters)?)
    }

    async fn inspect(&self, name: &str) -> Result<NetworkInspect> {
        Ok(self.engine.inspect_network(name)?)
    }
}
