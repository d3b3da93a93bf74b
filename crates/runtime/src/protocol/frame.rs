//! Frames: `u32` length of the payload (little endian), `u8` kind, payload. No input or output is
//! done here, so the same code serves a blocking socket, a poll loop and tokio.

use serde::{Serialize, de::DeserializeOwned};

use super::message::{Event, Request, Response};

/// The longest message in JSON.
pub const MAX_CONTROL: usize = 4 << 20;
/// The most bytes of a stream in one frame.
pub const MAX_DATA: usize = 64 << 10;
/// The most descriptors that come with one `Fds` frame (the kernel's limit is 253).
pub const MAX_FDS_PER_FRAME: usize = 250;

const HEADER: usize = 5;

mod kind {
    pub(super) const REQUEST: u8 = 1;
    pub(super) const RESPONSE: u8 = 2;
    pub(super) const EVENT: u8 = 3;
    pub(super) const FDS: u8 = 4;
    pub(super) const STDIN: u8 = 16;
    pub(super) const CLOSE_STDIN: u8 = 17;
    pub(super) const STDOUT: u8 = 18;
    pub(super) const STDERR: u8 = 19;
}

/// What can be wrong with what the other side sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A kind of frame that this version does not have.
    #[error(
        "unknown kind of frame {kind} in the shim's protocol version {}",
        super::VERSION
    )]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// The frame is longer than its kind may be.
    #[error("a frame of kind {kind} with {len} bytes: at most {max} are allowed")]
    TooLong {
        /// The kind.
        kind: u8,
        /// What it claims.
        len: usize,
        /// What is allowed.
        max: usize,
    },
    /// The message in the frame cannot be read.
    #[error("the {what} cannot be understood: {reason}")]
    Message {
        /// Request, response or event.
        what: &'static str,
        /// Where and why; an unknown message is named.
        reason: String,
    },
}

/// One frame of a connection.
#[derive(Debug, Clone, PartialEq)]
pub enum Frame {
    /// Client to shim.
    Request(Request),
    /// Shim to client, one for each request, in order.
    Response(Response),
    /// Shim to client, unasked.
    Event(Event),
    /// Descriptors come with this frame; only on the connection a shim is born with.
    Fds,
    /// Client to shim: bytes for the process. Not empty.
    Stdin(Vec<u8>),
    /// Client to shim: no more input will come.
    CloseStdin,
    /// Shim to client: what the process wrote.
    Stdout(Vec<u8>),
    /// Shim to client: what the process wrote.
    Stderr(Vec<u8>),
}

/// A frame whose payload was not looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawFrame {
    /// The number of its kind.
    pub kind: u8,
    /// The bytes.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Appends the frame's bytes to `out`. Data longer than [`MAX_DATA`] becomes several frames.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Request(m) => json(kind::REQUEST, m, out),
            Self::Response(m) => json(kind::RESPONSE, m, out),
            Self::Event(m) => json(kind::EVENT, m, out),
            Self::Fds => put(kind::FDS, &[], out),
            Self::CloseStdin => put(kind::CLOSE_STDIN, &[], out),
            Self::Stdin(d) => data(kind::STDIN, d, out),
            Self::Stdout(d) => data(kind::STDOUT, d, out),
            Self::Stderr(d) => data(kind::STDERR, d, out),
        }
    }

    /// The frame's bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        self.encode(&mut out);
        out
    }
}

/// Appends `bytes` as frames of standard output, or of standard error, to `out`, without an owned
/// [`Frame`] in between.
pub fn encode_data(stderr: bool, bytes: &[u8], out: &mut Vec<u8>) {
    data(if stderr { kind::STDERR } else { kind::STDOUT }, bytes, out);
}

fn data(kind: u8, bytes: &[u8], out: &mut Vec<u8>) {
    for chunk in bytes.chunks(MAX_DATA) {
        put(kind, chunk, out);
    }
}

fn put(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER + payload.len());
    // Payloads are bounded by MAX_CONTROL and MAX_DATA, far below 4 GiB.
    out.extend_from_slice(&(payload.len() as u32).to_le_bytes());
    out.push(kind);
    out.extend_from_slice(payload);
}

fn json(kind: u8, message: &impl Serialize, out: &mut Vec<u8>) {
    let at = out.len();
    out.extend_from_slice(&[0, 0, 0, 0, kind]);
    // Our messages have string keys only and `Vec` never fails to take bytes, so this cannot fail;
    // an empty payload would be refused by the reader, by name.
    if serde_json::to_writer(&mut *out, message).is_err() {
        out.truncate(at + HEADER);
    }
    let len = (out.len() - at - HEADER) as u32;
    out[at..at + 4].copy_from_slice(&len.to_le_bytes());
}

impl RawFrame {
    /// Reads the payload.
    pub fn parse(self) -> Result<Frame, FrameError> {
        Ok(match self.kind {
            kind::REQUEST => Frame::Request(from_json("request", &self.payload)?),
            kind::RESPONSE => Frame::Response(from_json("response", &self.payload)?),
            kind::EVENT => Frame::Event(from_json("event", &self.payload)?),
            kind::FDS => Frame::Fds,
            kind::STDIN => Frame::Stdin(self.payload),
            kind::CLOSE_STDIN => Frame::CloseStdin,
            kind::STDOUT => Frame::Stdout(self.payload),
            kind::STDERR => Frame::Stderr(self.payload),
            kind => return Err(FrameError::UnknownKind { kind }),
        })
    }
}

fn from_json<T: DeserializeOwned>(what: &'static str, payload: &[u8]) -> Result<T, FrameError> {
    serde_json::from_slice(payload).map_err(|e| FrameError::Message {
        what,
        reason: e.to_string(),
    })
}

fn limit(kind: u8) -> Result<usize, FrameError> {
    Ok(match kind {
        kind::REQUEST | kind::RESPONSE | kind::EVENT => MAX_CONTROL,
        kind::STDIN | kind::STDOUT | kind::STDERR => MAX_DATA,
        kind::FDS | kind::CLOSE_STDIN => 0,
        kind => return Err(FrameError::UnknownKind { kind }),
    })
}

/// Cuts a stream of bytes into frames: [`push`](Self::push) what was read, then take frames until
/// there is none. After an error the stream is lost and the connection must be closed, except
/// after [`FrameError::Message`]: that frame was consumed whole.
#[derive(Debug, Default)]
pub struct Decoder {
    buf: Vec<u8>,
    /// What was consumed at the front of `buf`.
    at: usize,
}

impl Decoder {
    /// Takes bytes that arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        if self.at > 0 {
            self.buf.drain(..self.at);
            self.at = 0;
        }
        self.buf.extend_from_slice(bytes);
    }

    /// How many bytes wait to become a frame.
    pub fn pending(&self) -> usize {
        self.buf.len() - self.at
    }

    /// The next frame, uninterpreted.
    pub fn next_raw(&mut self) -> Result<Option<RawFrame>, FrameError> {
        let rest = &self.buf[self.at..];
        let Some((header, body)) = rest.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let len = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        let kind = header[4];
        // Checked before the payload is waited for: nobody makes us hold gigabytes.
        let max = limit(kind)?;
        if len > max {
            return Err(FrameError::TooLong { kind, len, max });
        }
        let Some(payload) = body.get(..len) else {
            return Ok(None);
        };
        let frame = RawFrame {
            kind,
            payload: payload.to_vec(),
        };
        self.at += HEADER + len;
        if self.at == self.buf.len() {
            // An idle connection keeps no buffer.
            self.buf = Vec::new();
            self.at = 0;
        }
        Ok(Some(frame))
    }

    /// The next frame.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameError> {
        self.next_raw()?.map(RawFrame::parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_survive_any_fragmentation() {
        let frames = vec![
            Frame::Request(Request::Hello { version: 1 }),
            Frame::Request(Request::Attach {
                stdin: true,
                stdout: true,
                stderr: false,
                logs: false,
            }),
            Frame::Fds,
            Frame::Stdin(b"hello".to_vec()),
            Frame::CloseStdin,
            Frame::Stdout(vec![0; 3000]),
            Frame::Stderr(vec![255]),
            Frame::Response(Response::Started { pid: 7 }),
            Frame::Event(Event::Started { pid: 7 }),
        ];
        let mut bytes = Vec::new();
        frames.iter().for_each(|f| f.encode(&mut bytes));
        for step in [1, 2, 3, 7, 64, 100_000] {
            let mut decoder = Decoder::default();
            let mut got = Vec::new();
            for chunk in bytes.chunks(step) {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    got.push(frame);
                }
            }
            assert_eq!(got, frames);
            assert_eq!(decoder.pending(), 0);
        }
    }

    #[test]
    fn long_data_is_split() {
        let mut decoder = Decoder::default();
        decoder.push(&Frame::Stdin(vec![1; MAX_DATA + 1]).to_bytes());
        assert_eq!(
            decoder.next_frame().unwrap(),
            Some(Frame::Stdin(vec![1; MAX_DATA]))
        );
        assert_eq!(decoder.next_frame().unwrap(), Some(Frame::Stdin(vec![1])));
        assert_eq!(decoder.next_frame().unwrap(), None);
    }

    #[test]
    fn unknown_things_are_named() {
        let mut decoder = Decoder::default();
        decoder.push(&[0, 0, 0, 0, 99]);
        assert_eq!(
            decoder.next_frame(),
            Err(FrameError::UnknownKind { kind: 99 })
        );

        let mut decoder = Decoder::default();
        let text = br#"{"type":"levitate"}"#;
        decoder.push(&(text.len() as u32).to_le_bytes());
        decoder.push(&[kind::REQUEST]);
        decoder.push(text);
        let error = decoder.next_frame().unwrap_err().to_string();
        assert!(error.contains("levitate"), "{error}");
    }

    #[test]
    fn a_huge_length_is_refused_at_once() {
        let mut decoder = Decoder::default();
        decoder.push(&[255, 255, 255, 255, kind::STDIN]);
        assert!(matches!(
            decoder.next_frame(),
            Err(FrameError::TooLong { .. })
        ));
    }

    #[test]
    fn unknown_fields_are_ignored_and_new_ones_default() {
        let raw = RawFrame {
            kind: kind::REQUEST,
            payload: br#"{"type":"attach","stdout":true,"later":1}"#.to_vec(),
        };
        assert_eq!(
            raw.parse().unwrap(),
            Frame::Request(Request::Attach {
                stdin: false,
                stdout: true,
                stderr: false,
                logs: false,
            })
        );
    }
}
