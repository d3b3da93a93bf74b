//! Output of a process without a terminal: both streams in one, each piece behind a header of
//! eight bytes (stream, three zeros, length).

use bytes::{Buf, Bytes, BytesMut};

/// A piece of one stream.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    /// Standard output.
    Out(Bytes),
    /// Standard error.
    Err(Bytes),
    /// The daemon's own word: why it cannot go on.
    Failure(Bytes),
}

/// Takes the streams apart.
#[derive(Debug, Default)]
pub(crate) struct Demux {
    buffer: BytesMut,
    stream: u8,
    left: usize,
}

impl Demux {
    /// Takes bytes in.
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next piece, as far as it is there. An error when the bytes are no such stream.
    pub(crate) fn next(&mut self) -> Result<Option<Piece>, String> {
        while self.left == 0 {
            let Some(header) = self.buffer.first_chunk::<8>().copied() else {
                return Ok(None);
            };
            let [stream, _, _, _, length @ ..] = header;
            if stream > 3 {
                return Err(format!("Unrecognized input header: {stream}"));
            }
            self.stream = stream;
            self.left = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
            self.buffer.advance(8);
        }
        // A failure's text is wanted whole; output is passed on as it comes.
        if self.buffer.is_empty() || (self.stream == 3 && self.buffer.len() < self.left) {
            return Ok(None);
        }
        let piece = self
            .buffer
            .split_to(self.left.min(self.buffer.len()))
            .freeze();
        self.left -= piece.len();
        Ok(Some(match self.stream {
            2 => Piece::Err(piece),
            3 => Piece::Failure(piece),
            _ => Piece::Out(piece),
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(stream: u8, data: &[u8]) -> Vec<u8> {
        let mut out = vec![stream, 0, 0, 0];
        out.extend(u32::try_from(data.len()).unwrap().to_be_bytes());
        out.extend(data);
        out
    }

    #[test]
    fn streams_are_told_apart_however_they_are_cut() {
        let bytes = [
            frame(1, b"hello"),
            frame(2, b"oops"),
            frame(1, b""),
            frame(1, b"!"),
        ]
        .concat();
        for size in 1..bytes.len() {
            let mut demux = Demux::default();
            let (mut out, mut err) = (Vec::new(), Vec::new());
            for chunk in bytes.chunks(size) {
                demux.push(chunk);
                while let Some(piece) = demux.next().unwrap() {
                    match piece {
                        Piece::Out(b) => out.extend(b),
                        Piece::Err(b) => err.extend(b),
                        Piece::Failure(_) => panic!("no failure was sent"),
                    }
                }
            }
            assert_eq!(
                (out.as_slice(), err.as_slice()),
                (&b"hello!"[..], &b"oops"[..])
            );
        }
    }

    #[test]
    fn what_is_no_such_stream_is_an_error() {
        let mut demux = Demux::default();
        demux.push(b"plain text");
        assert!(demux.next().is_err());
    }
}
