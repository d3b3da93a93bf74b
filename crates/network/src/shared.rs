//! Networks whose containers share a link of the host's: macvlan and ipvlan.

use std::fs::File;
use std::net::IpAddr;
use std::os::fd::AsFd;

use sys::netlink::{
    Batch, LinkChange, Socket, change_link, create_veth, create_vlan, get_link, has_kind, mark_link,
};

use crate::definition::{Definition, Driver};
use crate::endpoint::Mac;
use crate::error::{Error, Result};
use crate::names;

/// The link that is ours to remove with the network: one that leads nowhere, or a VLAN's.
pub(crate) fn own_link(network: &Definition, parent: Option<&str>) -> Option<String> {
    match parent {
        None => Some(names::dead_end(&network.id)),
        Some(parent) => vlan(parent).map(|_| parent.to_owned()),
    }
}

/// `eth0.7` is VLAN 7 of `eth0`.
fn vlan(name: &str) -> Option<(&str, u16)> {
    let (parent, id) = name.rsplit_once('.')?;
    let id = id.parse().ok().filter(|n| (1..4095).contains(n))?;
    (!parent.is_empty()).then_some((parent, id))
}

/// Makes sure that the link to share exists; one that is made gets `mark`. Answers its number, and
/// whether it was there.
pub(crate) fn ensure(
    socket: &mut Socket,
    network: &Definition,
    parent: Option<&str>,
    mark: &str,
) -> Result<(u32, bool)> {
    let kernel = Error::kernel(&network.name);
    let missing = |name: &str| Error::NoParent {
        network: network.name.clone(),
        parent: name.to_owned(),
    };
    if let Driver::Shared { kind, .. } = network.driver
        && !has_kind(socket, kind).map_err(&kernel)?
    {
        return Err(Error::NoKind {
            network: network.name.clone(),
            kind: kind.kind(),
        });
    }
    let made = own_link(network, parent);
    let name = made.as_deref().or(parent).unwrap_or_default().to_owned();
    if let Some(link) = get_link(socket, &name).map_err(&kernel)? {
        return Ok((link.index, true));
    }
    // Named in the request by its descriptor, which must be open until it is sent.
    let here = File::open("/proc/thread-self/ns/net").map_err(|e| kernel(e.into()))?;
    let mut batch = Batch::new();
    match parent {
        // A pair of links leads nowhere but to itself; unlike a dummy link every kernel has it.
        None => {
            let other = names::dead_end_peer(&network.id);
            let mac = Mac::of_ip(IpAddr::V6(names::random().into()));
            create_veth(&mut batch, &name, &other, here.as_fd(), mac.0, network.mtu);
            let up = LinkChange {
                up: true,
                ..LinkChange::default()
            };
            change_link(&mut batch, &other, up);
        }
        Some(parent) => {
            let (base, id) = vlan(parent).ok_or_else(|| missing(parent))?;
            let base = get_link(socket, base)
                .map_err(&kernel)?
                .ok_or_else(|| missing(base))?;
            create_vlan(&mut batch, &name, base.index, id);
        }
    }
    change_link(
        &mut batch,
        &name,
        LinkChange {
            up: true,
            mtu: network.mtu,
            ..LinkChange::default()
        },
    );
    mark_link(&mut batch, &name, mark);
    socket.all(&mut batch).map_err(&kernel)?;
    let link = get_link(socket, &name).map_err(&kernel)?;
    Ok((link.ok_or_else(|| missing(&name))?.index, false))
}

#[cfg(test)]
mod tests {
    use super::vlan;

    #[test]
    fn links_of_vlans() {
        assert_eq!(vlan("eth0.7"), Some(("eth0", 7)));
        for none in ["eth0", "eth0.0", "eth0.4095", ".7", "eth0.x"] {
            assert_eq!(vlan(none), None, "{none}");
        }
    }
}
