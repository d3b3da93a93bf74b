//! Questions for names and their answers, and a server that is asked what others do not know.

use std::fs::File;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use testkit::{Daemon, Ns};

pub(crate) const A: u16 = 1;
pub(crate) const PTR: u16 = 12;
pub(crate) const AAAA: u16 = 28;
pub(crate) const NO_SUCH_NAME: u8 = 3;

/// Where containers ask.
const SERVER: (Ipv4Addr, u16) = (Ipv4Addr::new(127, 0, 0, 11), 53);

/// The network namespace of a container.
pub(crate) struct Inside(File);

/// What was said: the code, and what the records hold.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Said(pub u8, pub Vec<String>);

impl Said {
    #[track_caller]
    pub(crate) fn is(&self, records: &[impl AsRef<str>]) {
        let wanted: Vec<String> = records.iter().map(|r| r.as_ref().to_owned()).collect();
        assert_eq!((self.0, &self.1), (0, &wanted));
    }
}

impl Inside {
    pub(crate) fn of(d: &Daemon, container: &str) -> Self {
        let path = format!("/proc/{}/ns/net", d.pid_of(container));
        Self(File::open(path).expect("a running container"))
    }

    /// Runs `f` in a thread that has moved into the namespace.
    pub(crate) fn within<T: Send>(&self, f: impl FnOnce() -> T + Send) -> T {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::Network))
                    .expect("root may enter a network namespace");
                f()
            });
            thread.join().expect("no panic")
        })
    }

    /// Asks by UDP; nothing, if nobody answers.
    pub(crate) fn try_ask(&self, name: &str, kind: u16) -> Option<Said> {
        let socket = self.within(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
        socket.connect(SERVER).expect("a way to loopback");
        let patience = Some(Duration::from_secs(5));
        socket.set_read_timeout(patience).expect("a timeout");
        socket.send(&question(name, kind)).ok()?;
        let mut buffer = [0; 4096];
        let len = socket.recv(&mut buffer).ok()?;
        Some(read(&buffer[..len]))
    }

    #[track_caller]
    pub(crate) fn ask(&self, name: &str, kind: u16) -> Said {
        let said = self.try_ask(name, kind);
        said.unwrap_or_else(|| panic!("no answer to {name}"))
    }

    /// The one address of a name, or what was said instead.
    #[track_caller]
    pub(crate) fn address(&self, name: &str) -> String {
        let Said(code, mut records) = self.ask(name, A);
        if code == 0 && records.len() == 1 {
            return records.remove(0);
        }
        format!("{code}: {records:?}")
    }

    /// Asks by TCP.
    pub(crate) fn ask_tcp(&self, name: &str, kind: u16) -> Said {
        let mut stream = self.within(|| TcpStream::connect(SERVER).expect("a connection"));
        let message = question(name, kind);
        let len = u16::try_from(message.len()).expect("short").to_be_bytes();
        stream
            .write_all(&[&len[..], &message].concat())
            .expect("a connection");
        let mut len = [0; 2];
        stream.read_exact(&mut len).expect("an answer");
        let mut answer = vec![0; u16::from_be_bytes(len).into()];
        stream.read_exact(&mut answer).expect("a whole answer");
        read(&answer)
    }
}

/// The name that an IPv4 address has in reverse questions.
pub(crate) fn reverse(ip: &str) -> String {
    let mut parts: Vec<&str> = ip.split('.').collect();
    parts.reverse();
    format!("{}.in-addr.arpa", parts.join("."))
}

fn question(name: &str, kind: u16) -> Vec<u8> {
    let mut message = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        message.push(u8::try_from(label.len()).expect("a short label"));
        message.extend(label.bytes());
    }
    message.push(0);
    message.extend(kind.to_be_bytes());
    message.extend([0, 1]);
    message
}

/// A name in a message, and where it ends.
fn name(message: &[u8], mut at: usize) -> (String, usize) {
    let mut labels = Vec::new();
    let mut end = None;
    loop {
        let len = usize::from(message[at]);
        if len >= 0xc0 {
            end = end.or(Some(at + 2));
            at = (len & 0x3f) << 8 | usize::from(message[at + 1]);
            continue;
        }
        at += 1;
        if len == 0 {
            return (labels.join("."), end.unwrap_or(at));
        }
        labels.push(String::from_utf8_lossy(&message[at..at + len]).into_owned());
        at += len;
    }
}

fn read(message: &[u8]) -> Said {
    assert_eq!(message[..2], [0x12, 0x34], "the question's id");
    let number = |at: usize| u16::from_be_bytes([message[at], message[at + 1]]);
    let mut at = 12;
    for _ in 0..number(4) {
        at = name(message, at).1 + 4;
    }
    let mut records = Vec::new();
    for _ in 0..number(6) {
        at = name(message, at).1;
        let (kind, len) = (number(at), usize::from(number(at + 8)));
        at += 10;
        records.push(match (kind, &message[at..at + len]) {
            (A, &[a, b, c, d]) => Ipv4Addr::new(a, b, c, d).to_string(),
            (AAAA, bytes) => {
                let bytes: [u8; 16] = bytes.try_into().expect("an IPv6 address");
                Ipv6Addr::from(bytes).to_string()
            }
            (PTR, _) => name(message, at).0,
            (other, _) => format!("type {other}"),
        });
        at += len;
    }
    records.sort();
    Said(message[3] & 15, records)
}

/// A server that has 192.0.2.99 for every name but those below `x.example`, by UDP; what it was asked.
/// Its thread ends with the test.
pub(crate) fn knows_all(ns: &Ns, at: IpAddr) -> Arc<Mutex<Vec<String>>> {
    let socket = ns.within(|| UdpSocket::bind(SocketAddr::from((at, 53))).expect("a free port"));
    answer_all(socket)
}

/// The same in a container.
pub(crate) fn knows_all_inside(inside: &Inside, at: IpAddr) -> Arc<Mutex<Vec<String>>> {
    let socket = inside.within(|| UdpSocket::bind(SocketAddr::from((at, 53))));
    answer_all(socket.expect("a free port"))
}

fn answer_all(socket: UdpSocket) -> Arc<Mutex<Vec<String>>> {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        let mut buffer = [0; 4096];
        while let Ok((len, from)) = socket.recv_from(&mut buffer) {
            let (text, end) = name(&buffer[..len], 12);
            let mut answer = buffer[..end + 4].to_vec();
            if text.ends_with(".x.example") {
                answer[2..12].copy_from_slice(&[0x81, 0x83, 0, 1, 0, 0, 0, 0, 0, 0]);
                let _ = socket.send_to(&answer, from);
                continue;
            }
            heard.lock().expect("no panic").push(text);
            answer[2..12].copy_from_slice(&[0x81, 0x80, 0, 1, 0, 1, 0, 0, 0, 0]);
            answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 9, 0, 4, 192, 0, 2, 99]);
            let _ = socket.send_to(&answer, from);
        }
    });
    asked
}

/// How long an answer takes, and how many there are with 32 questions under way.
pub(crate) fn speed(inside: &Inside, name: &str) -> String {
    let message = question(name, A);
    let socket = || {
        let socket = inside.within(|| UdpSocket::bind("0.0.0.0:0").expect("a socket"));
        socket.connect(SERVER).expect("a way to loopback");
        socket
    };
    let single = socket();
    let mut buffer = [0; 512];
    let mut took: Vec<Duration> = (0..20_000)
        .map(|_| {
            let since = Instant::now();
            single.send(&message).expect("sent");
            single.recv(&mut buffer).expect("an answer");
            since.elapsed()
        })
        .collect();
    took.sort();
    let end = Instant::now() + Duration::from_secs(3);
    let ask = || {
        let (socket, message) = (socket(), &message);
        move || {
            let mut buffer = [0; 512];
            for _ in 0..16 {
                socket.send(message).expect("sent");
            }
            let mut count = 0_u64;
            while Instant::now() < end {
                socket.recv(&mut buffer).expect("an answer");
                socket.send(message).expect("sent");
                count += 1;
            }
            count
        }
    };
    let all: u64 = std::thread::scope(|scope| {
        let threads = [scope.spawn(ask()), scope.spawn(ask())];
        threads.map(|t| t.join().expect("no panic")).iter().sum()
    });
    format!(
        "one at a time: median {:?}, 99 % {:?}; two clients: {} a second",
        took[took.len() / 2],
        took[took.len() * 99 / 100],
        all / 3
    )
}
