//! Datagrams of IPv6 together with the address that they were sent to, so that an answer comes from
//! there.

use std::io;
use std::mem;
use std::net::{Ipv6Addr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};
use std::ptr;

/// Room for the one control message that there is.
const SPACE: usize = 64;

/// Aligned as control messages have to be.
#[repr(C, align(8))]
struct Control([u8; SPACE]);

/// A datagram that came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Arrival {
    /// How long it is.
    pub len: usize,
    /// Who sent it.
    pub from: SocketAddrV6,
    /// What it was sent to.
    pub to: Local,
}

/// An address of the host's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Local {
    /// The address.
    pub ip: Ipv6Addr,
    /// The number of the link, where the address means nothing without; else 0.
    pub link: u32,
}

/// From now on what comes is told with the address that it was sent to.
///
/// # Errors
/// When the socket is none of IPv6.
pub fn enable(socket: impl AsFd) -> io::Result<()> {
    let on: libc::c_int = 1;
    // SAFETY: `on` is as long as is said, and is only read.
    let done = unsafe {
        libc::setsockopt(
            socket.as_fd().as_raw_fd(),
            libc::IPPROTO_IPV6,
            libc::IPV6_RECVPKTINFO,
            ptr::from_ref(&on).cast(),
            length(mem::size_of_val(&on)),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Receives one datagram. The socket must have been [`enable`]d.
///
/// # Errors
/// What the kernel says; `WouldBlock` when nothing is there.
pub fn receive(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Arrival> {
    let mut from = unspecified();
    let mut control = Control([0; SPACE]);
    let mut iov = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: all zeros are a message of nothing.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = ptr::from_mut(&mut from).cast();
    message.msg_namelen = length(mem::size_of_val(&from));
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(&mut control).cast();
    message.msg_controllen = SPACE;
    // SAFETY: all that the message points to lives on, and is as long as it says.
    let got = unsafe { libc::recvmsg(socket.as_fd().as_raw_fd(), &raw mut message, 0) };
    let len = usize::try_from(got).map_err(|_| io::Error::last_os_error())?;
    let info =
        info(&message).ok_or_else(|| io::Error::other("it does not say where it was sent"))?;
    let ip = Ipv6Addr::from(info.ipi6_addr.s6_addr);
    let link = if ip.is_unicast_link_local() {
        info.ipi6_ifindex
    } else {
        0
    };
    Ok(Arrival {
        len,
        from: SocketAddrV6::new(
            Ipv6Addr::from(from.sin6_addr.s6_addr),
            u16::from_be(from.sin6_port),
            0,
            from.sin6_scope_id,
        ),
        to: Local { ip, link },
    })
}

/// What a received message says of where it was sent.
fn info(message: &libc::msghdr) -> Option<libc::in6_pktinfo> {
    // SAFETY: the kernel has filled in the message, whose control messages are walked as it says.
    unsafe {
        let mut at = libc::CMSG_FIRSTHDR(message);
        while let Some(header) = at.as_ref() {
            if header.cmsg_level == libc::IPPROTO_IPV6 && header.cmsg_type == libc::IPV6_PKTINFO {
                return Some(ptr::read_unaligned(libc::CMSG_DATA(at).cast()));
            }
            at = libc::CMSG_NXTHDR(message, at);
        }
    }
    None
}

/// Sends one datagram from an address of the host's.
///
/// # Errors
/// What the kernel says.
pub fn send(socket: impl AsFd, bytes: &[u8], to: SocketAddrV6, from: Local) -> io::Result<usize> {
    let mut name = unspecified();
    name.sin6_port = to.port().to_be();
    name.sin6_addr.s6_addr = to.ip().octets();
    name.sin6_scope_id = to.scope_id();
    let info = libc::in6_pktinfo {
        ipi6_addr: libc::in6_addr {
            s6_addr: from.ip.octets(),
        },
        ipi6_ifindex: from.link as _,
    };
    let mut control = Control([0; SPACE]);
    let mut iov = libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast(),
        iov_len: bytes.len(),
    };
    // SAFETY: all zeros are a message of nothing.
    let mut message: libc::msghdr = unsafe { mem::zeroed() };
    message.msg_name = ptr::from_mut(&mut name).cast();
    message.msg_namelen = length(mem::size_of_val(&name));
    message.msg_iov = &raw mut iov;
    message.msg_iovlen = 1;
    message.msg_control = ptr::from_mut(&mut control).cast();
    let size = length(mem::size_of_val(&info));
    // SAFETY: plain arithmetic.
    message.msg_controllen = unsafe { libc::CMSG_SPACE(size) } as usize;
    // SAFETY: one message of this size has room in `control`; what the message points to lives on, and
    // `bytes` are only read.
    let sent = unsafe {
        let header = libc::CMSG_FIRSTHDR(&raw const message);
        let Some(to) = header.as_mut() else {
            return Err(io::Error::other("no room for where it is sent from"));
        };
        to.cmsg_level = libc::IPPROTO_IPV6;
        to.cmsg_type = libc::IPV6_PKTINFO;
        to.cmsg_len = libc::CMSG_LEN(size) as usize;
        ptr::write_unaligned(libc::CMSG_DATA(header).cast(), info);
        let flags = libc::MSG_NOSIGNAL;
        libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const message, flags)
    };
    usize::try_from(sent).map_err(|_| io::Error::last_os_error())
}

fn unspecified() -> libc::sockaddr_in6 {
    libc::sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: 0,
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    }
}

/// Sizes of a few bytes, as the kernel counts them.
fn length(size: usize) -> libc::socklen_t {
    size as libc::socklen_t
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn an_answer_comes_from_where_was_asked() {
        let server = UdpSocket::bind("[::]:0").unwrap();
        enable(&server).unwrap();
        let port = server.local_addr().unwrap().port();
        let client = UdpSocket::bind("[::1]:0").unwrap();
        client.send_to(b"question", ("::1", port)).unwrap();
        let mut buffer = [0; 64];
        let got = receive(&server, &mut buffer).unwrap();
        assert_eq!(&buffer[..got.len], b"question");
        assert_eq!(got.to.ip, Ipv6Addr::LOCALHOST);
        assert_eq!(got.to.link, 0);
        assert_eq!(
            got.from,
            client.local_addr().unwrap().to_string().parse().unwrap()
        );
        send(&server, b"answer", got.from, got.to).unwrap();
        let (len, from) = client.recv_from(&mut buffer).unwrap();
        assert_eq!(&buffer[..len], b"answer");
        assert_eq!(from.to_string(), format!("[::1]:{port}"));
    }
}
