//! The real `docker` against the pretending backends, by both kinds of listeners.

use std::process::Stdio;

use crate::common::{Running, within};
use tokio::{io::AsyncWriteExt, process::Command};

/// Runs docker with `input`; answers its exit code, output and errors. `None` where there is no
/// docker to run.
async fn docker(host: &str, args: &str, input: &str) -> Option<(i32, String, String)> {
    let home = tempfile::tempdir().unwrap();
    let child = Command::new("docker")
        .args(["-H", host])
        .args(args.split(' '))
        .env("HOME", home.path())
        .env("DOCKER_CONFIG", home.path())
        .env_remove("DOCKER_HOST")
        .env_remove("DOCKER_API_VERSION")
        .env_remove("DOCKER_CONTEXT")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(error) => {
            eprintln!("skipped: docker cannot be run: {error}");
            return None;
        }
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(input.as_bytes()).await.unwrap();
    drop(stdin);
    let output = within(child.wait_with_output()).await.unwrap();
    Some((
        output.status.code().unwrap(),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    ))
}

fn hosts(s: &Running) -> [String; 2] {
    [
        format!("unix://{}", s.path.display()),
        format!("tcp://{}", s.address),
    ]
}

#[tokio::test]
async fn docker_understands_what_it_gets() {
    let s = Running::start();
    for host in hosts(&s) {
        for (args, code, out, err) in [
            ("create --name web busybox true", 0, "c0ffee\n", ""),
            (
                "create --ip 192.0.2.1 busybox",
                1,
                "",
                "Error response from daemon: invalid config for network default: invalid \
                 endpoint settings:\nuser specified IP address is supported on user defined \
                 networks only\n",
            ),
            ("create --network mine busybox", 0, "c0ffee\n", ""),
            (
                "create --network name=mine,alias=a,gw-priority=2 --network other busybox",
                0,
                "c0ffee\n",
                "",
            ),
            ("network create --subnet 192.0.2.0/24 mine", 0, "n\n", ""),
            (
                "network create --subnet 192.0.2.1/24 mine",
                1,
                "",
                "Error response from daemon: invalid network config:\ninvalid subnet \
                 192.0.2.1/24: it should be 192.0.2.0/24\n",
            ),
            (
                "network create host",
                1,
                "",
                "Error response from daemon: operation is not permitted on predefined host \
                 network\n",
            ),
            ("network connect --ip 192.0.2.2 mine a", 0, "", ""),
            ("network disconnect -f mine a", 0, "", ""),
            ("network rm mine", 0, "mine\n", ""),
            ("network prune -f", 0, "Deleted Networks:\nold\n\n", ""),
            ("start a", 0, "a\n", ""),
            ("stop -t 1 a", 0, "a\n", ""),
            ("kill -s HUP a", 0, "a\n", ""),
            ("rm -f a", 0, "a\n", ""),
            ("wait a", 0, "3\n", ""),
            ("logs a", 0, "hello\n", "oh\n"),
            ("ps -q", 0, "c0ffeec0ffee\n", ""),
            ("inspect -f {{.HostConfig.CpuShares}} a", 0, "0\n", ""),
            ("exec -i a cat", 0, "typed", "bye"),
            ("run -i --rm busybox cat", 3, "typed", "bye"),
            ("rmi a/b:c", 0, "Untagged: a/b:c\n", ""),
            ("tag a/b c/d:e", 0, "", ""),
            ("pull -q a.b/c:d", 0, "a.b/c:d\n", ""),
            ("pause a", 0, "a\n", ""),
            ("unpause a", 0, "a\n", ""),
            ("rename a b", 0, "", ""),
            ("update -m 64m --restart always a", 0, "a\n", ""),
            ("container prune -f", 0, "Total reclaimed space: 0B\n", ""),
            ("top a -o pid", 0, "PID\n1\n", ""),
            ("version -f {{.Server.APIVersion}}", 0, "1.51\n", ""),
            (
                "events --since 1 --until 2 --format {{.Action}}",
                0,
                "start\n",
                "",
            ),
        ] {
            let Some(got) = docker(&host, args, "typed").await else {
                return;
            };
            assert_eq!(got, (code, out.to_owned(), err.to_owned()), "{args}");
        }
        for args in [
            "info",
            "images",
            "ps -a",
            "load",
            "import - a:b",
            "inspect a",
            "events --until 2",
        ] {
            let Some((code, _, err)) = docker(&host, args, "archive").await else {
                return;
            };
            assert_eq!(code, 0, "{args}: {err}");
        }
    }
}

#[tokio::test]
async fn a_refusal_is_read_although_the_body_is_not() {
    let s = Running::start();
    let archive = "x".repeat(8 << 20);
    for host in hosts(&s) {
        let Some((code, _, err)) = docker(&host, "build --security-opt x -", &archive).await else {
            return;
        };
        assert_eq!(code, 1);
        assert!(
            err.contains("the security option x in builds is not supported by wharf"),
            "{err}"
        );
    }
}
