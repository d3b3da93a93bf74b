//! A plugin that judges requests, and one call of it, bounded in time.

use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use bytes::Bytes;
pub(super) use engine::PluginAddress as Address;
use serde::Deserialize;

use crate::plugins;

/// How long a plugin may think.
const PATIENCE: Duration = Duration::from_secs(30);
/// What it must be able to do.
const KIND: &str = "authz";

/// A plugin.
#[derive(Debug, Clone)]
pub(super) struct Plugin {
    pub(super) name: String,
    pub(super) address: Address,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Manifest {
    implements: Vec<String>,
}

impl Plugin {
    /// Asks what it is; one that is not for authorization is refused.
    pub(super) async fn activate(&self) -> Result<()> {
        let answer = self.call("Plugin.Activate", Vec::new()).await?;
        let manifest: Manifest = serde_json::from_slice(&answer)?;
        if !manifest.implements.iter().any(|kind| kind == KIND) {
            bail!("plugin does not implement the requested driver: {KIND}");
        }
        Ok(())
    }

    /// `POST /method`; the answer's body.
    pub(super) async fn call(&self, method: &str, body: Vec<u8>) -> Result<Bytes> {
        tokio::time::timeout(PATIENCE, self.ask(method, body))
            .await
            .map_err(|_| anyhow!("no answer within {PATIENCE:?}"))?
    }

    async fn ask(&self, method: &str, body: Vec<u8>) -> Result<Bytes> {
        let (status, body) = plugins::post(&self.address, method, body.into()).await?;
        if !(200..300).contains(&status) {
            bail!("{status}: {}", String::from_utf8_lossy(&body).trim());
        }
        Ok(body)
    }
}
