//! The server as a process.
// In tests a panic is the message.
#![allow(clippy::unwrap_used)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    process::{Child, Command, Stdio},
    time::Duration,
};

struct Server {
    child: Child,
    port: u16,
}

impl Server {
    fn new() -> Self {
        let mut child = Command::new(env!("CARGO_BIN_EXE_hello"))
            .env("PORT", "0")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut line)
            .unwrap();
        let port = line.trim().rsplit(' ').next().unwrap().parse().unwrap();
        Self { child, port }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .unwrap();
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn ask(stream: &mut TcpStream, request: &str) -> String {
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = Vec::new();
    let mut byte = [0];
    while !answer.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        answer.push(byte[0]);
    }
    String::from_utf8(answer).unwrap()
}

fn read_body(stream: &mut TcpStream, head: &str) -> String {
    let length = head
        .lines()
        .find_map(|l| l.strip_prefix("Content-Length: "))
        .unwrap();
    let mut body = vec![0; length.parse().unwrap()];
    stream.read_exact(&mut body).unwrap();
    String::from_utf8(body).unwrap()
}

#[test]
fn one_connection_many_requests() {
    let server = Server::new();
    let mut stream = server.connect();
    for _ in 0..3 {
        let head = ask(&mut stream, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200 OK"), "{head}");
        let body = read_body(&mut stream, &head);
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap();
        assert!(body.contains(name.trim()), "{body}");
        ask(&mut stream, "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n");
    }
    ask(&mut stream, "HEAD / HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert_eq!(stream.read(&mut [0]).unwrap(), 0);
}

#[test]
fn a_silent_client_is_in_nobodys_way() {
    let server = Server::new();
    let _silent: Vec<TcpStream> = (0..20).map(|_| server.connect()).collect();
    let mut half = server.connect();
    half.write_all(b"GET / HT").unwrap();
    let head = ask(&mut server.connect(), "GET / HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"));
    let head = ask(&mut half, "TP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"));
    let mut long = server.connect();
    long.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let _ = long.write_all("X: y\r\n".repeat(3000).as_bytes());
    let mut answer = String::new();
    let _ = long.read_to_string(&mut answer);
    assert!(
        answer.is_empty() || answer.starts_with("HTTP/1.1 431"),
        "{answer}"
    );
}

#[test]
fn it_ends_when_told() {
    let mut server = Server::new();
    let pid = rustix::process::Pid::from_child(&server.child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert!(server.child.wait().unwrap().success());
}
