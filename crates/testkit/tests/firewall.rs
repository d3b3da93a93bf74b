//! What is open on a host, beside other firewalls.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Duration,
};

use serde_json::Value;
use testkit::{Daemon, Engine, Host, Opts, eventually, images};

const SERVE: &str = "sh -c 'mkdir /w; echo hello > /w/index.html; exec httpd -f -p 80 -h /w'";

/// Rules of somebody else's that drop what is forwarded.
const THEIRS: &str =
    "table ip theirs { chain FORWARD { type filter hook forward priority 0; policy drop; }; }";

fn nft(d: &Daemon, rules: &str) {
    let mut command = Command::new("nft");
    command.arg(rules);
    d.host().run(&mut command).ok();
}

/// Whether the host's port 8080 is answered from outside.
fn is_open(d: &Daemon) -> bool {
    let to = SocketAddr::new(d.host().address(), 8080);
    let outside = d.host().outside();
    let stream = outside.within(|| TcpStream::connect_timeout(&to, Duration::from_secs(1)));
    let Ok(mut stream) = stream else { return false };
    let mut answer = String::new();
    let asked = stream.write_all(b"GET /index.html HTTP/1.0\r\n\r\n");
    asked.is_ok() && stream.read_to_string(&mut answer).is_ok() && answer.ends_with("hello\n")
}

fn shown(d: &Daemon) -> Value {
    let text = d.wharf().ok("firewall --format json");
    serde_json::from_str(&text).expect("JSON")
}

#[test]
fn what_is_open_is_shown() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("network create --internal --subnet 10.9.0.0/24 inner");
    cli.ok("network create own");
    cli.ok(
        "run -d --name web --network own -p 8080:80 -p 127.0.0.1:8081:81/udp busybox sleep 1000",
    );
    let all = shown(&d);
    let ip = cli.ok("inspect -f '{{.NetworkSettings.Networks.own.IPAddress}}' web");
    let port = &all["Ports"][0];
    assert_eq!(port["HostPort"], 8080);
    assert_eq!(port["Container"], "web");
    assert_eq!(port["Target"], format!("{ip}:80"));
    let port = &all["Ports"][1];
    assert_eq!(
        (&port["HostIp"], &port["HostPort"]),
        (&"::".into(), &8080.into())
    );
    assert_eq!(port["Target"], format!("{ip}:80"));
    assert_eq!(port["Why"], "published on all addresses, by the relay");
    assert_eq!(all["Ports"][2]["Why"], "published to the host itself only");
    let networks = all["Networks"].as_array().expect("networks");
    let inner = networks.iter().find(|n| n["Name"] == "inner");
    assert_eq!(inner.expect("it")["Inbound"], "nothing (internal)");
    let text = d.wharf().ok("firewall");
    for part in [
        "0.0.0.0:8080/tcp",
        "127.0.0.1:8081/udp",
        "10.9.0.0/24",
        "-user forward",
    ] {
        assert!(text.contains(part), "{text}");
    }
    assert_eq!(d.wharf().code("firewall --format x"), 1);
    cli.ok("rm -f web");
    assert_eq!(shown(&d)["Ports"], serde_json::json!([]));
}

#[test]
fn others_chains_let_containers_packets_pass() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let mut d = Daemon::start(&host, Opts::default());
    d.load(&images::busybox_tar());
    let cli = d.docker();
    cli.ok("network create own");
    cli.ok(&format!(
        "run -d --name web --network own -p 8080:80 busybox {SERVE}"
    ));
    eventually("an open port", || is_open(&d));
    nft(&d, THEIRS);
    assert!(!is_open(&d));
    let warnings = shown(&d)["Warnings"].to_string();
    assert!(warnings.contains("ip theirs FORWARD"), "{warnings}");

    d.kill9();
    d.add_args(&["--firewall=integrate"]);
    d.try_restart().expect("a daemon");
    eventually("a port that is let through", || is_open(&d));
    assert_eq!(shown(&d)["Warnings"], serde_json::json!([]));
    // Others reload; ours are gone with theirs.
    nft(&d, &format!("flush ruleset; {THEIRS}"));
    eventually("the port to be open again", || is_open(&d));
    // A network that comes later.
    cli.ok("network create later");
    cli.ok("rm -f web");
    cli.ok(&format!(
        "run -d --name web --network later -p 8080:80 busybox {SERVE}"
    ));
    eventually("the later one's port", || is_open(&d));
}
