//! What the next daemon makes of what it finds, and what crosses a start.

use std::fs;
use std::process::Command;

use testkit::{Daemon, Engine, alive, eventually, kill, parent_of};

/// What the tests are about is ours alone.
fn daemon() -> Option<Daemon> {
    Engine::under_test().is_wharf().then(Daemon::fresh)
}

fn state(d: &Daemon, name: &str) -> String {
    d.docker().ok(&format!(
        "inspect -f '{{{{.State.Status}}}} {{{{.State.ExitCode}}}} {{{{.RestartCount}}}}' {name}"
    ))
}

/// Ends a container with its shim; both are gone when this returns.
fn end_with_shim(pid: u32) {
    let shim = parent_of(pid).expect("a shim");
    kill(shim);
    kill(pid);
    eventually("both gone", || !alive(shim) && !alive(pid));
}

#[test]
fn a_shim_that_died_alone_is_named() {
    let Some(mut d) = daemon() else { return };
    d.docker()
        .ok("run -d --name lost -p 8080:80 busybox sleep 1000");
    d.docker()
        .ok("run -d --rm --name brief -v /v busybox sleep 1000");
    d.docker()
        .ok("run -d --restart always --name back -p 8081:80 busybox sleep 1000");
    let pids = ["lost", "brief", "back"].map(|n| d.pid_of(n));
    d.kill9();
    for pid in pids {
        kill(parent_of(pid).expect("a shim"));
    }
    d.restart();
    d.until("lost", "exited");
    let error = d
        .docker()
        .ok("inspect -f '{{.State.ExitCode}} {{.State.Error}}' lost");
    assert!(
        error.starts_with("137 ") && error.contains("shim"),
        "{error}"
    );
    d.until("back", "running");
    eventually("--rm", || {
        d.docker().ok("ps -aq --filter name=brief").is_empty()
    });
    assert!(pids.iter().all(|pid| !alive(*pid)), "all are ended");
    d.docker().ok("start lost");
    d.docker().ok("rm -f lost back");
    d.assert_no_leaks();
}

#[test]
fn a_reboot() {
    let Some(mut d) = daemon() else { return };
    let cli = d.docker();
    cli.ok("run -d --name plain -p 8080:80 busybox sleep 1000");
    cli.ok("run -d --name back --restart unless-stopped busybox sleep 1000");
    cli.ok("run -d --name stopped --restart unless-stopped busybox sleep 1000");
    cli.ok("run -d --name brief --rm -v /v busybox sleep 1000");
    cli.ok("run --name ended busybox sh -c 'exit 0'");
    cli.ok("stop -t 0 stopped");
    let pids = ["plain", "back", "brief"].map(|n| d.pid_of(n));
    d.kill9();
    pids.into_iter().for_each(end_with_shim);
    fs::remove_dir_all(d.dir().join("exec")).expect("as a reboot does");
    d.restart();
    assert_eq!(
        state(&d, "plain"),
        "exited 255 0",
        "nobody saw how it ended"
    );
    assert_eq!(state(&d, "stopped"), "exited 137 0");
    assert_eq!(state(&d, "ended"), "exited 0 0");
    d.until("back", "running");
    eventually("--rm", || {
        d.docker().ok("ps -aq --filter name=brief").is_empty()
    });
    d.docker().ok("start plain");
    d.docker().ok("rm -f plain back stopped ended");
    d.assert_no_leaks();
}

#[test]
fn runs_without_a_record_are_ended() {
    let Some(mut d) = daemon() else { return };
    d.docker()
        .ok("run -d --name one -p 8080:80 busybox sleep 1000");
    d.docker()
        .ok("run -d --name two busybox sh -c 'sleep 1000 & sleep 1000'");
    let pids = ["one", "two"].map(|n| d.pid_of(n));
    d.kill9();
    fs::remove_file(d.dir().join("data/records.redb")).expect("the records");
    d.restart();
    assert_eq!(d.docker().ok("ps -aq"), "");
    assert!(pids.iter().all(|pid| !alive(*pid)));
    d.assert_no_leaks();
    d.docker()
        .ok("run -d --name one -p 8080:80 busybox sleep 1000");
}

#[test]
fn a_record_whose_files_are_gone() {
    let Some(mut d) = daemon() else { return };
    let cli = d.docker();
    let data = cli.ok("create --name data busybox true");
    let layer = cli.ok("create --name layer busybox true");
    cli.ok("run -d --name runs busybox sleep 1000");
    d.kill9();
    let dir = d.dir().join("data");
    fs::remove_dir_all(dir.join("containers").join(&data)).expect("its files");
    fs::remove_dir_all(dir.join("image/containers").join(&layer)).expect("its layer");
    d.restart();
    let cli = d.docker();
    cli.ok("start -a data");
    cli.refused("start -a layer", &[layer.as_str()]);
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' layer"), "created");
    cli.ok("exec runs true");
    cli.ok("rm data layer");
    cli.ok("rm -f runs");
    d.assert_no_leaks();
}

#[test]
fn restarts_are_counted_across_daemons() {
    let Some(mut d) = daemon() else { return };
    d.docker()
        .ok("run -d --name tries --restart on-failure:2 busybox sh -c 'exit 5'");
    eventually("the last try", || state(&d, "tries") == "exited 5 2");
    d.kill9();
    d.restart();
    assert_eq!(state(&d, "tries"), "exited 5 2", "it had all its tries");
    // Killed while it waits for its next try: the next daemon goes on counting.
    d.docker()
        .ok("run -d --name again --restart on-failure:4 busybox sh -c 'exit 6'");
    eventually("a try", || !state(&d, "again").ends_with('0'));
    d.kill9();
    d.restart();
    eventually("the last try", || state(&d, "again") == "exited 6 4");
    d.docker().ok("rm -f tries again");
    d.assert_no_leaks();
}

#[test]
fn what_crosses_a_start() {
    let Some(d) = daemon() else { return };
    let cli = d.docker();
    for round in 0..4 {
        cli.ok("create --name both -p 8080:80 busybox sleep 1000");
        // Two starts at once: one starts it, the other finds it running.
        let starts = [cli.start("start both"), cli.start("start both")];
        for start in starts {
            assert_eq!(start.wait().code, 0);
        }
        d.until("both", "running");
        cli.ok("rm -f both");
        // A stop, a kill and a removal during a start: whoever comes later wins.
        for against in [
            "stop -t 0 both",
            "kill both",
            "rm -f both",
            "restart -t 0 both",
        ] {
            cli.ok("create --name both -p 8080:80 busybox sleep 1000");
            let start = cli.start("start both");
            std::thread::sleep(std::time::Duration::from_millis(20 * round));
            cli.run(against);
            start.wait();
            let after = cli.run("inspect -f '{{.State.Status}} {{.State.Pid}}' both");
            let (word, pid) = after.stdout.trim().split_once(' ').unwrap_or(("none", "0"));
            match word {
                "running" => assert!(alive(pid.parse().expect("a pid")), "{against}"),
                "none" | "created" | "exited" => assert_eq!(pid, "0", "{against}"),
                other => panic!("{against}: it is {other}"),
            }
            cli.run("rm -f both");
            d.assert_no_leaks();
        }
    }
    // Who is attached hears that nothing will come.
    let out = cli.run("run --name no busybox /nonsense");
    assert_eq!(out.code, 127, "{out}");
    let out = cli.run("start -a no");
    assert!(out.code != 0 && out.stderr.contains("nonsense"), "{out}");
    cli.ok("rm no");
    d.assert_no_leaks();
}

#[test]
fn an_orderly_end_leaves_no_link() {
    let Some(mut d) = daemon() else { return };
    let links = |d: &Daemon| d.host().run(Command::new("ip").args(["-o", "link"])).ok();
    let before = links(&d).lines().count();
    for n in 0..4 {
        d.docker()
            .ok(&format!("run -d --name n{n} busybox sleep 1000"));
    }
    d.docker().ok("rm -f n0 n1 n2 n3");
    assert_eq!(d.sigterm(), 0);
    assert_eq!(links(&d).lines().count(), before, "{}", links(&d));
}
