//! What must hold of a daemon, whatever happened before.

use std::fs;

use serde_json::Value;
use testkit::{Daemon, eventually};

/// Each container's state is true.
#[track_caller]
pub(crate) fn states(d: &Daemon) {
    for id in d.docker().ok("ps -aq --no-trunc").lines() {
        // Between two looks its policy may have ended and started it.
        let mut seen = Value::Null;
        eventually(&format!("a true state of {id}, log:\n{}", d.log()), || {
            let answer = d.api().get(&format!("/containers/{id}/json"));
            if answer.status == 404 {
                return true;
            }
            seen = answer.json();
            true_state(&seen)
        });
    }
}

fn true_state(inspect: &Value) -> bool {
    let state = &inspect["State"];
    let pid = state["Pid"].as_u64().and_then(|p| u32::try_from(p).ok());
    let pid = pid.unwrap_or(0);
    let started = state["StartedAt"].as_str().unwrap_or_default();
    let finished = state["FinishedAt"].as_str().unwrap_or_default();
    let times = |text: &str| text.len() >= 20 && text.ends_with('Z');
    if !times(started) || !times(finished) {
        return false;
    }
    match state["Status"].as_str().unwrap_or_default() {
        "running" | "paused" => pid != 0 && testkit::alive(pid) && started > "2001",
        "created" => pid == 0,
        "exited" => pid == 0 && started > "2001" && finished > "2001",
        "restarting" => true,
        _ => false,
    }
}

/// All can be removed and leave nothing, not even among volumes without a name.
#[track_caller]
pub(crate) fn removable(d: &Daemon) {
    states(d);
    let cli = d.docker();
    for id in cli.ok("ps -aq --no-trunc").lines() {
        let gone = cli.run(&format!("rm -f -v {id}"));
        assert!(
            gone.code == 0 || gone.stderr.contains("No such container"),
            "{gone}\n{}",
            d.log()
        );
    }
    eventually("the last to be gone", || cli.ok("ps -aq").is_empty());
    cli.ok("builder prune -af");
    cli.ok("network prune -f");
    d.assert_no_leaks();
    for place in [
        "data/containers",
        "data/image/containers",
        "exec/containers",
        "exec/runtime",
    ] {
        let left = list(d, place);
        assert!(left.is_empty(), "in {place}: {left:?}");
    }
    let volumes = list(d, "data/volumes");
    let nameless: Vec<_> = volumes.iter().filter(|v| v.len() == 64).collect();
    assert!(nameless.is_empty(), "volumes without a name: {nameless:?}");
    eventually("nothing temporary among the images", || {
        let left = list(d, "data/image/tmp");
        left.is_empty()
    });
}

/// Volumes that no container has can be removed and leave nothing, but for the empty directory of one
/// that was never put on record.
#[track_caller]
pub(crate) fn no_volumes(d: &Daemon) {
    d.docker().ok("volume prune -af");
    for name in list(d, "data/volumes") {
        let data = format!("data/volumes/{name}/_data");
        let files = list(d, &data);
        assert!(
            !name.starts_with('.') && files.is_empty(),
            "{data}: {files:?}"
        );
    }
    d.assert_no_leaks();
}

fn list(d: &Daemon, place: &str) -> Vec<String> {
    let entries = fs::read_dir(d.dir().join(place)).into_iter().flatten();
    entries
        .flatten()
        .map(|e| e.file_name().to_string_lossy().into_owned())
        .collect()
}
