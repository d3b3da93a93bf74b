//! Coming, going, and a daemon that dies in between.

use std::net::{IpAddr, Ipv4Addr};
use std::os::fd::AsFd;
use std::thread;

use network::{Living, Published, PublishedPort, Request, Target};
use sys::netns;

use crate::lab::*;
use crate::own::{add, bridge};

/// Forgets a network as a killed daemon would: nothing is undone.
fn crash(net: Network) {
    drop(net);
}

#[test]
fn disconnecting_leaves_nothing_and_may_be_repeated() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let before = (lab.nft("list ruleset"), links(&lab).len());
    let c = lab.container(&net, "c", &[tcp(8080, 80), publish_local()]);
    assert_ne!(before, (lab.nft("list ruleset"), links(&lab).len()));
    for _ in 0..2 {
        within(&lab.host, || net.disconnect("c")).unwrap();
        net.settle();
        assert_eq!(before, (lab.nft("list ruleset"), links(&lab).len()));
    }
    within(&lab.host, || net.disconnect("never there")).unwrap();
    drop(c);
    within(&lab.host, || net.teardown()).unwrap();
    assert_eq!(lab.nft("list ruleset"), "");
    assert!(!links(&lab).contains_key("wharf0"));
}

fn publish_local() -> network::PortRequest {
    publish(network::Proto::Udp, Some("127.0.0.1"), 53, 53)
}

#[test]
fn a_namespace_may_be_connected_again_at_once() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    let Container { ns, connected, .. } = c;
    drop(connected);
    let request = vec![tcp(8080, 80)];
    let again = within(&lab.host, || {
        net.disconnect("c").unwrap();
        net.connect("c", ns.as_fd(), &request, &Request::default())
            .unwrap()
    });
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
    drop(again);
}

#[test]
fn a_failed_connect_leaves_nothing() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[]);
    let before = (lab.nft("list ruleset"), links(&lab).len());
    // A second eth0 in one namespace cannot be.
    let request = vec![tcp(8080, 80)];
    let failed = within(&lab.host, || {
        net.connect("d", c.ns.as_fd(), &request, &Request::default())
    });
    assert!(failed.is_err());
    net.settle();
    assert_eq!(before, (lab.nft("list ruleset"), links(&lab).len()));
    let d = lab
        .try_container(&net, "d", &request, &Request::default())
        .unwrap();
    assert_eq!(d.port(), 8080);
}

#[test]
fn a_restarted_daemon_takes_over() {
    let lab = Lab::new();
    let net = lab.open(&Config {
        bip: Some("10.5.0.1/24".into()),
        ..Config::default()
    });
    let live = lab.container(&net, "live", &[tcp(8080, 80), udp(8080, 80)]);
    let dead = lab.container(&net, "dead", &[tcp(8081, 80)]);
    serve_tcp(&live.ns, "0.0.0.0:80", "live");
    serve_udp(&live.ns, "0.0.0.0:80", "live");
    serve_tcp(&lab.outside, "0.0.0.0:7", "outside");
    let (mut inbound, _) = dial(&lab.outside, HOST, 8080);
    let (mut local, _) = dial(&lab.host, LOCALHOST, 8080);
    let (mut outbound, _) = dial(&live.ns, OUTSIDE, 7);
    crash(net);
    let mut works = || {
        for stream in [&mut inbound, &mut local, &mut outbound] {
            echoes(stream);
        }
        assert_eq!(says(&lab.outside, HOST, 8080), format!("live {OUTSIDE}"));
        assert_eq!(
            udp_says(&lab.outside, HOST, 8080),
            format!("live {OUTSIDE}")
        );
        assert!(says(&lab.host, LOCALHOST, 8080).starts_with("live "));
    };
    works();
    // Without the option the bridge keeps the address it has.
    let net = lab.open(&Config::default());
    assert_eq!(net.subnet().to_string(), "10.5.0.0/24");
    works();
    let dead_link = dead.connected.endpoint.link.clone();
    assert!(links(&lab).contains_key(&dead_link));
    within(&lab.host, || net.restore(&[&live])).unwrap();
    works();
    assert!(!links(&lab).contains_key(&dead_link));
    assert!(links(&lab).contains_key(&live.connected.endpoint.link));
    assert!(!lab.nft("list ruleset").contains("8081"));
    // What is in use is known: neither address nor port is given again.
    let refused = vec![tcp(8080, 80)];
    let text = lab
        .try_container(&net, "x", &refused, &Request::default())
        .err()
        .unwrap()
        .to_string();
    assert!(
        text.contains("already allocated") && text.contains("live"),
        "{text}"
    );
    let next = lab.container(&net, "next", &[]);
    assert_ne!(next.ip(), live.ip());
    within(&lab.host, || net.disconnect("live")).unwrap();
    net.settle();
    assert!(!links(&lab).contains_key(&live.connected.endpoint.link));
}

#[test]
fn what_others_took_away_is_put_back() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    let whole = lab.nft("list ruleset");
    assert!(!within(&lab.host, || net.repair()).unwrap());
    lab.nft("flush ruleset");
    assert!(within(&lab.host, || net.repair()).unwrap());
    assert_eq!(lab.nft("list ruleset"), whole);
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
    // A daemon that starts finds a missing bridge and a stray link, too.
    crash(net);
    run(&lab.host, "ip link del wharf0");
    let net = lab.open(&Config::default());
    within(&lab.host, || net.restore(&[&c])).unwrap();
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
}

#[test]
fn many_connect_and_leave_at_once() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let before = (lab.nft("list ruleset"), links(&lab).len());
    let spaces: Vec<_> = (0..50).map(|_| netns::create().unwrap()).collect();
    let connected = within(&lab.host, || {
        thread::scope(|scope| {
            let (net, lab) = (&net, &lab);
            let threads: Vec<_> = spaces
                .iter()
                .enumerate()
                .map(|(i, ns)| {
                    scope.spawn(move || {
                        let host = 20_000 + i as u16;
                        let request = vec![tcp(host, 80)];
                        let c = net
                            .connect(&format!("c{i}"), ns.as_fd(), &request, &Request::default())
                            .unwrap();
                        // It works at once, not only when all is quiet.
                        serve_tcp(ns, "0.0.0.0:80", "one");
                        assert_eq!(says(&lab.outside, HOST, host), format!("one {OUTSIDE}"));
                        c
                    })
                })
                .collect();
            threads
                .into_iter()
                .map(|t| t.join().unwrap())
                .collect::<Vec<_>>()
        })
    });
    let mut ips: Vec<_> = connected.iter().map(|c| c.endpoint.ip.unwrap()).collect();
    ips.sort();
    ips.dedup();
    assert_eq!(ips.len(), 50);
    within(&lab.host, || {
        thread::scope(|scope| {
            for i in 0..50 {
                let net = &net;
                scope.spawn(move || net.disconnect(&format!("c{i}")).unwrap());
            }
        });
    });
    net.settle();
    assert_eq!(before, (lab.nft("list ruleset"), links(&lab).len()));
}

#[test]
fn opening_twice_changes_nothing() {
    let lab = Lab::new();
    let net = lab.open(&Config {
        mtu: Some(1400),
        ..Config::default()
    });
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    let before = lab.nft("list ruleset");
    drop(net);
    let _net = lab.open(&Config {
        mtu: Some(1400),
        ..Config::default()
    });
    assert_eq!(before, lab.nft("list ruleset"));
    assert_eq!(links(&lab)["wharf0"].mtu, 1400);
    assert!(run(&c.ns, "ip link show eth0").contains("mtu 1400"));
}

#[test]
fn nonsense_is_refused() {
    let lab = Lab::new();
    let refused = |config: Config| {
        within(&lab.host, || Network::open(&config))
            .err()
            .unwrap()
            .to_string()
    };
    let bip = |b: &str| Config {
        bip: Some(b.into()),
        ..Config::default()
    };
    assert!(refused(bip("nonsense")).contains("nonsense"));
    assert!(refused(bip("10.0.0.0/24")).contains("subnet's own"));
    let bridge = |b: &str| Config {
        bridge: Some(b.into()),
        ..Config::default()
    };
    assert!(refused(bridge("a/b")).contains("a/b"));
    assert!(refused(bridge("up0")).contains("not a bridge"));
}

#[test]
fn a_watched_table_comes_back_by_itself() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    within(&lab.host, || net.watch()).unwrap();
    let whole = lab.nft("list ruleset");
    for _ in 0..3 {
        lab.nft("flush ruleset");
        until("the table to be put back", || {
            lab.nft("list ruleset") == whole
        });
    }
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
}

#[test]
fn a_watched_table_is_put_right_whatever_is_changed_in_it() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    within(&lab.host, || net.watch()).unwrap();
    // Tables are listed in the order that they were made in.
    let list = || {
        let all = lab.nft("list ruleset");
        let tables = all.split("table ").map(|t| t.trim().to_owned());
        tables.collect::<std::collections::BTreeSet<String>>()
    };
    let whole = list();
    for damage in [
        "flush chain ip wharf forward",
        "flush table ip wharf",
        "flush map ip wharf published",
        "flush chain ip wharf arriving",
        "insert rule ip wharf forward accept",
        "delete table inet wharf-user",
    ] {
        lab.nft(damage);
        until(&format!("'{damage}' to be undone"), || list() == whole);
    }
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
    // An operator's rules are his.
    lab.nft("add rule inet wharf-user forward counter");
    lab.nft("flush chain ip wharf forward");
    until("the chain to be filled", || {
        lab.nft("list chain ip wharf forward").contains("vmap")
    });
    assert!(lab.nft("list ruleset").contains("counter"));
}

/// While it puts much back, what is taken away again is not told for want of room.
#[test]
fn a_watched_table_comes_back_however_often_it_goes() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    for n in 0..60 {
        let name = format!("n{n}");
        add(&lab, &net, &bridge(&name, &[&format!("10.1.{n}.0/24")]));
    }
    within(&lab.host, || net.watch()).unwrap();
    for pause in [0, 200, 500, 700, 800] {
        lab.nft("flush ruleset");
        thread::sleep(std::time::Duration::from_millis(pause));
        lab.nft("flush ruleset");
        until("the tables to be put back", || {
            let all = lab.nft("list ruleset");
            all.contains("table ip wharf {") && all.contains("table inet wharf-user {")
        });
    }
}

#[test]
fn thousands_of_ports_are_restored_in_one_step() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[tcp(8080, 80)]);
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    let (mut ports, one) = (Vec::new(), c.connected.ports[0]);
    let ip = Some(Ipv4Addr::new(172, 17, 200, 1));
    for i in 0..6000 {
        let host_ip = if i % 2 == 0 {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED)
        } else {
            HOST.into()
        };
        ports.push(PublishedPort {
            host_port: 20_000 + i,
            host_ip,
            ..one
        });
    }
    let mut endpoint = c.connected.endpoint.clone();
    (endpoint.ip, endpoint.link) = (ip, "another".into());
    let target = Target {
        ip,
        ..Target::default()
    };
    let big = Living {
        id: "big".to_owned(),
        endpoints: vec![(ID.to_owned(), endpoint)],
        published: Published { ports, target },
    };
    let records = [big, living(&c)];
    within(&lab.host, || net.fabric.restore(&records)).unwrap();
    assert_eq!(
        lab.nft("list ruleset").matches("172.17.200.1").count(),
        6000
    );
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
    // The next daemon takes over all of them.
    crash(net);
    let net = lab.open(&Config::default());
    assert_eq!(
        lab.nft("list ruleset").matches("172.17.200.1").count(),
        6000
    );
    within(&lab.host, || net.fabric.restore(&records)).unwrap();
    within(&lab.host, || net.disconnect("big")).unwrap();
    assert_eq!(lab.nft("list ruleset").matches("172.17.200.1").count(), 0);
    assert!(says(&lab.outside, HOST, 8080).starts_with("c "));
}
