//! `exec`.

use serde_json::json;
use testkit::{Daemon, eventually};

#[test]
fn codes_streams_and_settings() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box -e A=outer -w /tmp busybox sleep 1000");
        assert_eq!(cli.code("exec box true"), 0);
        assert_eq!(cli.code("exec box sh -c 'exit 9'"), 9);
        // Docker before 23 said 126.
        let missing = if d.engine().is_wharf() { 127 } else { 126 };
        assert_eq!(cli.code("exec box no-such-program"), missing);
        assert_eq!(cli.code("exec box /etc/passwd"), 126);
        assert_eq!(cli.code("exec box sh -c 'kill -9 $$'"), 137);
        let out = cli.run("exec box sh -c 'echo o; echo e >&2'");
        assert_eq!((out.stdout.as_str(), out.stderr.as_str()), ("o\n", "e\n"));
        assert_eq!(cli.with_input("exec -i box cat", "in\n").ok(), "in");
        assert_eq!(cli.ok("exec box sh -c 'echo $A $PWD'"), "outer /tmp");
        assert_eq!(
            cli.ok("exec -e A=inner -w / box sh -c 'echo $A $PWD'"),
            "inner /"
        );
        assert!(cli.ok("exec -u app box id").starts_with("uid=1000(app)"));
        assert_eq!(cli.ok("exec -d box touch /tmp/made"), "");
        eventually("the detached one", || {
            cli.code("exec box test -e /tmp/made") == 0
        });
        cli.refused("exec nobody true", &["No such container: nobody"]);
        cli.ok("rm -f box");
        cli.ok("create --name box busybox true");
        cli.refused("exec box true", &["is not running"]);
        cli.ok("rm box");
    }
    d.assert_no_leaks();
}

#[test]
fn has_the_walls_of_its_container() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box --cap-drop ALL --pids-limit 77 busybox sleep 1000");
        let status = cli.ok("exec box cat /proc/self/status");
        let has = |line: &str| assert!(status.contains(line), "no {line:?} in {status}");
        has("CapEff:\t0000000000000000");
        has("CapBnd:\t0000000000000000");
        has("Seccomp:\t2");
        let same = cli.ok("exec box sh -c 'for n in ipc mnt net pid uts; do test $(readlink /proc/1/ns/$n) = $(readlink /proc/self/ns/$n) || echo $n; done'");
        assert_eq!(same, "", "namespaces that differ");
        let cgroups = cli.ok("exec box sh -c 'diff /proc/1/cgroup /proc/self/cgroup && echo same'");
        assert_eq!(cgroups, "same");
        assert_eq!(
            cli.ok("exec box ls /proc/self/fd")
                .split_whitespace()
                .count(),
            4
        );
        if d.engine().is_wharf() {
            // dockerd gives up where the host itself lacks a capability.
            let status = cli.ok("exec --privileged box cat /proc/self/status");
            assert!(!status.contains("CapEff:\t0000000000000000"), "{status}");
        }
        cli.ok("rm -f box");
    }
}

#[test]
fn on_a_terminal() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box busybox sleep 1000");
        let mut tty = cli.tty("exec -it box sh");
        tty.expect("/ # ");
        tty.resize_until(41, 101, "stty size\r", "41 101");
        tty.send("exit 8\r");
        assert_eq!(tty.wait(), 8);
        cli.ok("rm -f box");
    }
}

#[test]
fn by_the_api() {
    let d = Daemon::fresh();
    let (api, cli) = (d.api(), d.docker());
    cli.ok("run -d --name box busybox sleep 1000");
    let body = json!({"Cmd": ["sh", "-c", "cat; exit 12"], "AttachStdin": true, "AttachStdout": true, "AttachStderr": true});
    let created = api
        .post("/containers/box/exec", Some(&body))
        .expect(201)
        .json();
    let id = created["Id"].as_str().expect("an id");
    let inspect = || api.get(&format!("/exec/{id}/json")).expect(200).json();
    assert_eq!(inspect()["Running"], false);
    let mut stream = api.hijack(
        &format!("/exec/{id}/start"),
        Some(&json!({"Detach": false, "Tty": false})),
    );
    eventually("it to run", || {
        inspect()["Running"] == true && inspect()["Pid"] != 0
    });
    stream.write(b"echoed\n");
    stream.finish();
    assert_eq!(stream.demultiplexed().0, "echoed\n");
    eventually("its exit code", || {
        inspect()["ExitCode"] == 12 && inspect()["Running"] == false
    });
    if d.engine().is_wharf() {
        // Docker 20.10 says so after a status of 200.
        api.post(&format!("/exec/{id}/start"), Some(&json!({})))
            .expect(409);
    }
    api.get("/exec/0123/json").expect(404);
    api.post("/containers/box/exec", Some(&json!({"Cmd": []})))
        .expect(400);
    cli.ok("rm -f box");
    api.post("/containers/box/exec", Some(&body)).expect(404);
}

#[test]
fn ends_with_its_container() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box busybox sleep 1000");
        let exec = cli.start("exec box sh -c 'echo up; sleep 1000'");
        exec.expect("up");
        cli.ok("kill box");
        assert_eq!(exec.wait().code, 137);
        cli.ok("rm box");
    }
    d.assert_no_leaks();
}
