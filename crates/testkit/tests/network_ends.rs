//! Ends of containers in networks that are special: in none at all, of IPv6 alone, with addresses that
//! others have; and what comes right after a network has gone.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Cli, Daemon, Engine, eventually};

use crate::own_names::dns::{A, AAAA, Inside};

const NONE: &str = "container cannot be connected to multiple networks with one of the networks in \
                    private (none) mode";
const HOST: &str = "cannot connect container to host network - container must be created in host network \
                    mode";
const SHARED: &str = "container sharing network namespace with another container or host cannot be \
                      connected to any other network";

fn networks(cli: &Cli, container: &str) -> String {
    let line = "{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}";
    cli.ok(&format!("inspect -f '{line}' {container}"))
        .trim()
        .to_owned()
}

fn links(cli: &Cli, container: &str) -> Vec<String> {
    let out = cli.ok(&format!("exec {container} ls /sys/class/net"));
    out.split_whitespace().map(str::to_owned).collect()
}

#[test]
fn out_of_none_and_into_others() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("network create mine");
        cli.ok("run -d --name peer --network mine busybox sleep 1000");
        cli.ok("run -d --name box --network none busybox sleep 1000");
        cli.ok("create --name still --network none busybox sleep 1000");
        for name in ["box", "still"] {
            for network in ["mine", "bridge"] {
                cli.refused(&format!("network connect {network} {name}"), &[NONE]);
            }
            cli.ok(&format!("network disconnect none {name}"));
            assert_eq!(networks(&cli, name), "");
            cli.ok(&format!("network connect mine {name}"));
            assert_eq!(networks(&cli, name), "mine");
            cli.refused(&format!("network connect none {name}"), &[NONE]);
        }
        cli.ok("start still");
        for name in ["box", "still"] {
            assert_eq!(links(&cli, name), ["eth0", "lo"]);
            let peer =
                d.inspect("peer")["NetworkSettings"]["Networks"]["mine"]["IPAddress"].clone();
            let peer = peer.as_str().expect("an address").to_owned();
            cli.ok(&format!("exec {name} ping -c 1 -W 5 {peer}"));
            Inside::of(&d, name).ask("peer", A).is(&[&peer]);
            cli.ok(&format!("restart -t 0 {name}"));
            assert_eq!(links(&cli, name), ["eth0", "lo"]);
            Inside::of(&d, name).ask("peer", A).is(&[&peer]);
        }
        // And back again.
        cli.ok("network disconnect mine box");
        cli.ok("network connect none box");
        assert_eq!(
            (links(&cli, "box"), networks(&cli, "box")),
            (vec!["lo".to_owned()], "none".to_owned())
        );
        cli.ok("restart -t 0 box");
        assert_eq!(links(&cli, "box"), ["lo"]);
        cli.refused("network connect host peer", &[HOST]);
        cli.ok("run -d --name hosts --network host busybox sleep 1000");
        cli.refused("network connect mine hosts", &[SHARED]);
        cli.refused(
            "network disconnect host hosts",
            &["cannot disconnect container from host network - container was created in host network mode"],
        );
        cli.ok("rm -f box still peer hosts");
        cli.ok("network rm mine");
    }
    d.assert_no_leaks();
}

#[test]
fn ipv6_alone() {
    let d = Daemon::fresh();
    d.host().ns().ip("addr add 2001:db8:6::2/64 dev eth0 nodad");
    d.host()
        .outside()
        .ip("addr add 2001:db8:6::1/64 dev lan0 nodad");
    for cli in d.clis() {
        cli.ok("network create --ipv4=false --ipv6 --subnet fd00:66::/64 six");
        cli.ok("network create --ipv4=false --ipv6 chosen");
        let shown = |network: &str| -> Value {
            let text = cli.ok(&format!("network inspect {network}"));
            serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
        };
        let six = shown("six");
        assert_eq!(
            (&six["EnableIPv4"], &six["EnableIPv6"]),
            (&json!(false), &json!(true))
        );
        assert_eq!(
            six["IPAM"]["Config"],
            json!([{"Subnet": "fd00:66::/64", "Gateway": "fd00:66::1"}])
        );
        let chosen = shown("chosen")["IPAM"]["Config"].clone();
        assert_eq!(chosen.as_array().map(Vec::len), Some(1), "{chosen}");
        cli.ok("run -d --name web --network six -p 8086:80 busybox sh -c 'mkdir /w; echo six > /w/index.html; httpd -f -h /w'");
        cli.ok("run -d --name box --network six busybox sleep 1000");
        let end = d.inspect("web")["NetworkSettings"]["Networks"]["six"].clone();
        assert_eq!(
            (&end["IPAddress"], &end["Gateway"]),
            (&json!(""), &json!(""))
        );
        let web = end["GlobalIPv6Address"]
            .as_str()
            .expect("an address")
            .to_owned();
        assert!(web.starts_with("fd00:66::"), "{web}");
        assert_eq!(cli.ok("exec box ip -4 addr show eth0"), "");
        let hosts = cli.ok("exec web cat /etc/hosts");
        assert!(hosts.contains(&web), "{hosts}");
        cli.ok(&format!("exec box ping -6 -c 1 -W 5 {web}"));
        let inside = Inside::of(&d, "box");
        inside.ask("web", AAAA).is(&[&web]);
        inside.ask("web", A).is(&[""; 0]);
        eventually("the server listens", || {
            cli.run(&format!("exec box wget -q -O - http://[{web}]/"))
                .stdout
                .trim()
                == "six"
        });
        // Outside, and its published port from there.
        cli.ok("exec box ping -6 -c 1 -W 5 2001:db8:6::1");
        let ports = cli.ok("port web");
        assert!(ports.contains("[::]:8086"), "{ports}");
        let at = SocketAddr::new("2001:db8:6::2".parse::<IpAddr>().expect("an address"), 8086);
        for ns in [d.host().outside(), d.host().ns()] {
            ns.within(|| TcpStream::connect_timeout(&at, Duration::from_secs(5)))
                .expect("it is published");
        }
        // A live one.
        cli.ok("network connect chosen box");
        assert!(cli.ok("exec box ip -6 addr show eth1").contains("inet6 fd"));
        cli.ok("network disconnect six box");
        assert_eq!(links(&cli, "box"), ["eth1", "lo"]);
        cli.refused(
            "network create --ipv4=false none4",
            &["IPv4 or IPv6 must be enabled"],
        );
        cli.ok("rm -f web box");
        cli.ok("network rm six chosen");
    }
    d.assert_no_leaks();
}

#[test]
fn whose_an_address_is() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    let cli = d.docker();
    cli.ok(
        "network create --subnet 10.97.0.0/24 --gateway 10.97.0.9 --aux-address a=10.97.0.3 taken",
    );
    let id = cli.ok("run -d --name box --network taken --ip 10.97.0.5 busybox sleep 1000");
    for (ip, who) in [
        ("10.97.0.9", "its gateway"),
        ("10.97.0.3", "one of its auxiliary addresses"),
        ("10.97.0.5", &format!("container {}", &id[..12])),
    ] {
        let whole = format!("Address already in use: {ip} on network taken, by {who}");
        cli.refused(
            &format!("run --rm --network taken --ip {ip} busybox true"),
            &[&whole],
        );
    }
    // What the kernel cannot do is said when the network is made.
    let has = cli.run("network create -d ipvlan vlan");
    if has.code != 0 {
        has.refused(&["needs links of the kind ipvlan, which this host's kernel does not have"]);
        assert_eq!(cli.ok("network ls -q --filter driver=ipvlan"), "");
    }
    cli.ok("rm -f box");
}

/// Bridges go in the background: nobody meets one that is on its way.
#[test]
fn made_again_right_after_it_was_removed() {
    let d = Daemon::fresh();
    if !Engine::under_test().is_wharf() {
        return;
    }
    let api = d.api();
    let body = json!({"Name": "again",
        "IPAM": {"Config": [{"Subnet": "10.98.0.0/24"}]},
        "Options": {"com.docker.network.bridge.name": "again0"}});
    let ip = |line: &str| {
        d.host()
            .run(std::process::Command::new("ip").args(line.split(' ')))
    };
    for _ in 0..20 {
        api.post("/networks/create", Some(&body)).expect(201);
        let addresses = ip("-4 addr show again0").ok();
        assert!(addresses.contains("inet 10.98.0.1/24"), "{addresses}");
        let routes = ip("route show 10.98.0.0/24").ok();
        assert_eq!(routes.lines().count(), 1, "{routes}");
        api.delete("/networks/again").expect(204);
        // At once for who looks at the host's addresses.
        assert_eq!(ip("route show 10.98.0.0/24").ok(), "");
    }
    d.assert_no_leaks();
}

/// What a bridge of the operator's has.
fn theirs(d: &Daemon) -> String {
    let line = "ip -o addr show dev theirs0 scope global; ip route show dev theirs0; \
                cat /proc/sys/net/ipv4/conf/theirs0/route_localnet";
    let shell = std::process::Command::new("sh");
    let out = d.host().run({ shell }.args(["-c", line])).ok();
    out.replace(" linkdown", "")
}

/// A bridge of the operator's is after a network what it was before it.
#[test]
fn a_bridge_that_was_there_is_left_as_it_was() {
    let mut d = Daemon::fresh();
    if !Engine::under_test().is_wharf() {
        return;
    }
    d.host().ns().ip("link add theirs0 type bridge");
    for line in [
        "addr add 10.95.0.1/24 dev theirs0",
        "addr add 10.96.0.9/24 dev theirs0",
        "link set theirs0 up",
    ] {
        d.host().ns().ip(line);
    }
    let before = theirs(&d);
    assert!(
        before.contains("10.95.0.1/24") && before.ends_with('0'),
        "{before}"
    );
    for cli in d.clis() {
        let make =
            "network create --ipv6 --subnet fd00:95::/64 -o com.docker.network.bridge.name=theirs0";
        // Its address is one that the bridge has, and one that it gets.
        for subnet in ["10.95.0.0/24", "10.94.0.0/24"] {
            cli.ok(&format!("{make} --subnet {subnet} guest"));
            assert_ne!(theirs(&d), before);
            cli.ok("run --rm --network guest busybox true");
            cli.ok("network rm guest");
            assert_eq!(theirs(&d), before, "{subnet}");
        }
        // One that is gone has nothing to lose.
        d.host().ns().ip("link add busy0 type bridge");
        cli.ok(
            "network create --subnet 10.93.0.0/24 -o com.docker.network.bridge.name=busy0 other",
        );
        d.host().ns().ip("link del busy0");
        cli.ok("network rm other");
    }
    // Also when another daemon removes it.
    let make =
        "network create --subnet 10.94.0.0/24 -o com.docker.network.bridge.name=theirs0 guest";
    d.docker().ok(make);
    d.kill9();
    d.restart();
    assert_ne!(theirs(&d), before);
    d.docker().ok("network rm guest");
    assert_eq!(theirs(&d), before);
    d.host().ns().ip("link del theirs0");
    d.assert_no_leaks();
}
