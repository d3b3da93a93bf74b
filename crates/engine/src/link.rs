//! The daemon's end of a connection to a shim.

use std::{
    io,
    path::Path,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use runtime::protocol::{self, Decoder, Event, Exit, Frame, Request, Response};
use rustix::fs::{Mode, OFlags};
use tokio::{
    io::{AsyncWrite, AsyncWriteExt},
    net::{
        UnixStream,
        unix::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::mpsc,
};
use tokio_util::sync::PollSender;
use types::options::StdStream;

use crate::logs::Chunk;

/// A connection to a shim, past the greeting.
pub(crate) struct Link {
    /// The process at the other end, where it is not of our own making.
    peer: Option<i32>,
    reader: FrameReader,
    writer: OwnedWriteHalf,
}

/// Frames as they arrive.
pub(crate) struct FrameReader {
    half: OwnedReadHalf,
    decoder: Decoder,
    buffer: Vec<u8>,
}

impl FrameReader {
    fn new(half: OwnedReadHalf) -> Self {
        Self {
            half,
            decoder: Decoder::default(),
            buffer: Vec::new(),
        }
    }

    /// The next frame; `None` when the shim closed the connection. Can be given up and called
    /// again without losing anything.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Frame>> {
        loop {
            match self.decoder.next_frame() {
                Ok(Some(frame)) => return Ok(Some(frame)),
                Ok(None) => {}
                Err(e) => return Err(io::Error::new(io::ErrorKind::InvalidData, e)),
            }
            // A link that only waits for an exit holds no buffer.
            self.half.readable().await?;
            self.buffer.reserve(protocol::MAX_DATA);
            let got = match self.half.try_read_buf(&mut self.buffer) {
                Ok(got) => got,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => continue,
                Err(e) if e.kind() == io::ErrorKind::ConnectionReset => 0,
                Err(e) => return Err(e),
            };
            if got == 0 {
                return Ok(None);
            }
            self.decoder.push(&self.buffer);
            self.buffer.clear();
            if self.decoder.pending() < 4096 {
                self.buffer = Vec::new();
            }
        }
    }
}

impl Link {
    /// Connects to the shim of the container in `bundle`.
    pub(crate) async fn connect(bundle: &Path) -> io::Result<Self> {
        // By the directory's descriptor: the path may be longer than a socket's may be.
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = rustix::fs::open(bundle, flags, Mode::empty())?;
        let fd = std::os::fd::AsRawFd::as_raw_fd(&dir);
        let stream =
            UnixStream::connect(format!("/proc/self/fd/{fd}/{}", protocol::SOCKET)).await?;
        // Who listens, which is the shim.
        let peer = stream.peer_cred().ok().and_then(|cred| cred.pid());
        let mut link = Self::over(stream);
        link.peer = peer;
        match link
            .ask(Request::Hello {
                version: protocol::VERSION,
            })
            .await?
        {
            Response::Hello { .. } => Ok(link),
            other => Err(unexpected(&other)),
        }
    }

    /// A connection that needs no greeting: the one that the shim was born with.
    pub(crate) fn over(stream: UnixStream) -> Self {
        let (reader, writer) = stream.into_split();
        Self {
            peer: None,
            reader: FrameReader::new(reader),
            writer,
        }
    }

    /// The shim's process, where it was connected to.
    pub(crate) fn peer(&self) -> Option<i32> {
        self.peer
    }

    /// Sends a request and waits for its answer.
    pub(crate) async fn ask(&mut self, request: Request) -> io::Result<Response> {
        self.writer
            .write_all(&Frame::Request(request).to_bytes())
            .await?;
        loop {
            match self.reader.next().await? {
                Some(Frame::Response(Response::Error { message, .. })) => {
                    return Err(io::Error::other(message));
                }
                Some(Frame::Response(response)) => return Ok(response),
                // Told between question and answer: the answer is what this call is about, and
                // whoever watches looks at the shim's state first.
                Some(Frame::Event(_)) => {}
                Some(frame) => return Err(unexpected(&frame)),
                None => return Err(io::ErrorKind::UnexpectedEof.into()),
            }
        }
    }

    /// The next event; `None` when the shim is gone.
    pub(crate) async fn event(&mut self) -> io::Result<Option<Event>> {
        loop {
            match self.reader.next().await? {
                Some(Frame::Event(event)) => return Ok(Some(event)),
                Some(_) => {}
                None => return Ok(None),
            }
        }
    }

    /// The input and output of the process that this connection now belongs to. `ended` is called
    /// with how it ended, if that is told.
    pub(crate) fn into_io(
        self,
        input: bool,
        ended: impl FnOnce(Exit) + Send + 'static,
    ) -> (impl Stream<Item = Chunk> + Send + 'static, Option<Input>) {
        let (chunks, receiver) = mpsc::channel(4);
        tokio::spawn(pass_output(self.reader, chunks, ended));
        let input = if input {
            let (frames, waiting) = mpsc::channel(4);
            tokio::spawn(pass_input(self.writer, waiting));
            Some(Input(PollSender::new(frames)))
        } else {
            // Not dropped: that would close one direction, which looks like going away.
            self.writer.forget();
            None
        };
        let output = stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|chunk| (chunk, receiver))
        });
        (output, input)
    }
}

fn unexpected(what: &impl std::fmt::Debug) -> io::Error {
    io::Error::other(format!(
        "the shim answered {what:?}, which does not belong here"
    ))
}

async fn pass_output(
    mut reader: FrameReader,
    chunks: mpsc::Sender<Chunk>,
    ended: impl FnOnce(Exit),
) {
    loop {
        let frame = tokio::select! {
            frame = reader.next() => frame,
            // Nobody reads any more: closing the connection is how the shim learns of it.
            () = chunks.closed() => return,
        };
        let chunk = match frame {
            Ok(Some(Frame::Stdout(bytes))) => Ok((StdStream::Out, Bytes::from(bytes))),
            Ok(Some(Frame::Stderr(bytes))) => Ok((StdStream::Err, Bytes::from(bytes))),
            Ok(Some(Frame::Event(Event::Exited(exit) | Event::ExecExited { exit, .. }))) => {
                return ended(exit);
            }
            Ok(Some(_)) => continue,
            Ok(None) => return,
            Err(e) => Err(e),
        };
        let failed = chunk.is_err();
        if chunks.send(chunk).await.is_err() || failed {
            return;
        }
    }
}

async fn pass_input(mut writer: OwnedWriteHalf, mut frames: mpsc::Receiver<Frame>) {
    while let Some(frame) = frames.recv().await {
        if writer.write_all(&frame.to_bytes()).await.is_err() {
            return;
        }
    }
    writer.forget();
}

/// What the process reads. `shutdown` ends its input; dropping only lets go.
pub struct Input(PollSender<Frame>);

impl Input {
    fn send(&mut self, cx: &mut Context<'_>, frame: Frame) -> Poll<io::Result<()>> {
        let gone = || io::Error::from(io::ErrorKind::BrokenPipe);
        ready!(self.0.poll_reserve(cx)).map_err(|_| gone())?;
        Poll::Ready(self.0.send_item(frame).map_err(|_| gone()))
    }
}

impl AsyncWrite for Input {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let bytes = &bytes[..bytes.len().min(protocol::MAX_DATA)];
        if bytes.is_empty() {
            return Poll::Ready(Ok(0));
        }
        ready!(self.send(cx, Frame::Stdin(bytes.to_vec())))?;
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.send(cx, Frame::CloseStdin)
    }
}
