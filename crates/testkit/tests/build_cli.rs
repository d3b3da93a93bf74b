//! `wharf build` as a whole: contexts of which only changes travel, ignore files, standard input,
//! outputs, secrets, progress, and being called off.

use std::{
    fs,
    io::{Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use testkit::{Cli, Daemon, Output, eventually, images, run};

/// A folder for a context, a cache for the command line, and whatever else a test makes.
struct Desk {
    d: Daemon,
    cli: Cli,
    dir: PathBuf,
}

impl Desk {
    fn new() -> Self {
        let d = Daemon::fresh();
        let (cli, dir) = (d.wharf(), d.dir().join("desk"));
        fs::create_dir_all(dir.join("context")).expect("a folder");
        Self { d, cli, dir }
    }

    fn at(&self, path: &str) -> PathBuf {
        self.dir.join(path)
    }

    fn write(&self, path: &str, text: impl AsRef<[u8]>) {
        let path = self.at(path);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    fn dockerfile(&self, text: &str) {
        self.write("context/Dockerfile", text);
    }

    fn command(&self, line: &str) -> Command {
        let mut command = self.cli.command(line);
        command
            .current_dir(&self.dir)
            .env("XDG_CACHE_HOME", self.at("cache"))
            .env_remove("SSH_AUTH_SOCK");
        command
    }

    #[track_caller]
    fn run(&self, line: &str) -> Output {
        run(&mut self.command(line))
    }

    #[track_caller]
    fn ok(&self, line: &str) -> String {
        self.run(line).ok()
    }

    #[track_caller]
    fn with_input(&self, line: &str, input: &[u8]) -> Output {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the command line");
        // Who refuses it does not read it.
        let _ = child.stdin.take().expect("a pipe").write_all(input);
        let done = child.wait_with_output().expect("its end");
        Output {
            what: line.to_owned(),
            code: done.status.code().unwrap_or(-1),
            stdout: String::from_utf8_lossy(&done.stdout).into_owned(),
            stderr: String::from_utf8_lossy(&done.stderr).into_owned(),
        }
    }

    /// Runs a shell line in `image`.
    #[track_caller]
    fn sh(&self, image: &str, script: &str) -> String {
        self.cli.ok(&format!("run --rm {image} sh -c '{script}'"))
    }
}

/// A socket in front of the daemon's that counts what the client sends.
struct Counter {
    socket: PathBuf,
    sent: Arc<AtomicU64>,
}

impl Counter {
    fn start(desk: &Desk) -> Self {
        let command = desk.cli.command("");
        let host = command
            .get_envs()
            .find(|(name, _)| *name == "DOCKER_HOST")
            .and_then(|(_, value)| value?.to_str()?.strip_prefix("unix://").map(PathBuf::from))
            .expect("the daemon's socket");
        let socket = desk.at("counted.sock");
        let listener = UnixListener::bind(&socket).expect("a socket");
        let sent = Arc::new(AtomicU64::new(0));
        let all = sent.clone();
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let Ok(daemon) = UnixStream::connect(&host) else {
                    return;
                };
                let (all, up, down) = (all.clone(), pair(&client), pair(&daemon));
                thread::spawn(move || copy(up.0, down.0, &all));
                thread::spawn(move || copy(down.1, up.1, &AtomicU64::new(0)));
            }
        });
        Self { socket, sent }
    }

    /// Bytes that `line` sends.
    fn of(&self, desk: &Desk, line: &str) -> u64 {
        self.sent.store(0, Ordering::SeqCst);
        let host = format!("unix://{}", self.socket.display());
        run(desk.command(line).env("DOCKER_HOST", host)).ok();
        self.sent.load(Ordering::SeqCst)
    }
}

fn pair(stream: &UnixStream) -> (UnixStream, UnixStream) {
    let clone = || stream.try_clone().expect("a descriptor");
    (clone(), clone())
}

fn copy(mut from: UnixStream, mut to: UnixStream, count: &AtomicU64) {
    let mut buffer = vec![0; 64 << 10];
    while let Ok(n @ 1..) = from.read(&mut buffer) {
        count.fetch_add(n as u64, Ordering::SeqCst);
        if to.write_all(&buffer[..n]).is_err() {
            break;
        }
    }
    let _ = to.shutdown(std::net::Shutdown::Write);
}

#[test]
fn only_what_changed_travels() {
    let mut desk = Desk::new();
    let counter = Counter::start(&desk);
    desk.dockerfile("FROM busybox\nCOPY . /all\n");
    for n in 0..2000 {
        let text = format!("file {n} ").repeat(100);
        desk.write(&format!("context/d{}/f{n}", n % 40), text);
    }
    let build = "build -q -t counted context";
    let first = counter.of(&desk, build);
    assert!(first > 1_500_000, "all of it: {first}");
    let second = counter.of(&desk, build);
    assert!(second < 4000, "nothing of it: {second}");
    desk.write("context/d7/f7", "another text, and unlike the others");
    fs::remove_file(desk.at("context/d8/f8")).expect("a file");
    let third = counter.of(&desk, build);
    assert!(third < 4000, "one file of it: {third}");
    assert_eq!(
        desk.sh(
            "counted",
            "cat /all/d7/f7; ls /all/d8 | wc -l; find /all -type f | wc -l"
        ),
        "another text, and unlike the others49\n2000"
    );
    // The daemon knows contents, and no longer which context they are of.
    desk.d.sigterm();
    desk.d.restart();
    let fourth = counter.of(&desk, build);
    assert!(
        (100_000..1_000_000).contains(&fourth),
        "the list of it: {fourth}"
    );
    assert_eq!(desk.sh("counted", "find /all -type f | wc -l"), "2000");
}

#[test]
fn what_is_ignored_is_never_read() {
    let desk = Desk::new();
    desk.dockerfile("FROM busybox\nCOPY . /all\n");
    desk.write(
        "context/.dockerignore",
        "Dockerfile\n*.log\nsecret\n!keep.log\n",
    );
    desk.write("other.Dockerfile", "FROM busybox\nCOPY . /all\n");
    desk.write("other.Dockerfile.dockerignore", "*\n!secret/deep\n");
    for file in ["a.log", "keep.log", "secret/deep/x", "secret/y", "z"] {
        desk.write(&format!("context/{file}"), file);
    }
    let unreadable = desk.at("context/secret/y");
    // Root reads everything; a pipe that nobody writes to stops whoever opens it.
    fs::remove_file(&unreadable).expect("a file");
    run(Command::new("mkfifo").arg(&unreadable)).ok();
    std::os::unix::fs::symlink("/etc/passwd", desk.at("context/link")).expect("a link");
    desk.ok("build -q -t one context");
    let files = "cd /all && find . -type f -o -type l | sort | tr \"\\n\" \" \"";
    assert_eq!(
        desk.sh("one", files),
        "./.dockerignore ./keep.log ./link ./z "
    );
    assert_eq!(desk.sh("one", "readlink /all/link"), "/etc/passwd");
    desk.ok("build -q -t two -f other.Dockerfile context");
    assert_eq!(desk.sh("two", files), "./secret/deep/x ");
}

#[test]
fn standard_input_is_a_dockerfile_or_an_archive() {
    let desk = Desk::new();
    desk.dockerfile("FROM busybox\nCOPY a /a\n");
    desk.write("context/a", "of the archive");
    let done = desk.with_input("build -q -t one -f - context", b"FROM busybox\nCOPY a /b\n");
    done.ok();
    assert_eq!(desk.sh("one", "cat /b"), "of the archive");
    let done = desk.with_input(
        "build -q -t two -",
        b"FROM busybox\nRUN echo of nothing > /c\n",
    );
    done.ok();
    assert_eq!(desk.sh("two", "cat /c"), "of nothing");
    let tar = Command::new("tar")
        .args(["-C", "context", "-cz", "."])
        .current_dir(&desk.dir)
        .output()
        .expect("tar");
    desk.with_input("build -q -t three -", &tar.stdout).ok();
    assert_eq!(desk.sh("three", "cat /a"), "of the archive");
}

#[test]
fn results_are_images_files_and_archives() {
    let desk = Desk::new();
    desk.dockerfile("FROM busybox AS make\nRUN mkdir /out && echo made > /out/file && ln -s file /out/link\nFROM scratch AS files\nCOPY --from=make /out /\nFROM make\n");
    desk.ok("build --target files -o out context");
    assert_eq!(
        fs::read_to_string(desk.at("out/file")).expect("a file"),
        "made\n"
    );
    assert_eq!(
        fs::read_link(desk.at("out/link")).expect("a link"),
        Path::new("file")
    );
    desk.ok("build --target files -o type=tar,dest=files.tar context");
    let names = run(Command::new("tar").arg("-tf").arg(desk.at("files.tar"))).ok();
    assert!(names.lines().any(|l| l == "file"), "{names}");
    desk.ok("build -t named -o type=docker,dest=image.tar context");
    let loaded = desk.ok("load -i image.tar");
    assert!(loaded.contains("named:latest"), "{loaded}");
    assert_eq!(desk.sh("named", "cat /out/file"), "made");
    desk.ok("build -t named -o type=oci,dest=oci.tar context");
    let names = run(Command::new("tar").arg("-tf").arg(desk.at("oci.tar"))).ok();
    assert!(
        names.contains("index.json") && names.contains("oci-layout"),
        "{names}"
    );
    let mut child = desk
        .command("build -q --target files -o - context")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the command line");
    let mut bytes = Vec::new();
    child
        .stdout
        .take()
        .expect("a pipe")
        .read_to_end(&mut bytes)
        .expect("bytes");
    assert!(child.wait().expect("its end").success());
    assert_eq!(&bytes[257..262], b"ustar");
    let out = desk.run("build --iidfile iid --metadata-file meta -q -t named context");
    let id = out.ok();
    assert_eq!(fs::read_to_string(desk.at("iid")).expect("a file"), id);
    assert_eq!(desk.ok("inspect -f '{{.Id}}' named"), id);
    let meta = fs::read_to_string(desk.at("meta")).expect("a file");
    assert!(
        meta.contains(&id) && meta.contains("docker.io/library/named:latest"),
        "{meta}"
    );
}

#[test]
fn secrets_and_agents_reach_steps_only() {
    let desk = Desk::new();
    desk.d.load(&images::debian_tar());
    desk.dockerfile(
        "FROM debian\nRUN --mount=type=secret,id=file --mount=type=secret,id=env cat /run/secrets/file /run/secrets/env | tr a-z A-Z > /got\nRUN --mount=type=ssh perl -MIO::Socket::UNIX -e '$s = IO::Socket::UNIX->new(Peer => $ENV{SSH_AUTH_SOCK}) or die $!; print $s \"question\\n\"; $s->flush; print \"answer: \", scalar <$s>'\n",
    );
    desk.write("secret", "hush ");
    let agent = UnixListener::bind(desk.at("agent.sock")).expect("a socket");
    let serving = thread::spawn(move || {
        let (mut stream, _) = agent.accept().expect("a step");
        let mut question = [0; 9];
        stream.read_exact(&mut question).expect("a question");
        assert_eq!(&question, b"question\n");
        stream.write_all(b"of the agent\n").expect("a step");
    });
    let line = "build --progress=plain -t secretive --secret id=file,src=secret --secret id=env,env=OF_ENV --ssh default=agent.sock context";
    let done = run(desk.command(line).env("OF_ENV", "variable"));
    assert!(
        done.stderr.contains("answer: of the agent"),
        "{}",
        done.stderr
    );
    done.ok();
    serving.join().expect("the agent was asked");
    assert_eq!(
        desk.sh("secretive", "cat /got; ls /run/secrets 2>/dev/null | wc -l"),
        "HUSH VARIABLE0"
    );
    let done = desk.run("build --ssh default context");
    assert!(done.stderr.contains("SSH_AUTH_SOCK"), "{}", done.stderr);
}

#[test]
fn progress_is_told_in_four_forms() {
    let desk = Desk::new();
    desk.dockerfile(
        "FROM busybox\nRUN echo said on the way; sleep 0.1\nRUN echo last words; exit 3\n",
    );
    let done = desk.run("build --progress=plain context");
    assert_eq!((done.code, done.stdout.as_str()), (1, ""));
    for part in [
        "#1 [internal] load build context\n",
        "RUN echo said on the way; sleep 0.1\n",
        " said on the way\n",
        " ERROR: process \"/bin/sh -c echo last words; exit 3\" did not complete successfully: exit code: 3\n------\n > [3/3] RUN echo last words; exit 3:\n",
        "exit code: 3",
    ] {
        assert!(done.stderr.contains(part), "{part:?} in {}", done.stderr);
    }
    let told = "\nERROR: failed to solve: process \"/bin/sh -c echo last words; exit 3\" did not";
    assert!(done.stderr.contains(told), "{}", done.stderr);
    let done = desk.run("build --progress=rawjson context");
    let known = [
        "{\"vertexes\":[",
        "{\"logs\":[",
        "{\"statuses\":[",
        "{\"warnings\":[",
    ];
    let (last, lines) = done.stderr.trim_end().split_once("\nERROR: ").map_or_else(
        || panic!("no error in {}", done.stderr),
        |(lines, last)| (last, lines),
    );
    assert!(last.contains("exit code: 3"));
    for line in lines.lines().filter(|l| l.starts_with('{')) {
        assert!(known.iter().any(|k| line.starts_with(k)), "{line}");
    }
    desk.dockerfile("FROM busybox\nRUN echo said on the way; sleep 0.1\n");
    let mut tty = desk
        .cli
        .tty(&format!("build {}", desk.at("context").display()));
    tty.expect("FINISHED");
    assert_eq!(tty.wait(), 0);
    let screen = tty.screen();
    assert!(
        screen.contains("[+] Building ") && screen.contains("CACHED [2/2] RUN echo said"),
        "{screen}"
    );
    let id = desk.ok("build -q context");
    assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
}

/// Whether a process with this command line runs anywhere on the machine.
fn runs(needle: &str) -> bool {
    let all = fs::read_dir("/proc").expect("processes");
    all.flatten().any(|entry| {
        let text = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).replace('\0', " ");
        text.trim_end() == needle
    })
}

#[test]
fn an_interrupt_ends_the_build_and_its_processes() {
    let desk = Desk::new();
    let seconds = format!("3{}", std::process::id());
    desk.dockerfile(&format!("FROM busybox\nRUN echo begins; sleep {seconds}\n"));
    let mut command = desk.command("build --progress=plain context");
    let mut child = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the command line");
    let needle = format!("sleep {seconds}");
    eventually("the step runs", || runs(&needle));
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it runs");
    assert_eq!(child.wait().expect("its end").code(), Some(130));
    eventually("the step is gone", || !runs(&needle));
    assert_eq!(desk.ok("ps -aq"), "");
}

#[test]
fn checks_and_the_cache_are_told() {
    let desk = Desk::new();
    desk.dockerfile("FROM busybox\nMAINTAINER me\nRUN echo a > /a\n");
    let done = desk.run("build --check context");
    assert_eq!(done.code, 1, "{}", done.stderr);
    assert!(
        done.stdout.contains("MaintainerDeprecated"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout.contains("   2 | >>> MAINTAINER me\n"),
        "{}",
        done.stdout
    );
    assert!(
        done.stdout
            .ends_with("Check complete, 1 warning has been found!\n")
    );
    let done = desk.run("build --progress=plain context");
    assert!(
        done.stderr.contains(" - MaintainerDeprecated: "),
        "{}",
        done.stderr
    );
    done.ok();
    let table = desk.ok("builder du");
    assert!(
        table.starts_with("ID ") && table.contains("Total: "),
        "{table}"
    );
    let kinds = desk.ok("buildx du --format '{{.Type}} {{.Description}}'");
    assert!(kinds.contains("RUN echo a > /a"), "{kinds}");
    let df = desk.ok("system df --format '{{.Type}} {{.TotalCount}}'");
    let count = df
        .lines()
        .find_map(|l| l.strip_prefix("Build Cache "))
        .expect("a row");
    assert_ne!(count, "0", "{df}");
    assert!(desk.ok("system df -v").contains("CACHE ID"));
    let pruned = desk.ok("builder prune -af");
    assert!(
        pruned.starts_with("Deleted build cache objects:\n"),
        "{pruned}"
    );
    let done = desk.run("build --progress=plain context");
    assert!(
        done.stderr.contains("\ncached: 0 of 1 steps\n"),
        "{pruned} {}",
        done.stderr
    );
    done.ok();
    assert!(desk.ok("buildx ls").contains("default*"));
}

#[test]
fn what_a_dockerfile_offers_is_told() {
    let desk = Desk::new();
    desk.dockerfile(
        "# VERSION is what is built.\nARG VERSION=1\n# base has the tools.\nFROM busybox AS base\n\
         RUN --mount=type=secret,id=token,required --mount=type=ssh true\nFROM base AS app\n\
         ARG VERSION\n",
    );
    assert_eq!(
        desk.ok("build --call targets context").trim_end(),
        "TARGET        DESCRIPTION\nbase          has the tools.\napp (default)"
    );
    assert_eq!(
        desk.ok("build --call outline --build-arg VERSION=2 context")
            .trim_end(),
        "TARGET: app\n\nBUILD ARG   VALUE   DESCRIPTION\nVERSION     2       is what is built.\n\n\
         SECRET   REQUIRED\ntoken    true\n\nSSH       REQUIRED\ndefault"
    );
    let text = desk.ok("build --call outline,format=json --target base context");
    let value: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(value["name"], "base");
    assert_eq!(value["secrets"][0]["required"], true);
    assert_eq!(
        value["secrets"][0]["location"]["ranges"][0]["start"]["line"],
        5
    );
    assert!(
        value["sources"][0].is_string() && value.get("args").is_none(),
        "{text}"
    );
    // Nothing was built.
    assert!(!desk.ok("builder du").contains("RUN"));
}

#[test]
fn variables_of_base_images_are_known_where_they_are_here() {
    let desk = Desk::new();
    desk.dockerfile("FROM busybox AS a\nENV OWN=1\n");
    desk.ok("build -t own:1 context");
    desk.dockerfile("ARG BASE=own:1\nFROM $BASE\nLABEL a=$OWN b=$PATH c=$NOTHING\n");
    let done = desk.run("build --check context");
    assert_eq!(done.code, 1, "{}", done.stdout);
    let found = done.stdout.matches("Usage of undefined variable").count();
    assert_eq!(found, 1, "{}", done.stdout);
    assert!(
        done.stdout.contains("undefined variable '$NOTHING'"),
        "{}",
        done.stdout
    );
    // Nobody knows what an image has that is not here, and nothing is pulled to find out.
    desk.ok("build --check --build-arg BASE=localhost:1/none:1 context");
    let json = desk.run("build --call check,format=json context");
    let value: serde_json::Value = serde_json::from_str(&json.stdout).expect("JSON");
    assert_eq!(value["warnings"][0]["ruleName"], "UndefinedVar");
    desk.ok("build --call check,ignorestatus=true context");
    // By the argument that goes before the file's own words, too.
    let failed = desk.run("build --build-arg BUILDKIT_DOCKERFILE_CHECK=error=true context");
    assert!(
        failed.stderr.contains("lint violation found"),
        "{}",
        failed.stderr
    );
}
