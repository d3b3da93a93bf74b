//! The default network as the daemon's flags and its file have it, and what new networks get by default.

use std::net::TcpListener;
use std::process::Command;

use serde_json::{Value, json};
use testkit::{Cli, Daemon, Engine, Host, Lan, Opts, words};

fn with(args: &[&str]) -> Daemon {
    Daemon::with(Opts::args(args))
}

fn inspect(cli: &Cli, network: &str) -> Value {
    let text = cli.ok(&format!("network inspect {network}"));
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

/// Where a container is in a network.
fn end(d: &Daemon, container: &str, network: &str) -> Value {
    d.inspect(container)["NetworkSettings"]["Networks"][network].clone()
}

fn on_host(d: &Daemon, line: &str) -> String {
    let words = words(line);
    d.host().run(Command::new(&words[0]).args(&words[1..])).ok()
}

#[test]
fn with_ipv6() {
    let d = with(&[
        "--ipv6",
        "--bip6=fd00:99::1/64",
        "--fixed-cidr-v6=fd00:99::1:0/112",
    ]);
    for cli in d.clis() {
        let shown = inspect(&cli, "bridge");
        assert_eq!(shown["EnableIPv6"], json!(true));
        let config = &shown["IPAM"]["Config"][1];
        assert_eq!(
            (&config["Subnet"], &config["IPRange"], &config["Gateway"]),
            (
                &json!("fd00:99::/64"),
                &json!("fd00:99::1:0/112"),
                &json!("fd00:99::1")
            )
        );
        cli.ok("run -d --name one busybox sleep 1000");
        cli.ok("run -d --name two -p 8080:80 busybox sleep 1000");
        let one = end(&d, "one", "bridge")["GlobalIPv6Address"].clone();
        let one = one.as_str().expect("an address");
        assert!(one.starts_with("fd00:99::1:"), "{one}");
        assert_eq!(end(&d, "one", "bridge")["IPv6Gateway"], "fd00:99::1");
        cli.ok(&format!("exec two ping -6 -c 1 -W 5 {one}"));
        cli.ok("exec two ping -6 -c 1 -W 5 fd00:99::1");
        let ports = cli.ok("port two");
        assert!(ports.contains("[::]:8080"), "{ports}");
        cli.ok("rm -f one two");
    }
    d.assert_no_leaks();
}

#[test]
fn ipv6_that_nobody_chose_lasts() {
    let mut d = Daemon::with(Opts {
        config: Some(r#"{"ipv6": true}"#.into()),
        ..Opts::default()
    });
    let subnet = |d: &Daemon| inspect(&d.docker(), "bridge")["IPAM"]["Config"][1]["Subnet"].clone();
    let before = subnet(&d);
    assert!(
        before.as_str().is_some_and(|s| s.starts_with("fd")),
        "{before}"
    );
    d.docker().ok("run -d --name box busybox sleep 1000");
    let at = end(&d, "box", "bridge")["GlobalIPv6Address"].clone();
    d.kill9();
    // As after a restart of the host.
    on_host(&d, "ip -6 addr flush dev wharf0");
    d.restart();
    assert_eq!(subnet(&d), before);
    assert_eq!(end(&d, "box", "bridge")["GlobalIPv6Address"], at);
    let gateway = inspect(&d.docker(), "bridge")["IPAM"]["Config"][1]["Gateway"].clone();
    let gateway = gateway.as_str().expect("an address");
    d.docker()
        .ok(&format!("exec box ping -6 -c 1 -W 5 {gateway}"));
}

#[test]
fn a_part_for_containers_another_way_out_and_another_address_for_ports() {
    let text = r#"{"bip": "10.99.8.1/24", "fixed-cidr": "10.99.8.128/25",
        "default-gateway": "10.99.8.2", "ip": "127.0.0.1", "mtu": 1400}"#;
    let d = Daemon::with(Opts {
        config: Some(text.into()),
        ..Opts::default()
    });
    for cli in d.clis() {
        cli.ok("run -d --name box -p 8080:80 busybox sleep 1000");
        let at: std::net::Ipv4Addr = d.address_of("box").to_string().parse().expect("IPv4");
        assert!(at.octets()[3] > 128, "{at}");
        let route = cli.ok("exec box ip route");
        assert!(route.contains("default via 10.99.8.2 "), "{route}");
        assert_eq!(end(&d, "box", "bridge")["Gateway"], "10.99.8.2");
        let links = cli.ok("exec box ip link show eth0");
        assert!(links.contains("mtu 1400"), "{links}");
        assert_eq!(cli.ok("port box"), "80/tcp -> 127.0.0.1:8080");
        let shown = inspect(&cli, "bridge");
        assert_eq!(
            shown["IPAM"]["Config"],
            json!([{"Subnet": "10.99.8.0/24", "IPRange": "10.99.8.128/25", "Gateway": "10.99.8.1",
                "AuxiliaryAddresses": {"DefaultGatewayIPv4": "10.99.8.2"}}])
        );
        let bound = &shown["Options"]["com.docker.network.bridge.host_binding_ipv4"];
        assert_eq!(bound, "127.0.0.1");
        // Networks of users' own have no part in it.
        cli.ok("network create own");
        cli.ok("run -d --name other --network own -p 8081:80 busybox sleep 1000");
        assert!(cli.ok("port other").contains("0.0.0.0:8081"));
        cli.ok("rm -f box other");
        cli.ok("network rm own");
    }
    d.assert_no_leaks();
}

/// Without masquerade who is asked outside sees the container's own address.
#[test]
fn without_masquerade() {
    let d = with(&["--ip-masq=false", "--bip=10.99.9.1/24"]);
    let outside = d.host().outside();
    outside.ip(&format!(
        "route add 10.99.9.0/24 via {}",
        d.host().address()
    ));
    let listener = outside.within(|| TcpListener::bind((Lan::OUTSIDE, 7001)).expect("a port"));
    let peer = std::thread::scope(|scope| {
        let peer = scope.spawn(move || listener.accept().expect("a connection").1.ip());
        let line =
            "run -d --name box busybox sh -c 'nc -w 5 192.0.2.1 7001 </dev/null; sleep 1000'";
        d.docker().ok(line);
        peer.join().expect("no panic")
    });
    assert_eq!(peer, d.address_of("box"));
}

#[test]
fn the_hosts_forwarding_is_left_as_it_is() {
    let forwarding = "cat /proc/sys/net/ipv4/ip_forward";
    let d = with(&["--ip-forward=false"]);
    assert_eq!(on_host(&d, forwarding), "0");
    d.docker().ok("network create own");
    assert_eq!(on_host(&d, forwarding), "0");
    let d = Daemon::fresh();
    assert_eq!(on_host(&d, forwarding), "1");
}

#[test]
fn options_of_new_networks() {
    const MTU: &str = "com.docker.network.driver.mtu";
    const ICC: &str = "com.docker.network.bridge.enable_icc";
    let text = format!(
        r#"{{"default-network-opts": {{"bridge": {{"{MTU}": "1234", "{ICC}": "false"}}}}}}"#
    );
    let opts = [
        Opts::args(&[
            &format!("--default-network-opt=bridge={MTU}=1234"),
            &format!("--default-network-opt=bridge={ICC}=false"),
        ]),
        Opts {
            config: Some(text),
            ..Opts::default()
        },
    ];
    for opts in opts {
        let d = Daemon::with(opts);
        let cli = d.docker();
        cli.ok("network create usual");
        cli.ok(&format!("network create -o {MTU}=1300 other"));
        cli.ok("network create -d macvlan shared");
        let options = |name: &str| inspect(&cli, name)["Options"].clone();
        assert_eq!(options("usual"), json!({MTU: "1234", ICC: "false"}));
        assert_eq!(options("other"), json!({MTU: "1300", ICC: "false"}));
        assert_eq!(options("shared"), json!({}));
        assert_eq!(options("bridge")[ICC], "true");
        let link = cli.ok("run --rm --network usual busybox ip link show eth0");
        assert!(link.contains("mtu 1234"), "{link}");
        cli.ok("network rm usual other shared");
    }
}

#[test]
fn without_a_default_network() {
    let d = with(&["--bridge=none"]);
    for cli in d.clis() {
        let names = cli.ok("network ls --format '{{.Name}}'");
        assert_eq!(
            names.split_whitespace().collect::<Vec<_>>(),
            ["host", "none"]
        );
        assert_eq!(cli.ok("run --rm busybox ls /sys/class/net"), "lo");
        cli.ok("network create own");
        cli.ok("run -d --name box --network own busybox sleep 1000");
        let outside = Lan::OUTSIDE;
        cli.ok(&format!("exec box ping -c 1 -W 5 {outside}"));
        cli.refused("network connect bridge box", &["network bridge not found"]);
        cli.ok("rm -f box");
        cli.ok("network rm own");
    }
    d.assert_no_leaks();
}

#[test]
fn a_container_of_a_default_network_that_is_gone_still_starts() {
    let mut d = Daemon::fresh();
    d.docker().ok("run -d --name box busybox sleep 1000");
    d.docker().ok("stop -t 0 box");
    d.sigterm();
    d.add_args(&["--bridge=none"]);
    d.restart();
    d.docker().ok("start box");
    assert_eq!(d.docker().ok("exec box ls /sys/class/net"), "lo");
}

#[test]
fn what_makes_no_sense_is_refused() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    for (args, parts) in [
        (&["--bip6=fd00::1/64"][..], &["bip6 needs ipv6"][..]),
        (
            &["--fixed-cidr-v6=fd00::/64"],
            &["fixed-cidr-v6 needs ipv6"],
        ),
        (&["--ipv6", "--bip6=10.0.0.1/8"], &["bip6", "no IPv6"]),
        (
            &["--fixed-cidr=10.0.0.0"],
            &["fixed-cidr", "no prefix length"],
        ),
        (
            &["--bip=10.1.0.1/24", "--fixed-cidr=10.2.0.0/24"],
            &["10.2.0.0/24", "is not in the default bridge's subnet"],
        ),
        (
            &["--bip=10.1.0.1/24", "--default-gateway=10.2.0.1"],
            &["10.2.0.1", "not in the subnet"],
        ),
        (&["--ip=x"], &["invalid ip", "no IP address"]),
        (
            &["--bridge=none", "--bip=10.1.0.1/24"],
            &["bip", "there is none"],
        ),
        (
            &["--default-network-opt=bridge=nosuch=1"],
            &["default-network-opt", "nosuch"],
        ),
        (
            &["--default-network-opt=overlay=a=b"],
            &["default-network-opt", "overlay"],
        ),
    ] {
        Daemon::refused(&Host::new(), Opts::args(args)).refused(parts);
    }
}
