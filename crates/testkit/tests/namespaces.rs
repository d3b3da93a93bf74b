//! `--pid`, `--ipc`, `--uts`, `--cgroupns`, `--network container:`: whose namespaces a container has.

use std::fs::read_link;

use testkit::Daemon;

/// A namespace of a process, as its link names it.
fn namespace(pid: u32, kind: &str) -> String {
    let link = read_link(format!("/proc/{pid}/ns/{kind}")).expect("the process runs");
    link.to_string_lossy().into_owned()
}

fn ours(kind: &str) -> String {
    namespace(std::process::id(), kind)
}

#[test]
fn the_hosts() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok(
            "run -d --name boxh --pid host --ipc host --uts host --cgroupns host busybox sleep 1000",
        );
        let pid = d.pid_of("boxh");
        for kind in ["pid", "ipc", "uts", "cgroup"] {
            assert_eq!(namespace(pid, kind), ours(kind), "{kind}");
        }
        assert_ne!(namespace(pid, "net"), ours("net"));
        assert_eq!(
            cli.ok("exec boxh sh -c 'ls -d /proc/1/ns; echo $$'")
                .lines()
                .count(),
            2
        );
        let shown = "{{.HostConfig.PidMode}} {{.HostConfig.IpcMode}} {{.HostConfig.UTSMode}}";
        assert_eq!(
            cli.ok(&format!("inspect -f '{shown}' boxh")),
            "host host host"
        );
        // What it started goes with it, though no namespace ends.
        cli.ok("exec -d boxh sleep 4242");
        cli.ok("rm -f boxh");
        cli.refused(
            "run --rm --uts host --hostname x busybox true",
            &["hostname and the UTS mode"],
        );
    }
}

#[test]
fn each_its_own() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name boxp --cgroupns private busybox sleep 1000");
        let pid = d.pid_of("boxp");
        for kind in ["pid", "ipc", "uts", "net", "mnt", "cgroup"] {
            assert_ne!(namespace(pid, kind), ours(kind), "{kind}");
        }
        assert_eq!(
            cli.ok("inspect -f '{{.HostConfig.IpcMode}}' boxp"),
            "private"
        );
        cli.ok("rm -f boxp");
        for bad in [
            "--pid x",
            "--pid container:",
            "--ipc x",
            "--uts x",
            "--userns x",
            "--cgroupns x",
        ] {
            assert_eq!(
                cli.code(&format!("run --rm {bad} busybox true")),
                125,
                "{bad}"
            );
        }
        let shm = cli.run("run --rm --ipc none busybox sh -c 'grep /dev/shm /proc/mounts'");
        assert_eq!((shm.code, shm.stdout.as_str()), (1, ""), "{shm}");
    }
}

#[test]
fn another_containers() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name boxa --ipc shareable --shm-size 3m busybox sleep 1000");
        cli.ok("run -d --name boxb --pid container:boxa --ipc container:boxa --network container:boxa busybox sleep 1000");
        let (a, b) = (d.pid_of("boxa"), d.pid_of("boxb"));
        for kind in ["pid", "ipc", "net"] {
            assert_eq!(namespace(a, kind), namespace(b, kind), "{kind}");
        }
        assert_ne!(namespace(a, "uts"), namespace(b, "uts"));
        cli.ok("exec boxa sh -c 'echo text >/dev/shm/file'");
        assert_eq!(cli.ok("exec boxb cat /dev/shm/file"), "text");
        assert!(cli.ok("exec boxb df -k /dev/shm").contains("3072"));
        assert_eq!(
            cli.ok("exec boxb cat /proc/1/comm"),
            "sleep",
            "the first process is a's"
        );
        // By identifier, whatever a is called later.
        let id = cli.ok("inspect -f '{{.Id}}' boxa");
        let shown = "{{.HostConfig.PidMode}} {{.HostConfig.IpcMode}} {{.HostConfig.NetworkMode}}";
        let each = format!("container:{id}");
        assert_eq!(
            cli.ok(&format!("inspect -f '{shown}' boxb")),
            format!("{each} {each} {each}")
        );
        // A third joins the second's, which are the first's.
        let third = cli.ok("run --rm --ipc container:boxb busybox cat /dev/shm/file");
        assert_eq!(third, "text");
        cli.ok("rm -f boxb");
        cli.ok("stop -t 0 boxa");
        for (flag, word) in [("pid", "PID"), ("ipc", "IPC"), ("network", "network")] {
            let words = [word, "non running container", &id];
            cli.refused(
                &format!("run --rm --{flag} container:boxa busybox true"),
                &words,
            );
            cli.refused(
                &format!("run --rm --{flag} container:nobody busybox true"),
                &["nobody"],
            );
        }
        cli.ok("run -d --name private busybox sleep 1000");
        cli.refused(
            "run --rm --ipc container:private busybox true",
            &["non-shareable IPC"],
        );
        cli.ok("rm -f boxa private");
    }
}

#[test]
fn shared_memory_outlives_the_daemon() {
    let mut d = Daemon::fresh();
    d.docker().ok(
        "run -d --name boxa --ipc shareable busybox sh -c 'echo kept >/dev/shm/x; exec sleep 1000'",
    );
    d.kill9();
    d.restart();
    let cli = d.docker();
    assert_eq!(
        cli.ok("run --rm --ipc container:boxa busybox cat /dev/shm/x"),
        "kept"
    );
    let inside = cli.ok("run --rm --pid container:boxa busybox cat /proc/1/comm");
    assert_eq!(inside, "sleep");
}
