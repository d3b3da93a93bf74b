//! The containers that ask, and their sockets.

use std::collections::HashMap;
use std::io;
use std::net::{TcpListener, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::rc::Rc;

use crate::model::Asker;
use crate::poll::{Poll, Ready, Source};
use crate::protocol::Role;

/// An asker that is served.
#[derive(Default)]
pub(crate) struct Served {
    pub(crate) asker: Asker,
    pub(crate) udp: Option<UdpSocket>,
    pub(crate) tcp: Option<TcpListener>,
    pub(crate) namespace: Option<Rc<OwnedFd>>,
    life: Option<OwnedFd>,
    /// What its descriptors are waited for by, in this order.
    numbers: [u64; 3],
    /// Its connections.
    pub(crate) connections: usize,
}

/// All askers.
#[derive(Default)]
pub(crate) struct Askers {
    served: HashMap<u64, Served>,
    by_id: HashMap<String, u64>,
    /// Known from before this process was started; their sockets ended with the one before.
    waiting: HashMap<String, Asker>,
}

impl Askers {
    /// Askers of whom only the settings are known.
    pub(crate) fn restore(&mut self, askers: Vec<Asker>) {
        self.waiting = askers.into_iter().map(|a| (a.id.clone(), a)).collect();
    }

    pub(crate) fn get(&self, number: u64) -> Option<&Served> {
        self.served.get(&number)
    }

    pub(crate) fn get_mut(&mut self, number: u64) -> Option<&mut Served> {
        self.served.get_mut(&number)
    }

    pub(crate) fn number(&self, id: &str) -> Option<u64> {
        self.by_id.get(id).copied()
    }

    /// Changes an asker's settings; false if it is not served.
    pub(crate) fn change(&mut self, asker: Asker) -> bool {
        let number = self.number(&asker.id);
        let served = number.and_then(|n| self.served.get_mut(&n));
        served.map(|served| served.asker = asker).is_some()
    }

    /// Serves an asker that is not served yet.
    pub(crate) fn add(
        &mut self,
        poll: &mut Poll,
        asker: Asker,
        fds: Vec<(Role, OwnedFd)>,
    ) -> io::Result<()> {
        let number = poll.number();
        let mut served = Served::default();
        for (role, fd) in fds {
            match role {
                Role::Udp => served.udp = Some(fd.into()),
                Role::Tcp => served.tcp = Some(fd.into()),
                Role::Namespace => served.namespace = Some(Rc::new(fd)),
                Role::Life => served.life = Some(fd),
            }
        }
        served
            .watch(poll, number)
            .inspect_err(|_| served.unwatch(poll))?;
        self.waiting.remove(&asker.id);
        self.by_id.insert(asker.id.clone(), number);
        served.asker = asker;
        self.served.insert(number, served);
        Ok(())
    }

    /// Serves it no more, and forgets it; its number, if it was served.
    pub(crate) fn remove(&mut self, poll: &mut Poll, id: &str) -> Option<u64> {
        self.waiting.remove(id);
        let number = self.by_id.remove(id)?;
        self.served.remove(&number)?.unwatch(poll);
        Some(number)
    }

    /// Is anybody served?
    pub(crate) fn any(&self) -> bool {
        !self.served.is_empty()
    }

    /// All that are known, in an order that is always the same.
    pub(crate) fn all(&self) -> Vec<&Asker> {
        let served = self.served.values().map(|s| &s.asker);
        let mut all: Vec<_> = served.chain(self.waiting.values()).collect();
        all.sort_by(|a, b| a.id.cmp(&b.id));
        all
    }

    /// The ids of those that are served, and of those whose sockets are awaited.
    pub(crate) fn ids(&self) -> (Vec<String>, Vec<String>) {
        let mut served: Vec<_> = self.by_id.keys().cloned().collect();
        let mut waiting: Vec<_> = self.waiting.keys().cloned().collect();
        served.sort();
        waiting.sort();
        (served, waiting)
    }
}

impl Served {
    fn watch(&mut self, poll: &mut Poll, number: u64) -> io::Result<()> {
        if let Some(udp) = &self.udp {
            udp.set_nonblocking(true)?;
            self.numbers[0] = poll.add(udp, Source::Udp(number), Ready::IN)?;
        }
        if let Some(tcp) = &self.tcp {
            tcp.set_nonblocking(true)?;
            self.numbers[1] = poll.add(tcp, Source::Accept(number), Ready::IN)?;
        }
        if let Some(life) = &self.life {
            self.numbers[2] = poll.add(life, Source::Life(number), Ready::IN)?;
        }
        Ok(())
    }

    fn unwatch(&self, poll: &mut Poll) {
        let fds = [
            self.udp.as_ref().map(AsFd::as_fd),
            self.tcp.as_ref().map(AsFd::as_fd),
            self.life.as_ref().map(AsFd::as_fd),
        ];
        for (fd, number) in fds.into_iter().zip(self.numbers) {
            if let Some(fd) = fd {
                poll.remove(fd, number);
            }
        }
    }

    /// What was handed over for it.
    pub(crate) fn descriptors(&self) -> Vec<(Role, BorrowedFd<'_>)> {
        let all = [
            (Role::Udp, self.udp.as_ref().map(AsFd::as_fd)),
            (Role::Tcp, self.tcp.as_ref().map(AsFd::as_fd)),
            (Role::Namespace, self.namespace.as_deref().map(AsFd::as_fd)),
            (Role::Life, self.life.as_ref().map(AsFd::as_fd)),
        ];
        let some = all.into_iter();
        some.filter_map(|(role, fd)| Some((role, fd?))).collect()
    }
}
