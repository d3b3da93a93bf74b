//! One call of a plugin: HTTP on a connection of its own, bounded in time and size.

use std::{path::PathBuf, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// No answer is near this.
const ANSWER: usize = 4 << 20;
/// Of an answer that is an error, what is told of it.
const TOLD: usize = 1024;
const MEDIA: &str = "application/vnd.docker.plugins.v1.2+json";

/// Where a plugin listens.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Address {
    Unix(PathBuf),
    Tcp(String),
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failed {
    #[error("no answer within {0:?}")]
    Late(Duration),
    #[error("dial {place}: {source}")]
    Dial {
        place: String,
        source: std::io::Error,
    },
    #[error("{0}")]
    Garbage(String),
    #[error("{status}: {said}")]
    Refused { status: u16, said: String },
}

/// `POST /method`; the answer's body.
pub(super) async fn call(
    address: &Address,
    method: &str,
    body: &Value,
    patience: Duration,
) -> Result<Bytes, Failed> {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    tokio::time::timeout(patience, ask(address, method, text))
        .await
        .unwrap_or(Err(Failed::Late(patience)))
}

async fn ask(address: &Address, method: &str, body: String) -> Result<Bytes, Failed> {
    let dial = |place: String| move |source| Failed::Dial { place, source };
    match address {
        Address::Unix(path) => {
            let socket = UnixStream::connect(path).await;
            exchange(
                socket.map_err(dial(path.display().to_string()))?,
                method,
                body,
            )
            .await
        }
        Address::Tcp(place) => {
            let socket = TcpStream::connect(place).await;
            exchange(socket.map_err(dial(place.clone()))?, method, body).await
        }
    }
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    body: String,
) -> Result<Bytes, Failed> {
    let garbage = |e: hyper::Error| Failed::Garbage(format!("it speaks no HTTP: {e}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(garbage)?;
    let request = Request::post(format!("/{method}"))
        .header("host", "plugin")
        .header("accept", MEDIA)
        .header("content-type", MEDIA)
        .body(Full::new(Bytes::from(body)))
        .map_err(|e| Failed::Garbage(e.to_string()))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(garbage)?;
        let status = response.status();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body = body
            .map_err(|e| Failed::Garbage(format!("its answer is not whole: {e}")))?
            .to_bytes();
        if !status.is_success() {
            return Err(Failed::Refused {
                status: status.as_u16(),
                said: said(&body),
            });
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
        () = driven => Err(Failed::Garbage("the connection ended".into())),
    }
}

/// What a plugin says with a status that is an error: its `Err`, or the text as it is.
fn said(body: &Bytes) -> String {
    let value: Option<Value> = serde_json::from_slice(body).ok();
    let err = value.as_ref().and_then(|v| v["Err"].as_str());
    let text = err.map_or_else(|| String::from_utf8_lossy(body).into_owned(), str::to_owned);
    text.trim().chars().take(TOLD).collect()
}
