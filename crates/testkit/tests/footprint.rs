//! What wharf costs when nothing happens, and where a start's time goes. Sizes are asserted, times
//! are not: docs/performance.md has them.

use testkit::{Daemon, Host, Opts, eventually, pss_of, rss_of};

/// An idle container with a published port, all that stands beside it.
#[test]
fn an_idle_container_costs_less_than_a_megabyte() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    let before = d.processes();
    d.docker()
        .ok("run -d --name idle -p 8080:80 busybox sleep 1000");
    let own = d.pid_of("idle");
    let beside = || {
        let all = d.processes().into_iter();
        all.filter(|p| !before.contains(p) && *p != own && !crate::relayed::is_relay(*p))
            .collect::<Vec<_>>()
    };
    assert_eq!(beside().len(), 1, "only a shim");
    // There is one of these for all of them: its program, and 128 KiB.
    let relay = crate::relayed::until_relay(&d);
    eventually("less than 2 MB for the relay", || pss_of(relay) < 2048);
    eventually("less than 1 MB beside an idle container", || {
        beside().into_iter().map(pss_of).sum::<u64>() < 1024
    });
}

#[test]
fn an_idle_daemon_costs_less_than_25_megabytes() {
    let d = Daemon::fresh();
    if d.engine().is_wharf() {
        d.docker().ok("run --rm busybox true");
        eventually("less than 25 MB for an idle daemon", || {
            rss_of(d.pid()) < 25 * 1024
        });
    }
}

#[test]
fn a_start_is_traced_step_by_step() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("trace");
    let opts = Opts {
        env: vec![("WHARF_TRACE".into(), file.display().to_string())],
        ..Opts::default()
    };
    let d = Daemon::start(&Host::new(), opts);
    if !d.engine().is_wharf() {
        return;
    }
    d.load(&testkit::images::busybox_tar());
    d.docker().ok("run --name box busybox true");
    let text = std::fs::read_to_string(&file).expect("the trace");
    let line: serde_json::Value = serde_json::from_str(text.trim()).expect("one line of JSON");
    let id = d.docker().ok("inspect -f '{{.Id}}' box");
    assert_eq!(line["container"], id.as_str());
    let steps = line["steps_us"].as_object().expect("steps");
    for step in [
        "rootfs",
        "netns",
        "network",
        "configuration",
        "shim",
        "runtime",
    ] {
        assert!(steps.contains_key(step), "no {step} in {line}");
    }
    let sum: u64 = steps.values().filter_map(serde_json::Value::as_u64).sum();
    assert!(sum <= line["total_us"].as_u64().expect("a total"), "{line}");
}
