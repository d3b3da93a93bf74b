//! Clients of UDP: each has a socket of its own to the container, so that the container tells them
//! apart and answers find their way back. Answers come from the address that the client had asked.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::net::{SocketAddr, SocketAddrV6, UdpSocket};
use std::time::{Duration, Instant};

use sys::pktinfo::{self, Local};

use crate::doors::{Doors, Held};
use crate::limits::{BRIEF, IDLE, IN_A_ROW};
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
    said: Said,
}

/// How far the two have come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Said {
    /// The container has not answered.
    Nothing,
    /// A question and its answer, which may be all.
    Answer,
    /// More than that.
    More,
}

impl Session {
    /// How long it is kept when nothing is said.
    fn patience(&self) -> Duration {
        match self.said {
            Said::Answer => BRIEF,
            Said::Nothing | Said::More => IDLE,
        }
    }
}

/// The clients of a container, by when something was said last.
#[derive(Default)]
pub(crate) struct Clients {
    /// Those that have had no more than one answer.
    new: BTreeSet<(Instant, u64)>,
    /// Those that talk.
    talking: BTreeSet<(Instant, u64)>,
}

impl Clients {
    pub(crate) fn len(&self) -> usize {
        self.new.len() + self.talking.len()
    }

    fn of(&mut self, said: Said) -> &mut BTreeSet<(Instant, u64)> {
        match said {
            Said::Nothing | Said::Answer => &mut self.new,
            Said::More => &mut self.talking,
        }
    }

    /// Who makes room for another one: who has said nothing for longest, among those of which there are
    /// more. So neither of the two kinds can take the other's half.
    fn oldest(&self) -> Option<u64> {
        let from = if self.new.len() >= self.talking.len() {
            &self.new
        } else {
            &self.talking
        };
        from.first().map(|(_, number)| *number)
    }
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

impl Doors {
    /// One of the two has said something.
    fn noted(&mut self, number: u64, session: &mut Session, said: Said) {
        let before = (session.used, session.said);
        (session.used, session.said) = (Instant::now(), said);
        if let Some(served) = self.served_mut(session.served) {
            served.clients.of(before.1).remove(&(before.0, number));
            served.clients.of(said).insert((session.used, number));
        }
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
        let of_one = self.doors.served(served)?.clients.len();
        let oldest = if of_one >= self.limits.sessions_of_one {
            self.doors.served(served)?.clients.oldest()
        } else if self.sessions.len() >= self.limits.sessions {
            self.doors.crowd().and_then(Clients::oldest)
        } else {
            None
        };
        if let Some(oldest) = oldest {
            self.close_session(oldest);
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
            due: now + BRIEF,
            said: Said::Nothing,
        };
        self.poll.at(session.due, Due::Session(number));
        self.sessions.all.insert(number, session);
        self.sessions.by_key.insert(key, number);
        if let Some(served) = self.doors.served_mut(served) {
            served.clients.new.insert((now, number));
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
        let more = session.said != Said::Nothing;
        let said = if more { Said::More } else { Said::Nothing };
        self.doors.noted(number, session, said);
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
            let said = match session.said {
                Said::Nothing => Said::Answer,
                Said::Answer | Said::More => Said::More,
            };
            self.doors.noted(number, session, said);
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
        let end = session.used + session.patience();
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
            let clients = served.clients.of(session.said);
            clients.remove(&(session.used, number));
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
