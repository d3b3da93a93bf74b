//! The default bridge, the way out, other network modes, daemons side by side.

use std::io::{Read, Write};
use std::net::TcpListener;

use testkit::{Daemon, Host, Lan, Opts, images};

#[test]
fn nat_to_the_outside() {
    let d = Daemon::fresh();
    // The outside has no way back to 172.17.0.0/16: an answer proves the masquerade.
    let listener = d
        .host()
        .outside()
        .within(|| TcpListener::bind((Lan::OUTSIDE, 7000)).expect("a port"));
    let server = std::thread::spawn(move || {
        let mut peers = Vec::new();
        for socket in listener.incoming().take(d_clis()) {
            let mut socket = socket.expect("a connection");
            peers.push(socket.peer_addr().expect("a peer").ip());
            let mut request = [0; 512];
            let _ = socket.read(&mut request);
            let _ = socket.write_all(b"HTTP/1.0 200 OK\r\n\r\nfrom outside");
        }
        peers
    });
    for cli in d.clis() {
        assert_eq!(
            cli.ok("run --rm busybox wget -q -O - http://192.0.2.1:7000/"),
            "from outside"
        );
    }
    let peers = server.join().expect("the server");
    assert!(peers.iter().all(|p| *p == d.host().address()), "{peers:?}");
}

/// How many clients there are to try.
fn d_clis() -> usize {
    if testkit::wharf_bin().exists() { 2 } else { 1 }
}

#[test]
fn bridge_addresses_and_neighbours() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name one --hostname one busybox sh -c 'mkdir /w; echo hi > /w/index.html; httpd -f -h /w'");
        let one = d.address_of("one");
        assert!(one.to_string().starts_with("172.17.0."), "{one}");
        let gateway = cli.ok("inspect -f '{{.NetworkSettings.Networks.bridge.Gateway}}' one");
        assert_eq!(gateway, "172.17.0.1");
        let route = cli.ok("run --rm busybox ip route");
        assert!(route.contains("default via 172.17.0.1 dev eth0"), "{route}");
        testkit::eventually("a neighbour's answer", || {
            cli.code(&format!("run --rm busybox wget -q -O - http://{one}/")) == 0
        });
        let hosts = cli.ok("exec one cat /etc/hosts");
        assert!(hosts.contains(&format!("{one}\tone")), "{hosts}");
        let resolv = cli.ok("exec one cat /etc/resolv.conf");
        assert!(resolv.contains("nameserver"), "{resolv}");
        cli.ok("rm -f one");
    }
    d.assert_no_leaks();
}

#[test]
fn bip() {
    let d = Daemon::with(Opts::args(&["--bip", "10.99.7.1/24"]));
    let address = d.docker().ok("run --rm busybox ip -4 addr show eth0");
    assert!(address.contains("inet 10.99.7.2/24"), "{address}");
    let route = d.docker().ok("run --rm busybox ip route");
    assert!(route.contains("default via 10.99.7.1"), "{route}");
    let out = Daemon::refused(&Host::new(), Opts::args(&["--bip", "no address"]));
    assert!(out.stderr.contains("no address"), "{out}");
}

#[test]
fn none_host_and_container() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let links = |flags: &str| {
            let out = cli.ok(&format!("run --rm {flags} busybox ls /sys/class/net"));
            out.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(links("--network none"), ["lo"]);
        assert_eq!(links("--network bridge"), ["eth0", "lo"]);
        let address = cli.ok("run --rm --network host busybox ip -4 addr show eth0");
        assert!(
            address.contains(&d.host().address().to_string()),
            "{address}"
        );
        cli.ok("run -d --name base --hostname base busybox sleep 1000");
        let same = cli.ok("run --rm --network container:base busybox sh -c 'hostname; readlink /proc/self/ns/net'");
        assert_eq!(
            same,
            cli.ok("exec base sh -c 'hostname; readlink /proc/1/ns/net'")
        );
        cli.ok("rm -f base");
        cli.refused(
            "run --rm --network nowhere busybox true",
            &["nowhere", "not found"],
        );
        assert_eq!(
            cli.code("run --rm --network container:gone busybox true"),
            125
        );
    }
    d.assert_no_leaks();
}

#[test]
fn daemons_side_by_side() {
    let lan = Lan::new();
    let hosts = [lan.host(), lan.host()];
    let daemons = hosts
        .each_ref()
        .map(|host| Daemon::start(host, Opts::default()));
    for (d, name) in daemons.iter().zip(["a", "b"]) {
        d.load(&images::busybox_tar());
        let script = format!("mkdir /w; echo {name} > /w/index.html; httpd -f -h /w");
        d.docker().ok(&format!(
            "run -d --name web -p 8080:80 busybox sh -c '{script}'"
        ));
    }
    // The same name, address and port on both, and each has its own.
    assert_eq!(daemons[0].address_of("web"), daemons[1].address_of("web"));
    for (host, name) in hosts.iter().zip(["a", "b"]) {
        let url = format!("http://{}:8080/index.html", host.address());
        testkit::eventually("the right one", || {
            let mut curl = std::process::Command::new("curl");
            lan.outside()
                .run(curl.args(["-s", "-m", "2", &url]))
                .stdout
                .trim()
                == name
        });
    }
    daemons[0].docker().ok("rm -f web");
    daemons[0].assert_no_leaks();
    assert_eq!(daemons[1].docker().ok("ps --format '{{.Names}}'"), "web");
}

#[test]
fn a_used_root_is_refused() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    let roots = [
        format!("--data-root={}/data", d.dir().display()),
        format!("--exec-root={}/exec", d.dir().display()),
    ];
    let out = Daemon::refused(
        &d.host().lan().host(),
        Opts {
            args: roots.into(),
            ..Opts::default()
        },
    );
    assert!(
        out.stderr.contains("data"),
        "says which folder is used: {out}"
    );
}
