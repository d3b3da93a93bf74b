//! The sockets that were handed over, and the containers that they lead to.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::ioctl_fionbio;
use rustix::net::{SocketType, listen, sockopt};

use crate::model::{Door, Proto};
use crate::poll::{Poll, Ready, Source};
use crate::sessions::Clients;

/// So many connections wait in the kernel for each door; it may allow fewer.
const BACKLOG: i32 = 4096;

/// A container whose ports are carried.
pub(crate) struct Served {
    pub(crate) id: String,
    /// Its address.
    pub(crate) to: Option<IpAddr>,
    doors: Vec<u64>,
    life: Option<(OwnedFd, u64)>,
    /// How many it has.
    pub(crate) connections: usize,
    pub(crate) clients: Clients,
}

/// A socket that was handed over.
pub(crate) struct Place {
    /// Whose it is.
    pub(crate) served: u64,
    pub(crate) socket: Held,
    door: Door,
}

pub(crate) enum Held {
    Tcp(OwnedFd),
    Udp(OwnedFd),
}

impl AsFd for Held {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Tcp(fd) | Self::Udp(fd) => fd.as_fd(),
        }
    }
}

/// All of them.
#[derive(Default)]
pub(crate) struct Doors {
    served: HashMap<u64, Served>,
    by_id: HashMap<String, u64>,
    /// By what they are waited for.
    places: HashMap<u64, Place>,
    /// Those at which nobody is taken just now.
    shut: BTreeSet<u64>,
}

impl Doors {
    pub(crate) fn any(&self) -> bool {
        !self.served.is_empty()
    }

    /// The descriptors that they take.
    pub(crate) fn descriptors(&self) -> usize {
        self.places.len() + self.served.len()
    }

    pub(crate) fn get(&self, door: u64) -> Option<&Place> {
        self.places.get(&door)
    }

    pub(crate) fn number(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    pub(crate) fn served(&self, number: u64) -> Option<&Served> {
        self.served.get(&number)
    }

    pub(crate) fn served_mut(&mut self, number: u64) -> Option<&mut Served> {
        self.served.get_mut(&number)
    }

    /// The clients of UDP of the container that has most.
    pub(crate) fn crowd(&self) -> Option<&Clients> {
        let all = self.served.values().map(|s| &s.clients);
        all.max_by_key(|c| c.len())
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.by_id.keys().cloned().collect()
    }

    /// The doors of a container, in order.
    pub(crate) fn of(&self, id: &str) -> Vec<Door> {
        let served = self.by_id.get(id).and_then(|n| self.served.get(n));
        let numbers = served.map(|s| s.doors.as_slice()).unwrap_or_default();
        let places = numbers.iter().filter_map(|n| self.places.get(n));
        let mut doors: Vec<_> = places.map(|p| p.door).collect();
        doors.sort_unstable();
        doors
    }

    /// All doors by container.
    pub(crate) fn all(&self) -> BTreeMap<String, Vec<Door>> {
        let ids = self.by_id.keys();
        ids.map(|id| (id.clone(), self.of(id))).collect()
    }

    /// Where a door leads to.
    pub(crate) fn target(&self, door: u64) -> Option<SocketAddr> {
        let place = self.places.get(&door)?;
        let ip = self.served.get(&place.served)?.to?;
        Some(SocketAddr::new(ip, place.door.port))
    }

    /// Takes one more door of a container, which may not be known yet.
    pub(crate) fn add(
        &mut self,
        poll: &mut Poll,
        id: &str,
        door: Door,
        socket: OwnedFd,
    ) -> io::Result<()> {
        let served = self.enter(poll, id);
        ioctl_fionbio(&socket, true)?;
        let kind = sockopt::socket_type(&socket)?;
        let socket = match door.proto {
            Proto::Tcp if kind == SocketType::STREAM => {
                listen(&socket, BACKLOG)?;
                // Connections that linger are not to keep the port from who has it next.
                sockopt::set_socket_reuseaddr(&socket, true)?;
                Held::Tcp(socket)
            }
            Proto::Udp if kind == SocketType::DGRAM => {
                sys::pktinfo::enable(&socket)?;
                Held::Udp(socket)
            }
            _ => {
                return Err(io::Error::other(format!(
                    "the socket of {} is another",
                    door.at
                )));
            }
        };
        let place = Place {
            served,
            socket,
            door,
        };
        let number = poll.add(&place.socket, Source::Door, Ready::IN)?;
        self.places.insert(number, place);
        if let Some(served) = self.served.get_mut(&served) {
            served.doors.push(number);
        }
        Ok(())
    }

    /// The number of a container.
    fn enter(&mut self, poll: &mut Poll, id: &str) -> u64 {
        if let Some(number) = self.number(id) {
            return number;
        }
        let number = poll.number();
        let served = Served {
            id: id.to_owned(),
            to: None,
            doors: Vec::new(),
            life: None,
            connections: 0,
            clients: Clients::default(),
        };
        self.served.insert(number, served);
        self.by_id.insert(id.to_owned(), number);
        number
    }

    /// Notes what tells of a container's end.
    pub(crate) fn watch(&mut self, poll: &mut Poll, id: &str, life: OwnedFd) -> io::Result<()> {
        let served = self.enter(poll, id);
        let number = poll.add(&life, Source::Life(served), Ready::IN)?;
        let served = self.served.get_mut(&served);
        let before = served.and_then(|s| s.life.replace((life, number)));
        if let Some((life, number)) = before {
            poll.remove(life, number);
        }
        Ok(())
    }

    /// Closes a container's door at an address, if it has one.
    pub(crate) fn close_at(&mut self, poll: &mut Poll, id: &str, door: &Door) -> Option<u64> {
        let served = self.served.get_mut(self.by_id.get(id)?)?;
        let same = |number: &u64| {
            let place = self.places.get(number);
            place.is_some_and(|p| p.door.proto == door.proto && p.door.at == door.at)
        };
        let at = served.doors.iter().position(same)?;
        let number = served.doors.swap_remove(at);
        self.close(poll, number);
        Some(number)
    }

    /// Closes all doors of a container, and forgets it; its number.
    pub(crate) fn remove(&mut self, poll: &mut Poll, id: &str) -> Option<u64> {
        let number = self.by_id.remove(id)?;
        let served = self.served.remove(&number)?;
        for door in served.doors {
            self.close(poll, door);
        }
        if let Some((life, number)) = served.life {
            poll.remove(life, number);
        }
        Some(number)
    }

    /// Closes all doors; what tells of the containers' ends is still heard.
    pub(crate) fn close_all(&mut self, poll: &mut Poll) {
        let all: Vec<_> = self.places.keys().copied().collect();
        for door in all {
            self.close(poll, door);
        }
        self.served.values_mut().for_each(|s| s.doors.clear());
    }

    fn close(&mut self, poll: &mut Poll, door: u64) {
        self.shut.remove(&door);
        if let Some(place) = self.places.remove(&door) {
            // The shim has a copy, so that closing alone would not do.
            poll.remove(&place.socket, door);
        }
    }

    /// Takes nobody at a door for now.
    pub(crate) fn shut(&mut self, poll: &Poll, door: u64) {
        if let Some(place) = self.places.get(&door)
            && poll.change(&place.socket, door, Ready::empty()).is_ok()
        {
            self.shut.insert(door);
        }
    }

    /// Takes connections again where a container has fewer than so many.
    pub(crate) fn open_again(&mut self, poll: &Poll, most: usize) {
        let (places, served) = (&self.places, &self.served);
        self.shut.retain(|door| {
            let Some(place) = places.get(door) else {
                return false;
            };
            let full = served
                .get(&place.served)
                .is_some_and(|s| s.connections >= most);
            full || poll.change(&place.socket, *door, Ready::IN).is_err()
        });
    }
}
