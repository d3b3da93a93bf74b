//! The Docker SDK for Python, in an environment of its own.

use std::path::PathBuf;
use std::process::Command;

use crate::cmd::run;
use crate::fixtures::cached;

/// The interpreter of a virtual environment with the Docker SDK from PyPI in it.
pub fn with_docker_sdk() -> PathBuf {
    // Absolute paths are written into an environment, so the marker is what is cached by name.
    let folder = crate::target_dir().join("fixtures/python-docker");
    cached("python-docker-7.ready", |ready| {
        let _ = std::fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).ok();
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet", "docker>=7,<8"])).ok();
        std::fs::write(ready, "").expect("target/ is writable");
    });
    folder.join("bin/python")
}
