//! Pushing to a real registry, and what else registries are asked, by both command lines.

use std::{
    fs,
    time::{SystemTime, UNIX_EPOCH},
};

use serde_json::json;
use testkit::{Auth, Cli, Daemon, Host, Lan, Opts, Registry, images};

fn with_registry(auth: Auth) -> (Daemon, Registry) {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, auth);
    let daemon = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    (daemon, registry)
}

fn digest_in(text: &str) -> String {
    let at = text.find("digest: sha256:").expect("a digest") + "digest: ".len();
    text[at..at + 71].to_owned()
}

/// Logs in as somebody who types does not, by standard input.
fn login(cli: &Cli, registry: &Registry) -> testkit::Output {
    let line = format!(
        "login -u {} --password-stdin {}",
        Registry::USER,
        registry.address()
    );
    cli.with_input(&line, &format!("{}\n", Registry::PASSWORD))
}

#[test]
fn what_is_pushed_comes_back() {
    let (d, registry) = with_registry(Auth::None);
    let more = images::variant("pushed", |l| l.file("more", 0o644, "of it"), &json!({}));
    for cli in d.clis() {
        d.load(&more);
        let name = cli.name();
        let reference = registry.reference(&format!("{name}/box:1"));
        cli.ok(&format!("tag pushed {reference}"));
        let out = cli.ok(&format!("push {reference}"));
        let bare = registry.reference(&format!("{name}/box"));
        assert!(
            out.starts_with(&format!("The push refers to repository [{bare}]")),
            "{out}"
        );
        assert!(
            out.contains(": Preparing") && out.contains(": Pushed"),
            "{out}"
        );
        let digest = digest_in(&out);
        // It is known by that digest from now on.
        let digests = cli.ok(&format!("inspect -f '{{{{.RepoDigests}}}}' {reference}"));
        assert!(digests.contains(&digest), "{digests}");
        let again = cli.ok(&format!("push {reference}"));
        assert!(again.contains(": Layer already exists"), "{again}");
        assert_eq!(digest_in(&again), digest);
        assert_eq!(cli.ok(&format!("push -q {reference}")), reference);

        // Another repository gets its layers from the first.
        let second = registry.reference(&format!("{name}/second:1"));
        cli.ok(&format!("tag {reference} {second}"));
        let mounted = cli.ok(&format!("push {second}"));
        assert!(
            mounted.contains(&format!(": Mounted from {name}/box")),
            "{mounted}"
        );

        cli.ok(&format!("rmi -f {reference} {second} pushed"));
        assert_eq!(cli.ok("images -aq"), "");
        let pulled = cli.ok(&format!("pull {reference}"));
        assert!(pulled.contains(&format!("Digest: {digest}")), "{pulled}");
        assert_eq!(cli.ok(&format!("run --rm {reference} cat /more")), "of it");
        // What came by a pull goes back unchanged.
        let third = registry.reference(&format!("{name}/third:1"));
        cli.ok(&format!("tag {reference} {third}"));
        assert_eq!(digest_in(&cli.ok(&format!("push {third}"))), digest);
        cli.ok(&format!("rmi -f {reference} {third}"));
    }
}

#[test]
fn tags_all_of_them_and_platforms() {
    let (d, registry) = with_registry(Auth::None);
    for cli in d.clis() {
        d.load(&images::busybox_tar());
        let bare = registry.reference(&format!("{}/tags", cli.name()));
        for tag in ["a", "b", "latest"] {
            cli.ok(&format!("tag busybox {bare}:{tag}"));
        }
        let out = cli.ok(&format!("push {bare}"));
        assert!(out.starts_with("Using default tag: latest"), "{out}");
        assert!(
            out.contains("latest: digest: ") && !out.contains("a: digest: "),
            "{out}"
        );
        let out = cli.ok(&format!("push -a {bare}"));
        for tag in ["a", "b", "latest"] {
            assert!(out.contains(&format!("{tag}: digest: ")), "{out}");
        }
        cli.refused(
            &format!("push -a {bare}:a"),
            &["tag can't be used with --all-tags/-a"],
        );
        cli.refused(
            &format!("push {bare}:none"),
            &["tag does not exist", "/tags:none"],
        );
        let nothing = registry.reference("nothing:1");
        cli.refused(
            &format!("push {nothing}"),
            &["An image does not exist locally with the tag:"],
        );
        let arch = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        cli.ok(&format!("push --platform linux/{arch} {bare}:a"));
        cli.refused(&format!("push --platform linux/s390x {bare}:a"), &["s390x"]);
        // docker's command line cuts a duration down to whole seconds.
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let until = now.expect("after 1970").as_secs() + 1;
        let events = cli.ok(&format!(
            "events --since 1h --until {until} --filter event=push --format '{{{{.Actor.ID}}}}'"
        ));
        assert!(events.lines().any(|e| e == format!("{bare}:a")), "{events}");
        assert!(events.lines().any(|e| e == bare), "{events}");
        cli.ok(&format!("rmi -f busybox {bare}:a {bare}:b {bare}:latest"));
    }
}

#[test]
fn all_tags_of_a_repository_are_pulled() {
    let (d, registry) = with_registry(Auth::Bearer);
    let outside = d.host().outside();
    let second = images::variant("pushed", |l| l.file("more", 0o644, "of it"), &json!({}));
    registry.push(outside, &images::busybox_tar(), "team/box:1");
    registry.push(outside, &images::busybox_tar(), "team/box:2");
    registry.push(outside, &second, "team/box:more");
    let bare = registry.reference("team/box");
    for cli in d.clis() {
        assert_ne!(cli.code(&format!("pull -a {bare}")), 0);
        assert_eq!(login(&cli, &registry).code, 0);
        cli.refused(
            &format!("pull -a {bare}:1"),
            &["tag can't be used with --all-tags/-a"],
        );
        let out = cli.ok(&format!("pull -a {bare}"));
        for tag in ["1", "2", "more"] {
            assert!(
                out.contains(&format!("{tag}: Pulling from team/box")),
                "{out}"
            );
        }
        let end = format!("Status: Downloaded newer image for {bare}\n{bare}");
        assert!(out.ends_with(&end), "{out}");
        let tags = cli.ok(&format!("images --format '{{{{.Tag}}}}' {bare}"));
        let mut tags: Vec<_> = tags.lines().collect();
        tags.sort_unstable();
        assert_eq!(tags, ["1", "2", "more"]);
        assert_eq!(cli.ok(&format!("run --rm {bare}:more cat /more")), "of it");
        let again = cli.ok(&format!("pull -a {bare}"));
        assert!(
            again.contains(&format!("Status: Image is up to date for {bare}")),
            "{again}"
        );
        cli.ok(&format!("rmi {bare}:1 {bare}:2 {bare}:more"));
        cli.ok(&format!("logout {}", registry.address()));
    }
}

#[test]
fn basic_login() {
    logged_in(Auth::Basic);
}

#[test]
fn bearer_login() {
    logged_in(Auth::Bearer);
}

fn logged_in(auth: Auth) {
    let (d, registry) = with_registry(auth);
    for cli in d.clis() {
        d.load(&images::busybox_tar());
        let reference = registry.reference(&format!("{}/box:1", cli.name()));
        cli.ok(&format!("tag busybox {reference}"));
        let refused = cli.run(&format!("push {reference}"));
        assert_ne!(refused.code, 0, "{refused}");
        let wrong = cli.with_input(
            &format!(
                "login -u {} --password-stdin {}",
                Registry::USER,
                registry.address()
            ),
            "wrong",
        );
        assert_ne!(wrong.code, 0, "{wrong}");
        assert!(
            wrong.stderr.contains("Error response from daemon: ")
                && wrong.stderr.contains("unauthorized"),
            "{wrong}"
        );
        let out = login(&cli, &registry);
        assert_eq!(out.code, 0, "{out}");
        assert!(out.stdout.contains("Login Succeeded"), "{out}");
        assert!(out.stderr.contains("stored unencrypted in"), "{out}");
        cli.ok(&format!("push {reference}"));
        cli.ok(&format!("rmi {reference}"));
        cli.ok(&format!("pull {reference}"));
        // Once more with what is stored.
        let again = cli.run(&format!("login {}", registry.address()));
        assert!(
            again.code == 0 && again.stdout.contains("Login Succeeded"),
            "{again}"
        );
        let out = cli.ok(&format!("logout {}", registry.address()));
        assert!(out.contains("Removing login credentials for"), "{out}");
        assert_ne!(cli.code(&format!("pull {reference}")), 0);
        cli.ok(&format!("rmi -f {reference} busybox"));
    }
    assert!(
        !d.log().contains(Registry::PASSWORD),
        "a password in the log"
    );
}

#[test]
fn a_helper_keeps_the_credentials() {
    let (d, registry) = with_registry(Auth::Basic);
    let dir = d.dir().join("helper");
    fs::create_dir(&dir).expect("our own folder");
    let helper = dir.join("docker-credential-testkit");
    let kept = dir.join("kept");
    let script = format!(
        "#!/bin/sh\ncase $1 in\nstore) cat >{0};;\n\
         get) cat {0} 2>/dev/null || {{ echo credentials not found in native keychain; exit 1; }};;\n\
         erase) rm -f {0};;\nesac\n",
        kept.display()
    );
    fs::write(&helper, script).expect("our own folder");
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).expect("our own file");
    let path = format!(
        "{}:{}",
        dir.display(),
        std::env::var("PATH").unwrap_or_default()
    );
    registry.push(d.host().outside(), &images::busybox_tar(), "box:1");
    let reference = registry.reference("box:1");
    for cli in d.clis() {
        let config = cli.config().join("config.json");
        fs::write(&config, r#"{"credsStore":"testkit"}"#).expect("our own folder");
        let with_path = |line: &str| {
            let mut command = cli.command(line);
            command.env("PATH", &path);
            command
        };
        let line = format!(
            "login -u {} -p '{}' {}",
            Registry::USER,
            Registry::PASSWORD,
            registry.address()
        );
        let out = testkit::run(&mut with_path(&line));
        assert!(
            out.code == 0 && !out.stderr.contains("unencrypted"),
            "{out}"
        );
        let text = fs::read_to_string(&config).expect("it is there");
        assert!(!text.contains("\"auth\":"), "{text}");
        assert!(
            fs::read_to_string(&kept)
                .expect("kept")
                .contains(Registry::PASSWORD)
        );
        testkit::run(&mut with_path(&format!("pull {reference}"))).ok();
        testkit::run(&mut with_path(&format!("logout {}", registry.address()))).ok();
        assert!(!kept.exists());
        cli.ok(&format!("rmi {reference}"));
        fs::remove_file(&config).expect("it is there");
    }
}

#[test]
fn tls_by_an_authority_that_is_put_down() {
    let host = Host::new();
    let registry = Registry::with_tls(host.outside(), Lan::OUTSIDE, Auth::Basic);
    let certs = tempfile::tempdir().expect("/tmp");
    let folder = certs.path().join(registry.address().to_string());
    fs::create_dir(&folder).expect("our own folder");
    let setting = format!("--registry-certs-dir={}", certs.path().display());
    let d = Daemon::start(&host, Opts::args(&[&setting]));
    registry.push(host.outside(), &images::busybox_tar(), "box:1");
    let reference = registry.reference("box:1");
    for cli in d.clis() {
        cli.refused(
            &format!("pull {reference}"),
            &["certificate signed by unknown authority"],
        );
        let out = login(&cli, &registry);
        assert!(out.code != 0 && out.stderr.contains("certificate"), "{out}");
        // Nothing has to be started again.
        fs::copy(registry.authority(), folder.join("ca.crt")).expect("our own folder");
        let out = login(&cli, &registry);
        assert_eq!(out.code, 0, "{out}");
        cli.ok(&format!("pull {reference}"));
        let second = registry.reference(&format!("{}:2", cli.name()));
        cli.ok(&format!("tag {reference} {second}"));
        cli.ok(&format!("push {second}"));
        cli.ok(&format!("rmi {reference} {second}"));
        if cli.name() == "wharf" {
            // The daemon asks, with the authority that it was given.
            let list = registry.reference("list:1");
            cli.ok(&format!("manifest create {list} {reference}"));
            cli.ok(&format!("manifest push -p {list}"));
            cli.ok(&format!("manifest inspect -v {list}"));
            let tags = cli.ok(&format!("registry tags {}", registry.reference("box")));
            assert_eq!(tags, "1");
        }
        cli.ok(&format!("logout {}", registry.address()));
        fs::remove_file(folder.join("ca.crt")).expect("it is there");
    }
}

#[test]
fn what_a_registry_has_is_told() {
    let (d, registry) = with_registry(Auth::None);
    let outside = d.host().outside();
    let digest = registry.push(outside, &images::busybox_tar(), "team/box:1");
    registry.push(outside, &images::busybox_tar(), "team/other:1");
    let api = d.api();
    let path = format!("/distribution/{}/json", registry.reference("team/box:1"));
    let told = api.get(&path);
    assert_eq!(told.status, 200, "{}", told.text());
    let told = told.json();
    assert_eq!(told["Descriptor"]["digest"], digest);
    assert_eq!(told["Platforms"][0]["os"], "linux");
    let none = registry.reference("team/none:1");
    assert_eq!(api.get(&format!("/distribution/{none}/json")).status, 404);

    for cli in d.clis() {
        let term = registry.reference("team");
        let out = cli.ok(&format!("search --format '{{{{.Name}}}}' {term}"));
        let (box_, other) = (
            registry.reference("team/box"),
            registry.reference("team/other"),
        );
        assert_eq!(out, format!("{box_}\n{other}"));
        let out = cli.ok(&format!("search --limit 1 --no-trunc {term}"));
        assert!(
            out.starts_with("NAME") && out.contains(&box_) && !out.contains(&other),
            "{out}"
        );
        assert_eq!(
            cli.ok(&format!("search -f is-official=true --format json {term}")),
            ""
        );
        cli.refused(&format!("search --limit 101 {term}"), &["[1, 100]"]);
    }
}
