//! Clients of UDP: each has a socket of its own to the container, so that the container tells them
//! apart and answers find their way back. Answers come from the address that the client had asked.

use std::collections::HashMap;
use std::io;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Instant;

use sys::pktinfo::{self, Local};

use crate::doors::Held;
use crate::limits::{IDLE, IN_A_ROW};
use crate::poll::{Due, Ready, Source};
use crate::server::Server;

/// A client, and where it asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Key {
    door: u64,
    client: SocketAddrV6,
    asked: Local,
}

struct Session {
    key: Key,
    served: u64,
    socket: UdpSocket,
    used: Instant,
    due: Instant,
    answered: bool,
}

/// All of them, by what they are waited for.
#[derive(Default)]
pub(crate) struct Sessions {
    all: HashMap<u64, Session>,
    by_key: HashMap<Key, u64>,
}

impl Sessions {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Server {
    /// Datagrams have come in at a door.
    pub(crate) fn datagrams(&mut self, door: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..IN_A_ROW {
            let Some(place) = self.doors.get(door) else {
                break;
            };
            let (Held::Udp(socket), served) = (&place.socket, place.served) else {
                break;
            };
            let Ok(arrival) = pktinfo::receive(socket, &mut buffer) else {
                break;
            };
            // One address could not answer for all.
            if arrival.to.ip.is_multicast() {
                continue;
            }
            let key = Key {
                door,
                client: arrival.from,
                asked: arrival.to,
            };
            if let Some(number) = self.session(key, served) {
                self.sent(number, &buffer[..arrival.len]);
            }
        }
        self.buffer = buffer;
    }

    /// The session of a client, which may be a new one.
    fn session(&mut self, key: Key, served: u64) -> Option<u64> {
        if let Some(number) = self.sessions.by_key.get(&key) {
            return Some(*number);
        }
        let to = self.doors.target(key.door)?;
        let of_one = self.doors.served(served)?.sessions;
        if of_one >= self.limits.sessions_of_one || self.sessions.len() >= self.limits.sessions {
            // A client that was never answered may be none at all.
            let Some(oldest) = self.doors.served(served)?.unanswered.first().copied() else {
                self.counted.dropped += 1;
                return None;
            };
            self.close_session(oldest.1);
        }
        let Ok(number) = self.open_session(key, served, to) else {
            self.counted.dropped += 1;
            return None;
        };
        Some(number)
    }

    fn open_session(&mut self, key: Key, served: u64, to: SocketAddr) -> io::Result<u64> {
        let any: SocketAddr = match to {
            SocketAddr::V4(_) => (std::net::Ipv4Addr::UNSPECIFIED, 0).into(),
            SocketAddr::V6(_) => (std::net::Ipv6Addr::UNSPECIFIED, 0).into(),
        };
        let socket = UdpSocket::bind(any)?;
        socket.connect(to)?;
        socket.set_nonblocking(true)?;
        let number = self.poll.add(&socket, Source::Session, Ready::IN)?;
        let now = Instant::now();
        let session = Session {
            key,
            served,
            socket,
            used: now,
            due: now + IDLE,
            answered: false,
        };
        self.poll.at(session.due, Due::Session(number));
        self.sessions.all.insert(number, session);
        self.sessions.by_key.insert(key, number);
        if let Some(served) = self.doors.served_mut(served) {
            served.sessions += 1;
            served.unanswered.insert((now, number));
        }
        Ok(number)
    }

    /// A client has sent something.
    fn sent(&mut self, number: u64, bytes: &[u8]) {
        let Some(session) = self.sessions.all.get_mut(&number) else {
            return;
        };
        // As on any way, what cannot be sent now is lost; so is the refusal of an earlier one.
        if let Err(error) = session.socket.send(bytes)
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            let _ = session.socket.send(bytes);
        }
        let before = std::mem::replace(&mut session.used, Instant::now());
        if !session.answered
            && let Some(served) = self.doors.served_mut(session.served)
        {
            served.unanswered.remove(&(before, number));
            served.unanswered.insert((session.used, number));
        }
    }

    /// A container has answered.
    pub(crate) fn answers(&mut self, number: u64) {
        let mut buffer = std::mem::take(&mut self.buffer);
        for _ in 0..IN_A_ROW {
            let Some(session) = self.sessions.all.get_mut(&number) else {
                break;
            };
            let len = match session.socket.recv(&mut buffer) {
                Ok(len) => len,
                // Nobody listens there (yet): the next one may be luckier.
                Err(e) if e.kind() == io::ErrorKind::ConnectionRefused => continue,
                Err(_) => break,
            };
            let before = std::mem::replace(&mut session.used, Instant::now());
            if !std::mem::replace(&mut session.answered, true)
                && let Some(served) = self.doors.served_mut(session.served)
            {
                served.unanswered.remove(&(before, number));
            }
            if let Some(place) = self.doors.get(session.key.door) {
                let (to, from) = (session.key.client, session.key.asked);
                let _ = pktinfo::send(&place.socket, &buffer[..len], to, from);
            }
        }
        self.buffer = buffer;
    }

    /// A client may have been idle too long.
    pub(crate) fn session_due(&mut self, number: u64, now: Instant) {
        let Some(session) = self.sessions.all.get_mut(&number) else {
            return;
        };
        let end = session.used + IDLE;
        if end > now {
            session.due = end;
            self.poll.at(end, Due::Session(number));
        } else {
            self.close_session(number);
        }
    }

    fn close_session(&mut self, number: u64) {
        let Some(session) = self.sessions.all.remove(&number) else {
            return;
        };
        self.sessions.by_key.remove(&session.key);
        self.poll.remove(&session.socket, number);
        self.poll.not_at(session.due, Due::Session(number));
        if let Some(served) = self.doors.served_mut(session.served) {
            served.sessions -= 1;
            served.unanswered.remove(&(session.used, number));
        }
    }

    /// Forgets the clients of a container, or of one door, or all.
    pub(crate) fn close_sessions(&mut self, gone: impl Fn(u64, u64) -> bool) {
        let all = self.sessions.all.iter();
        let picked = all.filter(|(_, s)| gone(s.served, s.key.door));
        let numbers: Vec<_> = picked.map(|(number, _)| *number).collect();
        for number in numbers {
            self.close_session(number);
        }
    }
}
