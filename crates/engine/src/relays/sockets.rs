//! The sockets of a container's ports that the relay is to have.

use std::{
    io,
    net::SocketAddr,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    process::Child,
};

use relay::{Door, Proto};
use rustix::{
    net::{SocketType, sockopt::socket_type},
    process::{Pid, PidfdFlags, pidfd_open},
};

/// Copies of sockets, and what tells of their container's end.
pub(super) struct Sockets {
    doors: Vec<(Door, OwnedFd)>,
    /// Its shim, a pidfd.
    life: OwnedFd,
}

/// Where there are more ports, a start does not wait until they are looked through: the shim is asked
/// for them later.
const AT_ONCE: usize = 64;

impl Sockets {
    /// Copies of those among `held` that are doors.
    pub(super) fn copy(doors: &[Door], held: &[OwnedFd], shim: &Child) -> io::Result<Self> {
        if doors.len() > AT_ONCE {
            return Err(io::ErrorKind::ArgumentListTooLong.into());
        }
        let life = pidfd_open(Pid::from_child(shim), PidfdFlags::empty())?;
        let mut copies = Vec::with_capacity(doors.len());
        for (door, fd) in matching(doors, held) {
            copies.push((door, fd.try_clone_to_owned()?));
        }
        Ok(Self {
            doors: copies,
            life,
        })
    }

    /// Those that the shim of a running container holds.
    pub(super) fn of_shim(doors: &[Door], run_dir: &Path) -> io::Result<Self> {
        let (held, shim) = runtime::client::ports(run_dir).map_err(io::Error::other)?;
        let shim = Pid::from_raw(shim).ok_or_else(|| io::Error::other("its shim is gone"))?;
        let life = pidfd_open(shim, PidfdFlags::empty())?;
        let which: Vec<_> = held.iter().map(|fd| door(doors, fd.as_fd())).collect();
        let pairs = which.into_iter().zip(held);
        let doors = pairs.filter_map(|(door, fd)| Some((door?, fd)));
        Ok(Self {
            doors: doors.collect(),
            life,
        })
    }

    pub(super) fn len(&self) -> usize {
        self.doors.len()
    }

    pub(super) fn doors(&self) -> Vec<(Door, BorrowedFd<'_>)> {
        let all = self.doors.iter();
        all.map(|(door, fd)| (*door, fd.as_fd())).collect()
    }

    pub(super) fn life(&self) -> BorrowedFd<'_> {
        self.life.as_fd()
    }
}

fn matching<'a>(
    doors: &'a [Door],
    held: &'a [OwnedFd],
) -> impl Iterator<Item = (Door, BorrowedFd<'a>)> {
    held.iter()
        .filter_map(|fd| Some((door(doors, fd.as_fd())?, fd.as_fd())))
}

/// The door that a socket is; they are in order.
fn door(doors: &[Door], socket: BorrowedFd<'_>) -> Option<Door> {
    let proto = match socket_type(socket).ok()? {
        SocketType::STREAM => Proto::Tcp,
        SocketType::DGRAM => Proto::Udp,
        _ => return None,
    };
    let at = SocketAddr::try_from(rustix::net::getsockname(socket).ok()?).ok()?;
    let key = |d: &Door| (d.proto, d.at.ip(), d.at.port());
    let found = doors.binary_search_by_key(&(proto, at.ip(), at.port()), key);
    doors.get(found.ok()?).copied()
}
