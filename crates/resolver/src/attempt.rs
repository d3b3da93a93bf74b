//! One question to one server: a socket and an id of its own.

use std::io::{self, Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::net::SocketType;

use crate::model::{Origin, Upstream};
use crate::poll::{Poll, Ready, Source};
use crate::question;
use crate::random::Random;
use crate::upstream;

/// What to ask whom.
pub(crate) struct Ask<'a> {
    pub(crate) query: u64,
    pub(crate) upstream: Upstream,
    pub(crate) namespace: Option<&'a OwnedFd>,
    pub(crate) message: &'a [u8],
    pub(crate) tcp: bool,
}

/// One attempt.
pub(crate) struct Attempt {
    /// Whose attempt it is.
    pub(crate) query: u64,
    pub(crate) upstream: Upstream,
    /// The id that was sent.
    pub(crate) id: u16,
    link: Link,
}

enum Link {
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        out: Vec<u8>,
        sent: usize,
        got: Vec<u8>,
    },
}

impl AsFd for Attempt {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match &self.link {
            Link::Udp(socket) => socket.as_fd(),
            Link::Tcp { stream, .. } => stream.as_fd(),
        }
    }
}

impl Attempt {
    /// Sends a question to a server.
    pub(crate) fn make(
        poll: &mut Poll,
        random: &mut Random,
        ask: &Ask<'_>,
        home: &OwnedFd,
    ) -> io::Result<(u64, Self)> {
        let inside = match ask.upstream.origin {
            Origin::Host => None,
            Origin::Container => Some(
                ask.namespace
                    .ok_or_else(|| io::Error::other("the asker's namespace is not known"))?,
            ),
        };
        let id = random.id();
        let mut message = ask.message.to_vec();
        question::set_id(&mut message, id);
        let address = ask.upstream.address;
        let (link, ready) = if ask.tcp {
            let len = u16::try_from(message.len()).map_err(io::Error::other)?;
            let mut out = len.to_be_bytes().to_vec();
            out.append(&mut message);
            let link = Link::Tcp {
                stream: upstream::open(address, SocketType::STREAM, inside, home)?.into(),
                out,
                sent: 0,
                got: Vec::new(),
            };
            (link, Ready::OUT)
        } else {
            let socket: UdpSocket =
                upstream::open(address, SocketType::DGRAM, inside, home)?.into();
            socket.send(&message)?;
            (Link::Udp(socket), Ready::IN)
        };
        let attempt = Self {
            query: ask.query,
            upstream: ask.upstream,
            id,
            link,
        };
        let token = poll.add(&attempt, Source::Try, ready)?;
        Ok((token, attempt))
    }

    pub(crate) fn is_tcp(&self) -> bool {
        matches!(self.link, Link::Tcp { .. })
    }

    /// Goes on as far as it can without waiting; an answer, if one is there.
    pub(crate) fn step(
        &mut self,
        poll: &Poll,
        token: u64,
        buffer: &mut [u8],
    ) -> io::Result<Option<Vec<u8>>> {
        let done = match &mut self.link {
            Link::Udp(socket) => socket.recv(buffer).map(|len| Some(buffer[..len].to_vec())),
            Link::Tcp {
                stream,
                out,
                sent,
                got,
            } => {
                while *sent < out.len() {
                    match stream.write(&out[*sent..]) {
                        Ok(len) => *sent += len,
                        Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                        Err(e) => return Err(e),
                    }
                    if *sent == out.len() {
                        poll.change(&*stream, token, Ready::IN)?;
                    }
                }
                match stream.read(buffer) {
                    Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
                    Ok(len) => {
                        got.extend_from_slice(&buffer[..len]);
                        Ok(whole(got))
                    }
                    Err(e) => Err(e),
                }
            }
        };
        match done {
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(None),
            other => other,
        }
    }
}

/// The first message of a stream, once it is whole.
fn whole(got: &[u8]) -> Option<Vec<u8>> {
    let (len, rest) = got.split_first_chunk::<2>()?;
    rest.get(..u16::from_be_bytes(*len).into())
        .map(<[u8]>::to_vec)
}
