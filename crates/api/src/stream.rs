//! Answers that arrive in pieces: frames of output, lines of JSON.

use std::{collections::VecDeque, io};

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, Stream, StreamExt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use types::image::{ErrorDetail, ProgressLine};

use crate::backend::{Output, StdStream};

/// Everything a process wrote, unmarked: the media type of a terminal's output.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
/// Frames that tell the streams apart.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// Pieces as long as this are passed on without being copied.
const LONG: usize = 16 << 10;
/// Shorter ones are sent together, as far as they are there.
const TOGETHER: usize = 64 << 10;

/// A frame's head: the stream's number, three zeros, the length of what follows.
fn head(stream: StdStream, length: usize) -> [u8; 8] {
    // A chunk of 4 GiB would have to be in memory first.
    let [a, b, c, d] = u32::try_from(length).unwrap_or(u32::MAX).to_be_bytes();
    let number = match stream {
        StdStream::Out => 1,
        StdStream::Err => 2,
    };
    [number, 0, 0, 0, a, b, c, d]
}

/// A process's output as it goes over the wire, what is there at once in one piece.
pub(crate) fn wire(output: Output) -> impl Stream<Item = io::Result<Bytes>> + Send {
    // Its end may be found while looking for more to send together, and is asked for again then.
    let state = (output.chunks.fuse(), VecDeque::new(), output.tty);
    futures_util::stream::unfold(state, |(mut chunks, mut ready, tty)| async move {
        if ready.is_empty() {
            let mut next = Some(chunks.next().await?);
            let mut out = BytesMut::new();
            while let Some(chunk) = next.take() {
                match chunk {
                    Ok((stream, bytes)) => {
                        if !tty {
                            out.extend_from_slice(&head(stream, bytes.len()));
                        }
                        if bytes.len() < LONG {
                            out.extend_from_slice(&bytes);
                            if out.len() < TOGETHER {
                                next = chunks.next().now_or_never().flatten();
                            }
                        } else {
                            push(&mut ready, &mut out);
                            ready.push_back(Ok(bytes));
                        }
                    }
                    Err(e) => {
                        push(&mut ready, &mut out);
                        ready.push_back(Err(e));
                    }
                }
            }
            push(&mut ready, &mut out);
        }
        let first = ready.pop_front()?;
        Some((first, (chunks, ready, tty)))
    })
}

fn push(ready: &mut VecDeque<io::Result<Bytes>>, out: &mut BytesMut) {
    if !out.is_empty() {
        ready.push_back(Ok(out.split().freeze()));
    }
}

/// A process's output as a body.
pub(crate) fn output(output: Output, closing: &CancellationToken) -> Body {
    Body::from_stream(until(wire(output), closing))
}

/// How what is done goes on, as lines of JSON. Where the daemon ends before it is done, the last line
/// says so: a client takes an end without an error for success.
pub(crate) fn progress(
    lines: impl Stream<Item = ProgressLine> + Send + 'static,
    closing: &CancellationToken,
) -> Body {
    let closing = closing.clone();
    let state = Some((lines.boxed(), closing));
    let lines = futures_util::stream::unfold(state, |state| async {
        let (mut lines, closing) = state?;
        tokio::select! {
            biased;
            // What is there already counts: it may be the end.
            line = lines.next() => Some((line?, Some((lines, closing)))),
            () = closing.cancelled() => Some((ending(), None)),
        }
    });
    // Its own end is above.
    self::lines(lines, "\r\n", &CancellationToken::new())
}

fn ending() -> ProgressLine {
    let message = "the daemon is ending";
    ProgressLine {
        error: Some(message.to_owned()),
        error_detail: Some(ErrorDetail {
            code: None,
            message: message.to_owned(),
        }),
        ..ProgressLine::default()
    }
}

/// Values as lines of JSON, each flushed as it comes.
pub(crate) fn lines<T: Serialize + 'static>(
    values: impl Stream<Item = T> + Send + 'static,
    end: &'static str,
    closing: &CancellationToken,
) -> Body {
    let lines = values.map(move |value| {
        let mut line = serde_json::to_vec(&value)?;
        line.extend_from_slice(end.as_bytes());
        serde_json::Result::Ok(Bytes::from(line))
    });
    Body::from_stream(until(lines, closing))
}

/// Ends with the daemon: a stream without end of its own must not hold up its shutdown.
fn until<S: Stream>(
    stream: S,
    closing: &CancellationToken,
) -> impl Stream<Item = S::Item> + use<S> {
    stream.take_until(closing.clone().cancelled_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn frames_are_dockers() {
        let long = Bytes::from(vec![b'x'; LONG]);
        let chunks = vec![
            Ok((StdStream::Err, Bytes::from_static(b"hello"))),
            Ok((StdStream::Out, Bytes::new())),
            Ok((StdStream::Out, long.clone())),
            Err(io::Error::other("broken")),
        ];
        let output = Output {
            tty: false,
            chunks: futures_util::stream::iter(chunks).boxed(),
        };
        let all: Vec<_> = wire(output).collect().await;
        let mut first = b"\x02\0\0\0\0\0\0\x05hello\x01\0\0\0\0\0\0\0".to_vec();
        first.extend_from_slice(b"\x01\0\0\0\0\0\x40\0");
        assert_eq!(all[0].as_ref().unwrap(), &first);
        assert_eq!(all[1].as_ref().unwrap(), &long);
        assert!(all[2].is_err());
        assert_eq!(all.len(), 3);
    }

    #[tokio::test]
    async fn what_is_not_done_when_the_daemon_ends_has_failed() {
        let line = |text: &str| ProgressLine {
            status: Some(text.to_owned()),
            ..ProgressLine::default()
        };
        let closing = CancellationToken::new();
        closing.cancel();
        let read = async |body| {
            let bytes = axum::body::to_bytes(body, 1000).await.unwrap();
            String::from_utf8(bytes.to_vec()).unwrap()
        };
        let endless = futures_util::stream::iter([line("a")]);
        let endless = endless.chain(futures_util::stream::pending());
        let told = read(progress(endless, &closing)).await;
        let error =
            r#"{"errorDetail":{"message":"the daemon is ending"},"error":"the daemon is ending"}"#;
        assert_eq!(told, format!("{{\"status\":\"a\"}}\r\n{error}\r\n"));
        let done = futures_util::stream::iter([line("a")]);
        assert_eq!(
            read(progress(done, &closing)).await,
            "{\"status\":\"a\"}\r\n"
        );
    }

    #[tokio::test]
    async fn an_end_that_is_there_at_once_is_an_end() {
        let once = futures_util::stream::unfold(0, |n| async move {
            let chunk = Ok((StdStream::Out, Bytes::from_static(b"x")));
            (n < 2).then_some((chunk, n + 1))
        });
        let output = Output {
            tty: true,
            chunks: once.boxed(),
        };
        let sent: Vec<_> = wire(output).map(|piece| piece.unwrap()).collect().await;
        assert_eq!(sent, [Bytes::from_static(b"xx")]);
    }
}
