//! One call of a plugin. Who carries it is the daemon's: the engine speaks no HTTP.

use std::{fmt::Debug, path::PathBuf, time::Duration};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde_json::Value;

/// Of an answer that is an error, what is told of it.
const TOLD: usize = 1024;

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum PluginAddress {
    /// A Unix socket.
    Unix(PathBuf),
    /// `host:port`.
    Tcp(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallFailed {
    /// Nobody listens: it heard nothing.
    #[error("dial {place}: {source}")]
    Dial {
        /// Where it should listen.
        place: String,
        /// The kernel's answer.
        source: std::io::Error,
    },
    /// What came is no answer.
    #[error("{0}")]
    Garbage(String),
}

/// Carries calls to plugins.
pub trait PluginCaller: Debug + Send + Sync {
    /// `POST /method` on a connection of its own; the answer's status and body, which is bounded.
    fn post<'a>(
        &'a self,
        address: &'a PluginAddress,
        method: &'a str,
        body: String,
    ) -> BoxFuture<'a, Result<(u16, Bytes), CallFailed>>;
}

/// Why a call did not do what it was to.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error(transparent)]
    Call(#[from] CallFailed),
    #[error("{status}: {said}")]
    Refused { status: u16, said: String },
}

/// `POST /method`; the answer's body.
pub(super) async fn call(
    caller: &dyn PluginCaller,
    address: &PluginAddress,
    method: &str,
    body: &Value,
    patience: Duration,
) -> Result<Bytes, Failed> {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let asked = tokio::time::timeout(patience, caller.post(address, method, text)).await;
    let (status, body) = asked.map_err(|_| Failed::Late(patience))??;
    if (200..300).contains(&status) {
        return Ok(body);
    }
    Err(Failed::Refused {
        status,
        said: said(&body),
    })
}

/// What a plugin says with a status that is an error: its `Err`, or the text as it is.
fn said(body: &Bytes) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let err = value.as_ref().and_then(|v| v["Err"].as_str());
    let text = err.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.trim().chars().take(TOLD).collect()
}
