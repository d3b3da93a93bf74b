//! Volumes, for the API.

use std::sync::Arc;

use api::backend::{self, Body, Result};
use async_trait::async_trait;
use engine::{ImportLimit, NewVolume};
use types::{
    options::Filters,
    volume::{Volume, VolumeCopied, VolumeCreate, VolumeList},
};

use super::{Containers, images::reader, to_the_end};

#[async_trait]
impl backend::Volumes for Containers {
    async fn create(&self, request: VolumeCreate) -> Result<Volume> {
        let engine = Arc::clone(&self.engine);
        let new = NewVolume {
            name: request.name,
            driver: request.driver,
            options: request.driver_opts,
            labels: request.labels,
        };
        to_the_end(async move { engine.create_volume(new).await }).await
    }

    async fn list(&self, filters: Filters) -> Result<VolumeList> {
        Ok(self.engine.list_volumes(&filters).await?)
    }

    async fn inspect(&self, name: &str) -> Result<Volume> {
        Ok(self.engine.inspect_volume(name).await?)
    }

    async fn remove(&self, name: &str, force: bool) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.remove_volume(&name, force).await }).await
    }

    async fn copy(&self, name: &str, new: &str, snapshot: bool) -> Result<VolumeCopied> {
        let (engine, name) = self.parts(name);
        let new = new.to_owned();
        to_the_end(async move { engine.copy_volume(&name, &new, snapshot).await }).await
    }

    async fn export(&self, name: &str) -> Result<(Body, Vec<String>)> {
        let (engine, name) = self.parts(name);
        // To its end: containers stand still in the middle of it.
        to_the_end(async move { engine.export_volume(&name).await }).await
    }

    async fn import(&self, name: &str, limit: Option<u64>, archive: Body) -> Result<Volume> {
        let (engine, name) = self.parts(name);
        let (limit, source) = (ImportLimit { bytes: limit }, reader(archive));
        // To its end when the client goes: then the archive ends, and with it the work.
        to_the_end(async move { engine.import_volume(&name, limit, source).await }).await
    }
}
