//! `cp` where something is mounted: the mount stays, and so does what is in it.

use std::fs;

use tar::EntryType;
use testkit::{Daemon, Engine, eventually, images::Layer};

/// What is mounted in a running container.
fn mounts(d: &Daemon, container: &str) -> String {
    let table = format!("/proc/{}/mountinfo", d.pid_of(container));
    fs::read_to_string(table).expect("mountinfo")
}

/// Places an archive that may put anything in the place of anything: what was answered.
#[track_caller]
fn refused(d: &Daemon, container: &str, path: &str, archive: &[u8], busy: &str) {
    let path = format!("/containers/{container}/archive?path={path}");
    let headers = [("Content-Type", "application/x-tar")];
    let answer = d.api().try_send("PUT", &path, &headers, archive);
    let answer = answer.expect("an answer");
    let words = format!("unlinkat {busy}: device or resource busy");
    let text = answer.text();
    assert_eq!(answer.status, 500, "{text}");
    assert!(text.contains(&words), "{text}");
}

/// Docker removes what is in a mounted directory, and then finds that the directory is busy.
#[test]
fn what_is_mounted_is_not_replaced() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let d = Daemon::fresh();
    let (host, new, folder) = (d.dir().join("x"), d.dir().join("new"), d.dir().join("dir"));
    fs::write(&host, "original").unwrap();
    fs::write(&new, "other").unwrap();
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("x"), "other").unwrap();
    let options = format!("-v {}:/data/x -v pv:/vol/a/b/v", host.display());
    for cli in d.clis() {
        cli.ok(&format!(
            "run -d --name runs {options} busybox sh -c 'echo kept > /vol/a/b/v/file; sleep 1000'"
        ));
        cli.ok(&format!("create --name rests {options} busybox true"));
        eventually("the volume's file", || {
            cli.code("exec runs test -s /vol/a/b/v/file") == 0
        });
        let before = mounts(&d, "runs");
        let busy = |path: &str| format!("unlinkat {path}: device or resource busy");
        for container in ["runs", "rests"] {
            for (from, to) in [
                (new.display().to_string(), "/data/x"),
                (format!("{}/.", folder.display()), "/data"),
            ] {
                let out = cli.refused(&format!("cp {from} {container}:{to}"), &[&busy("/data/x")]);
                assert_eq!(out.code, 1, "{out}");
            }
            // What is one of our own, and is there while it runs.
            if container == "runs" {
                let line = format!("cp {} runs:/etc/hosts", new.display());
                cli.refused(&line, &[&busy("/etc/hosts")]);
            }
            let file = |name: &str| Layer::new().file(name, 0o644, "other").finish();
            let link = |name: &str| Layer::new().symlink(name, "/etc/passwd").finish();
            let node = |kind, name: &str| Layer::new().hostile(name, kind, "", b"").finish();
            let put = |path: &str, archive: &[u8], busy: &str| {
                refused(&d, container, path, archive, busy);
            };
            let inside = "/vol/a/b/v";
            put("/vol/a/b", &file("v"), inside);
            put("/vol", &file("a/b/v"), inside);
            put("/vol/a/b", &link("v"), inside);
            put("/vol/a/b", &node(EntryType::Fifo, "v"), inside);
            put("/data", &node(EntryType::Directory, "x"), "/data/x");
            put("/data", &link("x"), "/data/x");
            let linked = Layer::new().file("one", 0o644, "");
            put(
                "/data",
                &linked.hardlink("x", 0o644, "one").finish(),
                "/data/x",
            );
            // What it is mounted in goes no more than the mount.
            put("/vol/a", &file("b"), inside);
            put("/vol", &link("a"), inside);
            put("/", &file("data"), "/data/x");
        }
        assert_eq!(mounts(&d, "runs"), before);
        assert_eq!(cli.ok("exec runs cat /vol/a/b/v/file"), "kept");
        assert_eq!(cli.ok("exec runs cat /data/x"), "original");
        assert_ne!(cli.ok("exec runs cat /etc/hosts"), "other");
        assert_eq!(fs::read_to_string(&host).unwrap(), "original");
        cli.ok("rm -f runs rests");
        let kept = "run --rm -v pv:/v busybox cat /v/file";
        assert_eq!(cli.ok(kept), "kept");
        cli.ok("volume rm pv");
    }
    d.assert_no_leaks();
}

/// Files that are mounted are to be seen before the container has ever run.
#[test]
fn files_have_their_places_before_the_first_start() {
    let d = Daemon::fresh();
    let host = d.dir().join("x");
    fs::write(&host, "original").unwrap();
    let host = host.display();
    for cli in d.clis() {
        let name = cli.name();
        let volume = format!("nest-{name}");
        for (n, options) in [
            format!("-v {host}:/data/deep/x"),
            format!("--read-only -v {host}:/data/deep/x:ro"),
            // Whichever is named first.
            format!("-v {host}:/data/deep/x -v {volume}:/data"),
        ]
        .iter()
        .enumerate()
        {
            cli.ok(&format!(
                "create --name rests {options} busybox cat /data/deep/x"
            ));
            let out = d.dir().join(format!("{name}-{n}"));
            cli.ok(&format!("cp rests:/data/deep/x {}", out.display()));
            assert_eq!(fs::read_to_string(&out).unwrap(), "original");
            assert!(cli.ok("cp rests:/data/deep/x -").contains("original"));
            assert_eq!(cli.ok("start -a rests"), "original");
            cli.ok("rm rests");
        }
        cli.ok(&format!("volume rm {volume}"));
    }
    d.assert_no_leaks();
}
