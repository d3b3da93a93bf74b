//! Answers that arrive in pieces: frames of output, lines of JSON.

use axum::body::Body;
use bytes::{BufMut, Bytes, BytesMut};
use futures_util::{Stream, StreamExt};
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::backend::{Output, StdStream};

/// Everything a process wrote, unmarked: the media type of a terminal's output.
pub(crate) const RAW: &str = "application/vnd.docker.raw-stream";
/// Frames that tell the streams apart.
pub(crate) const MULTIPLEXED: &str = "application/vnd.docker.multiplexed-stream";

/// A frame: the stream's number, three zeros, the length, the bytes.
pub(crate) fn frame(stream: StdStream, bytes: &Bytes) -> Bytes {
    let mut out = BytesMut::with_capacity(8 + bytes.len());
    out.put_u8(match stream {
        StdStream::Out => 1,
        StdStream::Err => 2,
    });
    out.put_bytes(0, 3);
    // A chunk of 4 GiB would have to be in memory first.
    out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
    out.extend_from_slice(bytes);
    out.freeze()
}

/// A process's output as a body.
pub(crate) fn output(output: Output, closing: &CancellationToken) -> Body {
    let tty = output.tty;
    let chunks = output.chunks.map(move |chunk| {
        let (stream, bytes) = chunk?;
        std::io::Result::Ok(if tty { bytes } else { frame(stream, &bytes) })
    });
    Body::from_stream(until(chunks, closing))
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

    #[test]
    fn frames_are_dockers() {
        let framed = frame(StdStream::Err, &Bytes::from_static(b"hello"));
        assert_eq!(&framed[..], b"\x02\0\0\0\0\0\0\x05hello");
        assert_eq!(
            &frame(StdStream::Out, &Bytes::new())[..],
            b"\x01\0\0\0\0\0\0\0"
        );
    }
}
