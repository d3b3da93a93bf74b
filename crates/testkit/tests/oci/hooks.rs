//! Hooks by the command line.

use std::fs;

use serde_json::{Value, json};

use crate::support::{Bundle, Runtime, id};

#[test]
fn each_at_its_moment() {
    let r = Runtime::new();
    let dir = r.dir.path().to_str().expect("UTF-8").to_owned();
    let hook = |name: &str| {
        let script = format!("cat >{dir}/{name}; echo {name} >>{dir}/order");
        json!([{ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] }])
    };
    let b = Bundle::changed(&r, &["sleep", "1000"], |c| {
        c["hooks"] = json!({
            "prestart": hook("prestart"),
            "createRuntime": hook("createRuntime"),
            "poststart": hook("poststart"),
            "poststop": hook("poststop"),
        });
    });
    let order = || fs::read_to_string(r.dir.path().join("order")).unwrap_or_default();
    let told = |name: &str| -> Value {
        let text = fs::read(r.dir.path().join(name)).expect("it ran");
        serde_json::from_slice(&text).expect("JSON")
    };
    let id = id();
    r.detached(&["create", "-b", b.path(), &id]).ok();
    let pid = r.state(&id)["pid"].clone();
    // runc 1.1 runs poststart too early, after create.
    if r.is_wharf() {
        assert_eq!(order(), "prestart\ncreateRuntime\n");
    }
    assert_eq!(told("createRuntime")["id"], id.as_str());
    assert_eq!(told("createRuntime")["pid"], pid);
    r.ok(&["start", &id]);
    assert_eq!(order(), "prestart\ncreateRuntime\npoststart\n");
    assert_eq!(told("poststart")["status"], "running");
    r.ok(&["kill", &id, "KILL"]);
    r.until(&id, "stopped");
    r.ok(&["delete", &id]);
    assert_eq!(order(), "prestart\ncreateRuntime\npoststart\npoststop\n");
    assert_eq!(told("poststop")["status"], "stopped");
}

#[test]
fn one_that_fails_ends_the_container() {
    let r = Runtime::new();
    for moment in ["createRuntime", "poststart"] {
        let b = Bundle::changed(&r, &["sleep", "1000"], |c| {
            c["hooks"][moment] = json!([{ "path": "/bin/false" }]);
        });
        let out = r.detached(&["run", "-d", "-b", b.path(), &id()]);
        out.refused(&["hook"]);
        assert_eq!(r.ok(&["list", "-q"]), "");
    }
}
