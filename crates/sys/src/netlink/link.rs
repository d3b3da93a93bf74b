//! Links: the bridge, veth pairs, and what is known about them.

use std::os::fd::{AsRawFd, BorrowedFd};

use super::{Attrs, Batch, Error, Socket};

const RTM_NEWLINK: u16 = 16;
const RTM_DELLINK: u16 = 17;
const RTM_GETLINK: u16 = 18;
const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;
const IFLA_MTU: u16 = 4;
const IFLA_LINK: u16 = 5;
const IFLA_MASTER: u16 = 10;
const IFLA_OPERSTATE: u16 = 16;
const IFLA_IFALIAS: u16 = 20;
const IFLA_LINKINFO: u16 = 18;
const IFLA_AF_SPEC: u16 = 26;
const IFLA_GROUP: u16 = 27;
const IFLA_NET_NS_FD: u16 = 28;
const IFLA_INFO_KIND: u16 = 1;
const IFLA_INFO_DATA: u16 = 2;
const IFLA_INFO_SLAVE_KIND: u16 = 4;
const IFLA_INFO_SLAVE_DATA: u16 = 5;
const IFLA_BRPORT_STATE: u16 = 1;
const IFLA_BRPORT_MODE: u16 = 4;
const IFLA_BRPORT_ISOLATED: u16 = 33;
const VETH_INFO_PEER: u16 = 1;
const IFLA_VLAN_ID: u16 = 1;
const IFLA_MACVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_MODE: u16 = 1;
const IFLA_IPVLAN_FLAGS: u16 = 2;
const IFLA_INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_NONE: u8 = 1;
const IF_OPER_UP: u8 = 6;
const PORT_FORWARDING: u8 = 3;

pub(super) const ACK: u16 = libc::NLM_F_ACK as u16;
pub(super) const CREATE: u16 = (libc::NLM_F_CREATE | libc::NLM_F_EXCL) as u16;
pub(super) const DUMP: u16 = libc::NLM_F_DUMP as u16;

/// A link as the kernel describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Link {
    /// Its number.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Its kind, such as `bridge` or `veth`; empty for hardware.
    pub kind: String,
    /// The bridge (or other master) it belongs to.
    pub master: Option<u32>,
    /// Whether an administrator (or we) set it up.
    pub up: bool,
    /// Whether a packet sent now would pass: it has a carrier that the kernel has acted upon,
    /// and as a port of a bridge it forwards.
    pub ready: bool,
    /// Its hardware address.
    pub address: Option<[u8; 6]>,
    /// The largest packet it carries.
    pub mtu: u32,
    /// As a port of a bridge, whether it is kept from other such ports.
    pub isolated: bool,
    /// What somebody has noted on it; empty if nobody has.
    pub alias: String,
}

/// `struct ifinfomsg`.
fn ifinfo(index: u32, flags: u32, change: u32) -> [u8; 16] {
    let mut b = [0; 16];
    b[4..8].copy_from_slice(&index.to_ne_bytes());
    b[8..12].copy_from_slice(&flags.to_ne_bytes());
    b[12..16].copy_from_slice(&change.to_ne_bytes());
    b
}

/// Adds a request to make a bridge, down, with a fixed hardware address: without one a bridge
/// takes its ports' and changes it under everyone's neighbour table as containers come and go.
pub fn create_bridge(batch: &mut Batch, name: &str, address: [u8; 6]) {
    batch.push(
        RTM_NEWLINK,
        ACK | CREATE,
        format!("create the bridge {name}"),
        |b| {
            b.raw(&ifinfo(0, 0, 0));
            b.attr_str(IFLA_IFNAME, name);
            b.attr(IFLA_ADDRESS, &address);
            b.nest(IFLA_LINKINFO, |b| b.attr(IFLA_INFO_KIND, b"bridge"));
        },
    );
}

/// Adds a request to note an alias (of at most 255 bytes) on a link.
pub fn mark_link(batch: &mut Batch, name: &str, alias: &str) {
    batch.push(RTM_NEWLINK, ACK, format!("mark the link {name}"), |b| {
        b.raw(&ifinfo(0, 0, 0));
        b.attr_str(IFLA_IFNAME, name);
        b.attr_str(IFLA_IFALIAS, alias);
    });
}

/// Adds a request to make a veth pair, down: one end here and `peer` in the namespace `netns`.
pub fn create_veth(
    batch: &mut Batch,
    name: &str,
    peer: &str,
    netns: BorrowedFd<'_>,
    address: [u8; 6],
    mtu: Option<u32>,
) {
    batch.push(
        RTM_NEWLINK,
        ACK | CREATE,
        format!("create the link pair {name}/{peer}"),
        |b| {
            b.raw(&ifinfo(0, 0, 0));
            b.attr_str(IFLA_IFNAME, name);
            if let Some(mtu) = mtu {
                b.attr_u32(IFLA_MTU, mtu);
            }
            b.nest(IFLA_LINKINFO, |b| {
                b.attr(IFLA_INFO_KIND, b"veth");
                b.nest(IFLA_INFO_DATA, |b| {
                    b.nest(VETH_INFO_PEER, |b| {
                        b.raw(&ifinfo(0, 0, 0));
                        b.attr_str(IFLA_IFNAME, peer);
                        b.attr(IFLA_ADDRESS, &address);
                        b.attr_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
                        if let Some(mtu) = mtu {
                            b.attr_u32(IFLA_MTU, mtu);
                        }
                    });
                });
            });
        },
    );
}

/// How a link shares its parent with others like it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shared {
    /// With a hardware address of its own; the kernel's number of the mode.
    Macvlan(u32),
    /// With the parent's hardware address; the kernel's numbers of mode and flags.
    Ipvlan(u16, u16),
}

impl Shared {
    /// What the kernel calls it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::Macvlan(_) => "macvlan",
            Self::Ipvlan(..) => "ipvlan",
        }
    }
}

/// Whether the kernel has links of this kind, and can load what it needs for them.
///
/// # Errors
/// When the kernel cannot be asked.
pub fn has_kind(socket: &mut Socket, kind: Shared) -> Result<bool, Error> {
    let mut batch = Batch::new();
    // Without a parent none is made. Kernels that know the kind say that one is missing.
    batch.push(
        RTM_NEWLINK,
        ACK | CREATE,
        format!("look for links of the kind {}", kind.kind()),
        |b| {
            b.raw(&ifinfo(0, 0, 0));
            b.nest(IFLA_LINKINFO, |b| {
                b.attr(IFLA_INFO_KIND, kind.kind().as_bytes());
            });
        },
    );
    let reply = socket.exchange(&mut batch)?.pop();
    Ok(!matches!(reply, Some(Err(e)) if e.errno() == Some(libc::EOPNOTSUPP)))
}

/// Adds a request to make a link `name` in the namespace `netns`, down, that shares `parent`.
pub fn create_shared(
    batch: &mut Batch,
    name: &str,
    parent: u32,
    netns: BorrowedFd<'_>,
    kind: Shared,
    address: Option<[u8; 6]>,
    mtu: Option<u32>,
) {
    batch.push(
        RTM_NEWLINK,
        ACK | CREATE,
        format!("create the link {name} on link {parent}"),
        |b| {
            b.raw(&ifinfo(0, 0, 0));
            b.attr_str(IFLA_IFNAME, name);
            b.attr_u32(IFLA_LINK, parent);
            b.attr_u32(IFLA_NET_NS_FD, netns.as_raw_fd() as u32);
            if let Some(mtu) = mtu {
                b.attr_u32(IFLA_MTU, mtu);
            }
            if let Some(address) = address {
                b.attr(IFLA_ADDRESS, &address);
            }
            b.nest(IFLA_LINKINFO, |b| {
                b.attr(IFLA_INFO_KIND, kind.kind().as_bytes());
                b.nest(IFLA_INFO_DATA, |b| match kind {
                    Shared::Macvlan(mode) => b.attr_u32(IFLA_MACVLAN_MODE, mode),
                    Shared::Ipvlan(mode, flags) => {
                        b.attr(IFLA_IPVLAN_MODE, &mode.to_ne_bytes());
                        b.attr(IFLA_IPVLAN_FLAGS, &flags.to_ne_bytes());
                    }
                });
            });
        },
    );
}

/// Adds a request to make a link `name` for the packets of `parent` with the VLAN tag `id`.
pub fn create_vlan(batch: &mut Batch, name: &str, parent: u32, id: u16) {
    batch.push(
        RTM_NEWLINK,
        ACK | CREATE,
        format!("create the link {name} for VLAN {id}"),
        |b| {
            b.raw(&ifinfo(0, 0, 0));
            b.attr_str(IFLA_IFNAME, name);
            b.attr_u32(IFLA_LINK, parent);
            b.nest(IFLA_LINKINFO, |b| {
                b.attr(IFLA_INFO_KIND, b"vlan");
                b.nest(IFLA_INFO_DATA, |b| b.attr(IFLA_VLAN_ID, &id.to_ne_bytes()));
            });
        },
    );
}

/// What to change about a link; only what is set is touched.
#[derive(Debug, Clone, Copy, Default)]
pub struct LinkChange {
    /// Set it up.
    pub up: bool,
    /// Make it a port of this bridge.
    pub master: Option<u32>,
    /// Its largest packet.
    pub mtu: Option<u32>,
    /// As a port of a bridge, let frames leave by the port they came in by.
    pub hairpin: bool,
    /// As a port of a bridge, whether frames of other ports like this are kept away.
    pub isolated: Option<bool>,
    /// Keep IPv6 from giving it an address of its own. Refused where the kernel has no IPv6.
    pub no_ipv6_address: bool,
    /// Its hardware address.
    pub address: Option<[u8; 6]>,
}

/// Adds a request to change the link of that name.
pub fn change_link(batch: &mut Batch, name: &str, change: LinkChange) {
    let up = if change.up { libc::IFF_UP as u32 } else { 0 };
    batch.push(RTM_NEWLINK, ACK, format!("change the link {name}"), |b| {
        b.raw(&ifinfo(0, up, up));
        b.attr_str(IFLA_IFNAME, name);
        if let Some(mtu) = change.mtu {
            b.attr_u32(IFLA_MTU, mtu);
        }
        if let Some(address) = change.address {
            b.attr(IFLA_ADDRESS, &address);
        }
        if let Some(master) = change.master {
            b.attr_u32(IFLA_MASTER, master);
        }
        if change.hairpin {
            b.nest(IFLA_LINKINFO, |b| {
                b.attr(IFLA_INFO_SLAVE_KIND, b"bridge");
                b.nest(IFLA_INFO_SLAVE_DATA, |b| b.attr(IFLA_BRPORT_MODE, &[1]));
            });
        }
        if let Some(isolated) = change.isolated {
            b.nest(IFLA_LINKINFO, |b| {
                b.attr(IFLA_INFO_SLAVE_KIND, b"bridge");
                b.nest(IFLA_INFO_SLAVE_DATA, |b| {
                    b.attr(IFLA_BRPORT_ISOLATED, &[u8::from(isolated)]);
                });
            });
        }
        if change.no_ipv6_address {
            b.nest(IFLA_AF_SPEC, |b| {
                b.nest(libc::AF_INET6 as u16, |b| {
                    b.attr(IFLA_INET6_ADDR_GEN_MODE, &[ADDR_GEN_NONE]);
                });
            });
        }
    });
}

/// Gives a link that is down another name.
///
/// # Errors
/// When it is not there, the name is another's, or the kernel refuses.
pub fn rename_link(socket: &mut Socket, from: &str, to: &str) -> Result<(), Error> {
    let what = format!("rename the link {from} to {to}");
    let Some(link) = get_link(socket, from)? else {
        return Err(Error::Refused {
            what,
            source: std::io::Error::from_raw_os_error(libc::ENODEV),
            message: None,
        });
    };
    let mut batch = Batch::new();
    batch.push(RTM_NEWLINK, ACK, what, |b| {
        b.raw(&ifinfo(link.index, 0, 0));
        b.attr_str(IFLA_IFNAME, to);
    });
    socket.all(&mut batch)
}

/// Deletes links (and, of veth pairs, the other ends); those that are gone already are no error.
/// Several are deleted as a group: each deletion waits 10 to 20 ms for the other processors, all
/// of them together no longer.
///
/// # Errors
/// The kernel's first refusal, after trying all of them.
pub fn delete_links(socket: &mut Socket, names: &[&str]) -> Result<(), Error> {
    let mut batch = Batch::new();
    if let [name] = names {
        delete_link(&mut batch, name);
    } else if !names.is_empty() {
        // A number that nobody else uses for a group, by all odds: what is in it is deleted.
        let mut random = [0; 4];
        rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty())
            .map_err(std::io::Error::from)?;
        let group = u32::from_ne_bytes(random) | 1 << 31;
        for name in names {
            batch.push(RTM_NEWLINK, ACK, format!("delete the link {name}"), |b| {
                b.raw(&ifinfo(0, 0, 0));
                b.attr_str(IFLA_IFNAME, name);
                b.attr_u32(IFLA_GROUP, group);
            });
        }
        batch.push(
            RTM_DELLINK,
            ACK,
            format!("delete {} links", names.len()),
            |b| {
                b.raw(&ifinfo(0, 0, 0));
                b.attr_u32(IFLA_GROUP, group);
            },
        );
    }
    let refused = socket
        .exchange(&mut batch)?
        .into_iter()
        .filter_map(Result::err);
    refused.filter(|e| !e.is_absent()).take(1).try_for_each(Err)
}

fn delete_link(batch: &mut Batch, name: &str) {
    batch.push(RTM_DELLINK, ACK, format!("delete the link {name}"), |b| {
        b.raw(&ifinfo(0, 0, 0));
        b.attr_str(IFLA_IFNAME, name);
    });
}

/// The link of that name, if there is one. On kernels that have it (6.14 and later) asking also
/// makes the kernel act on a carrier change that is still waiting for its worker.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn get_link(socket: &mut Socket, name: &str) -> Result<Option<Link>, Error> {
    let mut batch = Batch::new();
    batch.push(RTM_GETLINK, ACK, format!("look up the link {name}"), |b| {
        b.raw(&ifinfo(0, 0, 0));
        b.attr_str(IFLA_IFNAME, name);
    });
    let reply = socket.exchange(&mut batch)?.pop();
    match reply {
        Some(Ok(data)) => Ok(data.first().and_then(|p| parse(p))),
        Some(Err(e)) if e.is_absent() => Ok(None),
        Some(Err(e)) => Err(e),
        None => Err(Error::Malformed(format!("look up the link {name}"))),
    }
}

/// All links of the namespace.
///
/// # Errors
/// When the kernel refuses or cannot be asked.
pub fn links(socket: &mut Socket) -> Result<Vec<Link>, Error> {
    let mut batch = Batch::new();
    batch.push(RTM_GETLINK, DUMP, "list the links".into(), |b| {
        b.raw(&ifinfo(0, 0, 0))
    });
    socket.dump(&mut batch, parse)
}

fn parse(payload: &[u8]) -> Option<Link> {
    let index = u32::from_ne_bytes(payload.get(4..8)?.try_into().ok()?);
    let flags = u32::from_ne_bytes(payload.get(8..12)?.try_into().ok()?);
    let attrs = Attrs(payload.get(16..)?);
    let info = attrs.nested(IFLA_LINKINFO);
    let operstate = attrs.get(IFLA_OPERSTATE).and_then(|v| v.first().copied());
    let of_port = |attribute| {
        (info.text(IFLA_INFO_SLAVE_KIND) == Some("bridge"))
            .then(|| {
                info.nested(IFLA_INFO_SLAVE_DATA)
                    .get(attribute)?
                    .first()
                    .copied()
            })
            .flatten()
    };
    let port = of_port(IFLA_BRPORT_STATE);
    Some(Link {
        index,
        name: attrs.text(IFLA_IFNAME)?.to_owned(),
        kind: info.text(IFLA_INFO_KIND).unwrap_or_default().to_owned(),
        master: attrs.u32(IFLA_MASTER).filter(|m| *m != 0),
        up: flags & libc::IFF_UP as u32 != 0,
        ready: operstate == Some(IF_OPER_UP) && port.is_none_or(|s| s == PORT_FORWARDING),
        address: attrs.get(IFLA_ADDRESS).and_then(|a| a.try_into().ok()),
        mtu: attrs.u32(IFLA_MTU).unwrap_or_default(),
        isolated: of_port(IFLA_BRPORT_ISOLATED) == Some(1),
        alias: attrs.text(IFLA_IFALIAS).unwrap_or_default().to_owned(),
    })
}
