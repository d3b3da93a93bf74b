//! Ports and addresses: who gets which, and how the others are refused.

use std::io::ErrorKind;
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsFd;

use network::{Keeper, PortRequest, Proto, Request, Target, Way};
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
    let name = std::fs::read_to_string("/proc/self/comm").unwrap();
    let (name, pid) = (name.trim_end(), std::process::id());
    assert_eq!(
        text,
        format!(
            "failed to bind host port 0.0.0.0:9090/tcp: address already in use (by {name}, process \
             {pid}) (for port 80 of the container)"
        )
    );
    // Of a range, too, it is said who has the last one; those of containers by name.
    let range = PortRequest {
        host_port: Some(9090..=9092),
        ..tcp(0, 80)
    };
    let _more = within(&lab.host, || {
        ["0.0.0.0:9091", "[::]:9092"].map(|at| TcpListener::bind(at).unwrap())
    });
    let text = refusal(&lab, &net, "x", vec![range]);
    assert!(
        text.contains(&format!("by {name}, process {pid}")),
        "{text}"
    );
    drop(_more);
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

/// Keeps sockets as a shim does.
#[derive(Default)]
struct Held(std::sync::Mutex<Vec<std::os::fd::OwnedFd>>);

impl Keeper for Held {
    fn keep(&self, sockets: &[std::os::fd::OwnedFd]) -> Result<(), String> {
        let copies = sockets.iter().map(|s| s.try_clone().unwrap());
        self.0.lock().unwrap().extend(copies);
        Ok(())
    }

    fn release(&self, ports: &[network::PublishedPort]) -> Result<(), String> {
        self.0.lock().unwrap().retain(|socket| {
            let address = rustix::net::getsockname(socket).unwrap();
            let address = std::net::SocketAddr::try_from(address).unwrap();
            !ports.iter().any(|p| p.host_port == address.port())
        });
        Ok(())
    }
}

fn is_free(lab: &Lab, port: u16) -> bool {
    within(&lab.host, || TcpListener::bind(("0.0.0.0", port))).is_ok()
}

#[test]
fn ports_are_bound_where_they_lead_to_something() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let asked = [tcp(8080, 80), udp(0, 53)];
    let nowhere = within(&lab.host, || net.reserve_ports("c", &[None; 2], &asked));
    let (ports, held) = nowhere.unwrap();
    assert!(ports.is_empty() && held.is_empty() && is_free(&lab, 8080));
    // It gets a way out while it runs, and another one, and loses it.
    let keeper = Held::default();
    let change = |ways| within(&lab.host, || net.change_ports("c", &ways, &asked, &keeper));
    let target = Target {
        ip: Some(Ipv4Addr::new(172, 17, 0, 9)),
        ..Target::default()
    };
    let publish = |target| within(&lab.host, || net.publish("c", target)).unwrap();
    change([Some(Way::ANY), None]).unwrap();
    let first = publish(target);
    assert_eq!(first.ports.len(), 2);
    assert!(!is_free(&lab, 8080));
    assert!(lab.nft("list ruleset").contains("172.17.0.9 . 80"));
    let local = Way {
        default: [127, 0, 0, 1].into(),
        ..Way::ANY
    };
    change([Some(local), None]).unwrap();
    let second = publish(target);
    assert!(second.ports.iter().all(|p| p.host_ip == local.default));
    let open = Way {
        translated: false,
        ..Way::ANY
    };
    let routed = Target {
        routed: [true, false],
        ..target
    };
    change([Some(open), None]).unwrap();
    let third = publish(routed);
    assert!(third.ports.iter().all(|p| p.host_port == 0));
    assert!(is_free(&lab, 8080) && keeper.0.lock().unwrap().is_empty());
    change([None; 2]).unwrap();
    assert!(publish(Target::default()).ports.is_empty());
    assert!(!lab.nft("list ruleset").contains("172.17.0.9"));
    // Somebody else has it by now: it is as it was before.
    let listener = within(&lab.host, || TcpListener::bind("0.0.0.0:8080")).unwrap();
    let refused = change([Some(Way::ANY), None]).unwrap_err().to_string();
    assert!(
        refused.contains("8080/tcp: address already in use"),
        "{refused}"
    );
    assert!(publish(Target::default()).ports.is_empty());
    assert!(keeper.0.lock().unwrap().is_empty());
    drop(listener);
    change([Some(Way::ANY), None]).unwrap();
    let listener = within(&lab.host, || TcpListener::bind("127.0.0.1:0")).unwrap();
    let taken = listener.local_addr().unwrap().port();
    let more = [tcp(8080, 80), tcp(taken, 81)];
    let both = within(&lab.host, || {
        net.change_ports("c", &[Some(Way::ANY), None], &more, &keeper)
    });
    assert!(both.is_err() && !is_free(&lab, 8080));
    within(&lab.host, || net.forget("c")).unwrap();
}

#[test]
fn a_range_is_one_entry() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    let range: Vec<_> = (8000..9000).map(|port| tcp(port, port)).collect();
    let c = lab.container(&net, "c", &range);
    let rules = lab.nft("list map ip wharf published_ranges");
    assert!(rules.contains("8000-8999 : 172.17.0.2"), "{rules}");
    assert_eq!(lab.nft("list ruleset").matches("172.17.0.2").count(), 1);
    for (port, name) in [(8000, "first "), (8500, "middle "), (8999, "last ")] {
        serve_tcp(&c.ns, &format!("0.0.0.0:{port}"), name.trim_end());
        let said = says(&lab.outside, HOST, port);
        assert!(said.starts_with(name), "{said}");
        assert!(says(&lab.host, LOCALHOST, port).starts_with(name));
        // Each of them is really taken.
        assert!(!is_free(&lab, port));
    }
    let text = refusal(&lab, &net, "x", vec![tcp(8500, 80)]);
    assert!(text.contains("by container c"), "{text}");
    // A part of the range on another address, and another part after the first is gone.
    within(&lab.host, || net.disconnect("c")).unwrap();
    assert!(!lab.nft("list ruleset").contains("172.17.0.2"));
    drop(c);
    let on = HOST.to_string();
    let part: Vec<_> = (8400..8600)
        .map(|port| publish(Proto::Tcp, Some(&on), port, port))
        .collect();
    let d = lab.container(&net, "d", &part);
    serve_tcp(&d.ns, "0.0.0.0:8500", "d");
    assert!(says(&lab.outside, HOST, 8500).starts_with("d "));
    assert!(within(&lab.host, || TcpStream::connect((LOCALHOST, 8500))).is_err());
    within(&lab.host, || net.disconnect("d")).unwrap();
}

#[test]
fn udp_ports_are_free_when_their_traces_are_gone() {
    let lab = Lab::new();
    let net = lab.open(&Config::default());
    // Whoever comes next waits for it, and is not refused.
    for round in 0..20 {
        let c = lab.container(&net, &round.to_string(), &[udp(5353, 53), tcp(5353, 53)]);
        let Container { id, connected, .. } = c;
        drop(connected);
        within(&lab.host, || net.disconnect(&id)).unwrap();
    }
}
