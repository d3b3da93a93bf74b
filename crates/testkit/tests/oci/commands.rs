//! The commands of a container's life.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, id};

#[test]
fn from_create_to_delete() {
    let r = Runtime::new();
    let b = Bundle::changed(&r, &["sleep", "1000"], |c| {
        c["annotations"] = json!({ "org.example": "x" });
    });
    let id = id();
    let pid_file = r.dir.path().join("pid");
    let pid_arg = pid_file.to_str().expect("UTF-8");
    r.detached(&["create", "--bundle", b.path(), "--pid-file", pid_arg, &id])
        .ok();
    let state = r.state(&id);
    assert_eq!(state["status"], "created");
    assert_eq!(state["id"], id.as_str());
    assert_eq!(state["bundle"], b.path());
    assert_eq!(state["annotations"]["org.example"], "x");
    assert!(state["ociVersion"].is_string());
    let pid = state["pid"].as_u64().expect("a number");
    assert_eq!(
        fs::read_to_string(&pid_file).expect("written"),
        pid.to_string()
    );
    r.run(&["create", "-b", b.path(), &id])
        .refused(&["already exists"]);

    assert!(r.ok(&["list"]).contains(&id));
    assert_eq!(r.ok(&["list", "-q"]), id);
    let list: Value = serde_json::from_str(&r.ok(&["list", "--format", "json"])).expect("JSON");
    assert_eq!(list[0]["pid"], pid);
    // What is done to the bundle now changes nothing.
    fs::remove_file(format!("{}/config.json", b.path())).expect("it is there");

    r.ok(&["start", &id]);
    assert_eq!(r.status(&id), "running");
    r.run(&["start", &id])
        .refused(&["cannot start an already running container"]);
    let pids: Vec<u64> = serde_json::from_str(&r.ok(&["ps", "-f", "json", &id])).expect("JSON");
    assert_eq!(pids, [pid]);
    assert!(r.ok(&["ps", &id]).contains("sleep 1000"));
    assert!(r.ok(&["ps", &id, "-o", "pid,comm"]).contains("sleep"));

    r.run(&["delete", &id]).refused(&["not stopped: running"]);
    r.ok(&["kill", &id, "KILL"]);
    r.until(&id, "stopped");
    assert_eq!(r.state(&id)["pid"], 0);
    r.run(&["kill", &id]).refused(&["container not running"]);
    r.run(&["start", &id])
        .refused(&["cannot start a container that has stopped"]);
    r.run(&["exec", &id, "true"])
        .refused(&["cannot exec in a stopped container"]);
    r.ok(&["delete", &id]);
    r.run(&["state", &id]).refused(&["does not exist"]);
    r.run(&["delete", &id]).refused(&["does not exist"]);
    r.ok(&["delete", "--force", &id]);
}

#[test]
fn run_waits_and_cleans_up() {
    let r = Runtime::new();
    let code = |script: &str| {
        let b = Bundle::script(&r, script);
        r.run(&["run", "-b", b.path(), &id()]).code
    };
    assert_eq!(code("exit 3"), 3);
    assert_eq!(code("exit 0"), 0);
    assert_eq!(r.ok(&["list", "-q"]), "");
    let b = Bundle::script(&r, "echo out; echo err >&2");
    let out = r.run(&["run", "-b", b.path(), &id()]);
    assert_eq!(
        (out.stdout.as_str(), out.stderr.as_str()),
        ("out\n", "err\n")
    );
    r.ok(&["run", "--no-pivot", "-b", b.path(), &id()]);
    let id = id();
    r.ok(&["run", "--keep", "-b", b.path(), &id]);
    assert_eq!(r.status(&id), "stopped");
    r.ok(&["delete", &id]);
}

#[test]
fn a_start_that_fails_leaves_nothing() {
    let r = Runtime::new();
    let refuse = |args: &[&str], words: &[&str]| {
        let b = Bundle::new(&r, args);
        let id = id();
        for verb in ["create", "run"] {
            r.run(&[verb, "-b", b.path(), &id]).refused(words);
        }
        assert_eq!(r.ok(&["list", "-q"]), "");
        assert_eq!(cgroups_of(&id), Vec::<String>::new());
    };
    refuse(&["nope"], &["executable file not found in $PATH"]);
    refuse(&["/etc/passwd"], &["permission denied"]);
    if r.is_wharf() {
        let b = Bundle::changed(&r, &["true"], |c| {
            c["linux"]["resources"]["pids"] = json!({ "limit": "many" });
        });
        r.run(&["run", "-b", b.path(), &id()])
            .refused(&["config.json"]);
    }
    r.run(&["run", "-b", "/does/not/exist", &id()])
        .refused(&["/does/not/exist"]);
    for bad in ["a/b", "..", "a b"] {
        r.run(&["state", bad])
            .refused(&["invalid container ID format"]);
    }
}

fn cgroups_of(id: &str) -> Vec<String> {
    let hierarchies = fs::read_dir("/sys/fs/cgroup")
        .into_iter()
        .flatten()
        .flatten();
    let paths = hierarchies
        .map(|h| h.path().join(id))
        .filter(|p| p.exists());
    paths.map(|p| p.display().to_string()).collect()
}

#[test]
fn signals() {
    let r = Runtime::new();
    let b = Bundle::script(
        &r,
        "trap 'exit 0' USR1; touch /ready; while :; do sleep 0.01; done",
    );
    for signal in ["USR1", "SIGUSR1", "10"] {
        let id = r.start(&b);
        testkit::eventually("its trap", || b.rootfs().join("ready").exists());
        r.run(&["kill", &id, "NOPE"]).refused(&["signal"]);
        r.ok(&["kill", &id, signal]);
        r.until(&id, "stopped");
        r.ok(&["delete", &id]);
        fs::remove_file(b.rootfs().join("ready")).expect("it was made");
    }
    let b = Bundle::script(&r, "sleep 1000 & sleep 1000");
    let id = r.start(&b);
    r.ok(&["kill", "--all", &id, "KILL"]);
    r.until(&id, "stopped");
    assert_eq!(r.ok(&["ps", "-f", "json", &id]).replace("null", "[]"), "[]");
    r.ok(&["delete", &id]);
    // One that was created and never started goes, too.
    let id = crate::support::id();
    r.detached(&["create", "-b", b.path(), &id]).ok();
    r.ok(&["delete", &id]);
    assert_eq!(cgroups_of(&id), Vec::<String>::new());
}

#[test]
fn pause_and_resume() {
    let r = Runtime::new();
    let b = Bundle::new(&r, &["sleep", "1000"]);
    let id = r.start(&b);
    r.run(&["resume", &id]).refused(&["not paused"]);
    r.ok(&["pause", &id]);
    assert_eq!(r.status(&id), "paused");
    r.run(&["exec", &id, "true"])
        .refused(&["cannot exec in a paused container"]);
    r.ok(&["resume", &id]);
    assert_eq!(r.status(&id), "running");
    r.ok(&["exec", &id, "true"]);
    r.ok(&["pause", &id]);
    r.ok(&["kill", &id, "KILL"]);
    r.until(&id, "stopped");
    r.ok(&["delete", &id]);
    let id = r.start(&b);
    r.ok(&["pause", &id]);
    r.delete(&id);
}

#[test]
fn limits_are_changed_and_shown() {
    let r = Runtime::new();
    let b = Bundle::new(&r, &["sleep", "1000"]);
    let id = r.start(&b);
    r.ok(&["update", "--memory", "64m", "--pids-limit", "77", &id]);
    let stats =
        || -> Value { serde_json::from_str(&r.ok(&["events", "--stats", &id])).expect("JSON") };
    let seen = stats();
    assert_eq!(seen["type"], "stats");
    assert_eq!(seen["id"], id.as_str());
    assert_eq!(seen["data"]["memory"]["usage"]["limit"], 64 << 20);
    assert_eq!(seen["data"]["pids"]["limit"], 77);
    let file = r.dir.path().join("limits");
    fs::write(
        &file,
        r#"{"memory":{"limit":33554432},"pids":{"limit":55}}"#,
    )
    .expect("writable");
    r.ok(&["update", "-r", file.to_str().expect("UTF-8"), &id]);
    let seen = stats();
    assert_eq!(seen["data"]["memory"]["usage"]["limit"], 32 << 20);
    assert_eq!(seen["data"]["pids"]["limit"], 55);
    r.run(&["update", "--memory", "much", &id])
        .refused(&["memory"]);
    if r.is_wharf() {
        r.run(&["update", &id]).refused(&["nothing to change"]);
        r.run(&["update", "--l3-cache-schema", "x", &id])
            .refused(&["Intel RDT"]);
    }
    r.delete(&id);
    r.run(&["events", "--stats", &id])
        .refused(&["does not exist"]);
}

#[test]
fn events_tell_of_memory_that_ran_out() {
    let r = Runtime::new();
    let b = Bundle::changed(
        &r,
        &[
            "sh",
            "-c",
            "while [ ! -e /go ]; do sleep 0.01; done; (x=x; while :; do x=$x$x; done); sleep 1000",
        ],
        |c| c["linux"]["resources"]["memory"] = json!({ "limit": 16 << 20, "swap": 16 << 20 }),
    );
    let id = r.start(&b);
    let events = testkit::Running::start(
        r.command(&["events", "--interval", "50ms", &id])
            .stdin(std::process::Stdio::null()),
    );
    testkit::eventually("statistics", || {
        events.stdout().contains("\"type\":\"stats\"")
    });
    fs::write(b.rootfs().join("go"), "").expect("writable");
    testkit::eventually("oom", || events.stdout().contains("\"type\":\"oom\""));
    r.delete(&id);
    // It ends with its container.
    assert_eq!(events.wait().code, 0);
}

#[test]
fn what_it_says_of_itself() {
    let r = Runtime::new();
    let version = r.ok(&["--version"]);
    let (name, rest) = version.split_once(" version ").expect("as Docker reads it");
    assert_eq!(
        name,
        if r.is_wharf() {
            "wharf-runtime"
        } else {
            "runc"
        }
    );
    assert!(rest.contains("\nspec: 1."), "{version}");
    let features: Value = serde_json::from_str(&r.ok(&["features"])).expect("JSON");
    assert_eq!(features["ociVersionMin"], "1.0.0");
    for part in [
        "/linux/namespaces",
        "/linux/capabilities",
        "/mountOptions",
        "/hooks",
    ] {
        let list = features.pointer(part).and_then(Value::as_array);
        assert!(list.is_some_and(|l| l.len() >= 6), "{part} in {features}");
    }
    assert_eq!(features["linux"]["seccomp"]["enabled"], true);
    let help = r.ok(&["--help"]);
    for command in [
        "create", "start", "run", "exec", "kill", "delete", "state", "list", "ps", "pause",
        "resume", "update", "events", "features", "spec",
    ] {
        assert!(help.contains(command), "{command}");
        assert!(
            r.ok(&[command, "--help"]).contains("OPTIONS") || !r.is_wharf(),
            "{command}"
        );
    }
    r.run(&["state"]).refused(&["argument"]);
    r.run(&["list", "--nope"])
        .refused(&["flag provided but not defined: -nope"]);
    if r.is_wharf() {
        for verb in ["checkpoint", "restore"] {
            r.run(&[verb, "x"]).refused(&[verb, "not supported"]);
        }
        r.run(&["nope"]).refused(&["nope"]);
    }
}

#[test]
fn messages_go_where_they_should() {
    let r = Runtime::new();
    let log = r.dir.path().join("log");
    let log_arg = log.to_str().expect("UTF-8");
    let out = r.run(&["--log", log_arg, "--log-format", "json", "state", "nobody"]);
    out.refused(&["does not exist"]);
    let text = fs::read_to_string(&log).expect("written");
    let line: Value = serde_json::from_str(text.trim()).expect("a line of JSON");
    assert_eq!(line["level"], "error");
    assert!(
        line["msg"]
            .as_str()
            .is_some_and(|m| m.contains("does not exist"))
    );
    assert!(line["time"].is_string());
}
