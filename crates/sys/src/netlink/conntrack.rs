//! Connection tracking: forgetting UDP flows that were translated differently.
//!
//! A UDP "connection" lives as long as packets keep coming, with the translation of its first
//! one. A client that keeps sending while a container is replaced would go on to the old
//! address for ever; so entries of a port are removed when its mapping changes.

use std::collections::BTreeSet;
use std::net::IpAddr;

use super::addr::ip;
use super::{Attrs, Batch, Error, Socket};

const SUBSYSTEM: u16 = 1 << 8;
const GET: u16 = SUBSYSTEM | 1;
const DELETE: u16 = SUBSYSTEM | 2;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_ZONE: u16 = 18;
const CTA_FILTER: u16 = 25;
const CTA_FILTER_ORIG_FLAGS: u16 = 1;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
/// By family: IPv4's and IPv6's.
const CTA_IP_SRC: [u16; 2] = [1, 3];
const CTA_IP_DST: [u16; 2] = [2, 4];
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
/// Bits of the kernel's (unexported) dump filter.
const MATCH_PROTO: u32 = 1 << 3;
const MATCH_PORT: u32 = 1 << 5;
const NESTED: u16 = 1 << 15;
const UDP: u8 = 17;

/// `struct nfgenmsg`.
fn header(ipv4: bool) -> [u8; 4] {
    [
        if ipv4 { libc::AF_INET } else { libc::AF_INET6 } as u8,
        0,
        0,
        0,
    ]
}

/// A tracked flow to a UDP port.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Flow {
    /// The port its first packet was sent to.
    pub port: u16,
    /// The address its first packet was sent to.
    pub sent_to: IpAddr,
    /// The address its answers come from: another one if it is translated.
    pub answered_by: IpAddr,
    tuple: Vec<u8>,
    id: Option<Vec<u8>>,
    zone: Option<Vec<u8>>,
}

/// Removes those tracked UDP flows to these ports, of IPv4 or of IPv6, that are `wanted`. Returns how
/// many there were. The kernel reads its whole table for an answer, some 10 ms: ask once for all.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn forget_udp(
    socket: &mut Socket,
    ipv4: bool,
    ports: &BTreeSet<u16>,
    mut wanted: impl FnMut(&Flow) -> bool,
) -> Result<usize, Error> {
    let mut found = match flows(socket, ipv4, ports, true) {
        // Kernels before 5.8 know no filter: read all of them.
        Err(e) if matches!(e.errno(), Some(libc::EINVAL | libc::EOPNOTSUPP)) => {
            flows(socket, ipv4, ports, false)?
        }
        other => other?,
    };
    found.retain(|f| wanted(f));
    let mut batch = Batch::new();
    for flow in &found {
        batch.push(
            DELETE,
            libc::NLM_F_ACK as u16,
            "forget a UDP flow".into(),
            |b| {
                b.raw(&header(ipv4));
                b.attr(CTA_TUPLE_ORIG | NESTED, &flow.tuple);
                if let Some(id) = &flow.id {
                    b.attr(CTA_ID, id);
                }
                if let Some(zone) = &flow.zone {
                    b.attr(CTA_ZONE, zone);
                }
            },
        );
    }
    let mut removed = 0;
    for reply in socket.exchange(&mut batch)? {
        match reply {
            Ok(_) => removed += 1,
            Err(e) if e.is_absent() => {}
            Err(e) => return Err(e),
        }
    }
    Ok(removed)
}

fn flows(
    socket: &mut Socket,
    ipv4: bool,
    ports: &BTreeSet<u16>,
    filter: bool,
) -> Result<Vec<Flow>, Error> {
    // The kernel compares with one port.
    let only = ports.first().filter(|_| ports.len() == 1);
    let mut batch = Batch::new();
    batch.push(
        GET,
        libc::NLM_F_DUMP as u16,
        "list tracked UDP flows".into(),
        |b| {
            b.raw(&header(ipv4));
            if filter {
                b.nest(CTA_TUPLE_ORIG, |b| {
                    b.nest(CTA_TUPLE_PROTO, |b| {
                        b.attr(CTA_PROTO_NUM, &[UDP]);
                        if let Some(port) = only {
                            b.attr(CTA_PROTO_DST_PORT, &port.to_be_bytes());
                        }
                    });
                });
                b.nest(CTA_FILTER, |b| {
                    let port = only.map_or(0, |_| MATCH_PORT);
                    b.attr_u32(CTA_FILTER_ORIG_FLAGS, MATCH_PROTO | port);
                    b.attr_u32(CTA_FILTER_REPLY_FLAGS, 0);
                });
            }
        },
    );
    socket.dump(&mut batch, |p| {
        let attrs = Attrs(p.get(4..)?);
        let tuple = attrs.nested(CTA_TUPLE_ORIG);
        let proto = tuple.nested(CTA_TUPLE_PROTO);
        let port = u16::from_be_bytes(proto.get(CTA_PROTO_DST_PORT)?.try_into().ok()?);
        if proto.get(CTA_PROTO_NUM) != Some(&[UDP]) || !ports.contains(&port) {
            return None;
        }
        let address = |tuple: Attrs<'_>, which: [u16; 2]| {
            let which = which[usize::from(!ipv4)];
            ip(tuple.nested(CTA_TUPLE_IP).get(which)?)
        };
        let own = |kind| attrs.get(kind).map(<[u8]>::to_vec);
        Some(Flow {
            port,
            sent_to: address(tuple, CTA_IP_DST)?,
            answered_by: address(attrs.nested(CTA_TUPLE_REPLY), CTA_IP_SRC)?,
            tuple: tuple.0.to_vec(),
            id: own(CTA_ID),
            zone: own(CTA_ZONE),
        })
    })
}
