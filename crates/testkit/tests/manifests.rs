//! `manifest` and the indexes that it makes, by docker's command line and ours beside each other:
//! docker's speaks to the registry by itself, ours through the daemon.

use std::fs;
use std::path::Path;

use serde_json::Value;
use testkit::{Auth, Cli, Daemon, Host, Lan, Ns, Opts, Output, Registry, images, run};

const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// docker's command line reaches the registry from where that is.
fn from(outside: &Ns, cli: &Cli, line: &str) -> Output {
    outside.within(|| run(&mut cli.command(line)))
}

fn other() -> &'static str {
    match images::own_architecture() {
        "amd64" => "arm64",
        _ => "amd64",
    }
}

/// Images for two processors, in repositories of their own.
fn two(registry: &Registry, outside: &Ns, format: &str) {
    let own = images::for_architecture(images::own_architecture(), "own");
    let second = images::for_architecture(other(), "second");
    registry.push_with(outside, &own, "parts/own:1", &[format]);
    registry.push_with(outside, &second, "parts/second:1", &[format]);
}

/// What is kept of lists that are not put up yet: names of files and their contents.
fn drafts(config: &Path) -> Vec<(String, Value)> {
    let mut found = Vec::new();
    let Ok(lists) = fs::read_dir(config.join("manifests")) else {
        return found;
    };
    for list in lists.map(|list| list.expect("our own folder").path()) {
        for file in fs::read_dir(&list).expect("our own folder") {
            let path = file.expect("our own folder").path();
            let text = fs::read_to_string(&path).expect("our own file");
            let name = path.strip_prefix(config).expect("below it");
            let value = serde_json::from_str(&text).expect("JSON");
            found.push((name.display().to_string(), value));
        }
    }
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found
}

#[test]
fn lists_are_made_and_put_up_as_docker_does() {
    let host = Host::new();
    let outside = host.outside();
    let registry = Registry::start(outside, Lan::OUTSIDE, Auth::None);
    let d = Daemon::start(&host, Opts::default());
    for (format, kind) in [("--format=v2s2", DOCKER_LIST), ("--format=oci", OCI_INDEX)] {
        two(&registry, outside, format);
        let (own, second) = (
            registry.reference("parts/own:1"),
            registry.reference("parts/second:1"),
        );
        let list = registry.reference("made:1");
        let mut said: Vec<Vec<String>> = Vec::new();
        let mut kept = Vec::new();
        for cli in [d.docker(), d.wharf()] {
            let mut all = Vec::new();
            let mut say = |line: &str| {
                let out = from(outside, &cli, line);
                all.push(format!(
                    "{line}: {}\n{}{}",
                    out.code, out.stdout, out.stderr
                ));
                out
            };
            say(&format!("manifest create --insecure {list} {own} {second}")).ok();
            // Once more is to amend it.
            say(&format!("manifest create --insecure {list} {own}"));
            say(&format!("manifest create --insecure -a {list} {own}")).ok();
            say(&format!("manifest inspect {list}")).ok();
            say(&format!("manifest inspect -v {list}")).ok();
            say(&format!("manifest inspect {list} {second}")).ok();
            say(&format!("manifest inspect -v {list} {second}")).ok();
            say(&format!("manifest inspect {list} {list}"));
            say(&format!(
                "manifest annotate {list} {second} --variant v8 --os-version 7 \
                 --os-features a,b --os-features b"
            ))
            .ok();
            say(&format!("manifest annotate {list} {second} --arch toaster"));
            say(&format!("manifest annotate {list} {list}"));
            kept.push(drafts(cli.config()));
            let pushed = say(&format!("manifest push --insecure {list}")).ok();
            let digest = pushed.lines().last().expect("a digest").to_owned();
            say(&format!("manifest push --insecure -p {list}")).ok();
            say(&format!("manifest push --insecure {list}"));
            say(&format!("manifest inspect --insecure {list}")).ok();
            say(&format!("manifest inspect --insecure -v {list}")).ok();
            let by_digest = registry.reference(&format!("made@{digest}"));
            say(&format!("manifest inspect --insecure {by_digest}")).ok();
            say(&format!("manifest inspect --insecure -v {by_digest}")).ok();
            say(&format!("manifest inspect --insecure {own}")).ok();
            say(&format!("manifest inspect --insecure -v {own}")).ok();
            say(&format!("manifest create --insecure other {list}"));
            let none = registry.reference("none:1");
            say(&format!("manifest inspect --insecure {none}"));
            say(&format!("manifest create --insecure {list} {none}"));
            say(&format!("manifest create --insecure {list} {own}:bad@x"));
            say(&format!(
                "manifest create --insecure here.example/list {own}"
            ))
            .ok();
            say("manifest push --insecure here.example/list");
            say("manifest rm here.example/list").ok();
            say(&format!("manifest rm {list} here.example/list"));
            assert_eq!(drafts(cli.config()), [], "nothing is left");
            said.push(all);
            assert!(
                fs::read_to_string(registry.blob(&digest))
                    .expect("it is there")
                    .contains(kind)
            );
        }
        assert_eq!(kept[0], kept[1], "one goes on where the other stopped");
        for (docker, wharf) in said[0].iter().zip(&said[1]) {
            assert_eq!(docker, wharf);
        }
        assert_eq!(said[0].len(), said[1].len());
    }
}

#[test]
fn what_was_put_up_is_pulled_by_platform_and_by_digest() {
    let host = Host::new();
    let outside = host.outside();
    let registry = Registry::start(outside, Lan::OUTSIDE, Auth::Basic);
    let d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    two(&registry, outside, "--format=oci");
    let (own, second) = (
        registry.reference("parts/own:1"),
        registry.reference("parts/second:1"),
    );
    for cli in d.clis() {
        let list = registry.reference(&format!("{}/made:1", cli.name()));
        let refused = from(
            outside,
            &cli,
            &format!("manifest create --insecure {list} {own} {second}"),
        );
        assert_ne!(refused.code, 0, "{refused}");
        assert!(!refused.stderr.contains(Registry::PASSWORD), "{refused}");
        let login = format!(
            "login -u {} --password-stdin {}",
            Registry::USER,
            registry.address()
        );
        let login = cli.with_input(&login, Registry::PASSWORD);
        assert_eq!(login.code, 0, "{login}");
        for line in [
            format!("manifest create --insecure {list} {own} {second}"),
            format!("manifest push --insecure -p {list}"),
        ] {
            from(outside, &cli, &line).ok();
        }
        let shown = from(
            outside,
            &cli,
            &format!("manifest inspect --insecure {list}"),
        );
        let shown: Value = serde_json::from_str(&shown.ok()).expect("an index");
        assert_eq!(shown["manifests"].as_array().expect("a list").len(), 2);

        for (platform, arch) in [
            ("", images::own_architecture()),
            ("--platform linux/amd64 ", "amd64"),
            ("--platform linux/arm64 ", "arm64"),
        ] {
            let out = cli.ok(&format!("pull {platform}{list}"));
            let digest = out.lines().find_map(|line| line.strip_prefix("Digest: "));
            let digest = digest.expect("a digest").to_owned();
            let inspect = |what: &str, name: &str| {
                cli.ok(&format!("image inspect -f '{{{{{what}}}}}' {name}"))
            };
            assert_eq!(inspect(".Architecture", &list), arch);
            // The digest is the index's, not that of the part that was taken.
            let bare = list.strip_suffix(":1").expect("its tag");
            let by_digest = format!("{bare}@{digest}");
            assert_eq!(inspect(".RepoDigests", &list), format!("[{by_digest}]"));
            cli.ok(&format!("rmi {list}"));
            cli.ok(&format!("pull {platform}{by_digest}"));
            assert_eq!(inspect(".Architecture", &by_digest), arch);
            assert_eq!(
                inspect(".RepoDigests", &by_digest),
                format!("[{by_digest}]")
            );

            // The part goes on alone, and back it comes.
            let alone = registry.reference(&format!("{}/alone:{arch}", cli.name()));
            cli.ok(&format!("tag {by_digest} {alone}"));
            cli.ok(&format!("push --platform linux/{arch} {alone}"));
            let wrong = if arch == "amd64" { "arm64" } else { "amd64" };
            cli.refused(&format!("push --platform linux/{wrong} {alone}"), &[wrong]);
            cli.ok(&format!("rmi -f {alone} {by_digest}"));
            assert_eq!(cli.ok("images -aq"), "");
            cli.ok(&format!("pull --platform linux/{arch} {alone}"));
            assert_eq!(inspect(".Architecture", &alone), arch);
            cli.ok(&format!("rmi {alone}"));
        }
        cli.refused(
            &format!("pull --platform linux/s390x {list}"),
            &["no matching manifest for linux/s390x"],
        );
        cli.ok(&format!("logout {}", registry.address()));
    }
    assert!(!d.log().contains(Registry::PASSWORD));
}

#[test]
fn what_is_in_a_registry_is_seen_and_removed() {
    let host = Host::new();
    let outside = host.outside();
    let registry = Registry::start(outside, Lan::OUTSIDE, Auth::Bearer);
    let d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    two(&registry, outside, "--format=oci");
    let (own, second) = (
        registry.reference("parts/own:1"),
        registry.reference("parts/second:1"),
    );
    let wharf = d.wharf();
    wharf.refused(&format!("registry tags {own}"), &["write the name"]);
    let repository = registry.reference("parts/own");
    wharf.refused(&format!("registry tags {repository}"), &["unauthorized"]);
    let login = format!(
        "login -u {} --password-stdin {}",
        Registry::USER,
        registry.address()
    );
    assert_eq!(wharf.with_input(&login, Registry::PASSWORD).code, 0);
    let list = registry.reference("made:1");
    wharf.ok(&format!("manifest create {list} {own} {second}"));
    let digest = wharf.ok(&format!("manifest push -p {list}"));
    let digest = digest.lines().last().expect("a digest").to_owned();

    // As `docker buildx imagetools inspect` shows it.
    let shown = wharf.ok(&format!("registry inspect {list}"));
    let lines: Vec<_> = shown.lines().collect();
    assert_eq!(lines[0], format!("Name:      {list}"));
    assert_eq!(lines[1], format!("MediaType: {OCI_INDEX}"));
    assert_eq!(lines[2], format!("Digest:    {digest}"));
    assert_eq!(lines[4], "Manifests: ");
    for arch in ["amd64", "arm64"] {
        let line = format!("  Platform:    linux/{arch}");
        assert!(lines.contains(&line.as_str()), "{shown}");
    }
    let raw = wharf.ok(&format!("registry inspect --raw {list}"));
    assert_eq!(format!("sha256:{}", images::sha256(raw.as_bytes())), digest);
    let format = |format: &str, name: &str| {
        wharf.ok(&format!("registry inspect --format '{format}' {name}"))
    };
    assert_eq!(
        format("{{.Name}} {{.Manifest.Digest}}", &list),
        format!("{list} {digest}")
    );
    let all: Value = serde_json::from_str(&format("json", &list)).expect("JSON");
    assert_eq!(all["manifest"]["digest"], digest);
    assert_eq!(all["image"]["linux/arm64"]["architecture"], "arm64");
    let arch = images::own_architecture();
    assert_eq!(format("{{.Image.Architecture}}", &own), arch);
    wharf.refused(
        &format!("registry inspect --raw --format json {list}"),
        &["format and raw cannot be used together"],
    );
    let none = registry.reference("none:1");
    wharf.refused(&format!("registry inspect {none}"), &["not found"]);

    // Two tags of one manifest.
    let archive = images::for_architecture(arch, "own");
    registry.push_with(outside, &archive, "parts/own:2", &["--format=oci"]);
    registry.push_with(outside, &archive, "parts/own:10", &["--format=oci"]);
    let tags = || wharf.ok(&format!("registry tags {repository}"));
    assert_eq!(tags(), "1\n10\n2");
    // docker's registry cannot remove one of them alone.
    let refused = wharf.refused(&format!("registry rm {own}"), &["cannot remove the tag"]);
    assert_eq!(tags(), "1\n10\n2");
    let by_digest = refused
        .stderr
        .split_whitespace()
        .find(|w| w.contains("@sha256:"));
    let by_digest = by_digest
        .expect("it is told")
        .trim_end_matches(';')
        .to_owned();
    wharf.refused(
        &format!("registry rm {repository}"),
        &["name a tag or a digest"],
    );
    let removed = wharf.ok(&format!("registry rm -f {own}"));
    assert_eq!(removed, format!("Removed: {by_digest}"));
    assert_eq!(wharf.ok(&format!("registry tags {repository}")), "");
    wharf.refused(&format!("registry rm {by_digest}"), &["not found"]);
    // The index of what is gone is still there, and goes by its digest.
    let index = registry.reference(&format!("made@{digest}"));
    assert_eq!(
        wharf.ok(&format!("registry rm {index}")),
        format!("Removed: {index}")
    );
    wharf.refused(&format!("registry inspect {list}"), &["not found"]);
    assert!(!d.log().contains(Registry::PASSWORD));
}
