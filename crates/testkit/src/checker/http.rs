//! As much of HTTP/1.1 as a relay needs: heads, and where bodies end.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use rustix::event::{PollFd, PollFlags, poll};
use rustix::net::{RecvFlags, recv};

/// Longest head that is taken.
const HEAD: usize = 1 << 20;

/// First line and headers.
pub(super) struct Head {
    /// As they came, with the empty line.
    pub(super) bytes: Vec<u8>,
    text: String,
}

/// Where a body ends.
#[derive(Debug, Clone, Copy)]
pub(super) enum Length {
    Bytes(u64),
    Chunked,
    UntilEnd,
}

impl Head {
    fn word(&self, number: usize) -> &str {
        let line = self.text.lines().next().unwrap_or_default();
        line.split(' ').nth(number).unwrap_or_default()
    }

    pub(super) fn method(&self) -> &str {
        self.word(0)
    }

    /// Without the query.
    pub(super) fn path(&self) -> &str {
        self.word(1).split('?').next().unwrap_or_default()
    }

    pub(super) fn status(&self) -> u16 {
        self.word(1).parse().unwrap_or(0)
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.text.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then_some(value.trim())
        })
    }

    fn length(&self) -> Option<Length> {
        if self.header("transfer-encoding").is_some() {
            return Some(Length::Chunked);
        }
        let length = self.header("content-length")?.parse().ok()?;
        Some(Length::Bytes(length))
    }

    pub(super) fn request_length(&self) -> Length {
        self.length().unwrap_or(Length::Bytes(0))
    }

    pub(super) fn answer_length(&self, to_head: bool) -> Length {
        if to_head || matches!(self.status(), 204 | 304) {
            return Length::Bytes(0);
        }
        self.length().unwrap_or(Length::UntilEnd)
    }
}

/// What comes from one side.
pub(super) struct Pipe<'a> {
    source: &'a UnixStream,
    /// Read and not yet used.
    rest: Vec<u8>,
    /// Give up when this one has closed.
    other: Option<&'a UnixStream>,
}

impl<'a> Pipe<'a> {
    pub(super) fn new(source: &'a UnixStream) -> Self {
        Self {
            source,
            rest: Vec::new(),
            other: None,
        }
    }

    /// Reads more; false at the end.
    fn more(&mut self) -> io::Result<bool> {
        if let Some(other) = self.other {
            let mut fds = [
                PollFd::new(self.source, PollFlags::IN),
                PollFd::new(other, PollFlags::IN),
            ];
            poll(&mut fds, None)?;
            if fds[0].revents().is_empty() {
                let mut byte = [0_u8; 1];
                if recv(other, &mut byte[..], RecvFlags::PEEK | RecvFlags::DONTWAIT)
                    .is_ok_and(|(n, _)| n == 0)
                {
                    return Err(io::ErrorKind::ConnectionAborted.into());
                }
                // It sends already what comes next.
                self.other = None;
            }
        }
        let mut buffer = [0; 65536];
        let n = self.source.read(&mut buffer)?;
        self.rest.extend_from_slice(&buffer[..n]);
        Ok(n > 0)
    }

    /// Reads a head; none at the end.
    pub(super) fn head(&mut self) -> io::Result<Option<Head>> {
        let end = loop {
            if let Some(at) = self.rest.windows(4).position(|w| w == b"\r\n\r\n") {
                break at + 4;
            }
            if self.rest.len() > HEAD || !self.more()? {
                return Ok(None);
            }
        };
        let bytes: Vec<u8> = self.rest.drain(..end).collect();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Ok(Some(Head { bytes, text }))
    }

    /// Passes a body on as it is; `see` gets its content.
    pub(super) fn body(
        &mut self,
        length: Length,
        to: &mut dyn Write,
        mut see: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        match length {
            Length::Bytes(n) => self.pass(n, to, &mut see),
            Length::UntilEnd => loop {
                let part = std::mem::take(&mut self.rest);
                see(&part);
                to.write_all(&part)?;
                if !self.more()? {
                    return Ok(());
                }
            },
            Length::Chunked => loop {
                let line = self.line()?;
                to.write_all(&line)?;
                let text = String::from_utf8_lossy(&line);
                let digits = text.split([';', '\r']).next().unwrap_or_default().trim();
                let size = u64::from_str_radix(digits, 16).map_err(io::Error::other)?;
                if size == 0 {
                    // Trailers, up to an empty line.
                    loop {
                        let line = self.line()?;
                        to.write_all(&line)?;
                        if line == b"\r\n" {
                            return Ok(());
                        }
                    }
                }
                self.pass(size, to, &mut see)?;
                self.pass(2, to, &mut |_| {})?;
            },
        }
    }

    /// [`Pipe::body`] to a client, given up when the client goes away.
    pub(super) fn body_while_there(
        &mut self,
        length: Length,
        client: &'a UnixStream,
        see: impl FnMut(&[u8]),
    ) -> io::Result<()> {
        self.other = Some(client);
        let done = self.body(length, &mut { client }, see);
        self.other = None;
        done
    }

    fn pass(
        &mut self,
        mut left: u64,
        to: &mut dyn Write,
        see: &mut dyn FnMut(&[u8]),
    ) -> io::Result<()> {
        while left > 0 {
            if self.rest.is_empty() && !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            let n = self
                .rest
                .len()
                .min(usize::try_from(left).unwrap_or(usize::MAX));
            let part: Vec<u8> = self.rest.drain(..n).collect();
            see(&part);
            to.write_all(&part)?;
            left -= n as u64;
        }
        Ok(())
    }

    fn line(&mut self) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.rest.iter().position(|b| *b == b'\n') {
                return Ok(self.rest.drain(..=at).collect());
            }
            if !self.more()? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}
