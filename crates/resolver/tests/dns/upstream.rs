//! A server that others' names are asked of, and that misbehaves where the name says so.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

/// A server on the loopback of the namespace that it is made in. Its threads end with the test.
pub(crate) struct Fake {
    pub(crate) address: SocketAddr,
    pub(crate) udp: Arc<AtomicUsize>,
    pub(crate) tcp: Arc<AtomicUsize>,
    /// Port and id of each question that came by UDP.
    pub(crate) seen: Arc<Mutex<Vec<(u16, u16)>>>,
}

impl Fake {
    /// `last` is the last number of the address that it answers with.
    pub(crate) fn new(last: u8) -> Self {
        let (udp, tcp) = loop {
            let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
            if let Ok(tcp) = TcpListener::bind(udp.local_addr().unwrap()) {
                break (udp, tcp);
            }
        };
        let fake = Self {
            address: udp.local_addr().unwrap(),
            udp: Arc::default(),
            tcp: Arc::default(),
            seen: Arc::default(),
        };
        let (count, seen) = (fake.udp.clone(), fake.seen.clone());
        thread::spawn(move || {
            let mut buf = [0; 4096];
            while let Ok((len, from)) = udp.recv_from(&mut buf) {
                count.fetch_add(1, Ordering::SeqCst);
                let id = u16::from_be_bytes([buf[0], buf[1]]);
                seen.lock().unwrap().push((from.port(), id));
                for answer in answers(&buf[..len], last, false) {
                    let _ = udp.send_to(&answer, from);
                }
            }
        });
        let count = fake.tcp.clone();
        thread::spawn(move || {
            for stream in tcp.incoming() {
                let Ok(mut stream) = stream else { break };
                let mut len = [0; 2];
                if stream.read_exact(&mut len).is_err() {
                    continue;
                }
                let mut message = vec![0; u16::from_be_bytes(len).into()];
                if stream.read_exact(&mut message).is_err() {
                    continue;
                }
                count.fetch_add(1, Ordering::SeqCst);
                for answer in answers(&message, last, true) {
                    let len = u16::try_from(answer.len()).unwrap().to_be_bytes();
                    let _ = stream.write_all(&[&len[..], &answer].concat());
                }
            }
        });
        fake
    }

    pub(crate) fn asked(&self) -> (usize, usize) {
        (
            self.udp.load(Ordering::SeqCst),
            self.tcp.load(Ordering::SeqCst),
        )
    }
}

/// The first label of a question's name.
fn first(message: &[u8]) -> String {
    let len = usize::from(message[12]);
    String::from_utf8_lossy(&message[13..13 + len]).to_ascii_lowercase()
}

/// A record of the name that was asked for.
fn record(kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap().to_be_bytes();
    let kind = kind.to_be_bytes();
    [&[0xc0, 12], &kind[..], &[0, 1, 0, 0, 0, 60], &len, data].concat()
}

fn message(question: &[u8], flags: u8, rcode: u8, records: &[Vec<u8>]) -> Vec<u8> {
    let mut end = 12;
    while question[end] != 0 {
        end += 1 + usize::from(question[end]);
    }
    let mut all = question[..end + 5].to_vec();
    (all[2], all[3]) = (0x81 | flags, 0x80 | rcode);
    all[6..8].copy_from_slice(&u16::try_from(records.len()).unwrap().to_be_bytes());
    all[8..12].fill(0);
    all.extend(records.concat());
    all
}

fn answers(question: &[u8], last: u8, tcp: bool) -> Vec<Vec<u8>> {
    let good = message(question, 0, 0, &[record(1, &[192, 0, 2, last])]);
    match first(question).as_str() {
        "silent" => vec![],
        "nothere" => vec![message(question, 0, 3, &[])],
        "fail" => vec![message(question, 0, 2, &[])],
        "refuse" if last == 1 => vec![message(question, 0, 5, &[])],
        "long" if !tcp => vec![message(question, 2, 0, &[])],
        "long" => {
            let all: Vec<_> = (0..200).map(|n| record(1, &[192, 0, 2, n])).collect();
            vec![message(question, 0, 0, &all)]
        }
        "odd" => vec![message(question, 0, 0, &[record(65_280, b"what is this")])],
        // Others try to answer first, and guess wrong.
        "forged" => {
            let mut other_id = message(question, 0, 0, &[record(1, &[6, 6, 6, 6])]);
            other_id[0] ^= 1;
            let mut other_name = message(question, 0, 0, &[record(1, &[6, 6, 6, 6])]);
            other_name[13] ^= 1;
            let mut no_answer = question.to_vec();
            no_answer[2] &= 0x7f;
            vec![vec![], other_id, other_name, no_answer, good]
        }
        _ => vec![good],
    }
}
