//! Another process in a container has exactly the container's walls.

use std::io::Read;

use oci_spec::runtime::Process;
use runtime::oci::{
    Result,
    exec::{Exec, Options},
    start::Container,
};
use serde_json::{Value, json};

use crate::support::{Bundle, Ended, Running, pipes, wait};

fn exec(bundle: &Bundle, container: &Container, process: Value) -> Result<Ended> {
    let process: Process = serde_json::from_value(process).unwrap();
    let (mut output, stdio) = pipes();
    let options = Options {
        id: bundle.id.clone(),
        stdio: Some(stdio),
        cgroup: Some(container.cgroup.entry_beside(container.init.pid)?),
        ..Options::default()
    };
    let started = Exec::new(bundle.parse()?, process, container.init.pid, options)?.run()?;
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    Ok(Ended {
        code: wait(&started),
        output: text,
    })
}

fn process(args: &[&str]) -> Value {
    json!({
        "user": {"uid": 0, "gid": 0},
        "args": args,
        "env": ["PATH=/bin"],
        "cwd": "/",
    })
}

/// What `/proc` says of a process's walls.
const WALLS: &str = "grep -E '^(Uid|Gid|Groups|Cap|NoNew|Seccomp)' /proc/self/status; \
    cat /proc/self/limits /proc/self/cgroup /proc/self/uid_map /proc/self/oom_score_adj; \
    for n in mnt net ipc uts pid cgroup user; do readlink /proc/self/ns/$n; done";

#[test]
fn exactly_the_containers_walls() {
    let mut bundle = Bundle::new(&["sh", "-c", &format!("{WALLS}; echo ready; sleep 1000")]);
    bundle.process()["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    bundle.process()["oomScoreAdj"] = json!(500);
    bundle.linux()["seccomp"] = json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 13}],
    });
    let mut running = Running::start(&bundle);
    let own = running.read_until("ready\n");
    let ended = exec(&bundle, &running.container, process(&["sh", "-c", WALLS])).unwrap();
    assert_eq!(ended.output, own);
    assert!(own.contains("Seccomp:\t2"), "{own}");
    assert!(own.contains("\n500\n"), "{own}");
    let filtered = ["sh", "-c", "mkdir /tmp/x || echo no"];
    let ended = exec(&bundle, &running.container, process(&filtered)).unwrap();
    assert!(ended.output.ends_with("no\n"), "{ended:?}");
}

#[test]
fn exactly_the_containers_user_namespace() {
    let mut bundle = Bundle::new(&["sh", "-c", &format!("{WALLS}; echo ready; sleep 1000")]);
    bundle.map_users();
    let mut running = Running::start(&bundle);
    let own = running.read_until("ready\n");
    assert!(own.contains("0     100000      65536"), "{own}");
    let ended = exec(&bundle, &running.container, process(&["sh", "-c", WALLS])).unwrap();
    assert_eq!(ended.output, own);
}

#[test]
fn a_failed_one_leaves_nothing() {
    let bundle = Bundle::new(&["sh", "-c", "echo ready; sleep 1000"]);
    let mut running = Running::start(&bundle);
    running.read_until("ready\n");
    let before = std::fs::read_dir("/proc/self/fd").unwrap().count();
    for (program, why) in [
        ("nope", "executable file not found in $PATH"),
        ("/etc", "is a directory"),
    ] {
        let error = exec(&bundle, &running.container, process(&[program])).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(&format!("exec: {program:?}: {why}")),
            "{message}"
        );
    }
    let mut outside = process(&["true"]);
    outside["cwd"] = json!("/proc/self/fd/5");
    assert!(exec(&bundle, &running.container, outside).is_err());
    assert_eq!(std::fs::read_dir("/proc/self/fd").unwrap().count(), before);
    let pids = running.container.cgroup.pids();
    // The shell and its `sleep`.
    assert!(pids.len() <= 2, "{pids:?}");
    // Nobody else is our child.
    let children = std::fs::read_to_string("/proc/thread-self/children").unwrap();
    assert_eq!(children.split_whitespace().count(), 1, "{children}");
}

#[test]
fn where_there_is_no_container_any_more() {
    let bundle = Bundle::new(&["true"]);
    let running = Running::start(&bundle);
    wait(&running.container.init);
    assert!(exec(&bundle, &running.container, process(&["true"])).is_err());
}
