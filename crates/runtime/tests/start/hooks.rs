//! Hooks run where and when the specification says, with the state on their standard input.

use serde_json::{Value, json};

use crate::support::Bundle;

fn hook(script: &str) -> Value {
    json!([{"path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"]}])
}

#[test]
fn in_their_order_and_place() {
    let mut bundle = Bundle::new(&["sh", "-c", "cat /tmp/inside"]);
    let log = bundle.path().join("log");
    let outside = |name: &str| {
        let log = log.display();
        hook(&format!(
            "printf '{name} ' >> {log}; readlink /proc/self/ns/uts >> {log}; cat >> {log}; echo >> {log}"
        ))
    };
    let root = bundle.root();
    bundle.config["hooks"] = json!({
        "prestart": outside("prestart"),
        "createRuntime": outside("createRuntime"),
        // Inside the namespaces, yet with the host's files.
        "createContainer": hook(&format!("hostname > {}/tmp/inside; ls {} >> {0}/tmp/inside", root.display(), root.display())),
        // The container's own files.
        "startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "cat >> /tmp/inside"], "env": ["PATH=/bin"]}],
        "poststart": outside("poststart"),
    });
    let ended = bundle.run().unwrap();
    assert!(ended.output.starts_with("inside\nbin\n"), "{ended:?}");
    assert!(ended.output.contains("\"status\":\"created\""), "{ended:?}");
    let text = std::fs::read_to_string(&log).unwrap();
    let own = std::fs::read_link("/proc/self/ns/uts").unwrap();
    for (line, name) in text
        .lines()
        .step_by(2)
        .zip(["prestart", "createRuntime", "poststart"])
    {
        assert_eq!(line, format!("{name} {}", own.display()));
    }
    let state: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    assert_eq!(state["id"], json!(bundle.id));
    assert_eq!(state["status"], json!("creating"));
    assert!(state["pid"].as_i64().unwrap() > 1 && state["ociVersion"] == json!("1.2.0"));
}

#[test]
fn one_that_fails_or_hangs_ends_the_start() {
    for moment in ["prestart", "createRuntime", "createContainer", "poststart"] {
        let mut bundle = Bundle::new(&["sleep", "1000"]);
        let marker = bundle.path().join("stopped");
        bundle.config["hooks"] = json!({
            moment: hook("echo because >&2; exit 5"),
            "poststop": hook(&format!("cat > {}", marker.display())),
        });
        let error = bundle.run().unwrap_err().to_string();
        let expected = format!("error running {moment} hook #0: /bin/sh: exit status: 5");
        assert!(
            error.contains(&expected) && error.contains("because"),
            "{error}"
        );
        let state = std::fs::read_to_string(&marker).unwrap();
        assert!(state.contains("\"status\":\"stopped\""), "{state}");
        assert!(!bundle.cgroup().exists());
    }
    let mut bundle = Bundle::new(&["true"]);
    bundle.config["hooks"] = json!({
        "createRuntime": [{"path": "/bin/sleep", "args": ["sleep", "1000"], "timeout": 1}],
    });
    let error = bundle.run().unwrap_err().to_string();
    assert!(error.contains("did not end within 1 seconds"), "{error}");
}
