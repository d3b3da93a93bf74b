//! What Dockerfiles in the world rely on, one line each, as BuildKit does it.

use testkit::Daemon;

use crate::{Files, sh};

#[test]
fn lines_of_the_worlds_dockerfiles() {
    let d = Daemon::fresh();
    let files = Files::new(
        r"FROM busybox
ENV MODE=base
COPY package.json yarn.lock* pnpm-lock*.yaml ./
ARG MODE=arg
RUN echo $MODE > /mode1
ENV MODE=env
RUN echo $MODE > /mode2
RUN cat << EOF > /spaced
[Desktop]
$MODE
EOF
WORKDIR /app
COPY *.txt /app
RUN --mount=type=tmpfs,target=/t cp /bin/busybox /t/sh && /t/sh -c 'echo ran > /ran'
RUN --mount=type=cache,target=/c echo a >> /c/log
RUN --mount=type=cache,target=/c echo a >> /c/log
RUN --mount=type=cache,target=/c cp /c/log /log
RUN echo appliance > /etc/hostname
RUN cp /etc/hostname /name; env > /env
COPY --parents packages/*/./package.json /out/
COPY <<EOF /document
x
EOF
USER app
WORKDIR /home/of/app
USER root
",
    )
    .file("package.json", "{}")
    .file("a.txt", "a")
    .file("b.txt", "b")
    .file("packages/one/package.json", "1")
    .file("deep/a.txt", "d");
    files.build(&d, "--build-arg http_proxy=http://proxy.example:1");
    assert_eq!(
        sh(
            &d,
            "cat /mode1 /mode2 /spaced /app/a.txt /app/b.txt /ran /log /name /out/package.json"
        ),
        "arg\nenv\n[Desktop]\nenv\nabran\na\na\nappliance\n1"
    );
    let env = sh(&d, "cat /env");
    for pair in ["http_proxy=http://proxy", "HTTP_PROXY=http://proxy"] {
        assert!(env.contains(pair), "{env}");
    }
    assert!(!env.contains("HOSTNAME="), "{env}");
    let age = sh(&d, "echo $(( $(date +%s) - $(stat -c %Y /document) ))");
    assert!(age.parse::<i64>().is_ok_and(|age| age < 86_400), "{age}");
    assert_ne!(sh(&d, "stat -c %u /home/of/app"), "0");

    // A context by the name of an image, however that is written.
    d.wharf().ok("tag it other");
    Files::new("FROM docker.io/library/nowhere:latest\nRUN test -f /mode1\n")
        .build(&d, "--build-context nowhere=docker-image://other");

    for (lines, said) in [
        ("COPY missing ./", "not found"),
        ("COPY *.txt /name", "must be a directory and end with a /"),
        (
            "COPY --from=late /x /\nFROM busybox AS late\nCOPY --from=0 /etc /e",
            "invalid stage",
        ),
        (
            "RUN --device=vendor.example/gpu true",
            "--device is not supported",
        ),
        ("FROM --platform=$NOTHING busybox", "empty platform value"),
    ] {
        Files::new(&format!("FROM busybox\n{lines}\n"))
            .file("a.txt", "a")
            .file("b.txt", "b")
            .fails(&d, "", &[said]);
    }
}

#[test]
fn bases_without_a_path_and_with_links_to_nothing() {
    let d = Daemon::fresh();
    let dir = tempfile::tempdir().expect("a folder");
    let tar = dir.path().join("base.tar");
    d.wharf().ok("create --name base busybox");
    d.wharf().ok(&format!("export -o {} base", tar.display()));
    d.wharf().ok(&format!("import {} nopath", tar.display()));
    Files::new("FROM nopath\nENV PATH=/opt/bin:$PATH\nRUN ls / > /listed\n").build(&d, "");
    let path = sh(&d, "echo $PATH");
    assert!(path.starts_with("/opt/bin:/usr/local/sbin:"), "{path}");

    std::fs::create_dir(dir.path().join("etc")).expect("a folder");
    let files = Files::new("FROM busybox\nCOPY etc/ /etc/\nRUN cat /etc/resolv.conf > /copy\n")
        .file("etc/x", "")
        .link("etc/resolv.conf", "../run/resolve/stub.conf");
    files.build(&d, "");
    assert!(sh(&d, "cat /copy").contains("nameserver"));
    // It is there for the container alone, and in no layer.
    let out = dir.path().join("files");
    files.build(&d, &format!("-o {}", out.display()));
    assert!(!out.join("run/resolve").exists());
    assert!(out.join("etc/resolv.conf").is_symlink());
}
