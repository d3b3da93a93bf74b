//! Very many at once: whoever makes the daemon wait takes nothing from the others.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use testkit::{Auth, Daemon, Engine, Host, Lan, Opts, Registry, eventually, images};

/// More than the threads that Tokio keeps for what blocks.
const MANY: usize = 600;

/// A registry that takes connections and never says anything.
struct Silent {
    address: std::net::SocketAddr,
    taken: Arc<AtomicUsize>,
    held: Arc<Mutex<Vec<TcpStream>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Silent {
    fn start(host: &Host) -> Self {
        let listener = host
            .outside()
            .within(|| TcpListener::bind((Lan::OUTSIDE, 0)));
        let listener = listener.expect("a free port");
        let address = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket");
        let (taken, stop) = (
            Arc::new(AtomicUsize::new(0)),
            Arc::new(AtomicBool::new(false)),
        );
        let held = Arc::new(Mutex::new(Vec::new()));
        let (count, stopped, keep) = (taken.clone(), stop.clone(), held.clone());
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => {
                        count.fetch_add(1, Ordering::Relaxed);
                        keep.lock().expect("no panic").push(socket);
                    }
                    Err(_) => std::thread::sleep(std::time::Duration::from_millis(5)),
                }
            }
        });
        Self {
            address,
            taken,
            held,
            stop,
            thread: Some(thread),
        }
    }
}

impl Drop for Silent {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        self.held.lock().expect("no panic").clear();
    }
}

/// Requests that are begun, with as much of them as is given, and not waited for.
fn begin(d: &Daemon, count: usize, text: impl Fn(usize) -> String) -> Vec<UnixStream> {
    (0..count)
        .map(|n| {
            let mut socket = UnixStream::connect(d.dir().join("d.sock")).expect("it listens");
            socket.write_all(text(n).as_bytes()).expect("it reads");
            socket
        })
        .collect()
}

#[test]
fn pulls_and_loads_that_wait_leave_room_for_others() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    registry.push(host.outside(), &images::busybox_tar(), "box:1");
    let silent = Silent::start(&host);
    let d = Daemon::start(&host, Opts::insecure("192.0.2.0/24"));
    d.load(&images::busybox_tar());

    let pulls = begin(&d, MANY, |n| {
        format!(
            "POST /v1.43/images/create?fromImage={}/i{n}&tag=1 HTTP/1.1\r\nHost: d\r\nContent-Length: 0\r\n\r\n",
            silent.address
        )
    });
    eventually("all pulls are under way", || {
        silent.taken.load(Ordering::Relaxed) >= MANY
    });
    let loads = begin(&d, MANY, |_| {
        "POST /v1.43/images/load HTTP/1.1\r\nHost: d\r\nContent-Type: application/x-tar\r\n\
         Transfer-Encoding: chunked\r\n\r\n"
            .to_owned()
    });
    for cli in d.clis() {
        assert_eq!(cli.ok("run --rm busybox echo room"), "room");
        let reference = registry.reference("box:1");
        cli.ok(&format!("pull {reference}"));
        cli.ok(&format!("rmi {reference}"));
        let saved = d.dir().join("saved.tar");
        cli.ok(&format!("save -o {} busybox", saved.display()));
    }
    drop((pulls, loads));
    // Everything that waited is let go.
    d.docker().ok("rmi busybox");
    d.load(&images::busybox_tar());
    assert_eq!(d.docker().ok("run --rm busybox echo room"), "room");
}

#[test]
fn who_goes_before_the_first_word_ends_the_work() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let silent = Silent::start(&host);
    let d = Daemon::start(&host, Opts::insecure("192.0.2.0/24"));

    let pull = begin(&d, 1, |_| {
        format!(
            "POST /v1.43/images/create?fromImage={}/i&tag=1 HTTP/1.1\r\nHost: d\r\n\r\n",
            silent.address
        )
    });
    eventually("the pull is under way", || {
        silent.taken.load(Ordering::Relaxed) > 0
    });
    drop(pull);
    eventually("the pull has ended", || {
        let mut held = silent.held.lock().expect("no panic");
        held.iter_mut().all(|socket| {
            let wait = std::time::Duration::from_millis(50);
            socket.set_read_timeout(Some(wait)).expect("a socket");
            let mut some = [0; 4096];
            loop {
                match socket.read(&mut some) {
                    Ok(0) => break true,
                    Ok(_) => {}
                    Err(e) => break e.kind() == std::io::ErrorKind::ConnectionReset,
                }
            }
        })
    });

    let temporary = || {
        let all = std::fs::read_dir(d.dir().join("data/image/tmp")).expect("the store");
        all.count()
    };
    let before = temporary();
    let mut load = begin(&d, 1, |_| {
        "POST /v1.43/images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 900000000\r\n\r\n"
            .to_owned()
    });
    let archive = std::fs::read(images::busybox_tar()).expect("the fixture");
    load[0]
        .write_all(&archive[..archive.len() / 2])
        .expect("it reads");
    eventually("the load is under way", || temporary() > before);
    drop(load);
    eventually("nothing of the load is left", || temporary() == before);
}

#[test]
fn copies_that_wait_for_a_container_leave_room_for_others() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let d = Daemon::start(&host, Opts::default());
    d.load(&images::busybox_tar());
    d.docker().ok("create --name held busybox true");
    d.docker().ok("create --name other busybox true");
    // It keeps the container for as long as it sends.
    let upload = begin(&d, 1, |_| {
        "PUT /v1.43/containers/held/archive?path=/ HTTP/1.1\r\nHost: d\r\n\
         Content-Type: application/x-tar\r\nContent-Length: 100000\r\n\r\n"
            .to_owned()
    });
    let wait = begin(&d, 200, |n| {
        let what = ["export", "archive?path=/bin"][n % 2];
        format!("GET /v1.43/containers/held/{what} HTTP/1.1\r\nHost: d\r\n\r\n")
    });
    for cli in d.clis() {
        let target = d.dir().join("passwd");
        cli.ok(&format!("cp other:/etc/passwd {}", target.display()));
        cli.ok(&format!("cp {} other:/tmp/passwd", target.display()));
    }
    drop((upload, wait));
    // The container is free again.
    d.docker().ok("start held");
    d.docker().ok("rm -f held");
}
