//! What a process becomes, read back from inside.

use std::os::{fd::OwnedFd, unix::net::UnixStream};

use serde_json::json;

use crate::support::{Bundle, Remove, pipes, wait};

#[test]
fn limits_scores_priorities_and_umask() {
    let script = "grep -E 'open files|processes' /proc/self/limits; cat /proc/self/oom_score_adj; umask; cut -d' ' -f19 /proc/self/stat; cat /proc/self/personality";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.process()["rlimits"] = json!([
        {"type": "RLIMIT_NOFILE", "soft": 17, "hard": 18},
        {"type": "RLIMIT_NPROC", "soft": 400, "hard": 500},
    ]);
    bundle.process()["oomScoreAdj"] = json!(321);
    bundle.process()["user"]["umask"] = json!(0o027);
    bundle.process()["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5});
    bundle.process()["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    bundle.linux()["personality"] = json!({"domain": "LINUX32"});
    let ended = bundle.run().unwrap();
    let lines: Vec<String> = ended
        .output
        .lines()
        .map(|l| l.split_whitespace().collect::<Vec<_>>().join(" "))
        .collect();
    assert_eq!(
        lines,
        [
            "Max processes 400 500 processes",
            "Max open files 17 18 files",
            "321",
            "0027",
            "5",
            "00000008",
        ]
    );
}

#[test]
fn a_limit_that_cannot_be_had_is_named() {
    let ours = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let held = rustix::thread::capabilities(None).unwrap().effective;
    if held.contains(rustix::thread::CapabilitySet::SYS_RESOURCE) {
        return;
    }
    let more = ours.maximum.unwrap() + 1;
    let mut bundle = Bundle::new(&["true"]);
    bundle.process()["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": more, "hard": more}]);
    let error = bundle.run().unwrap_err().to_string();
    assert!(
        error.contains("RLIMIT_NOFILE") && error.contains("not permitted"),
        "{error}"
    );
}

#[test]
fn capabilities_ambient_and_none_inheritable() {
    let mut bundle = Bundle::new(&["grep", "^Cap", "/proc/self/status"]);
    let one = json!(["CAP_KILL"]);
    bundle.process()["user"] = json!({"uid": 9, "gid": 9});
    bundle.process()["capabilities"] = json!({
        "bounding": one, "effective": one, "permitted": one, "inheritable": one, "ambient": one,
    });
    let ended = bundle.run().unwrap();
    let mask = "0000000000000020";
    let expected = format!(
        "CapInh:\t{mask}\nCapPrm:\t{mask}\nCapEff:\t{mask}\nCapBnd:\t{mask}\nCapAmb:\t{mask}\n"
    );
    assert_eq!(ended.output, expected);
    bundle.process()["capabilities"] = json!({"bounding": one});
    let ended = bundle.run().unwrap();
    assert!(
        ended
            .output
            .starts_with("CapInh:\t0000000000000000\nCapPrm:\t0000000000000000\n")
    );
}

#[test]
fn a_filter_with_and_without_new_privileges() {
    for no_new_privileges in [true, false] {
        let script = "mkdir /tmp/x || echo no; grep -E '^(Seccomp|NoNew)' /proc/self/status";
        let mut bundle = Bundle::new(&["sh", "-c", script]);
        bundle.process()["noNewPrivileges"] = json!(no_new_privileges);
        bundle.process()["user"] = json!({"uid": 9, "gid": 9});
        bundle.linux()["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
        });
        let ended = bundle.run().unwrap();
        let expected = format!(
            "NoNewPrivs:\t{}\nSeccomp:\t2\n",
            u8::from(no_new_privileges)
        );
        assert!(
            ended.output.contains("no\n") && ended.output.contains(&expected),
            "{ended:?}"
        );
    }
}

#[test]
fn no_descriptor_is_left_open() {
    let bundle = Bundle::new(&["sh", "-c", "ls /proc/self/fd | sort | tr '\\n' ' '"]);
    // One that a careless program left open, and open on exec.
    let leaked = std::fs::File::open("/").unwrap();
    rustix::io::fcntl_setfd(&leaked, rustix::io::FdFlags::empty()).unwrap();
    let ended = bundle.run().unwrap();
    // The third is the directory that is being read.
    assert_eq!(ended.output, "0 1 2 3 ", "{ended:?}");
}

/// CVE-2024-21626.
#[test]
fn a_working_directory_outside_is_refused() {
    for n in 3..20 {
        let mut bundle = Bundle::new(&["true"]);
        bundle.process()["cwd"] = json!(format!("/proc/self/fd/{n}"));
        bundle.run().unwrap_err();
    }
}

#[test]
fn a_terminal_of_its_own() {
    let mut bundle = Bundle::new(&[
        "sh",
        "-c",
        "stty size; tty; ls -l /dev/console | cut -c1; readlink /proc/self/fd/0",
    ]);
    bundle.process()["terminal"] = json!(true);
    bundle.process()["consoleSize"] = json!({"height": 33, "width": 77});
    let (ours, theirs) = UnixStream::pair().unwrap();
    let mut options = bundle.options(None);
    options.console = Some(OwnedFd::from(theirs));
    let prepared =
        runtime::oci::start::Prepared::new(bundle.parse().unwrap(), bundle.path(), options);
    let made = prepared.unwrap().run().unwrap();
    let _remove = Remove(made.cgroup.clone());
    let (mut name, mut fds) = ([0; 64], Vec::new());
    sys::scm::recv_with_fds(&ours, &mut name, &mut fds).unwrap();
    let mut text = Vec::new();
    let mut part = [0; 1024];
    // EIO tells that the last one is gone.
    while let Ok(n @ 1..) = rustix::io::read(&fds[0], &mut part) {
        text.extend_from_slice(&part[..n]);
    }
    let text = String::from_utf8_lossy(&text).replace('\r', "");
    assert_eq!(text, "33 77\n/dev/pts/0\nc\n/dev/pts/0\n");
    assert_eq!(wait(&made.init), 0);
}

#[test]
fn a_terminal_needs_somebody_who_holds_it() {
    let mut bundle = Bundle::new(&["true"]);
    bundle.process()["terminal"] = json!(true);
    assert!(bundle.prepare(Some(pipes().1)).is_err());
}
