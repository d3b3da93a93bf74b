//! Published ports that nftables cannot translate: in IPv6 where the container has none, and at `[::1]`.

mod crash;
mod hostile;

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use testkit::{Daemon, Ns, eventually};

use crate::own_names::dns::Inside;
use crate::ports::{echoes, get, reaches, serve};

const LOCAL: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);
/// Addresses of the host's, and the outside's.
const HOST: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0x10));
const HOST_TOO: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 0x11));
const OUTSIDE: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd99, 0, 0, 0, 0, 0, 0, 1));

/// A daemon whose host has addresses of IPv6.
fn daemon() -> Daemon {
    let d = Daemon::fresh();
    addresses(&d);
    d
}

fn addresses(d: &Daemon) {
    let host = d.host();
    host.ns().ip(&format!(
        "addr add {HOST}/64 dev eth0 nodad\naddr add {HOST_TOO}/64 dev eth0 nodad"
    ));
    host.outside()
        .ip(&format!("addr add {OUTSIDE}/64 dev lan0 nodad"));
}

pub(crate) fn is_relay(pid: u32) -> bool {
    let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
    line.is_ok_and(|line| line.starts_with("wharf-relay"))
}

fn try_relay(d: &Daemon) -> Option<u32> {
    d.processes().into_iter().find(|pid| is_relay(*pid))
}

/// The relay's process, which may just be about to start.
pub(crate) fn until_relay(d: &Daemon) -> u32 {
    let mut found = None;
    eventually("a relay", || {
        found = try_relay(d);
        found.is_some()
    });
    found.expect("a relay")
}

/// A container that does nothing, with a listener of ours at its port 80.
fn listening(d: &Daemon, name: &str, flags: &str) -> TcpListener {
    d.docker()
        .ok(&format!("run -d --name {name} {flags} busybox sleep 1000"));
    listen(d, name)
}

fn listen(d: &Daemon, name: &str) -> TcpListener {
    let inside = Inside::of(d, name);
    let any = (Ipv6Addr::UNSPECIFIED, 80);
    let listener = inside.within(|| TcpListener::bind(any));
    listener.expect("a free port")
}

fn connect(ns: &Ns, to: (IpAddr, u16)) -> TcpStream {
    let to = SocketAddr::from(to);
    let stream = ns.within(|| TcpStream::connect_timeout(&to, Duration::from_secs(10)));
    let stream = stream.expect("a connection");
    let patience = Some(Duration::from_secs(30));
    stream.set_read_timeout(patience).expect("a socket");
    stream
}

/// Sends something there and back.
#[track_caller]
fn talk(client: &mut TcpStream, server: &mut TcpStream) {
    let mut buffer = [0; 4];
    client.write_all(b"ping").expect("sent");
    server.read_exact(&mut buffer).expect("received");
    server.write_all(b"pong").expect("sent");
    client.read_exact(&mut buffer).expect("received");
    assert_eq!(&buffer, b"pong");
}

fn is_free(ns: &Ns, ip: IpAddr, port: u16) -> bool {
    ns.within(|| TcpListener::bind((ip, port)).is_ok())
}

#[test]
fn ipv6_clients_reach_containers_with_ipv4_alone() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    for cli in d.clis() {
        serve(&d, "web", "-p 8080:80");
        reaches(host.outside(), (HOST, 8080), "web");
        reaches(host.ns(), (HOST, 8080), "web");
        reaches(host.ns(), (LOCAL, 8080), "web");
        reaches(host.outside(), (host.address(), 8080), "web");
        let mut curl = Command::new("curl");
        curl.args(["-6", "-sS", "-m", "10", "http://[fd99::10]:8080/index.html"]);
        assert_eq!(host.outside().run(&mut curl).ok(), "web");
        assert_eq!(
            cli.ok("ps --format '{{.Ports}}'"),
            "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp"
        );
        assert_eq!(
            cli.ok("port web"),
            "80/tcp -> 0.0.0.0:8080\n80/tcp -> [::]:8080"
        );
        let shown = cli.ok("inspect -f '{{json .NetworkSettings.Ports}}' web");
        assert_eq!(
            shown,
            r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":"8080"},{"HostIp":"::","HostPort":"8080"}]}"#
        );
        cli.ok("rm -f web");
        for ip in [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()] {
            assert!(is_free(host.ns(), ip, 8080), "{ip}");
        }
        assert!(get(host.ns(), (LOCAL, 8080)).is_err());
        // One address of IPv4 is that and no more.
        serve(&d, "four", "-p 0.0.0.0:8080:80");
        assert_eq!(cli.ok("port four"), "80/tcp -> 0.0.0.0:8080");
        assert!(get(host.ns(), (LOCAL, 8080)).is_err());
        cli.ok("rm -f four");
        // One address of IPv6 likewise.
        serve(&d, "six", &format!("-p [{HOST}]:8080:80 -p [::]:8081:80"));
        assert_eq!(
            cli.ok("port six"),
            "80/tcp -> [::]:8081\n80/tcp -> [fd99::10]:8080"
        );
        reaches(host.outside(), (HOST, 8080), "six");
        reaches(host.outside(), (HOST_TOO, 8081), "six");
        assert!(get(host.outside(), (HOST_TOO, 8080)).is_err());
        assert!(get(host.outside(), (host.address(), 8081)).is_err());
        cli.ok("rm -f six");
    }
    d.assert_no_leaks();
}

#[test]
fn the_hosts_own_loopback() {
    let d = daemon();
    let host = d.host();
    let cli = d.docker();
    serve(&d, "own", "-p [::1]:8080:80");
    reaches(host.ns(), (LOCAL, 8080), "own");
    assert_eq!(cli.ok("port own"), "80/tcp -> [::1]:8080");
    assert!(get(host.outside(), (HOST, 8080)).is_err());
    assert!(get(host.ns(), (HOST, 8080)).is_err());
    assert!(get(host.ns(), (host.address(), 8080)).is_err());
    // A neighbour who sends what is for ::1 to the host gets nothing.
    let attacker = host.outside();
    attacker.ip("link set lo down");
    attacker.ip(&format!("route add ::1/128 via {HOST} dev lan0"));
    assert!(get(attacker, (LOCAL, 8080)).is_err());

    // Where there is IPv6, the rest is translated, and the client's address kept.
    cli.ok("network create --ipv6 --subnet fd77::/64 dual");
    let both = listening(&d, "both", "--network dual -p 8081:80 -p [::1]:8082:80");
    for port in [8081, 8082] {
        let mut client = connect(host.ns(), (LOCAL, port));
        let (mut server, from) = both.accept().expect("a connection");
        assert_eq!(from.ip(), "fd77::1".parse::<IpAddr>().expect("an address"));
        talk(&mut client, &mut server);
    }
    let mut client = connect(host.outside(), (HOST, 8081));
    let (mut server, from) = both.accept().expect("a connection");
    assert_eq!(from.ip(), OUTSIDE);
    talk(&mut client, &mut server);
    cli.ok("rm -f own both");
    assert_ne!(
        cli.code("run -d --name sctp -p [::1]:9:9/sctp busybox true"),
        0
    );
    cli.ok("rm -f sctp");
    cli.ok("network rm dual");
    d.assert_no_leaks();
}

#[test]
fn datagrams() {
    let d = daemon();
    let host = d.host();
    d.docker()
        .ok("run -d --name echo -p 5353:53/udp -p [::1]:5454:53/udp busybox udp-echo 53");
    eventually("an answer by [::1]", || {
        echoes(host.ns(), "[::]:0", (LOCAL, 5353))
    });
    // The answer comes from where was asked, whatever address the host would take itself.
    for to in [HOST, HOST_TOO] {
        assert!(echoes(host.outside(), "[::]:0", (to, 5353)), "{to}");
        assert!(echoes(host.ns(), "[::]:0", (to, 5353)), "{to}");
    }
    assert!(echoes(host.ns(), "[::]:0", (LOCAL, 5454)));
    assert!(!echoes(host.outside(), "[::]:0", (HOST, 5454)));
    // Many clients at once, each with its own answers; also empty and large ones.
    let clients: Vec<UdpSocket> = (0..50)
        .map(|n: u8| {
            let socket = host
                .ns()
                .within(|| UdpSocket::bind("[::1]:0").expect("a socket"));
            let patience = Some(Duration::from_secs(10));
            socket.set_read_timeout(patience).expect("a socket");
            socket.connect((LOCAL, 5353)).expect("a socket");
            socket.send(&[n; 3]).expect("sent");
            socket
        })
        .collect();
    let mut buffer = [0; 2048];
    for (n, socket) in (0..).zip(&clients) {
        let len = socket.recv(&mut buffer).expect("an answer");
        assert_eq!(buffer[..len], [n; 3]);
        socket.send(&[n; 1200]).expect("sent");
    }
    for (n, socket) in (0..).zip(&clients) {
        let len = socket.recv(&mut buffer).expect("an answer");
        assert_eq!((len, buffer[0], buffer[1199]), (1200, n, n));
    }
    d.docker().ok("rm -f echo");
    assert!(!echoes(host.ns(), "[::]:0", (LOCAL, 5353)));
    d.assert_no_leaks();
}

#[test]
fn ends_are_passed_on_and_nothing_is_lost() {
    let d = daemon();
    let host = d.host();
    let web = listening(&d, "web", "-p 8080:80");
    // Whoever says no more still hears.
    let all: Vec<u8> = (0..16_u32 << 20)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    let mut client = connect(host.ns(), (LOCAL, 8080));
    let (mut server, _) = web.accept().expect("a connection");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            client.write_all(&all).expect("sent");
            client
                .shutdown(std::net::Shutdown::Write)
                .expect("no more to say");
            let mut back = Vec::new();
            client.read_to_end(&mut back).expect("received");
            assert!(back == all, "what was received is not what was sent");
        });
        let mut got = Vec::new();
        server.read_to_end(&mut got).expect("received");
        assert!(got == all, "what was received is not what was sent");
        server.write_all(&got).expect("sent");
        drop(server);
    });
    // The other way round: the container says no more, the client still does.
    let mut client = connect(host.ns(), (LOCAL, 8080));
    let (mut server, _) = web.accept().expect("a connection");
    server.write_all(b"bye").expect("sent");
    server
        .shutdown(std::net::Shutdown::Write)
        .expect("no more to say");
    let mut text = String::new();
    client.read_to_string(&mut text).expect("an end");
    assert_eq!(text, "bye");
    client.write_all(b"late").expect("sent");
    drop(client);
    text.clear();
    server.read_to_string(&mut text).expect("an end");
    assert_eq!(text, "late");
    // Where nobody listens the client is told so, and that is no proper end.
    drop(web);
    let to = SocketAddr::from((LOCAL, 8080));
    let told: std::io::Result<usize> = host.ns().within(|| {
        // It may come before the client looks whether it is connected.
        let mut client = TcpStream::connect_timeout(&to, Duration::from_secs(10))?;
        client.read(&mut [0; 8])
    });
    let error = told.expect_err("a reset");
    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
    d.docker().ok("rm -f web");
    d.assert_no_leaks();
}

#[test]
fn connections_end_with_their_container() {
    let d = daemon();
    let host = d.host();
    let cli = d.docker();
    let web = listening(&d, "web", "-p 8080:80 -p 8080:80/udp");
    let mut clients: Vec<_> = (0..50)
        .map(|_| {
            let client = connect(host.ns(), (LOCAL, 8080));
            let (server, _) = web.accept().expect("a connection");
            (client, server)
        })
        .collect();
    let (client, server) = &mut clients[0];
    talk(client, server);
    cli.ok("rm -f web");
    for ip in [Ipv6Addr::UNSPECIFIED.into(), Ipv4Addr::UNSPECIFIED.into()] {
        assert!(is_free(host.ns(), ip, 8080), "{ip}");
    }
    for (client, _) in &mut clients {
        // An end of either kind.
        let end = client.read(&mut [0; 8]);
        assert!(!matches!(end, Ok(1..)), "{end:?}");
        if let Err(e) = end {
            assert_eq!(e.kind(), std::io::ErrorKind::ConnectionReset);
        }
    }
    drop((clients, web));
    d.assert_no_leaks();
}

#[test]
fn ports_follow_their_container() {
    let d = daemon();
    let host = d.host();
    let cli = d.docker();
    cli.ok("network create --subnet 10.44.1.0/24 one");
    cli.ok("network create --subnet 10.44.2.0/24 two");
    cli.ok("network create --ipv6 --subnet 10.44.3.0/24 --subnet fd44::/64 six");
    cli.ok("network create --internal closed");
    serve(&d, "web", "--network one -p 8080:80");
    reaches(host.ns(), (LOCAL, 8080), "web");
    cli.ok("network connect two web");
    cli.ok("network disconnect one web");
    reaches(host.ns(), (LOCAL, 8080), "web");
    reaches(host.outside(), (HOST, 8080), "web");
    // Its first address of IPv6.
    cli.ok("network connect six web");
    reaches(host.ns(), (LOCAL, 8080), "web");
    reaches(host.outside(), (HOST, 8080), "web");
    cli.ok("network disconnect six web");
    reaches(host.ns(), (LOCAL, 8080), "web");
    reaches(host.outside(), (HOST, 8080), "web");
    // Nowhere, and back.
    cli.ok("network connect closed web");
    cli.ok("network disconnect two web");
    assert_eq!(cli.ok("port web"), "");
    assert!(get(host.ns(), (LOCAL, 8080)).is_err());
    cli.ok("network connect one web");
    reaches(host.ns(), (LOCAL, 8080), "web");
    cli.ok("restart -t 0 web");
    reaches(host.ns(), (LOCAL, 8080), "web");
    cli.ok("rm -f web");
    cli.ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn internal_networks_stay_closed() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    let cli = d.docker();
    serve(&d, "web", "-p 8080:80");
    reaches(host.outside(), (HOST, 8080), "web");
    cli.ok("network create --internal --ipv6 --subnet fd66::/64 closed");
    cli.ok("network create --ipv6 --subnet fd67::/64 open");
    let inner = listening(&d, "in", "--network closed");
    cli.ok("run -d --name out --network open busybox sleep 1000");
    let asks = |name: &str, ip: IpAddr| {
        let to = SocketAddr::from((ip, 8080));
        let patience = Duration::from_secs(2);
        let tcp = Inside::of(&d, name).within(|| TcpStream::connect_timeout(&to, patience));
        tcp.is_ok()
    };
    let gateway = |n: u16| IpAddr::V6(Ipv6Addr::new(n, 0, 0, 0, 0, 0, 0, 1));
    for ip in [gateway(0xfd66), gateway(0xfd67), HOST] {
        assert!(!asks("in", ip), "{ip}");
    }
    // What is published is there for all others.
    assert!(asks("out", gateway(0xfd67)));
    assert!(asks("out", HOST));
    // The host and who is in the closed one still find one another, and answers come back.
    let ip = cli.ok("inspect -f '{{.NetworkSettings.Networks.closed.GlobalIPv6Address}}' in");
    let mut client = connect(host.ns(), (ip.parse().expect("an address"), 80));
    let (mut server, _) = inner.accept().expect("a connection");
    talk(&mut client, &mut server);
    drop((client, server, inner));
    cli.ok("rm -f web in out");
    cli.ok("network prune -f");
    d.assert_no_leaks();
}
