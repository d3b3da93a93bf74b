//! The socket: sends a batch and collects its acknowledgements, or runs a dump.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::net::netlink::{NETFILTER, SOCK_DIAG, SocketAddrNetlink};
use rustix::net::{AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType};

use super::Error;
use super::msg::{Attrs, Batch, HEADER, messages};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSGERR_ATTR_MSG: u16 = 1;
/// The kernel's default send buffer holds a batch of this size; larger ones raise it first.
const SMALL_BATCH: usize = 64 * 1024;

/// Replies wait in the receive buffer, which overflows at a few hundred.
const REPLIES_AT_ONCE: usize = 64;

/// What one request of a batch came to: the kernel's data messages for it, or its refusal.
pub type Reply = Result<Vec<Vec<u8>>, Error>;

/// A netlink socket. It stays in the network namespace it was opened in, whoever uses it.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    seq: u32,
    buf: Vec<u8>,
    send_buffer: usize,
}

impl Socket {
    /// For links, addresses and routes of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn route() -> Result<Self, Error> {
        // NETLINK_ROUTE is protocol 0.
        Self::open(None)
    }

    /// For nftables and connection tracking of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn netfilter() -> Result<Self, Error> {
        Self::open(Some(NETFILTER))
    }

    /// For questions about sockets of the calling thread's network namespace.
    ///
    /// # Errors
    /// When the kernel gives no such socket.
    pub fn diagnosis() -> Result<Self, Error> {
        Self::open(Some(SOCK_DIAG))
    }

    fn open(protocol: Option<Protocol>) -> Result<Self, Error> {
        let fd = rustix::net::socket_with(
            AddressFamily::NETLINK,
            SocketType::RAW,
            SocketFlags::CLOEXEC,
            protocol,
        )
        .map_err(io::Error::from)?;
        // Refusals then carry the kernel's own words, and not a copy of the whole request.
        set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_CAP_ACK, 1)?;
        set_option(&fd, libc::SOL_NETLINK, libc::NETLINK_EXT_ACK, 1)?;
        Ok(Self {
            fd,
            seq: 0,
            buf: vec![0; 32 * 1024],
            send_buffer: SMALL_BATCH,
        })
    }

    /// Sends all requests at once and returns one reply for each, in order. Each request must
    /// ask for an acknowledgement (`NLM_F_ACK`). A refused request does not stop those after it.
    ///
    /// # Errors
    /// When the conversation itself fails; refusals are in the replies.
    pub fn exchange(&mut self, batch: &mut Batch) -> Result<Vec<Reply>, Error> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let first = self.number(batch);
        let mut data: Vec<Vec<Vec<u8>>> = vec![Vec::new(); batch.len()];
        let mut replies: Vec<Option<Reply>> = (0..batch.len()).map(|_| None).collect();
        let mut sent = 0;
        for ends in batch.ends.chunks(REPLIES_AT_ONCE) {
            let end = ends.last().copied().unwrap_or(sent);
            self.send(&batch.buf[sent..end])?;
            sent = end;
            let mut open = ends.len();
            while open > 0 {
                let n = self.receive(RecvFlags::empty())?;
                for (kind, flags, seq, _, payload) in messages(&self.buf[..n]) {
                    let i = seq.wrapping_sub(first) as usize;
                    if i >= replies.len() {
                        continue; // left over from an exchange that was given up
                    }
                    if kind != NLMSG_ERROR {
                        data[i].push(payload.to_vec());
                    } else if replies[i].is_none() {
                        open -= 1;
                        replies[i] = Some(match refusal(flags, payload, &batch.what[i]) {
                            Some(e) => Err(e),
                            None => Ok(std::mem::take(&mut data[i])),
                        });
                    }
                }
            }
        }
        Ok(replies.into_iter().flatten().collect())
    }

    /// [`Socket::exchange`] for requests of which each must succeed: the first refusal, if any.
    ///
    /// # Errors
    /// The first refusal, or the conversation's failure.
    pub fn all(&mut self, batch: &mut Batch) -> Result<(), Error> {
        self.exchange(batch)?
            .into_iter()
            .try_for_each(|r| r.map(drop))
    }

    /// Sends an nfnetlink transaction, of which only the last operation asks for an
    /// acknowledgement: it succeeds or fails as a whole.
    pub(crate) fn transaction(&mut self, batch: &mut Batch) -> Result<(), Error> {
        let first = self.number(batch);
        self.send(&batch.buf)?;
        // All replies are queued when the send returns: read until there are none.
        let mut outcome: Option<Result<(), Error>> = None;
        let mut flags = RecvFlags::empty();
        loop {
            let n = match self.receive(flags) {
                Ok(n) => n,
                Err(Error::Socket(e)) if e.kind() == io::ErrorKind::WouldBlock => break,
                Err(e) => return Err(e),
            };
            flags = RecvFlags::DONTWAIT;
            for (kind, flags, seq, _, payload) in messages(&self.buf[..n]) {
                let i = seq.wrapping_sub(first) as usize;
                if kind != NLMSG_ERROR || i >= batch.len() {
                    continue;
                }
                match (refusal(flags, payload, &batch.what[i]), &outcome) {
                    (Some(e), None | Some(Ok(()))) => outcome = Some(Err(e)),
                    (None, None) => outcome = Some(Ok(())),
                    _ => {}
                }
            }
        }
        outcome.unwrap_or_else(|| Err(Error::Malformed("a netfilter transaction".into())))
    }

    /// Runs the batch's single dump request and hands each entry to `entry`. When the table
    /// changed under the dump it is run again.
    pub(crate) fn dump<T>(
        &mut self,
        batch: &mut Batch,
        mut entry: impl FnMut(&[u8]) -> Option<T>,
    ) -> Result<Vec<T>, Error> {
        let mut found = Vec::new();
        for _ in 0..16 {
            found.clear();
            if !self.dump_once(batch, |p| found.extend(entry(p)))? {
                break;
            }
        }
        Ok(found)
    }

    /// Returns whether the dump was interrupted by a change.
    fn dump_once(
        &mut self,
        batch: &mut Batch,
        mut entry: impl FnMut(&[u8]),
    ) -> Result<bool, Error> {
        let wanted = self.number(batch);
        self.send(&batch.buf)?;
        let mut interrupted = false;
        loop {
            let n = self.receive(RecvFlags::empty())?;
            for (kind, flags, seq, _, payload) in messages(&self.buf[..n]) {
                if seq != wanted {
                    continue;
                }
                interrupted |= flags & NLM_F_DUMP_INTR != 0;
                match kind {
                    NLMSG_DONE => {
                        // A dump that fails midway says so here.
                        return match refusal(flags, payload, &batch.what[0]) {
                            Some(e) if e.errno() != Some(libc::EINTR) => Err(e),
                            other => Ok(interrupted || other.is_some()),
                        };
                    }
                    NLMSG_ERROR => {
                        return match refusal(flags, payload, &batch.what[0]) {
                            Some(e) => Err(e),
                            None => Ok(interrupted),
                        };
                    }
                    _ => entry(payload),
                }
            }
        }
    }

    /// Joins a multicast group.
    pub(crate) fn join(&self, group: i32) -> Result<(), Error> {
        // Without an address of its own a socket is passed over.
        rustix::net::bind(&self.fd, &SocketAddrNetlink::new(0, 0)).map_err(io::Error::from)?;
        set_option(
            &self.fd,
            libc::SOL_NETLINK,
            libc::NETLINK_ADD_MEMBERSHIP,
            group,
        )
    }

    /// Waits for messages nobody asked for and hands each one's kind, the number of the socket that caused
    /// it, and payload to `message`; then those that came meanwhile.
    pub(crate) fn listen(&mut self, mut message: impl FnMut(u16, u32, &[u8])) -> Result<(), Error> {
        let mut flags = RecvFlags::empty();
        loop {
            let n = match self.receive(flags) {
                Err(Error::Socket(e)) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                other => other?,
            };
            flags = RecvFlags::DONTWAIT;
            self.hand(n, &mut message);
        }
    }

    fn hand(&self, n: usize, message: &mut impl FnMut(u16, u32, &[u8])) {
        for (kind, _, _, port, payload) in messages(&self.buf[..n]) {
            message(kind, port, payload);
        }
    }

    /// Has the kernel keep so many bytes of messages until they are read.
    pub(crate) fn hold(&self, bytes: usize) -> Result<(), Error> {
        let bytes = i32::try_from(bytes).unwrap_or(i32::MAX);
        set_option(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, bytes)?;
        Ok(())
    }

    /// Waits no longer than this for a message.
    pub(crate) fn wait_at_most(&self, time: std::time::Duration) -> Result<(), Error> {
        use rustix::net::sockopt::{Timeout, set_socket_timeout};
        set_socket_timeout(&self.fd, Timeout::Recv, Some(time)).map_err(io::Error::from)?;
        Ok(())
    }

    /// The number by which the kernel tells this socket from others of its namespace, also in what it tells
    /// others of its doings. To be asked before anything is sent.
    ///
    /// # Errors
    /// When the socket cannot have one.
    pub fn port(&self) -> Result<u32, Error> {
        use rustix::net::netlink::SocketAddrNetlink;
        let any = SocketAddrNetlink::new(0, 0);
        rustix::net::bind(&self.fd, &any).map_err(io::Error::from)?;
        let own = rustix::net::getsockname(&self.fd).map_err(io::Error::from)?;
        let own = SocketAddrNetlink::try_from(own).map_err(io::Error::from)?;
        Ok(own.pid())
    }

    /// Gives the messages their sequence numbers; returns the first.
    fn number(&mut self, batch: &mut Batch) -> u32 {
        let first = self.seq.wrapping_add(1);
        let mut start = 0;
        for end in &batch.ends {
            self.seq = self.seq.wrapping_add(1);
            batch.buf[start + 8..start + 12].copy_from_slice(&self.seq.to_ne_bytes());
            start = *end;
        }
        first
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), Error> {
        if bytes.len() > self.send_buffer {
            let size = bytes.len().next_multiple_of(4096) * 2;
            set_option(
                &self.fd,
                libc::SOL_SOCKET,
                libc::SO_SNDBUFFORCE,
                size as i32,
            )?;
            self.send_buffer = bytes.len();
        }
        rustix::io::retry_on_intr(|| rustix::net::send(&self.fd, bytes, SendFlags::empty()))
            .map_err(io::Error::from)?;
        Ok(())
    }

    fn receive(&mut self, flags: RecvFlags) -> Result<usize, Error> {
        let (n, real) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(&self.fd, &mut self.buf[..], flags | RecvFlags::TRUNC)
        })
        .map_err(io::Error::from)?;
        if real > n {
            return Err(Error::Malformed(format!("a message of {real} bytes")));
        }
        Ok(n)
    }
}

/// Reads an acknowledgement: `None` is success.
fn refusal(flags: u16, payload: &[u8], what: &str) -> Option<Error> {
    let Some(code) = payload
        .get(..4)
        .and_then(|c| c.try_into().ok())
        .map(i32::from_ne_bytes)
    else {
        return Some(Error::Malformed(what.to_owned()));
    };
    if code >= 0 {
        return None;
    }
    // With NETLINK_CAP_ACK the request is cut to its header; the kernel's words follow it.
    let message = (flags & NLM_F_ACK_TLVS != 0)
        .then(|| payload.get(4 + HEADER..))
        .flatten()
        .and_then(|rest| Attrs(rest).text(NLMSGERR_ATTR_MSG))
        .map(str::to_owned);
    Some(Error::Refused {
        what: what.to_owned(),
        source: io::Error::from_raw_os_error(-code),
        message,
    })
}

fn set_option(fd: &OwnedFd, level: i32, name: i32, value: i32) -> Result<(), Error> {
    // SAFETY: the option value is a live i32 and its size is passed; the descriptor is open.
    let rc = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            name,
            (&raw const value).cast(),
            size_of::<i32>() as libc::socklen_t,
        )
    };
    if rc == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error().into())
    }
}
