//! Authorization plugins, by Docker's protocol: programs of the host that are shown every request
//! and its answer, one after the other. One that does not answer has refused.

mod client;
mod find;

use std::{
    collections::BTreeMap,
    sync::{Arc, PoisonError, RwLock},
};

use anyhow::{Context, Result};
use api::backend::{Answered, Asked, Authorization, Chain};
use async_trait::async_trait;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use serde::{Deserialize, Serialize};
use types::Failure;

use client::Plugin;

/// The daemon's plugins; which they are can change.
#[derive(Default)]
pub(crate) struct Plugins(RwLock<Arc<Vec<Plugin>>>);

/// Those for one request.
struct Asking(Arc<Vec<Plugin>>);

/// What a plugin is shown, in Docker's names.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "PascalCase")]
struct Question<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    user: &'a str,
    #[serde(rename = "UserAuthNMethod", skip_serializing_if = "str::is_empty")]
    method_of_user: &'a str,
    request_method: &'a str,
    #[serde(rename = "RequestUri")]
    request_uri: &'a str,
    #[serde(skip_serializing_if = "String::is_empty")]
    request_body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    request_headers: BTreeMap<&'a str, &'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    request_peer_certificates: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_status_code: Option<u16>,
    #[serde(skip_serializing_if = "String::is_empty")]
    response_body: String,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    response_headers: BTreeMap<&'a str, &'a str>,
}

/// What it says. Allowed is only what it allows.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
struct Verdict {
    allow: bool,
    msg: String,
    err: String,
}

impl Plugins {
    /// Finds and activates the plugins with these names; those there were stay when one fails.
    pub(crate) async fn set(&self, names: &[String]) -> Result<()> {
        let mut plugins = Vec::new();
        for name in names {
            let plugin = find::find(name)?;
            plugin
                .activate()
                .await
                .with_context(|| format!("plugin {name}"))?;
            plugins.push(plugin);
        }
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(plugins);
        Ok(())
    }
}

impl Authorization for Plugins {
    fn chain(&self) -> Option<Arc<dyn Chain>> {
        let plugins = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (!plugins.is_empty()).then(|| Arc::new(Asking(Arc::clone(&plugins))) as Arc<dyn Chain>)
    }
}

impl<'a> Question<'a> {
    fn about(asked: &'a Asked) -> Self {
        let pem = |der: &Vec<u8>| {
            let text = STANDARD.encode(der);
            let lines: Vec<&str> = text
                .as_bytes()
                .chunks(64)
                .filter_map(|line| std::str::from_utf8(line).ok())
                .collect();
            STANDARD.encode(format!(
                "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
                lines.join("\n")
            ))
        };
        Self {
            user: &asked.peer.user,
            method_of_user: &asked.peer.method,
            request_method: &asked.method,
            request_uri: &asked.uri,
            request_body: STANDARD.encode(&asked.body),
            request_headers: borrowed(&asked.headers),
            request_peer_certificates: asked.peer.certificates.iter().map(pem).collect(),
            ..Self::default()
        }
    }
}

fn borrowed(map: &BTreeMap<String, String>) -> BTreeMap<&str, &str> {
    map.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect()
}

impl Asking {
    async fn ask(&self, method: &str, question: &Question<'_>) -> Result<(), Failure> {
        let text = serde_json::to_vec(question)
            .map_err(|e| Failure::system(format!("cannot write the plugins' question: {e}")))?;
        for plugin in self.0.iter() {
            let name = &plugin.name;
            let failed = |why: String| {
                tracing::error!(plugin = %name, "an authorization plugin failed: {why}");
                Failure::system(format!("plugin {name} failed with error: {why}"))
            };
            let verdict: Verdict = plugin
                .call(method, text.clone())
                .await
                .and_then(|answer| Ok(serde_json::from_slice(&answer)?))
                .map_err(|e| failed(format!("{method}: {e:#}")))?;
            if !verdict.err.is_empty() {
                return Err(failed(verdict.err));
            }
            if !verdict.allow {
                return Err(Failure::new(
                    types::ErrorKind::Forbidden,
                    format!("authorization denied by plugin {name}: {}", verdict.msg),
                ));
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Chain for Asking {
    async fn request(&self, asked: &Asked) -> Result<(), Failure> {
        self.ask("AuthZPlugin.AuthZReq", &Question::about(asked))
            .await
    }

    async fn response(&self, asked: &Asked, answered: &Answered) -> Result<(), Failure> {
        let question = Question {
            response_status_code: Some(answered.status),
            response_body: STANDARD.encode(&answered.body),
            response_headers: borrowed(&answered.headers),
            ..Question::about(asked)
        };
        self.ask("AuthZPlugin.AuthZRes", &question).await
    }
}
