//! Published ports: TCP and UDP, from everywhere they should be reached and from nowhere else.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use testkit::{Daemon, Lan, Ns, eventually};

/// Starts a container that answers each TCP connection to its port 80 with its name.
pub(crate) fn serve(d: &Daemon, name: &str, flags: &str) {
    let script = "mkdir /w; hostname > /w/index.html; exec httpd -f -p 80 -h /w";
    d.docker().ok(&format!(
        "run -d --name {name} --hostname {name} {flags} busybox sh -c '{script}'"
    ));
}

/// What an HTTP server answers to somebody in `ns`.
pub(crate) fn get(ns: &Ns, to: impl Into<SocketAddr>) -> std::io::Result<String> {
    let to = to.into();
    ns.within(|| {
        let mut socket = TcpStream::connect_timeout(&to, Duration::from_secs(2))?;
        socket.set_read_timeout(Some(Duration::from_secs(5)))?;
        socket.write_all(b"GET /index.html HTTP/1.0\r\n\r\n")?;
        let mut text = String::new();
        socket.read_to_string(&mut text)?;
        Ok(text.lines().last().unwrap_or_default().to_owned())
    })
}

#[track_caller]
pub(crate) fn reaches(ns: &Ns, to: (IpAddr, u16), name: &str) {
    eventually(&format!("{name} at {to:?}"), || {
        get(ns, to).is_ok_and(|text| text == name)
    });
}

const LOCAL: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[test]
fn tcp_from_everywhere() {
    let d = Daemon::fresh();
    let host = d.host();
    for cli in d.clis() {
        serve(&d, "web", "-p 8080:80");
        reaches(host.outside(), (host.address(), 8080), "web");
        reaches(host.ns(), (host.address(), 8080), "web");
        reaches(host.ns(), (LOCAL, 8080), "web");
        reaches(host.ns(), (d.address_of("web"), 80), "web");
        assert!(cli.ok("port web").starts_with("80/tcp -> 0.0.0.0:8080"));
        assert!(
            cli.ok("ps --format '{{.Ports}}'")
                .starts_with("0.0.0.0:8080->80/tcp")
        );
        // From another container, by the host's address, and from itself.
        let other = format!(
            "run --rm busybox wget -q -O - http://{}:8080/index.html",
            host.address()
        );
        assert_eq!(cli.ok(&other), "web");
        let own = format!(
            "exec web wget -q -O - http://{}:8080/index.html",
            host.address()
        );
        assert_eq!(cli.ok(&own), "web");
        cli.ok("rm -f web");
        assert!(get(host.outside(), (host.address(), 8080)).is_err());
        assert!(get(host.ns(), (LOCAL, 8080)).is_err());
    }
    d.assert_no_leaks();
}

#[test]
fn udp() {
    let d = Daemon::fresh();
    let host = d.host();
    d.docker()
        .ok("run -d --name echo -p 5353:53/udp busybox udp-echo 53");
    let to = (host.address(), 5353);
    eventually("an answer by UDP", || {
        echoes(host.outside(), "0.0.0.0:0", to)
    });
    eventually("an answer by UDP", || echoes(host.ns(), "0.0.0.0:0", to));
}

/// True if a datagram from somebody in `ns` comes back, from where it was sent to.
pub(crate) fn echoes(ns: &Ns, from: &str, to: (IpAddr, u16)) -> bool {
    ns.within(|| {
        let socket = UdpSocket::bind(from).expect("a socket");
        socket
            .set_read_timeout(Some(Duration::from_millis(300)))
            .expect("a socket");
        let _ = socket.send_to(b"ping", to);
        let mut buffer = [0; 16];
        let answer = socket.recv_from(&mut buffer);
        answer.is_ok_and(|(n, from)| &buffer[..n] == b"ping" && from.ip() == to.0)
    })
}

#[test]
fn udp_on_loopback() {
    let d = Daemon::fresh();
    d.docker()
        .ok("run -d --name echo -p 127.0.0.1:5353:53/udp busybox udp-echo 53");
    let local = d.host().ns();
    eventually("an answer by UDP", || {
        echoes(local, "127.0.0.1:0", (LOCAL, 5353))
    });
    assert!(!echoes(
        d.host().outside(),
        "0.0.0.0:0",
        (d.host().address(), 5353)
    ));
}

#[test]
fn chosen_addresses_and_chosen_ports() {
    let d = Daemon::fresh();
    let host = d.host();
    serve(&d, "local", "-p 127.0.0.1:8081:80");
    serve(&d, "eth", &format!("-p {}:8081:80", host.address()));
    serve(&d, "any", "-p 80");
    reaches(host.ns(), (LOCAL, 8081), "local");
    reaches(host.ns(), (host.address(), 8081), "eth");
    reaches(host.outside(), (host.address(), 8081), "eth");
    for cli in d.clis() {
        let port = cli.ok("port any 80");
        let port: u16 = port
            .rsplit_once(':')
            .expect("a port")
            .1
            .parse()
            .expect("a port");
        assert!(port >= 32768, "an ephemeral one");
        reaches(host.outside(), (host.address(), port), "any");
    }
    serve(&d, "range", "-p 9000-9001:80-81");
    reaches(host.outside(), (host.address(), 9000), "range");
}

#[test]
fn the_second_binder_is_refused_by_name() {
    let d = Daemon::fresh();
    let host = d.host();
    serve(&d, "first", "-p 8080:80");
    for cli in d.clis() {
        let out = cli.run("run -d --name second -p 8080:80 busybox sleep 1000");
        assert_eq!(out.code, 125, "{out}");
        assert!(
            out.stderr.contains("8080") && out.stderr.contains("already"),
            "{out}"
        );
        if d.engine().is_wharf() {
            assert!(out.stderr.contains("by container first)"), "{out}");
        }
        cli.ok("rm second");
    }
    // What is published is really taken, for everybody on the host.
    let taken = host
        .ns()
        .within(|| TcpListener::bind(("0.0.0.0", 8080)).is_err());
    assert!(taken, "somebody else could bind the port");
    // And what somebody else has cannot be published.
    let _theirs = host
        .ns()
        .within(|| TcpListener::bind(("0.0.0.0", 9090)).expect("a free port"));
    for cli in d.clis() {
        let out = cli.run("run -d --name third -p 9090:80 busybox sleep 1000");
        assert_eq!(out.code, 125, "{out}");
        assert!(out.stderr.contains("9090"), "{out}");
        if d.engine().is_wharf() {
            let by = format!(", process {})", std::process::id());
            assert!(out.stderr.contains("already in use (by "), "{out}");
            assert!(out.stderr.contains(&by), "{out}");
        }
        cli.ok("rm third");
    }
    reaches(host.outside(), (host.address(), 8080), "first");
}

fn is_free(d: &Daemon, ip: &str, port: u16) -> bool {
    let bind = || TcpListener::bind((ip, port)).is_ok();
    d.host().ns().within(bind)
}

/// What leads nowhere takes no port from others.
#[test]
fn ports_are_bound_where_they_lead_to_something() {
    let mut d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // Docker's daemon of Debian is older than this
    }
    let (host, docker) = (d.host(), d.docker());
    docker.ok("network create --internal inner");
    docker.ok("network create outer");
    docker.ok("network create -o com.docker.network.bridge.host_binding_ipv4=127.0.0.1 local");
    serve(&d, "web", "--network inner -p 8080:80");
    assert!(is_free(&d, "0.0.0.0", 8080));
    assert_eq!(docker.ok("port web"), "");
    // A way out brings the port along.
    docker.ok("network connect outer web");
    reaches(host.outside(), (host.address(), 8080), "web");
    assert!(docker.ok("port web").starts_with("80/tcp -> 0.0.0.0:8080"));
    assert!(!is_free(&d, "0.0.0.0", 8080));
    // Another one has it at another address.
    docker.ok("network connect --gw-priority 1 local web");
    reaches(host.ns(), (LOCAL, 8080), "web");
    assert_eq!(docker.ok("port web"), "80/tcp -> 127.0.0.1:8080");
    assert!(get(host.outside(), (host.address(), 8080)).is_err());
    // The sockets outlive the daemon.
    d.kill9();
    d.restart();
    let (host, docker) = (d.host(), d.docker());
    reaches(host.ns(), (LOCAL, 8080), "web");
    assert!(!is_free(&d, "127.0.0.1", 8080));
    docker.ok("network disconnect local web");
    reaches(host.outside(), (host.address(), 8080), "web");
    docker.ok("network disconnect outer web");
    assert!(is_free(&d, "0.0.0.0", 8080));
    assert_eq!(docker.ok("port web"), "");
    // Somebody else's by now: nothing changes.
    let theirs = host
        .ns()
        .within(|| TcpListener::bind("0.0.0.0:8080").expect("a free port"));
    let out = docker.run("network connect outer web");
    assert_ne!(out.code, 0, "{out}");
    assert!(out.stderr.contains("address already in use (by "), "{out}");
    let networks =
        docker.ok("inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' web");
    assert_eq!(networks.trim(), "inner");
    drop(theirs);
    docker.ok("network connect outer web");
    reaches(host.outside(), (host.address(), 8080), "web");
    docker.ok("rm -f web");
    docker.ok("network rm inner outer local");
    d.assert_no_leaks();
}

#[test]
fn without_translation_the_host_has_no_part() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // Docker's daemon of Debian is older than this
    }
    let docker = d.docker();
    docker.ok(
        "network create -o com.docker.network.bridge.gateway_mode_ipv4=routed \
         --subnet 10.98.0.0/24 routed",
    );
    serve(&d, "web", "--network routed -p 8080:80");
    assert!(is_free(&d, "0.0.0.0", 8080));
    let ports = "inspect -f '{{json .NetworkSettings.Ports}}' web";
    let shown = r#"{"80/tcp":[{"HostIp":"0.0.0.0","HostPort":""}]}"#;
    assert_eq!(docker.ok(ports), shown);
    d.host().outside().ip(&format!(
        "route add 10.98.0.0/24 via {}",
        d.host().address()
    ));
    let own = Ipv4Addr::new(10, 98, 0, 2).into();
    reaches(d.host().outside(), (own, 80), "web");
    for cli in d.clis() {
        assert_eq!(cli.ok("ps --format '{{.Ports}}'"), "80/tcp");
    }
    docker.ok("rm -f web");
    docker.ok("network rm routed");
    d.assert_no_leaks();
}

#[test]
fn a_thousand_ports() {
    let d = Daemon::fresh();
    let host = d.host();
    let script = "mkdir /w; hostname > /w/index.html; \
                  for p in 8000 8999; do httpd -p $p -h /w; done; exec sleep 1000";
    d.docker().ok(&format!(
        "run -d --name range --hostname range -p 8000-8999:8000-8999 busybox sh -c '{script}'"
    ));
    for port in [8000, 8999] {
        reaches(host.outside(), (host.address(), port), "range");
        reaches(host.ns(), (LOCAL, port), "range");
    }
    assert!(!is_free(&d, "0.0.0.0", 8500));
    for cli in d.clis() {
        let ports = cli.ok("ps --format '{{.Ports}}'");
        assert!(
            ports.starts_with("0.0.0.0:8000-8999->8000-8999/tcp"),
            "{ports}"
        );
    }
    d.docker().ok("rm -f range");
    assert!(is_free(&d, "0.0.0.0", 8500));
}

#[test]
fn no_process_for_a_port() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    serve(&d, "one", "-p 8001:80");
    crate::relayed::until_relay(&d);
    let before = processes(&d);
    serve(&d, "many", "-p 8100-8119:100-119");
    assert_eq!(processes(&d), before + 1, "one shim, whatever is published");
}

fn processes(d: &Daemon) -> usize {
    let inode = |pid: &str| std::fs::read_link(format!("/proc/{pid}/ns/net")).ok();
    let host = inode(&d.pid().to_string());
    let all = std::fs::read_dir("/proc").expect("/proc").flatten();
    all.filter(|e| inode(&e.file_name().to_string_lossy()) == host)
        .count()
}

/// CVE-2020-8558: what listens on the host's loopback only, or is published there only, must not
/// be reached by a neighbour who sends packets for 127.0.0.1 to the host.
#[test]
fn loopback_is_not_reachable_from_outside() {
    let d = Daemon::fresh();
    let host = d.host();
    serve(&d, "private", "-p 127.0.0.1:8080:80");
    reaches(host.ns(), (LOCAL, 8080), "private");
    let listener = host
        .ns()
        .within(|| TcpListener::bind("127.0.0.1:7777").expect("a port"));
    let attacker = host.outside();
    attacker
        .run(Command::new("sysctl").args(["-qw", "net.ipv4.conf.all.route_localnet=1"]))
        .ok();
    attacker
        .run(Command::new("sysctl").args(["-qw", "net.ipv4.conf.lan0.route_localnet=1"]))
        .ok();
    // 127.0.0.1 of the attacker itself must not be in the way, so the target is a neighbour in
    // 127.0.0.0/8 that the host also takes for itself.
    attacker.ip("link set lo down");
    attacker.ip(&format!(
        "route add 127.0.0.0/8 via {} dev lan0 src {}",
        host.address(),
        Lan::OUTSIDE
    ));
    for port in [7777, 8080] {
        for ip in ["127.0.0.1", "127.0.0.2"] {
            let to: SocketAddr = format!("{ip}:{port}").parse().expect("an address");
            assert!(get(attacker, to).is_err(), "{to} was reached from outside");
        }
    }
    drop(listener);
    let bridge_side = "run --rm --cap-add NET_ADMIN busybox sh -c 'ip addr del 127.0.0.1/8 dev lo; ip route add 127.0.0.1 via 172.17.0.1; wget -T 2 -q -O - http://127.0.0.1:8080/index.html'";
    assert_ne!(d.docker().code(bridge_side), 0, "reached from a container");
    reaches(host.ns(), (LOCAL, 8080), "private");
}

/// What is not published is not reached by a neighbour who routes to the bridge.
#[test]
fn unpublished_ports_stay_private() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // Docker closes this since 28
    }
    let host = d.host();
    serve(&d, "hidden", "");
    reaches(host.ns(), (d.address_of("hidden"), 80), "hidden");
    host.outside()
        .ip(&format!("route add 172.17.0.0/16 via {}", host.address()));
    assert!(get(host.outside(), (d.address_of("hidden"), 80)).is_err());
}
