//! Create now, start later.

use std::io::Read;

use runtime::oci::start::{Gate, open_gate};
use serde_json::json;

use crate::support::{Bundle, Remove, pipes, wait};

#[test]
fn it_waits_until_it_is_started() {
    let mut bundle = Bundle::new(&["sh", "-c", "echo begun; exit 3"]);
    bundle.process()["user"] = json!({"uid": 5, "gid": 5});
    let state = tempfile::tempdir().unwrap();
    let (mut output, stdio) = pipes();
    let prepared = bundle.prepare(Some(stdio)).unwrap();
    let made = prepared.create(Gate::new(state.path()).unwrap()).unwrap();
    let _remove = Remove(made.cgroup.clone());
    let text = std::fs::read_to_string(format!("/proc/{}/status", made.init.pid.as_raw_nonzero()));
    assert!(
        text.unwrap().contains("Uid:\t5"),
        "everything is as it will be"
    );
    open_gate(state.path()).unwrap();
    let mut text = String::new();
    output.read_to_string(&mut text).unwrap();
    assert_eq!((text.as_str(), wait(&made.init)), ("begun\n", 3));
    let error = open_gate(state.path()).unwrap_err().to_string();
    assert!(error.contains("stopped or was started already"), "{error}");
}

#[test]
fn what_is_missing_is_told_at_creation() {
    let bundle = Bundle::new(&["nope"]);
    let state = tempfile::tempdir().unwrap();
    let prepared = bundle.prepare(Some(pipes().1)).unwrap();
    let error = prepared
        .create(Gate::new(state.path()).unwrap())
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("executable file not found in $PATH")
    );
}

#[test]
fn what_cannot_be_executed_is_told_at_the_start() {
    let bundle = Bundle::new(&["/bin/garbage"]);
    let program = bundle.root().join("bin/garbage");
    std::fs::write(&program, [0x7f; 64]).unwrap();
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, mode).unwrap();
    let state = tempfile::tempdir().unwrap();
    let prepared = bundle.prepare(Some(pipes().1)).unwrap();
    let made = prepared.create(Gate::new(state.path()).unwrap()).unwrap();
    let _remove = Remove(made.cgroup.clone());
    let error = open_gate(state.path()).unwrap_err().to_string();
    assert!(
        error.contains("exec /bin/garbage: Exec format error"),
        "{error}"
    );
    assert_eq!(wait(&made.init), 1);
}
