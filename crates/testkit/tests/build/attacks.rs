//! Attacks of threats.md under "Build".

use std::{fs, process::Command};

use testkit::Daemon;

use crate::{Files, sh};

#[test]
fn attack_28_mounts_do_not_leave_what_they_are_of() {
    let d = Daemon::fresh();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("hosts-secret"), "host").expect("a file");
    let place = outside.path().display();
    // A link in a stage that means the host's path.
    let staged = Files::new(&format!(
        "FROM busybox AS evil\nRUN ln -s {place} /out && ln -s ../../../../../..{place} /up\nFROM busybox\n\
         RUN --mount=type=bind,from=evil,source=/out,target=/m ls /m\n"
    ));
    staged.fails(&d, "", &["not found"]);
    for source in ["../../../..", "/up/../..", "../"] {
        let files = Files::new(&format!(
            "FROM busybox\nRUN --mount=type=bind,source={source},target=/m cat /m/inside && ! ls /m/*secret*\n"
        ))
        .file("inside", "in");
        let out = d.wharf().run(&format!("build {}", files.dir().display()));
        assert!(!out.stdout.contains("hosts-secret") && !out.stderr.contains("hosts-secret"));
    }
    // A cache whose identifier is a path.
    let cache = Files::new(&format!(
        "FROM busybox\nRUN --mount=type=cache,id=../../../..{place},target=/m ls /m && ! ls /m/hosts-secret\n"
    ));
    cache.build(&d, "");
    // A cache that a step made a link of: it is the directory again for the next one.
    let swap = Files::new(
        "FROM busybox\nRUN --mount=type=cache,id=s,target=/m ln -s /etc /m/link\n\
         RUN --mount=type=cache,id=s,target=/m ls /m/link/passwd && test ! -e /m/link/hosts-secret\n",
    );
    swap.build(&d, "");
}

#[test]
fn attack_29_links_of_a_context_lead_nowhere_but_inside() {
    let d = Daemon::fresh();
    let outside = tempfile::tempdir().expect("a folder");
    fs::write(outside.path().join("file"), "host").expect("a file");
    let place = outside.path().display().to_string();
    for (link, copy) in [
        (place.clone(), "link/file"),
        (format!("{place}/file"), "link"),
        (format!("../../../../../../../..{place}/file"), "link"),
    ] {
        let files = Files::new(&format!("FROM busybox\nCOPY {copy} /x\n")).link("link", &link);
        files.fails(&d, "", &["not found"]);
        // The same in an archive, by the real client.
        let tar = Command::new("tar")
            .args(["-cf", "-", "."])
            .current_dir(files.dir())
            .output();
        let archive = tempfile::NamedTempFile::new().expect("a file");
        fs::write(archive.path(), tar.expect("tar").stdout).expect("written");
        let out = Command::new("sh")
            .arg("-c")
            .arg(format!(
                "DOCKER_BUILDKIT=0 docker -H unix://{}/d.sock build - < {}",
                d.dir().display(),
                archive.path().display()
            ))
            .output()
            .expect("docker");
        assert!(!out.status.success());
    }
    // A link that is copied stays one; where it leads is for whoever runs the image.
    let files = Files::new("FROM busybox\nCOPY . /c\n").link("link", &place);
    files.build(&d, "");
    assert_eq!(sh(&d, "readlink /c/link"), place);
    // A target that is a link of the image's leads inside that.
    let target = Files::new(&format!(
        "FROM busybox\nRUN ln -s {place} /out\nCOPY f /out/\n"
    ))
    .file("f", "f");
    target.build(&d, "");
    assert!(!outside.path().join("f").exists());
}

#[test]
fn attack_29_archives_that_lead_out_are_refused() {
    let d = Daemon::fresh();
    let mut layer = testkit::images::Layer::new();
    layer = layer.file("Dockerfile", 0o644, "FROM busybox\nCOPY . /x\n");
    layer = layer.hostile("../out", tar::EntryType::Regular, "", b"x");
    let archive = tempfile::NamedTempFile::new().expect("a file");
    fs::write(archive.path(), layer.finish()).expect("written");
    let out = Command::new("sh")
        .arg("-c")
        .arg(format!(
            "DOCKER_BUILDKIT=0 docker -H unix://{}/d.sock build - < {}",
            d.dir().display(),
            archive.path().display()
        ))
        .output()
        .expect("docker");
    let text = String::from_utf8_lossy(&out.stderr);
    assert!(
        !out.status.success() && text.contains("leads out"),
        "{text}"
    );
}

#[test]
fn attack_30_contents_are_what_they_are_announced_as() {
    let d = Daemon::fresh();
    let digest = "a".repeat(64);
    let body = format!("{digest}{:016x}\nevil", 4);
    let mut http = Command::new("curl");
    http.args([
        "-s",
        "-o",
        "/dev/null",
        "-w",
        "%{http_code}",
        "--unix-socket",
    ])
    .arg(d.dir().join("d.sock"))
    .args(["--data-binary", &body, "http://x/wharf/build/content"]);
    let code = http.output().expect("curl").stdout;
    assert_eq!(String::from_utf8_lossy(&code), "400");
    for entries in [
        r#"{"entries":{"../x":{"kind":"file","mode":420,"mtime":0,"size":0,"digest":""}}}"#,
        r#"{"entries":{"/x":{"kind":"dir","mode":420,"mtime":0}}}"#,
        r#"{"entries":{"l":{"kind":"symlink","mode":511,"mtime":0,"link":"/"},"l/x":{"kind":"dir","mode":420,"mtime":0}}}"#,
        r#"{"base":"nobody","entries":{}}"#,
    ] {
        let out = Command::new("curl")
            .args([
                "-s",
                "-o",
                "/dev/null",
                "-w",
                "%{http_code}",
                "--unix-socket",
            ])
            .arg(d.dir().join("d.sock"))
            .args(["--data-binary", entries, "http://x/wharf/build/context"])
            .output()
            .expect("curl");
        let code = String::from_utf8_lossy(&out.stdout).into_owned();
        assert!(code == "400" || code == "404", "{entries}: {code}");
    }
}
