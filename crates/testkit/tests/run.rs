//! `run`: exit codes and what a container's process finds.

use testkit::{Daemon, eventually};

#[test]
fn exit_codes() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        assert_eq!(cli.code("run --rm busybox true"), 0);
        assert_eq!(cli.code("run --rm busybox sh -c 'exit 7'"), 7);
        assert_eq!(cli.code("run --rm busybox no-such-program"), 127);
        assert_eq!(cli.code("run --rm busybox /etc/passwd"), 126);
        assert_eq!(cli.code("run --rm --no-such-flag busybox true"), 125);
        assert_eq!(
            cli.code("run --rm --network container:nobody busybox true"),
            125
        );
    }
    assert_eq!(
        d.docker().ok("ps -aq"),
        "",
        "what could not start leaves nothing with --rm"
    );
    d.assert_no_leaks();
}

#[test]
fn killed_is_137() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let run = cli.start("run --rm --name victim busybox sleep 1000");
        eventually("victim to run", || {
            cli.run("ps -q -f name=victim -f status=running").ok() != ""
        });
        cli.ok("kill victim");
        assert_eq!(run.wait().code, 137);
    }
}

#[test]
fn signals_reach_the_container() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let script = "trap \"exit 42\" TERM; echo ready; while :; do sleep 0.1; done";
        let run = cli.start(&format!("run --rm busybox sh -c '{script}'"));
        run.expect("ready");
        run.signal(rustix::process::Signal::TERM);
        assert_eq!(run.wait().code, 42);
    }
}

#[test]
fn streams_are_apart() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let out = cli.run("run --rm busybox sh -c 'echo to-out; echo to-err >&2'");
        assert_eq!(
            (out.stdout.as_str(), out.stderr.as_str()),
            ("to-out\n", "to-err\n")
        );
        assert_eq!(
            cli.with_input("run --rm -i busybox cat", "from the pipe\n")
                .ok(),
            "from the pipe"
        );
        let lines = cli.ok("run --rm busybox seq 1 100000");
        assert_eq!(lines.lines().count(), 100_000, "nothing is lost at the end");
    }
}

#[test]
fn environment() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let env = cli.ok("run --rm --env A=1 -e B='x y' --hostname ship busybox env");
        for line in ["A=1", "B=x y", "HOSTNAME=ship", "HOME=/root"] {
            assert!(env.lines().any(|l| l == line), "no {line} in {env}");
        }
        assert!(env.contains("PATH=/usr/local/sbin:"), "the image's: {env}");
        assert_eq!(cli.ok("run --rm -h ship busybox hostname"), "ship");
        let hosts = cli.ok("run --rm -h ship busybox cat /etc/hosts /etc/hostname");
        assert!(
            hosts.contains("\tship\n") && hosts.ends_with("ship"),
            "{hosts}"
        );
    }
}

#[test]
fn workdir_and_entrypoint() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        assert_eq!(
            cli.ok("run --rm --workdir /new/place busybox pwd"),
            "/new/place"
        );
        assert_eq!(
            cli.ok("run --rm --entrypoint echo busybox one 'two three'"),
            "one two three"
        );
        assert_eq!(cli.ok("run --rm --entrypoint '' busybox echo none"), "none");
        assert!(cli.code("run --rm --workdir relative busybox pwd") == 125);
    }
}

#[test]
fn users() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let id = |flag: &str| cli.ok(&format!("run --rm {flag} busybox id"));
        assert_eq!(
            id("--user app"),
            "uid=1000(app) gid=1000(app) groups=1000(app),1010(extra)"
        );
        assert!(id("-u 1000:65534").starts_with("uid=1000(app) gid=65534(nogroup)"));
        assert!(id("-u 4711").starts_with("uid=4711 gid=0(root)"));
        assert_eq!(
            cli.ok("run --rm -u app busybox sh -c 'echo $HOME'"),
            "/home"
        );
        assert_ne!(cli.code("run --rm -u nobody-there busybox id"), 0);
    }
    d.docker()
        .refused("run --rm -u nobody-there busybox id", &["nobody-there"]);
    // GHSA-265r-hfxg-fhmg: too large a number must not become root.
    assert_ne!(d.docker().code("run --rm -u 4294967296 busybox id"), 0);
}

#[test]
fn init_reaps_and_forwards() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // Debian's dockerd comes without its init
    }
    for cli in d.clis() {
        assert_ne!(cli.ok("run --rm --init busybox cat /proc/1/comm"), "cat");
        assert_eq!(cli.code("run --rm --init busybox sh -c 'exit 9'"), 9);
        cli.ok("run -d --init --name ini busybox sh -c '(sleep 0.1 &) ; exec sleep 1000'");
        eventually("the orphan to be reaped", || {
            let states = cli.ok("exec ini sh -c 'cat /proc/[0-9]*/stat'");
            states.contains("(sleep)") && !states.contains(") Z ")
        });
        cli.ok("stop -t 20 ini");
        assert_eq!(cli.ok("inspect -f '{{.State.ExitCode}}' ini"), "143");
        cli.ok("rm ini");
    }
}

#[test]
fn removed_when_asked() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --rm --name short busybox sh -c 'read x'");
        eventually("short to be gone", || {
            cli.ok("ps -aq -f name=short").is_empty()
        });
        let id = cli.ok("run -d --rm busybox sleep 1000");
        assert_eq!(id.len(), 64);
        cli.ok(&format!("kill {id}"));
        eventually("it to be gone", || cli.ok("ps -aq").is_empty());
    }
    d.assert_no_leaks();
}

#[test]
fn id_file_names_and_labels() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let id = cli.ok("create --name named --label a=b --label c busybox true");
        assert_eq!(
            cli.ok("inspect -f '{{.Name}} {{.Id}}' named"),
            format!("/named {id}")
        );
        assert_eq!(
            cli.ok("inspect -f '{{index .Config.Labels \"a\"}}' named"),
            "b"
        );
        assert_eq!(
            cli.ok(&format!("inspect -f '{{{{.Name}}}}' {}", &id[..12])),
            "/named"
        );
        let taken = cli.refused(
            "create --name named busybox true",
            &["named", "already in use"],
        );
        assert!(taken.code == 1 || taken.code == 125, "{taken}");
        cli.refused("create --name 'no good' busybox true", &["no good"]);
        cli.ok("rm named");
        cli.refused("rm named", &["No such container", "named"]);
    }
}
