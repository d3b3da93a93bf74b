//! `COPY`, `ADD` and what goes to the client.

use std::{fs, process::Command};

use testkit::Daemon;

use crate::{Files, sh};

#[test]
fn what_is_copied_where() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox
RUN mkdir /there && ln -s there /link && chown app /there
COPY a.txt /one
COPY a.txt /there
COPY a.txt b.txt /two/
COPY dir /three
COPY dir/ link-to-dir /four/
COPY *.txt /five/
COPY dir/*/deep /six/
COPY --chown=app:extra --chmod=640 a.txt /seven
COPY --chown=12:34 dir /eight
COPY --chmod=u=rwX,go=rX dir /nine
COPY --parents dir/sub/deep dir/./sub/x /ten/
COPY --exclude=sub --exclude=*.md dir /eleven/
COPY --link a.txt /link/twelve
WORKDIR /w
COPY a.txt .
COPY a.txt ./renamed
ADD a.txt /added
",
    )
    .file("a.txt", "a")
    .file("b.txt", "b")
    .file("dir/top", "top")
    .file("dir/readme.md", "md")
    .file("dir/sub/deep", "deep")
    .file("dir/sub/x", "x")
    .mode("dir/sub/x", 0o755)
    .link("dir/l", "top")
    .link("link-to-dir", "dir/sub");
    files.build(&d, "");
    assert_eq!(
        sh(&d, "cat /one /there/a.txt /two/a.txt /two/b.txt"),
        "aaab"
    );
    assert_eq!(
        sh(&d, "ls /three; readlink /three/l"),
        "l\nreadme.md\nsub\ntop\ntop"
    );
    assert_eq!(sh(&d, "ls /four"), "deep\nl\nreadme.md\nsub\ntop\nx");
    assert_eq!(
        sh(&d, "ls /five /six"),
        "/five:\na.txt\nb.txt\n\n/six:\ndeep"
    );
    assert_eq!(
        sh(
            &d,
            "stat -c %u:%g:%a /seven /eight /eight/sub/x /nine/sub/x /nine/top"
        ),
        "1000:1010:640\n12:34:755\n12:34:755\n0:0:755\n0:0:644"
    );
    assert_eq!(
        sh(&d, "find /ten -type f | sort"),
        "/ten/dir/sub/deep\n/ten/sub/x"
    );
    assert_eq!(sh(&d, "ls /eleven"), "l\ntop");
    assert_eq!(
        sh(
            &d,
            "cat /link/twelve /w/a.txt /w/renamed /added; stat -c %u /there"
        ),
        "aaaa1000"
    );
    for (line, parts) in [
        (
            "COPY a.txt b.txt /x",
            "must be a directory and end with a /",
        ),
        ("COPY a.txt /etc", ""),
        ("COPY dir /etc/passwd", "no directory"),
        ("COPY --chmod=999 a.txt /x", "invalid chmod"),
        ("COPY --chown=nobody9 a.txt /x", "nobody9"),
        ("COPY --checksum=sha256:00 a.txt /x", ""),
    ] {
        let files = Files::new(&format!("FROM busybox\n{line}\n"))
            .file("a.txt", "a")
            .file("b.txt", "b")
            .file("dir/f", "f");
        if line == "COPY a.txt /etc" {
            files.build(&d, "");
            assert_eq!(sh(&d, "cat /etc/a.txt"), "a");
        } else {
            files.fails(&d, "", &[parts]);
        }
    }
}

#[test]
fn ownership_and_modes_come_along_from_stages() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox AS one
RUN mkdir -p /out/d && echo x > /out/d/f && mkfifo /out/p && chown -R 7:8 /out && chmod 2750 /out/d
FROM busybox
COPY --from=one /out /out
",
    );
    files.build(&d, "");
    assert_eq!(
        sh(&d, "stat -c %u:%g:%a:%F /out /out/d /out/d/f /out/p"),
        "0:0:755:directory\n7:8:2750:directory\n7:8:644:regular file\n7:8:644:fifo"
    );
}

#[test]
fn archives_are_unpacked_by_add_alone() {
    let d = Daemon::fresh();
    let files = Files::new(
        "FROM busybox\nADD a.tar.gz /a/\nCOPY a.tar.gz /b/\nADD --unpack=false a.tar.gz /c/\n",
    )
    .file("in/x", "x");
    let packed = Command::new("tar")
        .args(["-czf", "a.tar.gz", "-C", "in", "."])
        .current_dir(files.dir())
        .status()
        .expect("tar");
    assert!(packed.success());
    files.build(&d, "");
    assert_eq!(
        sh(&d, "ls /a /b /c"),
        "/a:\nx\n\n/b:\na.tar.gz\n\n/c:\na.tar.gz"
    );
}

#[test]
fn what_is_ignored_is_not_there() {
    let d = Daemon::fresh();
    let files = Files::new("FROM busybox\nCOPY . /all\n")
        .file(".dockerignore", "secret\n**/*.log\n!keep/this.log\n")
        .file("secret/key", "s")
        .file("keep/this.log", "k")
        .file("keep/that.log", "t")
        .file("file", "f");
    files.build(&d, "");
    assert_eq!(
        sh(&d, "cd /all; find . -type f | sort"),
        "./.dockerignore\n./Dockerfile\n./file\n./keep/this.log"
    );
}

#[test]
fn files_and_archives_for_the_client() {
    let d = Daemon::fresh();
    let files = Files::new(
        "FROM busybox AS b\nRUN mkdir /out && echo built > /out/file\nFROM scratch\nCOPY --from=b /out /\n",
    );
    let out = tempfile::tempdir().expect("a folder");
    let place = out.path().display();
    d.wharf()
        .ok(&format!("build -o {place}/dir {}", files.dir().display()));
    assert_eq!(
        fs::read_to_string(out.path().join("dir/file")).expect("a file"),
        "built\n"
    );
    d.wharf().ok(&format!(
        "build -o type=tar,dest={place}/out.tar {}",
        files.dir().display()
    ));
    let list = Command::new("tar")
        .args(["-tf", "out.tar"])
        .current_dir(out.path())
        .output();
    let list = String::from_utf8(list.expect("tar").stdout).expect("text");
    assert!(list.contains("file"), "{list}");
    for kind in ["docker", "oci"] {
        d.wharf().ok(&format!(
            "build -t kept:1 -o type={kind},dest={place}/{kind}.tar {}",
            files.dir().display()
        ));
        assert_eq!(
            d.wharf().ok("images -q kept"),
            "",
            "{kind}: it went to the client alone"
        );
        d.wharf().ok(&format!("load -i {place}/{kind}.tar"));
        assert_ne!(d.wharf().ok("images -q kept"), "", "{kind}");
        d.wharf().ok("rmi kept:1");
    }
}

#[test]
fn the_same_inputs_give_the_same_image() {
    let text =
        "FROM busybox\nRUN mkdir /a && echo x > /a/b && touch /c\nCOPY file /file\nENV A=b\n";
    let mut ids = Vec::new();
    for _ in 0..2 {
        let d = Daemon::fresh();
        let files = Files::new(text).file("file", "text");
        files.build(&d, "--build-arg SOURCE_DATE_EPOCH=1700000000");
        ids.push(
            d.wharf()
                .ok("image inspect it --format '{{.Id}} {{.Created}}'"),
        );
        assert_eq!(
            sh(&d, "stat -c %Y /a/b /c /file"),
            "1700000000\n1700000000\n1700000000"
        );
    }
    assert_eq!(ids[0], ids[1]);
    assert!(ids[0].ends_with("2023-11-14T22:13:20Z"), "{}", ids[0]);
}

#[test]
fn files_go_where_links_lead_and_flags_have_variables() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox
ARG OUT=*.md
RUN echo old > /real && ln -s ../real /etc/link && ln -s /not/there /dangling
COPY a.txt /etc/link
COPY a.txt /dangling
COPY --exclude=$OUT --chmod=u=rw,g=u,o+r-w dir /d
",
    )
    .file("a.txt", "new")
    .file("dir/top", "top")
    .file("dir/readme.md", "md");
    files.build(&d, "");
    assert_eq!(
        sh(
            &d,
            "readlink /etc/link; readlink /dangling; cat /real /not/there; ls /d; stat -c %a /d/top"
        ),
        "../real\n/not/there\nnewnewtop\n664"
    );
    let looped = Files::new("FROM busybox\nRUN ln -s /loop /loop\nCOPY a.txt /loop\n");
    let looped = looped.file("a.txt", "new");
    looped.fails(&d, "", &["/loop", "too many symbolic links"]);
}
