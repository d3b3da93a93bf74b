//! An asker's TCP connection: several questions may be under way, and each is answered when its
//! answer is there (RFC 7766). What a client sends faster than it reads waits in its own socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::poll::Ready;

/// A connection on which no question is asked and no answer read is closed after so long.
pub(crate) const IDLE: Duration = Duration::from_secs(10);
/// So many connections one asker may have.
pub(crate) const MOST_OF_ONE: usize = 32;
/// And all of them together.
pub(crate) const MOST: usize = 512;
/// So many questions of a connection may be under way.
const MOST_WAITING: usize = 32;
/// No more is held of answers that are not read, but for one more answer.
const MOST_HELD: usize = 64 << 10;

/// A connection.
pub(crate) struct Conn {
    /// Whose it is.
    pub(crate) asker: u64,
    pub(crate) stream: TcpStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// Questions that are passed on.
    pub(crate) waiting: usize,
    /// The client says no more.
    ended: bool,
    /// When it was last of use.
    pub(crate) used: Instant,
}

impl Conn {
    pub(crate) fn new(asker: u64, stream: TcpStream) -> Self {
        Self {
            asker,
            stream,
            input: Vec::new(),
            output: Vec::new(),
            waiting: 0,
            ended: false,
            used: Instant::now(),
        }
    }

    fn is_full(&self) -> bool {
        self.waiting >= MOST_WAITING || self.output.len() >= MOST_HELD
    }

    /// Reads what is there, as much as may be held.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        while !self.ended && !self.is_full() && self.input.len() < buffer.len() {
            match self.stream.read(buffer) {
                Ok(0) => self.ended = true,
                Ok(len) => self.input.extend_from_slice(&buffer[..len]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }

    /// The next message, if it is whole and another one may be taken on.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        if self.is_full() {
            return None;
        }
        let (len, rest) = self.input.split_first_chunk::<2>()?;
        let len = usize::from(u16::from_be_bytes(*len));
        let message = rest.get(..len)?.to_vec();
        self.input.drain(..2 + len);
        self.used = Instant::now();
        Some(message)
    }

    /// Takes an answer to be sent.
    pub(crate) fn say(&mut self, message: &[u8]) {
        // Longer ones are not made, and do not come in.
        if let Ok(len) = u16::try_from(message.len()) {
            self.output.extend(len.to_be_bytes());
            self.output.extend_from_slice(message);
        }
    }

    /// Sends as much as the client takes.
    pub(crate) fn write(&mut self) -> io::Result<()> {
        let mut sent = 0;
        while sent < self.output.len() {
            match self.stream.write(&self.output[sent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(len) => sent += len,
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        if sent > 0 {
            self.output.drain(..sent);
            self.used = Instant::now();
        }
        Ok(())
    }

    /// Is there nothing left to do?
    pub(crate) fn is_done(&self) -> bool {
        self.ended && self.waiting == 0 && self.output.is_empty()
    }

    /// What to wait for.
    pub(crate) fn wants(&self) -> Ready {
        let mut wants = Ready::empty();
        wants.set(Ready::IN, !self.ended && !self.is_full());
        wants.set(Ready::OUT, !self.output.is_empty());
        wants
    }

    /// When it is to be closed if nothing happens.
    pub(crate) fn end(&self) -> Instant {
        self.used + IDLE
    }
}
