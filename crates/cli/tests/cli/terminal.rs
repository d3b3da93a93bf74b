//! The program at a terminal.

use std::{
    fs::{File, OpenOptions},
    io::{Read, Write},
    os::unix::ffi::OsStrExt,
    process::{Child, Command},
    time::{Duration, Instant},
};

use crate::fake::{Behaviour, Fake};
use rustix::{
    pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt},
    termios::{LocalModes, tcgetattr},
};

/// Both ends of a new terminal.
fn terminal() -> (File, File) {
    let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&master).unwrap();
    unlockpt(&master).unwrap();
    let name = ptsname(&master, Vec::new()).unwrap();
    let path = std::path::Path::new(std::ffi::OsStr::from_bytes(name.as_bytes()));
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .open(path)
        .unwrap();
    (File::from(master), slave)
}

/// The program, with the terminal as all three of its streams.
fn spawn_at(terminal: &File, mut command: Command) -> Child {
    command
        .stdin(terminal.try_clone().unwrap())
        .stdout(terminal.try_clone().unwrap())
        .stderr(terminal.try_clone().unwrap())
        .spawn()
        .unwrap()
}

fn cooked(terminal: &File) -> bool {
    tcgetattr(terminal)
        .unwrap()
        .local_modes
        .contains(LocalModes::ICANON)
}

fn until(what: &str, test: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(20);
    while !test() {
        assert!(Instant::now() < end, "never {what}");
        std::thread::yield_now();
    }
}

#[test]
fn the_terminal_is_raw_until_the_user_detaches() {
    let fake = Fake::start(Behaviour {
        out: "prompt",
        echo: true,
        ..Behaviour::default()
    });
    let (mut master, slave) = terminal();
    assert!(cooked(&slave));
    let mut child = spawn_at(&slave, fake.command(&["run", "-it", "busybox", "sh"]));
    let mut seen = Vec::new();
    while !String::from_utf8_lossy(&seen).contains("prompt") {
        let mut buffer = [0; 100];
        let n = master.read(&mut buffer).unwrap();
        seen.extend_from_slice(&buffer[..n]);
    }
    until("raw", || !cooked(&slave));
    master.write_all(b"some text\x10\x11").unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(cooked(&slave), "the terminal was left in raw mode");
    let body: serde_json::Value = serde_json::from_str(&fake.bodies()[0]).unwrap();
    assert_eq!(
        (&body["Tty"], &body["OpenStdin"]),
        (&true.into(), &true.into())
    );
}

#[test]
fn a_signal_that_ends_it_leaves_the_terminal_as_it_was() {
    let fake = Fake::start(Behaviour {
        out: "prompt",
        echo: true,
        ..Behaviour::default()
    });
    let (_master, slave) = terminal();
    let mut child = spawn_at(
        &slave,
        fake.command(&["run", "--sig-proxy=false", "-it", "busybox", "sh"]),
    );
    until("raw", || !cooked(&slave));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 15));
    assert!(cooked(&slave), "the terminal was left in raw mode");
}

#[test]
fn a_signal_at_the_password_shows_again_what_is_typed() {
    let fake = Fake::start(Behaviour::default());
    let (_master, slave) = terminal();
    let shown = || {
        let modes = tcgetattr(&slave).unwrap().local_modes;
        modes.contains(LocalModes::ECHO)
    };
    assert!(shown());
    let mut child = spawn_at(&slave, fake.command(&["login", "-u", "anna", "r.example"]));
    until("hidden", || !shown());
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(128 + 2));
    assert!(shown(), "what is typed stays hidden");
}
