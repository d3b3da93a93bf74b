//! One client's connection: HTTP/1.1 by hyper, until a request takes the connection over.
//!
//! hyper hands a connection over only to requests that ask for an upgrade; old clients attach
//! without, and write to standard input at once. So the way is the same for both: the handler
//! sends a [`Takeover`], hyper's state is taken apart, and the bytes it had read ahead go first.

use std::{
    convert::Infallible,
    io,
    os::fd::AsFd,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::{Router, body::Body};
use hyper::{Request, Response, body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, Interest, ReadBuf, Ready},
    net::{TcpStream, UnixStream},
    sync::mpsc,
};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use crate::{
    backend::Peer,
    endpoints::Op,
    hijack::{self, Takeover},
    route,
};

/// How long a client may take to send a request's head.
const HEAD_PATIENCE: Duration = Duration::from_secs(30);
/// Bytes of a request's head, and of what is read ahead.
const HEAD_LIMIT: usize = 64 * 1024;

/// A client's socket.
pub(crate) enum Socket {
    Unix(UnixStream),
    Tcp(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// A [`Socket`] whose end can be kept from hyper: a client that has said everything and waits
/// for a process's output must not be taken for one that has gone.
pub(crate) struct Held {
    socket: Socket,
    hold: Arc<AtomicBool>,
}

/// What a handler needs to take its connection over.
#[derive(Clone)]
pub(crate) struct Handle(mpsc::UnboundedSender<Takeover>);

impl Handle {
    /// Hands the connection to `takeover`; whoever awaits this is dropped with hyper's state.
    pub(crate) async fn take_over(&self, takeover: Takeover) {
        if self.0.send(takeover).is_ok() {
            std::future::pending::<()>().await;
        }
    }
}

/// Serves a connection to its end.
pub(crate) async fn drive(socket: Socket, peer: Peer, router: Router, closing: CancellationToken) {
    let (sender, mut takeovers) = mpsc::unbounded_channel();
    let hold = Arc::new(AtomicBool::new(false));
    let io = Held {
        socket,
        hold: hold.clone(),
    };
    let service = service_fn(move |request: Request<Incoming>| {
        let hijackable = route::find(request.method().as_str(), request.uri().path())
            .is_ok_and(|r| matches!(r.endpoint.op, Op::ContainerAttach | Op::ExecStart));
        hold.store(hijackable, Ordering::Relaxed);
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(Handle(sender.clone()));
        request.extensions_mut().insert(peer.clone());
        let (router, hold) = (router.clone(), hold.clone());
        async move {
            let response: Result<Response<Body>, Infallible> = router.oneshot(request).await;
            hold.store(false, Ordering::Relaxed);
            response
        }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_LIMIT);
    let mut connection = http.serve_connection(TokioIo::new(io), service);
    let mut ending = false;
    let takeover = loop {
        tokio::select! {
            biased;
            result = Pin::new(&mut connection) => {
                if let Err(error) = result {
                    tracing::debug!("connection ended: {error}");
                }
                break None;
            }
            Some(takeover) = takeovers.recv() => break Some(takeover),
            () = closing.cancelled(), if !ending => {
                ending = true;
                Pin::new(&mut connection).graceful_shutdown();
            }
        }
    };
    let parts = connection.into_parts();
    let mut socket = parts.io.into_inner().socket;
    match takeover {
        Some(takeover) => hijack::run(socket, parts.read_buf, takeover, &closing).await,
        // A client that is refused in the middle of its body must get to read why.
        None => {
            // hyper has done this but after a refused upgrade; a second time does no harm.
            let _ = socket.shutdown().await;
            hijack::linger(&mut socket, &closing).await;
        }
    }
}

impl AsyncRead for Held {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.socket).poll_read(cx, buf))?;
        let ended = buf.filled().len() == before && buf.remaining() > 0;
        // Asked again when the answer is written; a takeover finds the end by itself.
        if ended && self.hold.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Held {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.socket).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.socket).poll_shutdown(cx)
    }
}

impl Socket {
    /// The same socket on a descriptor of its own.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(socket) => {
                let fd = socket.as_fd().try_clone_to_owned()?;
                Self::Unix(UnixStream::from_std(fd.into())?)
            }
            Self::Tcp(socket) => Self::Tcp(cloned(socket)?),
            // Only good to be watched.
            Self::Tls(stream) => Self::Tcp(cloned(stream.get_ref().0)?),
        })
    }

    pub(crate) async fn ready(&self, interest: Interest) -> io::Result<Ready> {
        match self {
            Self::Unix(socket) => socket.ready(interest).await,
            Self::Tcp(socket) => socket.ready(interest).await,
            Self::Tls(stream) => stream.get_ref().0.ready(interest).await,
        }
    }

    pub(crate) fn try_io<T>(
        &self,
        interest: Interest,
        work: impl FnOnce() -> io::Result<T>,
    ) -> io::Result<T> {
        match self {
            Self::Unix(socket) => socket.try_io(interest, work),
            Self::Tcp(socket) => socket.try_io(interest, work),
            Self::Tls(stream) => stream.get_ref().0.try_io(interest, work),
        }
    }
}

fn cloned(socket: &TcpStream) -> io::Result<TcpStream> {
    TcpStream::from_std(socket.as_fd().try_clone_to_owned()?.into())
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tcp(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_write(cx, data),
            Self::Tcp(socket) => Pin::new(socket).poll_write(cx, data),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tcp(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Unix(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tcp(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
