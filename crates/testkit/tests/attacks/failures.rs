//! A start that fails, at whichever step, leaves nothing.

use serde_json::{Value, json};
use testkit::{Bundle, Daemon};

/// What fails, how the configuration is spoilt for it, and what the error must name.
type Failing = (&'static str, fn(&mut Bundle), &'static str);

/// What to change in a configuration so that a late step fails, and what the error names.
fn failures() -> Vec<Failing> {
    fn push(bundle: &mut Bundle, pointer: &str, value: Value) {
        bundle
            .at(pointer)
            .as_array_mut()
            .expect("a list")
            .push(value);
    }
    vec![
        (
            "program",
            |b| *b.at("/process/args") = json!(["/not/there"]),
            "/not/there",
        ),
        (
            "program in path",
            |b| *b.at("/process/args") = json!(["not-there"]),
            "not-there",
        ),
        (
            "a folder as program",
            |b| *b.at("/process/args") = json!(["/etc"]),
            "/etc",
        ),
        (
            "working directory",
            |b| *b.at("/process/cwd") = json!("/etc/passwd"),
            "/etc/passwd",
        ),
        (
            "mount source",
            |b| {
                let mount = json!({"type": "bind", "source": "/not/there", "destination": "/mnt", "options": ["bind"]});
                push(b, "/mounts", mount);
            },
            "/not/there",
        ),
        (
            "mount type",
            |b| {
                push(
                    b,
                    "/mounts",
                    json!({"type": "nonsense", "source": "x", "destination": "/mnt"}),
                )
            },
            "nonsense",
        ),
        (
            "sysctl",
            |b| *b.at("/linux/sysctl") = json!({"net.ipv4.not_there": "1"}),
            "not_there",
        ),
        (
            "rlimit",
            |b| {
                b.at("/process")["rlimits"] =
                    json!([{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1_u64 << 40}])
            },
            "NOFILE",
        ),
        (
            "hook",
            |b| b.config["hooks"] = json!({"createContainer": [{"path": "/bin/false"}]}),
            "hook",
        ),
        (
            "early hook",
            |b| b.config["hooks"] = json!({"createRuntime": [{"path": "/bin/false"}]}),
            "hook",
        ),
        (
            "late hook",
            |b| b.config["hooks"] = json!({"startContainer": [{"path": "/bin/false"}]}),
            "hook",
        ),
        (
            "limit",
            |b| b.at("/linux/resources")["cpu"] = json!({"cpus": "9999"}),
            "cpu",
        ),
        (
            "device",
            |b| {
                push(
                    b,
                    "/linux/devices",
                    json!({"type": "c", "path": "/proc/x", "major": 1, "minor": 3}),
                )
            },
            "/proc",
        ),
        (
            "namespace",
            |b| {
                push(
                    b,
                    "/linux/namespaces",
                    json!({"type": "cgroup", "path": "/proc/self/ns/net"}),
                )
            },
            "cgroup",
        ),
    ]
}

#[test]
fn a_failed_start_leaves_nothing() {
    for (what, spoil, named) in failures() {
        let mut bundle = Bundle::new().args(&["true"]);
        spoil(&mut bundle);
        let out = bundle.run();
        assert_ne!(out.code, 0, "{what}: {out}");
        assert!(out.stderr.contains(named), "{what} is not named: {out}");
        let left = bundle.left();
        assert!(left.is_empty(), "{what}: {left:#?}");
    }
}

#[test]
fn a_failed_start_leaves_nothing_with_the_daemon() {
    let d = Daemon::fresh();
    let docker = d.docker();
    for (line, code) in [
        ("run --rm busybox /not/there", 127),
        ("run --rm busybox not-there", 127),
        ("run --rm busybox /etc", 126),
        ("run --rm -u nobody-knows busybox true", 125),
    ] {
        let out = docker.run(line);
        assert_eq!(out.code, code, "{out}");
    }
    d.assert_no_leaks();
}

#[test]
fn a_failed_exec_leaves_nothing() {
    let bundle = Bundle::new().args(&["sleep", "1000"]);
    let pid = bundle.start();
    let group = testkit::cgroups_of(pid);
    for (options, program, named) in [
        (vec![], "/not/there", "/not/there"),
        (vec![], "not-there", "not-there"),
        (vec!["--cwd", "/etc/passwd"], "true", "/etc/passwd"),
        (vec!["--user", "4294967296"], "true", "4294967296"),
    ] {
        bundle.exec_with(&options, &[program]).refused(&[named]);
    }
    let process = json!({"args": ["true"], "cwd": "/", "user": {"uid": 0, "gid": 0},
        "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 1_u64 << 40}]});
    bundle.exec_process(&process).refused(&["NOFILE"]);
    assert_eq!(testkit::children_of(pid), [] as [u32; 0]);
    assert_eq!(testkit::cgroups_of(pid), group);
    bundle.delete();
    assert_eq!(bundle.left(), [] as [String; 0]);
}

/// At each failpoint of a start: what it left behind, `delete --force` removes.
#[test]
fn a_runtime_that_is_killed_half_way() {
    for point in ["oci.start.cgroup", "oci.start.cloned"] {
        let bundle = Bundle::new().args(&["sleep", "1000"]);
        bundle.write();
        let mut command = bundle.command(&["run", bundle.id()]);
        let out = testkit::run(command.env("WHARF_FAILPOINT", point));
        assert_eq!(out.code, 137, "{point}: {out}");
        bundle.delete();
        // A process inside that lost the one outside may still be on its way out.
        testkit::eventually("nothing to be left", || bundle.left().is_empty());
    }
}
