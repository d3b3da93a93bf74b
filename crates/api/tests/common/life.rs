//! Changes to containers' lives.

use api::backend::{Filters, Life, Result};
use async_trait::async_trait;
use types::container::{HostConfig, PruneResponse, TopResponse, UpdateResponse};

use super::{Fake, backends::known};

#[async_trait]
impl Life for Fake {
    async fn pause(&self, name: &str) -> Result<()> {
        self.note(format!("pause {name}"));
        known(name)
    }

    async fn unpause(&self, name: &str) -> Result<()> {
        self.note(format!("unpause {name}"));
        known(name)
    }

    async fn rename(&self, name: &str, new: &str) -> Result<()> {
        self.note(format!("rename {name} {new}"));
        known(name)
    }

    async fn update(&self, name: &str, change: HostConfig) -> Result<UpdateResponse> {
        self.note(format!(
            "update {name} {} {:?} {}",
            change.memory, change.pids_limit, change.restart_policy.name
        ));
        known(name)?;
        Ok(UpdateResponse::default())
    }

    async fn prune(&self, filters: Filters, until: Option<i64>) -> Result<PruneResponse> {
        self.note(format!("prune {filters:?} {until:?}"));
        Ok(PruneResponse::default())
    }

    async fn top(&self, name: &str, arguments: &str) -> Result<TopResponse> {
        self.note(format!("top {name} {arguments}"));
        known(name)?;
        Ok(TopResponse {
            titles: vec!["PID".into()],
            processes: vec![vec!["1".into()]],
        })
    }
}
