//! The real docker's classic builder, and the SDK's.

use std::process::Command;

use testkit::Daemon;

use crate::{Files, sh};

pub(crate) fn docker(d: &Daemon, args: &str, files: &Files) -> (bool, String) {
    let out = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "docker -H unix://{}/d.sock build {args} {} 2>&1",
            d.dir().display(),
            files.dir().display()
        ))
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .expect("docker");
    (
        out.status.success(),
        String::from_utf8_lossy(&out.stdout).into_owned(),
    )
}

#[test]
fn the_real_docker_builds() {
    let d = Daemon::fresh();
    let files = Files::new(
        "FROM busybox\nARG A=1\nRUN echo said $A > /a; cat /a\nCOPY f /f\nCMD [\"cat\", \"/f\"]\n",
    )
    .file("f", "from the context")
    .file("ignored", "x")
    .file(".dockerignore", "ignored\n");
    let (ok, told) = docker(&d, "-t it --build-arg A=2 --label l=m", &files);
    assert!(ok, "{told}");
    for part in [
        "Step 1/5 : FROM busybox",
        "Step 3/5 : RUN echo said $A",
        "said 2",
        "Successfully built",
        "Successfully tagged it:latest",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert_eq!(d.docker().ok("run --rm it"), "from the context");
    assert_eq!(
        d.docker().ok("inspect it --format '{{.Config.Labels.l}}'"),
        "m"
    );
    let (ok, told) = docker(&d, "-t it --build-arg A=2 --label l=m", &files);
    assert!(ok && told.matches("Using cache").count() == 4, "{told}");
    let (ok, told) = docker(&d, "-q", &files);
    assert!(
        ok && told
            .trim()
            .ends_with(d.docker().ok("images -q --no-trunc it").trim())
            || told.contains("sha256:"),
        "{told}"
    );
    let failing = Files::new("FROM busybox\nRUN echo last words; exit 7\n");
    let (ok, told) = docker(&d, "", &failing);
    assert!(!ok && told.contains("last words"), "{told}");
    assert!(told.contains("returned a non-zero code: 7"), "{told}");
    // Quietly it is told, too, once it has failed.
    let (ok, told) = docker(&d, "-q", &failing);
    assert!(!ok && told.contains("last words"), "{told}");
    let wrong = Files::new("FROM busybox\nCOPPY a b\n");
    let (ok, told) = docker(&d, "", &wrong);
    assert!(!ok && told.contains("unknown instruction: COPPY"), "{told}");
    assert_eq!(d.docker().ok("ps -aq"), "", "no containers are left");
}

#[test]
fn the_sdk_builds() {
    let d = Daemon::fresh();
    let files = Files::new("FROM busybox\nRUN echo sdk > /sdk\n");
    // After a login every build sends what is in the file, with members that are null.
    let config = tempfile::tempdir().expect("a folder");
    std::fs::write(
        config.path().join("config.json"),
        r#"{"auths": {"registry.test:5000": {"auth": "bWU6c2VjcmV0"}}}"#,
    )
    .expect("our own folder");
    let script = format!(
        r#"
import docker
client = docker.DockerClient(base_url="unix://{}/d.sock")
image, logs = client.images.build(path="{}", tag="it", rm=True)
print(image.tags[0], any("Step 1/2" in l.get("stream", "") for l in logs))
try:
    client.images.build(path="{}", dockerfile="none")
except docker.errors.BuildError as e:
    print("build error")
except docker.errors.APIError as e:
    print("api error", e.status_code)
print(client.api.prune_builds()["SpaceReclaimed"] >= 0)
"#,
        d.dir().display(),
        files.dir().display(),
        files.dir().display()
    );
    let out = Command::new(testkit::python::with_docker_sdk())
        .arg("-c")
        .arg(script)
        .env("DOCKER_CONFIG", config.path())
        .output()
        .expect("python");
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(
        text.starts_with("it:latest True\n") && text.ends_with("True\n"),
        "{text}{}",
        String::from_utf8_lossy(&out.stderr)
    );
    assert_eq!(sh(&d, "cat /sdk"), "sdk");
}
