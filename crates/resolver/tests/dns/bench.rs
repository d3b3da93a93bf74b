//! How fast: prints numbers, of a release build too (`--release -- --ignored --nocapture`).

use std::time::{Duration, Instant};

use domain::base::iana::Rtype;

use crate::lab::{Container, Server, asker, crowd, query};

/// Clients at the same time, each with so many questions under way.
const CLIENTS: usize = 2;
const UNDER_WAY: usize = 16;

#[test]
#[ignore = "prints numbers"]
fn questions_a_second_and_latency() {
    let server = Server::new();
    server.client().set_network(&crowd("app")).unwrap();
    let container = Container::new(&server, &asker("c", &["front"], &[]));

    let message = query(1, "c77", Rtype::A, None);
    let mut took: Vec<_> = {
        let socket = container.udp();
        let mut buf = [0; 512];
        let one = |_| {
            let since = Instant::now();
            socket.send(&message).unwrap();
            socket.recv(&mut buf).unwrap();
            since.elapsed()
        };
        (0..20_000).map(one).collect()
    };
    took.sort();
    let (median, late) = (took[took.len() / 2], took[took.len() * 99 / 100]);

    let end = Instant::now() + Duration::from_secs(3);
    let threads: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let (socket, message) = (container.udp(), message.clone());
            std::thread::spawn(move || {
                let mut buf = [0; 512];
                let mut count = 0_u64;
                for _ in 0..UNDER_WAY {
                    socket.send(&message).unwrap();
                }
                while Instant::now() < end {
                    socket.recv(&mut buf).unwrap();
                    socket.send(&message).unwrap();
                    count += 1;
                }
                count
            })
        })
        .collect();
    let all: u64 = threads.into_iter().map(|t| t.join().unwrap()).sum();
    println!(
        "one at a time: median {median:?}, 99 % {late:?}; {CLIENTS} clients: {} a second",
        all / 3
    );
}
