//! Health checks, by both CLIs.

use testkit::{Daemon, alive, eventually, rss_of};

const STATUS: &str = "inspect -f '{{.State.Health.Status}}' box";

fn until(cli: &testkit::Cli, status: &str) {
    eventually(status, || cli.ok(STATUS) == status);
}

#[test]
fn from_starting_to_healthy_and_back() {
    let mut d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok(
            "run -d --name box --health-cmd 'echo looked; test -e /well' --health-interval 100ms \
             --health-retries 2 --health-timeout 5s busybox sleep 1000",
        );
        until(&cli, "unhealthy");
        cli.ok("exec box touch /well");
        until(&cli, "healthy");
        assert!(cli.ok("ps --format '{{.Status}}'").ends_with("(healthy)"));
        assert_eq!(cli.ok("ps -q --filter health=healthy").lines().count(), 1);
        assert_eq!(cli.ok("ps -q --filter health=none"), "");
        eventually("five results", || {
            let health = d.inspect("box")["State"]["Health"].clone();
            let log = health["Log"].as_array().expect("results").clone();
            log.len() == 5
                && health["FailingStreak"] == 0
                && log
                    .iter()
                    .all(|r| r["ExitCode"] == 0 && r["Output"] == "looked\n")
        });
        cli.ok("stop -t 0 box");
        assert_eq!(
            cli.ok(STATUS),
            "unhealthy",
            "as Docker says of what does not run"
        );
        cli.ok("start box");
        until(&cli, "healthy");
        cli.ok("rm -f box");
        cli.refused(
            "create --health-interval 1us --health-cmd a busybox",
            &["Interval in Healthcheck cannot be less than 1ms"],
        );
        cli.refused(
            "create --no-healthcheck --health-cmd a busybox",
            &["conflicts with --health-* options"],
        );
    }
    let cli = d.docker();
    cli.ok("run -d --name box --health-cmd true --health-interval 100ms busybox sleep 1000");
    until(&cli, "healthy");
    for wanted in [
        "exec_create: /bin/sh -c true",
        "exec_start: /bin/sh -c true",
        "exec_die",
        "health_status: healthy",
    ] {
        eventually(wanted, || {
            let id = cli.ok("ps -q --no-trunc");
            let events = cli.ok(&format!(
                "events --since 1 --until 0s --filter container={id} --format '{{{{.Action}}}}'"
            ));
            events.lines().any(|l| l == wanted)
        });
    }
    d.kill9();
    d.restart();
    assert_eq!(cli.ok(STATUS), "healthy", "the next daemon knows");
    let seen = cli.ok("inspect -f '{{json .State.Health.Log}}' box");
    eventually("it goes on", || {
        cli.ok("inspect -f '{{json .State.Health.Log}}' box") != seen
    });
    // No check while it stands still.
    cli.ok("pause box");
    let before = cli.ok("inspect -f '{{json .State.Health.Log}}' box");
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(
        cli.ok("inspect -f '{{json .State.Health.Log}}' box"),
        before
    );
    cli.ok("unpause box");
    until(&cli, "healthy");
    cli.ok("rm -f box");
    d.assert_no_leaks();
}

#[test]
fn a_check_that_hangs_is_ended_with_its_children() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok(
            "run -d --name box --health-cmd 'sleep 4321 & echo half; sleep 4321' --health-interval \
             200ms --health-timeout 300ms --health-retries 2 busybox sleep 1000",
        );
        until(&cli, "unhealthy");
        let log = d.inspect("box")["State"]["Health"]["Log"].clone();
        assert_eq!(log[0]["ExitCode"], -1);
        assert_eq!(
            log[0]["Output"],
            "Health check exceeded timeout (300ms): half\n"
        );
        // Never more than those of one check.
        for _ in 0..20 {
            let all = cli.ok("top box -o pid,args");
            let sleeps = all.lines().filter(|l| l.ends_with("sleep 4321")).count();
            assert!(sleeps <= 2 * 2, "{all}");
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        cli.ok("rm -f box");
    }
    d.assert_no_leaks();
}

/// Number 41 of the threats.
#[test]
fn a_flood_from_a_check_keeps_memory_flat() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok(
        "run -d --name box --health-cmd 'yes' --health-interval 50ms --health-timeout 1s \
         --health-retries 1 busybox sleep 1000",
    );
    until(&cli, "unhealthy");
    let before = rss_of(d.pid());
    eventually("five of them", || {
        d.inspect("box")["State"]["Health"]["Log"]
            .as_array()
            .is_some_and(|l| l.len() == 5)
    });
    let grown = rss_of(d.pid()).saturating_sub(before);
    assert!(grown < 32 << 20, "{grown} bytes more");
    let output = d.inspect("box")["State"]["Health"]["Log"][0]["Output"].clone();
    let output = output.as_str().expect("text");
    assert!(
        output.len() < 4300 && output.ends_with("..."),
        "{}",
        output.len()
    );
    let pid = d.pid_of("box");
    cli.ok("rm -f box");
    assert!(!alive(pid));
    d.assert_no_leaks();
}
