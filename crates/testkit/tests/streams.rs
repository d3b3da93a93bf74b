//! Terminals, attach, standard input, resize and detaching.

use serde_json::json;
use testkit::{Daemon, eventually};

#[test]
fn terminal_with_size() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let mut tty = cli.tty("run --rm -it busybox sh");
        tty.expect("/ # ");
        tty.send("tty; stty size; echo $TERM\r");
        tty.expect("/dev/pts/0");
        tty.expect("24 80");
        tty.expect("xterm");
        tty.resize_until(50, 132, "stty size\r", "50 132");
        tty.send("\u{3}"); // Ctrl-C reaches the shell, not the client
        tty.send("exit 5\r");
        assert_eq!(tty.wait(), 5);
    }
    d.assert_no_leaks();
}

#[test]
fn ctrl_c_ends_what_runs() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let mut tty = cli.tty("run --rm -it busybox sh -c 'trap \"exit 33\" INT; echo up; while :; do sleep 0.1; done'");
        tty.expect("up");
        tty.send("\u{3}");
        assert_eq!(tty.wait(), 33);
    }
}

#[test]
fn detach_keys() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let mut tty = cli.tty("run -it --name kept busybox sh");
        tty.expect("/ # ");
        tty.send("\u{10}\u{11}"); // Ctrl-P Ctrl-Q
        assert_eq!(tty.wait(), 0);
        assert_eq!(cli.ok("inspect -f '{{.State.Running}}' kept"), "true");
        let mut tty = cli.tty("attach --detach-keys ctrl-x,d kept");
        tty.ask("echo still-$((40+2))\r", "still-42");
        tty.send("\u{18}d");
        assert!(matches!(tty.wait(), 0 | 1), "detached");
        assert_eq!(cli.ok("inspect -f '{{.State.Running}}' kept"), "true");
        let mut tty = cli.tty("attach kept");
        tty.ask("\r", "/ # ");
        tty.send("exit 3\r");
        assert_eq!(tty.wait(), 3);
        cli.ok("rm kept");
    }
}

#[test]
fn terminal_needs_a_terminal() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let out = cli.run("run --rm -it busybox true");
        assert_ne!(out.code, 0, "{out}");
        assert!(out.stderr.contains("not a TTY"), "{out}");
    }
}

#[test]
fn attach_sees_output_and_exit_code() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d -i --name att busybox sh -c 'while read l; do test $l = bye && exit 6; echo got $l; done'");
        let mut one = cli.start("attach att");
        let mut two = cli.start("attach --no-stdin att");
        two.close_stdin();
        // Who attaches sees what comes from then on: ask until it is there.
        eventually("an answer", || {
            one.send("hello\n");
            one.stdout().contains("got hello") && two.stdout().contains("got hello")
        });
        one.send("bye\n");
        assert_eq!(one.wait().code, 6);
        assert_eq!(two.wait().code, 6);
        cli.refused("attach att", &["stopped container"]);
        cli.ok("rm att");
    }
}

#[test]
fn start_attached_and_interactive() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("create -i --name cat busybox cat");
        assert_eq!(cli.with_input("start -ai cat", "through\n").ok(), "through");
        assert_eq!(cli.with_input("start -ai cat", "again\n").ok(), "again");
        cli.ok("rm cat");
        cli.ok("create --name out busybox sh -c 'echo hi; exit 4'");
        let out = cli.run("start -a out");
        assert_eq!((out.code, out.stdout.as_str()), (4, "hi\n"));
        assert_eq!(cli.ok("start out"), "out");
        cli.ok("wait out");
        cli.ok("rm out");
    }
}

#[test]
fn attach_by_http_upgrade() {
    let d = Daemon::fresh();
    d.docker()
        .ok("create -i --name raw busybox sh -c 'read a; echo out $a; echo err >&2'");
    let mut stream = d.api().hijack(
        "/containers/raw/attach?stream=1&stdin=1&stdout=1&stderr=1",
        None,
    );
    let kind = stream
        .headers
        .iter()
        .find(|(n, _)| n == "content-type")
        .map(|(_, v)| v.clone());
    assert!(kind.is_some_and(|k| k.contains("stream")), "a stream type");
    d.api().post("/containers/raw/start", None).expect(204);
    stream.write(b"word\n");
    stream.finish();
    assert_eq!(
        stream.demultiplexed(),
        ("out word\n".into(), "err\n".into())
    );
    // What was printed before can be had too.
    let mut logs = d
        .api()
        .hijack("/containers/raw/attach?logs=1&stdout=1", None);
    assert_eq!(logs.demultiplexed().0, "out word\n");
}

#[test]
fn tty_by_the_api_is_raw_and_has_the_asked_size() {
    let d = Daemon::fresh();
    let body = json!({
        "Image": "busybox", "Tty": true, "OpenStdin": true, "AttachStdin": true,
        "Cmd": ["sh", "-c", "read x; stty size"], "HostConfig": {"ConsoleSize": [33, 99]},
    });
    d.api()
        .post("/containers/create?name=term", Some(&body))
        .expect(201);
    let mut stream = d
        .api()
        .hijack("/containers/term/attach?stream=1&stdin=1&stdout=1", None);
    d.api().post("/containers/term/start", None).expect(204);
    d.api()
        .post("/containers/term/resize?h=44&w=111", None)
        .expect(200);
    stream.write(b"\n");
    let mut text = String::new();
    std::io::Read::read_to_string(&mut stream, &mut text).expect("to the end");
    assert!(text.contains("44 111\r\n"), "{text:?}");
    d.api()
        .post("/containers/term/resize?h=x&w=1", None)
        .expect(400);
}
