//! Networks, to read.

use api::backend::{Filters, Networks, Result};
use async_trait::async_trait;
use types::network::NetworkInspect;

use super::Fake;

#[async_trait]
impl Networks for Fake {
    async fn list(&self, filters: Filters) -> Result<Vec<NetworkInspect>> {
        self.note(format!("networks {filters:?}"));
        Ok(vec![NetworkInspect::default()])
    }

    async fn inspect(&self, name: &str) -> Result<NetworkInspect> {
        self.note(format!("network {name}"));
        super::backends::known(name)?;
        Ok(NetworkInspect {
            name: name.to_owned(),
            scope: "local".to_owned(),
            ..NetworkInspect::default()
        })
    }
}
