//! Builds that fail, are called off, or lose their daemon.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::UnixStream,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use testkit::{Cli, Daemon, Lan, Opts, Running, Web, eventually};

use crate::Files;

fn slow() -> Files {
    Files::new("FROM busybox\nRUN echo before > /b\nRUN echo begun; sleep 1000\n")
}

/// Waits until a build's step runs.
pub(crate) fn begun(d: &Daemon) {
    let root = d.dir().join("exec/containers");
    eventually("the step to begin", || {
        let some = fs::read_dir(&root).into_iter().flatten().flatten();
        some.count() > 0 && sleeping(d)
    });
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

/// Waits until nothing of a build is left: no process, no container, no temporary file.
pub(crate) fn nothing_left(d: &Daemon) {
    let count = |path: &str| fs::read_dir(d.dir().join(path)).map_or(0, Iterator::count);
    eventually("nothing of the build to be left", || {
        let run = count("exec/containers");
        let files = count("data/image/containers");
        let temp = count("data/build/tmp");
        !sleeping(d) && run + files + temp == 0
    });
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

/// A build that waits in its step, with its client.
fn waiting(d: &Daemon, client: &Cli) -> Running {
    let files = slow();
    let mut command = client.command(&format!("build {}", files.dir().display()));
    command.env("DOCKER_BUILDKIT", "0").stdin(Stdio::null());
    let running = Running::start(&mut command);
    begun(d);
    running
}

#[test]
fn a_daemons_death_leaves_the_cache_and_nothing_else() {
    let mut d = Daemon::fresh();
    let client = waiting(&d, &d.wharf());
    d.kill9();
    let out = client.wait();
    assert_eq!(out.code, 1, "{out}");
    assert!(out.stderr.contains("ERROR: "), "{out}");
    d.restart();
    nothing_left(&d);
    let quick = Files::new("FROM busybox\nRUN echo before > /b\n");
    let told = quick.build(&d, "");
    assert_eq!(crate::cached(&told), 1, "{told}");
}

#[test]
fn a_daemon_that_ends_calls_its_builds_off() {
    let mut d = Daemon::fresh();
    for cli in [d.wharf(), d.docker()] {
        let client = waiting(&d, &cli);
        assert_eq!(d.sigterm(), 0);
        // Nothing is left for the next daemon to do.
        nothing_left(&d);
        let out = client.wait();
        assert_ne!(out.code, 0, "{out}");
        let said = format!("{}{}", out.stdout, out.stderr);
        assert!(said.contains("build canceled"), "{out}");
        assert!(!d.log().contains("builds still go on"), "{}", d.log());
        d.restart();
        let quick = Files::new("FROM busybox\nRUN echo before > /b\n");
        assert_eq!(crate::cached(&quick.build(&d, "")), 1);
    }
}

#[test]
fn a_prune_leaves_running_builds_alone() {
    let d = Daemon::fresh();
    let go = Arc::new(AtomicBool::new(false));
    let may = Arc::clone(&go);
    let web = Web::start(d.host().outside(), Lan::OUTSIDE, move |request, answer| {
        if request.path == "/file" {
            return answer.send("200 OK", &[], b"fetched");
        }
        let released = || may.load(Ordering::Relaxed);
        eventually("the test to go on", released);
        answer.send("200 OK", &[], b"go");
    });
    let url = web.url("");
    let files = Files::new(&format!(
        "FROM busybox AS early\nRUN echo early > /e\nADD {url}/file /f\n\
         FROM busybox\n\
         RUN --mount=type=cache,target=/c echo kept > /c/k && wget -q -O /w {url}/wait && cat /c/k\n\
         COPY --from=early /e /f /\nCOPY late /late\n\
         RUN --mount=type=cache,target=/c --mount=target=/ctx cat /ctx/late > /seen\n"
    ))
    .file("late", "from the context");
    let line = format!("build -t it --progress plain {}", files.dir().display());
    let client = d.wharf().start(&line);
    let waits = || web.asked().iter().any(|a| a.path == "/wait");
    eventually("the step to wait", waits);
    for _ in 0..3 {
        d.wharf().ok("builder prune -af");
        d.wharf().ok("system prune -af");
    }
    go.store(true, Ordering::Relaxed);
    let out = client.wait();
    assert_eq!(out.code, 0, "{out}");
    let seen = crate::sh(&d, "cat /e /f /late /seen");
    assert_eq!(seen, "early\nfetchedfrom the contextfrom the context");
    nothing_left(&d);
}

#[test]
fn a_client_that_goes_while_it_sends_leaves_nothing() {
    let d = Daemon::fresh();
    let tar = {
        let files = Files::new("FROM busybox\n");
        fs::write(files.path("big"), vec![7; 4 << 20]).expect("a file");
        let mut tar = std::process::Command::new("tar");
        let tar = tar
            .args(["-cf", "-", "."])
            .current_dir(files.dir())
            .output();
        tar.expect("tar").stdout
    };
    let digest = testkit::images::sha256(b"announced");
    let content = [format!("{digest}{:016x}\n", 1 << 20).as_bytes(), &[7; 1000]].concat();
    for (path, kind, body) in [
        ("/build", "application/x-tar", &tar[..2 << 20]),
        (
            "/wharf/build/content",
            "application/octet-stream",
            &content[..],
        ),
        (
            "/wharf/build/context",
            "application/json",
            &b"{\"entries\": {"[..],
        ),
    ] {
        let mut socket = UnixStream::connect(d.dir().join("d.sock")).expect("the daemon");
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: {kind}\r\n\
             Content-Length: {}\r\n\r\n",
            body.len() + 1000
        );
        socket.write_all(head.as_bytes()).expect("taken");
        // It may end the connection before it has all.
        let _ = socket.write_all(body);
        drop(socket);
        nothing_left(&d);
        let new = d.dir().join("data/build/pool/new");
        eventually("no half of a file", || {
            fs::read_dir(&new).is_ok_and(|mut all| all.next().is_none())
        });
    }
    assert_eq!(d.wharf().ok("ps -aq"), "");
}

#[test]
fn a_client_that_goes_while_it_gets_the_result_leaves_nothing() {
    let d = Daemon::fresh();
    let files = Files::new("FROM busybox\nRUN dd if=/dev/urandom of=/big bs=1M count=20\n");
    let images = d.wharf().ok("images -aq");
    for output in ["type=tar,dest=-", "type=oci,dest=-"] {
        let line = format!("build -o {output} {}", files.dir().display());
        let mut command = d.wharf().command(&line);
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let mut client = command.spawn().expect("a client");
        // The first bytes, and no more.
        let mut out = client.stdout.take().expect("a pipe");
        out.read_exact(&mut [0; 512]).expect("the beginning of it");
        client.kill().expect("killed");
        client.wait().expect("ended");
        nothing_left(&d);
        eventually("the image that was only exported to go", || {
            d.wharf().ok("images -aq") == images
        });
    }
    // And the other end closed in an orderly way.
    let mut command = d
        .wharf()
        .command(&format!("build -o - {}", files.dir().display()));
    command.stdout(Stdio::piped()).stderr(Stdio::null());
    let mut client = command.spawn().expect("a client");
    drop(client.stdout.take());
    assert!(!client.wait().expect("ended").success());
    nothing_left(&d);
}

#[test]
fn a_full_disk_fails_a_build_and_no_more() {
    let opts = Opts {
        data_size: Some("60m".into()),
        ..Opts::default()
    };
    let d = Daemon::with(opts);
    let full = ["o space left on device"];
    let files = Files::new("FROM busybox\nRUN dd if=/dev/zero of=/big bs=1M count=200\n");
    files.fails(&d, "", &full);
    nothing_left(&d);
    let big = Files::new("FROM busybox\nCOPY big /big\n");
    // Of different parts, so that the pool has all of them.
    let mut state = 1_u64;
    let mut bytes = vec![0_u8; 35 << 20];
    for word in bytes.chunks_mut(8) {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        word.copy_from_slice(&(state ^ (state >> 29)).to_le_bytes()[..word.len()]);
    }
    fs::write(big.path("big"), &bytes).expect("a file");
    big.fails(&d, "", &full);
    nothing_left(&d);
    d.wharf().ok("builder prune -af");
    fs::write(big.path("big"), [&bytes[..], &bytes[..]].concat()).expect("a file");
    // Not even sent.
    big.fails(&d, "", &full);
    nothing_left(&d);
    d.wharf().ok("builder prune -af");
    let web = Web::start(d.host().outside(), Lan::OUTSIDE, |_, answer| {
        answer.raw(b"HTTP/1.1 200 OK\r\n\r\n");
        while answer.raw(&[7; 64 << 10]) {}
    });
    Files::new(&format!("FROM busybox\nADD {} /x\n", web.url("/endless"))).fails(&d, "", &full);
    nothing_left(&d);
    // What is small still fits.
    let small = Files::new("FROM busybox\nRUN echo fits > /f\n");
    small.build(&d, "");
    assert_eq!(crate::sh(&d, "cat /f"), "fits");
}
