//! The nftables tables of a daemon's networks: one of each family, of the same name.
//!
//! A table has the same base chains however many networks and containers there are. A network adds
//! a few chains and the entries of maps that lead to them by its link; a container's published
//! ports are entries of maps, too. Chains have the policy to accept and decide only about packets
//! of our bridges, so that several daemons and an administrator's own tables live side by side: an
//! accept here cannot override a drop elsewhere, and what is dropped here stays so.

use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};

use sys::netlink::{Error, Socket, octets};
use sys::nft::{Entry, Family, Key, Transaction, elements, link_key};

use crate::definition::Definition;
use crate::endpoint::{Published, PublishedPort};
use crate::rules;

/// Ports published on every address: protocol, port → address, port.
pub(crate) const ANY: &str = "published";
/// Ports published on one address: protocol, address, port → address, port.
pub(crate) const ONE: &str = "published_on";
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

/// Entries of the maps of one family.
#[derive(Debug, Default)]
struct Entries {
    any: Vec<Entry>,
    one: Vec<Entry>,
    open: Vec<Vec<u8>>,
}

#[derive(Debug)]
pub(crate) struct Firewall {
    table: String,
    socket: Mutex<Socket>,
}

/// The family of a table.
pub(crate) fn family(ipv4: bool) -> Family {
    if ipv4 { Family::Ip } else { Family::Ip6 }
}

impl Firewall {
    pub(crate) fn new(table: String) -> Result<Self, Error> {
        Ok(Self {
            table,
            socket: Mutex::new(Socket::netfilter()?),
        })
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn with_socket<T>(&self, work: impl FnOnce(&mut Socket) -> T) -> T {
        work(&mut self.socket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether a family's table is there at all; `nft flush ruleset` takes it away with everyone's.
    pub(crate) fn is_present(&self, ipv4: bool) -> Result<bool, Error> {
        let look = |socket: &mut Socket| elements(socket, family(ipv4), &self.table, ANY);
        match self.with_socket(look) {
            Ok(_) => Ok(true),
            Err(e) if e.is_absent() => Ok(false),
            Err(e) => Err(e),
        }
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
            add(&mut t, &entries(ipv4, one));
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

    /// Publishes a container's ports.
    pub(crate) fn publish(&self, published: &Published) -> Result<(), Error> {
        for ipv4 in FAMILIES {
            let entries = entries(ipv4, published);
            if entries.is_empty() {
                continue;
            }
            let attempt = || {
                let mut t = Transaction::new(family(ipv4), &self.table);
                add(&mut t, &entries);
                self.with_socket(|s| t.commit(s))
            };
            match attempt() {
                // Left over from a removal that failed; the port is ours now.
                Err(e) if e.is_present() => {
                    self.remove_each(ipv4, &entries)?;
                    attempt()?;
                }
                other => other?,
            }
        }
        Ok(())
    }

    /// Withdraws a container's ports; those that are gone already are no error.
    pub(crate) fn withdraw(&self, published: &Published) -> Result<(), Error> {
        for ipv4 in FAMILIES {
            let entries = entries(ipv4, published);
            if entries.is_empty() {
                continue;
            }
            let mut t = Transaction::new(family(ipv4), &self.table);
            for (map, keys) in entries.keys() {
                t.delete_elements(map, &keys);
            }
            match self.with_socket(|s| t.commit(s)) {
                Err(e) if e.is_absent() => self.remove_each(ipv4, &entries)?,
                other => other?,
            }
        }
        Ok(())
    }

    fn remove_each(&self, ipv4: bool, entries: &Entries) -> Result<(), Error> {
        for (map, keys) in entries.keys() {
            for key in keys {
                let mut t = Transaction::new(family(ipv4), &self.table);
                t.delete_elements(map, &[key]);
                match self.with_socket(|s| t.commit(s)) {
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

impl Entries {
    fn is_empty(&self) -> bool {
        self.any.is_empty() && self.one.is_empty() && self.open.is_empty()
    }

    fn keys(&self) -> [(&'static str, Vec<Vec<u8>>); 3] {
        let of = |entries: &[Entry]| entries.iter().map(|(k, _)| k.clone()).collect();
        [
            (ANY, of(&self.any)),
            (ONE, of(&self.one)),
            (OPEN, self.open.clone()),
        ]
    }
}

fn add(t: &mut Transaction<'_>, entries: &Entries) {
    t.add_elements(ANY, &entries.any);
    t.add_elements(ONE, &entries.one);
    t.add_keys(OPEN, &entries.open);
}

fn entries(ipv4: bool, published: &Published) -> Entries {
    let mut entries = Entries::default();
    let Some(ip) = published.target.address(ipv4) else {
        return entries;
    };
    let ours = published.ports.iter();
    for port in ours.filter(|p| p.host_ip.is_ipv4() == ipv4 && p.is_translated()) {
        if published.target.routed[usize::from(!ipv4)] {
            let key = key(port, Some(ip), port.container_port);
            if !entries.open.contains(&key) {
                entries.open.push(key);
            }
            continue;
        }
        let entry = (
            key(port, port.only_on(), port.host_port),
            target(ip, port.container_port),
        );
        if port.only_on().is_some() {
            entries.one.push(entry);
        } else {
            entries.any.push(entry);
        }
    }
    entries
}

/// Each part of a key or value is padded to registers of four bytes.
fn key(of: &PublishedPort, ip: Option<IpAddr>, port: u16) -> Vec<u8> {
    let mut key = vec![of.proto.number(), 0, 0, 0];
    if let Some(ip) = ip {
        key.extend(octets(ip));
    }
    key.extend_from_slice(&port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
    key
}

fn target(ip: IpAddr, port: u16) -> Vec<u8> {
    let mut value = octets(ip);
    value.extend_from_slice(&port.to_be_bytes());
    value.extend_from_slice(&[0, 0]);
    value
}

/// The key of a link in maps by link.
pub(crate) fn by_link(link: &str) -> Vec<u8> {
    link_key(link).to_vec()
}

/// What ports that are published on one address are found by.
pub(crate) fn one_key(ipv4: bool) -> [Key; 3] {
    [Key::Protocol, Key::Destination(family(ipv4)), Key::Port]
}
