//! The bridge: made, repaired, or taken over with the address it has.

use std::fs;
use std::net::{IpAddr, Ipv6Addr};
use std::path::Path;

use sys::netlink::{
    self, Address, Batch, Link, LinkChange, Socket, addresses, change_link, create_bridge,
    delete_address, get_link, mark_link, new_address, routes,
};

use crate::definition::{Bridge, Definition, Gateway};
use crate::endpoint::Mac;
use crate::error::{Error, Result};
use crate::names;
use crate::subnet::Subnet;

/// What a bridge is called by its neighbours in IPv6, as Docker has it.
const LINK_LOCAL: Ipv6Addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);

/// An ordinary route, and those that refuse: all of them say that the subnet means something.
const ROUTE_KINDS: [u8; 4] = [1, 6, 7, 8];

/// Makes sure that a network's bridge exists, has its addresses and is up; a new one gets `mark`.
/// Answers its number, and whether it was there.
pub(crate) fn ensure(
    socket: &mut Socket,
    network: &Definition,
    bridge: &Bridge,
    mark: &str,
) -> Result<(u32, bool)> {
    let name = bridge.link.as_str();
    let kernel = Error::kernel(&network.name);
    let existing = find(socket, name)?;
    let existed = existing.is_some();
    let link = match existing {
        Some(link) => link,
        None => {
            let mac = network.spaces.first().and_then(|s| s.gateway).map_or_else(
                || Mac::of_ip(IpAddr::V6(names::random().into())),
                Mac::of_ip,
            );
            let mut batch = Batch::new();
            create_bridge(&mut batch, name, mac.0);
            match socket.all(&mut batch) {
                Err(e) if !e.is_present() => return Err(kernel(e)),
                Err(_) => {}
                Ok(()) => {
                    let mut batch = Batch::new();
                    mark_link(&mut batch, name, mark);
                    socket.all(&mut batch).map_err(&kernel)?;
                }
            }
            find(socket, name)?.ok_or_else(|| Error::Vanished {
                owner: "the network".to_owned(),
                link: name.to_owned(),
            })?
        }
    };
    // It would have one without being asked, and tell containers of it.
    let mut batch = Batch::new();
    let quiet = LinkChange {
        no_ipv6_address: true,
        ..LinkChange::default()
    };
    change_link(&mut batch, name, quiet);
    // Refused where the kernel has no IPv6, which is as good.
    let _ = socket.exchange(&mut batch).map_err(&kernel)?;
    let mtu = network.mtu.filter(|m| *m != link.mtu);
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
    socket.all(&mut batch).map_err(&kernel)?;
    addressed(socket, &link, network, bridge).map_err(kernel)?;
    Ok((link.index, existed))
}

/// The subnet of the address of a family that a bridge has, if there is one.
pub(crate) fn own_subnet(socket: &mut Socket, name: &str, ipv4: bool) -> Result<Option<Subnet>> {
    let Some(link) = find(socket, name)? else {
        return Ok(None);
    };
    let all = addresses(socket).map_err(Error::kernel(name))?;
    let link_local = |ip: IpAddr| matches!(ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
    let mut ours = all
        .iter()
        .filter(|a| a.link == link.index && a.ip.is_ipv4() == ipv4 && !link_local(a.ip));
    let longest = if ipv4 { 30 } else { 126 };
    let subnet = ours.find(|a| (8..=longest).contains(&a.prefix));
    Ok(subnet.map(|a| Subnet {
        gateway: a.ip,
        prefix: a.prefix,
    }))
}

fn find(socket: &mut Socket, name: &str) -> Result<Option<Link>> {
    let found = get_link(socket, name).map_err(Error::kernel(name))?;
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

/// Gives the bridge its addresses; others it has in these families are taken away, after the new ones
/// are there.
fn addressed(
    socket: &mut Socket,
    link: &Link,
    network: &Definition,
    bridge: &Bridge,
) -> Result<(), netlink::Error> {
    let wanted = wanted(link.index, network, bridge);
    for one in &wanted {
        let mut batch = Batch::new();
        new_address(&mut batch, *one);
        match socket.all(&mut batch) {
            Err(e) if !e.is_present() => return Err(e),
            _ => {}
        }
    }
    if bridge.keeps_addresses {
        return Ok(());
    }
    let others = addresses(socket)?.into_iter().filter(|a| {
        let link_local = matches!(a.ip, IpAddr::V6(ip) if ip.is_unicast_link_local());
        a.link == link.index && !link_local && !wanted.contains(a)
    });
    let mut batch = Batch::new();
    others.for_each(|a| delete_address(&mut batch, a));
    for reply in socket.exchange(&mut batch)? {
        match reply {
            Err(e) if !e.is_absent() => return Err(e),
            _ => {}
        }
    }
    Ok(())
}

/// The addresses that a network gives its bridge, which has this number.
pub(crate) fn wanted(link: u32, network: &Definition, bridge: &Bridge) -> Vec<Address> {
    let mut wanted: Vec<Address> = network
        .spaces
        .iter()
        .filter(|s| bridge.gateway(s.subnet.is_ipv4()) != Gateway::Isolated)
        .filter(|s| !(bridge.no_ipv4_address && s.subnet.is_ipv4()))
        .filter_map(|s| {
            Some(Address {
                link,
                ip: s.gateway?,
                prefix: s.subnet.prefix,
            })
        })
        .collect();
    if wanted.iter().any(|a| a.ip.is_ipv6()) {
        // Without one of the link alone it cannot ask who has an address that it forwards to.
        wanted.push(Address {
            link,
            ip: IpAddr::V6(LINK_LOCAL),
            prefix: 64,
        });
    }
    wanted
}

/// The shortest prefix of a route that takes its addresses for itself: that of 10.0.0.0/8.
const WIDEST: u8 = 8;

/// Takes all addresses from a link, and the routes that come with them. One that is not there has none.
pub(crate) fn clear_addresses(socket: &mut Socket, name: &str) -> Result<(), netlink::Error> {
    let Some(link) = get_link(socket, name)? else {
        return Ok(());
    };
    let mut batch = Batch::new();
    let all = addresses(socket)?.into_iter();
    all.filter(|a| a.link == link.index)
        .for_each(|a| delete_address(&mut batch, a));
    let refused = socket.exchange(&mut batch)?.into_iter();
    let mut refused = refused.filter_map(std::result::Result::err);
    refused.find(|e| !e.is_absent()).map_or(Ok(()), Err)
}

/// Subnets that mean something to the host: of its addresses and of its routes, but not those of the
/// link `except`.
pub(crate) fn taken(
    socket: &mut Socket,
    except: Option<&str>,
) -> Result<Vec<Subnet>, netlink::Error> {
    let except = match except {
        Some(name) => get_link(socket, name)?.map(|l| l.index),
        None => None,
    };
    let mut taken: Vec<Subnet> = Vec::new();
    for a in addresses(socket)?.iter().filter(|a| Some(a.link) != except) {
        taken.push(Subnet {
            gateway: a.ip,
            prefix: a.prefix,
        });
    }
    for r in routes(socket)? {
        // What is wider than any private block is a way out, as VPNs make it of two halves: it takes no
        // addresses.
        if r.prefix >= WIDEST
            && ROUTE_KINDS.contains(&r.kind)
            && (r.link.is_none() || r.link != except)
        {
            taken.push(Subnet {
                gateway: r.to,
                prefix: r.prefix,
            });
        }
    }
    Ok(taken)
}

/// Lets the host pass packets on, where that is `ours` to say, and lets its own 127.0.0.1 be translated
/// to containers. The guard against strangers using the latter must be in place before.
pub(crate) fn allow_forwarding(network: &Definition, bridge: &Bridge, ours: bool) -> Result<()> {
    let has = |ipv4| network.spaces_of(ipv4).next().is_some();
    if has(true) {
        if ours {
            set("/proc/sys/net/ipv4/ip_forward", "1")?;
        }
        set(&localnet(&bridge.link), "1")?;
    }
    if has(false) {
        if ours {
            keep_advertised_routes()?;
            set("/proc/sys/net/ipv6/conf/all/forwarding", "1")?;
        }
    } else if network.internal {
        // What containers make by hand would reach what the host publishes in IPv6.
        let own = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", bridge.link);
        if Path::new(&own).exists() {
            set(&own, "1")?;
        }
    }
    Ok(())
}

/// A host that forwards IPv6 no longer takes the routes that its routers advertise, and would lose its
/// own way out, unless each link says otherwise.
fn keep_advertised_routes() -> Result<()> {
    let dir = Path::new("/proc/sys/net/ipv6/conf");
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path().join("accept_ra");
        if fs::read_to_string(&path).is_ok_and(|v| v.trim() == "1") {
            set(&path.to_string_lossy(), "2")?;
        }
    }
    Ok(())
}

/// Where it is said whether the host's 127.0.0.1 may be translated to what is behind a link.
pub(crate) fn localnet(link: &str) -> String {
    format!("/proc/sys/net/ipv4/conf/{link}/route_localnet")
}

pub(crate) fn set(path: &str, value: &'static str) -> Result<()> {
    // Only written when needed: it may be right and read-only.
    if fs::read_to_string(path).is_ok_and(|v| v.trim() == value) {
        return Ok(());
    }
    fs::write(path, value).map_err(|source| Error::Sysctl {
        path: path.to_owned(),
        value,
        source,
    })
}

/// Whether the kernel passes bridged frames to IP filters (`br_netfilter`). It then translates a
/// container's packet for its own published port while it is still a frame, and the frame has to
/// leave by the port it came in by.
pub(crate) fn needs_hairpin() -> bool {
    shows_frames("iptables")
}

fn shows_frames(to: &str) -> bool {
    fs::read_to_string(format!("/proc/sys/net/bridge/bridge-nf-call-{to}"))
        .is_ok_and(|v| v.trim() == "1")
}

/// Whether the bridge itself keeps its ports apart. Where IP filters see its frames they do that, and
/// let those for published ports pass; of both families, or one of them would be open.
pub(crate) fn isolates(network: &Definition, bridge: &Bridge) -> bool {
    let ipv6 = network.spaces_of(false).next().is_some();
    let filtered = shows_frames("iptables") && (!ipv6 || shows_frames("ip6tables"));
    !bridge.icc && !filtered
}
