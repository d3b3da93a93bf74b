//! What outlives the daemon, the process itself, and the containers.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use domain::base::iana::{Rcode, Rtype};
use resolver::{AskerFds, Client};

use crate::lab::{Container, Server, asker, endpoint, network, sockets, until, within};

fn server_with_web() -> (Server, Container) {
    let server = Server::new();
    let web = endpoint(&["web", "app"], &["10.1.0.2"]);
    let other = endpoint(&["web2", "app"], &["10.1.0.3"]);
    let network = network("front", 1, &[("c1", web), ("c2", other)]);
    server.client().set_network(&network).unwrap();
    let container = Container::new(&server, &asker("c1", &["front"], &[]));
    (server, container)
}

#[test]
fn it_answers_while_nobody_is_connected() {
    let (server, container) = server_with_web();
    // The daemon's connections, also one that broke off in the middle of a word.
    let mut cut = std::os::unix::net::UnixStream::connect(server.dir.path().join("c")).unwrap();
    std::io::Write::write_all(&mut cut, &[9, 0, 0, 0, b'{']).unwrap();
    drop(cut);
    assert_eq!(container.a("web"), ["10.1.0.2"]);
    let mode = server
        .dir
        .path()
        .join("c")
        .metadata()
        .unwrap()
        .permissions();
    assert_eq!(mode.mode() & 0o777, 0o600);
}

#[test]
fn what_was_known_is_known_after_a_kill() {
    let (mut server, container) = server_with_web();
    until("it to be on disk", || {
        std::fs::read_to_string(server.dir.path().join("s")).is_ok_and(|s| s.contains("\"c1\""))
    });
    server.restart();
    let mut client = server.client();
    let status = client.status().unwrap();
    assert_eq!(
        (status.serving.len(), status.waiting),
        (0, vec!["c1".to_owned()])
    );
    assert_eq!(status.networks, ["front"]);
    assert!(client.change_asker(&asker("c1", &["front"], &[])).is_err());
    let (fds, address) = sockets(&container.namespace);
    client
        .set_asker(&asker("c1", &["front"], &[]), &fds)
        .unwrap();
    let container = Container {
        address,
        ..container
    };
    assert_eq!(container.a("web"), ["10.1.0.2"]);
}

#[test]
fn what_is_broken_on_disk_is_not_used() {
    let (mut server, _container) = server_with_web();
    let path = server.dir.path().join("s");
    until("it to be on disk", || path.exists());
    std::fs::write(&path, b"{\"askers\":[{").unwrap();
    server.restart();
    assert!(server.client().status().unwrap().networks.is_empty());
}

#[test]
fn sockets_pass_to_the_process_that_comes_next() {
    let (old, container) = server_with_web();
    let new = Server::new();
    let web = endpoint(&["web"], &["10.1.0.99"]);
    new.client()
        .set_network(&network("front", 1, &[("c1", web)]))
        .unwrap();
    let mut client = old.client();
    let fds = client.descriptors("c1").unwrap();
    assert!(fds.udp.is_some() && fds.tcp.is_some() && fds.namespace.is_some());
    client.remove_asker("c1").unwrap();
    // Asked while no process serves it: the question waits in the socket.
    let socket = container.udp();
    socket
        .send(&crate::lab::query(3, "web", Rtype::A, None))
        .unwrap();
    new.client()
        .set_asker(&asker("c1", &["front"], &[]), &fds)
        .unwrap();
    let mut buf = [0; 512];
    let len = socket.recv(&mut buf).unwrap();
    assert_eq!(crate::lab::Said::new(&buf[..len]).records, ["10.1.0.99"]);
    assert!(client.descriptors("c1").is_err());
    client.stop().unwrap();
    until("the old one to be gone", || {
        Client::connect(&old.dir.path().join("c")).is_err()
    });
}

#[test]
fn a_container_that_is_gone_has_no_names_and_no_namespace() {
    let (server, container) = server_with_web();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let flags = rustix::process::PidfdFlags::empty();
    let life = rustix::process::pidfd_open(pid, flags).unwrap();
    let namespace = sys::netns::create().unwrap();
    let (fds, _) = sockets(&namespace);
    let fds = AskerFds {
        life: Some(life),
        ..fds
    };
    let mut client = server.client();
    client
        .set_asker(&asker("c2", &["front"], &[]), &fds)
        .unwrap();
    assert_eq!(container.a("app"), ["10.1.0.2", "10.1.0.3"]);
    child.kill().unwrap();
    child.wait().unwrap();
    until("it to be forgotten", || {
        client.status().unwrap().serving == ["c1"]
    });
    assert_eq!(container.a("app"), ["10.1.0.2"]);
    assert_eq!(container.ask("web2", Rtype::A).rcode, Rcode::SERVFAIL);
    drop(fds);
    // Nothing of the server's holds the namespace: its inode is in none of its descriptors.
    let inode = rustix::fs::fstat(&namespace).unwrap().st_ino;
    let held = std::fs::read_dir(format!("/proc/{}/fd", server.process.id())).unwrap();
    let names = held.filter_map(|fd| std::fs::read_link(fd.unwrap().path()).ok());
    assert!(
        names
            .into_iter()
            .all(|n| !n.ends_with(format!("net:[{inode}]")))
    );
}

#[test]
fn only_what_the_daemon_still_has_stays() {
    let (server, container) = server_with_web();
    let mut client = server.client();
    Container::new(&server, &asker("c9", &[], &[]));
    client.set_network(&network("old", 9, &[])).unwrap();
    client.retain(&["c1".into()], &["front".into()]).unwrap();
    let status = client.status().unwrap();
    assert_eq!(status.serving, ["c1"]);
    assert_eq!(status.networks, ["front"]);
    assert_eq!(container.a("web"), ["10.1.0.2"]);
}

#[test]
fn there_is_one_and_it_is_small() {
    let (server, container) = server_with_web();
    let second = Command::new(env!("CARGO_BIN_EXE_wharf-dns"))
        .args([
            "--control".as_ref(),
            server.dir.path().join("c").as_os_str(),
        ])
        .args(["--state".as_ref(), server.dir.path().join("s").as_os_str()])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(3));
    assert_eq!(container.a("web"), ["10.1.0.2"]);
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.process.id())).unwrap();
    let field = |name: &str| {
        let line = status.lines().find(|l| l.starts_with(name)).unwrap();
        line.split_whitespace().nth(1).unwrap().to_owned()
    };
    assert!(field("VmRSS:").parse::<u64>().unwrap() < 16_384, "{status}");
    assert_eq!(field("Threads:"), "1");
    // Of root's powers it keeps one: to enter containers' networks.
    assert_eq!(
        u64::from_str_radix(&field("CapEff:"), 16).unwrap() & !(1 << 21),
        0
    );
    let own = within(&container.namespace, || {
        std::fs::read_link("/proc/thread-self/ns/net")
    });
    assert!(own.is_ok());
}

#[test]
fn it_ends_when_nobody_needs_it() {
    let mut server = Server::new();
    let client = server.client();
    let mut child = Command::new("sleep").arg("1000").spawn().unwrap();
    let pid = rustix::process::Pid::from_child(&child);
    let flags = rustix::process::PidfdFlags::empty();
    let life = rustix::process::pidfd_open(pid, flags).unwrap();
    let namespace = sys::netns::create().unwrap();
    let (fds, address) = sockets(&namespace);
    let fds = AskerFds {
        life: Some(life),
        ..fds
    };
    let mut own = server.client();
    own.set_asker(&asker("c1", &[], &[]), &fds).unwrap();
    drop((fds, own, client));
    let container = Container { namespace, address };
    assert_eq!(container.ask("x", Rtype::A).rcode, Rcode::SERVFAIL);
    child.kill().unwrap();
    child.wait().unwrap();
    until("its end", || server.process.try_wait().unwrap().is_some());
    assert!(server.process.wait().unwrap().success());
}
