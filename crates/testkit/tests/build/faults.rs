//! Builds that fail, are called off, or lose their daemon.

use std::{fs, process::Stdio, thread, time::Duration};

use testkit::Daemon;

use crate::Files;

fn slow() -> Files {
    Files::new("FROM busybox\nRUN echo before > /b\nRUN echo begun; sleep 1000\n")
}

/// Waits until a build's step runs.
fn begun(d: &Daemon) {
    let root = d.dir().join("exec/containers");
    for _ in 0..2000 {
        let some = fs::read_dir(&root).into_iter().flatten().flatten();
        if some.count() > 0 && sleeping(d) {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("the step does not begin");
}

fn sleeping(d: &Daemon) -> bool {
    let parent = d.cgroup_parent().to_owned();
    fs::read_dir("/proc")
        .into_iter()
        .flatten()
        .flatten()
        .any(|p| {
            let cgroup = fs::read_to_string(p.path().join("cgroup")).unwrap_or_default();
            let command = fs::read(p.path().join("cmdline")).unwrap_or_default();
            cgroup.contains(&parent) && command.starts_with(b"sleep\x001000")
        })
}

fn nothing_left(d: &Daemon) {
    for _ in 0..500 {
        let run = fs::read_dir(d.dir().join("exec/containers")).map_or(0, Iterator::count);
        let files = fs::read_dir(d.dir().join("data/image/containers")).map_or(0, Iterator::count);
        let temp = fs::read_dir(d.dir().join("data/build/tmp")).map_or(0, Iterator::count);
        if !sleeping(d) && run + files + temp == 0 {
            return;
        }
        thread::sleep(Duration::from_millis(10));
    }
    panic!("something of the build is left");
}

#[test]
fn a_failing_step_leaves_no_container_and_tells_its_last_words() {
    let d = Daemon::fresh();
    let files = Files::new("FROM busybox\nRUN echo fine > /f\nRUN echo the last words; exit 42\n");
    files.fails(&d, "", &["the last words", "exit code: 42", "Dockerfile:3"]);
    nothing_left(&d);
    assert_eq!(d.wharf().ok("ps -aq"), "");
    let files = Files::new("FROM busybox\nRUN [\"/no/such/program\"]\n");
    files.fails(&d, "", &["/no/such/program"]);
    nothing_left(&d);
}

#[test]
fn closing_the_connection_ends_the_build() {
    let d = Daemon::fresh();
    let files = slow();
    for (program, env) in [("wharf", ""), ("docker", "0")] {
        let cli = if program == "wharf" {
            d.wharf()
        } else {
            d.docker()
        };
        let mut command = cli.command(&format!("build {}", files.dir().display()));
        command
            .env("DOCKER_BUILDKIT", env)
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let mut child = command.spawn().expect("a client");
        begun(&d);
        child.kill().expect("killed");
        child.wait().expect("ended");
        nothing_left(&d);
    }
}

#[test]
fn a_build_can_be_called_off_by_its_name() {
    let d = Daemon::fresh();
    let files = slow();
    let tar = std::process::Command::new("tar")
        .args(["-cf", "-", "."])
        .current_dir(files.dir())
        .output();
    let body = tempfile::NamedTempFile::new().expect("a file");
    fs::write(body.path(), tar.expect("tar").stdout).expect("written");
    let build = std::process::Command::new("curl")
        .args(["-sN", "--unix-socket"])
        .arg(d.dir().join("d.sock"))
        .arg("--data-binary")
        .arg(format!("@{}", body.path().display()))
        .args([
            "-H",
            "Content-Type: application/x-tar",
            "http://x/build?buildid=mine",
        ])
        .stdout(Stdio::piped())
        .spawn()
        .expect("curl");
    begun(&d);
    d.api()
        .post("/build/cancel?id=mine", Some(&serde_json::json!({})))
        .expect(200);
    let told = build.wait_with_output().expect("an answer").stdout;
    let told = String::from_utf8_lossy(&told);
    assert!(told.contains("build canceled"), "{told}");
    nothing_left(&d);
}

#[test]
fn a_daemons_death_leaves_the_cache_and_nothing_else() {
    let mut d = Daemon::fresh();
    let files = slow();
    let line = format!("build {}", files.dir().display());
    let mut command = d.wharf().command(&line);
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("a client");
    begun(&d);
    d.kill9();
    child.wait().expect("the client ends");
    d.restart();
    nothing_left(&d);
    let quick = Files::new("FROM busybox\nRUN echo before > /b\n");
    let told = quick.build(&d, "");
    assert_eq!(crate::cached(&told), 1, "{told}");
}
