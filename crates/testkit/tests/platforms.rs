//! What is asked for one platform: given where it is for it, refused by name where it is not.

use std::fs;

use serde_json::json;
use testkit::http::Client;
use testkit::{Auth, Daemon, Host, Lan, Ns, Opts, Registry, images};

fn arch() -> &'static str {
    if cfg!(target_arch = "aarch64") {
        "arm64"
    } else {
        "amd64"
    }
}

#[test]
fn of_what_is_here() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let archive = images::busybox_tar();
    let own = format!("linux/{}", arch());
    for cli in d.clis() {
        let load = format!("load -i {}", archive.display());
        cli.refused(&format!("{load} --platform linux/s390x"), &["s390x"]);
        assert_eq!(cli.ok("images -aq"), "");
        cli.ok(&format!("{load} --platform {own}"));
        let out = d.dir().join("out.tar");
        for verb in [
            "history".to_owned(),
            "image inspect".to_owned(),
            format!("save -o {}", out.display()),
        ] {
            cli.ok(&format!("{verb} --platform {own} busybox"));
            cli.refused(
                &format!("{verb} --platform linux/s390x busybox"),
                &["s390x"],
            );
        }
        cli.ok("rmi busybox");
    }
}

#[test]
fn manifests_and_shared_sizes_are_told_where_they_are_asked_for() {
    let d = Daemon::fresh();
    d.load(&images::busybox_tar());
    d.load(&images::variant(
        "more",
        |l| l.file("m", 0o644, "1"),
        &json!({}),
    ));
    let api = d.api();
    let plain = api.get("/images/json").json();
    let rich = api.get("/images/json?manifests=1&shared-size=1").json();
    for (plain, rich) in plain
        .as_array()
        .expect("a list")
        .iter()
        .zip(rich.as_array().expect("a list"))
    {
        assert!(plain.get("Manifests").is_none() && plain["SharedSize"] == -1);
        assert!(rich["SharedSize"].as_i64().expect("a number") > 0, "{rich}");
        let manifest = &rich["Manifests"][0];
        assert_eq!(manifest["ImageData"]["Platform"]["architecture"], arch());
        assert_eq!(manifest["ImageData"]["Size"]["Unpacked"], rich["Size"]);
        assert_eq!(manifest["ID"], manifest["Descriptor"]["digest"]);
        let number = |value: &serde_json::Value| value.as_u64().expect("a number");
        assert_eq!(
            number(&manifest["Size"]["Total"]),
            number(&manifest["Size"]["Content"]) + number(&rich["Size"])
        );
    }
    let one = api.get("/images/busybox/json?manifests=1").json();
    assert_eq!(one["Manifests"].as_array().expect("a list").len(), 1);
    assert!(
        api.get("/images/busybox/json")
            .json()
            .get("Manifests")
            .is_none()
    );
    let both = api.get("/images/busybox/json?manifests=1&platform=linux/s390x");
    assert_eq!(both.status, 400);
    let odd = "/images/busybox/json?platform=%7B%22os%22:%22linux%22,%22os.version%22:%2210%22%7D";
    let refused = api.get(odd);
    assert_eq!(refused.status, 400, "{}", refused.text());
    assert!(
        refused.message().contains("os.version"),
        "{}",
        refused.text()
    );
}

/// An index of an image for this host's processor and one for another.
fn index(registry: &Registry, outside: &Ns) {
    let own = images::variant("own", |l| l.file("which", 0o644, "own"), &json!({}));
    let other = images::variant("other", |l| l.file("which", 0o644, "other"), &json!({}));
    let kind = "application/vnd.oci.image.manifest.v1+json";
    let mut entries = Vec::new();
    for (archive, processor) in [(&own, arch()), (&other, "s390x")] {
        let digest = registry.push_with(outside, archive, "multi:part", &["--format=oci"]);
        let length = fs::metadata(registry.blob(&digest))
            .expect("it is there")
            .len();
        let platform = json!({"os": "linux", "architecture": processor});
        entries.push(
            json!({"mediaType": kind, "digest": digest, "size": length, "platform": platform}),
        );
    }
    let index = "application/vnd.oci.image.index.v1+json";
    let body = json!({"schemaVersion": 2, "mediaType": index, "manifests": entries}).to_string();
    let put = outside.within(|| {
        Client::tcp(registry.address())
            .try_send(
                "PUT",
                "/v2/multi/manifests/1",
                &[("Content-Type", index)],
                body.as_bytes(),
            )
            .expect("the registry answers")
    });
    assert_eq!(put.status, 201, "{}", put.text());
}

#[test]
fn of_what_is_pulled() {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    index(&registry, host.outside());
    let d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    let reference = registry.reference("multi:1");
    let told = d
        .api()
        .get(&format!("/distribution/{reference}/json"))
        .json();
    let processors: Vec<_> = told["Platforms"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| one["architecture"].clone())
        .collect();
    assert_eq!(processors, [arch(), "s390x"]);
    for cli in d.clis() {
        cli.ok(&format!("pull {reference}"));
        assert_eq!(cli.ok(&format!("run --rm {reference} cat /which")), "own");
        cli.refused(
            &format!("pull --platform linux/riscv64 {reference}"),
            &["no matching manifest for linux/riscv64"],
        );
        cli.refused(
            &format!("pull --platform linux/a/b/c {reference}"),
            &["platform"],
        );
        cli.ok(&format!("rmi {reference}"));
    }
}
