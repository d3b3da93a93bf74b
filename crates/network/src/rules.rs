//! What is in a table: the chains that the kernel runs, and those of each network.

use std::net::Ipv4Addr;

use sys::netlink::octets;
use sys::nft::{Base, Data, Fib, Hook, Key, Map, Rule, Status, Transaction, Verdict};

use crate::definition::{Bridge, Definition, Gateway};
use crate::firewall::{
    ANY, BRIDGES, FROM, INTO, LEAVING, ONE, OPEN, RANGES, TO_HOST, by_link, family, one_key,
};
use crate::subnet::{Subnet, number};

const TYPE_IPV4: u32 = 7;
const TYPE_IPV6: u32 = 8;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const TYPE_LINK: u32 = 41;
const LINK_LEN: u32 = 16;

const RAW: i32 = -300;
const DESTINATION_NAT: i32 = -100;
const FILTER: i32 = 0;
const SOURCE_NAT: i32 = 100;
/// The types of ICMP and ICMPv6 that tell of a shorter way.
const ICMP_REDIRECT: [u8; 2] = [5, 137];

const LINK_LOCAL: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0);
const LOOPBACK: (std::net::IpAddr, u8) = (std::net::IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)), 8);

/// The chains that the kernel runs, and the maps.
pub(crate) fn base(t: &mut Transaction<'_>, ipv4: bool) {
    maps(t, ipv4);
    if ipv4 {
        chain(t, "guard", "filter", Hook::Prerouting, RAW);
        t.add_rule(
            "guard",
            &Rule::new()
                .comment("CVE-2020-8558: nothing from outside reaches 127.0.0.0/8")
                .came_by("lo", false)
                .to_subnet(LOOPBACK.0, LOOPBACK.1, true)
                .verdict(Verdict::Drop),
        );
        // Translating for 127.0.0.1 takes the kernel's own check away.
        t.add_rule(
            "guard",
            &Rule::new()
                .comment("nor says that it comes from there")
                .came_by("lo", false)
                .from_subnet(LOOPBACK.0, LOOPBACK.1)
                .verdict(Verdict::Drop),
        );
    }

    t.add_chain("translate", None);
    let family = family(ipv4);
    for rule in [
        Rule::new().translate_by(family, ONE, &one_key(ipv4)),
        Rule::new().translate_by(family, ANY, &[Key::Protocol, Key::Port]),
        Rule::new().translate_address_by(family, RANGES, &one_key(ipv4)),
    ] {
        t.add_rule("translate", &rule);
    }
    for (name, hook) in [("arriving", Hook::Prerouting), ("sent", Hook::Output)] {
        chain(t, name, "nat", hook, DESTINATION_NAT);
        let mut rule = Rule::new().destination_is(Fib::Local);
        if !ipv4 && hook == Hook::Output {
            // What leaves by `lo` with that source cannot be sent elsewhere.
            rule = rule.to_subnet(std::net::Ipv6Addr::LOCALHOST.into(), 128, false);
        }
        t.add_rule(name, &rule.verdict(Verdict::Jump("translate")));
    }

    chain(t, "leaving", "nat", Hook::Postrouting, SOURCE_NAT);
    t.add_rule(
        "leaving",
        &Rule::new().jump_by(LEAVING, &[Key::Source(family)]),
    );
    if ipv4 {
        t.add_rule(
            "leaving",
            &Rule::new()
                .comment("the host's 127.0.0.1 to a published port")
                .from_subnet(LOOPBACK.0, LOOPBACK.1)
                .is_in(BRIDGES, &[Key::GoesBy], true)
                .masquerade(),
        );
    }

    chain(t, "forward", "filter", Hook::Forward, FILTER);
    t.add_rule("forward", &Rule::new().jump_by(FROM, &[Key::CameBy]));
    t.add_rule("forward", &Rule::new().jump_by(INTO, &[Key::GoesBy]));

    chain(t, "to_host", "filter", Hook::Input, FILTER);
    t.add_rule("to_host", &Rule::new().jump_by(TO_HOST, &[Key::CameBy]));

    // A packet to a published port enters and leaves by the bridge, whereupon the host tells
    // its sender of the "shorter" way to the other container, which would then be taken for
    // everything sent to the host's address.
    chain(t, "redirects", "filter", Hook::Output, FILTER);
    t.add_rule(
        "redirects",
        &Rule::new()
            .is_in(BRIDGES, &[Key::GoesBy], true)
            .icmp(family, Some(ICMP_REDIRECT[usize::from(!ipv4)]))
            .verdict(Verdict::Drop),
    );
}

fn maps(t: &mut Transaction<'_>, ipv4: bool) {
    let (address, len) = if ipv4 {
        (TYPE_IPV4, 4)
    } else {
        (TYPE_IPV6, 16)
    };
    let target = Data::Value(address << 6 | TYPE_PORT, len + 4);
    let one = TYPE_PROTOCOL << 12 | address << 6 | TYPE_PORT;
    let to = Data::Value(address, len);
    let fields = [1, len, 2];
    let all = [
        (ANY, TYPE_PROTOCOL << 6 | TYPE_PORT, 8, target),
        (ONE, one, len + 8, target),
        (RANGES, one, len + 8, to),
        (OPEN, one, len + 8, Data::None),
        (BRIDGES, TYPE_LINK, LINK_LEN, Data::None),
        (INTO, TYPE_LINK, LINK_LEN, Data::Jump),
        (FROM, TYPE_LINK, LINK_LEN, Data::Jump),
        (LEAVING, address, len, Data::Jump),
        (TO_HOST, TYPE_LINK, LINK_LEN, Data::Jump),
    ];
    for (name, key_type, key_len, data) in all {
        t.add_map(Map {
            name,
            key_type,
            key_len,
            data,
            intervals: [LEAVING, RANGES, OPEN].contains(&name),
            fields: if [RANGES, OPEN].contains(&name) {
                &fields
            } else {
                &[]
            },
            links: key_type == TYPE_LINK,
        });
    }
}

fn chain(t: &mut Transaction<'_>, name: &str, kind: &'static str, hook: Hook, priority: i32) {
    let base = Base {
        kind,
        hook,
        priority,
    };
    t.add_chain(name, Some(base));
}

/// The map that leads to each kind of a network's chains, and what it is called.
fn chains(link: &str) -> [(&'static str, String); 4] {
    [INTO, FROM, LEAVING, TO_HOST].map(|map| (map, format!("{map}-{link}")))
}

/// A network's chains, and the entries that lead to them. One that shares a link of the host's has
/// none: its packets do not pass here.
pub(crate) fn add(t: &mut Transaction<'_>, ipv4: bool, network: &Definition) {
    let Some(bridge) = network.bridge() else {
        return;
    };
    let key = by_link(&bridge.link);
    for (_, name) in chains(&bridge.link) {
        t.add_chain(&name, None);
        // A daemon before this one may have filled it.
        t.flush_chain(&name);
    }
    let [into, from, leaving, to_host] = chains(&bridge.link).map(|(_, name)| name);
    into_rules(t, &into, ipv4, network, bridge);
    if network.internal {
        t.add_rule(
            &from,
            &Rule::new()
                .comment("an internal network leads nowhere")
                .goes_by(&bridge.link, false)
                .verdict(Verdict::Drop),
        );
        let own = network.spaces_of(ipv4).map(|s| s.subnet);
        let own = own.map(|s| (s.network(), s.prefix));
        // By which neighbours ask for one another.
        let neighbours = (!ipv4).then_some((LINK_LOCAL.into(), 10));
        if !ipv4 {
            // Not more than that, and answers: the host listens for the relay, which would lead to
            // what other networks publish.
            let known = Rule::new().connection(Status::Known);
            t.add_rule(&to_host, &known.verdict(Verdict::Accept));
        }
        for (ip, prefix) in own.chain(neighbours) {
            let mut rule = Rule::new().to_subnet(ip, prefix, true);
            if !ipv4 {
                rule = rule.icmp(family(ipv4), None);
            }
            t.add_rule(&to_host, &rule.verdict(Verdict::Accept));
        }
        t.add_rule(
            &to_host,
            &Rule::new()
                .comment("nor to other addresses of the host's")
                .destination_is(Fib::Local)
                .verdict(Verdict::Drop),
        );
    } else {
        leaving_rules(t, &leaving, ipv4, network, bridge);
    }
    for (map, name) in chains(&bridge.link) {
        if map == LEAVING {
            for (first, end) in ranges(network, ipv4) {
                t.add_range(map, &first, end.as_deref(), &name);
            }
        } else {
            t.add_jump(map, &key, &name);
        }
    }
    t.add_keys(BRIDGES, &[key]);
}

/// The addresses of a network's subnets, each from the first to the one after the last.
fn ranges(network: &Definition, ipv4: bool) -> Vec<(Vec<u8>, Option<Vec<u8>>)> {
    let range = |subnet: Subnet| {
        let after = number(subnet.last()).checked_add(1);
        let after = after.filter(|n| !ipv4 || *n <= u128::from(u32::MAX));
        let end = after.map(|n| octets(subnet.address(n)));
        (octets(subnet.network()), end)
    };
    network.spaces_of(ipv4).map(|s| range(s.subnet)).collect()
}

/// What may go to containers.
fn into_rules(
    t: &mut Transaction<'_>,
    chain: &str,
    ipv4: bool,
    network: &Definition,
    bridge: &Bridge,
) {
    let family = family(ipv4);
    let mut rule = |rule: Rule| t.add_rule(chain, &rule);
    // Where the bridge keeps its ports apart, a container may still send to another one by the
    // bridge's address.
    let same = || Rule::new().came_by(&bridge.link, true);
    if network.internal {
        if bridge.icc {
            rule(same().verdict(Verdict::Accept));
        }
        let end = Rule::new().comment("nothing enters an internal network");
        rule(end.verdict(Verdict::Drop));
        return;
    }
    rule(
        Rule::new()
            .connection(Status::Known)
            .verdict(Verdict::Accept),
    );
    if bridge.icc {
        rule(same().verdict(Verdict::Accept));
    }
    let others = || Rule::new().is_in(BRIDGES, &[Key::CameBy], false);
    match bridge.gateway(ipv4) {
        Gateway::NatUnprotected => rule(
            others()
                .comment("open to whoever has a route")
                .verdict(Verdict::Accept),
        ),
        Gateway::Routed => {
            let key = one_key(ipv4);
            rule(Rule::new().is_in(OPEN, &key, true).verdict(Verdict::Accept));
            rule(others().icmp(family, None).verdict(Verdict::Accept));
        }
        Gateway::Nat | Gateway::Isolated => {}
    }
    rule(
        Rule::new()
            .comment("published ports")
            .connection(Status::DestinationTranslated)
            .verdict(Verdict::Accept),
    );
    rule(Rule::new().comment("all else").verdict(Verdict::Drop));
}

/// Which source addresses become which.
fn leaving_rules(
    t: &mut Transaction<'_>,
    chain: &str,
    ipv4: bool,
    network: &Definition,
    bridge: &Bridge,
) {
    for space in network.spaces_of(ipv4) {
        let ours = || Rule::new().from_subnet(space.subnet.network(), space.subnet.prefix);
        t.add_rule(
            chain,
            &ours()
                .comment("a container to a published port: the answer must come back this way")
                .is_in(BRIDGES, &[Key::GoesBy], true)
                .connection(Status::DestinationTranslated)
                .masquerade(),
        );
        let translated = matches!(bridge.gateway(ipv4), Gateway::Nat | Gateway::NatUnprotected);
        if !bridge.masquerade || !translated {
            continue;
        }
        let out = ours()
            .comment("containers to the outside")
            .is_in(BRIDGES, &[Key::GoesBy], false);
        let rule = match bridge.source[usize::from(!ipv4)] {
            Some(ip) => out.source_becomes(ip),
            None => out.masquerade(),
        };
        t.add_rule(chain, &rule);
    }
}

/// Takes away what [`add`] made; what is not there makes the transaction fail.
pub(crate) fn remove(t: &mut Transaction<'_>, ipv4: bool, network: &Definition) {
    let Some(bridge) = network.bridge() else {
        return;
    };
    let key = by_link(&bridge.link);
    t.delete_elements(BRIDGES, std::slice::from_ref(&key));
    for (map, name) in chains(&bridge.link) {
        if map == LEAVING {
            for (first, end) in ranges(network, ipv4) {
                t.delete_range(map, &first, end.as_deref());
            }
        } else {
            t.delete_elements(map, std::slice::from_ref(&key));
        }
        t.flush_chain(&name);
        t.delete_chain(&name);
    }
}
