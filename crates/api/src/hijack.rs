//! A connection that has become a process's standard streams.

use std::{io, pin::Pin, time::Duration};

use axum::http::{HeaderMap, HeaderValue, StatusCode};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, Interest};
use tokio_util::sync::CancellationToken;

use crate::{
    backend::{Attachment, Output, StdStream},
    connection::Socket,
    detach::Escape,
    dispatch::{Call, SERVER},
    error::Refusal,
    stream::{MULTIPLEXED, RAW, wire},
    websocket::{self, Kind},
};

/// How long a client may go on sending after the end.
const LINGER: Duration = Duration::from_secs(2);

/// How long after the head the first output comes at the earliest, where the client may lose it.
const HEAD_START: Duration = Duration::from_millis(10);

/// How much input is read at a time.
const INPUT: usize = 32 << 10;

/// What takes a connection over.
pub(crate) struct Takeover {
    head: String,
    /// The head's status and headers, for those who are asked about them.
    shown: (StatusCode, HeaderMap),
    tty: bool,
    attachment: BoxFuture<'static, Result<Attachment, Refusal>>,
    escape: Option<Escape>,
    /// The client may lose what comes together with the head.
    head_start: bool,
    websocket: Option<Kind>,
}

impl Takeover {
    /// The answer's head depends on whether the client asked for an upgrade; only then is it
    /// told, from 1.42 on, that the streams are told apart. Keys detach from terminals only;
    /// elsewhere the bytes are data.
    ///
    /// `attachment` is awaited after the head was sent. A process that is started for its client
    /// starts there: the Docker SDK for Python drops what arrives together with the head.
    pub(crate) fn new(
        call: &Call,
        tty: bool,
        attachment: BoxFuture<'static, Result<Attachment, Refusal>>,
        escape: Escape,
    ) -> Self {
        let upgrade = wants_upgrade(&call.headers);
        let media = if upgrade && call.since(42) && !tty {
            MULTIPLEXED
        } else {
            RAW
        };
        let (line, more) = if upgrade {
            ("101 UPGRADED", "Connection: Upgrade\r\nUpgrade: tcp\r\n")
        } else {
            ("200 OK", "")
        };
        let head = format!(
            "HTTP/1.1 {line}\r\nContent-Type: {media}\r\n{more}Api-Version: 1.51\r\n\
             Docker-Experimental: false\r\nOstype: linux\r\nServer: {SERVER}\r\n\r\n"
        );
        let mut shown = HeaderMap::new();
        shown.insert("content-type", HeaderValue::from_static(media));
        let status = if upgrade {
            StatusCode::SWITCHING_PROTOCOLS
        } else {
            StatusCode::OK
        };
        Self {
            head,
            shown: (status, shown),
            tty,
            attachment,
            escape: tty.then_some(escape),
            head_start: !keeps_what_follows_the_head(&call.headers),
            websocket: None,
        }
    }

    /// Status and headers of the head.
    pub(crate) fn shown(&self) -> &(StatusCode, HeaderMap) {
        &self.shown
    }

    /// The same over a websocket, whose answer to the client's greeting is `head`.
    pub(crate) fn websocket(
        head: String,
        tty: bool,
        attachment: Attachment,
        escape: Escape,
        kind: Kind,
    ) -> Self {
        Self {
            head,
            shown: (StatusCode::SWITCHING_PROTOCOLS, HeaderMap::new()),
            tty,
            attachment: std::future::ready(Ok(attachment)).boxed(),
            escape: tty.then_some(escape),
            head_start: false,
            websocket: Some(kind),
        }
    }
}

/// Whether the client is known to read on where the head ended. Some libraries (the Docker SDK for
/// Python) take the socket from under a buffered reader, with whatever that has read ahead.
fn keeps_what_follows_the_head(headers: &HeaderMap) -> bool {
    let agent = headers.get("user-agent").and_then(|a| a.to_str().ok());
    agent.is_some_and(|a| a.starts_with("Docker-Client/") || a.starts_with("wharf"))
}

fn wants_upgrade(headers: &HeaderMap) -> bool {
    headers.contains_key("upgrade")
}

/// Carries bytes both ways until the process ends, the client goes or detaches, or the daemon
/// ends. The client's end of file ends standard input only.
pub(crate) async fn run(
    socket: Socket,
    early: Bytes,
    takeover: Takeover,
    closing: &CancellationToken,
) {
    if let Some(kind) = takeover.websocket {
        let Ok(attachment) = takeover.attachment.await else {
            return;
        };
        let (head, escape) = (takeover.head, takeover.escape);
        return websocket::run(socket, early, head, attachment, escape, kind, closing).await;
    }
    let watched = socket.try_clone();
    let (mut reader, mut writer) = tokio::io::split(socket);
    let work = async {
        writer.write_all(takeover.head.as_bytes()).await?;
        writer.flush().await?;
        let sent = tokio::time::Instant::now();
        let Attachment {
            output,
            input,
            detached,
        } = match takeover.attachment.await {
            Ok(attachment) => attachment,
            Err(refusal) => told(takeover.tty, &refusal),
        };
        let first = takeover.head_start.then_some(sent + HEAD_START);
        tokio::select! {
            ended = write_output(output, &mut writer, first) => ended?,
            ended = read_input(&mut reader, early, input, takeover.escape) => {
                ended?;
                detached();
            }
            () = gone(watched) => return Ok(()),
            () = closing.cancelled() => {}
        }
        writer.shutdown().await?;
        linger(&mut reader, closing).await;
        io::Result::Ok(())
    };
    if let Err(error) = work.await {
        tracing::debug!("attached client ended: {error}");
    }
}

/// Why there is nothing to connect to, as Docker tells it once the head is out.
fn told(tty: bool, refusal: &Refusal) -> Attachment {
    let text = Bytes::from(format!("{}\r\n", refusal.message));
    let chunks = stream::iter([Ok((StdStream::Out, text))]).boxed();
    let output = Output { tty, chunks };
    Attachment {
        output,
        input: None,
        detached: Box::new(|| ()),
    }
}

/// Reads on for a while after the last byte was written: closing a socket with unread bytes
/// would throw away what the peer has not read yet.
pub(crate) async fn linger(reader: &mut (impl AsyncRead + Unpin), closing: &CancellationToken) {
    let mut nowhere = tokio::io::sink();
    let rest = tokio::io::copy(reader, &mut nowhere);
    // Whether the peer closed in time makes no difference.
    let rest = tokio::time::timeout(LINGER, rest);
    let _ = closing.run_until_cancelled(rest).await;
}

/// Nothing is written before `first`.
async fn write_output(
    output: Output,
    writer: &mut (impl AsyncWrite + Unpin),
    mut first: Option<tokio::time::Instant>,
) -> io::Result<()> {
    let mut wire = std::pin::pin!(wire(output));
    while let Some(bytes) = wire.next().await {
        let bytes = bytes?;
        if let Some(first) = first.take() {
            tokio::time::sleep_until(first).await;
        }
        writer.write_all(&bytes).await?;
        // TLS holds back what did not fit into the socket.
        writer.flush().await?;
    }
    Ok(())
}

/// Ends when the client detaches or fails; after its end of file never.
async fn read_input(
    reader: &mut (impl AsyncRead + Unpin),
    early: Bytes,
    mut input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    mut escape: Option<Escape>,
) -> io::Result<()> {
    let mut chunk = early.to_vec();
    loop {
        if !chunk.is_empty() && feed(&mut input, &mut escape, &chunk).await {
            return Ok(());
        }
        chunk.clear();
        // Left to itself, the buffer would have room for 64 bytes for ever.
        chunk.reserve(INPUT);
        if reader.read_buf(&mut chunk).await? == 0 {
            break;
        }
    }
    if let Some(mut input) = input {
        if let Some(held) = escape.map(Escape::into_held) {
            // A process that no longer reads is no reason to stop showing what it writes.
            let _ = input.write_all(&held).await;
        }
        let _ = input.shutdown().await;
        return std::future::pending().await;
    }
    std::future::pending().await
}

/// Whether the bytes held the keys that detach.
pub(crate) async fn feed(
    input: &mut Option<Pin<Box<dyn AsyncWrite + Send>>>,
    escape: &mut Option<Escape>,
    bytes: &[u8],
) -> bool {
    let (bytes, detached) = match escape {
        Some(escape) => escape.filter(bytes),
        None => (bytes.to_vec(), false),
    };
    if let Some(writer) = input {
        let written = async {
            writer.write_all(&bytes).await?;
            writer.flush().await
        };
        if written.await.is_err() {
            // It closed its standard input; its output goes on.
            *input = None;
        }
    }
    detached
}

/// Ends when the peer has closed both ways. Watched on a descriptor of its own, because clearing
/// readiness on the shared one would stall the writer.
pub(crate) async fn gone(watched: io::Result<Socket>) {
    // Unwatched, the client's absence is found when something is written to it.
    if let Ok(watched) = watched {
        let blocked = || io::Result::<()>::Err(io::ErrorKind::WouldBlock.into());
        while let Ok(ready) = watched.ready(Interest::WRITABLE).await {
            if ready.is_write_closed() {
                return;
            }
            // Clears the readiness: the next one comes when the socket's state changes.
            let _ = watched.try_io(Interest::WRITABLE, blocked);
        }
    }
    std::future::pending().await
}
