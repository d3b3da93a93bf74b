//! Networks that only pretend.

use api::backend::{Filters, Networks, Result};
use async_trait::async_trait;
use types::network::{
    NetworkConnect, NetworkContainer, NetworkCreate, NetworkCreated, NetworkDisconnect,
    NetworkInspect,
};

use super::{Fake, backends::known};

#[async_trait]
impl Networks for Fake {
    async fn list(&self, filters: Filters) -> Result<Vec<NetworkInspect>> {
        self.note(format!("networks {filters:?}"));
        Ok(vec![NetworkInspect {
            id: "n".to_owned(),
            ..NetworkInspect::default()
        }])
    }

    async fn inspect(&self, name: &str) -> Result<NetworkInspect> {
        self.note(format!("network {name}"));
        known(name)?;
        Ok(NetworkInspect {
            name: name.to_owned(),
            scope: "local".to_owned(),
            containers: [("c0ffee".to_owned(), NetworkContainer::default())].into(),
            ..NetworkInspect::default()
        })
    }

    async fn create(&self, wanted: NetworkCreate) -> Result<NetworkCreated> {
        self.note(format!("network create {wanted:?}"));
        known(&wanted.name)?;
        Ok(NetworkCreated {
            id: "n".to_owned(),
            warning: String::new(),
        })
    }

    async fn remove(&self, name: &str) -> Result<()> {
        self.note(format!("network remove {name}"));
        known(name)
    }

    async fn connect(&self, name: &str, wanted: NetworkConnect) -> Result<()> {
        self.note(format!("network connect {name} {wanted:?}"));
        if name == "slow" {
            self.go.notified().await;
            self.finished
                .fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        known(name)
    }

    async fn disconnect(&self, name: &str, wanted: NetworkDisconnect) -> Result<()> {
        self.note(format!("network disconnect {name} {wanted:?}"));
        known(name)
    }

    async fn firewall(&self) -> Result<types::firewall::Firewall> {
        Ok(types::firewall::Firewall::default())
    }

    async fn prune(&self, filters: Filters, until: Option<i64>) -> Result<Vec<String>> {
        self.note(format!("networks prune {filters:?} {until:?}"));
        Ok(vec!["old".to_owned()])
    }
}
