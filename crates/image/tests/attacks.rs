//! The attacks on images and archives (threats 21 to 25): each one tried, each one refused.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use crate::common::scripted::{Answer, Server};
use crate::common::*;
use image::{CancellationToken, Digest, Error, Limits, Options, Reference, RegistryAuth, Store};

/// A place outside that must stay as it is.
fn bait(dir: &Path) -> String {
    let outside = dir.join("outside");
    std::fs::create_dir(&outside).unwrap();
    std::fs::write(outside.join("file"), "kept").unwrap();
    std::fs::set_permissions(&outside, std::fs::Permissions::from_mode(0o711)).unwrap();
    outside.to_str().unwrap().to_owned()
}

fn untouched(dir: &Path) {
    let outside = dir.join("outside");
    let names: Vec<_> = std::fs::read_dir(&outside)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["file"]);
    assert_eq!(
        std::fs::read_to_string(outside.join("file")).unwrap(),
        "kept"
    );
    assert_eq!(
        std::fs::metadata(&outside).unwrap().permissions().mode() & 0o7777,
        0o711
    );
    assert_eq!(std::fs::metadata(outside.join("file")).unwrap().nlink(), 1);
}

fn refused(tar: Vec<u8>, words: &str) {
    let dir = temp();
    bait(dir.path());
    let store = open(dir.path());
    let error = mounted(&store, &[&tar]).unwrap_err();
    assert!(matches!(error, Error::BadArchive { .. }), "{error}");
    assert!(error.to_string().contains(words), "{error}");
    untouched(dir.path());
    assert!(store.list().is_empty() && names(&store, "layers").is_empty());
    nothing_left(&store);
}

#[test]
fn attack_21_dot_dot_is_refused() {
    for name in ["../evil", "a/../../evil", "/../evil", ".."] {
        refused(
            Tar::new().file(name, "x").build(),
            "out of the layer's root",
        );
    }
    refused(
        Tar::new().dir_mode("..", 0o777).build(),
        "out of the layer's root",
    );
}

#[test]
fn attack_21_absolute_names_stay_inside() {
    let dir = temp();
    let outside = bait(dir.path());
    let store = open(dir.path());
    let name = format!("{outside}/file");
    let mount = mounted(&store, &[&Tar::new().file(&name, "inside").build()]).unwrap();
    assert_eq!(read(&mount, name.trim_start_matches('/')), "inside");
    untouched(dir.path());
}

#[test]
fn attack_21_writing_through_a_symlink_stays_inside() {
    let dir = temp();
    let outside = bait(dir.path());
    for target in [
        outside.as_str(),
        "../../../../../../../../../..",
        "/proc/self/root",
        "/",
    ] {
        let store = open(&dir.path().join(Digest::of(target.as_bytes()).short()));
        let tar = Tar::new().symlink("l", target).file("l/evil", "x").build();
        match mounted(&store, &[&tar]) {
            // Inside the layer there is no such directory.
            Err(error) => assert!(matches!(error, Error::BadArchive { .. }), "{error}"),
            Ok(mount) => assert_eq!(read(&mount, "evil"), "x"),
        }
        assert!(!Path::new("/evil").exists());
        untouched(dir.path());
    }
}

#[test]
fn attack_21_a_link_is_replaced_not_followed() {
    let dir = temp();
    let outside = bait(dir.path());
    let store = open(dir.path());
    let file = format!("{outside}/file");
    let tar = Tar::new()
        .symlink("a", &file)
        .file("a", "own")
        .symlink("d", &outside)
        .dir_mode("d", 0o777)
        .file("d/evil", "own")
        .symlink("s", &file)
        .hard_link("h", "s")
        .file("h", "own")
        .symlink("m", &file)
        .mode("m", 0o777)
        .build();
    let mount = mounted(&store, &[&tar]).unwrap();
    for (path, text) in [("a", "own"), ("d/evil", "own"), ("h", "own"), ("m", "m")] {
        assert_eq!(read(&mount, path), text);
    }
    untouched(dir.path());
}

#[test]
fn attack_21_hard_links_out_are_refused() {
    refused(
        Tar::new().hard_link("h", "../outside/file").build(),
        "out of the layer's root",
    );
    let dir = temp();
    let outside = bait(dir.path());
    // As an absolute name it is looked for inside, where it is not.
    refused(
        Tar::new()
            .hard_link("h", &format!("{outside}/file"))
            .build(),
        "not in this layer",
    );
    // Through a link that leads out.
    let tar = Tar::new()
        .symlink("l", &outside)
        .hard_link("h", "l/file")
        .build();
    let error = mounted(&open(dir.path()), &[&tar]).unwrap_err();
    assert!(matches!(error, Error::BadArchive { .. }), "{error}");
    untouched(dir.path());
    refused(
        Tar::new().dir("d").hard_link("h", "d").build(),
        "hard link to a directory",
    );
}

#[test]
fn attack_21_whiteouts_cannot_reach_out() {
    for name in [".wh...", "a/.wh...", ".wh..", ".wh."] {
        refused(
            Tar::new().file(name, "").build(),
            "whiteout does not name a file",
        );
    }
    refused(
        Tar::new().file("../.wh.file", "").build(),
        "out of the layer's root",
    );
    refused(
        Tar::new().file(".wh.d/x", "").build(),
        "cannot be a directory",
    );
    let dir = temp();
    let outside = bait(dir.path());
    for name in ["l/.wh.file", "l/.wh..wh..opq"] {
        let store = open(&dir.path().join(Digest::of(name.as_bytes()).short()));
        let tar = Tar::new().symlink("l", &outside).file(name, "").build();
        assert!(mounted(&store, &[&tar]).is_err());
        untouched(dir.path());
    }
}

#[test]
fn attack_21_overlay_attributes_are_not_taken_over() {
    let dir = temp();
    let store = open(dir.path());
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.trusted.overlay.redirect", b"/etc"),
            ("SCHILY.xattr.trusted.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.overlay.opaque", b"y"),
            ("SCHILY.xattr.user.kept", b"yes"),
        ])
        .dir("d")
        .build();
    let below = Tar::new().file("d/x", "seen").build();
    let mount = mounted(&store, &[&below, &tar]).unwrap();
    assert_eq!(read(&mount, "d/x"), "seen");
    let layer = store
        .root()
        .join("layers")
        .join(Digest::of(&tar).hex())
        .join("diff/d");
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(&layer, "user.kept", value.as_mut_slice()).unwrap();
    assert_eq!(&value[..length], b"yes");
    for key in [
        "trusted.overlay.redirect",
        "trusted.overlay.opaque",
        "user.overlay.opaque",
    ] {
        assert!(
            rustix::fs::getxattr(&layer, key, value.as_mut_slice()).is_err(),
            "{key}"
        );
    }
}

#[test]
fn attack_21_zero_bytes_in_names_are_refused() {
    refused(
        Tar::new().pax(&[("path", b"a\0b")]).file("a", "x").build(),
        "zero byte",
    );
    refused(
        Tar::new()
            .pax(&[("linkpath", b"a\0b")])
            .symlink("a", "x")
            .build(),
        "zero byte",
    );
}

#[test]
fn attack_21_setuid_files_are_out_of_users_reach() {
    let dir = temp();
    let store = open(dir.path());
    let tar = Tar::new()
        .mode("su", 0o4755)
        .mode("sg", 0o2755)
        .dir_mode("t", 0o1777)
        .build();
    let mount = mounted(&store, &[&tar]).unwrap();
    assert_eq!(stat(&mount, "su").st_mode & 0o7777, 0o4755);
    assert_eq!(stat(&mount, "sg").st_mode & 0o7777, 0o2755);
    assert_eq!(stat(&mount, "t").st_mode & 0o7777, 0o1777);
    let mode = std::fs::metadata(store.root())
        .unwrap()
        .permissions()
        .mode();
    assert_eq!(mode & 0o7777, 0o700, "CVE-2021-41091");
}

#[test]
fn attack_22_bombs_end_at_the_limit() {
    let dir = temp();
    let limits = Limits {
        layer_bytes: 1 << 20,
        layer_entries: 100,
    };
    let store = Store::open(
        dir.path(),
        Options {
            limits,
            ..Options::default()
        },
    )
    .unwrap();
    let refuse = |tar: Vec<u8>, words: &str| {
        let error = mounted(&store, &[&tar]).unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
        nothing_left(&store);
    };
    refuse(
        gzip(&Tar::new().bytes("big", &vec![0; 8 << 20]).build()),
        "is the limit",
    );
    let many = (0..101).fold(Tar::new(), |tar, n| tar.file(&format!("f{n}"), ""));
    refuse(many.build(), "more than 100 entries");
    // Zeros after the archive's end count too.
    let mut trailing = Tar::new().file("a", "").build();
    trailing.resize(4 << 20, 0);
    refuse(gzip(&trailing), "is the limit");
    let mut sparse = tar::Header::new_gnu();
    sparse.set_entry_type(tar::EntryType::GNUSparse);
    sparse.set_path("s").unwrap();
    sparse.set_size(0);
    let gnu = sparse.as_gnu_mut().unwrap();
    gnu.set_real_size(1 << 50);
    sparse.set_cksum();
    refuse(Tar::new().raw(&sparse, b"").build(), "is the limit");
    let mut huge = tar::Header::new_ustar();
    huge.set_entry_type(tar::EntryType::XHeader);
    huge.set_size(1 << 40);
    huge.set_cksum();
    refuse(Tar::new().raw(&huge, b"").build(), "extended header");
}

#[test]
fn attack_22_the_same_layer_twice_works() {
    let dir = temp();
    let store = open(dir.path());
    let a = Tar::new().file("a", "1").file("both", "a").build();
    let b = Tar::new().file(".wh.a", "").file("both", "b").build();
    let mount = mounted(&store, &[&a, &b, &a]).unwrap();
    assert_eq!(
        (read(&mount, "a"), read(&mount, "both")),
        ("1".into(), "a".into())
    );
    assert_eq!(names(&store, "layers").len(), 2);
}

#[test]
fn attack_25_labels_are_only_labels() {
    let dir = temp();
    let store = open(dir.path());
    let mut config = image::ImageConfig {
        os: "linux".into(),
        ..Default::default()
    };
    config.config.labels.insert(
        "org.opencontainers.image.ref.name".into(),
        "other:latest".into(),
    );
    store
        .add_image(&Reference::parse("own").unwrap(), config, &[])
        .unwrap();
    assert_eq!(store.list()[0].repo_tags(), ["own:latest"]);
    assert!(store.get("other").is_err());
}

fn session_image() -> TestImage {
    TestImage::new(vec![Tar::new().bytes("a", &vec![b'a'; 200_000]).layer()])
}

async fn fails(store: &Store, reference: &Reference, words: &str) {
    let error = pull(store, reference).await.unwrap_err();
    assert!(error.to_string().contains(words), "{error}");
    assert!(store.list().is_empty() && names(store, "layers").is_empty());
    assert!(names(store, "blobs/sha256").is_empty());
    nothing_left(store);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_corrupted_layer_is_refused() {
    let registry = Registry::start();
    let image = session_image();
    registry.push("c", "1", &image);
    // Another archive in its place, of the same length and well packed.
    let path = registry.blob_path(&image.layers[0].digest());
    let mut other = TestLayer::plain(Tar::new().file("evil", "x").build()).packed;
    other.resize(image.layers[0].packed.len(), 0);
    std::fs::write(&path, &other).unwrap();
    let dir = temp();
    fails(&open(dir.path()), &registry.reference("c:1"), "digest is").await;
    // One bit.
    let mut flipped = image.layers[0].packed.clone();
    let at = flipped.len() / 2;
    flipped[at] ^= 1;
    std::fs::write(&path, &flipped).unwrap();
    let error = pull(&open(dir.path()), &registry.reference("c:1"))
        .await
        .unwrap_err();
    assert!(
        matches!(error, Error::Digest { .. } | Error::BadArchive { .. }),
        "{error}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_truncated_layer_is_refused() {
    let registry = Registry::start();
    let image = session_image();
    registry.push("t", "1", &image);
    let path = registry.blob_path(&image.layers[0].digest());
    let half = image.layers[0].packed.len() / 2;
    std::fs::write(&path, &image.layers[0].packed[..half]).unwrap();
    let dir = temp();
    fails(
        &open(dir.path()),
        &registry.reference("t:1"),
        "not complete",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_wrong_diff_id_is_refused() {
    let registry = Registry::start();
    let mut image = session_image();
    image.diff_ids = vec![Digest::of(b"something else")];
    registry.push("d", "1", &image);
    let dir = temp();
    fails(
        &open(dir.path()),
        &registry.reference("d:1"),
        "unpacked layer",
    )
    .await;
    let mut image = session_image();
    image.diff_ids.push(Digest::of(b"one more"));
    registry.push("d", "2", &image);
    fails(
        &open(dir.path()),
        &registry.reference("d:2"),
        "its manifest has 1 layers",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_a_layer_of_somebody_elses_cannot_be_claimed() {
    let registry = Registry::start();
    let private = session_image();
    registry.push("private", "1", &private);
    let dir = temp();
    let store = open(dir.path());
    pull(&store, &registry.reference("private:1"))
        .await
        .unwrap();
    // Other bytes, said to be that layer.
    let mut thief = TestImage::new(vec![Tar::new().file("nothing", "x").layer()]);
    thief.diff_ids = private.diff_ids.clone();
    registry.push("thief", "1", &thief);
    for _ in 0..2 {
        let error = pull(&store, &registry.reference("thief:1"))
            .await
            .unwrap_err();
        assert!(error.to_string().contains("unpacked layer"), "{error}");
        assert_eq!(store.list().len(), 1);
    }
    // Nor where its bytes are here already.
    let own = TestImage::new(thief.layers.clone());
    registry.push("own", "1", &own);
    pull(&store, &registry.reference("own:1")).await.unwrap();
    let error = pull(&store, &registry.reference("thief:1"))
        .await
        .unwrap_err();
    assert!(error.to_string().contains("unpacked layer"), "{error}");
    pull(&store, &registry.reference("private:1"))
        .await
        .unwrap();
    nothing_left(&store);
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_configurations_that_crashed_others() {
    let registry = Registry::start();
    let dir = temp();
    let store = open(dir.path());
    for (n, config) in [
        "null",
        "3",
        "\"x\"",
        "[3]",
        r#"{"rootfs":{"diff_ids":[null]}}"#,
        r#"{"config":[[]]}"#,
        r#"{"rootfs":{"diff_ids":["sha256:../../../../etc/passwd"]}}"#,
        "{",
        "",
    ]
    .iter()
    .enumerate()
    {
        let digest = registry.push_blob("m", config.as_bytes());
        let manifest = format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{digest}","size":{}}},"layers":[]}}"#,
            config.len()
        );
        registry.push_manifest("m", &n.to_string(), OCI_MANIFEST, &manifest);
        let error = pull(&store, &registry.reference(&format!("m:{n}")))
            .await
            .unwrap_err();
        assert!(
            matches!(error, Error::BadManifest { .. }),
            "{config}: {error}"
        );
    }
    nothing_left(&store);
}

/// A registry in a few lines: one image, and a turn in how it serves.
fn serve(
    image: &TestImage,
    turn: impl Fn(&crate::common::scripted::Request) -> Option<Answer> + Send + Sync + 'static,
) -> Server {
    let image = image.clone();
    Server::start(move |request| {
        if let Some(answer) = turn(request) {
            return answer;
        }
        if request.path.contains("/manifests/") {
            return Answer::new(200, image.manifest()).with("Content-Type", OCI_MANIFEST);
        }
        let config = image.config().into_bytes();
        let blobs = image
            .layers
            .iter()
            .map(|layer| layer.packed.clone())
            .chain([config]);
        for blob in blobs {
            if request.path.ends_with(&Digest::of(&blob).to_string()) {
                return Answer::new(200, blob);
            }
        }
        Answer::new(404, "")
    })
}

fn scripted_reference(server: &Server) -> Reference {
    Reference::parse(&format!("127.0.0.1:{}/r/i:1", server.port)).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_credentials_do_not_follow_a_redirect() {
    let image = session_image();
    let other = serve(&image, |_| None);
    let port = other.port;
    let server = serve(&image, move |request| {
        if request.header("authorization").is_none() {
            return Some(Answer::new(401, "").with("WWW-Authenticate", "Basic realm=x"));
        }
        request.path.contains("/blobs/").then(|| {
            Answer::new(307, "").with(
                "Location",
                format!("http://127.0.0.1:{port}{}", request.path),
            )
        })
    });
    let dir = temp();
    let store = open(dir.path());
    let auth = RegistryAuth {
        username: "u".into(),
        password: "p".into(),
        ..Default::default()
    };
    let reference = scripted_reference(&server);
    store
        .pull(
            &reference,
            None,
            Some(&auth),
            &|_| (),
            CancellationToken::new(),
        )
        .await
        .unwrap();
    let asked = other.requests();
    let blobs: Vec<_> = asked
        .iter()
        .filter(|r| r.path.contains("/blobs/"))
        .collect();
    assert!(blobs.len() >= 2);
    assert!(
        asked.iter().all(|r| r.header("authorization").is_none()),
        "GO-2022-0803"
    );
    assert!(
        server
            .requests()
            .iter()
            .any(|r| r.header("authorization") == Some("Basic dTpw"))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_secrets_of_signed_addresses_are_not_told() {
    let image = session_image();
    // A storage service behind the registry: it is not there, sends on to nowhere, or in a circle.
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().port()
    };
    let nowhere = Server::start(|_| Answer::new(307, ""));
    let circle = Server::start(|request| {
        Answer::new(307, "").with("Location", format!("{}&again", request.path))
    });
    let ftp = Server::start(|_| Answer::new(307, "").with("Location", "ftp://h/x?sig=hush"));
    for port in [closed, nowhere.port, circle.port, ftp.port] {
        let server = serve(&image, move |request| {
            request.path.contains("/blobs/").then(|| {
                let at = format!("http://127.0.0.1:{port}{}?sig=hush", request.path);
                Answer::new(307, "").with("Location", at)
            })
        });
        let dir = temp();
        let store = Store::open(
            dir.path(),
            Options {
                max_download_attempts: 1,
                ..Options::default()
            },
        )
        .unwrap();
        let pulled = store
            .pull(
                &scripted_reference(&server),
                None,
                None,
                &|_| (),
                CancellationToken::new(),
            )
            .await;
        let told = format!("{:#}", pulled.map(drop).unwrap_err());
        assert!(!told.contains("hush"), "{told}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_23_ambiguous_manifest_from_a_registry_is_refused() {
    let image = session_image();
    let manifest = image.manifest();
    for (body, content_type) in [
        (manifest.clone(), OCI_INDEX),
        (
            manifest.replacen('{', r#"{"manifests":[],"#, 1),
            OCI_MANIFEST,
        ),
        (manifest.replace(OCI_MANIFEST, OCI_INDEX), OCI_INDEX),
    ] {
        let server = serve(&image, move |request| {
            request
                .path
                .contains("/manifests/")
                .then(|| Answer::new(200, body.clone()).with("Content-Type", content_type))
        });
        let dir = temp();
        let error = pull(&open(dir.path()), &scripted_reference(&server))
            .await
            .unwrap_err();
        assert!(matches!(error, Error::BadManifest { .. }), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_oversized_answers_are_refused() {
    let image = session_image();
    let server = serve(&image, |request| {
        request
            .path
            .contains("/manifests/")
            .then(|| Answer::new(200, vec![b' '; 5 << 20]))
    });
    let dir = temp();
    fails(
        &open(dir.path()),
        &scripted_reference(&server),
        "longer than 4194304 bytes",
    )
    .await;
    let layer = image.layers[0].clone();
    let server = serve(&image, move |request| {
        let mut long = layer.packed.clone();
        long.extend([0; 1000]);
        request
            .path
            .ends_with(&layer.digest().to_string())
            .then(|| Answer::new(200, long))
    });
    fails(&open(dir.path()), &scripted_reference(&server), "expected").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attack_24_manifest_by_digest_must_match() {
    let image = session_image();
    let server = serve(&image, |_| None);
    let digest = Digest::of(b"another");
    let reference = Reference::parse(&format!("127.0.0.1:{}/r/i@{digest}", server.port)).unwrap();
    let dir = temp();
    fails(&open(dir.path()), &reference, "expected").await;
}
