//! Whoever dies half-way leaves something that `delete --force` removes.

use std::{fs, process::Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use testkit::eventually;

use crate::support::{Bundle, Runtime, id};

#[test]
fn a_creator_that_was_killed() {
    let r = Runtime::new();
    if !r.is_wharf() {
        return;
    }
    let mark = r.dir.path().join("hook");
    // It outlives its runtime for as long as the test needs at most.
    let script = format!("echo $$ >{}; exec sleep 1000", mark.display());
    let b = Bundle::changed(&r, &["sleep", "1000"], |c| {
        c["hooks"]["createRuntime"] = json!([{ "path": "/bin/sh", "args": ["sh", "-c", script] }]);
    });
    let id = id();
    let mut command = r.command(&["create", "-b", b.path(), &id]);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let mut child = command.spawn().expect("the runtime is there");
    eventually("the hook", || {
        fs::read_to_string(&mark).is_ok_and(|t| t.ends_with('\n'))
    });
    assert_eq!(r.status(&id), "creating");
    r.run(&["kill", &id]).refused(&["container not running"]);
    kill_process(Pid::from_child(&child), Signal::KILL).expect("ours");
    child.wait().expect("ours");
    assert_eq!(r.status(&id), "stopped");
    r.run(&["start", &id])
        .refused(&["cannot start a container that has stopped"]);
    r.ok(&["delete", "--force", &id]);
    assert_eq!(r.ok(&["list", "-q"]), "");
    let hierarchies = fs::read_dir("/sys/fs/cgroup").expect("cgroups").flatten();
    let left: Vec<_> = hierarchies
        .filter(|h| h.path().join(&id).exists())
        .collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn a_directory_with_nothing_in_it() {
    let r = Runtime::new();
    if !r.is_wharf() {
        return;
    }
    for flags in [&["delete"][..], &["delete", "--force"]] {
        fs::create_dir_all(r.root().join("half")).expect("writable");
        r.run(&["state", "half"])
            .refused(&["not created completely"]);
        r.ok(&[flags, &["half"]].concat());
        assert_eq!(r.ok(&["list", "-q"]), "");
    }
    // Unreadable, too.
    fs::create_dir_all(r.root().join("half")).expect("writable");
    fs::write(r.root().join("half/state.json"), "{").expect("writable");
    r.ok(&["delete", "--force", "half"]);
    assert_eq!(r.ok(&["list", "-q"]), "");
}

#[test]
fn one_command_at_a_time() {
    let r = Runtime::new();
    let b = Bundle::new(&r, &["sleep", "1000"]);
    let id = id();
    let codes: Vec<i32> = std::thread::scope(|s| {
        let all: Vec<_> = (0..4)
            .map(|_| {
                s.spawn(|| {
                    let mut command = r.command(&["create", "-b", b.path(), &id]);
                    command
                        .stdin(Stdio::null())
                        .stdout(Stdio::null())
                        .stderr(Stdio::null());
                    command.status().expect("it runs").code().expect("a code")
                })
            })
            .collect();
        all.into_iter()
            .map(|t| t.join().expect("a thread"))
            .collect()
    });
    assert_eq!(codes.iter().filter(|c| **c == 0).count(), 1, "{codes:?}");
    assert_eq!(r.status(&id), "created");
    r.delete(&id);
}
