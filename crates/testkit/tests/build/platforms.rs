//! Images for another processor than this host's, where no emulator is registered: made by this host's
//! programs, put together in an index, and had back by platform. With an emulator: `testkit::vm`.

use testkit::{
    Auth, Cli, Daemon, Host, Lan, Opts, Registry, foreign,
    images::{busybox_tar, own_architecture},
    run,
};

use crate::{Files, cached};

/// Whether the programs of [`foreign::busybox`] run here all the same.
fn emulated() -> bool {
    own_architecture() == "arm64"
        || std::fs::exists("/proc/sys/fs/binfmt_misc/qemu-aarch64").is_ok_and(|is| is)
}

const CROSS: &str = r#"
FROM --platform=$BUILDPLATFORM BASE AS build
ARG BUILDPLATFORM
ARG BUILDOS
ARG BUILDARCH
ARG BUILDVARIANT
ARG TARGETPLATFORM
ARG TARGETOS
ARG TARGETARCH
ARG TARGETVARIANT
RUN echo "$BUILDPLATFORM $BUILDOS $BUILDARCH ($BUILDVARIANT)" >/told && \
    echo "$TARGETPLATFORM $TARGETOS $TARGETARCH ($TARGETVARIANT)" >>/told
FROM BASE
COPY --from=build /told /told
"#;

/// A file of an image, without running anything of it.
#[track_caller]
fn file_of(cli: &Cli, d: &Daemon, image: &str, platform: &str, path: &str) -> String {
    let id = cli.ok(&format!("create --platform {platform} {image} x"));
    let to = d.dir().join("file");
    let out = cli.run(&format!("cp {id}:{path} {}", to.display()));
    cli.ok(&format!("rm {id}"));
    out.ok();
    std::fs::read_to_string(to).expect("it was copied")
}

/// `base:1` in the registry, for both processors.
fn base(registry: &Registry, host: &Host, d: &Daemon) -> String {
    registry.push(host.outside(), &busybox_tar(), "base:1-amd64");
    registry.push(host.outside(), &foreign::busybox(), "base:1-arm64");
    index(d, &registry.reference("base:1"));
    registry.reference("base:1")
}

/// An index `name` of the images `name-amd64` and `name-arm64`; answers its digest.
fn index(d: &Daemon, name: &str) -> String {
    let cli = d.wharf();
    cli.ok(&format!(
        "manifest create --insecure {name} {name}-amd64 {name}-arm64"
    ));
    let said = cli.ok(&format!("manifest push --insecure --purge {name}"));
    said.lines().last().expect("a digest").to_owned()
}

#[test]
fn platforms_are_built_by_this_hosts_programs_put_in_an_index_and_had_back() {
    if own_architecture() != "amd64" {
        return;
    }
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    let d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    let base = base(&registry, &host, &d);
    let files = Files::new(&CROSS.replace("BASE", &base));
    let told = |arch: &str| format!("linux/amd64 linux amd64 ()\nlinux/{arch} linux {arch} ()\n");
    for cli in d.clis() {
        cli.run("system prune -af").ok();
        let name = registry.reference(&format!("app-{}:1", cli.name()));
        for arch in ["amd64", "arm64"] {
            let line = format!(
                "build --platform linux/{arch} -t {name}-{arch} {}",
                files.dir().display()
            );
            run(cli.command(&line).env("DOCKER_BUILDKIT", "0")).ok();
            let platform = "image inspect -f '{{.Os}}/{{.Architecture}}'";
            assert_eq!(
                cli.ok(&format!("{platform} {name}-{arch}")),
                format!("linux/{arch}")
            );
            cli.ok(&format!("push {name}-{arch}"));
        }
        let digest = index(&d, &name);
        cli.ok("image prune -af");
        for arch in ["arm64", "amd64"] {
            let platform = format!("linux/{arch}");
            cli.ok(&format!("pull --platform {platform} {name}"));
            let digests = cli.ok(&format!("image inspect -f '{{{{.RepoDigests}}}}' {name}"));
            assert!(digests.contains(&digest), "{digests}");
            assert_eq!(file_of(&cli, &d, &name, &platform, "/told"), told(arch));
        }
        // The one that was pulled before is at hand still: nothing is fetched for it.
        assert_eq!(
            file_of(&cli, &d, &name, "linux/arm64", "/told"),
            told("arm64")
        );
        // All of it is here, so all of it goes on, to the byte; or one platform of it.
        let copy = registry.reference("copy:1");
        cli.ok(&format!("tag {name} {copy}"));
        let sent = cli.ok(&format!("push {copy}"));
        assert!(sent.contains(&digest), "{sent}");
        let sent = cli.ok(&format!("push --platform linux/arm64 {copy}"));
        assert!(!sent.contains(&digest), "{sent}");
        let inspect = format!("manifest inspect --insecure -v {name}");
        let shown = d.wharf().ok(&inspect);
        for arch in ["amd64", "arm64"] {
            assert!(
                shown.contains(&format!("\"architecture\": \"{arch}\"")),
                "{shown}"
            );
        }
        cli.ok("image prune -af");
    }
}

#[test]
fn several_platforms_in_one_build_become_one_index() {
    if own_architecture() != "amd64" {
        return;
    }
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    let d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    let base = base(&registry, &host, &d);
    let files = Files::new(&CROSS.replace("BASE", &base));
    let told = |arch: &str| format!("linux/amd64 linux amd64 ()\nlinux/{arch} linux {arch} ()\n");
    let name = registry.reference("multi:1");
    let both = "--platform linux/amd64,linux/arm64";
    let meta = d.dir().join("meta.json");
    let told_by = format!("--metadata-file {}", meta.display());
    let shown = files.build(&d, both);
    let dir = files.dir().display();
    let line = format!("build --progress plain {both} -t {name} --push {told_by} {dir}");
    d.wharf().ok(&line);
    for title in [
        "[linux/amd64 build 2/2] RUN",
        "[linux/amd64->arm64 build 2/2] RUN",
        "[linux/arm64 stage-1 2/2] COPY",
        "writing manifest list sha256:",
    ] {
        assert!(shown.contains(title), "{title}: {shown}");
    }
    for cli in d.clis() {
        for arch in ["amd64", "arm64"] {
            let platform = format!("linux/{arch}");
            let architecture = "image inspect -f '{{.Architecture}}' --platform";
            assert_eq!(cli.ok(&format!("{architecture} {platform} it")), arch);
            assert_eq!(file_of(&cli, &d, &name, &platform, "/told"), told(arch));
        }
        // The one for this host has the name.
        assert_eq!(
            cli.ok(&format!("run --rm {name} cat /told")),
            told("amd64").trim_end()
        );
    }
    // What is told of it is what others get.
    let meta = std::fs::read_to_string(meta).expect("it was written");
    let meta: serde_json::Value = serde_json::from_str(&meta).expect("JSON");
    let digest = meta["containerimage.digest"].as_str().expect("a digest");
    let digests = d
        .docker()
        .ok(&format!("image inspect -f '{{{{.RepoDigests}}}}' {name}"));
    assert!(digests.contains(digest), "{digest} {digests}");
    let (repository, _) = name.rsplit_once(':').expect("a tag");
    let raw = d
        .wharf()
        .ok(&format!("registry inspect --raw {repository}@{digest}"));
    assert!(raw.contains("image.index.v1+json"), "{raw}");
    // All of it is in the registry, and goes from here with its names.
    d.wharf().ok(&format!("rmi it {name} {base}"));
    assert_eq!(d.wharf().ok("images -qf dangling=true"), "");
    for arch in ["arm64", "amd64"] {
        let platform = format!("linux/{arch}");
        d.docker().ok(&format!("pull --platform {platform} {name}"));
        assert_eq!(
            file_of(&d.docker(), &d, &name, &platform, "/told"),
            told(arch)
        );
    }
    // As an archive, as files, and not as what cannot hold it.
    let archive = d.dir().join("multi.tar");
    let dest = |kind: &str| format!("{both} -o type={kind},dest={}", archive.display());
    files.build(&d, &dest("oci"));
    let raw = run(std::process::Command::new("skopeo")
        .args(["inspect", "--raw"])
        .arg(format!("oci-archive:{}", archive.display())))
    .ok();
    let index: serde_json::Value = serde_json::from_str(&raw).expect("an index");
    let architectures = |n: usize| index["manifests"][n]["platform"]["architecture"].clone();
    assert_eq!([architectures(0), architectures(1)], ["amd64", "arm64"]);
    files.fails(
        &d,
        &dest("docker"),
        &["does not currently support exporting manifest lists"],
    );
    let load = format!("load --platform linux/arm64 -i {}", archive.display());
    d.docker().ok(&load);
    assert_eq!(
        d.docker().ok("image inspect -f '{{.Architecture}}' it"),
        "arm64"
    );
    let folder = d.dir().join("files");
    files.build(&d, &format!("{both} -o {}", folder.display()));
    for arch in ["amd64", "arm64"] {
        let path = folder.join(format!("linux_{arch}/told"));
        assert_eq!(
            std::fs::read_to_string(path).expect("it was sent"),
            told(arch)
        );
    }
}

#[test]
fn both_platforms_of_a_base_stay_at_hand() {
    if own_architecture() != "amd64" {
        return;
    }
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    let d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    let base = base(&registry, &host, &d);
    let files = Files::new(&CROSS.replace("BASE", &base));
    files.build(&d, "--platform linux/arm64");
    // Nobody is there to be asked any more.
    drop(registry);
    let told = files.build(&d, "--platform linux/arm64");
    assert_eq!(cached(&told), 2, "{told}");
    files.build(&d, "--platform linux/amd64");
    files.build(&d, "--platform linux/arm64 --no-cache");
    let platform = "image inspect -f '{{.Architecture}}'";
    for cli in d.clis() {
        assert_eq!(cli.ok(&format!("{platform} it")), "arm64");
        for arch in ["amd64", "arm64"] {
            let line = format!("{platform} --platform linux/{arch} {base}");
            assert_eq!(cli.ok(&line), arch);
        }
    }
}

#[test]
fn without_an_emulator_it_is_said_what_is_missing() {
    if emulated() {
        return;
    }
    let d = Daemon::fresh();
    d.load(&foreign::busybox());
    let files = Files::new("FROM foreign\nCOPY Dockerfile /\nRUN true\n");
    let parts = [
        "programs for linux/arm64 cannot run on this host (linux/amd64)",
        "qemu-user-static",
        "RUN true",
    ];
    files.fails(&d, "--platform linux/arm64", &parts);
    let line = format!("build --platform linux/arm64 {}", files.dir().display());
    let out = run(d.docker().command(&line).env("DOCKER_BUILDKIT", "0"));
    assert_ne!(out.code, 0);
    for part in &parts[..2] {
        assert!(out.stderr.contains(part), "{}{}", out.stdout, out.stderr);
    }
    for cli in d.clis() {
        assert_eq!(cli.ok("ps -aq"), "");
        let out = cli.refused("run --rm --platform linux/arm64 foreign true", &parts[..2]);
        // As docker's command line has it: only what is missing or forbidden has other codes.
        assert_eq!(out.code, 125);
        let created = cli.run("create foreign true");
        let warning = "The requested image's platform (linux/arm64) does not match the detected \
                       host platform (linux/amd64)";
        assert!(created.stderr.contains(warning), "{}", created.stderr);
        cli.ok(&format!("rm {}", created.ok()));
    }
}
