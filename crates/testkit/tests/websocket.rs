//! Attaching by a websocket, with a client made by hand.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    time::Duration,
};

use testkit::{Daemon, eventually};

/// A websocket.
struct Socket {
    stream: UnixStream,
    head: String,
}

const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

impl Socket {
    fn open(d: &Daemon, path: &str, more: &str) -> Self {
        let mut stream = UnixStream::connect(d.dir().join("d.sock")).expect("the daemon");
        stream
            .set_read_timeout(Some(Duration::from_secs(30)))
            .expect("a timeout");
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{more}\r\n"
        );
        stream.write_all(request.as_bytes()).expect("to write");
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("a head");
            head.push(byte[0]);
        }
        let head = String::from_utf8(head).expect("text");
        Self { stream, head }
    }

    fn send(&mut self, kind: u8, payload: &[u8]) {
        let length = u8::try_from(payload.len()).expect("a short one");
        let mask = [1, 2, 3, 4];
        let mut frame = vec![0x80 | kind, 0x80 | length];
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(b, m)| b ^ m));
        self.stream.write_all(&frame).expect("to write");
    }

    fn receive(&mut self) -> (u8, Vec<u8>) {
        let mut head = [0; 2];
        self.stream.read_exact(&mut head).expect("a frame");
        let mut length = usize::from(head[1] & 0x7f);
        if length == 126 {
            let mut long = [0; 2];
            self.stream.read_exact(&mut long).expect("a length");
            length = usize::from(u16::from_be_bytes(long));
        }
        let mut payload = vec![0; length];
        self.stream.read_exact(&mut payload).expect("a payload");
        (head[0] & 0x0f, payload)
    }

    /// Messages until their text contains `what`.
    fn expect(&mut self, what: &str) -> String {
        let mut text = String::new();
        while !text.contains(what) {
            let (kind, payload) = self.receive();
            assert_eq!(kind, BINARY, "after {text:?}");
            text.push_str(&String::from_utf8_lossy(&payload));
        }
        text
    }
}

#[test]
fn both_ways_and_to_the_end() {
    let d = Daemon::fresh();
    d.docker().ok(
        "run -d -i --name ws busybox sh -c 'echo early; while read l; do echo got $l; echo err $l >&2; done; echo end'",
    );
    let mut socket = Socket::open(
        &d,
        "/v1.51/containers/ws/attach/ws?logs=1&stream=1&stdin=1&stdout=1&stderr=1",
        "Sec-WebSocket-Protocol: one, two\r\n",
    );
    assert!(socket.head.starts_with("HTTP/1.1 101 "), "{}", socket.head);
    assert!(socket.head.contains("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    assert!(socket.head.contains("Sec-WebSocket-Protocol: one\r\n"));
    socket.expect("early\n");
    socket.send(BINARY, b"hello\n");
    // Neither stream is marked: there is one.
    let text = socket.expect("err hello\n");
    assert!(
        text.contains("got hello\n") || socket.expect("got hello\n").contains("got"),
        "{text}"
    );
    socket.send(PING, b"there?");
    assert_eq!(socket.receive(), (PONG, b"there?".to_vec()));
    d.docker().ok("kill ws");
    let (kind, payload) = socket.receive();
    assert_eq!((kind, &payload[..2]), (CLOSE, &1000_u16.to_be_bytes()[..]));
}

#[test]
fn streams_are_chosen_and_the_client_may_close() {
    let d = Daemon::fresh();
    d.docker().ok(
        "run -d -i --name ws busybox sh -c 'while read l; do echo err $l >&2; echo got $l; done'",
    );
    let path = "/v1.51/containers/ws/attach/ws?stream=1&stdin=1&stdout=1";
    let mut socket = Socket::open(&d, path, "");
    socket.send(BINARY, b"a\n");
    assert_eq!(socket.expect("got a\n"), "got a\n");
    socket.send(CLOSE, &1000_u16.to_be_bytes());
    let (kind, _) = socket.receive();
    assert_eq!(kind, CLOSE);
    assert_eq!(socket.stream.read(&mut [0]).expect("the end"), 0);
    assert_eq!(
        d.docker().ok("inspect -f '{{.State.Running}}' ws").trim(),
        "true"
    );
}

#[test]
fn detaching_is_told() {
    let d = Daemon::fresh();
    d.docker().ok("run -d -i -t --name ws busybox cat");
    let path = "/v1.51/containers/ws/attach/ws?stream=1&stdin=1&stdout=1&detachKeys=ctrl-x,d";
    let mut socket = Socket::open(&d, path, "");
    socket.send(BINARY, b"hi\r");
    socket.expect("hi");
    socket.send(BINARY, b"\x18d");
    loop {
        let (kind, _) = socket.receive();
        if kind == CLOSE {
            break;
        }
    }
    eventually("the event", || {
        d.docker()
            .ok("events --since 1h --until 0s --filter event=detach")
            .contains("container detach")
    });
}

#[test]
fn what_is_no_websocket_is_refused() {
    let d = Daemon::fresh();
    d.docker().ok("create --name ws busybox true");
    d.api().get("/containers/ws/attach/ws?stream=1").expect(400);
    let socket = Socket::open(&d, "/containers/nobody/attach/ws?stream=1", "");
    assert!(socket.head.starts_with("HTTP/1.1 404 "), "{}", socket.head);
}

#[test]
fn who_vanishes_leaves_nothing() {
    let d = Daemon::fresh();
    d.docker().ok("run -d -i --name ws busybox cat");
    let open = || {
        let open = std::fs::read_dir(format!("/proc/{}/fd", d.pid())).expect("it runs");
        open.count()
    };
    let path = "/v1.51/containers/ws/attach/ws?stream=1&stdin=1&stdout=1";
    let mut first = Socket::open(&d, path, "");
    first.send(BINARY, b"a\n");
    first.expect("a\n");
    let before = open();
    let many: Vec<_> = (0..50).map(|_| Socket::open(&d, path, "")).collect();
    assert!(open() >= before + 50);
    drop(many);
    eventually("their sockets are closed", || open() <= before);
    // Those who stay are served on.
    first.send(BINARY, b"b\n");
    first.expect("b\n");
}
