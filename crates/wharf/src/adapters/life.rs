//! Changes to containers' lives, for the API.

use api::backend::{self, Filters, Result};
use async_trait::async_trait;
use types::container::{HostConfig, PruneResponse, TopResponse, UpdateResponse};

use super::{Containers, to_the_end};

#[async_trait]
impl backend::Life for Containers {
    async fn pause(&self, name: &str) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.pause(&name).await }).await
    }

    async fn unpause(&self, name: &str) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.unpause(&name).await }).await
    }

    async fn rename(&self, name: &str, new: &str) -> Result<()> {
        let ((engine, name), new) = (self.parts(name), new.to_owned());
        to_the_end(async move { engine.rename(&name, &new).await }).await
    }

    async fn update(&self, name: &str, change: HostConfig) -> Result<UpdateResponse> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.update(&name, change).await }).await
    }

    async fn prune(&self, filters: Filters, until: Option<i64>) -> Result<PruneResponse> {
        let (engine, _) = self.parts("");
        to_the_end(async move { engine.prune_containers(&filters, until).await }).await
    }

    async fn top(&self, name: &str, arguments: &str) -> Result<TopResponse> {
        let (engine, name) = self.parts(name);
        Ok(engine.top(&name, arguments).await?)
    }
}
