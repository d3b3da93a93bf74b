//! Networks for the API, done by the engine.

use api::backend::{self, Result};
use async_trait::async_trait;
use types::{
    firewall::Firewall,
    network::{NetworkConnect, NetworkCreate, NetworkCreated, NetworkDisconnect, NetworkInspect},
    options::Filters,
};

use super::{Containers, to_the_end};

#[async_trait]
impl backend::Networks for Containers {
    async fn list(&self, filters: Filters) -> Result<Vec<NetworkInspect>> {
        Ok(self.engine.list_networks(&filters)?)
    }

    async fn inspect(&self, name: &str) -> Result<NetworkInspect> {
        Ok(self.engine.inspect_network(name)?)
    }

    async fn create(&self, wanted: NetworkCreate) -> Result<NetworkCreated> {
        let (engine, _) = self.parts("");
        to_the_end(async move { engine.create_network(wanted).await }).await
    }

    async fn remove(&self, name: &str) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.remove_network(&name).await }).await
    }

    async fn connect(&self, name: &str, wanted: NetworkConnect) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.connect_network(&name, wanted).await }).await
    }

    async fn disconnect(&self, name: &str, wanted: NetworkDisconnect) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.disconnect_network(&name, wanted).await }).await
    }

    async fn firewall(&self) -> Result<Firewall> {
        Ok(self.engine.firewall().await?)
    }

    async fn prune(&self, filters: Filters, until: Option<i64>) -> Result<Vec<String>> {
        let (engine, _) = self.parts("");
        to_the_end(async move { engine.prune_networks(&filters, until).await }).await
    }
}
