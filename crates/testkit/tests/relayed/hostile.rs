//! What clients, and who speaks to its socket, can do to the relay.

use std::io::{Read, Write};
use std::net::{TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::time::Duration;

use serde_json::{Value, json};
use testkit::{Daemon, eventually};

use super::{HOST, LOCAL, connect, daemon, listening, until_relay};
use crate::ports::{echoes, reaches, serve};

fn socket(d: &Daemon) -> PathBuf {
    let relay = until_relay(d);
    let line = std::fs::read(format!("/proc/{relay}/cmdline")).expect("a relay");
    let words: Vec<_> = line.split(|b| *b == 0).collect();
    PathBuf::from(std::str::from_utf8(words[2]).expect("a path"))
}

/// What the relay says to a request; nothing, if it closes the connection.
fn ask(d: &Daemon, request: &Value) -> Option<Value> {
    let mut stream = UnixStream::connect(socket(d)).expect("a relay");
    let text = request.to_string();
    let len = u32::try_from(text.len()).expect("short");
    stream
        .write_all(&[&len.to_le_bytes()[..], text.as_bytes()].concat())
        .expect("sent");
    let mut len = [0; 4];
    stream.read_exact(&mut len).ok()?;
    let mut body = vec![0; u32::from_le_bytes(len) as usize];
    stream.read_exact(&mut body).ok()?;
    serde_json::from_slice(&body).ok()
}

fn status(d: &Daemon) -> Value {
    let status = ask(d, &json!({"version": 1, "op": "status"}));
    status.expect("an answer")["status"].clone()
}

/// Sends back what comes.
fn echo(stream: TcpStream) {
    let small = std::thread::Builder::new().stack_size(64 * 1024);
    let copy = move || _ = std::io::copy(&mut &stream, &mut &stream);
    small.spawn(copy).expect("a thread");
}

#[test]
fn connections_have_a_bound() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    let web = listening(&d, "web", "-p 8080:80");
    serve(&d, "other", "-p 8081:80");
    reaches(host.ns(), (LOCAL, 8081), "other");
    let relay = until_relay(&d);
    // As many as it says, for each container a quarter.
    let limits = std::fs::read_to_string(format!("/proc/{relay}/limits")).expect("a relay");
    let files = limits.lines().find(|l| l.starts_with("Max open files"));
    let files = files.and_then(|l| l.split_whitespace().nth(3)?.parse().ok());
    let files: usize = files.expect("a limit");
    // Two doors, and what tells of two ends.
    let most = ((files - 256 - 4) / 7).clamp(32, 16_384) / 4;
    if most > 2_000 {
        return; // we may not have that many ourselves
    }
    std::thread::spawn(move || web.incoming().flatten().for_each(echo));
    let idle: Vec<TcpStream> = (0..most + 100)
        .map(|_| connect(host.ns(), (LOCAL, 8080)))
        .collect();
    eventually("all that it takes", || {
        status(&d)["connections"].as_u64() >= Some(most as u64)
    });
    // Those of others are not kept from theirs.
    reaches(host.ns(), (LOCAL, 8081), "other");
    let now = status(&d)["connections"].as_u64().expect("a number");
    assert!(now <= most as u64 + 1, "{now}");
    // Who waits has its turn.
    let mut last = idle.into_iter().next_back().expect("the last one");
    last.write_all(b"here").expect("sent");
    let mut text = [0; 4];
    last.read_exact(&mut text).expect("an answer");
    assert_eq!(&text, b"here");
    drop(last);
    eventually("all to be over", || status(&d)["connections"] == 0);
    // Idle ones cost two descriptors each, and those are free again.
    let fds = std::fs::read_dir(format!("/proc/{relay}/fd")).expect("a relay");
    assert!(fds.count() < 60);
    d.docker().ok("rm -f web other");
    d.assert_no_leaks();
}

#[test]
fn clients_of_udp_have_a_bound() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    d.docker()
        .ok("run -d --name echo -p 5353:53/udp -p 5454:54/udp busybox udp-echo 53");
    eventually("an answer", || echoes(host.ns(), "[::]:0", (LOCAL, 5353)));
    // Each of thousands is answered: who has been still for longest makes room.
    host.ns().within(|| {
        for n in 0..5_000 {
            let socket = UdpSocket::bind("[::1]:0").expect("a socket");
            let patience = Some(Duration::from_secs(20));
            socket.set_read_timeout(patience).expect("a socket");
            socket.send_to(b"x", (LOCAL, 5353)).expect("sent");
            let answer = socket.recv(&mut [0; 64]);
            assert!(answer.is_ok(), "client {n}: {answer:?}");
        }
    });
    let files = std::fs::read_dir(format!("/proc/{}/fd", until_relay(&d))).expect("a relay");
    let files = files.count();
    assert!(files <= 2_048 + 60, "{files}");
    // Nobody answers at the other one: these are forgotten, too.
    host.ns().within(|| {
        for _ in 0..3_000 {
            let socket = UdpSocket::bind("[::1]:0").expect("a socket");
            socket.send_to(b"x", (LOCAL, 5454)).expect("sent");
        }
    });
    eventually("an answer", || echoes(host.ns(), "[::]:0", (LOCAL, 5353)));
    let sessions = status(&d)["sessions"].as_u64().expect("a number");
    assert!(sessions <= 2_048, "{sessions}");
    // What is for everybody is for nobody.
    let all = UdpSocketAddr("[ff02::1%eth0]:5353");
    all.send(&d);
    d.docker().ok("rm -f echo");
    d.assert_no_leaks();
}

/// An address with the name of a link.
struct UdpSocketAddr(&'static str);

impl UdpSocketAddr {
    fn send(&self, d: &Daemon) {
        let (ip, port) = self.0.rsplit_once(':').expect("a port");
        let script = format!(
            "import socket; s = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM); \
             i = socket.getaddrinfo('{}', {port}, type=socket.SOCK_DGRAM)[0][4]; s.sendto(b'x', i)",
            ip.trim_matches(['[', ']']).replace("eth0", "lan0")
        );
        let mut python = std::process::Command::new("python3");
        let outside = d.host().outside();
        outside.run(python.args(["-c", &script])).ok();
        assert!(echoes(outside, "[::]:0", (HOST, 5353)));
    }
}

#[test]
fn nonsense_at_its_socket() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    serve(&d, "web", "-p 8080:80");
    reaches(host.ns(), (LOCAL, 8080), "web");
    let before = until_relay(&d);
    let path = socket(&d);
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &std::fs::metadata(&path).expect("a socket").permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    for nonsense in [
        &b"\xff\xff\xff\xff{}"[..],
        b"\x02\x00\x00\x00{}",
        b"\x00\x00\x00\x00",
        b"\x05\x00\x00\x00hello",
        b"GET / HTTP/1.0\r\n\r\n",
    ] {
        let mut stream = UnixStream::connect(&path).expect("a relay");
        let patience = Some(Duration::from_secs(10));
        stream.set_read_timeout(patience).expect("a socket");
        stream.write_all(nonsense).expect("sent");
        // It closes the connection, or waits for the rest.
        let _ = stream.shutdown(std::net::Shutdown::Write);
        let _ = stream.read(&mut [0; 64]);
    }
    let refused = ask(&d, &json!({"version": 99, "op": "status"})).expect("an answer");
    assert_eq!(refused["reply"], "refused");
    let unknown = json!({"version": 1, "op": "lead", "id": "nobody", "to": "10.0.0.1"});
    assert_eq!(ask(&d, &unknown).expect("an answer")["reply"], "refused");
    // Descriptors that do not come.
    let missing = json!({"version": 1, "op": "serve", "id": "x", "to": null, "life": true,
        "doors": [{"proto": "tcp", "at": "[::]:80", "port": 80}]});
    assert_eq!(ask(&d, &missing), None);
    assert_eq!(ask(&d, &json!({"version": 1, "op": "dance"})), None);
    reaches(host.ns(), (LOCAL, 8080), "web");
    assert_eq!(until_relay(&d), before);
    d.docker().ok("rm -f web");
    d.assert_no_leaks();
}
