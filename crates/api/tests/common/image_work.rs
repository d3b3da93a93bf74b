//! Longer work on images.

use api::backend::{Body, Filters, ImageWork, Progress, Result};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{StreamExt, stream};
use types::{
    gc::GcReport,
    image::{AuthAnswer, HistoryItem, ImagesPruned, ProgressLine, RegistryAuth, SearchResult},
    registry::DistributionInspect,
};

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
    async fn collect(&self, dry_run: bool) -> Result<GcReport> {
        self.note(format!("gc {dry_run}"));
        Ok(GcReport::default())
    }
    async fn push(
        &self,
        name: &str,
        platform: Option<String>,
        auth: Option<RegistryAuth>,
    ) -> Result<Progress> {
        let user = auth.map(|auth| auth.username);
        self.note(format!("push {name} {platform:?} {user:?}"));
        known(name)?;
        Ok(stream::once(async { ProgressLine::default() }).boxed())
    }
    async fn search(
        &self,
        term: &str,
        limit: usize,
        filters: Filters,
        _: Option<RegistryAuth>,
    ) -> Result<Vec<SearchResult>> {
        self.note(format!("search {term} {limit} {filters:?}"));
        known(term)?;
        Ok(Vec::new())
    }
    async fn distribution(
        &self,
        name: &str,
        _: Option<RegistryAuth>,
    ) -> Result<DistributionInspect> {
        self.note(format!("distribution {name}"));
        known(name)?;
        Ok(DistributionInspect::default())
    }
    async fn login(&self, auth: RegistryAuth) -> Result<AuthAnswer> {
        self.note(format!("login {} {}", auth.username, auth.serveraddress));
        known(&auth.username)?;
        let mut answer = AuthAnswer::default();
        if auth.username == "gets-a-token" {
            "granted".clone_into(&mut answer.identity_token);
        }
        Ok(answer)
    }
}
