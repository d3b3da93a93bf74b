//! Longer work on images.

use api::backend::{Body, Filters, ImageWork, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use types::image::{HistoryItem, ImagesPruned};

use super::{Fake, backends::known};

#[async_trait]
impl ImageWork for Fake {
    async fn history(&self, name: &str, platform: Option<String>) -> Result<Vec<HistoryItem>> {
        self.note(format!("history {name} {platform:?}"));
        known(name)?;
        Ok(Vec::new())
    }
    async fn save(&self, names: Vec<String>, platform: Option<String>) -> Result<Body> {
        self.note(format!("save {names:?} {platform:?}"));
        for name in &names {
            known(name)?;
        }
        Ok(stream::once(async { Ok(Bytes::from_static(b"images")) }).boxed())
    }
    async fn prune(&self, all: bool, filters: Filters) -> Result<ImagesPruned> {
        self.note(format!("prune {all} {filters:?}"));
        Ok(ImagesPruned::default())
    }
}
