//! Contexts, `ssh://` and configuration, beside the real `docker` where that is there.

use std::{fs, path::Path, process::Command};

use crate::fake::{Behaviour, Fake, cli, finish};

fn ours(config: &Path, args: &[&str]) -> Command {
    let mut command = cli(args);
    at(&mut command, config);
    command
}

fn at(command: &mut Command, config: &Path) {
    command
        .env("DOCKER_CONFIG", config)
        .env_remove("DOCKER_HOST")
        .env_remove("DOCKER_CONTEXT")
        .env_remove("WHARF_HOST");
}

/// One of the two command lines.
type Client = fn(&Path, &[&str]) -> Command;

fn docker(config: &Path, args: &[&str]) -> Command {
    let mut command = Command::new("docker");
    command.args(args);
    at(&mut command, config);
    command
}

#[test]
fn one_makes_a_context_and_the_other_uses_it() {
    let dir = tempfile::tempdir().unwrap();
    let config = dir.path();
    let fake = Fake::start(Behaviour::default());
    let host = format!("host=unix://{}", fake.socket.display());
    for (name, by_docker) in [("one", true), ("two", false)] {
        let (make, using): (Client, Client) = if by_docker {
            (docker, ours)
        } else {
            (ours, docker)
        };
        let made = finish(
            make(
                config,
                &[
                    "context",
                    "create",
                    name,
                    "--docker",
                    &host,
                    "--description",
                    "a <b>",
                ],
            ),
            "",
        );
        assert_eq!(
            (made.code, made.out.as_str()),
            (0, &*format!("{name}\n")),
            "{}",
            made.err
        );
        let show = ["context", "inspect", name];
        let (a, b) = (
            finish(make(config, &show), "").out,
            finish(using(config, &show), "").out,
        );
        assert_eq!(a, b);
        assert!(a.contains(&*fake.socket.display().to_string()), "{a}");
        let used = finish(using(config, &["context", "use", name]), "");
        assert_eq!(used.err, format!("Current context is now \"{name}\"\n"));
        assert_eq!(
            finish(make(config, &["context", "show"]), "").out,
            format!("{name}\n")
        );
        assert_eq!(finish(ours(config, &["ps", "-q"]), "").code, 0);
    }
    assert!(fake.asked().iter().any(|a| a.ends_with("/containers/json")));
    let gone = finish(ours(config, &["context", "rm", "-f", "one", "two"]), "");
    assert_eq!((gone.code, gone.out.as_str()), (0, "one\ntwo\n"));
    assert_eq!(
        finish(docker(config, &["context", "ls", "-q"]), "").out,
        "default\n"
    );
}

#[test]
fn a_context_that_is_not_there_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let ended = finish(ours(dir.path(), &["-c", "nosuch", "ps"]), "");
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.starts_with(
            "Failed to initialize: unable to resolve docker endpoint: context \"nosuch\": context not found: open "
        ),
        "{}",
        ended.err
    );
    let ended = finish(
        ours(dir.path(), &["-c", "nosuch", "-H", "unix:///x", "ps"]),
        "",
    );
    assert_eq!(
        ended.err,
        "conflicting options: cannot specify both --host and --context\n"
    );
}

#[test]
fn ssh_reaches_a_daemon_by_dial_stdio() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let fake = Fake::start(Behaviour {
        out: "from afar\n",
        ..Behaviour::default()
    });
    let script = |name: &str, text: &str| {
        let path = dir.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    };
    // What sshd would do with the words behind the host's name.
    script(
        "ssh",
        "while [ \"$1\" != -- ]; do shift; done; shift 2; exec sh -c \"$*\"",
    );
    let program = cli(&[]).get_program().to_string_lossy().into_owned();
    script(
        "docker",
        &format!(
            "DOCKER_HOST=unix://{} exec {program} \"$@\"",
            fake.socket.display()
        ),
    );
    let path = format!(
        "{}:{}",
        dir.path().display(),
        std::env::var("PATH").unwrap()
    );
    let mut command = ours(dir.path(), &["-H", "ssh://me@far", "run", "busybox"]);
    command.env("PATH", &path);
    let ended = finish(command, "");
    assert_eq!(
        (ended.code, ended.out.as_str()),
        (0, "from afar\n"),
        "{}",
        ended.err
    );
    script("ssh", "echo no route >&2; exit 255");
    let mut command = ours(dir.path(), &["-H", "ssh://far", "ps"]);
    command.env("PATH", &path);
    let ended = finish(command, "");
    assert_eq!(ended.code, 1);
    for part in ["exit status 255", "stderr=no route"] {
        assert!(ended.err.contains(part), "{}", ended.err);
    }
}

#[test]
fn configured_proxies_reach_new_containers() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(
        dir.path().join("config.json"),
        r#"{"proxies":{"default":{"httpProxy":"http://p"}}}"#,
    )
    .unwrap();
    let fake = Fake::start(Behaviour::default());
    let mut command = fake.command(&["create", "-e", "HTTP_PROXY=mine", "busybox"]);
    command.env("DOCKER_CONFIG", dir.path());
    assert_eq!(finish(command, "").code, 0);
    let body: serde_json::Value = serde_json::from_str(&fake.bodies()[0]).unwrap();
    assert_eq!(
        body["Env"],
        serde_json::json!(["HTTP_PROXY=mine", "http_proxy=http://p"])
    );
}
