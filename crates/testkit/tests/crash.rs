//! kill -9 of the daemon and of a shim; SIGTERM.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use testkit::{Daemon, alive, eventually, kill, parent_of};

fn answers(d: &Daemon, port: u16) -> bool {
    let to = SocketAddr::new(d.host().address(), port);
    d.host().outside().within(|| {
        let Ok(mut socket) = TcpStream::connect_timeout(&to, Duration::from_secs(2)) else {
            return false;
        };
        let mut text = String::new();
        socket
            .write_all(b"GET /index.html HTTP/1.0\r\n\r\n")
            .is_ok()
            && socket.read_to_string(&mut text).is_ok()
            && text.contains("hello")
    })
}

const SERVER: &str = "sh -c 'mkdir /w; echo hello > /w/index.html; httpd -h /w; n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.02; done'";

/// The ticks in a log must be 1, 2, 3, … without a gap.
#[track_caller]
fn ticks(d: &Daemon, name: &str) -> usize {
    let log = d.docker().ok(&format!("logs {name}"));
    for (n, line) in log.lines().enumerate() {
        assert_eq!(
            line,
            format!("tick {}", n + 1),
            "the log lost or doubled a line"
        );
    }
    log.lines().count()
}

#[test]
fn the_daemon_dies_and_containers_do_not_notice() {
    let mut d = Daemon::fresh();
    let cli = d.docker();
    cli.ok(&format!("run -d --name web -p 8080:80 busybox {SERVER}"));
    cli.ok("run -d --name ends busybox sh -c 'while [ ! -e /go ]; do sleep 0.05; done; exit 7'");
    cli.ok("run -d --name stopped busybox true");
    cli.ok("wait stopped");
    cli.ok("create --name fresh busybox true");
    eventually("the server", || answers(&d, 8080));
    let (pid, ends) = (d.pid_of("web"), d.pid_of("ends"));
    let before = d.inspect("web");
    d.kill9();
    assert!(alive(pid));
    assert!(answers(&d, 8080), "the port serves without a daemon");
    // One ends while nobody looks.
    std::fs::write(format!("/proc/{ends}/root/go"), "").expect("the container's root");
    eventually("its end", || !alive(ends));
    d.restart();
    // Right at once, not after a while.
    let state = |name: &str| {
        d.docker().ok(&format!(
            "inspect -f '{{{{.State.Status}}}} {{{{.State.ExitCode}}}}' {name}"
        ))
    };
    assert_eq!(state("web"), "running 0");
    assert_eq!(state("ends"), "exited 7");
    assert_eq!(state("stopped"), "exited 0");
    assert_eq!(state("fresh"), "created 0");
    assert_eq!(d.pid_of("web"), pid);
    let after = d.inspect("web");
    for field in [
        "/Id",
        "/Created",
        "/State/StartedAt",
        "/NetworkSettings/Ports",
        "/RestartCount",
    ] {
        assert_eq!(before.pointer(field), after.pointer(field), "{field}");
    }
    assert!(answers(&d, 8080));
    let seen = ticks(&d, "web");
    eventually("more ticks", || ticks(&d, "web") > seen);
    let cli = d.docker();
    assert_eq!(cli.ok("exec web hostname").len(), 12);
    cli.ok("start -a fresh");
    cli.ok("stop -t 0 web");
    assert_eq!(state("web"), "exited 137");
    cli.ok("start web");
    eventually("the server again", || answers(&d, 8080));
    cli.ok("rm -f web ends stopped fresh");
    d.assert_no_leaks();
}

#[test]
fn ports_stay_taken_across_daemons() {
    let mut d = Daemon::fresh();
    d.docker()
        .ok("run -d --name one -p 8080:80 busybox sleep 1000");
    d.kill9();
    d.restart();
    d.docker()
        .refused("run -d --name two -p 8080:80 busybox sleep 1000", &["8080"]);
    d.docker().ok("rm -f one two");
    d.docker()
        .ok("run -d --name three -p 8080:80 busybox sleep 1000");
    let address = d.address_of("three");
    d.docker().ok("run -d --name four busybox sleep 1000");
    assert_ne!(
        d.address_of("four"),
        address,
        "an address in use is not given again"
    );
}

#[test]
fn restart_policy_is_kept_up_by_the_next_daemon() {
    let mut d = Daemon::fresh();
    d.docker()
        .ok("run -d --name always --restart always busybox sleep 1000");
    let pid = d.pid_of("always");
    d.kill9();
    kill(pid);
    eventually("its end", || !alive(pid));
    d.restart();
    eventually("another life", || {
        let now = d.pid_of("always");
        now != 0 && now != pid
    });
}

#[test]
fn removal_with_rm_happens_without_the_daemon_too() {
    let mut d = Daemon::fresh();
    d.docker().ok("run -d --rm --name brief busybox sleep 1000");
    let pid = d.pid_of("brief");
    d.kill9();
    kill(pid);
    eventually("its end", || !alive(pid));
    d.restart();
    eventually("it to be gone", || d.docker().ok("ps -aq").is_empty());
    d.assert_no_leaks();
}

#[test]
fn streams_live_on_with_a_new_daemon() {
    let mut d = Daemon::fresh();
    d.docker()
        .ok("run -di --name talk busybox sh -c 'while read l; do echo got $l; done'");
    d.kill9();
    d.restart();
    let mut attach = d.docker().start("attach talk");
    eventually("an answer", || {
        attach.send("again\n");
        attach.stdout().contains("got again")
    });
    drop(attach);
    let follow = d.docker().start("logs -f talk");
    follow.expect("got again");
    d.docker().ok("kill talk");
    assert_eq!(follow.wait().code, 0);
    let mut tty_daemon = d;
    tty_daemon.docker().ok("run -dit --name term busybox sh");
    tty_daemon.kill9();
    tty_daemon.restart();
    let mut tty = tty_daemon.docker().tty("attach term");
    tty.resize_until(31, 91, "stty size\r", "31 91");
    tty.send("exit 4\r");
    assert_eq!(tty.wait(), 4);
}

#[test]
fn a_dead_shim_ends_its_container_and_nothing_else() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    let cli = d.docker();
    cli.ok(&format!("run -d --name web -p 8080:80 busybox {SERVER}"));
    cli.ok("run -d --name other busybox sleep 1000");
    let pid = d.pid_of("web");
    let shim = parent_of(pid).expect("a parent");
    assert_ne!(shim, d.pid(), "a container is no child of the daemon");
    kill(shim);
    eventually("the end of the container", || !alive(pid));
    d.until("web", "exited");
    let state = cli.ok("inspect -f '{{.State.ExitCode}} {{.State.Error}}' web");
    assert!(
        state.starts_with("137") && state.to_lowercase().contains("shim"),
        "{state}"
    );
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' other"), "running");
    assert!(ticks(&d, "web") > 0, "its log is still there");
    cli.ok("start web");
    eventually("the server again", || answers(&d, 8080));
    cli.ok("rm -f web other");
    d.assert_no_leaks();
}

#[test]
fn a_shim_dies_while_the_daemon_is_away() {
    let mut d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    d.docker().ok("run -d --name lost busybox sleep 1000");
    let pid = d.pid_of("lost");
    let shim = parent_of(pid).expect("a parent");
    d.kill9();
    kill(shim);
    d.restart();
    d.until("lost", "exited");
    eventually("the end of the container", || !alive(pid));
    d.docker().ok("rm lost");
    d.assert_no_leaks();
}

#[test]
fn sigterm_leaves_containers_running() {
    let mut d = Daemon::fresh();
    d.docker()
        .ok(&format!("run -d --name web -p 8080:80 busybox {SERVER}"));
    eventually("the server", || answers(&d, 8080));
    let pid = d.pid_of("web");
    let follow = d.docker().start("logs -f web");
    follow.expect("tick 1");
    assert_eq!(
        d.sigterm(),
        0,
        "a clean end, also with a client that listens"
    );
    assert!(alive(pid) && answers(&d, 8080));
    if d.engine().is_wharf() {
        for left in ["pid", "d.sock"] {
            assert!(!d.dir().join(left).exists(), "{left} is left behind");
        }
    }
    drop(follow);
    d.restart();
    assert_eq!(d.pid_of("web"), pid);
    ticks(&d, "web");
    d.docker().ok("rm -f web");
    d.assert_no_leaks();
}
