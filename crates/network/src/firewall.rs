//! The nftables tables of a daemon's networks: one of each family, of the same name.
//!
//! A table has the same base chains however many networks and containers there are. A network adds
//! a few chains and the entries of maps that lead to them by its link; a container's published
//! ports are entries of maps, too. Chains have the policy to accept and decide only about packets
//! of our bridges, so that several daemons and an administrator's own tables live side by side: an
//! accept here cannot override a drop elsewhere, and what is dropped here stays so.

use std::sync::{Mutex, PoisonError};

use sys::netlink::{Error, Socket};
use sys::nft::{Family, Key, Transaction, has_table, link_key};

use crate::definition::Definition;
use crate::endpoint::Published;
use crate::entries::Entries;
use crate::rules;

/// Ports published on every address: protocol, port → address, port.
pub(crate) const ANY: &str = "published";
/// Ports published on one address: protocol, address, port → address, port.
pub(crate) const ONE: &str = "published_on";
/// Ranges of ports that keep their numbers: protocol, address (or all), port → address.
pub(crate) const RANGES: &str = "published_ranges";
/// Containers' ports that are open without translation: protocol, address, port.
pub(crate) const OPEN: &str = "open";
/// Our bridges.
pub(crate) const BRIDGES: &str = "bridges";
/// By the link a packet goes out by: what is for containers.
pub(crate) const INTO: &str = "into";
/// By the link a packet came in by: what containers send elsewhere.
pub(crate) const FROM: &str = "from";
/// By source address: what leaves and may need another one.
pub(crate) const LEAVING: &str = "leaving_from";
/// By the link a packet came in by: what containers send to the host itself.
pub(crate) const TO_HOST: &str = "to_host_by";

/// Both families, by whether they are IPv4.
pub(crate) const FAMILIES: [bool; 2] = [true, false];

#[derive(Debug)]
pub(crate) struct Firewall {
    table: String,
    socket: Mutex<Socket>,
    /// The socket's number in what the kernel tells of changes.
    port: u32,
}

/// The family of a table.
pub(crate) fn family(ipv4: bool) -> Family {
    if ipv4 { Family::Ip } else { Family::Ip6 }
}

impl Firewall {
    pub(crate) fn new(table: String) -> Result<Self, Error> {
        let socket = Socket::netfilter()?;
        Ok(Self {
            table,
            port: socket.port()?,
            socket: Mutex::new(socket),
        })
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn port(&self) -> u32 {
        self.port
    }

    pub(crate) fn with_socket<T>(&self, work: impl FnOnce(&mut Socket) -> T) -> T {
        work(&mut self.socket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a family's table is there at all; `nft flush ruleset` takes it away with everyone's.
    pub(crate) fn is_present(&self, ipv4: bool) -> Result<bool, Error> {
        self.with_socket(|socket| has_table(socket, family(ipv4), &self.table))
    }

    /// Puts a family's table in place with exactly these networks and ports: one transaction from
    /// whatever is there, so that packets see the old or the new one, never none.
    pub(crate) fn install<'a>(
        &self,
        ipv4: bool,
        networks: impl Iterator<Item = &'a Definition>,
        published: impl Iterator<Item = &'a Published>,
    ) -> Result<(), Error> {
        let mut t = Transaction::new(family(ipv4), &self.table);
        t.add_table();
        t.delete_table();
        t.add_table();
        rules::base(&mut t, ipv4);
        for network in networks {
            rules::add(&mut t, ipv4, network);
        }
        for one in published {
            Entries::of(ipv4, one).add_to(&mut t);
        }
        self.with_socket(|s| t.commit(s))
    }

    /// Adds a network to a family's table, which is there.
    pub(crate) fn add_network(&self, ipv4: bool, network: &Definition) -> Result<(), Error> {
        let mut t = Transaction::new(family(ipv4), &self.table);
        rules::add(&mut t, ipv4, network);
        self.with_socket(|s| t.commit(s))
    }

    /// Takes a network out of a family's table, where all of it is there.
    pub(crate) fn remove_network(&self, ipv4: bool, network: &Definition) -> Result<(), Error> {
        let mut t = Transaction::new(family(ipv4), &self.table);
        rules::remove(&mut t, ipv4, network);
        self.with_socket(|s| t.commit(s))
    }

    /// Publishes a container's ports in the place of others of its. It fails where those are not all
    /// there, or what is to be added is.
    pub(crate) fn change(&self, ipv4: bool, old: &Published, new: &Published) -> Result<(), Error> {
        let (old, new) = (Entries::of(ipv4, old), Entries::of(ipv4, new));
        let mut t = Transaction::new(family(ipv4), &self.table);
        if old != new {
            old.delete_from(&mut t);
            new.add_to(&mut t);
        }
        self.with_socket(|s| t.commit(s))
    }

    /// Withdraws a container's ports; those that are gone already are no error.
    pub(crate) fn withdraw(&self, published: &Published) -> Result<(), Error> {
        for ipv4 in FAMILIES {
            let entries = Entries::of(ipv4, published);
            let delete = |entries: &Entries| {
                let mut t = Transaction::new(family(ipv4), &self.table);
                entries.delete_from(&mut t);
                self.with_socket(|s| t.commit(s))
            };
            match delete(&entries) {
                Err(e) if e.is_absent() => {}
                other => {
                    other?;
                    continue;
                }
            }
            for one in entries.split() {
                match delete(&one) {
                    Err(e) if !e.is_absent() => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Deletes a family's table.
    pub(crate) fn delete(&self, ipv4: bool) -> Result<(), Error> {
        let mut t = Transaction::new(family(ipv4), &self.table);
        t.delete_table();
        match self.with_socket(|s| t.commit(s)) {
            Err(e) if e.is_absent() => Ok(()),
            other => other,
        }
    }
}

/// The key of a link in maps by link.
pub(crate) fn by_link(link: &str) -> Vec<u8> {
    link_key(link).to_vec()
}

/// What ports that are published on one address are found by.
pub(crate) fn one_key(ipv4: bool) -> [Key; 3] {
    [Key::Protocol, Key::Destination(family(ipv4)), Key::Port]
}
