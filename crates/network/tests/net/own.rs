//! Networks of users' own: both families, apart from one another, and beside others' rules.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use network::{
    AddressSpace, Bridge, Definition, Driver, Gateway, Request, Shared, Subnet, Target, Way,
};
use sys::netns;

use crate::lab::*;

fn space(subnet: &str) -> AddressSpace {
    let mut subnet = Subnet::parse(subnet).unwrap();
    subnet.gateway = subnet.first_host();
    AddressSpace::of(subnet)
}

pub(crate) fn bridge(id: &str, subnets: &[&str]) -> Definition {
    Definition {
        id: id.to_owned(),
        name: id.to_owned(),
        driver: Driver::Bridge(Bridge::new(format!("br-{id}"))),
        spaces: subnets.iter().map(|s| space(s)).collect(),
        internal: false,
        mtu: None,
    }
}

/// A namespace that is in this network, with its way out by it.
fn join(lab: &Lab, net: &Network, network: &str, id: &str) -> (OwnedFd, network::Endpoint) {
    let ns = netns::create().unwrap();
    let request = Request {
        default_route: [true; 2],
        ..Request::default()
    };
    let endpoint = within(&lab.host, || {
        net.fabric.connect(network, id, ns.as_fd(), &request)
    });
    (ns, endpoint.unwrap())
}

pub(crate) fn add(lab: &Lab, net: &Network, definition: &Definition) {
    within(&lab.host, || net.fabric.add(definition)).unwrap();
}

/// Whether a server in `to` that says `name` is reached from `from`.
fn reaches(from: &OwnedFd, ip: impl Into<IpAddr>, port: u16) -> bool {
    let to = SocketAddr::new(ip.into(), port);
    let stream = within(from, || {
        TcpStream::connect_timeout(&to, Duration::from_millis(500))
    });
    let Ok(mut stream) = stream else { return false };
    stream
        .set_read_timeout(Some(Duration::from_secs(2)))
        .unwrap();
    let mut byte = [0];
    std::io::Read::read(&mut stream, &mut byte).is_ok_and(|n| n == 1)
}

#[test]
fn networks_are_apart_in_both_families() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    add(&lab, &net, &bridge("one", &["10.1.0.0/24", "fd01::/64"]));
    add(&lab, &net, &bridge("two", &["10.2.0.0/24", "fd02::/64"]));
    let (a, _) = join(&lab, &net, "one", "a");
    let (b, at_b) = join(&lab, &net, "one", "b");
    let (c, at_c) = join(&lab, &net, "two", "c");
    for ns in [&b, &c] {
        serve_tcp(ns, "[::]:80", "server");
        serve_tcp(ns, "0.0.0.0:81", "server");
    }
    assert!(reaches(&a, at_b.ip6.unwrap(), 80) && reaches(&a, at_b.ip.unwrap(), 81));
    assert!(!reaches(&a, at_c.ip6.unwrap(), 80) && !reaches(&a, at_c.ip.unwrap(), 81));
    assert!(!reaches(&c, at_b.ip6.unwrap(), 80) && !reaches(&c, at_b.ip.unwrap(), 81));
    // Nor from the outside, with a route to them.
    run(
        &lab.outside,
        &format!("ip route add 10.1.0.0/16 via {HOST}"),
    );
    assert!(!reaches(&lab.outside, at_b.ip.unwrap(), 81));
    // The host itself is in each.
    assert!(reaches(&lab.host, at_b.ip6.unwrap(), 80));
    assert!(reaches(&lab.host, at_c.ip.unwrap(), 81));
    within(&lab.host, || net.teardown()).unwrap();
    assert_eq!(lab.nft("list ruleset"), "");
    assert!(!links(&lab).keys().any(|l| l.starts_with("br-")));
}

#[test]
fn ports_are_published_in_ipv6_too() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    run(&lab.host, "ip addr add fd77::1/64 dev up0 nodad");
    run(&lab.outside, "ip addr add fd77::2/64 dev up0 nodad");
    add(&lab, &net, &bridge("six", &["10.1.0.0/24", "fd01::/64"]));
    let (web, at) = join(&lab, &net, "six", "web");
    serve_tcp(&web, "[::]:80", "web");
    let held = within(&lab.host, || {
        let ways = [Some(Way::ANY); 2];
        let reserved = net.fabric.reserve_ports("web", &ways, &[tcp(8080, 80)]);
        let (ip, ip6) = (at.ip, at.ip6);
        let routed = [false; 2];
        let target = Target { ip, ip6, routed };
        net.fabric.publish("web", target).unwrap();
        reserved.unwrap()
    });
    assert_eq!(held.0.len(), 2);
    let outside: Ipv6Addr = "fd77::1".parse().unwrap();
    assert!(reaches(&lab.outside, outside, 8080));
    assert!(reaches(&lab.outside, HOST, 8080));
    assert!(reaches(&lab.host, outside, 8080));
    // To itself, too.
    assert!(reaches(&web, outside, 8080));
    within(&lab.host, || net.fabric.forget("web")).unwrap();
    assert!(!reaches(&lab.outside, outside, 8080));
    assert!(!lab.nft("list ruleset").contains("fd01::2"));
}

#[test]
fn internal_networks_lead_nowhere() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let mut inner = bridge("inner", &["10.1.0.0/24"]);
    inner.internal = true;
    add(&lab, &net, &inner);
    let (a, at_a) = join(&lab, &net, "inner", "a");
    let (b, at_b) = join(&lab, &net, "inner", "b");
    serve_tcp(&b, "0.0.0.0:80", "b");
    serve_tcp(&lab.outside, "0.0.0.0:7", "outside");
    serve_tcp(&lab.host, "0.0.0.0:9", "host");
    assert_eq!(at_a.gateway, None);
    assert!(reaches(&a, at_b.ip.unwrap(), 80));
    // Not even with a route of its own making.
    run(&a, "ip route add default via 10.1.0.1");
    assert!(!reaches(&a, OUTSIDE, 7));
    assert!(!reaches(&a, HOST, 9));
    assert!(reaches(&lab.host, at_b.ip.unwrap(), 80));
}

#[test]
fn a_routed_network_has_its_own_addresses_outside() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let mut routed = bridge("routed", &["10.1.0.0/24"]);
    if let Driver::Bridge(bridge) = &mut routed.driver {
        bridge.gateways[0] = Gateway::Routed;
    }
    add(&lab, &net, &routed);
    run(
        &lab.outside,
        &format!("ip route add 10.1.0.0/24 via {HOST}"),
    );
    let (web, at) = join(&lab, &net, "routed", "web");
    serve_tcp(&web, "0.0.0.0:80", "web");
    serve_tcp(&web, "0.0.0.0:81", "web");
    serve_tcp(&lab.outside, "0.0.0.0:7", "outside");
    assert!(says(&web, OUTSIDE, 7).ends_with(&at.ip.unwrap().to_string()));
    assert!(!reaches(&lab.outside, at.ip.unwrap(), 80));
    let _held = within(&lab.host, || {
        let open = Way {
            translated: false,
            ..Way::ANY
        };
        let ways = [Some(open), None];
        let held = net.fabric.reserve_ports("web", &ways, &[tcp(8080, 80)]);
        let target = Target {
            ip: at.ip,
            routed: [true, false],
            ..Target::default()
        };
        net.fabric.publish("web", target).unwrap();
        held.unwrap()
    });
    assert!(reaches(&lab.outside, at.ip.unwrap(), 80));
    assert!(!reaches(&lab.outside, at.ip.unwrap(), 81));
    assert!(!reaches(&lab.outside, HOST, 8080));
    // The host has no part in it: its port is free.
    within(&lab.host, || TcpListener::bind("0.0.0.0:8080")).unwrap();
}

#[test]
fn links_that_share_the_hosts() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let shared = |id: &str, parent: Option<&str>, subnet: &str| Definition {
        driver: Driver::Shared {
            parent: parent.map(str::to_owned),
            kind: Shared::Macvlan(4),
        },
        ..bridge(id, &[subnet])
    };
    let lan = shared("lan", Some("up0"), "10.77.0.0/24");
    let mut lan = lan;
    lan.spaces[0].gateway = Some(OUTSIDE.into());
    lan.spaces[0].reserved = vec![HOST.into()];
    add(&lab, &net, &lan);
    // Whatever the host's own links are called.
    run(&lab.host, "ip link add eth0 type bridge");
    let (a, at_a) = join(&lab, &net, "lan", "a");
    assert_eq!(at_a.inside, "eth0");
    serve_tcp(&a, "0.0.0.0:80", "a");
    // Its neighbours outside see it itself.
    assert_eq!(
        says(&lab.outside, at_a.ip.unwrap(), 80),
        format!("a {OUTSIDE}")
    );
    within(&lab.host, || {
        net.fabric.disconnect("lan", "a").unwrap();
        net.fabric.unplug("a", a.as_fd(), &at_a).unwrap();
        net.fabric.remove("lan", true).unwrap();
    });
    assert!(links(&lab).contains_key("up0"));
    // A VLAN's link is made and goes with the network; one without a parent leads nowhere.
    let vlan = shared("vlan", Some("up0.7"), "10.7.0.0/24");
    match within(&lab.host, || net.fabric.add(&vlan)) {
        Ok(existed) => {
            assert!(!existed && links(&lab).contains_key("up0.7"));
            within(&lab.host, || net.fabric.remove("vlan", false)).unwrap();
            net.fabric.settle();
            assert!(!links(&lab).contains_key("up0.7"));
        }
        // A kernel without VLANs says so.
        Err(e) => assert!(e.to_string().contains("Unknown device type"), "{e}"),
    }
    add(&lab, &net, &shared("alone", None, "10.8.0.0/24"));
    let (x, _) = join(&lab, &net, "alone", "x");
    let (y, at_y) = join(&lab, &net, "alone", "y");
    serve_tcp(&y, "0.0.0.0:80", "y");
    assert!(reaches(&x, at_y.ip.unwrap(), 80));
    within(&lab.host, || {
        for (network, id) in [("alone", "x"), ("alone", "y")] {
            net.fabric.disconnect(network, id).unwrap();
        }
        net.fabric.remove("alone", false).unwrap();
        net.fabric.settle();
    });
    assert!(!links(&lab).keys().any(|l| l.starts_with("de-")));
    let missing = shared("missing", Some("nowhere0"), "10.9.0.0/24");
    let error = within(&lab.host, || net.fabric.add(&missing)).unwrap_err();
    assert!(error.to_string().contains("nowhere0"), "{error}");
}

#[test]
fn what_overlaps_or_is_in_use_is_refused() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    add(&lab, &net, &bridge("one", &["10.1.0.0/16"]));
    let other = bridge("two", &["10.1.7.0/24"]);
    let error = within(&lab.host, || net.fabric.add(&other)).unwrap_err();
    assert!(error.to_string().contains("Pool overlaps"), "{error}");
    assert!(!links(&lab).contains_key("br-two"));
    let (_a, _) = join(&lab, &net, "one", "a");
    let error = within(&lab.host, || net.fabric.remove("one", false)).unwrap_err();
    assert!(error.to_string().contains("active endpoints"), "{error}");
    within(&lab.host, || {
        net.fabric.disconnect("one", "a").unwrap();
        net.fabric.remove("one", false).unwrap();
        net.fabric.remove("one", false).unwrap();
    });
    assert!(!lab.nft("list ruleset").contains("br-one"));
}

#[test]
fn others_rules_are_left_alone_and_let_us_through_where_it_is_wanted() {
    let lab = Lab::new();
    let theirs = "table ip filter { chain FORWARD { type filter hook forward priority 0; policy drop; \
                  ip saddr 192.0.2.1 accept; }; }";
    run(&lab.host, &format!("nft '{theirs}'"));
    let before = lab.nft("list table ip filter");
    let net = lab.open(&Config::default());
    let web = lab.container(&net, "web", &[tcp(8080, 80)]);
    serve_tcp(&web.ns, "0.0.0.0:80", "web");
    assert!(!reaches(&lab.outside, HOST, 8080));
    let warnings = within(&lab.host, || net.fabric.warnings());
    assert!(warnings[0].contains("ip filter FORWARD"), "{warnings:?}");
    assert_eq!(lab.nft("list table ip filter"), before);
    drop(net);

    let net = lab.open(&Config {
        integrate: true,
        ..Config::default()
    });
    within(&lab.host, || {
        net.restore(&[&web]).unwrap();
        net.fabric.watch().unwrap();
    });
    assert!(reaches(&lab.outside, HOST, 8080));
    assert_eq!(within(&lab.host, || net.fabric.warnings()), [""; 0]);
    let listed = lab.nft("list table ip filter");
    assert!(listed.contains("192.0.2.1") && listed.contains("wharf: to wharf0"));
    // What they reload is noticed.
    run(&lab.host, &format!("nft 'flush ruleset; {theirs}'"));
    until("the port to be open again", || {
        reaches(&lab.outside, HOST, 8080)
    });
    add(&lab, &net, &bridge("one", &["10.1.0.0/24"]));
    assert!(lab.nft("list table ip filter").contains("wharf: to br-one"));
    within(&lab.host, || net.fabric.remove("one", false)).unwrap();
    assert!(!lab.nft("list table ip filter").contains("br-one"));
    // The operator's own chain comes first, whatever we let pass.
    lab.nft("add rule inet wharf-user forward meta l4proto tcp ct original proto-dst 8080 drop");
    assert!(!reaches(&lab.outside, HOST, 8080));
    drop(net);
    let net = lab.open(&Config::default());
    within(&lab.host, || net.restore(&[&web])).unwrap();
    assert!(lab.nft("list table inet wharf-user").contains("8080"));
}

/// Firewalls that let pass by policy, and end in a rule that lets nobody pass.
#[test]
fn chains_that_end_in_a_drop_are_found() {
    let firewalld = "table inet firewalld { \
        chain filter_FORWARD { type filter hook forward priority 10; policy accept; \
            ct state established,related accept; ct status dnat accept; iifname \"lo\" accept; \
            jump zones; ct state invalid drop; reject with icmpx admin-prohibited; }; \
        chain zones { iifname \"eth9\" goto public; }; \
        chain public { counter; drop; }; }";
    let jumps = "table ip filter { chain last { ip saddr 192.0.2.1 accept; counter; drop; }; \
        chain FORWARD { type filter hook forward priority 0; policy accept; jump last; }; }";
    let harmless = "table ip filter { chain last { iifname \"eth9\" drop; return; }; \
        chain FORWARD { type filter hook forward priority 0; policy accept; jump last; \
            ct state invalid drop; accept; drop; }; }";
    // Whoever drops what comes from our bridge does not let it pass.
    let against = "table ip filter { chain FORWARD { type filter hook forward priority 0; \
        policy drop; iifname \"wharf0\" drop; oifname \"wharf0\" drop; }; }";
    for (rules, chain) in [
        (firewalld, Some("inet firewalld filter_FORWARD")),
        (jumps, Some("ip filter FORWARD")),
        (against, Some("ip filter FORWARD")),
        (harmless, None),
    ] {
        let lab = Lab::new();
        run(&lab.host, &format!("nft '{rules}'"));
        let net = lab.open(&Config {
            integrate: false,
            ..Config::default()
        });
        let web = lab.container(&net, "web", &[tcp(8080, 80)]);
        serve_tcp(&web.ns, "0.0.0.0:80", "web");
        let out = || reaches(&web.ns, OUTSIDE, 9);
        serve_tcp(&lab.outside, "0.0.0.0:9", "outside");
        let warnings = within(&lab.host, || net.fabric.warnings());
        assert_eq!(out(), chain.is_none(), "{rules}");
        match chain {
            Some(chain) => assert!(warnings[0].contains(chain), "{warnings:?}"),
            None => assert_eq!(warnings, [""; 0]),
        }
        drop(net);
        let net = lab.open(&Config {
            integrate: true,
            ..Config::default()
        });
        within(&lab.host, || net.restore(&[&web])).unwrap();
        assert!(out(), "{rules}");
        assert_eq!(within(&lab.host, || net.fabric.warnings()), [""; 0]);
    }
}

/// Links that a killed daemon had no time to delete go with the next one's start, and nobody else's do.
#[test]
fn links_of_networks_that_nobody_knows() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    add(&lab, &net, &bridge("known", &["10.1.0.0/24"]));
    let mark = links(&lab)["br-known"].alias.clone();
    assert!(!mark.is_empty());
    run(
        &lab.host,
        &format!(
            "ip link add br-stray type bridge && ip link set br-stray alias '{mark}' && ip link add \
             br-other type bridge && ip link set br-other alias 'someone' && ip link add br-theirs \
             type bridge"
        ),
    );
    within(&lab.host, || net.restore(&[])).unwrap();
    let left = links(&lab);
    assert!(!left.contains_key("br-stray"));
    for link in ["br-known", "br-other", "br-theirs", "wharf0"] {
        assert!(left.contains_key(link), "{link}");
    }
}

/// The name and the subnet of a network can be used again at once.
#[test]
fn a_bridge_on_its_way_out_is_in_nobodys_way() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let one = bridge("one", &["10.1.0.0/24"]);
    for _ in 0..10 {
        within(&lab.host, || {
            assert!(!net.fabric.add(&one).unwrap(), "an old one was found");
            net.fabric.remove("one", false).unwrap();
        });
        assert_eq!(run(&lab.host, "ip route show 10.1.0.0/24"), "");
    }
    net.fabric.settle();
    assert!(!links(&lab).contains_key("br-one"));
}

#[test]
fn what_the_kernel_does_not_have_is_said_when_a_network_is_made() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let definition = Definition {
        driver: Driver::Shared {
            parent: Some("up0".into()),
            kind: Shared::Ipvlan(0, 0),
        },
        ..bridge("vlan", &["10.77.0.0/24"])
    };
    if let Err(error) = within(&lab.host, || net.fabric.add(&definition)) {
        let text = error.to_string();
        assert!(text.contains("links of the kind ipvlan"), "{text}");
    }
}
