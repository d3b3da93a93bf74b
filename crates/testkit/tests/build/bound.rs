//! The cache's bound, kept by the daemon itself.

use std::process::Command;

use testkit::{Daemon, Host, Opts, eventually, run};

use crate::{Files, cached, sh};

const MIB: i64 = 1 << 20;

/// Bytes of the cache that no image has, too.
fn used(d: &Daemon) -> i64 {
    let df = d.api().get("/system/df?type=build-cache").json();
    let records = df["BuildCache"].as_array().expect("records").clone();
    let own = records.iter().filter(|r| r["Shared"] == false);
    own.map(|r| r["Size"].as_i64().expect("a size")).sum()
}

fn configured(config: &str) -> Opts {
    Opts {
        config: Some(config.to_owned()),
        ..Opts::default()
    }
}

#[test]
fn the_cache_stays_within_its_bound_while_builds_go_on() {
    let d = Daemon::with(configured(
        r#"{"builder": {"gc": {"enabled": true, "policy": [{"maxUsedSpace": "20MB", "all": true}]}}}"#,
    ));
    let step = |n: usize| format!("RUN head -c 4194304 /dev/urandom > /big && echo {n} > /n\n");
    let slow = Files::new(&format!(
        "FROM busybox\nCOPY f /f\n{}RUN sleep 8\nCOPY f /again\nRUN test -s /big && cat /f /again\n",
        step(99)
    ))
    .file("f", "kept");
    std::thread::scope(|scope| {
        // One that goes on all the while, and needs its files and layers to its end.
        let slow = scope.spawn(|| slow.build(&d, "-t slow"));
        for n in 0..10 {
            let files = Files::new(&format!("FROM busybox\n{}", step(n)));
            files.build(&d, "-o type=cacheonly");
        }
        let told = slow.join().expect("the slow build works");
        assert_eq!(cached(&told), 0, "{told}");
    });
    eventually("the cache to be small", || used(&d) <= 20 * MIB);
    assert_eq!(sh(&d, "cat /again"), "kept");
    let layers = run(Command::new("du")
        .args(["-sm"])
        .arg(d.dir().join("data/image/layers")))
    .ok();
    let mib: i64 = layers
        .split_whitespace()
        .next()
        .and_then(|n| n.parse().ok())
        .expect("a size");
    assert!(mib < 45, "{layers}");
    // Pruning with the bounds of buildx.
    let out = d.wharf().ok("builder prune -f --max-used-space 9mb");
    assert!(out.contains("Total"), "{out}");
    assert!(used(&d) <= 9 * MIB);
    d.wharf()
        .ok("builder prune -f --reserved-space 1mb --min-free-space 1mb");
}

#[test]
fn a_bound_that_makes_no_sense_is_refused() {
    for (config, text) in [
        (
            r#"{"builder": {"gc": {"policy": [{"keep": "1"}]}}}"#,
            "keep is not supported",
        ),
        (
            r#"{"builder": {"entitlements": {"device": true}}}"#,
            "entitlements: device is not supported",
        ),
        (
            r#"{"builder": {"gc": {"defaultKeepStorage": "some"}}}"#,
            "invalid size",
        ),
    ] {
        let out = Daemon::refused(&Host::new(), configured(config));
        assert!(out.stderr.contains(text), "{text}: {}", out.stderr);
    }
}
