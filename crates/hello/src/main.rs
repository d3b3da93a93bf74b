//! The image `wharf/hello`: a web server in one small program, that shows in which container it
//! runs. It is the first process of its container, so it ends at once when it is told to (the
//! kernel ignores signals for a first process that does not ask for them), and reaps.

mod http;

use std::{
    collections::HashMap,
    io,
    net::{Ipv6Addr, SocketAddr, TcpListener},
    os::fd::AsFd,
    process::ExitCode,
    time::{Duration, Instant},
};

use http::{Conn, Next};
use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    process::Signal,
};
use sys::process::SignalFd;

/// More than a greeting ever needs; further clients wait in the kernel's queue.
const MAX_CONNS: usize = 256;
/// Who says nothing for so long is hung up on.
const IDLE: Duration = Duration::from_secs(15);

fn main() -> ExitCode {
    match serve() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("hello: {e}");
            ExitCode::FAILURE
        }
    }
}

fn listen(port: u16) -> io::Result<TcpListener> {
    // Takes IPv4 too, unless the container has no IPv6 at all.
    let listener = TcpListener::bind(SocketAddr::from((Ipv6Addr::UNSPECIFIED, port)))
        .or_else(|_| TcpListener::bind(("0.0.0.0", port)))
        .map_err(|e| io::Error::new(e.kind(), format!("cannot listen on port {port}: {e}")))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn serve() -> io::Result<()> {
    let port = match std::env::var("PORT") {
        Ok(text) => text
            .parse()
            .map_err(|_| io::Error::other(format!("PORT={text} is no port: 1 to 65535")))?,
        Err(_) => 80,
    };
    let signals = SignalFd::block_all()?;
    let listener = listen(port)?;
    println!("hello: listening on port {port}");
    let mut conns: HashMap<u64, (Conn, Instant)> = HashMap::new();
    let mut next_id = 0;
    loop {
        let (ready_signal, ready_listener, ready) = wait(&signals, &listener, &conns)?;
        if ready_signal {
            while let Some(signal) = signals.next()? {
                let is = |s: Signal| s.as_raw() == signal;
                if is(Signal::TERM) || is(Signal::INT) || is(Signal::QUIT) || is(Signal::HUP) {
                    return Ok(());
                }
            }
            while sys::process::reap().is_some() {}
        }
        if ready_listener {
            // An error here is a client that left, or no descriptor left: both pass.
            while conns.len() < MAX_CONNS
                && let Ok((stream, _)) = listener.accept()
            {
                if let Ok(conn) = Conn::new(stream) {
                    conns.insert(next_id, (conn, Instant::now()));
                    next_id += 1;
                }
            }
        }
        for id in ready {
            if let Some((conn, since)) = conns.get_mut(&id) {
                match conn.step() {
                    Next::Wait => *since = Instant::now(),
                    Next::Close => {
                        conns.remove(&id);
                    }
                }
            }
        }
        conns.retain(|_, (_, since)| since.elapsed() < IDLE);
    }
}

fn wait(
    signals: &SignalFd,
    listener: &TcpListener,
    conns: &HashMap<u64, (Conn, Instant)>,
) -> io::Result<(bool, bool, Vec<u64>)> {
    let takes = if conns.len() < MAX_CONNS {
        PollFlags::IN
    } else {
        PollFlags::empty()
    };
    let mut fds = vec![
        PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN),
        PollFd::from_borrowed_fd(listener.as_fd(), takes),
    ];
    let ids: Vec<u64> = conns.keys().copied().collect();
    for (conn, _) in conns.values() {
        let flags = if conn.sending() {
            PollFlags::OUT
        } else {
            PollFlags::IN
        };
        fds.push(PollFd::from_borrowed_fd(conn.as_fd(), flags));
    }
    let second = Timespec {
        tv_sec: 1,
        tv_nsec: 0,
    };
    let timeout = if conns.is_empty() {
        None
    } else {
        Some(&second)
    };
    match poll(&mut fds, timeout) {
        Ok(_) | Err(rustix::io::Errno::INTR) => {}
        Err(e) => return Err(e.into()),
    }
    let is_ready = |i: usize| !fds[i].revents().is_empty();
    let ready = ids
        .iter()
        .enumerate()
        .filter(|(i, _)| is_ready(i + 2))
        .map(|(_, id)| *id);
    Ok((is_ready(0), is_ready(1), ready.collect()))
}
