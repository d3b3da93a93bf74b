//! Against a real dbus-daemon, which checks every message, with a thread in systemd's place; and
//! against a socket without a bus. A real systemd is in the virtual machine's tests.

use std::{
    io::{BufRead as _, Read as _, Write as _},
    os::unix::net::{UnixListener, UnixStream},
    path::Path,
    process::{Child, Command, Stdio},
    thread,
};

use super::{
    wire::{Kind, Message},
    *,
};

#[test]
fn units_and_slices() {
    let unit = |path| Unit::plan(Some(path), "id", false);
    let u = unit("machine-a.slice:libpod:abc").unwrap();
    assert_eq!(u.name, "libpod-abc.scope");
    assert_eq!(expand(&u.slice).unwrap(), "machine.slice/machine-a.slice/");
    assert_eq!(expand("-.slice").unwrap(), "");
    let u = unit("::abc").unwrap();
    assert_eq!((&*u.name, &*u.slice), ("abc.scope", "system.slice"));
    let u = Unit::plan(None, "id", true).unwrap();
    assert_eq!((&*u.name, &*u.slice), ("wharf-id.scope", "user.slice"));
    for bad in [
        "/a/b",
        "a:b",
        "a.slice:b:",
        "a:b:c",
        "a--b.slice:p:n",
        "../x.slice:p:n",
        "a.slice:p:../n",
        "a.slice:p:n.slice",
        "a.slice:p:n\n",
        "-a.slice:p:n",
    ] {
        let e = unit(bad).unwrap_err().to_string();
        assert!(e.contains("linux.cgroupsPath"), "{bad}: {e}");
    }
}

#[test]
fn systemd_is_told_the_main_limits() {
    let r: LinuxResources = serde_json::from_str(
        r#"{"memory": {"limit": 1000, "swap": 3000}, "cpu": {"shares": 1024, "quota": 50000},
            "pids": {"limit": -1}}"#,
    )
    .unwrap();
    assert_eq!(
        limits_of(&r),
        [
            ("MemoryMax", Value::Number(1000)),
            ("MemorySwapMax", Value::Number(2000)),
            ("CPUWeight", Value::Number(100)),
            ("CPUQuotaPerSecUSec", Value::Number(500_000)),
            ("TasksMax", Value::Number(u64::MAX)),
        ]
    );
}

/// A dbus-daemon of our own.
struct Daemon(Child);

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// `None` where there is no dbus-daemon.
fn daemon(dir: &Path) -> Option<Daemon> {
    let config = dir.join("bus.conf");
    let text = format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow send_destination=\"*\" eavesdrop=\"true\"/>\
         <allow eavesdrop=\"true\"/><allow own=\"*\"/></policy></busconfig>",
        dir.join("bus").display()
    );
    std::fs::write(&config, text).unwrap();
    let mut child = Command::new("dbus-daemon")
        .arg(format!("--config-file={}", config.display()))
        .args(["--nofork", "--nosyslog", "--print-address"])
        .stdout(Stdio::piped())
        .spawn()
        .ok()?;
    // It says its address when it listens.
    let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert!(line.starts_with("unix:path="), "{line}");
    Some(Daemon(child))
}

fn reply(to: &Message, signature: &str, body: impl FnOnce(&mut Writer)) -> Message {
    let mut message = Message::new(Kind::Return);
    message.reply_to = to.serial;
    message.destination = to.sender.clone();
    message.signature = signature.into();
    let mut w = Writer::default();
    body(&mut w);
    message.body = w.0;
    message
}

fn error(to: &Message, name: &str) -> Message {
    let mut message = reply(to, "s", |w| w.text("said no"));
    message.kind = Kind::Error;
    message.error = format!("org.freedesktop.systemd1.{name}");
    message
}

fn removed(job: &str, unit: &str, result: &str) -> Message {
    let mut message = Message::new(Kind::Signal);
    message.path = "/org/freedesktop/systemd1".into();
    message.interface = "org.freedesktop.systemd1.Manager".into();
    message.member = "JobRemoved".into();
    message.signature = "uoss".into();
    let mut w = Writer::default();
    w.u32(7);
    w.text(job);
    w.text(unit);
    w.text(result);
    message.body = w.0;
    message
}

const JOB: &str = "/org/freedesktop/systemd1/job/7";

/// What systemd would answer: a unit that exists (failed) at first, a scope that is made, one that
/// is stopped; and what it was asked for.
fn answer(call: &Message, seen: &mut Vec<String>) -> Vec<Message> {
    seen.push(call.member.clone());
    let mut r = call.reader();
    match &*call.member {
        "StartTransientUnit" => {
            assert_eq!(call.signature, "ssa(sv)a(sa(sv))");
            let name = r.text().unwrap();
            assert_eq!(r.text().unwrap(), "fail");
            let properties = r.properties().unwrap();
            let find = |name: &str| &properties.iter().find(|(n, _)| n == name).unwrap().1;
            assert_eq!(*find("Slice"), Value::Text("system.slice".into()));
            assert_eq!(*find("PIDs"), Value::Numbers(vec![4711]));
            assert_eq!(*find("Delegate"), Value::Bool(true));
            assert_eq!(*find("TasksMax"), Value::Number(5));
            assert_eq!(r.u32().unwrap(), 0);
            if !seen.iter().any(|s| s == "ResetFailedUnit") {
                return vec![error(call, "UnitExists")];
            }
            // The signal may come before the answer, and others with it.
            vec![
                removed("/org/freedesktop/systemd1/job/6", "other.scope", "failed"),
                removed(
                    JOB,
                    &name,
                    if name.contains("bad") {
                        "failed"
                    } else {
                        "done"
                    },
                ),
                reply(call, "o", |w| w.text(JOB)),
            ]
        }
        "StopUnit" => {
            let name = r.text().unwrap();
            if name.contains("gone") {
                return vec![error(call, "NoSuchUnit")];
            }
            vec![
                reply(call, "o", |w| w.text(JOB)),
                removed(JOB, &name, "done"),
            ]
        }
        "Subscribe" | "ResetFailedUnit" => vec![reply(call, "", |_| ())],
        "Get" => vec![reply(call, "v", |w| {
            w.0.extend(b"\x01s\0");
            w.text("/user.slice/user-1.slice/user@1.service");
        })],
        other => panic!("{other}"),
    }
}

fn unit(name: &str) -> Unit {
    Unit::plan(Some(&format!("system.slice:w:{name}")), "id", false).unwrap()
}

fn use_it(bus: &mut Bus) {
    let r: LinuxResources = serde_json::from_str(r#"{"pids": {"limit": 5}}"#).unwrap();
    unit("good").start_on(bus, "id", 4711, Some(&r)).unwrap();
    let e = unit("bad").start_on(bus, "id", 4711, Some(&r)).unwrap_err();
    assert!(e.to_string().contains("w-bad.scope"), "{e}");
    unit("good").stop_on(bus).unwrap();
    unit("gone").stop_on(bus).unwrap();
    assert_eq!(
        control_group(bus).unwrap(),
        "/user.slice/user-1.slice/user@1.service"
    );
}

#[test]
fn over_a_real_bus() {
    let dir = tempfile::tempdir().unwrap();
    let Some(_daemon) = daemon(dir.path()) else {
        return;
    };
    let socket = dir.path().join("bus");
    let mut systemd = Bus::open(&socket, false).unwrap();
    let mut call = Message::new(Kind::Call);
    call.path = "/org/freedesktop/DBus".into();
    call.interface = "org.freedesktop.DBus".into();
    call.destination = "org.freedesktop.DBus".into();
    call.member = "RequestName".into();
    call.signature = "su".into();
    let mut w = Writer::default();
    w.text("org.freedesktop.systemd1");
    w.u32(0);
    call.body = w.0;
    systemd.send(&mut call).unwrap();
    let server = thread::spawn(move || {
        let mut seen = Vec::new();
        while let Ok(message) = systemd.receive() {
            if message.kind == Kind::Call {
                for mut m in answer(&message, &mut seen) {
                    systemd.send(&mut m).unwrap();
                }
            }
            if seen.last().is_some_and(|s| s == "Get") {
                break;
            }
        }
    });
    let mut bus = Bus::open(&socket, false).unwrap();
    use_it(&mut bus);
    server.join().unwrap();
}

fn lines(stream: &mut UnixStream, wanted: &[u8]) -> Vec<u8> {
    let mut got = Vec::new();
    while !got.ends_with(wanted) {
        let mut one = [0];
        stream.read_exact(&mut one).unwrap();
        got.push(one[0]);
    }
    got
}

#[test]
fn over_systemds_own_socket() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("private");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let hello = lines(&mut stream, b"\r\n");
        assert!(hello.starts_with(b"\0AUTH EXTERNAL 3"), "{hello:?}");
        stream.write_all(b"OK 0123456789abcdef\r\n").unwrap();
        lines(&mut stream, b"BEGIN\r\n");
        let mut seen = Vec::new();
        let mut serial = 0;
        loop {
            let mut head = [0; 16];
            if stream.read_exact(&mut head).is_err() {
                return;
            }
            let mut all = head.to_vec();
            all.resize(Message::length(&head).unwrap(), 0);
            stream.read_exact(&mut all[16..]).unwrap();
            let call = Message::decode(&all).unwrap();
            assert_eq!(call.destination, "");
            for mut m in answer(&call, &mut seen) {
                serial += 1;
                m.serial = serial;
                stream.write_all(&m.encode()).unwrap();
            }
        }
    });
    let mut bus = Bus::open(&socket, true).unwrap();
    use_it(&mut bus);
    drop(bus);
    server.join().unwrap();
}

#[test]
fn who_is_not_let_in_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("private");
    let listener = UnixListener::bind(&socket).unwrap();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        lines(&mut stream, b"\r\n");
        stream.write_all(b"REJECTED EXTERNAL\r\n").unwrap();
    });
    let e = Bus::open(&socket, true).unwrap_err().to_string();
    assert!(e.contains("REJECTED"), "{e}");
    server.join().unwrap();
    assert!(Bus::open(&dir.path().join("none"), true).is_err());
}
