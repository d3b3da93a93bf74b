//! pause, rename, update, prune and top, by both CLIs.

use testkit::{Daemon, cgroup_value, eventually};

const TICKS: &str = "sh -c 'while :; do echo tick; sleep 0.02; done'";

#[test]
fn paused_is_paused() {
    let mut d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok(&format!("run -d --name still busybox {TICKS}"));
        assert_eq!(cli.ok("pause still"), "still");
        let state = "inspect -f '{{.State.Status}} {{.State.Paused}} {{.State.Running}}' still";
        assert_eq!(cli.ok(state), "paused true true");
        assert!(cli.ok("ps --format '{{.Status}}'").ends_with("(Paused)"));
        assert_eq!(cli.ok("ps -q --filter status=running"), "");
        assert_eq!(
            cli.ok("info -f '{{.ContainersPaused}} {{.ContainersRunning}}'"),
            "1 0"
        );
        let lines = cli.ok("logs still").lines().count();
        cli.refused("pause still", &["is already paused"]);
        cli.refused(
            "exec still true",
            &["is paused, unpause the container before exec"],
        );
        cli.refused("attach still", &["paused"]);
        cli.refused(
            "start still",
            &["cannot start a paused container, try unpause instead"],
        );
        cli.refused(
            "rm still",
            &["container is paused and must be unpaused first"],
        );
        assert!(
            cli.ok("top still").contains("sleep 0.02") || cli.ok("top still").contains("sh -c")
        );
        assert_eq!(
            cli.ok("logs still").lines().count(),
            lines,
            "nothing goes on"
        );
        assert_eq!(cli.ok("unpause still"), "still");
        cli.refused("unpause still", &["is not paused"]);
        eventually("it goes on", || {
            cli.ok("logs still").lines().count() > lines
        });
        // What ends it lets it go.
        for end in ["stop -t 0 still", "kill still"] {
            cli.ok("start still");
            cli.ok("pause still");
            cli.ok(end);
            assert_eq!(
                cli.ok("inspect -f '{{.State.Status}} {{.State.Paused}}' still"),
                "exited false"
            );
        }
        cli.refused("pause still", &["is not running"]);
        cli.ok("start still");
        cli.ok("pause still");
        cli.ok("rm -f still");
        cli.ok(&format!("run -d --name still busybox {TICKS}"));
        cli.ok("pause still");
        cli.ok("restart -t 0 still");
        assert_eq!(cli.ok(state), "running false true");
        cli.ok("rm -f still");
    }
    // The next daemon finds it so.
    let cli = d.docker();
    cli.ok(&format!("run -d --name still busybox {TICKS}"));
    cli.ok("pause still");
    d.kill9();
    d.restart();
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' still"), "paused");
    cli.ok("unpause still");
    let lines = cli.ok("logs still").lines().count();
    eventually("it goes on", || {
        cli.ok("logs still").lines().count() > lines
    });
    cli.ok("rm -f still");
    d.assert_no_leaks();
}

#[test]
fn names_change() {
    let mut d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("create --name one busybox true");
        cli.ok("create --name two busybox true");
        cli.ok("rename one three");
        assert_eq!(cli.ok("inspect -f '{{.Name}}' three"), "/three");
        cli.refused("inspect one", &["one"]);
        cli.refused("rename three two", &["is already in use by container"]);
        cli.refused("rename three three", &["same name as its current name"]);
        cli.refused("rename three /no/no", &["Invalid container name"]);
        cli.refused("rename nobody x", &["No such container: nobody"]);
        cli.ok("create --name one busybox true");
        cli.ok("rm one two three");
    }
    let cli = d.docker();
    cli.ok("run -d --name old busybox sleep 1000");
    cli.ok("rename old new");
    d.kill9();
    d.restart();
    assert_eq!(cli.ok("ps --format '{{.Names}}'"), "new");
    cli.ok("rm -f new");
    d.assert_no_leaks();
}

#[test]
fn limits_change_while_it_runs() {
    let mut d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box -m 64m --pids-limit 50 busybox sleep 1000");
        let pid = d.pid_of("box");
        cli.ok("update -m 128m --memory-swap 256m --pids-limit 60 --cpus 0.5 --restart always box");
        assert_eq!(
            cgroup_value(pid, "pids", "pids.max", "pids.max").trim(),
            "60"
        );
        let shown = "inspect -f '{{.HostConfig.Memory}} {{.HostConfig.PidsLimit}} {{.HostConfig.NanoCpus}} {{.HostConfig.RestartPolicy.Name}}' box";
        assert_eq!(cli.ok(shown), "134217728 60 500000000 always");
        cli.ok("update --pids-limit -1 box");
        assert_eq!(
            cgroup_value(pid, "pids", "pids.max", "pids.max").trim(),
            "max"
        );
        cli.refused("update box", &["you must provide one or more flags"]);
        cli.refused(
            "update --cpu-quota 5000 box",
            &["CPU Quota cannot be updated"],
        );
        cli.refused(
            "update -m 1g box",
            &["update the memoryswap at the same time"],
        );
        cli.refused("update -m 1m box", &["Minimum memory limit allowed is 6MB"]);
        assert_eq!(cli.ok(shown).split(' ').next(), Some("134217728"));
        cli.ok("rm -f box");
        cli.ok("run -d --rm --name box busybox sleep 1000");
        cli.refused("update --restart always box", &["AutoRemove is enabled"]);
        cli.ok("rm -f box");
    }
    let cli = d.docker();
    cli.ok("run -d --name box busybox sleep 1000");
    let fixed = serde_json::json!({"Devices": [{"PathOnHost": "/dev/null"}]});
    let answer = d
        .api()
        .post("/containers/box/update", Some(&fixed))
        .expect(400);
    assert!(answer.message().contains("Devices cannot be changed"));
    cli.ok("update --restart always box");
    let pid = d.pid_of("box");
    d.kill9();
    testkit::kill(pid);
    d.restart();
    eventually("the new policy's start", || {
        cli.ok("inspect -f '{{.State.Status}}' box") == "running" && d.pid_of("box") != pid
    });
    cli.ok("rm -f box");
    d.assert_no_leaks();
}

#[test]
fn what_rests_is_pruned() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name lives busybox sleep 1000");
        cli.ok("run -d --name still busybox sleep 1000");
        cli.ok("pause still");
        cli.ok("create --name kept --label keep=1 busybox true");
        cli.ok("create --name fresh busybox true");
        cli.ok("run --name wrote busybox dd if=/dev/zero of=/big bs=1M count=3");
        assert_eq!(
            cli.ok("container prune -f --filter until=1h"),
            "Total reclaimed space: 0B"
        );
        cli.refused(
            "container prune -f --filter colour=red",
            &["invalid filter 'colour'"],
        );
        let refused = cli.with_input("container prune", "n\n");
        assert!(
            refused
                .stdout
                .contains("WARNING! This will remove all stopped containers.")
        );
        assert_eq!(cli.ok("ps -aq").lines().count(), 5);
        let out = cli.ok("container prune -f --filter label!=keep");
        assert!(out.starts_with("Deleted Containers:\n"), "{out}");
        let bytes = out.rsplit_once("space: ").expect("a sum").1;
        assert!(bytes.starts_with("3.1"), "{out}");
        let mut left: Vec<String> = cli
            .ok("ps -a --format '{{.Names}}'")
            .lines()
            .map(str::to_owned)
            .collect();
        left.sort();
        assert_eq!(left, ["kept", "lives", "still"]);
        let asked = cli.with_input("container prune", "y\n");
        assert!(asked.stdout.contains("Deleted Containers:"), "{asked}");
        cli.ok("rm -f lives still");
    }
    d.assert_no_leaks();
}

#[test]
fn processes_are_shown() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box busybox sh -c 'sleep 1234 & wait'");
        let pid = d.pid_of("box");
        eventually("both", || cli.ok("top box").lines().count() == 3);
        let full = cli.ok("top box");
        let first: Vec<&str> = full
            .lines()
            .next()
            .expect("titles")
            .split_whitespace()
            .collect();
        assert_eq!(
            first,
            ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
        );
        assert!(
            full.contains("sleep 1234") && full.contains(&pid.to_string()),
            "{full}"
        );
        assert!(cli.ok("top box aux").starts_with("USER"));
        let own = cli.ok("top box -o pid,comm,args=WHAT");
        assert!(
            own.lines().next().expect("titles").ends_with("WHAT"),
            "{own}"
        );
        assert!(own.contains("sleep 1234"));
        cli.refused("top box -o pid,colour", &["colour"]);
        cli.refused("top nobody", &["No such container: nobody"]);
        cli.ok("rm -f box");
        cli.ok("create --name box busybox true");
        cli.refused("top box", &["is not running"]);
        cli.ok("rm box");
    }
    d.assert_no_leaks();
}
