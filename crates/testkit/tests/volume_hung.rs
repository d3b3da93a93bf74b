//! Servers that are gone: who wants their volumes waits or is told, and nobody else.

use std::fs;

use tempfile::TempDir;
use testkit::{Daemon, Hung, eventually};

fn mounted(d: &Daemon, volume: &str) -> bool {
    let place = d.dir().join(format!("data/volumes/{volume}/_data"));
    fs::read_to_string("/proc/self/mountinfo")
        .expect("mountinfo")
        .contains(&format!(" {} ", place.display()))
}

/// The folder where files of a server that is gone would be, which must outlive the server, and that.
fn hung() -> (TempDir, Hung, String) {
    let dir = tempfile::tempdir().expect("our own folder");
    let hung = Hung::mount(dir.path());
    let path = dir.path().display().to_string();
    (dir, hung, path)
}

/// Everybody else's work goes on.
#[track_caller]
fn others_go_on(d: &Daemon) {
    for cli in d.clis() {
        cli.ok("volume create other");
        cli.ok("run --rm -v other:/x -v /y busybox touch /x/f");
        cli.ok("volume inspect dead");
        assert!(cli.ok("volume ls -q").contains("dead"));
        cli.ok("system df -v");
        cli.ok("volume prune -f");
        cli.ok("volume rm other");
    }
}

#[test]
fn a_server_that_is_gone_holds_up_nobody_else() {
    let mut d = Daemon::fresh();
    let (_dir, server, folder) = hung();
    let cli = d.docker();
    cli.ok(&format!(
        "volume create -o type=none -o device={folder} -o o=bind dead"
    ));
    let waiting = cli.start("run --rm -v dead:/x busybox true");
    eventually("the volume to be mounted", || mounted(&d, "dead"));
    eventually("the daemon to look", || server.asked());
    let second = cli.start("run --rm -v dead:/x busybox true");
    others_go_on(&d);
    // Nor the start of a daemon, which finds it mounted for nobody.
    d.kill9();
    assert!(mounted(&d, "dead"));
    d.restart();
    others_go_on(&d);
    eventually("the volume to be unmounted", || !mounted(&d, "dead"));
    for ended in [waiting, second] {
        assert_ne!(ended.wait().code, 0);
    }
    d.docker().ok("volume rm dead");
    d.assert_no_leaks();
}

#[test]
fn who_wants_it_is_told() {
    let d = Daemon::fresh();
    let (_dir, _server, folder) = hung();
    let cli = d.docker();
    cli.ok(&format!(
        "volume create -o type=none -o device={folder} -o o=bind dead"
    ));
    cli.refused(
        "run --rm -v dead:/x busybox true",
        &["use volume dead: what is mounted at", "does not answer"],
    );
    // Once it was waited for in vain nobody else is kept waiting.
    cli.refused("run --rm -v dead:/x busybox true", &["does not answer"]);
    cli.ok("volume rm dead");
    d.assert_no_leaks();
}

#[test]
fn binds_of_a_server_that_is_gone_hold_up_nobody_else() {
    let d = Daemon::fresh();
    let (_dir, mut hung, folder) = hung();
    let cli = d.docker();
    cli.ok("volume create dead");
    let line = format!("create --mount type=bind,source={folder}/sub,target=/x busybox true");
    // More than the daemon has threads that serve.
    let waiting: Vec<_> = (0..4).map(|_| cli.start(&line)).collect();
    eventually("the daemon to look", || hung.asked());
    others_go_on(&d);
    hung.end();
    for ended in waiting {
        ended.wait().refused(&["bind source path does not exist"]);
    }
    d.assert_no_leaks();
}
