//! Listening, and ending in bounded time.

use std::{future::Future, io, time::Duration};

use tokio::net::{TcpListener, UnixListener};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    Server,
    connection::{self, Socket},
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
}

impl Listener {
    async fn accept(&self) -> io::Result<Socket> {
        match self {
            Self::Unix(listener) => Ok(Socket::Unix(listener.accept().await?.0)),
            Self::Tcp(listener) => {
                let (socket, _) = listener.accept().await?;
                socket.set_nodelay(true)?;
                Ok(Socket::Tcp(socket))
            }
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
        let abort = CancellationToken::new();
        let listening: Vec<_> = listeners
            .into_iter()
            .map(|listener| {
                let (router, clients) = (router.clone(), clients.clone());
                let (closing, abort) = (closing.clone(), abort.clone());
                tokio::spawn(async move {
                    while let Some(accepted) = closing.run_until_cancelled(listener.accept()).await
                    {
                        let socket = match accepted {
                            Ok(socket) => socket,
                            Err(error) => {
                                tracing::warn!("cannot accept a client: {error}");
                                tokio::time::sleep(RETRY).await;
                                continue;
                            }
                        };
                        let client = connection::drive(socket, router.clone(), closing.clone());
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
