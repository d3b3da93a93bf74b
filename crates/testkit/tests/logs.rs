//! `logs`: everything, in order, and parts of it.

use testkit::{Daemon, eventually};

/// Starts a container that prints each line it is told to by [`say`].
fn speaker(d: &Daemon, name: &str) {
    d.docker().ok(&format!(
        "run -d --name {name} busybox sh -c 'mkfifo /f; exec cat <>/f'"
    ));
    eventually("the fifo", || {
        d.docker().code(&format!("exec {name} test -p /f")) == 0
    });
}

fn say(d: &Daemon, name: &str, line: &str) {
    d.docker()
        .ok(&format!("exec {name} sh -c 'echo {line} > /f'"));
    eventually("the line in the log", || {
        d.docker().ok(&format!("logs {name}")).contains(line)
    });
}

#[test]
fn all_tail_and_timestamps() {
    let d = Daemon::fresh();
    d.docker().ok(
        "run --name five busybox sh -c 'for i in 1 2 3 4 5; do echo line $i; done; echo bad >&2'",
    );
    for cli in d.clis() {
        let out = cli.run("logs five");
        assert_eq!(out.stdout, "line 1\nline 2\nline 3\nline 4\nline 5\n");
        assert_eq!(out.stderr, "bad\n");
        assert_eq!(
            cli.run("logs --tail 3 five").ok().lines().count(),
            2,
            "one of three is stderr"
        );
        assert_eq!(cli.ok("logs -n 0 five"), "");
        assert_eq!(cli.ok("logs --tail all five").lines().count(), 5);
        let stamped = cli.ok("logs -t five");
        let first = stamped.lines().next().expect("a line");
        let (stamp, line) = first.split_once(' ').expect("a stamp and a line");
        assert_eq!(line, "line 1");
        assert!(
            stamp.ends_with('Z') && stamp.contains('T') && stamp.len() == 30,
            "{stamp}"
        );
        cli.refused("logs nobody", &["No such container: nobody"]);
    }
}

#[test]
fn since_and_until() {
    let d = Daemon::fresh();
    speaker(&d, "sp");
    for line in ["one", "two", "three"] {
        say(&d, "sp", line);
    }
    for cli in d.clis() {
        let stamped = cli.ok("logs -t sp");
        let stamps: Vec<_> = stamped
            .lines()
            .filter_map(|l| l.split(' ').next())
            .collect();
        assert_eq!(
            cli.ok(&format!("logs --since {} sp", stamps[1])),
            "two\nthree"
        );
        let until = cli.ok(&format!("logs --until {} sp", stamps[1]));
        assert!(
            until.starts_with("one") && !until.contains("three"),
            "{until}"
        );
        assert_eq!(cli.ok("logs --since 1h sp"), "one\ntwo\nthree");
        assert_eq!(cli.ok("logs --since 2099-01-01 sp"), "");
    }
}

#[test]
fn follow_to_the_end() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        speaker(&d, "sp");
        say(&d, "sp", "before");
        let follow = cli.start("logs -f sp");
        follow.expect("before\n");
        say(&d, "sp", "after");
        follow.expect("after\n");
        let late = cli.start("logs -f --tail 0 sp");
        eventually("what comes later only", || {
            say(&d, "sp", "later");
            late.stdout().contains("later")
        });
        assert!(!late.stdout().contains("before"));
        cli.ok("kill sp");
        assert_eq!(follow.wait().code, 0, "it ends with the container");
        assert_eq!(late.wait().code, 0);
        cli.ok("rm sp");
    }
}

#[test]
fn nothing_is_lost_or_mangled() {
    let d = Daemon::fresh();
    // Long lines, no newline at the end, bytes that are no UTF-8, a lot of it.
    d.docker().ok("run -d --name big busybox sh -c 'seq 1 150000; head -c 50000 /dev/zero | tr \\\\0 z; printf \\\\377'");
    d.docker().ok("wait big");
    for cli in d.clis() {
        let out = cli.ok("logs big");
        let mut lines = out.lines();
        for n in 1..=150_000 {
            assert_eq!(lines.next(), Some(n.to_string().as_str()));
        }
        let last = lines.next().expect("the long line");
        assert_eq!(last.bytes().filter(|b| *b == b'z').count(), 50_000);
    }
}

#[test]
fn terminal_output_is_one_stream() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d -t --name term busybox sh -c 'echo out; echo err >&2'");
        cli.ok("wait term");
        assert_eq!(cli.ok("logs term"), "out\r\nerr\r");
        cli.ok("rm term");
    }
}

#[test]
fn logs_of_several_runs_stay() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run --name again busybox echo once");
        cli.ok("start -a again");
        assert_eq!(cli.ok("logs again"), "once\nonce");
        cli.ok("rm again");
    }
}
