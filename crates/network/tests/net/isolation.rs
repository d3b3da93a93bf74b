//! What must not pass, and what must not be touched.

use network::Proto;

use crate::lab::*;

#[test]
fn a_port_published_on_localhost_is_not_reached_from_outside() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let local = |proto| publish(proto, Some("127.0.0.1"), 8080, 80);
    let web = lab.container(&net, "web", &[local(Proto::Tcp), local(Proto::Udp)]);
    let other = lab.container(&net, "other", &[]);
    serve_tcp(&web.ns, "0.0.0.0:80", "web");
    serve_udp(&web.ns, "0.0.0.0:80", "web");
    assert!(says(&lab.host, LOCALHOST, 8080).starts_with("web "));
    assert!(udp_says(&lab.host, LOCALHOST, 8080).starts_with("web "));
    let gateway = web.connected.endpoint.gateway.unwrap();
    for ip in [HOST, gateway] {
        for ns in [&lab.outside, &other.ns] {
            assert!(is_blocked(ns, ip, 8080));
            assert!(udp_is_blocked(ns, ip, 8080));
        }
    }
    // Nor with packets that name 127.0.0.1 itself.
    send_localhost_by(&lab.outside, &HOST.to_string(), "up0");
    assert!(is_blocked(&lab.outside, LOCALHOST, 8080));
    assert!(udp_is_blocked(&lab.outside, LOCALHOST, 8080));
}

/// Lets a namespace send packets for 127.0.0.1 to its gateway, as an attacker would.
fn send_localhost_by(ns: &std::os::fd::OwnedFd, gateway: &str, link: &str) {
    run(
        ns,
        &format!(
            "echo 1 > /proc/sys/net/ipv4/conf/{link}/route_localnet && \
             ip addr del 127.0.0.1/8 dev lo && ip route add 127.0.0.1/32 via {gateway} dev {link}"
        ),
    );
}

#[test]
fn nobody_else_reaches_the_hosts_loopback() {
    // CVE-2020-8558, from a container (whose bridge has route_localnet) and from outside, even
    // with route_localnet on every link.
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[]);
    serve_tcp(&lab.host, "127.0.0.1:9", "secret");
    serve_udp(&lab.host, "127.0.0.1:9", "secret");
    run(
        &lab.host,
        "echo 1 > /proc/sys/net/ipv4/conf/all/route_localnet",
    );
    send_localhost_by(
        &c.ns,
        &c.connected.endpoint.gateway.unwrap().to_string(),
        "eth0",
    );
    send_localhost_by(&lab.outside, &HOST.to_string(), "up0");
    for ns in [&c.ns, &lab.outside] {
        assert!(is_blocked(ns, LOCALHOST, 9));
        assert!(udp_is_blocked(ns, LOCALHOST, 9));
    }
    // The attack is real: without the guard it succeeds.
    lab.nft("flush chain ip wharf guard");
    for ns in [&c.ns, &lab.outside] {
        assert!(says(ns, LOCALHOST, 9).starts_with("secret "));
    }
}

#[test]
fn what_is_not_published_is_not_reached_from_outside() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let web = lab.container(&net, "web", &[tcp(8080, 80)]);
    serve_tcp(&web.ns, "0.0.0.0:80", "web");
    serve_tcp(&web.ns, "0.0.0.0:81", "web");
    serve_udp(&web.ns, "0.0.0.0:81", "web");
    run(
        &lab.outside,
        &format!("ip route add {} via {HOST}", net.subnet()),
    );
    // Not by the container's own address either: a published port is one on the host.
    for port in [80, 81] {
        assert!(is_blocked(&lab.outside, web.ip(), port));
    }
    assert!(udp_is_blocked(&lab.outside, web.ip(), 81));
    // The route is right: what is published is reached, and without our rule the rest is too.
    assert_eq!(says(&lab.outside, HOST, 8080), format!("web {OUTSIDE}"));
    lab.nft("flush chain ip wharf forward");
    assert_eq!(says(&lab.outside, web.ip(), 81), format!("web {OUTSIDE}"));
}

#[test]
fn two_daemons_in_one_namespace_do_not_disturb_each_other() {
    let lab = Lab::new();
    let second = Config {
        bridge: Some("br-two".into()),
        ..Config::default()
    };
    let (one, two) = (lab.open(&Config::default()), lab.open(&second));
    assert!(!one.subnet().overlaps(two.subnet()));
    let a = lab.container(&one, "a", &[tcp(8081, 80)]);
    let b = lab.container(&two, "b", &[tcp(8082, 80)]);
    serve_tcp(&a.ns, "0.0.0.0:80", "a");
    serve_tcp(&b.ns, "0.0.0.0:80", "b");
    let both = || {
        assert_eq!(says(&lab.outside, HOST, 8081), format!("a {OUTSIDE}"));
        assert_eq!(says(&lab.outside, HOST, 8082), format!("b {OUTSIDE}"));
        assert!(says(&lab.host, LOCALHOST, 8081).starts_with("a "));
        assert!(says(&lab.host, LOCALHOST, 8082).starts_with("b "));
    };
    both();
    // One network's containers reach the other's published ports, and nothing else of it.
    assert!(says(&a.ns, HOST, 8082).starts_with("b "));
    assert!(is_blocked(&a.ns, b.ip(), 80));
    let again = lab.open(&second);
    within(&lab.host, || again.restore(&[&b])).unwrap();
    both();
    // A port that the other daemon holds is refused as anyone's.
    let taken = lab.try_container(&again, "c", &[tcp(8081, 80)], &network::Request::default());
    let text = taken.err().unwrap().to_string();
    assert!(
        text.contains("0.0.0.0:8081") && text.contains("address already in use"),
        "{text}"
    );
    within(&lab.host, || again.teardown()).unwrap();
    assert_eq!(says(&lab.outside, HOST, 8081), format!("a {OUTSIDE}"));
    assert!(links(&lab).contains_key("wharf0") && !links(&lab).contains_key("br-two"));
    assert!(!lab.nft("list tables").contains("br-two"));
}

#[test]
fn foreign_rules_are_untouched_and_those_in_the_way_are_named() {
    let lab = Lab::new();
    lab.nft(
        "'table inet theirs {
            set s { type ipv4_addr; elements = { 10.9.9.9 }; }
            chain passing {
              type filter hook forward priority 0; policy drop;
              ip saddr @s accept;
            }
          }
          table ip quiet { chain passing { type filter hook forward priority 5; policy accept; }; }'",
    );
    let before = (
        lab.nft("list table inet theirs"),
        lab.nft("list table ip quiet"),
    );
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    serve_tcp(&lab.outside, "0.0.0.0:7", "outside");
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    assert!(is_blocked(&c.ns, OUTSIDE, 7));
    let warnings = within(&lab.host, || net.warnings());
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("'inet theirs passing'"),
        "{warnings:?}"
    );
    let after = (
        lab.nft("list table inet theirs"),
        lab.nft("list table ip quiet"),
    );
    assert_eq!(before, after);
    // The rules it advises help, and the warning is gone.
    for rule in warnings[0].split("nft ").skip(1) {
        let rule = rule.split(" accept").next().unwrap();
        lab.nft(&format!("'{rule} accept'"));
    }
    assert!(says(&c.ns, OUTSIDE, 7).starts_with("outside"));
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
    assert_eq!(within(&lab.host, || net.warnings()), Vec::<String>::new());
    within(&lab.host, || net.teardown()).unwrap();
    assert_eq!(lab.nft("list table ip quiet"), before.1);
}

#[test]
fn a_legacy_firewall_in_the_way_is_named() {
    let lab = Lab::new();
    if run(&lab.host, "command -v iptables-legacy || true").is_empty() {
        return; // not on this machine; the kernel's side of it cannot be set up without
    }
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[]);
    serve_tcp(&lab.outside, "0.0.0.0:7", "outside");
    let warnings = || within(&lab.host, || net.warnings());
    // Looking does not make the table.
    assert_eq!(warnings(), Vec::<String>::new());
    assert_eq!(
        run(&lab.host, "cat /proc/thread-self/net/ip_tables_names"),
        ""
    );
    run(&lab.host, "iptables-legacy -A FORWARD -i other -j ACCEPT");
    assert_eq!(warnings(), Vec::<String>::new());
    run(&lab.host, "iptables-legacy -P FORWARD DROP");
    assert!(is_blocked(&c.ns, OUTSIDE, 7));
    let found = warnings();
    assert_eq!(found.len(), 1, "{found:?}");
    for rule in found[0].split("iptables-legacy ").skip(1) {
        run(
            &lab.host,
            &format!(
                "iptables-legacy {} ACCEPT",
                rule.split(" ACCEPT").next().unwrap()
            ),
        );
    }
    assert!(says(&c.ns, OUTSIDE, 7).starts_with("outside"));
    assert_eq!(warnings(), Vec::<String>::new());
}

#[test]
fn nobody_else_says_that_it_is_the_hosts_loopback() {
    // The bridge has route_localnet, which takes the kernel's own check away.
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[]);
    let gateway = c.connected.endpoint.gateway.unwrap();
    let listener = within(&lab.host, || {
        std::net::UdpSocket::bind("0.0.0.0:9").unwrap()
    });
    run(
        &c.ns,
        "echo 1 > /proc/sys/net/ipv4/conf/eth0/route_localnet && \
         ip addr del 127.0.0.1/8 dev lo && ip addr add 127.0.0.9/32 dev eth0",
    );
    let send = |from: &str| {
        within(&c.ns, || {
            let socket = std::net::UdpSocket::bind((from, 0)).unwrap();
            socket.send_to(from.as_bytes(), (gateway, 9)).unwrap();
        });
    };
    send("127.0.0.9");
    // What was sent before it would be there before it.
    send(&c.ip().to_string());
    let mut bytes = [0; 64];
    let (n, _) = listener.recv_from(&mut bytes).unwrap();
    assert_eq!(bytes[..n], *c.ip().to_string().as_bytes());
}
