//! The client's SSH agent: in steps, and for git repositories.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use tempfile::TempDir;
use testkit::{Daemon, Lan, Running, eventually, run};

use crate::{Files, faults, git::Repositories, sh};

/// Keys and agents in one folder.
struct Keys(TempDir);

impl Keys {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Makes a key, which is found by its comment: its name.
    fn key(&self, name: &str) -> String {
        let mut command = Command::new("ssh-keygen");
        command
            .args(["-q", "-t", "ed25519", "-N", "", "-C", name, "-f"])
            .arg(self.path(name));
        run(&mut command).ok();
        self.path(name).display().to_string()
    }

    /// OpenSSH's agent with a key.
    fn agent(&self, name: &str, key: &str) -> Running {
        let socket = self.path(name);
        let mut command = Command::new("ssh-agent");
        command
            .arg("-D")
            .arg("-a")
            .arg(&socket)
            .stdin(Stdio::null());
        let agent = Running::start(&mut command);
        eventually("the agent", || socket.exists());
        let mut add = Command::new("ssh-add");
        add.arg("-q")
            .arg(self.path(key))
            .env("SSH_AUTH_SOCK", &socket);
        run(&mut add).ok();
        agent
    }
}

/// Gives a context the program `ssh-add` with all that it needs, as `/ctx/ssh-add` in a step.
fn with_ssh_add(files: Files) -> Files {
    let libraries = run(Command::new("ldd").arg("/usr/bin/ssh-add")).ok();
    let paths = libraries.split_whitespace().filter(|w| w.starts_with('/'));
    for path in paths.chain(["/usr/bin/ssh-add"]) {
        let name = Path::new(path).file_name().expect("a file");
        fs::copy(path, files.path("ssh").join(name)).expect("a copy");
    }
    let run = "#!/bin/sh\nexec /ssh/ld-linux-x86-64.so.2 --library-path /ssh /ssh/ssh-add \"$@\"\n";
    files.file("ssh/run", run).mode("ssh/run", 0o755)
}

fn files(steps: &str) -> Files {
    let text = format!("FROM busybox\nCOPY ssh /ssh\n{steps}");
    with_ssh_add(Files::new(&text).file("ssh/here", ""))
}

#[test]
fn steps_ask_the_agent_of_the_client() {
    let d = Daemon::fresh();
    let keys = Keys::new();
    let (one, two) = (keys.key("key-one"), keys.key("key-two"));
    let _first = keys.agent("first.sock", "key-one");
    let _second = keys.agent("second.sock", "key-two");
    let files = files(
        r#"RUN --mount=type=ssh /ssh/run -l > /listed && echo $SSH_AUTH_SOCK > /socket
RUN --mount=type=ssh,id=other,target=/tmp/agent,mode=0666,uid=7 /ssh/run -l > /listed2 && stat -c %a:%u /tmp/agent > /owner
RUN --mount=type=ssh,id=nobody true && test -z "$SSH_AUTH_SOCK"
RUN test -z "$SSH_AUTH_SOCK" && test ! -e /tmp/agent
"#,
    );
    let (first, second) = (keys.path("first.sock"), keys.path("second.sock"));
    let more = format!(
        "--ssh default={} --ssh other={}",
        first.display(),
        second.display()
    );
    files.build(&d, &more);
    let listed = sh(&d, "cat /listed; cat /listed2 /socket /owner");
    let lines: Vec<_> = listed.lines().collect();
    assert!(lines.len() == 4 && lines[0].contains("key-one"), "{listed}");
    assert!(lines[1].contains("key-two"), "{listed}");
    assert_eq!(lines[2], "/run/buildkit/ssh_agent.0");
    assert_eq!(lines[3], "666:7");
    assert_eq!(
        sh(&d, "ls -d /run/buildkit /tmp/agent 2>/dev/null; true"),
        ""
    );
    faults::nothing_left(&d);

    // Keys go into an agent that is there for the build alone.
    d.wharf().ok("builder prune -af");
    files.build(&d, &format!("--ssh default={one},{two} --ssh other={two}"));
    let listed = sh(&d, "cat /listed /listed2");
    assert!(listed.lines().count() == 3, "{listed}");
    assert!(
        listed.contains("key-one") && listed.contains("key-two"),
        "{listed}"
    );
    let left = format!("/tmp/wharf-ssh-{}", std::process::id());
    assert!(!Path::new(&left).exists());
    for key in [&one, &two] {
        let text = fs::read_to_string(key).expect("the key");
        let line = text.lines().nth(2).expect("its third line");
        let mut grep = Command::new("grep");
        let found = run(grep.args(["-rlF", "-e", line]).arg(d.dir()));
        assert_eq!(found.stdout, "", "a private key left its place");
    }

    let required = Files::new("FROM busybox\nRUN --mount=type=ssh,required true\n");
    required.fails(&d, "", &["--ssh"]);
    required.fails(&d, &format!("--ssh other={}", first.display()), &["--ssh"]);
    required.build(&d, &format!("--ssh default={}", first.display()));
    fs::set_permissions(&one, fs::Permissions::from_mode(0o644)).expect("a mode");
    required.fails(
        &d,
        &format!("--ssh default={one}"),
        &["failed to add the key"],
    );
}

#[test]
fn a_hostile_step_cannot_hold_up_or_exhaust_the_client() {
    let d = Daemon::fresh();
    let keys = Keys::new();
    keys.key("key-one");
    let _agent = keys.agent("agent.sock", "key-one");
    let files = files("");
    // Speaks to the socket: opens it often, and sends without end.
    let attack = r#"
import os, socket
def connect():
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(10)
    s.connect(os.environ["SSH_AUTH_SOCK"])
    return s
many = []
for _ in range(200):
    try:
        many.append(connect())
    except OSError:
        break
for s in many:
    s.close()
s = connect()
sent = 0
try:
    s.sendall(b"\x00\x10\x00\x00")
    while sent < 64 << 20:
        sent += s.send(b"x" * 65536)
    print("took it all")
except OSError:
    print("was ended")
"#;
    d.load(&testkit::images::python_tar());
    files.write("attack.py", attack);
    files.write(
        "Dockerfile",
        "FROM python:slim\nCOPY ssh /ssh\nCOPY attack.py /\n\
         RUN --mount=type=ssh python3 /attack.py > /attack && /ssh/run -l > /listed\n",
    );
    files.build(
        &d,
        &format!("--ssh default={}", keys.path("agent.sock").display()),
    );
    let told = sh(&d, "cat /attack /listed");
    assert!(
        told.starts_with("was ended") && told.contains("key-one"),
        "{told}"
    );
}

#[test]
fn repositories_by_ssh_open_with_the_agent() {
    let d = Daemon::fresh();
    let keys = Keys::new();
    let key = keys.key("user");
    let other = keys.key("other");
    keys.key("host");
    let _agent = keys.agent("agent.sock", "user");
    fs::copy(keys.path("user.pub"), keys.path("authorized")).expect("a copy");
    let all = Repositories::new();
    all.make("app.git");
    all.commit(
        "app.git",
        &[("Dockerfile", "FROM busybox\nCOPY f /f\n"), ("f", "by ssh")],
    );
    let port = {
        let free = || {
            std::net::TcpListener::bind((Lan::OUTSIDE, 0))
                .expect("a port")
                .local_addr()
        };
        d.host().outside().within(free).expect("bound").port()
    };
    let config = format!(
        "HostKey {host}\nListenAddress {ip}:{port}\nPidFile none\nStrictModes no\nUsePAM no\n\
         AuthorizedKeysFile {authorized}\nPasswordAuthentication no\n\
         KbdInteractiveAuthentication no\nPermitRootLogin yes\nPermitUserEnvironment no\n",
        host = keys.path("host").display(),
        ip = Lan::OUTSIDE,
        authorized = keys.path("authorized").display(),
    );
    fs::write(keys.path("config"), config).expect("a file");
    fs::create_dir_all("/run/sshd").expect("what sshd wants to be there");
    let mut sshd = Command::new("/usr/sbin/sshd");
    sshd.args(["-D", "-e", "-f"])
        .arg(keys.path("config"))
        .stdin(Stdio::null());
    let serving = d.host().outside().start(&mut sshd);
    eventually("sshd", || {
        let at = (Lan::OUTSIDE, port);
        d.host()
            .outside()
            .within(|| std::net::TcpStream::connect(at).is_ok())
    });
    let path = all.root().join("app.git");
    let url = format!("ssh://root@{}:{port}{}", Lan::OUTSIDE, path.display());
    let agent = format!("--ssh default={}", keys.path("agent.sock").display());
    let out = d.wharf().run(&format!("build -t it {agent} {url}"));
    assert_eq!(out.code, 0, "{out}\n{}", serving.stderr());
    assert_eq!(sh(&d, "cat /f"), "by ssh");
    let add = Files::new(&format!("FROM busybox\nADD {url}#master /a\n"));
    add.build(&d, &format!("--ssh default={key}"));
    assert_eq!(sh(&d, "cat /a/f"), "by ssh");
    // By no key but the client's: not by the daemon's user's either.
    d.wharf().ok("builder prune -af");
    add.fails(&d, "", &["give --ssh default"]);
    add.fails(
        &d,
        &format!("--ssh default={other}"),
        &["git ls-remote", "Permission denied"],
    );
    let answer = d.api().post(&format!("/build?remote={url}"), None);
    assert!(
        answer.text().contains("give --ssh default"),
        "{}",
        answer.text()
    );
    faults::nothing_left(&d);
}
