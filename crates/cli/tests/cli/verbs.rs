//! The program against a daemon that only pretends.

use std::{io::Read, process::Stdio};

use crate::fake::{Behaviour, Fake, cli, finish};

fn position(asked: &[String], what: &str) -> usize {
    asked
        .iter()
        .position(|a| a.ends_with(what))
        .unwrap_or_else(|| panic!("{what} was never asked: {asked:?}"))
}

#[test]
fn run_attaches_and_waits_before_it_starts_and_ends_like_the_container() {
    let fake = Fake::start(Behaviour {
        out: "to out\n",
        err: "to err\n",
        code: 42,
        ..Behaviour::default()
    });
    let done = fake.run(&["run", "busybox", "sh", "-c", "exit 42"], "");
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (42, "to out\n", "to err\n")
    );
    let asked = fake.asked();
    let start = position(&asked, "/start");
    assert!(position(&asked, "/attach") < start && position(&asked, "/wait") < start);
    assert_eq!(asked.len(), 4, "nothing else was needed: {asked:?}");
    let body: serde_json::Value = serde_json::from_str(&fake.bodies()[0]).unwrap();
    assert_eq!(body["Cmd"], serde_json::json!(["sh", "-c", "exit 42"]));
    assert_eq!(body["AttachStdin"], false);
}

#[test]
fn the_end_of_input_reaches_the_process_and_its_output_still_comes() {
    let fake = Fake::start(Behaviour {
        echo: true,
        ..Behaviour::default()
    });
    let done = fake.run(&["run", "-i", "busybox", "cat"], "through a pipe\n");
    assert_eq!((done.code, done.out.as_str()), (0, "through a pipe\n"));
}

#[test]
fn a_start_that_fails_has_dockers_exit_code() {
    for (text, code) in [
        ("exec: \"x\": executable file not found in $PATH", 127),
        ("exec: \"/bin\": permission denied", 126),
        ("no room on the host", 125),
    ] {
        let fake = Fake::start(Behaviour {
            refuse: Some(text),
            ..Behaviour::default()
        });
        let done = fake.run(&["run", "--rm", "busybox", "x"], "");
        assert_eq!(done.code, code, "{text}");
        assert_eq!(
            done.err,
            format!(
                "docker: Error response from daemon: {text}\n\nRun 'docker run --help' for more information\n"
            )
        );
    }
}

#[test]
fn a_missing_image_is_pulled() {
    let fake = Fake::start(Behaviour {
        no_image: true,
        out: "hi\n",
        ..Behaviour::default()
    });
    let done = fake.run(&["run", "busybox"], "");
    assert_eq!((done.code, done.out.as_str()), (0, "hi\n"));
    assert_eq!(
        done.err,
        "Unable to find image 'busybox:latest' locally\nlatest: Pulling from library/busybox\nDigest: sha256:00\n"
    );
    let never = Fake::start(Behaviour {
        no_image: true,
        ..Behaviour::default()
    });
    assert_eq!(
        never.run(&["run", "--pull", "never", "busybox"], "").code,
        125
    );
}

#[test]
fn an_older_daemon_is_spoken_to_in_its_version() {
    let fake = Fake::start(Behaviour {
        api: Some("1.41"),
        ..Behaviour::default()
    });
    let done = fake.run(&["rm", "nosuch", "nosuch2"], "");
    assert_eq!(done.code, 1);
    assert_eq!(
        done.err.matches("No such container").count(),
        2,
        "{}",
        done.err
    );
    assert_eq!(fake.run(&["ps", "-q"], "").code, 0);
}

#[test]
fn detached_containers_are_named_by_their_identifier() {
    let fake = Fake::start(Behaviour::default());
    let done = fake.run(&["run", "-d", "busybox"], "");
    assert_eq!((done.code, done.out.as_str()), (0, "c0ffee\n"));
    assert_eq!(fake.asked().len(), 2);
}

#[test]
fn inspect_shows_what_it_finds_as_the_daemon_wrote_it() {
    let fake = Fake::start(Behaviour::default());
    let done = fake.run(&["inspect", "c0ffee", "nosuch"], "");
    assert_eq!(done.code, 1);
    assert!(
        done.out
            .starts_with("[\n    {\n        \"Id\": \"c0ffee\",\n"),
        "{}",
        done.out
    );
    assert!(
        done.out.ends_with("        \"N\": 1.0\n    }\n]\n"),
        "{}",
        done.out
    );
    assert_eq!(done.err, "Error: No such object: nosuch\n");
    let done = fake.run(&["inspect", "-f", "{{.Id}} {{.Config.Tty}}", "c0ffee"], "");
    assert_eq!(done.out, "c0ffee true\n");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let fake = Fake::start(Behaviour::default());
    let mut child = fake
        .command(&["logs", "c0ffee"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut start = [0; 10];
    child.stdout.take().unwrap().read_exact(&mut start).unwrap();
    let done = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(done.stderr).unwrap(), "");
    assert_eq!(done.status.code(), Some(141));
}

#[test]
fn an_absent_daemon_is_named_by_the_programs_name() {
    let mut command = cli(&["-H", "unix:///nonexistent.sock", "rm", "a", "b"]);
    command.env("CLI_PROGRAM", "wharf");
    let done = finish(command, "");
    assert_eq!(done.code, 1);
    assert_eq!(
        done.err,
        "Cannot connect to the wharf daemon at unix:///nonexistent.sock. Is the wharf daemon running?\n"
    );
    let done = finish(cli(&["-H", "unix:///nonexistent.sock", "run", "x"]), "");
    assert_eq!(done.code, 125);
}

#[test]
fn wrong_command_lines_are_told_as_docker_does() {
    for (args, code, text) in [
        (
            &["nosuch"][..],
            1,
            "docker: unknown command: docker nosuch\n\nRun 'docker --help' for more information\n",
        ),
        (
            &["swarm", "init"],
            1,
            "docker: 'swarm' is not supported yet\n",
        ),
        (
            &["run", "--nosuch"],
            125,
            "unknown flag: --nosuch\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information\n",
        ),
        (
            &["run"],
            1,
            "docker: 'docker run' requires at least 1 argument\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nSee 'docker run --help' for more information\n",
        ),
        (
            &["run", "--dns", "0", "x"],
            125,
            "invalid argument \"0\" for \"--dns\" flag: IP address is not correctly formatted: 0\n\nUsage:  docker run [OPTIONS] IMAGE [COMMAND] [ARG...]\n\nRun 'docker run --help' for more information\n",
        ),
        (
            &["run", "-p", "x:y", "x"],
            125,
            "docker: invalid containerPort: y\n\nRun 'docker run --help' for more information\n",
        ),
        (&["run", "-it", "x"], 1, "the input device is not a TTY\n"),
    ] {
        let done = finish(cli(args), "");
        assert_eq!((done.code, done.err.as_str()), (code, text), "{args:?}");
    }
    let help = finish(cli(&["container", "list", "--help"]), "");
    assert_eq!(help.code, 0);
    assert!(
        help.out
            .starts_with("Usage:  docker container list [OPTIONS]\n"),
        "{}",
        help.out
    );
}
