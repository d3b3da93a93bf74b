//! A service manager opens the sockets, and is told how things are.

use std::io::{Read, Write};
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use testkit::{Certificates, Daemon, Host, Opts, images, run, workspace};

/// systemd's own program that stands in for it: it starts the daemon when the first client comes.
fn by_socket(listen: &[&str], name: &str, args: &[&str]) -> Opts {
    let mut before = vec![
        "systemd-socket-activate".to_owned(),
        format!("--fdname={name}"),
    ];
    before.extend(listen.iter().map(|l| format!("--listen={l}")));
    Opts {
        before,
        ..Opts::args(args)
    }
}

/// The first client: it comes before the daemon is there, and is answered when it is.
fn first_client(path: &Path) -> std::thread::JoinHandle<String> {
    let path = path.to_owned();
    std::thread::spawn(move || {
        let mut socket = testkit::poll(testkit::PATIENCE, "the socket", || {
            UnixStream::connect(&path).ok()
        });
        let request = b"GET /_ping HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n";
        socket.write_all(request).expect("a socket");
        let mut answer = String::new();
        socket.read_to_string(&mut answer).expect("text");
        answer
    })
}

#[test]
fn sockets_of_systemd_are_served_and_stay() {
    let dir = tempfile::tempdir().expect("/tmp");
    for (name, host) in [("any", "fd://"), ("api", "fd://api"), ("n", "fd://3")] {
        let path = dir.path().join(format!("{name}.sock"));
        let listen = path.display().to_string();
        let first = first_client(&path);
        let opts = by_socket(&[&listen], name, &["--host", host]);
        let mut d = Daemon::start(&Host::new(), opts);
        d.load(&images::busybox_tar());
        let answer = first.join().expect("the client");
        assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
        for cli in d.clis() {
            let cli = cli.at(&format!("unix://{listen}"));
            assert_eq!(cli.ok("run --rm busybox echo hello"), "hello");
            // The container's helpers have nothing of it.
            cli.ok("run -d --name one busybox sleep 300");
            let pid = d.pid_of("one");
            let shim = testkit::parent_of(pid).expect("the shim");
            for process in [pid, shim] {
                let environment = std::fs::read(format!("/proc/{process}/environ")).expect("root");
                let environment = String::from_utf8_lossy(&environment).into_owned();
                assert!(!environment.contains("LISTEN_"), "{environment}");
            }
            cli.ok("rm -f one");
        }
        assert_eq!(d.sigterm(), 0);
        assert!(path.exists(), "the socket is systemd's");
    }
}

#[test]
fn a_tcp_socket_of_systemd_needs_tls_too() {
    let host = Host::new();
    let certificates = Certificates::new("127.0.0.1");
    let listen = "127.0.0.1:2376";
    // The program in front waits for a first client in the host's network.
    let knock = || {
        host.ns().within(|| {
            testkit::poll(testkit::PATIENCE, "the port", || {
                std::net::TcpStream::connect(listen).ok()
            })
        })
    };
    std::thread::scope(|scope| {
        let client = scope.spawn(knock);
        Daemon::refused(&host, by_socket(&[listen], "api", &["--host=fd://"]))
            .refused(&["without TLS", "--insecure-tcp"]);
        drop(client.join());
    });
    std::thread::scope(|scope| {
        let client = scope.spawn(knock);
        let mut opts = by_socket(&[listen], "api", &["--host=fd://"]);
        opts.args.extend(certificates.flags());
        let d = Daemon::start(&host, opts);
        drop(client.join());
        let flags = Certificates::client_flags(&certificates.client("anna"));
        for cli in d.clis() {
            let cli = cli.at(&format!("tcp://{listen}"));
            let output = host.ns().run(&mut cli.command(&format!("{flags} ps -q")));
            assert_eq!(output.ok(), "");
        }
    });
}

#[test]
fn what_was_not_handed_over_is_not_served() {
    Daemon::refused(&Host::new(), Opts::args(&["--host=fd://"]))
        .refused(&["no sockets found via socket activation"]);
    // Meant for another process: the numbers are of who knows what.
    let mut opts = Opts::args(&["--host=fd://"]);
    opts.env = vec![
        ("LISTEN_PID".into(), "1".into()),
        ("LISTEN_FDS".into(), "1".into()),
    ];
    Daemon::refused(&Host::new(), opts).refused(&["no sockets found via socket activation"]);
    // More than there are.
    let mut opts = Opts::args(&["--host=fd://"]);
    opts.before = [
        "sh",
        "-c",
        "export LISTEN_PID=$$ LISTEN_FDS=7; exec \"$@\"",
        "sh",
    ]
    .map(Into::into)
    .to_vec();
    Daemon::refused(&Host::new(), opts).refused(&["cannot listen on fd://"]);
}

#[test]
fn the_service_manager_is_told() {
    let dir = tempfile::tempdir().expect("/tmp");
    let path = dir.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("our own folder");
    socket
        .set_read_timeout(Some(testkit::PATIENCE))
        .expect("a socket");
    let next = |wanted: &str| {
        let mut buffer = [0; 512];
        loop {
            let n = socket
                .recv(&mut buffer)
                .unwrap_or_else(|e| panic!("{wanted}: {e}"));
            let text = String::from_utf8_lossy(&buffer[..n]).into_owned();
            if text.starts_with(wanted) {
                return text;
            }
        }
    };
    let opts = Opts {
        env: vec![
            ("NOTIFY_SOCKET".into(), path.display().to_string()),
            (
                "WATCHDOG_USEC".into(),
                Duration::from_millis(200).as_micros().to_string(),
            ),
        ],
        config: Some("{}".into()),
        ..Opts::default()
    };
    let mut d = Daemon::with(opts);
    next("READY=1");
    next("WATCHDOG=1");
    next("WATCHDOG=1");
    d.sighup();
    let reloading = next("RELOADING=1");
    assert!(reloading.contains("MONOTONIC_USEC="), "{reloading}");
    next("READY=1");
    d.docker().ok("run -d --name one busybox sleep 300");
    let environment = std::fs::read(format!("/proc/{}/environ", d.pid_of("one"))).expect("root");
    assert!(!String::from_utf8_lossy(&environment).contains("NOTIFY_SOCKET"));
    d.docker().ok("rm -f one");
    assert_eq!(d.sigterm(), 0);
    next("STOPPING=1");
}

#[test]
fn the_units_are_sound() {
    let dir = tempfile::tempdir().expect("/tmp");
    for unit in ["wharf.service", "wharf.socket"] {
        let text = std::fs::read_to_string(workspace().join("docs").join(unit)).expect("the unit");
        let text = text.replace(
            "/usr/local/bin/wharf",
            &testkit::wharf_bin().display().to_string(),
        );
        std::fs::write(dir.path().join(unit), text).expect("our own folder");
    }
    let mut verify = Command::new("systemd-analyze");
    verify
        .arg("verify")
        .arg(dir.path().join("wharf.socket"))
        .arg(dir.path().join("wharf.service"));
    let output = run(&mut verify);
    let ours: Vec<&str> = output
        .stderr
        .lines()
        .filter(|l| l.contains("wharf"))
        .collect();
    assert!(ours.is_empty(), "{output}");
}
