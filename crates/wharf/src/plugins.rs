//! Docker's plugin protocol on the wire: one call is one HTTP request on a connection of its own.

use bytes::Bytes;
use engine::{CallFailed, PluginAddress, PluginCaller};
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Request, client::conn::http1};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpStream, UnixStream},
};

/// No answer is near this.
const ANSWER: usize = 4 << 20;
const MEDIA: &str = "application/vnd.docker.plugins.v1.2+json";

/// Carries the engine's calls.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Http;

impl PluginCaller for Http {
    fn post<'a>(
        &'a self,
        address: &'a PluginAddress,
        method: &'a str,
        body: String,
    ) -> BoxFuture<'a, Result<(u16, Bytes), CallFailed>> {
        Box::pin(post(address, method, body.into()))
    }
}

/// `POST /method`; the answer's status and body.
pub(crate) async fn post(
    address: &PluginAddress,
    method: &str,
    body: Bytes,
) -> Result<(u16, Bytes), CallFailed> {
    let dial = |place: String| move |source| CallFailed::Dial { place, source };
    match address {
        PluginAddress::Unix(path) => {
            let socket = UnixStream::connect(path).await;
            let socket = socket.map_err(dial(path.display().to_string()))?;
            exchange(socket, method, body).await
        }
        PluginAddress::Tcp(place) => {
            let socket = TcpStream::connect(place).await;
            exchange(socket.map_err(dial(place.clone()))?, method, body).await
        }
    }
}

async fn exchange(
    socket: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    method: &str,
    body: Bytes,
) -> Result<(u16, Bytes), CallFailed> {
    let garbage = |e: hyper::Error| CallFailed::Garbage(format!("it speaks no HTTP: {e}"));
    let (mut sender, connection) = http1::handshake(TokioIo::new(socket))
        .await
        .map_err(garbage)?;
    let request = Request::post(format!("/{method}"))
        .header("host", "plugin")
        .header("accept", MEDIA)
        .header("content-type", MEDIA)
        .body(Full::new(body))
        .map_err(|e| CallFailed::Garbage(e.to_string()))?;
    let talk = async {
        let response = sender.send_request(request).await.map_err(garbage)?;
        let status = response.status().as_u16();
        let body = Limited::new(response.into_body(), ANSWER).collect().await;
        let body =
            body.map_err(|e| CallFailed::Garbage(format!("its answer is not whole: {e}")))?;
        Ok((status, body.to_bytes()))
    };
    let driven = async {
        // What goes wrong with the connection is told by the exchange, too.
        let _ = connection.await;
        std::future::pending::<()>().await;
    };
    tokio::select! {
        answer = talk => answer,
        () = driven => Err(CallFailed::Garbage("the connection ended".into())),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::UnixListener,
    };

    use super::*;

    /// A plugin that answers every call with the same bytes.
    fn plugin(path: &Path, answer: &'static str) {
        let listener = UnixListener::bind(path).unwrap();
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let mut request = [0; 4096];
                let _ = client.read(&mut request).await;
                let _ = client.write_all(answer.as_bytes()).await;
            }
        });
    }

    #[tokio::test]
    async fn answers_are_whole_or_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let address = PluginAddress::Unix(path.clone());
        let none = post(&address, "x", Bytes::new()).await.unwrap_err();
        assert!(matches!(none, CallFailed::Dial { .. }), "{none}");
        for (answer, wanted) in [
            (
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}",
                Ok((200, "{}")),
            ),
            (
                "HTTP/1.1 500 no\r\nContent-Length: 4\r\n\r\noops",
                Ok((500, "oops")),
            ),
            ("nonsense\r\n\r\n", Err("")),
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}", Err("")),
        ] {
            let _ = std::fs::remove_file(&path);
            plugin(&path, answer);
            match (post(&address, "x", Bytes::new()).await, wanted) {
                (Ok((status, body)), Ok((wanted, text))) => {
                    assert_eq!((status, &body[..]), (wanted, text.as_bytes()));
                }
                (Err(CallFailed::Garbage(_)), Err(_)) => {}
                (got, _) => panic!("{answer:?}: {got:?}"),
            }
        }
    }
}
