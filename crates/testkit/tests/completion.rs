//! What the shells' tabulator offers: the real shells, with the scripts that `completion` prints.

use std::path::Path;
use std::process::Command;

use testkit::{Cli, Daemon, Tty, run, wharf_bin};

/// What is typed before the tabulator, and the words that must stand there then.
const LINES: &[(&str, &[&str])] = &[
    ("wharf contai", &["wharf", "container"]),
    ("wharf system pru", &["wharf", "system", "prune"]),
    ("wharf ps --no-t", &["wharf", "ps", "--no-trunc"]),
    ("wharf stop ru", &["wharf", "stop", "runs"]),
    ("wharf start re", &["wharf", "start", "rests"]),
    ("wharf kill -s SIGK", &["wharf", "kill", "-s", "SIGKILL"]),
    ("wharf run --pull=mi", &["wharf", "run", "--pull=missing"]),
    (
        "wharf run --network ho",
        &["wharf", "run", "--network", "host"],
    ),
    ("wharf rmi busybox:la", &["wharf", "rmi", "busybox:latest"]),
    (
        "wharf ps --filter=status=ex",
        &["wharf", "ps", "--filter=status=exited"],
    ),
    (
        "wharf build --progress=raw",
        &["wharf", "build", "--progress=rawjson"],
    ),
    ("wharf inspect dat", &["wharf", "inspect", "data"]),
    ("wharf context use on", &["wharf", "context", "use", "one"]),
    (
        "wharf load -i /etc/host",
        &["wharf", "load", "-i", "/etc/host"],
    ),
];

fn prepared() -> (Daemon, Cli) {
    let d = Daemon::fresh();
    let cli = d.wharf();
    cli.ok("run -d --name runs -v data:/data busybox sleep 1000");
    cli.ok("create --name rests busybox true");
    cli.ok("context create one --docker host=unix:///nowhere");
    (d, cli)
}

/// `shell` with the daemon's socket, and `wharf` in its path.
fn shell(cli: &Cli, shell: &str, args: &[&str]) -> Command {
    let like = cli.command("");
    let mut command = Command::new(shell);
    command.args(args).current_dir("/");
    for (name, value) in like.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let bin = wharf_bin();
    let dir = bin.parent().unwrap_or(Path::new("/"));
    let path = std::env::var("PATH").unwrap_or_default();
    command.env("PATH", format!("{}:{path}", dir.display()));
    command.env("HOME", cli.config());
    command
}

/// Types each line and the tabulator, then puts a command before it that prints the words.
fn type_lines(tty: &mut Tty, lines: &[(&str, &[&str])]) {
    for (line, words) in lines {
        tty.send(&format!("{line}\t"));
        tty.send("\x01printf '<%s>' \n");
        let shown: String = words.iter().map(|word| format!("<{word}>")).collect();
        tty.expect(&shown);
    }
}

#[test]
fn bash() {
    let (d, cli) = prepared();
    let mut tty = Tty::start(&shell(&cli, "bash", &["--norc", "--noprofile", "-i"]));
    tty.ask(
        "PS1='@''@ '; source <(wharf completion bash); echo re''ady\n",
        "ready",
    );
    type_lines(&mut tty, LINES);
    // Two that could be meant are both shown.
    tty.send("wharf rm r\t\t");
    tty.expect("rests");
    tty.send("\x15wharf cp ru\t");
    tty.send("/etc/hosts /nowhere/x\x01printf '<%s>' \n");
    tty.expect("<cp><runs:/etc/hosts>");
    drop(tty);
    cli.ok("rm -f runs rests");
    d.assert_no_leaks();
}

#[test]
fn zsh() {
    let (_d, cli) = prepared();
    let mut tty = Tty::start(&shell(&cli, "zsh", &["-f", "-i"]));
    tty.ask(
        "PS1='@''@ '; autoload -U compinit; compinit -u -D; source <(wharf completion zsh); echo re''ady\n",
        "ready",
    );
    type_lines(&mut tty, LINES);
}

#[test]
fn fish() {
    let (_d, cli) = prepared();
    for (line, words) in LINES {
        let ask = format!("wharf completion fish | source; complete -C '{line}'");
        let said = run(&mut shell(&cli, "fish", &["--no-config", "-c", &ask])).ok();
        let last = words[words.len() - 1];
        let offered = said.lines().map(|l| l.split('\t').next().unwrap_or(l));
        // A name of a file is offered as far as it goes.
        assert!(
            offered.into_iter().any(|word| word.starts_with(last)),
            "{line}: {said}"
        );
    }
}

#[test]
fn a_daemon_that_is_not_there_keeps_nobody_waiting() {
    let d = Daemon::fresh();
    let lost = d.wharf().at("unix:///nowhere/sock");
    let out = lost.run("__complete stop ''");
    assert_eq!((out.code, out.stdout.as_str()), (0, ":4\n"), "{out}");
    // The protocol is the one that docker's own scripts speak.
    let (theirs, ours) = (
        d.docker().run("__complete system d"),
        d.wharf().run("__complete system d"),
    );
    assert_eq!(ours.stdout, theirs.stdout);
    d.wharf().refused("completion csh", &["csh"]);
}
