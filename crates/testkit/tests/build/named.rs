//! `--build-context`.

use std::process::Command;

use testkit::{Daemon, run};

use crate::{Files, sh};

#[test]
fn named_contexts_are_bases_and_sources() {
    let d = Daemon::fresh();
    Files::new("FROM busybox\nRUN echo image > /of\nENV OF=image\n").build(&d, "-t mine");
    let dir = Files::new("")
        .file("of", "directory")
        .file("sub/of", "below");
    let at = dir.dir().display();
    let files = Files::new(
        r#"FROM base AS first
RUN test "$OF" = image && cat /of > /from
FROM busybox AS second
RUN echo stage > /of
FROM busybox
COPY --from=first /from /a
COPY --from=second /of /b
COPY --from=files of /c
COPY --from=files sub /d
RUN --mount=type=bind,from=files,target=/m --mount=from=base,source=/of,target=/n cat /m/of /n > /e
RUN --mount=from=files,source=sub/of,target=/m cat /m > /f
"#,
    );
    let more = format!("--build-context base=docker-image://mine --build-context files={at}");
    files.build(&d, &more);
    assert_eq!(sh(&d, "cat /a /b"), "image\nstage");
    assert_eq!(
        sh(&d, "cat /c /d/of /e /f"),
        "directorybelowdirectoryimage\nbelow"
    );
    // A stage's name, and an image's, by both of their spellings.
    let more = format!("{more} --build-context second={at}");
    files.build(&d, &more);
    assert_eq!(sh(&d, "cat /b"), "directory");
    let bare = Files::new("FROM alpine:3\nRUN cat /of > /o\n");
    for name in ["alpine:3", "docker.io/library/alpine:3"] {
        bare.build(&d, &format!("--build-context {name}=docker-image://mine"));
        assert_eq!(sh(&d, "cat /o"), "image");
    }
    // Of files alone.
    let scratch = Files::new("FROM files\nCOPY --from=busybox /bin/busybox /bin/\n");
    scratch.build(&d, &format!("--build-context files={at}"));
    let listed = d.wharf().ok("run --rm it /bin/busybox cat /of /sub/of");
    assert_eq!(listed, "directorybelow");
    for (more, parts) in [
        (
            "--build-context files=/no/such/folder",
            ["files", "/no/such"],
        ),
        (
            "--build-context files=docker-image://127.0.0.1:1/none",
            ["127.0.0.1:1", "refused"],
        ),
        ("--build-context files", ["expected key=value", "files"]),
    ] {
        scratch.fails(&d, more, &parts);
    }
}

#[test]
fn an_ignore_file_of_a_named_directory_counts() {
    let d = Daemon::fresh();
    let dir = Files::new("")
        .file("in", "in")
        .file("out", "out")
        .file(".dockerignore", "out\n");
    let files = Files::new("FROM busybox\nCOPY --from=files . /all\n");
    files.build(
        &d,
        &format!("--build-context files={}", dir.dir().display()),
    );
    assert_eq!(sh(&d, "ls /all"), "Dockerfile\nin");
}

#[test]
fn layouts_are_contexts() {
    let d = Daemon::fresh();
    Files::new("FROM busybox\nRUN echo layout > /of\nENV OF=layout\n").build(&d, "-t mine");
    let saved = tempfile::tempdir().expect("a folder");
    let layout = saved.path().join("layout");
    d.wharf()
        .ok(&format!("save -o {}/mine.tar mine", saved.path().display()));
    std::fs::create_dir(&layout).expect("our own folder");
    let mut tar = Command::new("tar");
    tar.arg("-xf")
        .arg(saved.path().join("mine.tar"))
        .arg("-C")
        .arg(&layout);
    run(&mut tar).ok();
    d.wharf().ok("rmi -f mine it");
    d.wharf().ok("builder prune -af");
    let before = d.wharf().ok("images -aq");
    let files = Files::new(
        "FROM base\nRUN test $OF = layout\nCOPY --from=base /of /copied\n\
         RUN --mount=from=base,target=/m cat /m/of > /mounted\n",
    );
    let at = layout.display();
    for suffix in ["", ":latest"] {
        files.build(
            &d,
            &format!("--build-context base=oci-layout://{at}{suffix}"),
        );
        assert_eq!(sh(&d, "cat /of /copied /mounted"), "layout\nlayout\nlayout");
    }
    let index = std::fs::read_to_string(layout.join("index.json")).expect("an index");
    let index: serde_json::Value = serde_json::from_str(&index).expect("JSON");
    let digest = index["manifests"][0]["digest"].as_str().expect("a digest");
    files.build(
        &d,
        &format!("--build-context base=oci-layout://{at}@{digest}"),
    );
    d.wharf().ok("rmi -f it");
    assert_eq!(d.wharf().ok("images -aq"), before, "no image of it stays");
    for (value, parts) in [
        (format!("{at}:none"), ["none", "layout"]),
        (
            format!("{at}@sha256:{}", "0".repeat(64)),
            ["0000", "layout"],
        ),
        (
            format!("{}", saved.path().display()),
            ["index.json", "oci-layout"],
        ),
    ] {
        files.fails(
            &d,
            &format!("--build-context base=oci-layout://{value}"),
            &parts,
        );
    }
    // A blob that is not what it is called.
    let config = layout.join("blobs/sha256").join(&digest[7..]);
    std::fs::write(config, "{}").expect("a file");
    files.fails(
        &d,
        &format!("--no-cache --build-context base=oci-layout://{at}"),
        &["the content is not complete"],
    );
}
