//! Pulling from a real registry: authentication, digests, formats, damage.

use std::fs;

use serde_json::json;
use testkit::http::Client;
use testkit::{Auth, Cli, Daemon, Engine, Host, Lan, Opts, Registry, Relay, images};

/// A host with a registry outside, and a daemon that may use it.
fn with_registry(auth: Auth) -> (Daemon, Registry) {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, auth);
    let daemon = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    (daemon, registry)
}

fn login(cli: &Cli, registry: &Registry) {
    use base64::Engine as _;
    let auth = base64::prelude::BASE64_STANDARD.encode(format!(
        "{}:{}",
        Registry::USER,
        Registry::PASSWORD
    ));
    let config = json!({"auths": {registry.address().to_string(): {"auth": auth}}});
    fs::write(cli.config().join("config.json"), config.to_string()).expect("our own folder");
}

fn logout(cli: &Cli) {
    let _ = fs::remove_file(cli.config().join("config.json"));
}

#[test]
fn tags_digests_and_what_is_there_already() {
    let (d, registry) = with_registry(Auth::None);
    let digest = registry.push(d.host().outside(), &images::busybox_tar(), "team/box:1");
    let (by_tag, by_digest) = (
        registry.reference("team/box:1"),
        registry.reference(&format!("team/box@{digest}")),
    );
    for cli in d.clis() {
        let out = cli.ok(&format!("pull {by_tag}"));
        assert!(out.contains(&format!("Digest: {digest}")), "{out}");
        assert!(out.contains("Status: Downloaded newer image for"), "{out}");
        assert!(
            out.contains("Pull complete"),
            "progress of each layer: {out}"
        );
        assert!(out.ends_with(&by_tag), "{out}");
        let again = cli.ok(&format!("pull {by_tag}"));
        assert!(again.contains("Status: Image is up to date for"), "{again}");
        assert_eq!(cli.ok(&format!("pull -q {by_digest}")), by_digest);
        assert_eq!(cli.code(&format!("run --rm {by_digest} true")), 0);
        let digests = cli.ok(&format!(
            "inspect -f '{{{{join .RepoDigests \" \"}}}}' {by_tag}"
        ));
        assert_eq!(digests, by_digest);
        cli.ok(&format!("rmi -f {by_tag} {by_digest}"));
        assert_eq!(
            cli.code(&format!("run --rm {by_tag} sh -c 'exit 4'")),
            4,
            "run pulls"
        );
        cli.ok(&format!("rmi {by_tag}"));
        let missing = registry.reference("team/box:none");
        cli.refused(&format!("pull {missing}"), &["not found"]);
        cli.refused(
            &format!("run --pull never {by_tag} true"),
            &["No such image"],
        );
        let wrong = format!(
            "{}@sha256:{}",
            registry.reference("team/box"),
            "0".repeat(64)
        );
        cli.refused(&format!("pull {wrong}"), &["not found"]);
    }
}

#[test]
fn formats() {
    let (d, registry) = with_registry(Auth::None);
    let outside = d.host().outside();
    let archive = images::busybox_tar();
    registry.push_with(outside, &archive, "f:docker", &["--format=v2s2"]);
    registry.push_with(outside, &archive, "f:oci", &["--format=oci"]);
    registry.push_with(
        outside,
        &archive,
        "f:zstd",
        &["--format=oci", "--dest-compress-format=zstd"],
    );
    let mut tags = vec!["docker", "oci"];
    if d.engine().is_wharf() {
        tags.push("zstd"); // Docker can since 23
    }
    for cli in d.clis() {
        for tag in &tags {
            let reference = registry.reference(&format!("f:{tag}"));
            cli.ok(&format!("pull {reference}"));
            assert_eq!(cli.ok(&format!("run --rm {reference} echo {tag}")), *tag);
            cli.ok(&format!("rmi {reference}"));
        }
    }
}

#[test]
fn basic_authentication() {
    authentication(Auth::Basic);
}

#[test]
fn bearer_authentication() {
    authentication(Auth::Bearer);
}

fn authentication(auth: Auth) {
    let (d, registry) = with_registry(auth);
    registry.push(d.host().outside(), &images::busybox_tar(), "secret/box:1");
    let reference = registry.reference("secret/box:1");
    for cli in d.clis() {
        let refused = cli.run(&format!("pull {reference}"));
        assert_ne!(refused.code, 0, "{refused}");
        let text = refused.stderr.to_lowercase();
        assert!(
            text.contains("auth") || text.contains("denied"),
            "{refused}"
        );
        login(&cli, &registry);
        cli.ok(&format!("pull {reference}"));
        cli.ok(&format!("rmi {reference}"));
        logout(&cli);
    }
}

#[test]
fn bearer_authentication_without_a_password() {
    let (d, registry) = with_registry(Auth::BearerAnonymous);
    registry.push(d.host().outside(), &images::busybox_tar(), "open/box:1");
    for cli in d.clis() {
        cli.ok(&format!("pull {}", registry.reference("open/box:1")));
        cli.ok(&format!("rmi {}", registry.reference("open/box:1")));
    }
}

#[test]
fn loopback_registry_needs_no_flag() {
    let host = Host::new();
    let registry = Registry::start(host.ns(), std::net::Ipv4Addr::LOCALHOST, Auth::None);
    registry.push(host.ns(), &images::busybox_tar(), "box:1");
    let d = Daemon::start(&host, Opts::default());
    d.docker()
        .ok(&format!("pull {}", registry.reference("box:1")));
}

#[test]
fn without_tls_only_where_it_is_allowed() {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    registry.push(host.outside(), &images::busybox_tar(), "box:1");
    let d = Daemon::start(&host, Opts::default());
    for cli in d.clis() {
        assert_ne!(
            cli.code(&format!("pull {}", registry.reference("box:1"))),
            0
        );
    }
    let d = Daemon::start(&host.lan().host(), Opts::insecure("192.0.2.0/24"));
    d.docker()
        .ok(&format!("pull {}", registry.reference("box:1")));
}

/// The digest of the (last) layer of a pushed image.
fn layer(registry: &Registry, manifest: &str) -> String {
    let manifest = fs::read(registry.blob(manifest)).expect("a manifest");
    let manifest: serde_json::Value = serde_json::from_slice(&manifest).expect("JSON");
    let layers = manifest["layers"].as_array().expect("layers");
    layers.last().expect("a layer")["digest"]
        .as_str()
        .expect("a digest")
        .to_owned()
}

#[test]
fn damaged_layers_are_refused_and_nothing_is_left() {
    let (d, registry) = with_registry(Auth::None);
    let manifest = registry.push(d.host().outside(), &images::busybox_tar(), "box:1");
    let reference = registry.reference("box:1");
    let blob = registry.blob(&layer(&registry, &manifest));
    let good = fs::read(&blob).expect("the layer");
    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for cli in d.clis() {
        for (what, bytes) in [
            ("flipped", &flipped[..]),
            ("short", &good[..good.len() / 2]),
        ] {
            fs::write(&blob, bytes).expect("the registry's file");
            let out = cli.run(&format!("pull {reference}"));
            assert_ne!(out.code, 0, "{what}: {out}");
            assert_eq!(cli.ok("images -aq"), "", "{what}");
        }
        fs::write(&blob, &good).expect("the registry's file");
        cli.ok(&format!("pull {reference}"));
        assert_eq!(cli.code(&format!("run --rm {reference} true")), 0);
        cli.ok(&format!("rmi {reference}"));
    }
}

#[test]
fn a_cut_connection_is_refused_or_resumed() {
    if !Engine::under_test().is_wharf() {
        return; // dockerd tries again for minutes
    }
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    registry.push(host.outside(), &images::busybox_tar(), "box:1");
    let relay = Relay::start(host.outside(), Lan::OUTSIDE, registry.address());
    let d = Daemon::start(&host, Opts::insecure(&relay.address().to_string()));
    let reference = format!("{}/box:1", relay.address());
    for cli in d.clis() {
        relay.cut_after(200_000);
        let before = relay.cuts();
        let out = cli.run(&format!("pull {reference}"));
        assert!(relay.cuts() > before, "the fault did not happen: {out}");
        relay.cut_after(u64::MAX);
        if out.code != 0 {
            assert_eq!(cli.ok("images -aq"), "");
            cli.ok(&format!("pull {reference}"));
        }
        assert_eq!(cli.code(&format!("run --rm {reference} true")), 0);
        cli.ok(&format!("rmi {reference}"));
    }
}

#[test]
fn killed_while_pulling() {
    if !Engine::under_test().is_wharf() {
        return; // dockerd's containerd survives it and is in the way of the next one
    }
    let (mut d, registry) = with_registry(Auth::None);
    registry.push(d.host().outside(), &images::busybox_tar(), "box:1");
    let reference = registry.reference("box:1");
    let mut pull = d.docker().start(&format!("pull {reference}"));
    testkit::eventually("something of the pull", || {
        !pull.stdout().is_empty() || !pull.running()
    });
    d.kill9();
    drop(pull);
    d.restart();
    d.docker().ok(&format!("pull {reference}"));
    assert_eq!(d.docker().code(&format!("run --rm {reference} true")), 0);
    d.assert_no_leaks();
}

#[test]
fn shared_layers_are_stored_once() {
    let (d, registry) = with_registry(Auth::None);
    let outside = d.host().outside();
    let more = |n: &str| {
        let text = n.to_owned();
        images::variant(
            &format!("more{n}"),
            move |l| l.file("more", 0o644, text),
            &json!({}),
        )
    };
    registry.push(outside, &more("1"), "a:1");
    registry.push(outside, &more("2"), "b:1");
    let (a, b) = (registry.reference("a:1"), registry.reference("b:1"));
    for cli in d.clis() {
        cli.ok(&format!("pull {a}"));
        let out = cli.ok(&format!("pull {b}"));
        assert!(out.contains("Already exists"), "{out}");
        assert_eq!(cli.ok(&format!("run --rm {b} cat /more")), "2");
        cli.ok(&format!("rmi {a}"));
        assert_eq!(
            cli.ok(&format!("run --rm {b} cat /more")),
            "2",
            "what b needs stays"
        );
        cli.ok(&format!("rmi {b}"));
    }
}

#[test]
fn indexes() {
    let (d, registry) = with_registry(Auth::None);
    let outside = d.host().outside();
    let right = images::variant("right", |l| l.file("which", 0o644, "right"), &json!({}));
    let wrong = images::variant("wrong", |l| l.file("which", 0o644, "wrong"), &json!({}));
    let arch = if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    };
    for (tag, format, kind, index) in [
        (
            "list",
            "--format=v2s2",
            "application/vnd.docker.distribution.manifest.v2+json",
            "application/vnd.docker.distribution.manifest.list.v2+json",
        ),
        (
            "index",
            "--format=oci",
            "application/vnd.oci.image.manifest.v1+json",
            "application/vnd.oci.image.index.v1+json",
        ),
    ] {
        let mut entries = Vec::new();
        for (archive, platform) in [
            (&wrong, json!({"os": "linux", "architecture": "s390x"})),
            (&right, json!({"os": "linux", "architecture": arch})),
            (&wrong, json!({"os": "windows", "architecture": arch})),
        ] {
            let digest = registry.push_with(outside, archive, "multi:part", &[format]);
            let size = fs::metadata(registry.blob(&digest))
                .expect("the manifest")
                .len();
            entries.push(
                json!({"mediaType": kind, "digest": digest, "size": size, "platform": platform}),
            );
        }
        let body = json!({"schemaVersion": 2, "mediaType": index, "manifests": entries});
        let path = format!("/v2/multi/manifests/{tag}");
        let put = outside.within(|| {
            Client::tcp(registry.address())
                .try_send(
                    "PUT",
                    &path,
                    &[("Content-Type", index)],
                    body.to_string().as_bytes(),
                )
                .expect("the registry answers")
        });
        assert_eq!(put.status, 201, "{}", put.text());
        let digest = put
            .header("docker-content-digest")
            .expect("a digest")
            .to_owned();
        let reference = registry.reference(&format!("multi:{tag}"));
        for cli in d.clis() {
            let out = cli.ok(&format!("pull {reference}"));
            assert!(
                out.contains(&format!("Digest: {digest}")),
                "the index's own: {out}"
            );
            assert_eq!(cli.ok(&format!("run --rm {reference} cat /which")), "right");
            cli.ok(&format!("rmi {reference}"));
        }
    }
}
