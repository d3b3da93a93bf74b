//! The sockets that have a port (`sock_diag`).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{Attrs, Batch, Error, Socket};

const SOCK_DIAG_BY_FAMILY: u16 = 20;
const SKV6ONLY: u16 = 11;
const LISTEN: u8 = 10;
/// Size of `struct inet_diag_msg`.
const MESSAGE: usize = 72;

/// A socket that has a port of the host's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bound {
    /// Its address; zeros mean all of its family.
    pub ip: IpAddr,
    /// Whether it is for IPv6 alone, where it is one of IPv6.
    pub only_ipv6: bool,
    /// Whether it waits for connections.
    pub listens: bool,
    /// What it is called in the descriptors of who holds it; 0 where nobody does.
    pub inode: u32,
}

/// The sockets of a family and protocol (by its number in an IP header) that have this port. Kernels
/// before 6.9 do not tell of TCP sockets that are bound and do nothing. The kernel reads its whole
/// table for an answer.
///
/// # Errors
/// When the kernel cannot tell or cannot be asked.
pub fn bound_sockets(
    socket: &mut Socket,
    ipv4: bool,
    protocol: u8,
    port: u16,
) -> Result<Vec<Bound>, Error> {
    let family = if ipv4 { libc::AF_INET } else { libc::AF_INET6 } as u8;
    let mut batch = Batch::new();
    batch.push(
        SOCK_DIAG_BY_FAMILY,
        libc::NLM_F_DUMP as u16,
        format!("tell who has port {port}"),
        |b| {
            // `struct inet_diag_req_v2`: no further attributes, sockets in any state, and of the
            // identity the port alone.
            b.raw(&[family, protocol, 0, 0]);
            b.raw(&u32::MAX.to_ne_bytes());
            b.raw(&port.to_be_bytes());
            b.raw(&[0; 38]);
            b.raw(&[0xff; 8]);
        },
    );
    let found = socket.dump(&mut batch, |p| {
        let message = p.get(..MESSAGE)?;
        let has = u16::from_be_bytes([message[4], message[5]]);
        let four: [u8; 4] = message[8..12].try_into().ok()?;
        let sixteen: [u8; 16] = message[8..24].try_into().ok()?;
        Some((has == port).then_some(Bound {
            ip: if message[0] == libc::AF_INET as u8 {
                Ipv4Addr::from(four).into()
            } else {
                Ipv6Addr::from(sixteen).into()
            },
            only_ipv6: Attrs(&p[MESSAGE..]).get(SKV6ONLY) == Some(&[1]),
            listens: message[1] == LISTEN,
            inode: u32::from_ne_bytes(message[68..72].try_into().ok()?),
        }))
    })?;
    Ok(found.into_iter().flatten().collect())
}
