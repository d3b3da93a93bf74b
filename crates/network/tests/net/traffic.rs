//! What must pass.

use std::net::Ipv4Addr;
use std::net::UdpSocket;
use std::time::Duration;

use network::Proto;

use crate::lab::*;

#[test]
fn containers_reach_the_outside_with_the_hosts_address() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let c = lab.container(&net, "c", &[]);
    serve_tcp(&lab.outside, "0.0.0.0:7", "outside");
    serve_udp(&lab.outside, "0.0.0.0:7", "outside");
    assert_eq!(says(&c.ns, OUTSIDE, 7), format!("outside {HOST}"));
    assert_eq!(udp_says(&c.ns, OUTSIDE, 7), format!("outside {HOST}"));
}

#[test]
fn containers_reach_each_other_and_the_host_untranslated() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let (a, b) = (lab.container(&net, "a", &[]), lab.container(&net, "b", &[]));
    serve_tcp(&b.ns, "0.0.0.0:80", "b");
    serve_tcp(&lab.host, "0.0.0.0:81", "host");
    let gateway = a.connected.endpoint.gateway.unwrap();
    assert_eq!(says(&a.ns, b.ip(), 80), format!("b {}", a.ip()));
    assert_eq!(says(&a.ns, gateway, 81), format!("host {}", a.ip()));
    assert_eq!(says(&lab.host, b.ip(), 80), format!("b {gateway}"));
}

#[test]
fn a_published_port_is_reached_from_everywhere() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let web = lab.container(&net, "web", &[tcp(8080, 80), udp(8080, 80)]);
    let other = lab.container(&net, "other", &[]);
    let gateway = web.connected.endpoint.gateway.unwrap();
    serve_tcp(&web.ns, "0.0.0.0:80", "web");
    serve_udp(&web.ns, "0.0.0.0:80", "web");
    // From outside the client's own address is seen.
    assert_eq!(says(&lab.outside, HOST, 8080), format!("web {OUTSIDE}"));
    assert_eq!(udp_says(&lab.outside, HOST, 8080), format!("web {OUTSIDE}"));
    // The host by its own address, the bridge's, and 127.0.0.1; another container and itself.
    for ns in [&lab.host, &other.ns, &web.ns] {
        for ip in [HOST, gateway] {
            assert!(says(ns, ip, 8080).starts_with("web "));
            assert!(udp_says(ns, ip, 8080).starts_with("web "));
        }
    }
    for ip in [LOCALHOST, Ipv4Addr::new(127, 3, 2, 1)] {
        assert_eq!(says(&lab.host, ip, 8080), format!("web {gateway}"));
        assert_eq!(udp_says(&lab.host, ip, 8080), format!("web {gateway}"));
    }
}

#[test]
fn a_hairpin_goes_on_working_for_a_second_connection() {
    // An ICMP redirect after the first would send the second astray.
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let web = lab.container(&net, "web", &[tcp(8080, 80)]);
    let other = lab.container(&net, "other", &[]);
    serve_tcp(&web.ns, "0.0.0.0:80", "web");
    for _ in 0..20 {
        let (mut stream, said) = dial(&other.ns, HOST, 8080);
        assert!(said.starts_with("web "));
        echoes(&mut stream);
    }
    let cache = run(&other.ns, "ip route get 10.77.0.1");
    assert!(!cache.contains("redirect"), "{cache}");
}

#[test]
fn ports_on_one_address_and_on_all_side_by_side() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let on = |ip, host| publish(Proto::Tcp, Some(ip), host, 80);
    let host = HOST.to_string();
    let a = lab.container(&net, "a", &[on("127.0.0.1", 80)]);
    let b = lab.container(&net, "b", &[on(&host, 80)]);
    let c = lab.container(&net, "c", &[on("0.0.0.0", 81)]);
    serve_tcp(&a.ns, "0.0.0.0:80", "a");
    serve_tcp(&b.ns, "0.0.0.0:80", "b");
    serve_tcp(&c.ns, "0.0.0.0:80", "c");
    assert!(says(&lab.host, LOCALHOST, 80).starts_with("a "));
    assert!(says(&lab.host, HOST, 80).starts_with("b "));
    assert_eq!(says(&lab.outside, HOST, 80), format!("b {OUTSIDE}"));
    assert!(says(&lab.host, LOCALHOST, 81).starts_with("c "));
    assert_eq!(says(&lab.outside, HOST, 81), format!("c {OUTSIDE}"));
}

#[test]
fn udp_clients_that_never_pause_reach_the_new_container() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    // One client socket throughout, so the flow is the same to the kernel.
    let client = within(&lab.outside, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    let ask = || ask_from(&client, HOST, 5353, Duration::from_millis(200));
    assert_eq!(ask(), None); // nobody there yet, and tracked as such
    let first = lab.container(&net, "first", &[udp(5353, 53)]);
    net.settle(); // old flows are forgotten when nobody waits for it
    serve_udp(&first.ns, "0.0.0.0:53", "first");
    assert_eq!(ask(), Some(format!("first {OUTSIDE}")));
    let Container { id, ns, connected } = first;
    drop(connected);
    within(&lab.host, || net.disconnect(&id)).unwrap();
    let second = lab.container(&net, "second", &[udp(5353, 53)]);
    net.settle(); // old flows are forgotten when nobody waits for it
    serve_udp(&second.ns, "0.0.0.0:53", "second");
    assert_eq!(ask(), Some(format!("second {OUTSIDE}")));
    drop(ns);
}

#[test]
fn udp_clients_of_a_range_reach_the_new_container() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let client = within(&lab.outside, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    let ask = |port| ask_from(&client, HOST, port, Duration::from_millis(200));
    let range: Vec<_> = (5000..6000).map(|port| udp(port, port)).collect();
    let ends = [5000, 5999];
    let serve = |container: &Container, name| {
        for port in ends {
            serve_udp(&container.ns, &format!("0.0.0.0:{port}"), name);
        }
    };
    for port in ends {
        assert_eq!(ask(port), None);
    }
    let first = lab.container(&net, "first", &range);
    net.settle();
    serve(&first, "first");
    for port in ends {
        assert_eq!(ask(port), Some(format!("first {OUTSIDE}")));
    }
    let Container { id, ns, connected } = first;
    drop(connected);
    within(&lab.host, || net.disconnect(&id)).unwrap();
    let second = lab.container(&net, "second", &range);
    net.settle();
    serve(&second, "second");
    for port in ends {
        assert_eq!(ask(port), Some(format!("second {OUTSIDE}")));
    }
    drop(ns);
}
