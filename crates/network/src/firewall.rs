//! The nftables table of a network.
//!
//! Its chains and rules are the same however many containers there are; a container's published
//! ports are entries of two maps. Chains have the policy to accept and decide only about
//! packets of this bridge, so that several daemons and an administrator's own tables live side
//! by side: an accept here cannot override a drop elsewhere, and what is dropped here stays so.

use std::net::Ipv4Addr;
use std::sync::{Mutex, PoisonError};

use sys::netlink::{Error, Socket};
use sys::nft::{
    Base, Entry, Family, Fib, Hook, Key, Map, Rule, Status, Transaction, Verdict, elements,
};

use crate::endpoint::{Endpoint, PublishedPort};
use crate::subnet::Subnet;

/// Ports published on every address: protocol, port → address, port.
const ANY: &str = "published";
/// Ports published on one address: protocol, address, port → address, port.
const ONE: &str = "published_on";

const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TARGET: u32 = TYPE_ADDRESS << 6 | TYPE_PORT;
const TARGET_LEN: u32 = 8;

const RAW: i32 = -300;
const DESTINATION_NAT: i32 = -100;
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;
const ICMP_REDIRECT: u8 = 5;

/// Entries of one map.
type Entries = Vec<Entry>;

#[derive(Debug)]
pub(crate) struct Firewall {
    table: String,
    bridge: String,
    subnet: Subnet,
    /// Whether containers may send to one another by the bridge's address.
    icc: bool,
    socket: Mutex<Socket>,
}

impl Firewall {
    pub(crate) fn new(
        table: String,
        bridge: String,
        subnet: Subnet,
        icc: bool,
    ) -> Result<Self, Error> {
        Ok(Self {
            table,
            bridge,
            subnet,
            icc,
            socket: Mutex::new(Socket::netfilter()?),
        })
    }

    pub(crate) fn table(&self) -> &str {
        &self.table
    }

    pub(crate) fn with_socket<T>(&self, work: impl FnOnce(&mut Socket) -> T) -> T {
        work(&mut self.socket.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts the table in place as it has to be, with the entries it has now: containers go on
    /// while a new daemon starts.
    pub(crate) fn take_over(&self) -> Result<(), Error> {
        self.with_socket(|socket| {
            let mut kept = |map, key_len| match elements(socket, Family::Ip, &self.table, map) {
                Ok(mut entries) => {
                    // Another version's entries would make the whole transaction fail.
                    entries.retain(|(k, v)| k.len() == key_len && v.len() == TARGET_LEN as usize);
                    Ok(entries)
                }
                Err(e) if e.is_absent() => Ok(Vec::new()),
                Err(e) => Err(e),
            };
            let (any, one) = (kept(ANY, 8)?, kept(ONE, 12)?);
            self.install(socket, &any, &one)
        })
    }

    /// Puts the table in place with exactly these containers' ports.
    pub(crate) fn reset<'e>(
        &self,
        endpoints: impl Iterator<Item = &'e Endpoint>,
    ) -> Result<(), Error> {
        let (mut any, mut one) = (Vec::new(), Vec::new());
        for endpoint in endpoints {
            let (a, o) = entries(endpoint);
            any.extend(a);
            one.extend(o);
        }
        self.with_socket(|socket| self.install(socket, &any, &one))
    }

    /// Whether the table is there at all; `nft flush ruleset` takes it away with everyone's.
    pub(crate) fn is_present(&self) -> Result<bool, Error> {
        self.with_socket(
            |socket| match elements(socket, Family::Ip, &self.table, ANY) {
                Ok(_) => Ok(true),
                Err(e) if e.is_absent() => Ok(false),
                Err(e) => Err(e),
            },
        )
    }

    /// One transaction from whatever is there to the whole table: packets see the old or the
    /// new one, never none.
    fn install(&self, socket: &mut Socket, any: &Entries, one: &Entries) -> Result<(), Error> {
        let mut t = Transaction::new(Family::Ip, &self.table);
        t.add_table();
        t.delete_table();
        t.add_table();
        for (name, key_type, key_len) in [
            (ANY, TYPE_PROTOCOL << 6 | TYPE_PORT, 8),
            (ONE, TYPE_PROTOCOL << 12 | TYPE_ADDRESS << 6 | TYPE_PORT, 12),
        ] {
            t.add_map(Map {
                name,
                key_type,
                key_len,
                data_type: TARGET,
                data_len: TARGET_LEN,
            });
        }
        self.rules(&mut t);
        t.add_elements(ANY, any);
        t.add_elements(ONE, one);
        t.commit(socket)
    }

    fn rules(&self, t: &mut Transaction<'_>) {
        let base = |kind, hook, priority| {
            Some(Base {
                kind,
                hook,
                priority,
            })
        };
        let bridge = self.bridge.as_str();
        let (net, prefix) = (self.subnet.network(), self.subnet.prefix);
        let loopback = Ipv4Addr::new(127, 0, 0, 0);

        t.add_chain("guard", base("filter", Hook::Prerouting, RAW));
        t.add_rule(
            "guard",
            &Rule::new()
                .comment("CVE-2020-8558: nothing from outside reaches 127.0.0.0/8")
                .came_by("lo", false)
                .to_subnet(loopback, 8)
                .verdict(Verdict::Drop),
        );

        t.add_chain("translate", None);
        t.add_rule(
            "translate",
            &Rule::new().translate_by(ONE, &[Key::Protocol, Key::Destination, Key::Port]),
        );
        t.add_rule(
            "translate",
            &Rule::new().translate_by(ANY, &[Key::Protocol, Key::Port]),
        );
        for (chain, hook) in [("arriving", Hook::Prerouting), ("sent", Hook::Output)] {
            t.add_chain(chain, base("nat", hook, DESTINATION_NAT));
            t.add_rule(
                chain,
                &Rule::new()
                    .destination_is(Fib::Local)
                    .verdict(Verdict::Jump("translate")),
            );
        }

        t.add_chain("leaving", base("nat", Hook::Postrouting, SOURCE_NAT));
        t.add_rule(
            "leaving",
            &Rule::new()
                .comment("containers to the outside")
                .from_subnet(net, prefix)
                .goes_by(bridge, false)
                .masquerade(),
        );
        t.add_rule(
            "leaving",
            &Rule::new()
                .comment("a container to a published port: the answer must come back this way")
                .from_subnet(net, prefix)
                .goes_by(bridge, true)
                .connection(Status::DestinationTranslated)
                .masquerade(),
        );
        t.add_rule(
            "leaving",
            &Rule::new()
                .comment("the host's 127.0.0.1 to a published port")
                .from_subnet(loopback, 8)
                .goes_by(bridge, true)
                .masquerade(),
        );

        t.add_chain("to_containers", None);
        let into = |rule: &Rule, t: &mut Transaction<'_>| t.add_rule("to_containers", rule);
        into(
            &Rule::new()
                .connection(Status::Known)
                .verdict(Verdict::Accept),
            t,
        );
        // Where the bridge keeps its ports apart, a container may still send to another one by the
        // bridge's address.
        if self.icc {
            into(
                &Rule::new().came_by(bridge, true).verdict(Verdict::Accept),
                t,
            );
        }
        into(
            &Rule::new()
                .comment("published ports")
                .connection(Status::DestinationTranslated)
                .verdict(Verdict::Accept),
            t,
        );
        into(&Rule::new().comment("all else").verdict(Verdict::Drop), t);
        t.add_chain("forward", base("filter", Hook::Forward, FILTER));
        t.add_rule(
            "forward",
            &Rule::new()
                .goes_by(bridge, true)
                .verdict(Verdict::Jump("to_containers")),
        );

        // A packet to a published port enters and leaves by the bridge, whereupon the host tells
        // its sender of the "shorter" way to the other container, which would then be taken for
        // everything sent to the host's address.
        t.add_chain("redirects", base("filter", Hook::Output, FILTER));
        t.add_rule(
            "redirects",
            &Rule::new()
                .goes_by(bridge, true)
                .icmp(ICMP_REDIRECT)
                .verdict(Verdict::Drop),
        );
    }

    /// Publishes a container's ports.
    pub(crate) fn add(&self, endpoint: &Endpoint) -> Result<(), Error> {
        if endpoint.ports.is_empty() {
            return Ok(());
        }
        let (any, one) = entries(endpoint);
        let attempt = || {
            let mut t = Transaction::new(Family::Ip, &self.table);
            t.add_elements(ANY, &any);
            t.add_elements(ONE, &one);
            self.with_socket(|s| t.commit(s))
        };
        match attempt() {
            // Left over from a removal that failed; the port is ours now.
            Err(e) if e.is_present() => {
                self.remove_each(&any, &one)?;
                attempt()
            }
            other => other,
        }
    }

    /// Withdraws a container's ports; those that are gone already are no error.
    pub(crate) fn remove(&self, endpoint: &Endpoint) -> Result<(), Error> {
        if endpoint.ports.is_empty() {
            return Ok(());
        }
        let (any, one) = entries(endpoint);
        let mut t = Transaction::new(Family::Ip, &self.table);
        t.delete_elements(ANY, &keys(&any));
        t.delete_elements(ONE, &keys(&one));
        match self.with_socket(|s| t.commit(s)) {
            Err(e) if e.is_absent() => self.remove_each(&any, &one),
            other => other,
        }
    }

    fn remove_each(&self, any: &Entries, one: &Entries) -> Result<(), Error> {
        for (map, entries) in [(ANY, any), (ONE, one)] {
            for key in keys(entries) {
                let mut t = Transaction::new(Family::Ip, &self.table);
                t.delete_elements(map, &[key]);
                match self.with_socket(|s| t.commit(s)) {
                    Err(e) if !e.is_absent() => return Err(e),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Deletes the table.
    pub(crate) fn delete(&self) -> Result<(), Error> {
        let mut t = Transaction::new(Family::Ip, &self.table);
        t.add_table();
        t.delete_table();
        self.with_socket(|s| t.commit(s))
    }
}

fn keys(entries: &Entries) -> Vec<Vec<u8>> {
    entries.iter().map(|(k, _)| k.clone()).collect()
}

fn entries(endpoint: &Endpoint) -> (Entries, Entries) {
    let (mut any, mut one) = (Vec::new(), Vec::new());
    for port in &endpoint.ports {
        let (key, value) = (key(port), target(endpoint.ip, port.container_port));
        if port.only_on().is_some() {
            &mut one
        } else {
            &mut any
        }
        .push((key, value));
    }
    (any, one)
}

/// Each part of a key or value is padded to a register of four bytes.
fn key(port: &PublishedPort) -> Vec<u8> {
    let mut key = vec![port.proto.number(), 0, 0, 0];
    if let Some(ip) = port.only_on() {
        key.extend_from_slice(&ip.octets());
    }
    key.extend_from_slice(&port.host_port.to_be_bytes());
    key.extend_from_slice(&[0, 0]);
    key
}

fn target(ip: Ipv4Addr, port: u16) -> Vec<u8> {
    let [high, low] = port.to_be_bytes();
    let mut value = ip.octets().to_vec();
    value.extend_from_slice(&[high, low, 0, 0]);
    value
}
