//! The runtime's own program and descriptors.

use std::fs;

use serde_json::json;
use testkit::{Bundle, Daemon, images, wharf_bin};

use crate::bait::{Bait, SECRET};

/// Tries to write to the program of every process that can be seen, until told to stop.
const OVERWRITE: &str = "touch /ready; while [ ! -e /stop ]; do for p in /proc/[0-9]*; do \
    case $(readlink $p/exe) in */busybox) continue;; esac; \
    (echo pwned > $p/exe) 2>/dev/null && echo $p >> /hits; \
    (echo pwned >> $p/exe) 2>/dev/null && echo $p >> /hits; done; done; sleep 1000";

fn program() -> Vec<u8> {
    fs::read(wharf_bin()).expect("our own program")
}

#[test]
fn attack_01_overwrite_of_the_host_runtime_by_proc_self_exe() {
    let before = program();
    // The daemon: a container waits for execs whose program is still the runtime's.
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok(&format!("run -d --name evil busybox sh -c '{OVERWRITE}'"));
    for _ in 0..20 {
        docker.ok("exec evil true");
        // The link that leads to whatever program the runtime is at that moment.
        let _ = docker.run("exec evil /proc/self/exe");
    }
    docker.ok("exec evil touch /stop");
    assert_eq!(
        docker.ok("exec evil sh -c 'cat /hits 2>/dev/null; true'"),
        ""
    );
    docker.ok("rm -f evil");
    let _ = docker.run("run --rm --entrypoint /proc/self/exe busybox");
    // By itself.
    let bundle = Bundle::new().shell(OVERWRITE);
    bundle.start();
    for _ in 0..20 {
        bundle.exec(&["true"]).ok();
        let _ = bundle.exec(&["/proc/self/exe"]);
    }
    bundle.exec(&["touch", "/stop"]).ok();
    assert!(!bundle.root().join("hits").exists());
    drop(bundle);
    let bundle = Bundle::new().args(&["/proc/self/exe"]);
    let _ = bundle.run();
    assert!(before == program(), "the program on the host was changed");
}

#[test]
fn attack_02_a_leaked_descriptor_as_working_directory() {
    let bait = Bait::new();
    let climb = format!(
        "cat ../../../../../../../../..{0} ./{0} 2>/dev/null; true",
        bait.secret().display()
    );
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok("run -d --name target busybox sleep 1000");
    let mut bundle = Bundle::new().shell(&climb);
    let sleeping = Bundle::new().args(&["sleep", "1000"]);
    sleeping.start();
    for n in 0..24 {
        for dir in [format!("/proc/self/fd/{n}"), format!("/proc/1/fd/{n}/")] {
            let flags = format!("-w {dir}");
            for line in [
                format!("run --rm {flags} busybox sh -c '{climb}'"),
                format!("exec {flags} target sh -c '{climb}'"),
            ] {
                let out = docker.run(&line);
                assert!(!out.stdout.contains(SECRET), "{out}");
            }
            *bundle.at("/process/cwd") = json!(dir);
            let out = bundle.run();
            assert!(!out.stdout.contains(SECRET), "{out}");
            let out = sleeping.exec_with(&["--cwd", &dir], &["sh", "-c", &climb]);
            assert!(!out.stdout.contains(SECRET), "{out}");
        }
    }
    // An image that asks for it.
    let image = images::variant(
        "attack-workdir",
        |layer| layer.file("note", 0o644, "x"),
        &json!({"WorkingDir": "/proc/self/fd/7"}),
    );
    d.load(&image);
    let out = docker.run(&format!("run --rm attack-workdir sh -c '{climb}'"));
    assert!(!out.stdout.contains(SECRET), "{out}");
}

/// Nothing of the runtime's is open in what it starts.
#[test]
fn attack_02_no_descriptor_is_left_open() {
    // `ls` has the directory itself open as 3.
    let list = "ls /proc/self/fd";
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok("run -d --name target busybox sleep 1000");
    let bundle = Bundle::new().args(&["ls", "/proc/self/fd"]);
    let sleeping = Bundle::new().args(&["sleep", "1000"]);
    sleeping.start();
    for (what, text) in [
        ("run", docker.ok(&format!("run --rm busybox {list}"))),
        ("exec", docker.ok(&format!("exec target {list}"))),
        ("runtime run", bundle.run().ok()),
        ("runtime exec", sleeping.exec(&["ls", "/proc/self/fd"]).ok()),
    ] {
        assert_eq!(text, "0\n1\n2\n3", "{what}");
    }
}
