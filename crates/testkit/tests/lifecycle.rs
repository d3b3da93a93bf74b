//! start, stop, kill, restart, wait, rm, and restart policies.

use testkit::{Daemon, Running, eventually};

#[test]
fn stop_asks_first_and_kills_then() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let script = "trap \"exit 0\" TERM; echo up; while :; do sleep 0.05; done";
        cli.ok(&format!("run -d --name polite busybox sh -c '{script}'"));
        eventually("the trap", || cli.ok("logs polite") == "up");
        assert_eq!(cli.ok("stop polite"), "polite");
        assert_eq!(
            cli.ok("inspect -f '{{.State.Status}} {{.State.ExitCode}}' polite"),
            "exited 0"
        );
        cli.ok("run -d --name stubborn busybox sleep 1000"); // as process 1 it ignores TERM
        cli.ok("stop -t 1 stubborn");
        assert_eq!(cli.ok("inspect -f '{{.State.ExitCode}}' stubborn"), "137");
        assert_eq!(
            cli.ok("stop stubborn"),
            "stubborn",
            "stopped already is no error"
        );
        cli.ok("start polite stubborn");
        eventually("the trap", || cli.ok("logs polite") == "up\nup");
        let pid = d.pid_of("polite");
        cli.ok("restart -t 5 polite");
        assert_ne!(d.pid_of("polite"), pid);
        assert_eq!(cli.ok("inspect -f '{{.State.Running}}' polite"), "true");
        cli.refused("rm polite", &["running"]);
        assert_eq!(cli.ok("rm -f polite stubborn"), "polite\nstubborn");
        cli.refused("start nobody", &["No such container: nobody"]);
    }
    d.assert_no_leaks();
}

#[test]
fn stop_signal_of_the_image_or_the_user() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let script = "trap \"exit 21\" USR1; echo up; while :; do sleep 0.05; done";
        cli.ok(&format!(
            "run -d --name sig --stop-signal USR1 busybox sh -c '{script}'"
        ));
        eventually("the trap", || cli.ok("logs sig") == "up");
        cli.ok("stop sig");
        assert_eq!(cli.ok("inspect -f '{{.State.ExitCode}}' sig"), "21");
        cli.refused("kill sig", &["is not running"]);
        cli.ok("start sig");
        eventually("the trap", || cli.ok("logs sig") == "up\nup");
        cli.ok("kill -s SIGUSR1 sig");
        assert_eq!(cli.ok("wait sig"), "21");
        cli.ok("start sig");
        cli.refused("kill -s NOSUCH sig", &["NOSUCH"]);
        cli.ok("rm -f sig");
    }
}

#[test]
fn wait_conditions() {
    let d = Daemon::fresh();
    let (api, cli) = (d.api(), d.docker());
    cli.ok("create --name ww busybox sh -c 'read x; exit 5'");
    let wait = |query: &str| {
        let stream = api.open("POST", &format!("/containers/ww/wait{query}"), None);
        assert_eq!(
            stream.status, 200,
            "the head comes before the end of the container"
        );
        stream
    };
    // Not running is true already, the next exit is not.
    let line = wait("?condition=not-running")
        .line()
        .expect("an answer at once");
    assert!(line.contains("\"StatusCode\":0"), "{line}");
    let mut next = wait("?condition=next-exit");
    let mut removed = wait("?condition=removed");
    api.post("/containers/ww/start", None).expect(204);
    let line = next.line().expect("an answer");
    assert!(line.contains("\"StatusCode\":5"), "{line}");
    let line = wait("").line().expect("an answer at once");
    assert!(line.contains("\"StatusCode\":5"), "{line}");
    api.delete("/containers/ww").expect(204);
    assert!(removed.line().is_some());
    api.post("/containers/ww/wait", None).expect(404);
    cli.ok("create --name ww busybox true");
    if d.engine().is_wharf() {
        // Docker 20.10 takes it for the default.
        api.post("/containers/ww/wait?condition=nonsense", None)
            .expect(400);
    }
    for cli in d.clis() {
        cli.ok("run -d --name two busybox sh -c 'exit 2'");
        cli.ok("run -d --name three busybox sh -c 'exit 3'");
        assert_eq!(cli.ok("wait two three"), "2\n3");
        cli.ok("rm two three");
    }
}

#[test]
fn restart_policies() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name fails --restart on-failure:2 busybox sh -c 'echo x; exit 3'");
        eventually("two more tries", || {
            cli.ok("inspect -f '{{.RestartCount}} {{.State.Status}}' fails") == "2 exited"
        });
        assert_eq!(cli.ok("logs fails"), "x\nx\nx");
        cli.ok("run -d --name good --restart on-failure busybox true");
        assert_eq!(cli.ok("wait good"), "0");
        assert_eq!(cli.ok("inspect -f '{{.RestartCount}}' good"), "0");
        cli.ok("run -d --name lives --restart always busybox sleep 1000");
        let pid = d.pid_of("lives");
        testkit::kill(pid);
        eventually("another life", || {
            let now = d.pid_of("lives");
            now != pid && now != 0
        });
        cli.ok("stop -t 0 lives");
        assert_eq!(
            cli.ok("inspect -f '{{.State.Status}}' lives"),
            "exited",
            "stopped is stopped"
        );
        cli.ok("rm fails good lives");
        assert_eq!(cli.code("run --rm --restart always busybox true"), 125);
        assert_eq!(cli.code("create --restart sometimes busybox true"), 1);
    }
    d.assert_no_leaks();
}

#[test]
fn many_at_once() {
    let d = Daemon::fresh();
    let runs: Vec<Running> = (0..12)
        .map(|n| {
            d.docker()
                .start(&format!("run --rm busybox sh -c 'exit {n}'"))
        })
        .collect();
    for (n, run) in runs.into_iter().enumerate() {
        let out = run.wait();
        assert_eq!(out.code, i32::try_from(n).expect("small"), "{out}");
    }
    d.assert_no_leaks();
}

#[test]
fn states_and_times() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("create --name st busybox sleep 1000");
        assert_eq!(
            cli.ok("inspect -f '{{.State.Status}} {{.State.Pid}}' st"),
            "created 0"
        );
        cli.ok("start st");
        assert_eq!(cli.ok("start st"), "st", "started already is no error");
        let started = cli.ok("inspect -f '{{.State.StartedAt}}' st");
        assert!(
            started.starts_with("20") && started.ends_with('Z'),
            "{started}"
        );
        assert_eq!(
            cli.ok("inspect -f '{{.State.FinishedAt}}' st"),
            "0001-01-01T00:00:00Z"
        );
        cli.ok("kill st");
        eventually("the end", || {
            cli.ok("inspect -f '{{.State.Status}}' st") == "exited"
        });
        assert!(cli.ok("inspect -f '{{.State.FinishedAt}}' st") > started);
        cli.ok("rm st");
    }
}
