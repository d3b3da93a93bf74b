//! The bridge: made, repaired, or taken over with the address it has.

use std::fs;

use sys::netlink::{
    self, Address, Batch, Link, LinkChange, Socket, addresses, change_link, create_bridge,
    delete_address, get_link, new_address, routes,
};

use crate::endpoint::Mac;
use crate::error::{Error, Result};
use crate::subnet::{Pool, Subnet};

/// An ordinary route, and those that refuse: all of them say that the subnet means something.
const ROUTE_KINDS: [u8; 4] = [1, 6, 7, 8];

pub(crate) struct Bridge {
    pub(crate) index: u32,
    pub(crate) subnet: Subnet,
}

/// Makes sure that the bridge exists, has its address and is up.
pub(crate) fn ensure(
    socket: &mut Socket,
    name: &str,
    bip: Option<Subnet>,
    pools: &[Pool],
    mtu: Option<u32>,
) -> Result<Bridge> {
    let kernel = |source| Error::Kernel {
        network: name.to_owned(),
        source,
    };
    let existing = find(socket, name)?;
    let own: Vec<Address> = match &existing {
        Some(link) => {
            let all = addresses(socket).map_err(kernel)?;
            all.into_iter().filter(|a| a.link == link.index).collect()
        }
        None => Vec::new(),
    };
    let kept = own
        .iter()
        .map(|a| Subnet {
            gateway: a.ip,
            prefix: a.prefix,
        })
        .find(|s| (8..=30).contains(&s.prefix));
    let subnet = match (bip, kept) {
        (Some(bip), _) => bip,
        (None, Some(kept)) => kept,
        (None, None) => choose(socket, existing.as_ref(), pools)
            .map_err(kernel)?
            .ok_or(if pools.is_empty() {
                Error::NoSubnet
            } else {
                Error::NoSubnetInPools
            })?,
    };
    let link = match existing {
        Some(link) => link,
        None => {
            let mut batch = Batch::new();
            create_bridge(&mut batch, name, Mac::of_ip(subnet.gateway).0);
            match socket.all(&mut batch) {
                Err(e) if !e.is_present() => return Err(kernel(e)),
                _ => find(socket, name)?.ok_or_else(|| Error::Vanished {
                    owner: "the network".to_owned(),
                    link: name.to_owned(),
                })?,
            }
        }
    };
    address(socket, &link, subnet, &own).map_err(kernel)?;

    let mut batch = Batch::new();
    let quiet = LinkChange {
        no_ipv6_address: true,
        ..LinkChange::default()
    };
    change_link(&mut batch, name, quiet);
    // Refused where the kernel has no IPv6, which is as good.
    let _ = socket.exchange(&mut batch).map_err(kernel)?;
    let mtu = mtu.filter(|m| *m != link.mtu);
    let mut batch = Batch::new();
    change_link(
        &mut batch,
        name,
        LinkChange {
            up: true,
            mtu,
            ..LinkChange::default()
        },
    );
    socket.all(&mut batch).map_err(kernel)?;
    Ok(Bridge {
        index: link.index,
        subnet,
    })
}

fn find(socket: &mut Socket, name: &str) -> Result<Option<Link>> {
    let found = get_link(socket, name).map_err(|source| Error::Kernel {
        network: name.to_owned(),
        source,
    })?;
    match found {
        Some(link) if link.kind != "bridge" => {
            let kind = if link.kind.is_empty() {
                "hardware".into()
            } else {
                link.kind
            };
            Err(Error::NotABridge(name.to_owned(), kind))
        }
        other => Ok(other),
    }
}

/// Gives the bridge its address; another one it has is taken away, after the new one is there.
fn address(
    socket: &mut Socket,
    link: &Link,
    subnet: Subnet,
    own: &[Address],
) -> Result<(), netlink::Error> {
    let wanted = Address {
        link: link.index,
        ip: subnet.gateway,
        prefix: subnet.prefix,
    };
    let mut batch = Batch::new();
    new_address(&mut batch, wanted);
    match socket.all(&mut batch) {
        Err(e) if !e.is_present() => return Err(e),
        _ => {}
    }
    let mut batch = Batch::new();
    for other in own.iter().filter(|a| **a != wanted) {
        delete_address(&mut batch, *other);
    }
    for reply in socket.exchange(&mut batch)? {
        match reply {
            Err(e) if !e.is_absent() => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// The first subnet of the pools, or default subnet if there are none, that overlaps no address
/// and no route of the host.
fn choose(
    socket: &mut Socket,
    bridge: Option<&Link>,
    pools: &[Pool],
) -> Result<Option<Subnet>, netlink::Error> {
    let bridge = bridge.map(|l| l.index);
    let mut taken: Vec<Subnet> = Vec::new();
    for a in addresses(socket)?.iter().filter(|a| Some(a.link) != bridge) {
        taken.push(Subnet {
            gateway: a.ip,
            prefix: a.prefix,
        });
    }
    for r in routes(socket)? {
        if r.prefix > 0 && ROUTE_KINDS.contains(&r.kind) && (r.link.is_none() || r.link != bridge) {
            taken.push(Subnet {
                gateway: r.to,
                prefix: r.prefix,
            });
        }
    }
    let free = |c: &Subnet| taken.iter().all(|t| !t.overlaps(*c));
    Ok(if pools.is_empty() {
        Subnet::candidates().find(free)
    } else {
        pools.iter().flat_map(|p| p.candidates()).find(free)
    })
}

/// Lets the host pass packets on, and lets its own 127.0.0.1 be translated to containers. The
/// guard against strangers using the latter must be in place before.
pub(crate) fn allow_forwarding(name: &str) -> Result<()> {
    set("/proc/sys/net/ipv4/ip_forward")?;
    set(&format!("/proc/sys/net/ipv4/conf/{name}/route_localnet"))
}

fn set(path: &str) -> Result<()> {
    // Only written when needed: it may be right and read-only.
    if fs::read_to_string(path).is_ok_and(|v| v.trim() == "1") {
        return Ok(());
    }
    fs::write(path, "1").map_err(|source| Error::Sysctl {
        path: path.to_owned(),
        value: "1",
        source,
    })
}

/// Whether the kernel passes bridged frames to IP filters (`br_netfilter`). It then translates a
/// container's packet for its own published port while it is still a frame, and the frame has to
/// leave by the port it came in by.
pub(crate) fn needs_hairpin() -> bool {
    fs::read_to_string("/proc/sys/net/bridge/bridge-nf-call-iptables")
        .is_ok_and(|v| v.trim() == "1")
}

/// Whether the bridge itself keeps its ports apart. Where IP filters see its frames they do that, and
/// let those for published ports pass.
pub(crate) fn isolates(icc: bool) -> bool {
    !icc && !needs_hairpin()
}
