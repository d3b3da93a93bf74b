//! Python with clients of the Docker API from PyPI, in environments of their own.

use std::path::PathBuf;
use std::process::Command;

use crate::cmd::run;
use crate::fixtures::cached;

/// The interpreter of a virtual environment with the Docker SDK in it.
pub fn with_docker_sdk() -> PathBuf {
    with("docker-7", &["docker>=7,<8"])
}

/// The interpreter of a virtual environment with aiodocker and Testcontainers in it.
pub fn with_clients() -> PathBuf {
    with("clients-1", &["aiodocker>=0.24,<1", "testcontainers>=4,<5"])
}

/// A virtual environment with these packages; the name must change with what is in it.
pub fn with(name: &str, packages: &[&str]) -> PathBuf {
    // Absolute paths are written into an environment, so the marker is what is cached by name.
    let folder = crate::target_dir().join(format!("fixtures/python-{name}"));
    cached(&format!("python-{name}.ready"), |ready| {
        let _ = std::fs::remove_dir_all(&folder);
        run(Command::new("python3").args(["-m", "venv"]).arg(&folder)).ok();
        let mut pip = Command::new(folder.join("bin/pip"));
        run(pip.args(["install", "--quiet"]).args(packages)).ok();
        std::fs::write(ready, "").expect("target/ is writable");
    });
    folder.join("bin/python")
}

/// A folder with the wheels of Flask, of all that it needs, and of pip, for the Python of
/// [`crate::images::python_tar`].
pub fn flask_wheels() -> PathBuf {
    let python = with_docker_sdk();
    let platform = format!("manylinux2014_{}", std::env::consts::ARCH);
    cached("wheels-flask-1", |folder| {
        let mut pip = Command::new(python);
        pip.args(["-m", "pip", "download", "--quiet"])
            .args(["--only-binary=:all:", "--python-version=3.11"])
            .args(["--implementation=cp", "--platform", &platform])
            .args(["flask>=3,<4", "pip", "--dest"])
            .arg(folder);
        run(&mut pip).ok();
    })
}
