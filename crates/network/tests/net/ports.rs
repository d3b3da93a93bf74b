//! Ports and addresses: who gets which, and how the others are refused.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use network::{PortRequest, Proto, Request};
use sys::netlink::{self, Batch, LinkChange, Socket};

use crate::lab::*;

fn refusal(lab: &Lab, net: &Network, id: &str, ports: Vec<PortRequest>) -> String {
    lab.try_container(net, id, &ports, &Request::default())
        .err()
        .expect("a refusal")
        .to_string()
}

#[test]
fn a_second_binder_is_refused_by_name() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let _web = lab.container(&net, "web", &[tcp(8080, 80), udp(8080, 80)]);
    let text = refusal(&lab, &net, "second", vec![tcp(8080, 80)]);
    assert!(
        text.starts_with("Bind for 0.0.0.0:8080 failed: port is already allocated"),
        "{text}"
    );
    assert!(text.contains("web"), "{text}");
    // On one address as well, and any other program.
    let text = refusal(
        &lab,
        &net,
        "x",
        vec![publish(Proto::Udp, Some("127.0.0.1"), 8080, 80)],
    );
    assert!(text.starts_with("Bind for 127.0.0.1:8080 failed"), "{text}");
    for ip in ["0.0.0.0", "127.0.0.1", "::"] {
        let tcp = within(&lab.host, || TcpListener::bind((ip, 8080)));
        assert_eq!(tcp.err().map(|e| e.kind()), Some(ErrorKind::AddrInUse));
        let udp = within(&lab.host, || UdpSocket::bind((ip, 8080)));
        assert_eq!(udp.err().map(|e| e.kind()), Some(ErrorKind::AddrInUse));
    }
    // A refusal leaves nothing behind: the same name and address are free.
    let next = lab.container(&net, "second", &[]);
    assert_eq!(next.ip(), Ipv4Addr::new(172, 17, 0, 3));
}

#[test]
fn someone_elses_port_is_refused_before_anything_is_changed() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let _taken = within(&lab.host, || TcpListener::bind("0.0.0.0:9090")).unwrap();
    let before = (links(&lab).len(), lab.nft("list ruleset"));
    let text = refusal(&lab, &net, "x", vec![tcp(9091, 80), tcp(9090, 80)]);
    assert_eq!(
        text,
        "failed to bind host port 0.0.0.0:9090/tcp: address already in use (for port 80 of the \
         container)"
    );
    assert_eq!(before, (links(&lab).len(), lab.nft("list ruleset")));
    within(&lab.host, || TcpListener::bind("0.0.0.0:9091")).unwrap();
}

#[test]
fn lingering_connections_of_an_earlier_server_are_no_obstacle() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    within(&lab.host, || {
        let listener = TcpListener::bind("0.0.0.0:8080").unwrap();
        let client = TcpStream::connect("127.0.0.1:8080").unwrap();
        // The side that closes first keeps the port in TIME_WAIT.
        drop(listener.accept().unwrap());
        drop(client);
    });
    let web = lab.container(&net, "web", &[tcp(8080, 80)]);
    let again = within(&lab.host, || TcpListener::bind("0.0.0.0:8080"));
    assert_eq!(again.err().map(|e| e.kind()), Some(ErrorKind::AddrInUse));
    serve_tcp(&web.ns, "0.0.0.0:80", "web");
    assert!(says(&lab.host, LOCALHOST, 8080).starts_with("web "));
    assert!(says(&lab.outside, HOST, 8080).starts_with("web "));
}

#[test]
fn what_cannot_be_published_is_refused_by_name() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let on = |ip, proto| vec![publish(proto, Some(ip), 8080, 80)];
    let text = refusal(&lab, &net, "x", on("10.99.99.99", Proto::Tcp));
    assert!(
        text.contains("10.99.99.99:8080") && text.contains("cannot assign"),
        "{text}"
    );
    let text = refusal(&lab, &net, "x", vec![tcp(8080, 0)]);
    assert!(text.contains("port 0/tcp"), "{text}");
    // Where the kernel has SCTP it is published.
    let sctp = vec![publish(Proto::Sctp, None, 8080, 80)];
    if let Err(e) = lab.try_container(&net, "x", &sctp, &Request::default()) {
        assert!(e.to_string().contains("no SCTP"), "{e}");
    }
}

#[test]
fn ranges_and_ports_of_the_kernels_choice() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let range = |container_port| PortRequest {
        proto: Proto::Tcp,
        host_ip: None,
        host_port: Some(9000..=9001),
        container_port,
    };
    assert_eq!(lab.container(&net, "a", &[range(80)]).port(), 9000);
    assert_eq!(lab.container(&net, "b", &[range(80)]).port(), 9001);
    let text = refusal(&lab, &net, "c", vec![range(80)]);
    assert!(
        text.contains("9000-9001") && text.contains("all ports are allocated"),
        "{text}"
    );
    let d = lab.container(&net, "d", &[tcp(0, 80), udp(0, 80)]);
    let span = run(&lab.host, "cat /proc/sys/net/ipv4/ip_local_port_range");
    let span: Vec<u16> = span
        .split_whitespace()
        .map(|n| n.parse().unwrap())
        .collect();
    for port in &d.connected.ports {
        assert!((span[0]..=span[1]).contains(&port.host_port));
    }
    serve_tcp(&d.ns, "0.0.0.0:80", "d");
    assert!(says(&lab.outside, HOST, d.port()).starts_with("d "));
}

#[test]
fn addresses_wanted_and_an_exhausted_subnet() {
    let lab = Lab::new();
    let config = Config {
        bip: Some("10.5.0.1/29".into()),
        ..Config::default()
    };
    let net = lab.open(&config);
    let at = |id: &str, ip: &str| {
        let ip = Some(ip.parse().unwrap());
        lab.try_container(
            &net,
            id,
            &[],
            &Request {
                ip,
                ..Request::default()
            },
        )
    };
    let fixed = at("fixed", "10.5.0.3").unwrap();
    assert_eq!(
        fixed.connected.endpoint.mac.to_string(),
        "02:42:0a:05:00:03"
    );
    assert!(
        at("x", "10.5.0.3")
            .err()
            .unwrap()
            .to_string()
            .contains("already in use")
    );
    let gateway = at("x", "10.5.0.1").err().unwrap().to_string();
    assert!(gateway.contains("by its gateway"), "{gateway}");
    for bad in ["10.5.0.7", "10.5.0.0", "10.6.0.2"] {
        assert!(
            at("x", bad)
                .err()
                .unwrap()
                .to_string()
                .contains("10.5.0.0/29"),
            "{bad}"
        );
    }
    let rest: Vec<_> = (0..4)
        .map(|i| lab.container(&net, &i.to_string(), &[]))
        .collect();
    assert_eq!(rest[0].ip(), Ipv4Addr::new(10, 5, 0, 2));
    let text = refusal(&lab, &net, "x", vec![]);
    assert!(
        text.contains("no free address left in 10.5.0.0/29"),
        "{text}"
    );
    within(&lab.host, || net.disconnect("2")).unwrap();
    assert_eq!(lab.container(&net, "x", &[]).ip(), rest[2].ip());
}

#[test]
fn the_default_subnet_avoids_the_hosts_routes() {
    let lab = Lab::new();
    run(&lab.host, "ip route add 172.16.0.0/15 via 10.77.0.2");
    run(&lab.host, "ip addr add 172.18.5.1/24 dev up0");
    let net = lab.open(&Config::default());
    assert_eq!(net.subnet().to_string(), "172.19.0.0/16");
    within(&lab.host, || net.teardown()).unwrap();
    run(&lab.host, "ip route add blackhole 172.16.0.0/12");
    assert_eq!(
        lab.open(&Config::default()).subnet().to_string(),
        "192.168.0.0/20"
    );
}

#[test]
fn a_full_bridge_is_said_to_be_full() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let elsewhere = sys::netns::create().unwrap();
    within(&lab.host, || {
        let mut socket = Socket::route().unwrap();
        let bridge = netlink::get_link(&mut socket, "wharf0")
            .unwrap()
            .unwrap()
            .index;
        let mut batch = Batch::new();
        for i in 0..1023_u16 {
            let (name, [high, low]) = (format!("p{i}"), i.to_be_bytes());
            let address = [2, 0, 0, 1, high, low];
            netlink::create_veth(&mut batch, &name, &name, elsewhere.as_fd(), address, None);
            let master = Some(bridge);
            netlink::change_link(
                &mut batch,
                &name,
                LinkChange {
                    master,
                    ..LinkChange::default()
                },
            );
        }
        socket.all(&mut batch).unwrap();
    });
    let text = refusal(&lab, &net, "x", vec![tcp(8080, 80)]);
    assert!(text.contains("no more than 1023 containers"), "{text}");
    assert!(!lab.nft("list ruleset").contains("8080"));
}
