//! Volumes.

use api::backend::{Body, Result, Volumes};
use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt, stream};
use types::{
    options::Filters,
    volume::{Volume, VolumeCopied, VolumeCreate, VolumeList},
};

use super::{Fake, backends::known};

fn named(name: &str) -> Volume {
    Volume {
        name: name.to_owned(),
        driver: "local".to_owned(),
        scope: "local".to_owned(),
        ..Volume::default()
    }
}

#[async_trait]
impl Volumes for Fake {
    async fn create(&self, request: VolumeCreate) -> Result<Volume> {
        self.note(format!("volume create {request:?}"));
        Ok(named(&request.name))
    }

    async fn list(&self, filters: Filters) -> Result<VolumeList> {
        self.note(format!("volumes {filters:?}"));
        Ok(VolumeList::default())
    }

    async fn inspect(&self, name: &str) -> Result<Volume> {
        self.note(format!("volume {name}"));
        known(name)?;
        Ok(named(name))
    }

    async fn remove(&self, name: &str, force: bool) -> Result<()> {
        self.note(format!("volume remove {name} {force}"));
        known(name)
    }

    async fn copy(&self, name: &str, new: &str, snapshot: bool) -> Result<VolumeCopied> {
        self.note(format!("volume copy {name} {new} {snapshot}"));
        known(name)?;
        Ok(VolumeCopied::default())
    }

    async fn export(&self, name: &str) -> Result<(Body, Vec<String>)> {
        self.note(format!("volume export {name}"));
        known(name)?;
        let archive = stream::iter([Ok("archive".into())]).boxed();
        Ok((archive, vec!["left out: ä".to_owned()]))
    }

    async fn import(&self, name: &str, limit: Option<u64>, archive: Body) -> Result<Volume> {
        let bytes: Vec<bytes::Bytes> = archive.try_collect().await.unwrap();
        let length: usize = bytes.iter().map(bytes::Bytes::len).sum();
        self.note(format!("volume import {name} {limit:?} {length}"));
        Ok(named(name))
    }
}
