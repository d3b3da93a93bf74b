//! The process itself, told by hand, between sockets of the host's loopback.

// In tests a panic is the message.
#![allow(clippy::unwrap_used)]

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use relay::{Client, Door, Proto};
use rustix::process::{Resource, Rlimit, prlimit};

const TO: Option<IpAddr> = Some(IpAddr::V4(Ipv4Addr::LOCALHOST));

struct Lab {
    dir: tempfile::TempDir,
    child: Child,
}

impl Lab {
    fn new() -> (Self, Client) {
        let dir = tempfile::tempdir().unwrap();
        let child = start(&dir.path().join("sock"));
        let lab = Self { dir, child };
        let client = lab.client(lab.child.id());
        (lab, client)
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("sock")
    }

    fn client(&self, pid: u32) -> Client {
        until(|| {
            let client = Client::connect(&self.socket()).ok();
            client.filter(|c| c.process().is_ok_and(|p| p == pid))
        })
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn start(socket: &std::path::Path) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wharf-relay"))
        .arg("--control")
        .arg(socket)
        .stdin(Stdio::null())
        .spawn()
        .unwrap()
}

/// Asks again and again until there is something.
fn until<T>(mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(30), "in vain");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A door of TCP and the container's listener behind it.
fn tcp() -> (Door, OwnedFd, TcpListener) {
    let inside = TcpListener::bind("127.0.0.1:0").unwrap();
    let door = TcpListener::bind("[::1]:0").unwrap();
    let it = Door {
        proto: Proto::Tcp,
        at: door.local_addr().unwrap(),
        port: inside.local_addr().unwrap().port(),
    };
    (it, door.into(), inside)
}

fn connect(at: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(at).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    stream
}

/// Something that is readable when its other end is dropped.
fn life() -> (OwnedFd, OwnedFd) {
    rustix::pipe::pipe().unwrap()
}

#[test]
fn connections_both_ways_and_their_ends() {
    let (_lab, mut client) = Lab::new();
    let (door, socket, inside) = tcp();
    let (life, held) = life();
    client
        .serve("a", TO, &[(door, socket.as_fd())], life.as_fd())
        .unwrap();
    let mut out = connect(door.at);
    let (mut inner, _) = inside.accept().unwrap();
    let all: Vec<u8> = (0..5_000_000_u32).map(|n| (n % 251) as u8).collect();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            out.write_all(&all).unwrap();
            out.shutdown(Shutdown::Write).unwrap();
        });
        let mut got = Vec::new();
        inner.read_to_end(&mut got).unwrap();
        assert!(got == all);
    });
    inner.write_all(b"answer").unwrap();
    drop(inner);
    let mut text = String::new();
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "answer");
    until(|| (client.status().unwrap().connections == 0).then_some(()));
    // A container that is gone: what it has said arrives, the door is closed.
    let mut out = connect(door.at);
    let (mut inner, _) = inside.accept().unwrap();
    inner.write_all(b"last words").unwrap();
    text.clear();
    drop((held, socket));
    out.read_to_string(&mut text).unwrap();
    assert_eq!(text, "last words");
    until(|| client.status().unwrap().serving.is_empty().then_some(()));
    TcpListener::bind(door.at).unwrap();
}

/// An end may come at any point of a turn, also at its very end.
#[test]
fn no_end_is_overlooked() {
    let (_lab, mut client) = Lab::new();
    let (door, socket, inside) = tcp();
    let (life, _held) = life();
    client
        .serve("a", TO, &[(door, socket.as_fd())], life.as_fd())
        .unwrap();
    for pieces in 0..24 {
        let mut out = connect(door.at);
        let (mut inner, _) = inside.accept().unwrap();
        for n in 0..pieces {
            out.write_all(&vec![n; 64 << 10]).unwrap();
        }
        out.shutdown(Shutdown::Write).unwrap();
        inner
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut got = Vec::new();
        inner.read_to_end(&mut got).unwrap();
        assert_eq!(got.len(), usize::from(pieces) * (64 << 10));
    }
}

#[test]
fn a_door_leads_elsewhere_or_nowhere() {
    let (_lab, mut client) = Lab::new();
    let (door, socket, inside) = tcp();
    let other = TcpListener::bind((Ipv4Addr::new(127, 0, 0, 2), door.port)).unwrap();
    let (life, _held) = life();
    client
        .serve("a", TO, &[(door, socket.as_fd())], life.as_fd())
        .unwrap();
    let mut old = connect(door.at);
    let _inner = inside.accept().unwrap();
    client
        .lead("a", Some(Ipv4Addr::new(127, 0, 0, 2).into()))
        .unwrap();
    assert!(!matches!(old.read(&mut [0; 8]), Ok(1..)));
    let mut new = connect(door.at);
    let (mut inner, _) = other.accept().unwrap();
    inner.write_all(b"here").unwrap();
    let mut text = [0; 4];
    new.read_exact(&mut text).unwrap();
    assert_eq!(&text, b"here");
    client.lead("a", None).unwrap();
    let mut none = connect(door.at);
    assert!(!matches!(none.read(&mut [0; 8]), Ok(1..)));
    client.keep("a", &[]).unwrap();
    client.keep("nobody", &[]).unwrap();
    drop(socket);
    TcpListener::bind(door.at).unwrap();
    client.remove("a").unwrap();
    client.remove("a").unwrap();
    assert!(client.lead("a", TO).is_err());
}

#[test]
fn datagrams_come_back_from_where_they_were_sent() {
    let (_lab, mut client) = Lab::new();
    let inside = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let door = Door {
        proto: Proto::Udp,
        at: socket.local_addr().unwrap(),
        port: inside.local_addr().unwrap().port(),
    };
    let (life, _held) = life();
    client
        .serve("a", TO, &[(door, socket.as_fd())], life.as_fd())
        .unwrap();
    let clients: Vec<_> = (0..20_u8)
        .map(|n| {
            let socket = UdpSocket::bind("[::1]:0").unwrap();
            socket.connect(door.at).unwrap();
            socket.send(&vec![n; usize::from(n)]).unwrap();
            socket
        })
        .collect();
    let mut buffer = [0; 256];
    for _ in &clients {
        let (len, from) = inside.recv_from(&mut buffer).unwrap();
        inside.send_to(&buffer[..len], from).unwrap();
    }
    for (n, socket) in (0..).zip(&clients) {
        let len = socket.recv(&mut buffer).unwrap();
        assert_eq!(buffer[..len], vec![n; usize::from(n)]);
    }
    assert_eq!(client.status().unwrap().sessions, 20);
    client.remove("a").unwrap();
    assert_eq!(client.status().unwrap().sessions, 0);
}

/// Who talks is not driven out by thousands who ask once.
#[test]
fn thousands_of_clients_are_answered() {
    let (_lab, mut client) = Lab::new();
    let inside = UdpSocket::bind("127.0.0.1:0").unwrap();
    let socket = UdpSocket::bind("[::1]:0").unwrap();
    let door = Door {
        proto: Proto::Udp,
        at: socket.local_addr().unwrap(),
        port: inside.local_addr().unwrap().port(),
    };
    let (life, _held) = life();
    client
        .serve("a", TO, &[(door, socket.as_fd())], life.as_fd())
        .unwrap();
    let asker = || {
        let socket = UdpSocket::bind("[::1]:0").unwrap();
        let patience = Some(Duration::from_secs(20));
        socket.set_read_timeout(patience).unwrap();
        socket.connect(door.at).unwrap();
        socket
    };
    let patience = Some(Duration::from_secs(20));
    inside.set_read_timeout(patience).unwrap();
    let ask = |socket: &UdpSocket| {
        socket.send(b"x").unwrap();
        let (_, from) = inside.recv_from(&mut [0; 8]).unwrap();
        inside.send_to(b"y", from).unwrap();
        socket.recv(&mut [0; 8]).unwrap();
        from
    };
    let talks = asker();
    let from = ask(&talks);
    ask(&talks);
    for _ in 0..5_000 {
        ask(&asker());
    }
    assert_eq!(ask(&talks), from);
    assert!(client.status().unwrap().sessions <= 2_048);
    assert_eq!(client.status().unwrap().dropped, 0);
}

/// Where there is no descriptor for a pipe, what is under way waits for one, and is not broken.
#[test]
fn connections_outlast_a_want_of_descriptors() {
    let (lab, mut client) = Lab::new();
    let pid = rustix::process::Pid::from_child(&lab.child);
    let (door, socket, inside) = tcp();
    let (life, _held) = life();
    client
        .serve("a", TO, &[(door, socket.as_fd())], life.as_fd())
        .unwrap();
    let ends: Vec<_> = (0..20)
        .map(|_| (connect(door.at), inside.accept().unwrap().0))
        .collect();
    until(|| (client.status().unwrap().connections == 20).then_some(()));
    // Room for a few pipes more, and for nothing else.
    let now = std::fs::read_dir(format!("/proc/{}/fd", lab.child.id()));
    let most = Some(u64::try_from(now.unwrap().count()).unwrap() + 6);
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    prlimit(Some(pid), Resource::Nofile, limit).unwrap();
    // More than the sockets hold: each is stuck with a full pipe, or without one.
    let all = vec![7; 12 << 20];
    std::thread::scope(|scope| {
        for (out, _) in &ends {
            scope.spawn(|| (&*out).write_all(&all).unwrap());
        }
        until(|| {
            let fds = std::fs::read_dir(format!("/proc/{}/fd", lab.child.id())).unwrap();
            (u64::try_from(fds.count()).ok() >= most).then_some(())
        });
        for (_, inner) in &ends {
            // All at once: a full pipe is free for another only when it was emptied.
            scope.spawn(|| (&*inner).read_exact(&mut vec![0; all.len()]).unwrap());
        }
    });
    assert_eq!(client.status().unwrap().connections, 20);
}

#[test]
fn another_takes_over_and_the_first_ends_with_its_last_connection() {
    let (lab, mut client) = Lab::new();
    let (door, socket, inside) = tcp();
    let (life, _held) = life();
    let doors = [(door, socket.as_fd())];
    client.serve("a", TO, &doors, life.as_fd()).unwrap();
    let mut old = connect(door.at);
    let (mut inner, _) = inside.accept().unwrap();
    client.retire().unwrap();
    drop(client);
    // Who comes in between waits.
    let mut new = connect(door.at);
    let mut second = start(&lab.socket());
    let mut client = lab.client(second.id());
    client.serve("a", TO, &doors, life.as_fd()).unwrap();
    let (mut newer, _) = inside.accept().unwrap();
    for (a, b) in [(&mut old, &mut inner), (&mut new, &mut newer)] {
        a.write_all(b"x").unwrap();
        b.read_exact(&mut [0; 1]).unwrap();
    }
    drop((old, inner));
    let mut lab = lab;
    assert!(lab.child.wait().unwrap().success());
    assert_eq!(client.status().unwrap().connections, 1);
    second.kill().unwrap();
    second.wait().unwrap();
}

#[test]
fn wrong_words() {
    let run = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_wharf-relay"));
        command.args(words).stderr(Stdio::null()).status().unwrap()
    };
    assert_eq!(run(&[]).code(), Some(2));
    assert_eq!(run(&["--state", "x"]).code(), Some(2));
    assert_eq!(run(&["--control", "/nowhere/at/all"]).code(), Some(1));
}
