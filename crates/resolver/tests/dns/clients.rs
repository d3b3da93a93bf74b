//! The clients that containers have: glibc's and busybox's, through the redirect from port 53 that
//! the daemon will make.

use std::os::fd::OwnedFd;
use std::process::{Command, Output};

use resolver::Asker;

use crate::lab::{Container, Server, asker, endpoint, network, within};
use crate::upstream::Fake;

/// Redirects port 53 of 127.0.0.11 to where the sockets are.
fn redirect(container: &Container) {
    let port = container.address.port();
    let rules = format!(
        "table ip dns {{ chain out {{ type nat hook output priority -100; \
         ip daddr 127.0.0.11 udp dport 53 dnat to 127.0.0.11:{port}; \
         ip daddr 127.0.0.11 tcp dport 53 dnat to 127.0.0.11:{port}; }}; }}"
    );
    let done = run(&container.namespace, "nft", &[&rules]);
    assert!(done.status.success(), "{done:?}");
    // glibc asks only for addresses of a kind that the host has itself.
    for address in ["10.1.0.250/32", "fd01::250/128"] {
        let done = run(
            &container.namespace,
            "ip",
            &["addr", "add", address, "dev", "lo"],
        );
        assert!(done.status.success(), "{done:?}");
    }
}

fn run(ns: &OwnedFd, program: &str, args: &[&str]) -> Output {
    within(ns, || Command::new(program).args(args).output().unwrap())
}

/// Runs it with a `resolv.conf` of its own; what it printed, and whether it was content.
fn with_resolv_conf(container: &Container, conf: &str, command: &str) -> (bool, String) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("resolv.conf");
    std::fs::write(&file, conf).unwrap();
    let script = format!(
        "mount --bind {} \"$(readlink -f /etc/resolv.conf)\" && {command}",
        file.display()
    );
    let out = run(
        &container.namespace,
        "unshare",
        &["-m", "sh", "-c", &script],
    );
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    (
        out.status.success(),
        text + &String::from_utf8_lossy(&out.stderr),
    )
}

fn setup(forward: bool) -> (Server, Container, Fake) {
    let (server, fake) = (Server::new(), Fake::new(1));
    let mut client = server.client();
    let db = endpoint(&["db", "data"], &["10.1.0.2"]);
    let dual = endpoint(&["dual"], &["10.1.0.3", "fd01::3"]);
    let six = endpoint(&["six"], &["fd01::6"]);
    let many: Vec<_> = (0..100).map(|n| format!("10.1.0.{}", 100 + n)).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let all = [
        ("1", db),
        ("2", dual),
        ("3", six),
        ("4", endpoint(&["many"], &many)),
    ];
    client.set_network(&network("front", 1, &all)).unwrap();
    let settings = Asker {
        forward,
        ..asker("1", &["front"], &[fake.address])
    };
    let container = Container::new(&server, &settings);
    redirect(&container);
    (server, container, fake)
}

const CONF: &str = "nameserver 127.0.0.11\noptions ndots:0\n";
/// As a host has it whose names are searched in a domain; musl and glibc ask there first.
const SEARCH: &str = "search corp.example\nnameserver 127.0.0.11\noptions ndots:1 edns0\n";

#[test]
fn glibc() {
    let (_server, container, _fake) = setup(true);
    let get = |conf, what: &str| with_resolv_conf(&container, conf, &format!("getent {what}"));
    let (fine, text) = get(CONF, "ahosts db");
    assert!(fine && text.starts_with("10.1.0.2"), "{text}");
    let (fine, text) = get(CONF, "ahostsv6 six");
    assert!(fine && text.starts_with("fd01::6"), "{text}");
    let (fine, text) = get(CONF, "ahosts dual");
    assert!(
        fine && text.contains("10.1.0.3") && text.contains("fd01::3"),
        "{text}"
    );
    // More than fits a packet, so by TCP.
    let (fine, text) = get(CONF, "ahostsv4 many");
    let streams = text.lines().filter(|l| l.contains("STREAM")).count();
    assert!(fine && streams == 100, "{text}");
    let (fine, text) = get(CONF, "hosts 10.1.0.2");
    assert!(fine && text.contains("db.front_default"), "{text}");
    let (fine, text) = get(CONF, "ahostsv4 www.example");
    assert!(fine && text.contains("192.0.2.1"), "{text}");
    let (fine, text) = get(CONF, "ahosts nothere.example");
    assert!(!fine, "{text}");
}

#[test]
fn glibc_in_an_internal_network() {
    let (_server, container, fake) = setup(false);
    for conf in [CONF, SEARCH] {
        let (fine, text) = with_resolv_conf(&container, conf, "getent ahosts db");
        assert!(fine && text.starts_with("10.1.0.2"), "{text}");
    }
    assert!(!with_resolv_conf(&container, SEARCH, "getent ahosts www.example").0);
    assert_eq!(fake.asked(), (0, 0));
}

#[test]
fn busybox() {
    let (_server, container, _fake) = setup(true);
    let look = |what: &str| {
        let command = format!("busybox nslookup {what}");
        with_resolv_conf(&container, CONF, &command)
    };
    let (fine, text) = look("db");
    assert!(fine && text.contains("10.1.0.2"), "{text}");
    let (_, text) = look("dual");
    assert!(
        text.contains("10.1.0.3") && text.contains("fd01::3"),
        "{text}"
    );
    let (_, text) = look("10.1.0.2");
    assert!(text.contains("db.front_default"), "{text}");
    let (_, text) = look("nothere.example");
    assert!(
        text.contains("NXDOMAIN") || text.contains("can't"),
        "{text}"
    );
}

#[test]
fn a_server_of_the_containers_own_on_port_53() {
    let (_server, container, _fake) = setup(true);
    let own = within(&container.namespace, || {
        let udp = std::net::UdpSocket::bind("0.0.0.0:53");
        let tcp = std::net::TcpListener::bind("0.0.0.0:53");
        (udp, tcp)
    });
    assert!(own.0.is_ok() && own.1.is_ok());
    let (fine, text) = with_resolv_conf(&container, CONF, "getent ahosts db");
    assert!(fine && text.starts_with("10.1.0.2"), "{text}");
}
