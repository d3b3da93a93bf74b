//! A connection: a client's socket, the container's, and what moves between them.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, connect, socket_with, sockopt};

use crate::poll::{Poll, Ready, Source};
use crate::pump::{Broken, Pipes, Pump};

/// A peer that says nothing is asked whether it is there after so long, and then each so many seconds.
const ASKED_AFTER: Duration = Duration::from_secs(60);
const ASKED_EACH: Duration = Duration::from_secs(15);

/// One end.
struct End {
    socket: TcpStream,
    source: Source,
    /// By what it is waited for, and what for.
    waited: Option<(u64, Ready)>,
}

impl End {
    fn new(socket: OwnedFd, source: Source) -> Self {
        let socket = TcpStream::from(socket);
        // Each is a precaution.
        let _ = socket.set_nodelay(true);
        let _ = sockopt::set_socket_keepalive(&socket, true);
        let _ = sockopt::set_tcp_keepidle(&socket, ASKED_AFTER);
        let _ = sockopt::set_tcp_keepintvl(&socket, ASKED_EACH);
        Self {
            socket,
            source,
            waited: None,
        }
    }

    /// Waits for this, and for nothing else. For nothing at all it is not waited for: an end that is
    /// over would be ready all the time.
    fn wait(&mut self, poll: &mut Poll, wants: Ready) -> io::Result<()> {
        match self.waited {
            Some((number, _)) if wants.is_empty() => {
                poll.remove(&self.socket, number);
                self.waited = None;
            }
            Some((_, now)) if now == wants => {}
            Some((number, _)) => {
                poll.change(&self.socket, number, wants)?;
                self.waited = Some((number, wants));
            }
            None if wants.is_empty() => {}
            None => {
                let number = poll.add(&self.socket, self.source, wants)?;
                self.waited = Some((number, wants));
            }
        }
        Ok(())
    }
}

/// What has become of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It goes on.
    Alive,
    /// Both sides said what they had to say.
    Over,
    /// It broke: both sides are to know.
    Broken,
    /// It never came to the container.
    Failed,
}

/// A connection.
pub(crate) struct Flow {
    /// Whose it is.
    pub(crate) served: u64,
    client: End,
    target: End,
    connecting: bool,
    /// To the container, and back.
    up: Pump,
    down: Pump,
    /// Something was lost: its end is no proper one.
    lost: bool,
    /// When its patience is over, if it has an end.
    pub(crate) due: Option<Instant>,
    /// When it tries again, where it has to wait for a pipe.
    pub(crate) again: Option<Instant>,
}

impl Flow {
    /// Connects a client to a container. `number` is the connection's.
    pub(crate) fn open(
        number: u64,
        served: u64,
        client: OwnedFd,
        to: SocketAddr,
    ) -> io::Result<Self> {
        let family = match to.ip() {
            IpAddr::V4(_) => AddressFamily::INET,
            IpAddr::V6(_) => AddressFamily::INET6,
        };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let target = socket_with(family, SocketType::STREAM, flags, None)?;
        let (client, target) = (
            End::new(client, Source::Client(number)),
            End::new(target, Source::Target(number)),
        );
        match connect(&target.socket, &to) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => {
                reset(&client.socket);
                return Err(error.into());
            }
        }
        Ok(Self {
            served,
            client,
            target,
            connecting: true,
            up: Pump::default(),
            down: Pump::default(),
            lost: false,
            due: None,
            again: None,
        })
    }

    /// Moves what can be moved, and waits for what cannot.
    pub(crate) fn run(&mut self, poll: &mut Poll, pipes: &mut Pipes) -> Outcome {
        if self.connecting && !self.connected() {
            return Outcome::Failed;
        }
        if !self.connecting {
            let (client, target) = (self.client.socket.as_fd(), self.target.socket.as_fd());
            match self.up.run(client, target, pipes) {
                Ok(()) => {}
                // What the container has said before is still passed on.
                Err(Broken::To) => {
                    self.up.stop();
                    self.lost = true;
                }
                Err(Broken::From) => return Outcome::Broken,
            }
            if self.down.run(target, client, pipes).is_err() {
                return Outcome::Broken;
            }
            if self.up.is_done() && self.down.is_done() {
                return if self.lost {
                    Outcome::Broken
                } else {
                    Outcome::Over
                };
            }
        }
        match self.wait(poll) {
            Ok(()) => Outcome::Alive,
            Err(_) => Outcome::Broken,
        }
    }

    /// Whether the container has not refused; notes when it has accepted.
    fn connected(&mut self) -> bool {
        match sockopt::socket_error(&self.target.socket) {
            Ok(Ok(())) => {}
            _ => return false,
        }
        // Without an error it is under way, or has a peer.
        if self.target.socket.peer_addr().is_ok() {
            self.connecting = false;
            self.due = None;
        }
        true
    }

    fn wait(&mut self, poll: &mut Poll) -> io::Result<()> {
        if self.connecting {
            return self.target.wait(poll, Ready::OUT);
        }
        let wants = |reads, writes| {
            let mut wants = Ready::empty();
            wants.set(Ready::IN, reads);
            wants.set(Ready::OUT, writes);
            wants
        };
        let client = wants(self.up.reads(), self.down.writes());
        let target = wants(self.down.reads(), self.up.writes());
        self.client.wait(poll, client)?;
        self.target.wait(poll, target)
    }

    /// Does it wait for a pipe?
    pub(crate) fn is_short(&self) -> bool {
        self.up.is_short() || self.down.is_short()
    }

    /// The container is gone: what it has said is passed on, and nothing else.
    pub(crate) fn finish(&mut self) {
        self.up.stop();
        self.down.finish();
    }

    /// Did it reach the container yet?
    pub(crate) fn is_connecting(&self) -> bool {
        self.connecting
    }

    /// Ends it; where it is not over, so that both sides see that something is missing.
    pub(crate) fn close(mut self, poll: &mut Poll, proper: bool) {
        for end in [&mut self.client, &mut self.target] {
            let _ = end.wait(poll, Ready::empty());
            if !proper {
                reset(&end.socket);
            }
        }
    }
}

/// What is closed then ends with a reset.
pub(crate) fn reset(socket: impl AsFd) {
    let _ = sockopt::set_socket_linger(socket, Some(Duration::ZERO));
}
