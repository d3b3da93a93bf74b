//! A TCP relay between a client and a server, for faults on the way.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crate::host::Ns;

/// Forwards connections; what comes back can be cut.
pub struct Relay {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Shared {
    stop: AtomicBool,
    /// After so many bytes of one answer the connection is closed.
    cut_after: AtomicU64,
    /// How many connections were cut.
    cuts: AtomicU64,
}

impl Relay {
    /// A relay listening at `ip` in `ns` that forwards to `target`, which must be reachable from
    /// the same namespace.
    pub fn start(ns: &Ns, ip: impl Into<IpAddr>, target: SocketAddr) -> Self {
        let ip = ip.into();
        let shared = Arc::new(Shared {
            stop: AtomicBool::new(false),
            cut_after: AtomicU64::new(u64::MAX),
            cuts: AtomicU64::new(0),
        });
        let theirs = shared.clone();
        let (address, thread) = ns.within(move || {
            let listener = TcpListener::bind((ip, 0)).expect("a free port");
            listener.set_nonblocking(true).expect("a socket");
            let address = listener.local_addr().expect("a bound socket");
            // Started from a thread inside of the namespace, it is inside as well.
            (
                address,
                std::thread::spawn(move || accept(&listener, target, &theirs)),
            )
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// From now on closes a connection after `bytes` bytes of answers; `u64::MAX` is never.
    pub fn cut_after(&self, bytes: u64) {
        self.shared.cut_after.store(bytes, Ordering::Relaxed);
    }

    /// How many connections were cut so far.
    pub fn cuts(&self) -> u64 {
        self.shared.cuts.load(Ordering::Relaxed)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(listener: &TcpListener, target: SocketAddr, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(3));
            continue;
        };
        let Ok(server) = TcpStream::connect(target) else {
            continue;
        };
        let (Ok(()), Ok(client2), Ok(server2)) = (
            client.set_nonblocking(false),
            client.try_clone(),
            server.try_clone(),
        ) else {
            continue;
        };
        let shared = shared.clone();
        std::thread::spawn(move || copy(client2, server2, None));
        std::thread::spawn(move || copy(server, client, Some(&shared)));
    }
}

fn copy(mut from: TcpStream, mut to: TcpStream, cut: Option<&Shared>) {
    let (mut buffer, mut sent) = ([0; 16384], 0);
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        let bound = cut.map_or(u64::MAX, |s| s.cut_after.load(Ordering::Relaxed));
        let left = bound.saturating_sub(sent);
        let n = n.min(usize::try_from(left).unwrap_or(usize::MAX));
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
        sent += n as u64;
        if left == n as u64 {
            cut.inspect(|s| {
                s.cuts.fetch_add(1, Ordering::Relaxed);
            });
            let _ = from.shutdown(std::net::Shutdown::Both);
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Both);
}
