//! Schemathesis makes requests of Docker's description of the API, sensible ones and others: the
//! daemon must neither fail nor answer anything that the description does not say.

use std::process::Command;

use testkit::{Daemon, Opts, Spec, python};

/// What is not served yet, and what does not end by itself.
const LEFT_OUT: &str = "^/(swarm|nodes|services|tasks|secrets|configs|plugins|build|session|volumes|\
                        events$|containers/\\{id\\}/attach)";

#[test]
fn finds_nothing() {
    let listen = ["-H", "tcp://127.0.0.1:2375", "--insecure-tcp"];
    let d = Daemon::with(Opts::args(&listen));
    let description = d.dir().join("description.json");
    std::fs::write(
        &description,
        Spec::load("1.51").for_fuzzing("/v1.51").to_string(),
    )
    .unwrap();
    let python = python::with("schemathesis-4", &["schemathesis>=4.32,<5"]);
    let mut command = Command::new(python.with_file_name("schemathesis"));
    command.arg("run").arg(&description).current_dir(d.dir());
    command.args([
        "--url",
        "http://127.0.0.1:2375/v1.51",
        "--seed",
        "4",
        "--no-color",
    ]);
    command.args([
        "--phases",
        "coverage,fuzzing",
        "--max-time",
        "40",
        "--workers",
        "1",
    ]);
    command.args(["--request-timeout", "20", "--generation-database", "none"]);
    command.args(["--checks", "not_a_server_error,response_schema_conformance"]);
    for no in [
        "ImageLoad",
        "PutContainerArchive",
        "ImageSearch",
        "SystemAuth",
        "DistributionInspect",
    ] {
        // They ask the world outside, where nobody is; bodies that it cannot make.
        command.args(["--exclude-operation-id", no]);
    }
    command.args([
        "--suppress-health-check",
        "all",
        "--exclude-path-regex",
        LEFT_OUT,
    ]);
    let out = d.host().run(&mut command);
    assert_eq!(out.code, 0, "{out}\n{}", d.log());
    assert!(d.api().get("/_ping").text() == "OK");
    d.docker().ok("run --rm busybox true");
}
