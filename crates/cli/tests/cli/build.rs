//! `build` against a daemon that only takes what it is given.

use std::{
    fs,
    io::Read,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::json;

use crate::builder::Builder;

/// Makes files look as if nobody had touched them for long.
fn age(root: &Path) {
    let old = std::time::SystemTime::now() - Duration::from_secs(3600);
    for entry in fs::read_dir(root).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            age(&path);
        } else {
            fs::File::open(&path).unwrap().set_modified(old).unwrap();
        }
    }
}

fn context() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    fs::create_dir_all(at("src/deep")).unwrap();
    fs::create_dir_all(at("target/debug")).unwrap();
    fs::write(at("Dockerfile"), "FROM scratch\nCOPY . /\n").unwrap();
    fs::write(at("src/deep/a"), "text of a").unwrap();
    fs::write(at("src/b"), "text of b").unwrap();
    fs::write(at("target/debug/huge"), vec![b'x'; 1 << 20]).unwrap();
    fs::write(at(".dockerignore"), "target\nDockerfile\n").unwrap();
    std::os::unix::fs::symlink("/etc/passwd", at("out")).unwrap();
    age(dir.path());
    dir
}

#[test]
fn only_what_changed_travels() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    let done = builder.run(&["build", "-q", "-t", "x", path], "");
    assert_eq!(
        (done.code, done.out.as_str(), done.err.as_str()),
        (0, "sha256:c0ffee\n", "")
    );
    let files = builder.files();
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        [
            ".dockerignore",
            "out",
            "src",
            "src/b",
            "src/deep",
            "src/deep/a"
        ]
    );
    assert_eq!(
        (files["out"].as_str(), files["src/b"].as_str()),
        ("symlink", "text of b")
    );
    {
        let state = builder.state();
        assert_eq!(state.travelled.len(), 3);
        let build = &state.builds[0];
        assert_eq!(build["tags"], json!(["x:latest"]));
        assert_eq!(
            build["dockerfile"]["text"],
            json!({"name": "Dockerfile", "text": "FROM scratch\nCOPY . /\n"})
        );
    }
    fs::write(context.path().join("src/b"), "new text of b").unwrap();
    fs::remove_file(context.path().join("out")).unwrap();
    assert_eq!(builder.run(&["build", "-q", path], "").code, 0);
    {
        let state = builder.state();
        let update = state.updates.last().unwrap();
        let entries: Vec<&String> = update["entries"].as_object().unwrap().keys().collect();
        assert_eq!(entries, ["src/b"]);
        assert_eq!(update["removed"], json!(["out"]));
        assert_eq!(state.travelled[3..], [b"new text of b"]);
    }
    assert_eq!(builder.run(&["build", "-q", path], "").code, 0);
    {
        let state = builder.state();
        let update = state.updates.last().unwrap();
        assert_eq!((&update["entries"], state.travelled.len()), (&json!({}), 4));
    }
    // A daemon that lost everything gets everything.
    builder.forget();
    assert_eq!(builder.run(&["build", "-q", path], "").code, 0);
    assert_eq!(builder.files()["src/b"], "new text of b");
    assert_eq!(builder.state().travelled.len(), 7);
}

#[test]
fn a_dockerfile_and_a_context_may_come_from_standard_input() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    let done = builder.run(&["build", "-q", "-f", "-", path], "FROM x\n");
    assert_eq!(done.code, 0, "{}", done.err);
    let text = |builder: &Builder| builder.state().builds.last().unwrap().clone();
    assert_eq!(text(&builder)["dockerfile"]["text"]["text"], "FROM x\n");
    assert!(builder.files().contains_key("src/deep/a"));
    let done = builder.run(&["build", "-q", "-"], "FROM y\n");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(text(&builder)["context"], "empty");
    let tar = Command::new("tar")
        .args(["-C", path, "-c", "."])
        .output()
        .unwrap();
    let mut command = builder.command(&["build", "-q", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), &tar.stdout).unwrap();
    assert!(child.wait().unwrap().success());
    let files = builder.files();
    assert!(files.contains_key("src/b") && !files.contains_key("target/debug/huge"));
    assert!(
        !files.contains_key("Dockerfile"),
        "the ignore file takes it out"
    );
    let done = builder.run(&["build", "-q", "-f", "-", "-"], "x");
    assert!(
        done.err.contains("can't use stdin for both"),
        "{}",
        done.err
    );
    let done = builder.run(&["build", "-q", "https://x.example/y.git#main"], "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(
        text(&builder)["context"],
        json!({"remote": "https://x.example/y.git#main"})
    );
}

#[test]
fn arguments_secrets_and_credentials_are_sent() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    let config = tempfile::tempdir().unwrap();
    fs::write(
        config.path().join("config.json"),
        r#"{"auths":{"r.example":{"auth":"bWU6cHc="}},"proxies":{"default":{"httpProxy":"http://p"}}}"#,
    )
    .unwrap();
    let secret = config.path().join("secret");
    fs::write(&secret, "hush").unwrap();
    let source = format!("id=s,src={}", secret.display());
    let mut command = builder.command(&[
        "buildx",
        "build",
        "--build-arg=A=1",
        "--build-arg",
        "FROM_ENV",
        "--build-arg=NOT_SET_HERE",
        "--secret",
        &source,
        "--label=l=v",
        "--target=t",
        "--network=none",
        "--no-cache",
        "--pull",
        "--platform=linux/arm64",
        "--shm-size=64m",
        "--ulimit=nofile=10",
        "--add-host=h:1.2.3.4",
        "--provenance=false",
        "--rm",
        "--progress=plain",
        path,
    ]);
    command
        .env("DOCKER_CONFIG", config.path())
        .env("FROM_ENV", "2")
        .env("SOURCE_DATE_EPOCH", "7");
    let done = crate::fake::finish(command, "");
    assert_eq!(done.code, 0, "{}", done.err);
    let build = builder.state().builds[0].clone();
    assert_eq!(
        build["build_args"],
        json!({"A": "1", "FROM_ENV": "2", "HTTP_PROXY": "http://p", "SOURCE_DATE_EPOCH": "7",
            "http_proxy": "http://p"})
    );
    assert_eq!(build["secrets"], json!([{"id": "s", "value": "aHVzaA=="}]));
    assert_eq!(build["auths"]["r.example"]["password"], "pw");
    assert_eq!(
        (&build["labels"]["l"], &build["target"]),
        (&json!("v"), &json!("t"))
    );
    assert_eq!(
        (&build["network"], &build["no_cache"]),
        (&json!("none"), &json!(true))
    );
    assert_eq!(
        (&build["shm_size"], &build["pull"]),
        (&json!(64 << 20), &json!(true))
    );
    assert_eq!(build["extra_hosts"], json!(["h:1.2.3.4"]));
    assert_eq!(
        build["outputs"],
        json!([{"kind": "image", "names": [], "push": false}])
    );
    for (flag, text) in [
        ("--squash", "--squash is not supported by wharf yet"),
        ("--sbom=true", "--sbom is not supported by wharf yet"),
        (
            "--annotation=a=b",
            "--annotation is not supported by wharf yet",
        ),
        (
            "--network=container:a",
            "network mode \"container:a\" is not supported",
        ),
        ("--call=lines", "--call lines is not supported"),
        ("--tag=Bad", "invalid tag \"Bad\""),
    ] {
        let done = builder.run(&["build", flag, path], "");
        assert!(
            done.code != 0 && done.err.contains(text),
            "{flag}: {}",
            done.err
        );
    }
    assert_eq!(builder.state().builds.len(), 1, "nothing was asked for");
}

#[test]
fn results_come_as_files_and_archives() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    let out = tempfile::tempdir().unwrap();
    let at = |name: &str| out.path().join(name).display().to_string();
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_ustar();
    header.set_size(4);
    header.set_mode(0o640);
    header.set_cksum();
    archive
        .append_data(&mut header, "d/file", &b"made"[..])
        .unwrap();
    let archive = archive.into_inner().unwrap();
    builder.state().archive.clone_from(&archive);
    let done = builder.run(&["build", "-o", &at("local"), path], "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(fs::read_to_string(at("local/d/file")).unwrap(), "made");
    let dest = format!("type=oci,dest={}", at("x.tar"));
    let done = builder.run(&["build", "-o", &dest, path], "");
    assert_eq!((done.code, done.out.as_str()), (0, ""), "{}", done.err);
    assert_eq!(fs::read(at("x.tar")).unwrap(), archive);
    let kinds: Vec<_> = builder
        .state()
        .builds
        .iter()
        .map(|b| b["outputs"][0]["kind"].clone())
        .collect();
    assert_eq!(kinds, ["files", "oci"]);
    let mut command = builder.command(&["build", "-o", "-", path]);
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut bytes = Vec::new();
    child
        .stdout
        .take()
        .unwrap()
        .read_to_end(&mut bytes)
        .unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(bytes, archive);
    // Half of it is nothing.
    builder.state().lines = vec![json!({"error": "failed to solve: x"})];
    let dest = format!("type=tar,dest={}", at("y.tar"));
    let done = builder.run(&["build", "-o", &dest, path], "");
    assert_eq!(done.code, 1);
    assert!(
        done.err.ends_with("ERROR: failed to solve: x\n"),
        "{}",
        done.err
    );
    assert_eq!(fs::read_dir(out.path()).unwrap().count(), 2);
}

#[test]
fn progress_goes_to_standard_error_in_the_form_that_is_asked_for() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    let step = |extra: serde_json::Value| {
        let mut vertex = json!({"digest": "sha256:a", "name": "[1/1] RUN make",
            "started": "2026-01-01T00:00:00Z"});
        vertex
            .as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({"vertex": vertex})
    };
    let log = json!({"log": {"vertex": "sha256:a", "stream": 2, "data": "d2FpdAo=",
        "timestamp": "2026-01-01T00:00:00.5Z"}});
    let failed = step(json!({"completed": "2026-01-01T00:00:01Z", "error": "exit code: 1"}));
    builder.state().lines = vec![
        step(json!({})),
        log,
        failed,
        json!({"error": "failed to solve: exit code: 1"}),
    ];
    let iid = context.path().join("iid");
    fs::write(&iid, "of before").unwrap();
    let flag = format!("--iidfile={}", iid.display());
    let done = builder.run(&["build", "--progress=plain", &flag, path], "");
    assert_eq!((done.code, done.out.as_str()), (1, ""));
    assert!(!iid.exists(), "an old identifier is none of this build");
    let tail = "#2 [1/1] RUN make\n#2 0.500 wait\n#2 ERROR: exit code: 1\n------\n > [1/1] RUN make:\n0.500 wait\n------\nERROR: failed to solve: exit code: 1\n";
    assert!(done.err.ends_with(tail), "{}", done.err);
    assert!(
        done.err.starts_with("#0 building with \"default\" instance using wharf driver\n\n#1 [internal] load build context\n#1 transferring context: "),
        "{}",
        done.err
    );
    let done = builder.run(&["build", "--progress=rawjson", path], "");
    let last: Vec<&str> = done.err.lines().rev().take(3).collect();
    assert!(
        last[2].starts_with("{\"logs\":[{\"vertex\":\"sha256:a\""),
        "{}",
        done.err
    );
    assert!(
        last[1].starts_with("{\"vertexes\":[{\"digest\":\"sha256:a\""),
        "{}",
        done.err
    );
    assert_eq!(builder.run(&["build", "--progress=tty", path], "").code, 1);
}

#[test]
fn what_was_built_is_told_to_programs() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    let at = |name: &str| context.path().join(name).display().to_string();
    builder.state().lines = vec![
        json!({"built": {"image": "sha256:aa", "manifest": "sha256:bb",
        "manifest_size": 3, "media_type": "m", "names": ["x:latest"]}}),
    ];
    let (iid, metadata) = (
        format!("--iidfile={}", at("i")),
        format!("--metadata-file={}", at("m")),
    );
    let done = builder.run(&["build", &iid, &metadata, path], "");
    assert_eq!(done.code, 0, "{}", done.err);
    assert_eq!(fs::read_to_string(at("i")).unwrap(), "sha256:aa");
    let told: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(at("m")).unwrap()).unwrap();
    assert_eq!(told["containerimage.digest"], "sha256:bb");
    assert_eq!(told["image.name"], "docker.io/library/x:latest");
}

#[test]
fn checks_are_told_with_their_lines() {
    let (builder, context) = (Builder::start(), context());
    let path = context.path().to_str().unwrap();
    builder.state().lines = vec![
        json!({"warning": {"rule": "MaintainerDeprecated", "message": "use a label",
            "file": "Dockerfile", "line": 2, "end_line": 2, "source": ["MAINTAINER me"]}}),
        json!({"built": {}}),
    ];
    let done = builder.run(&["build", "--check", path], "");
    assert_eq!(done.code, 1);
    assert!(
        done.out.contains("   2 | >>> MAINTAINER me\n"),
        "{}",
        done.out
    );
    assert!(
        done.out
            .ends_with("\nCheck complete, 1 warning has been found!\n"),
        "{}",
        done.out
    );
    assert_eq!(builder.state().builds[0]["check"], true);
    let done = builder.run(&["build", path], "");
    assert_eq!(done.code, 0);
    assert!(
        done.err
            .ends_with(" - MaintainerDeprecated: use a label (line 2)\n"),
        "{}",
        done.err
    );
    builder.state().lines = vec![json!({"built": {}})];
    let done = builder.run(&["build", "--call=check", path], "");
    assert_eq!(
        (done.code, done.out.as_str()),
        (0, "Check complete, no warnings found.\n")
    );
}

#[test]
fn an_interrupt_calls_the_build_off() {
    let (builder, context) = (Builder::start(), context());
    {
        let mut state = builder.state();
        state.hangs = true;
        state.lines = vec![json!({"vertex": {"digest": "a", "name": "[1/1] RUN sleep",
            "started": "2026-01-01T00:00:00Z"}})];
    }
    let mut command = builder.command(&[
        "build",
        "--progress=plain",
        context.path().to_str().unwrap(),
    ]);
    let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut seen = String::new();
    let mut err = child.stderr.take().unwrap();
    while !seen.contains("RUN sleep") {
        let mut buffer = [0; 4096];
        let n = err.read(&mut buffer).unwrap();
        assert!(n > 0, "{seen}");
        seen.push_str(&String::from_utf8_lossy(&buffer[..n]));
    }
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    err.read_to_string(&mut seen).unwrap();
    assert!(seen.ends_with("#2 CANCELED\n"), "{seen}");
    let until = Instant::now() + Duration::from_secs(20);
    while builder.state().gone == 0 {
        assert!(Instant::now() < until, "the connection stays open");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn the_builder_is_listed_and_its_cache_pruned() {
    let builder = Builder::start();
    let done = builder.run(&["buildx", "ls"], "");
    let lines: Vec<&str> = done.out.lines().collect();
    assert!(
        lines[0].starts_with("NAME/NODE     DRIVER/ENDPOINT"),
        "{}",
        done.out
    );
    assert!(lines[1].starts_with("default*"), "{}", done.out);
    assert!(
        builder
            .run(&["builder", "inspect"], "")
            .out
            .contains("Driver: wharf\n")
    );
    assert_eq!(builder.run(&["builder", "inspect", "x"], "").code, 1);
    let done = builder.run(&["builder", "du"], "");
    assert!(
        done.out
            .ends_with("Reclaimable:    1kB\nTotal:          1kB\n"),
        "{}",
        done.out
    );
    let done = builder.run(&["builder", "du", "--format={{.ID}} {{.Size}}"], "");
    assert_eq!(done.out, "rec 1kB\n");
    let done = builder.run(&["builder", "prune"], "n\n");
    assert_eq!(
        (done.code, done.out.as_str()),
        (
            0,
            "WARNING! This will remove all dangling build cache. Are you sure you want to continue? [y/N] "
        )
    );
    assert!(builder.state().prunes.is_empty());
    let done = builder.run(&["builder", "prune", "-a", "-f"], "");
    assert_eq!(
        done.out,
        "Deleted build cache objects:\nrec\n\nTotal reclaimed space: 1kB\n"
    );
    assert_eq!(builder.state().prunes, ["/build/prune?all=1"]);
}
