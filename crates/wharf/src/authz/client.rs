//! One call of a plugin: HTTP on a connection of its own, bounded in time and size.

use std::{path::PathBuf, time::Duration};

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// How long a plugin may think.
const PATIENCE: Duration = Duration::from_secs(30);
/// No verdict is near this.
const ANSWER: usize = 1 << 20;
const MEDIA: &str = "application/vnd.docker.plugins.v1.2+json";
/// What it must be able to do.
const KIND: &str = "authz";

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

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
        match &self.address {
            Address::Unix(path) => {
                let socket = UnixStream::connect(path).await;
                let socket = socket.with_context(|| format!("dial {}", path.display()))?;
                exchange(socket, method, body).await
            }
            Address::Tcp(address) => {
                let socket = TcpStream::connect(address).await;
                let socket = socket.with_context(|| format!("dial {address}"))?;
                exchange(socket, method, body).await
            }
        }
    }
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    body: Vec<u8>,
) -> Result<Bytes> {
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket)).await?;
    let request = Request::post(format!("/{method}"))
        .header("host", "plugin")
        .header("accept", MEDIA)
        .header("content-type", MEDIA)
        .body(Full::new(Bytes::from(body)))?;
    let talk = async {
        let response = sender.send_request(request).await?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body.map_err(|e| anyhow!("{e}"))?.to_bytes();
        if !status.is_success() {
            let said = String::from_utf8_lossy(&body);
            bail!("{status}: {}", said.trim());
        }
        Ok(body)
    };
    let driven = async {
        // What goes wrong with the connection is told by the exchange, too.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = talk => answer,
        () = driven => bail!("the connection ended"),
    }
}
