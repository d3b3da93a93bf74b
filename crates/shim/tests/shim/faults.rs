//! What must not hurt.

use std::{
    fs,
    io::{BufRead, BufReader, Read, Write},
    net::TcpListener,
    os::fd::{AsFd, OwnedFd},
    path::Path,
    process::{Command, Stdio},
    time::Duration,
};

use runtime::{
    client,
    protocol::{BoundTo, ErrorReason, Event, FdRole, Frame, Request, Response, Status, VERSION},
};

use crate::support::*;

fn kill(pid: i32, signal: i32) {
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    let signal = rustix::process::Signal::from_named_raw(signal).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Processes whose command line mentions the container.
fn processes_of(c: &Container) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let name = entry.file_name().into_string().unwrap();
        let Ok(pid) = name.parse::<i32>() else {
            continue;
        };
        let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line).replace('\0', " ");
        if line.contains(&c.launch.id) && alive(pid) {
            found.push(format!("{pid}: {line}"));
        }
    }
    found
}

fn nothing_is_left(c: &Container) {
    eventually("no process is left", || processes_of(c).is_empty());
    assert!(!sys::cgroup::Cgroup::new(&c.launch.cgroup).unwrap().exists());
    assert!(
        !Path::new(&c.launch.runtime_root)
            .join(&c.launch.id)
            .exists()
    );
}

#[test]
fn a_killed_shim_and_cleanup() {
    let mut c = Container::new(&["sh", "-c", "sleep 1000 & sleep 1000"]).started();
    let pid = c.state().pid.unwrap();
    let mut shim = c.shim.take().unwrap();
    shim.child.kill().unwrap();
    shim.child.wait().unwrap();
    assert!(client::connect(c.bundle()).is_err());
    c.cleanup();
    assert!(!alive(pid));
    nothing_is_left(&c);
    c.cleanup();
}

#[test]
fn a_shim_killed_at_any_moment_of_a_start() {
    for step in 0..12 {
        let mut c = Container::new(&["sleep", "1000"]).launched();
        let mut shim = c.shim.take().unwrap();
        shim.control.send(&Frame::Request(Request::Start)).unwrap();
        std::thread::sleep(Duration::from_millis(step * 5));
        shim.child.kill().unwrap();
        shim.child.wait().unwrap();
        // The runtime dies with it; what it began is swept up.
        eventually("the runtime is gone", || {
            processes_of(&c).iter().all(|p| !p.contains("--pid-file"))
        });
        c.cleanup();
        nothing_is_left(&c);
    }
}

#[test]
fn the_shim_lives_through_signals() {
    let script = "trap 'exit 3' TERM; echo ready; while true; do sleep 0.05; done";
    let mut c = Container::new(&["sh", "-c", script]).launched();
    let mut stream = c.attach(false);
    c.start();
    read_until(&mut stream, "ready\n");
    for signal in [1, 2, 3, 10, 12, 13, 14, 15] {
        kill(c.shim_pid(), signal);
    }
    assert_eq!(c.state().status, Status::Running);
    // And what it ignores, its container does not.
    c.control()
        .request(&Request::Signal {
            exec: None,
            signal: 15,
        })
        .unwrap();
    assert_eq!(c.exit().code, 3);
}

#[test]
fn the_container_inherits_no_signal_setting() {
    let mut c = Container::new(&["cat", "/proc/self/status"]).launched();
    let mut stream = c.attach(false);
    c.start();
    let (out, ..) = collect(&mut stream);
    for name in ["SigBlk", "SigIgn"] {
        let line = out.lines().find(|l| l.starts_with(name)).unwrap();
        assert!(line.ends_with("0000000000000000"), "{line}");
    }
    let mut c = Container::new(&["cat", "/proc/self/oom_score_adj"]).launched();
    let mut stream = c.attach(false);
    c.start();
    assert_eq!(collect(&mut stream).0, "0\n");
}

#[test]
fn garbage_does_not_hurt() {
    let mut c = Container::new(&["sleep", "1000"]).started();
    let mut noise: u32 = 1;
    for round in 0..50 {
        let mut stream = client::connect_raw(c.bundle()).unwrap();
        if round % 2 == 0 {
            stream.write_all(&client::hello()).unwrap();
        }
        let bytes: Vec<u8> = (0..5000)
            .map(|_| {
                noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (noise >> 24) as u8
            })
            .collect();
        let _ = stream.write_all(&bytes);
    }
    // A length without a body, a body without an end, answers in place of questions.
    for bytes in [
        &[255, 255, 255, 255, 1][..],
        &[10, 0, 0, 0, 1, b'{'],
        &Frame::Response(Response::Done).to_bytes(),
        &Frame::Stdin(vec![0; 1000]).to_bytes(),
        &Frame::Fds.to_bytes(),
    ] {
        let mut stream = client::connect_raw(c.bundle()).unwrap();
        stream.write_all(&client::hello()).unwrap();
        stream.write_all(bytes).unwrap();
    }
    assert_eq!(c.state().status, Status::Running);
    c.control()
        .request(&Request::Signal {
            exec: None,
            signal: 9,
        })
        .unwrap();
    assert_eq!(c.exit().code, 137);
    c.shim_ends();
}

fn first_answer(c: &Container, bytes: &[u8]) -> Response {
    let mut stream = client::connect_raw(c.bundle()).unwrap();
    stream.write_all(bytes).unwrap();
    match client::Connection::new(stream).next_frame().unwrap() {
        Some(Frame::Response(response)) => response,
        other => panic!("{other:?}"),
    }
}

#[test]
fn other_versions_and_unknown_messages_are_refused_by_name() {
    let mut c = Container::new(&["true"]).launched();
    let hello = Frame::Request(Request::Hello { version: 999 }).to_bytes();
    match first_answer(&c, &hello) {
        Response::Error {
            reason: ErrorReason::Version,
            message,
        } => {
            assert!(
                message.contains("999") && message.contains(&format!("version {VERSION}")),
                "{message}"
            );
        }
        other => panic!("{other:?}"),
    }
    match first_answer(&c, &Frame::Request(Request::State).to_bytes()) {
        Response::Error {
            reason: ErrorReason::Message,
            message,
        } => {
            assert!(message.contains("hello"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    let mut stream = c.connect();
    let text = br#"{"type":"levitate"}"#;
    let mut frame = (text.len() as u32).to_le_bytes().to_vec();
    frame.push(1);
    frame.extend(text);
    stream
        .stream()
        .try_clone()
        .unwrap()
        .write_all(&frame)
        .unwrap();
    match stream.next_frame().unwrap() {
        Some(Frame::Response(Response::Error {
            reason: ErrorReason::Message,
            message,
        })) => {
            assert!(message.contains("levitate"), "{message}");
        }
        other => panic!("{other:?}"),
    }
    // The connection is still good.
    assert!(matches!(
        stream.request(&Request::State).unwrap(),
        Response::State(_)
    ));
    // And a launch of another version.
    c.start();
    let mut other = Container::new(&["true"]);
    other.launch.version = 999;
    other.launch.fds.clear();
    let error = runtime::launch::spawn(program(), &other.launch, &[])
        .unwrap_err()
        .to_string();
    assert!(error.contains("999"), "{error}");
}

#[test]
fn starting_twice_and_asking_too_early() {
    let mut c = Container::new(&["sleep", "1000"]).launched();
    let signal = Request::Signal {
        exec: None,
        signal: 9,
    };
    assert!(c.control().request(&signal).is_err());
    let exec = Request::Exec(Box::new(c.exec("x", &["true"])));
    assert!(c.control().request(&exec).is_err());
    c.start();
    let error = c
        .control()
        .request(&Request::Start)
        .unwrap_err()
        .to_string();
    assert!(error.contains("already"), "{error}");
    assert!(c.control().request(&Request::Abandon).is_err());
}

#[test]
fn nobody_starts_it() {
    // Given up on purpose.
    let mut c = Container::new(&["true"]).launched();
    c.control().request(&Request::Abandon).unwrap();
    c.shim_ends();
    // And by a daemon that died.
    let mut c = Container::new(&["true"]).launched();
    let mut watcher = c.connect();
    c.shim_ends();
    // No exit record: it never was.
    assert!(!c.bundle().join("exit.json").exists());
    let _ = watcher.next_frame();
    assert!(matches!(watcher.next_frame(), Ok(None) | Err(_)));
}

/// Not a test of its own: the daemon that dies in the next test.
#[test]
fn spawner() {
    if std::env::var_os("WHARF_TEST_SPAWNER").is_none() {
        return;
    }
    let mut c = Container::new(&["sh", "-c", "read x; echo $x; exit 6"])
        .stdin(false)
        .launched();
    c.start();
    println!("\nstarted {}", serde_json::to_string(&c.launch).unwrap());
    let mut forever = String::new();
    let _ = std::io::stdin().read_line(&mut forever);
}

#[test]
fn the_container_survives_who_started_it() {
    let mut daemon = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "faults::spawner", "--nocapture"])
        .env("WHARF_TEST_SPAWNER", "1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let launch = BufReader::new(daemon.stdout.take().unwrap())
        .lines()
        .map(Result::unwrap)
        .find_map(|l| l.strip_prefix("started ").map(str::to_owned))
        .expect("the container starts");
    daemon.kill().unwrap();
    daemon.wait().unwrap();
    // The next daemon knows only what is on disk.
    let mut c = Container::adopted(serde_json::from_str(&launch).unwrap());
    let state = c.state();
    assert_eq!(state.status, Status::Running);
    let mut watch = c.connect();
    watch.request(&Request::Watch).unwrap();
    let mut stream = c.attach(true);
    stream.send(&Frame::Stdin(b"adopted\n".to_vec())).unwrap();
    let (out, _, event) = collect(&mut stream);
    assert_eq!((out.as_str(), code(event)), ("adopted\n", 6));
    assert!(matches!(
        watch.next_frame().unwrap(),
        Some(Frame::Event(Event::Started { .. }))
    ));
    assert!(matches!(
        watch.next_frame().unwrap(),
        Some(Frame::Event(Event::Exited(_)))
    ));
    assert_eq!(c.exit().code, 6);
    eventually("the shim ends", || !alive(state.shim_pid));
    c.cleanup();
    nothing_is_left(&c);
}

#[test]
fn strays_of_the_hosts_process_namespace_end_too() {
    let mut c = Container::new(&["sh", "-c", "sleep 1000 & echo $!; exit 2"]);
    let mut spec = spec(&c.launch, &["sh", "-c", "sleep 1000 & echo $!; exit 2"]);
    spec.pid = runtime::spec::Namespace::Host;
    c.config = to_config(&spec);
    let mut c = c.launched();
    let mut stream = c.attach(false);
    c.start();
    let (out, _, event) = collect(&mut stream);
    assert_eq!(code(event), 2);
    assert!(!alive(out.trim().parse().unwrap()));
    c.shim_ends();
    c.cleanup();
    nothing_is_left(&c);
}

#[test]
fn ports_are_held_while_the_container_lives() {
    let held: Vec<TcpListener> = (0..300)
        .map(|_| TcpListener::bind("127.0.0.1:0").unwrap())
        .collect();
    let ports: Vec<u16> = held
        .iter()
        .map(|l| l.local_addr().unwrap().port())
        .collect();
    let mut c = Container::new(&["sleep", "1000"]);
    let fds: Vec<_> = held.iter().map(|l| (FdRole::Held, l.as_fd())).collect();
    c.launch_with(&fds);
    drop(held);
    c.start();
    assert!(
        ports
            .iter()
            .all(|p| TcpListener::bind(("127.0.0.1", *p)).is_err())
    );
    // A daemon that has lost its own asks for copies, and gets the sockets alone.
    let (copies, _) = runtime::client::ports(c.bundle()).unwrap();
    let copied = copies
        .into_iter()
        .map(|fd| TcpListener::from(fd).local_addr().unwrap().port());
    assert_eq!(copied.collect::<Vec<_>>(), ports);
    c.control()
        .request(&Request::Signal {
            exec: None,
            signal: 9,
        })
        .unwrap();
    c.exit();
    // Free as soon as the end is recorded.
    let free = ports
        .iter()
        .filter(|p| TcpListener::bind(("127.0.0.1", **p)).is_ok())
        .count();
    assert!(free > 290, "{free}");
}

#[test]
fn further_ports_are_held_and_others_let_go() {
    let bind = || TcpListener::bind("127.0.0.1:0").unwrap();
    let (first, second) = (bind(), bind());
    let [one, two] = [&first, &second].map(|l| l.local_addr().unwrap());
    let mut c = Container::new(&["sleep", "1000"]);
    c.launch_with(&[(FdRole::Held, first.as_fd())]);
    drop(first);
    c.start();
    let to = |address| BoundTo {
        protocol: 6,
        address,
    };
    let control = c.control();
    control.hold(&[second.into()], vec![]).unwrap();
    assert!(TcpListener::bind(one).is_err() && TcpListener::bind(two).is_err());
    // Of another protocol it is another port.
    let other = BoundTo {
        protocol: 17,
        ..to(one)
    };
    control.hold(&[], vec![other]).unwrap();
    assert!(TcpListener::bind(one).is_err());
    control.hold(&[], vec![to(one)]).unwrap();
    TcpListener::bind(one).unwrap();
    assert!(TcpListener::bind(two).is_err());
    control
        .request(&Request::Signal {
            exec: None,
            signal: 9,
        })
        .unwrap();
    c.exit();
    c.shim_ends();
    TcpListener::bind(two).unwrap();
}

#[test]
fn a_network_namespace_without_a_name() {
    let mut holder = Command::new("unshare")
        .args(["--net", "sh", "-c", "echo; read x"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    holder
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut [0])
        .unwrap();
    let path = format!("/proc/{}/ns/net", holder.id());
    let name = fs::read_link(&path).unwrap();
    let netns = OwnedFd::from(fs::File::open(&path).unwrap());
    drop(holder.stdin.take());
    holder.wait().unwrap();

    let mut c = Container::new(&["sleep", "1000"]);
    let mut spec = spec(&c.launch, &["sleep", "1000"]);
    spec.network =
        runtime::spec::Namespace::Path(c.bundle().join("netns").to_str().unwrap().to_owned());
    c.config = to_config(&spec);
    c.launch_with(&[(FdRole::Netns, netns.as_fd())]);
    let pid = c.start();
    assert_eq!(fs::read_link(format!("/proc/{pid}/ns/net")).unwrap(), name);
    // An exec joins it, too.
    let (out, _) = c.run_exec(c.exec("x", &["ls", "-l", "/proc/self/ns/net"]), b"");
    assert!(out.contains(name.to_str().unwrap()), "{out}");
}

#[test]
fn a_bundle_deep_down() {
    let mut c = Container::new(&["true"]).stdin(false).tty();
    let deep = c.dir.path().join("d".repeat(100)).join("e".repeat(100));
    fs::create_dir_all(&deep).unwrap();
    c.launch.bundle = deep.to_str().unwrap().to_owned();
    c.launch_with(&[]);
    assert_eq!(c.state().status, Status::Created);
    c.start();
    assert_eq!(c.exit().code, 0);
}

#[test]
fn the_socket_is_ours_alone() {
    use std::os::unix::fs::PermissionsExt;
    let c = Container::new(&["true"]).launched();
    let mode = fs::metadata(c.bundle().join("shim.sock"))
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn no_descriptor_leaks() {
    let mut c = Container::new(&["ls", "/proc/self/fd"]).launched();
    let mut stream = c.attach(false);
    c.start();
    // Its own three, and the directory that is listed.
    assert_eq!(collect(&mut stream).0, "0\n1\n2\n3\n");

    let c = Container::new(&["sleep", "1000"]).started();
    for entry in fs::read_dir(format!("/proc/{}/fd", c.shim_pid())).unwrap() {
        let target = fs::read_link(entry.unwrap().path()).unwrap();
        let target = target.to_string_lossy();
        assert!(
            ["socket:", "pipe:", "anon_inode:", "/dev/null"]
                .iter()
                .any(|p| target.starts_with(p))
                || target.starts_with(c.dir.path().to_str().unwrap()),
            "{target}"
        );
    }
}
