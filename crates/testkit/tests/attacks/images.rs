//! Images that are meant to do harm, from registries and as archives, at the whole system.

use std::fs;
use std::io::Write;

use serde_json::{Value, json};
use testkit::http::Client;
use testkit::{Auth, Daemon, Host, Lan, Ns, Opts, Registry, images};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Changes an image that the registry has and gives it another tag: its manifest's digest.
fn remake(
    registry: &Registry,
    outside: &Ns,
    (repository, from, to): (&str, &str, &str),
    change: impl FnOnce(&mut Value) + Send,
) {
    outside.within(|| {
        let client = Client::tcp(registry.address());
        let path = |tag: &str| format!("/v2/{repository}/manifests/{tag}");
        let send = |method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]| {
            client
                .try_send(method, path, headers, body)
                .expect("the registry answers")
        };
        let mut manifest = send("GET", &path(from), &[("Accept", MANIFEST)], b"").json();
        change(&mut manifest);
        let put = send(
            "PUT",
            &path(to),
            &[("Content-Type", MANIFEST)],
            manifest.to_string().as_bytes(),
        );
        assert_eq!(put.status, 201, "{}", put.text());
    });
}

fn with_registry(opts: Opts) -> (Daemon, Registry) {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    let mut opts = opts;
    opts.insecure = vec![registry.address().to_string()];
    (Daemon::start(&host, opts), registry)
}

/// A layer that grows a thousandfold ends at the disk's end, and what it took is given back.
#[test]
fn attack_22_a_bomb_fills_the_disk_for_nobody() {
    let opts = Opts {
        data_size: Some("40m".to_owned()),
        ..Opts::default()
    };
    let (d, registry) = with_registry(opts);
    let big = images::variant(
        "bomb",
        |l| l.file("big", 0o644, vec![7_u8; 64 << 20]),
        &json!({}),
    );
    registry.push(d.host().outside(), &big, "bomb:1");
    let _ = fs::remove_file(big);
    d.load(&images::busybox_tar());
    let space = || {
        rustix::fs::statvfs(d.dir().join("data"))
            .expect("it is mounted")
            .f_bfree
    };
    let before = space();
    let reference = registry.reference("bomb:1");
    for cli in d.clis() {
        cli.refused(&format!("pull {reference}"), &["no space left on device"]);
        assert_eq!(cli.ok("run --rm busybox echo on"), "on");
        testkit::eventually("its space is free again", || space() * 10 >= before * 9);
    }
}

/// More layers than there may be, and the most that work.
#[test]
fn attack_22_very_many_layers() {
    let (d, registry) = with_registry(Opts::default());
    let outside = d.host().outside();
    registry.push_with(outside, &images::busybox_tar(), "many:1", &["--format=oci"]);
    remake(&registry, outside, ("many", "1", "2"), |manifest| {
        let layer = manifest["layers"][0].clone();
        manifest["layers"] = vec![layer; 501].into();
    });
    let dir = d.dir().join("layers");
    fs::create_dir(&dir).expect("our own folder");
    let archive = |count: usize| {
        let mut layers = vec![images::busybox_layer()];
        layers.extend((1..count).map(|n| {
            images::Layer::new()
                .file(&format!("l{n}"), 0o644, "")
                .finish()
        }));
        let path = dir.join(format!("{count}.tar"));
        images::write_archive(&path, "many:loaded", &layers, &images::busybox_config());
        path
    };
    let (too_many, most) = (archive(501), archive(128));
    for cli in d.clis() {
        let reference = registry.reference("many:2");
        cli.refused(&format!("pull {reference}"), &["501 layers", "500"]);
        cli.refused(
            &format!("load -i {}", too_many.display()),
            &["501 layers", "500"],
        );
        assert_eq!(cli.ok("images -aq"), "");
        cli.ok(&format!("load -i {}", most.display()));
        assert_eq!(
            cli.ok("run --rm many:loaded sh -c 'ls / | grep -c ^l[0-9]'"),
            "127"
        );
        cli.ok("rmi many:loaded");
    }
}

/// CVE-2021-41190: one document that is a manifest to the one and an index to the other.
#[test]
fn attack_23_a_manifest_that_is_an_index_too() {
    let (d, registry) = with_registry(Opts::default());
    let outside = d.host().outside();
    registry.push_with(outside, &images::busybox_tar(), "two:1", &["--format=oci"]);
    // The registry itself would refuse it; so it is changed where it is kept.
    let dir = d.dir().join("layout");
    fs::create_dir_all(dir.join("blobs/sha256")).expect("our own folder");
    let both = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": [],
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "size": 2,
            "digest": format!("sha256:{}", images::sha256(b"{}"))},
        "manifests": [],
    })
    .to_string();
    let digest = images::sha256(both.as_bytes());
    fs::write(dir.join("blobs/sha256").join(&digest), &both).expect("our own folder");
    fs::write(dir.join("blobs/sha256").join(images::sha256(b"{}")), "{}").expect("our own folder");
    fs::write(dir.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).expect("our own folder");
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": MANIFEST, "digest": format!("sha256:{digest}"), "size": both.len()}]});
    fs::write(dir.join("index.json"), index.to_string()).expect("our own folder");
    let archive = d.dir().join("both.tar");
    let mut tar = tar::Builder::new(fs::File::create(&archive).expect("our own folder"));
    tar.append_dir_all(".", &dir).expect("our own folder");
    tar.into_inner().expect("written").flush().expect("written");
    for cli in d.clis() {
        cli.refused(
            &format!("load -i {}", archive.display()),
            &["is not usable"],
        );
        assert_eq!(cli.ok("images -aq"), "");
    }
}

/// What an image says of itself reaches neither the host's settings (GO-2026-5758, GO-2026-5064)
/// nor other images' names (GO-2026-5338).
#[test]
fn attack_25_labels_and_annotations_change_nothing() {
    let (d, registry) = with_registry(Opts::default());
    let outside = d.host().outside();
    let trap = d.dir().join("trap");
    let labels = json!({"Labels": {
        "containerd.io/restart.status": "running",
        "containerd.io/restart.loguri": format!("binary:///bin/sh?-c=touch+{}", trap.display()),
        "containerd.io/restart.logpath": trap.display().to_string(),
        "cdi.k8s.io/all": "vendor.example/device=all",
        "run.oci.handler": "krun",
        "com.docker.network.bridge.name": "host",
        "org.opencontainers.image.ref.name": "busybox:latest",
        "io.containerd.image.name": "docker.io/library/busybox:latest",
    }});
    let archive = images::variant("labelled", |l| l.file("own", 0o644, "trap"), &labels);
    registry.push_with(outside, &archive, "labels:plain", &["--format=oci"]);
    remake(&registry, outside, ("labels", "plain", "1"), |manifest| {
        manifest["annotations"] = json!({
            "io.containerd.image.name": "docker.io/library/busybox:latest",
            "org.opencontainers.image.ref.name": "busybox:latest",
            "cdi.k8s.io/all": "vendor.example/device=all",
        });
    });
    d.load(&images::busybox_tar());
    let reference = registry.reference("labels:1");
    for cli in d.clis() {
        let own = cli.ok("images -q --no-trunc busybox");
        cli.ok(&format!("pull {reference}"));
        assert_eq!(
            cli.ok("images -q --no-trunc busybox"),
            own,
            "the name is taken from it"
        );
        let tags = cli.ok(&format!(
            "image inspect -f '{{{{join .RepoTags \" \"}}}}' {reference}"
        ));
        assert_eq!(tags, reference);
        cli.ok(&format!("run -d --name labelled {reference} sleep 60"));
        cli.ok("run -d --name plain busybox sleep 60");
        let of = |name: &str| {
            let mut all: Value =
                serde_json::from_str(&cli.ok(&format!("inspect {name}"))).expect("JSON");
            all[0]["HostConfig"].take()
        };
        assert_eq!(
            of("labelled"),
            of("plain"),
            "as of an image that says nothing"
        );
        let devices = |name: &str| cli.ok(&format!("exec {name} ls /dev"));
        assert_eq!(devices("labelled"), devices("plain"));
        cli.ok("rm -f labelled plain");
        cli.ok(&format!("rmi {reference}"));
        assert!(!trap.exists());
    }
}
