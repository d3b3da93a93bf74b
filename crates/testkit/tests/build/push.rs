//! `wharf build --push`: to a real registry, with a login and TLS.

use std::fs;

use testkit::{Auth, Cli, Daemon, Host, Lan, Opts, Registry, images};

use crate::Files;

fn login(cli: &Cli, registry: &Registry) {
    let line = format!(
        "login -u {} --password-stdin {}",
        Registry::USER,
        registry.address()
    );
    let out = cli.with_input(&line, &format!("{}\n", Registry::PASSWORD));
    assert_eq!(out.code, 0, "{out}");
}

#[test]
fn images_are_pushed_under_all_their_names() {
    let host = Host::new();
    let registry = Registry::with_tls(host.outside(), Lan::OUTSIDE, Auth::Basic);
    let certs = tempfile::tempdir().expect("/tmp");
    let folder = certs.path().join(registry.address().to_string());
    fs::create_dir(&folder).expect("our own folder");
    fs::copy(registry.authority(), folder.join("ca.crt")).expect("our own folder");
    let setting = format!("--registry-certs-dir={}", certs.path().display());
    let d = Daemon::start(&host, Opts::args(&[&setting]));
    d.load(&images::busybox_tar());
    let (one, two) = (
        registry.reference("app:1"),
        registry.reference("other/app:2"),
    );
    let ours = d.wharf();
    let files = Files::new("FROM busybox\nRUN echo pushed > /p\n");
    let dir = files.dir().display();

    let told = ours.refused(
        &format!("build --progress plain --push -t {one} {dir}"),
        &["app:1"],
    );
    assert!(
        told.stderr.contains("unauthorized")
            || told.stderr.contains("denied")
            || told.stderr.contains("401")
            || told.stderr.contains("no basic auth"),
        "{told}"
    );
    login(&ours, &registry);
    let metadata = files.path("meta.json");
    let out = ours.run(&format!(
        "build --progress plain --push --metadata-file {} -t {one} -t {two} {dir}",
        metadata.display()
    ));
    assert_eq!(out.code, 0, "{out}");
    for name in [&one, &two] {
        assert!(out.stderr.contains(&format!("pushing {name}")), "{out}");
    }
    let told = fs::read_to_string(&metadata).expect("the file");
    let told: serde_json::Value = serde_json::from_str(&told).expect("JSON");
    let digest = told["containerimage.digest"]
        .as_str()
        .expect("a digest")
        .to_owned();
    for name in [&one, &two] {
        ours.ok(&format!("rmi -f {name}"));
    }
    ours.ok("builder prune -af");
    for name in [&one, &two] {
        ours.ok(&format!("pull {name}"));
        assert_eq!(ours.ok(&format!("run --rm {name} cat /p")), "pushed");
        let known = ours.ok(&format!(
            "inspect {name} --format '{{{{json .RepoDigests}}}}'"
        ));
        assert!(known.contains(&digest), "{known} {digest}");
    }

    // The other spellings.
    let three = registry.reference("three:3");
    for output in [
        format!("-o type=registry,name={three}"),
        format!("-o type=registry -t {three}"),
        format!("-o type=image,name={three},push=true"),
    ] {
        let out = ours.run(&format!("build {output} {dir}"));
        assert_eq!(out.code, 0, "{output}: {out}");
        ours.ok(&format!("pull {three}"));
    }

    // Half-way: one name is refused by its registry, and is what is told.
    let bad = registry.reference("bad:4");
    let four = registry.reference("four:4");
    ours.ok(&format!("logout {}", registry.address()));
    let out = ours.refused(
        &format!("build --progress plain --push -t {bad} -t {four} {dir}"),
        &[&format!("failed to push {bad}")],
    );
    assert!(!out.stderr.contains(&format!("pushing {four}")), "{out}");
    login(&ours, &registry);
    let closed = "127.0.0.1:1/closed:5";
    let out = ours.refused(
        &format!("build --progress plain --push -t {four} -t {closed} {dir}"),
        &["failed to push 127.0.0.1:1/closed:5", "refused"],
    );
    assert_eq!(out.code, 1, "{out}");
    ours.ok(&format!("pull {four}"));
    ours.refused(&format!("build --push {dir}"), &["tag is needed"]);
}
