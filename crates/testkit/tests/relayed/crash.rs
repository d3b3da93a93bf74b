//! Whoever is killed: the ports stay the container's, and are served again.

use std::net::{Ipv6Addr, TcpListener};

use testkit::{Daemon, Opts, alive, eventually, kill, parent_of};

use super::{
    HOST, LOCAL, addresses, connect, daemon, is_free, listen, listening, talk, try_relay,
    until_relay,
};
use crate::ports::{echoes, get, reaches, serve};

#[test]
fn a_killed_relay_comes_back() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    serve(&d, "web", "-p 8080:80");
    d.docker()
        .ok("run -d --name echo -p 5353:53/udp busybox udp-echo 53");
    reaches(host.ns(), (LOCAL, 8080), "web");
    let before = until_relay(&d);
    kill(before);
    // Nobody finds the door closed: who comes meanwhile waits.
    reaches(host.ns(), (LOCAL, 8080), "web");
    reaches(host.outside(), (HOST, 8080), "web");
    eventually("an answer", || echoes(host.ns(), "[::]:0", (LOCAL, 5353)));
    assert_ne!(until_relay(&d), before);
    assert!(!alive(before), "it was waited for");
    serve(&d, "more", "-p 8081:80");
    reaches(host.ns(), (LOCAL, 8081), "more");
    // One that ends while there is none leaves nothing.
    kill(until_relay(&d));
    d.docker().ok("rm -f more");
    assert!(is_free(host.ns(), Ipv6Addr::UNSPECIFIED.into(), 8081));
    reaches(host.ns(), (LOCAL, 8080), "web");
    d.docker().ok("rm -f web echo");
    d.assert_no_leaks();
}

/// One that hangs is replaced at the first container's end, and holds no port for good.
#[test]
fn a_relay_that_hangs_is_replaced() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    serve(&d, "web", "-p 8080:80");
    serve(&d, "other", "-p 8081:80");
    reaches(host.ns(), (LOCAL, 8080), "web");
    reaches(host.ns(), (LOCAL, 8081), "other");
    let before = until_relay(&d);
    let comm = std::fs::read_to_string(format!("/proc/{before}/comm"));
    assert_eq!(comm.expect("a relay"), "wharf-relay\n");
    signal(before, "STOP");
    d.docker().ok("rm -f web");
    serve(&d, "web", "-p 8080:80");
    // Whose end told it does not matter: the others' doors are open again.
    reaches(host.ns(), (LOCAL, 8081), "other");
    reaches(host.ns(), (LOCAL, 8080), "web");
    let next = until_relay(&d);
    assert_ne!(next, before);
    assert!(!alive(before), "it was killed");
    // So it is where nobody needs it.
    d.docker().ok("rm -f other");
    signal(next, "STOP");
    d.docker().ok("rm -f web");
    eventually("the end of it", || !alive(next));
    serve(&d, "web", "-p 8080:80");
    reaches(host.ns(), (LOCAL, 8080), "web");
    d.docker().ok("rm -f web");
    d.assert_no_leaks();
}

/// A shim that does not answer when the relay is started again is asked until it does.
#[test]
fn a_shim_that_is_slow_is_asked_again() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host();
    serve(&d, "web", "-p 8080:80");
    serve(&d, "other", "-p 8081:80");
    reaches(host.ns(), (LOCAL, 8080), "web");
    let process = d.docker().ok("inspect -f '{{.State.Pid}}' web");
    let process = process.trim().parse().expect("a process");
    let shim = parent_of(process).expect("a shim");
    let before = until_relay(&d);
    signal(shim, "STOP");
    kill(before);
    eventually("another relay", || {
        try_relay(&d).is_some_and(|relay| relay != before)
    });
    // Who was not answered does not keep others from theirs.
    reaches(host.ns(), (LOCAL, 8081), "other");
    signal(shim, "CONT");
    reaches(host.ns(), (LOCAL, 8080), "web");
    d.docker().ok("rm -f web other");
    d.assert_no_leaks();
}

fn signal(pid: u32, name: &str) {
    let pid = pid.to_string();
    let mut kill = std::process::Command::new("kill");
    let status = kill.args(["-s", name, &pid]).status();
    assert!(status.expect("a program").success());
}

#[test]
fn connections_survive_the_daemon() {
    let mut d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    let host = d.host().clone();
    let web = listening(&d, "web", "-p 8080:80");
    serve(&d, "gone", "-p 8081:80");
    reaches(host.ns(), (LOCAL, 8081), "gone");
    let mut client = connect(host.ns(), (LOCAL, 8080));
    let (mut server, _) = web.accept().expect("a connection");
    talk(&mut client, &mut server);
    let before = until_relay(&d);
    let pid = d.pid_of("gone");
    let shim = parent_of(pid).expect("a shim");
    d.kill9();
    talk(&mut client, &mut server);
    let mut new = connect(host.ns(), (LOCAL, 8080));
    let (mut served, _) = web.accept().expect("a connection");
    talk(&mut new, &mut served);
    // A container that ends meanwhile takes its ports along.
    kill(shim);
    kill(pid);
    eventually("its port to be free", || {
        is_free(host.ns(), Ipv6Addr::UNSPECIFIED.into(), 8081)
    });
    d.restart();
    assert_eq!(until_relay(&d), before, "it is the same process");
    talk(&mut client, &mut server);
    talk(&mut new, &mut served);
    let taken = host.ns().within(|| TcpListener::bind("[::]:8080").is_err());
    assert!(taken, "somebody else could bind the port");
    drop((client, server, new, served, web));

    // Both at once.
    let relay = until_relay(&d);
    d.kill9();
    kill(relay);
    d.restart();
    assert_ne!(until_relay(&d), relay);
    let web = listen(&d, "web");
    let mut client = connect(host.ns(), (LOCAL, 8080));
    let (mut server, _) = web.accept().expect("a connection");
    talk(&mut client, &mut server);
    drop((client, server, web));
    d.docker().ok("rm -f web gone");
    assert!(get(host.ns(), (LOCAL, 8080)).is_err());
    d.assert_no_leaks();
}

#[test]
fn a_newer_program_takes_over() {
    // The program that `NEWER` names, if it is set.
    let before = ["sh", "-c", "exec \"${NEWER:-$0}\" \"$@\""];
    let mut d = Daemon::with(Opts {
        before: before.map(str::to_owned).to_vec(),
        ..Opts::default()
    });
    if !d.engine().is_wharf() {
        return;
    }
    addresses(&d);
    let host = d.host().clone();
    let web = listening(&d, "web", "-p 8080:80");
    let mut client = connect(host.ns(), (LOCAL, 8080));
    let (mut server, _) = web.accept().expect("a connection");
    talk(&mut client, &mut server);
    let before = until_relay(&d);
    // Another program, of which only what it says to who uses it wrongly differs.
    d.set_newer("Usage: wharf-relay");
    d.kill9();
    d.restart();
    // The new one takes who comes now; the old one goes on with whom it has, and then ends.
    eventually("another relay", || {
        let all = d.processes();
        all.into_iter().any(|p| p != before && super::is_relay(p))
    });
    let mut new = connect(host.ns(), (LOCAL, 8080));
    let (mut served, _) = web.accept().expect("a connection");
    talk(&mut new, &mut served);
    assert!(alive(before));
    talk(&mut client, &mut server);
    drop((client, server));
    eventually("the old one to end", || !alive(before));
    talk(&mut new, &mut served);
    drop((new, served, web));
    d.docker().ok("rm -f web");
    d.assert_no_leaks();
}

#[test]
fn it_ends_when_nobody_needs_it() {
    let d = daemon();
    if !d.engine().is_wharf() {
        return;
    }
    // Without ports there is none.
    d.docker().ok("run -d --name idle busybox sleep 1000");
    assert_eq!(try_relay(&d), None);
    serve(&d, "web", "-p 8080:80");
    until_relay(&d);
    d.docker().ok("rm -f web");
    eventually("its end", || try_relay(&d).is_none());
    serve(&d, "web", "-p 8080:80");
    reaches(d.host().ns(), (LOCAL, 8080), "web");
    d.docker().ok("rm -f web idle");
    d.assert_no_leaks();
}
