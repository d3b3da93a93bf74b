//! An asker's TCP connection: several questions may be under way, and each is answered when its
//! answer is there (RFC 7766). What a client sends faster than it reads waits in its own socket.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::poll::Ready;

/// A connection on which no question is asked and no answer read is closed after so long.
const IDLE: Duration = Duration::from_secs(10);
/// So many connections one asker may have.
pub(crate) const MOST_OF_ONE: usize = 32;
/// And all of them together.
pub(crate) const MOST: usize = 512;
/// So many questions of a connection may be under way.
const MOST_WAITING: usize = 32;
/// So much is read before others have their turn.
const AT_ONCE: usize = 8 << 10;
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
    used: Instant,
    /// When that is looked at.
    pub(crate) due: Instant,
}

impl Conn {
    pub(crate) fn new(asker: u64, stream: TcpStream) -> Self {
        let now = Instant::now();
        Self {
            asker,
            stream,
            input: Vec::new(),
            output: Vec::new(),
            waiting: 0,
            ended: false,
            used: now,
            due: now + IDLE,
        }
    }

    fn is_full(&self) -> bool {
        self.waiting >= MOST_WAITING || self.output.len() >= MOST_HELD
    }

    /// Reads some of what is there, if more may be held. Whole messages stay in what was read only
    /// while the connection is full, so it never holds much more than one.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        if self.ended || self.is_full() {
            return Ok(());
        }
        // The rest has its turn after others.
        let len = buffer.len().min(AT_ONCE);
        match self.stream.read(&mut buffer[..len]) {
            Ok(0) => self.ended = true,
            Ok(len) => self.input.extend_from_slice(&buffer[..len]),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
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
