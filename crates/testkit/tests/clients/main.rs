//! Programs of others that speak the Docker API work against wharf unchanged.

mod compose;
mod prometheus;

use std::path::Path;
use std::process::Command;

use testkit::{Daemon, Output, node, python};

/// Runs a client on the daemon's host, with the daemon in its environment.
fn client(d: &Daemon, program: impl AsRef<Path>, args: &[&str], env: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program.as_ref());
    command.args(args).envs(env.iter().copied());
    command.env("DOCKER_HOST", format!("unix://{}", socket(d)));
    // What a user of this machine has set up is not the test's.
    command.env("DOCKER_CONFIG", d.dir());
    command.env("HOME", d.dir());
    d.host().run(&mut command)
}

fn socket(d: &Daemon) -> String {
    d.dir().join("d.sock").display().to_string()
}

#[test]
fn aiodocker() {
    let d = Daemon::fresh();
    let script = include_str!("aiodocker.py");
    let out = client(&d, python::with_clients(), &["-c", script], &[]);
    assert_eq!(out.ok(), "all of it");
    d.assert_no_leaks();
}

#[test]
fn testcontainers() {
    let d = Daemon::fresh();
    let script = include_str!("testcontainers.py");
    // Its reaper is an image of a registry that cannot be reached.
    let env = [("TESTCONTAINERS_RYUK_DISABLED", "true")];
    let out = client(&d, python::with_clients(), &["-c", script], &env);
    assert_eq!(out.ok(), "all of it");
    d.assert_no_leaks();
}

#[test]
fn dockerode() {
    let d = Daemon::fresh();
    let modules = node::with_dockerode();
    let env = [("NODE_PATH", modules.to_str().expect("UTF-8"))];
    let out = client(&d, "node", &["-e", include_str!("dockerode.js")], &env);
    assert_eq!(out.ok(), "all of it");
    d.assert_no_leaks();
}

/// Like `ctop` and other monitors: one stream of statistics for each container, all at once.
#[test]
fn readers_of_statistics() {
    let d = Daemon::fresh();
    let script = include_str!("monitor.py");
    let out = client(&d, python::with_docker_sdk(), &["-c", script], &[]);
    assert_eq!(out.ok(), "all of it");
    d.assert_no_leaks();
}
