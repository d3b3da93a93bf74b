//! `exec`, and descriptors that are handed on.

use std::{fs, os::unix::fs::OpenOptionsExt as _};

use serde_json::json;
use testkit::eventually;

use crate::support::{Bundle, Runtime, id};

#[test]
fn options_and_codes() {
    let r = Runtime::new();
    let b = Bundle::new(&r, &["sleep", "1000"]);
    let id = r.start(&b);
    let exec = |options: &[&str], program: &[&str]| {
        r.run(&[&["exec"], options, &[id.as_str()], program].concat())
    };
    assert_eq!(exec(&[], &["sh", "-c", "exit 7"]).code, 7);
    let out = exec(&[], &["sh", "-c", "echo o; echo e >&2"]);
    assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("o\n", "e\n"));
    exec(&[], &["nope"]).refused(&["executable file not found in $PATH"]);
    assert_eq!(exec(&["--cwd", "/tmp"], &["pwd"]).ok(), "/tmp");
    let out = exec(&["-e", "A=1", "-e", "B=2"], &["sh", "-c", "echo $A$B"]);
    assert_eq!(out.ok(), "12");
    let out = exec(&["-u", "7:8", "-g", "9", "-g", "10"], &["id"]).ok();
    assert!(
        out.starts_with("uid=7 gid=8") && out.contains("9,10"),
        "{out}"
    );
    let eff = |options: &[&str]| exec(options, &["grep", "CapEff", "/proc/self/status"]).ok();
    assert_ne!(eff(&[]), eff(&["--cap", "CAP_NET_ADMIN"]));
    if r.is_wharf() {
        exec(&["--cap", "CAP_NOPE"], &["true"]).refused(&["CAP_NOPE"]);
        exec(&["--user", "root"], &["true"]).refused(&["--user"]);
        exec(&["--cgroup", "sub"], &["true"]).refused(&["--cgroup"]);
    }
    r.run(&["exec", &id]).refused(&[]);
    r.delete(&id);
    r.run(&["exec", &id, "true"]).refused(&["does not exist"]);
}

#[test]
fn a_process_from_a_file_detached() {
    let r = Runtime::new();
    let b = Bundle::new(&r, &["sleep", "1000"]);
    let id = r.start(&b);
    let fifo = b.rootfs().join("tmp/fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from_raw_mode(0o600),
        0,
    )
    .expect("a fifo");
    let mut process = b.config()["process"].clone();
    process["args"] = json!(["sh", "-c", "cat /tmp/fifo >/tmp/out"]);
    let (file, pid) = (r.dir.path().join("process.json"), r.dir.path().join("pid"));
    fs::write(&file, process.to_string()).expect("writable");
    let text = |p: &std::path::Path| p.to_str().expect("UTF-8").to_owned();
    r.detached(&[
        "exec",
        "-d",
        "-p",
        &text(&file),
        "--pid-file",
        &text(&pid),
        &id,
    ])
    .ok();
    let number: u32 = fs::read_to_string(&pid)
        .expect("written")
        .parse()
        .expect("a number");
    let pids: Vec<u32> = serde_json::from_str(&r.ok(&["ps", "-f", "json", &id])).expect("JSON");
    assert!(pids.contains(&number), "{number} in {pids:?}");
    // Opened for both, so that a reader which is not there yet does not hold up the test.
    let both = fs::OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed())
        .open(&fifo)
        .expect("the fifo");
    std::io::Write::write_all(&mut &both, b"through").expect("room");
    eventually("the words", || {
        fs::read_to_string(b.rootfs().join("tmp/out")).is_ok_and(|t| t == "through")
    });
    drop(both);
    r.delete(&id);
}

#[test]
fn descriptors_are_handed_on() {
    let r = Runtime::new();
    fs::write(r.dir.path().join("note"), "a note\n").expect("writable");
    let b = Bundle::new(&r, &["cat", "/proc/self/fd/3"]);
    let with_note = |args: &[&str]| {
        let inner = r.command(args);
        let mut shell = std::process::Command::new("sh");
        shell.args(["-c", "exec \"$@\" 3<note 4<note", "sh"]);
        shell.arg(inner.get_program()).args(inner.get_args());
        testkit::run(shell.current_dir(r.dir.path()))
    };
    let name = id();
    let out = with_note(&["run", "--preserve-fds", "1", "-b", b.path(), &name]);
    assert_eq!(out.ok(), "a note");
    // Not more than was said.
    let b = Bundle::script(&r, "ls /proc/self/fd");
    let out = with_note(&["run", "--preserve-fds", "1", "-b", b.path(), &id()]).ok();
    // The last one is the directory that ls reads.
    assert_eq!(
        out.split_whitespace().collect::<Vec<_>>(),
        ["0", "1", "2", "3", "4"],
        "of ls"
    );
    let out = with_note(&["run", "-b", b.path(), &id()]).ok();
    assert_eq!(out.split_whitespace().count(), 4, "{out}");
    if r.is_wharf() {
        let out = r.run(&["run", "--preserve-fds", "9", "-b", b.path(), &id()]);
        out.refused(&["--preserve-fds", "is not open"]);
    }
    let b = Bundle::new(&r, &["sleep", "1000"]);
    let id = r.start(&b);
    let out = with_note(&["exec", "--preserve-fds", "2", &id, "cat", "/proc/self/fd/4"]);
    assert_eq!(out.ok(), "a note");
    r.delete(&id);
}
