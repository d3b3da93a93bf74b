//! Listening, and ending in bounded time.

use std::{future::Future, io, sync::Arc, time::Duration};

use tokio::net::{TcpListener, TcpStream, UnixListener};
use tokio_rustls::rustls::ServerConfig;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Server,
    backend::Peer,
    connection::{self, Socket},
    handshake::Handshakes,
};

/// How long requests may go on after the server was told to end.
pub const GRACE: Duration = Duration::from_secs(5);
/// How long to wait when no connection can be accepted, for want of descriptors say.
const RETRY: Duration = Duration::from_millis(100);

/// Where clients connect.
#[derive(Debug)]
pub enum Listener {
    /// A socket in the file system.
    Unix(UnixListener),
    /// A port, without TLS.
    Tcp(TcpListener),
    /// A port with TLS.
    Tls(TcpListener, Arc<ServerConfig>),
}

/// A client that has come.
enum Accepted {
    Plain(Socket),
    Tls(TcpStream, Arc<ServerConfig>),
}

impl Listener {
    async fn accept(&self) -> io::Result<Accepted> {
        Ok(match self {
            Self::Unix(listener) => Accepted::Plain(Socket::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => Accepted::Plain(Socket::Tcp(port(listener).await?)),
            Self::Tls(listener, config) => Accepted::Tls(port(listener).await?, Arc::clone(config)),
        })
    }
}

async fn port(listener: &TcpListener) -> io::Result<TcpStream> {
    let (socket, _) = listener.accept().await?;
    // A client that is gone already is found when it is read from.
    let _ = socket.set_nodelay(true);
    Ok(socket)
}

impl Accepted {
    /// The client's socket, and who it is; nothing when it does not make itself known.
    async fn known(self, handshakes: &Handshakes) -> Option<(Socket, Peer)> {
        match self {
            Self::Plain(socket) => Some((socket, Peer::default())),
            Self::Tls(socket, config) => match handshakes.with(socket, config).await {
                Ok((stream, peer)) => Some((Socket::Tls(stream), peer)),
                Err(error) => {
                    tracing::debug!("TLS handshake error: {error}");
                    None
                }
            },
        }
    }
}

impl Server {
    /// Serves all of `listeners` until `shutdown` is ready: then nothing new is accepted,
    /// streams end, other requests may finish within [`GRACE`].
    pub async fn serve(&self, listeners: Vec<Listener>, shutdown: impl Future<Output = ()> + Send) {
        let closing = CancellationToken::new();
        let router = self.router_until(closing.clone());
        let clients = TaskTracker::new();
        let handshakes = Handshakes::default();
        let abort = CancellationToken::new();
        let listening: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (router, clients) = (router.clone(), clients.clone());
                let (closing, abort) = (closing.clone(), abort.clone());
                let handshakes = handshakes.clone();
                tokio::spawn(async move {
                    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await
                    {
                        let accepted = match accepted {
                            Ok(accepted) => accepted,
                            Err(error) => {
                                tracing::warn!("cannot accept a client: {error}");
                                tokio::time::sleep(RETRY).await;
                                continue;
                            }
                        };
                        let (handshakes, router) = (handshakes.clone(), router.clone());
                        let closing = closing.clone();
                        let client = async move {
                            let known = accepted.known(&handshakes);
                            let known = closing.run_until_cancelled(known).await.flatten();
                            if let Some((socket, peer)) = known {
                                connection::drive(socket, peer, router, closing).await;
                            }
                        };
                        let abort = abort.clone();
                        clients.spawn(async move { abort.run_until_cancelled(client).await });
                    }
                })
            })
            .collect();
        shutdown.await;
        closing.cancel();
        for task in listening {
            // A listener's task only ends or panics; either way it listens no more.
            let _ = task.await;
        }
        clients.close();
        if tokio::time::timeout(GRACE, clients.wait()).await.is_err() {
            abort.cancel();
            clients.wait().await;
        }
    }
}
