//! Bridges that were there before their network: what they had is noted first, so that they lose what the
//! network gave them, and nothing else, when it goes.

use std::fs;

use serde::{Deserialize, Serialize};
use sys::netlink::{self, Batch, Socket, addresses, delete_address, get_link};

use crate::bridge::{localnet, set, wanted};
use crate::definition::{Bridge, Definition};
use crate::error::{Error, Result};
use crate::fabric::Fabric;

/// What a bridge had before its network.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Its addresses, with their prefixes.
    addresses: Vec<String>,
    /// Whether the host's 127.0.0.1 could be translated to what is behind it.
    route_localnet: bool,
}

impl Fabric {
    /// What the bridge of a network that is not made yet has by itself; nothing where there is none.
    ///
    /// # Errors
    /// When the kernel cannot be asked.
    pub fn found(&self, network: &Definition) -> Result<Option<Found>> {
        let Some(bridge) = network.bridge() else {
            return Ok(None);
        };
        found(&mut self.route(), bridge).map_err(Error::kernel(&network.name))
    }
}

fn found(
    socket: &mut Socket,
    bridge: &Bridge,
) -> std::result::Result<Option<Found>, netlink::Error> {
    let Some(link) = get_link(socket, &bridge.link)? else {
        return Ok(None);
    };
    let own = addresses(socket)?
        .into_iter()
        .filter(|a| a.link == link.index);
    Ok(Some(Found {
        addresses: own.map(|a| shown(&a)).collect(),
        route_localnet: fs::read_to_string(localnet(&bridge.link)).is_ok_and(|v| v.trim() == "1"),
    }))
}

fn shown(a: &netlink::Address) -> String {
    format!("{}/{}", a.ip, a.prefix)
}

/// Takes from a bridge what a network gave it. One that is gone has nothing.
pub(crate) fn give_back(socket: &mut Socket, network: &Definition, bridge: &Bridge) -> Result<()> {
    let Some(found) = &bridge.found else {
        return Ok(());
    };
    let kernel = Error::kernel(&network.name);
    let Some(link) = get_link(socket, &bridge.link).map_err(&kernel)? else {
        return Ok(());
    };
    if !found.route_localnet {
        // Before the rules that keep strangers from using it.
        set(&localnet(&bridge.link), "0")?;
    }
    let mut batch = Batch::new();
    wanted(link.index, network, bridge)
        .into_iter()
        .filter(|a| !found.addresses.contains(&shown(a)))
        .for_each(|a| delete_address(&mut batch, a));
    let replies = socket.exchange(&mut batch).map_err(&kernel)?;
    let mut refused = replies.into_iter().filter_map(std::result::Result::err);
    refused
        .find(|e| !e.is_absent())
        .map_or(Ok(()), |e| Err(kernel(e)))
}
