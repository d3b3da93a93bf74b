//! Pulling from a real registry.

use crate::common::*;
use image::{CancellationToken, Error, Options, Platform, RegistryAuth, Store};

fn auth(user: &str, password: &str) -> RegistryAuth {
    RegistryAuth {
        username: user.into(),
        password: password.into(),
        ..Default::default()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn pull_unpack_mount() {
    let registry = Registry::start();
    let image = TestImage::new(vec![
        Tar::new()
            .dir("etc")
            .file("etc/a", "one")
            .file("etc/b", "old")
            .layer(),
        TestLayer::zstd(
            Tar::new()
                .file("etc/b", "new")
                .symlink("l", "etc/b")
                .build(),
        ),
        TestLayer::plain(Tar::new().file("etc/.wh.a", "").file("c", "3").build()),
    ]);
    let digest = registry.push("x/img", "1", &image);
    let dir = temp();
    let store = open(dir.path());
    let reference = registry.reference("x/img:1");
    let log = Log::default();
    let pulled = store
        .pull(
            &reference,
            None,
            None,
            &|p| log.add(p),
            CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(pulled.digest, digest.to_string());
    assert_eq!(pulled.image.id, image.id());
    assert!(pulled.newer);
    let statuses = log.statuses();
    assert_eq!(statuses[0], "Pulling from x/img");
    for wanted in [
        "Pulling fs layer",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
    ] {
        let count = statuses.iter().filter(|status| *status == wanted).count();
        assert!(count >= 3, "{wanted}: {statuses:?}");
    }
    assert_eq!(statuses[statuses.len() - 2], format!("Digest: {digest}"));
    assert_eq!(
        statuses.last().unwrap(),
        &format!(
            "Status: Downloaded newer image for {}",
            reference.familiar()
        )
    );

    store.create_container("c1", &reference.familiar()).unwrap();
    let mount = store.mount_container("c1").unwrap();
    let all = tree(&mount);
    let wanted = [
        ("c", "file 3"),
        ("etc", "dir"),
        ("etc/b", "file new"),
        ("l", "link etc/b"),
    ];
    assert_eq!(
        all,
        wanted.map(|(k, v)| (k.to_owned(), v.to_owned())).into()
    );
    assert_eq!(pulled.image.size, 3 + 3 + 3 + 1);

    let log = Log::default();
    let again = store
        .pull(
            &reference,
            None,
            None,
            &|p| log.add(p),
            CancellationToken::new(),
        )
        .await
        .unwrap();
    assert!(!again.newer);
    assert_eq!(
        log.statuses().last().unwrap(),
        &format!("Status: Image is up to date for {}", reference.familiar())
    );
    assert_eq!(
        again.image.repo_digests(),
        [format!("{}@{digest}", reference.familiar_name())]
    );
    nothing_left(&store);

    // Another process sees the same.
    let store = open(dir.path());
    assert_eq!(
        store.get(image.id().short()).unwrap().repo_tags(),
        [reference.familiar()]
    );
    assert_eq!(
        store
            .raw_config(&store.get("sha256:").unwrap_or(pulled.image))
            .unwrap(),
        image.config().as_bytes()
    );
    assert_eq!(tree(&store.mount_container("c1").unwrap()).len(), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn by_digest_and_by_index() {
    let registry = Registry::start();
    let image = TestImage::new(vec![Tar::new().file("a", "1").layer()]);
    let mut other = TestImage::new(vec![Tar::new().file("a", "2").layer()]);
    other.arch = "s390x".into();
    let (digest, other_digest) = (
        registry.push("i", "own", &image),
        registry.push("i", "other", &other),
    );
    let entry = |digest, image: &TestImage| {
        format!(
            r#"{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{},"platform":{{"os":"linux","architecture":"{}"}}}}"#,
            image.manifest().len(),
            image.arch
        )
    };
    let index = format!(
        r#"{{"schemaVersion":2,"mediaType":"{OCI_INDEX}","manifests":[{},{}]}}"#,
        entry(&other_digest, &other),
        entry(&digest, &image)
    );
    let index_digest = registry.push_manifest("i", "both", OCI_INDEX, &index);
    let dir = temp();
    let store = open(dir.path());
    let pulled = pull(&store, &registry.reference("i:both")).await.unwrap();
    assert_eq!(pulled.image.id, image.id());
    assert_eq!(pulled.digest, index_digest.to_string());
    let by_digest = registry.reference(&format!("i@{index_digest}"));
    assert!(!pull(&store, &by_digest).await.unwrap().newer);
    assert_eq!(store.get(&by_digest.familiar()).unwrap().id, image.id());

    let foreign = Platform::parse("linux/s390x").unwrap();
    let reference = registry.reference("i:both");
    let pulled = store
        .pull(
            &reference,
            Some(&foreign),
            None,
            &|_| (),
            CancellationToken::new(),
        )
        .await
        .unwrap();
    assert_eq!(pulled.image.id, other.id());
    // The tag went to the other image; the first keeps its digest.
    assert_eq!(
        store.get(&image.id().to_string()).unwrap().repo_tags(),
        Vec::<String>::new()
    );

    let none = Platform::parse("linux/riscv64").unwrap();
    let error = store
        .pull(
            &reference,
            Some(&none),
            None,
            &|_| (),
            CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "no matching manifest for linux/riscv64 in the manifest list entries"
    );
    let single = registry.reference("i:own");
    let error = store
        .pull(
            &single,
            Some(&none),
            None,
            &|_| (),
            CancellationToken::new(),
        )
        .await
        .unwrap_err();
    assert!(matches!(error, Error::WrongPlatform { .. }), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_have_dockers_words() {
    let registry = Registry::start();
    registry.push("there", "1", &TestImage::new(vec![]));
    let dir = temp();
    let store = open(dir.path());
    let missing = registry.reference("there:2");
    assert_eq!(
        pull(&store, &missing).await.unwrap_err().to_string(),
        format!(
            "manifest for {} not found: manifest unknown: manifest unknown",
            missing.familiar()
        )
    );
    let error = pull(&store, &registry.reference("nowhere:2"))
        .await
        .unwrap_err();
    assert_eq!(error.kind(), types::ErrorKind::NotFound, "{error}");
    let error = store.get("foo").unwrap_err();
    assert_eq!(error.to_string(), "No such image: foo:latest");
    // A closed port.
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let gone = image::Reference::parse(&format!("127.0.0.1:{port}/a")).unwrap();
    let error = pull(&store, &gone).await.unwrap_err();
    assert!(
        error
            .to_string()
            .to_lowercase()
            .contains("connection refused"),
        "{error}"
    );
    assert!(store.list().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn image_without_layers_can_be_used() {
    let registry = Registry::start();
    registry.push("empty", "latest", &TestImage::new(vec![]));
    let dir = temp();
    let store = open(dir.path());
    let pulled = pull(&store, &registry.reference("empty")).await.unwrap();
    store
        .create_container("c", &pulled.image.id.to_string())
        .unwrap();
    let mount = store.mount_container("c").unwrap();
    assert!(tree(&mount).is_empty());
    assert_eq!(stat(&mount, ".").st_mode & 0o7777, 0o755);
}

#[tokio::test(flavor = "multi_thread")]
async fn basic_auth() {
    let registry = Registry::start_with(true);
    let image = TestImage::new(vec![Tar::new().file("a", "1").layer()]);
    registry.push("p", "1", &image);
    let dir = temp();
    let store = open(dir.path());
    let reference = registry.reference("p:1");
    let run = async |auth: Option<RegistryAuth>| {
        store
            .pull(
                &reference,
                None,
                auth.as_ref(),
                &|_| (),
                CancellationToken::new(),
            )
            .await
    };
    let error = run(None).await.unwrap_err();
    assert!(
        error.to_string().ends_with("no basic auth credentials"),
        "{error}"
    );
    let error = run(Some(auth(USER, "wrong"))).await.unwrap_err();
    assert_eq!(error.kind(), types::ErrorKind::Unauthorized, "{error}");
    assert!(!error.to_string().contains("wrong"), "{error}");
    assert_eq!(
        run(Some(auth(USER, PASSWORD))).await.unwrap().image.id,
        image.id()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn shared_layers_are_fetched_once() {
    let registry = Registry::start();
    let base = Tar::new().bytes("base", &vec![7; 3 << 20]).layer();
    let images: Vec<_> = (0..6)
        .map(|n| {
            TestImage::new(vec![
                base.clone(),
                Tar::new().file("own", &n.to_string()).layer(),
            ])
        })
        .collect();
    for (n, image) in images.iter().enumerate() {
        registry.push(&format!("s{n}"), "1", image);
    }
    let dir = temp();
    let store = open(dir.path());
    let log = Log::default();
    let references: Vec<_> = (0..6)
        .map(|n| registry.reference(&format!("s{n}:1")))
        .collect();
    let progress = |p| log.add(p);
    let pulls = references
        .iter()
        .map(|reference| store.pull(reference, None, None, &progress, CancellationToken::new()));
    for done in futures_util::future::join_all(pulls).await {
        done.unwrap();
    }
    let base_id = base.digest();
    let fetched = log
        .lines()
        .iter()
        .filter(|line| line.contains(base_id.short()) && line.contains("Verifying Checksum"))
        .count();
    assert_eq!(fetched, 1);
    assert_eq!(names(&store, "layers").len(), 7);
    for reference in &references {
        store
            .remove(&reference.familiar(), false, false, &|_| Vec::new())
            .unwrap();
    }
    assert!(names(&store, "layers").is_empty());
    assert!(names(&store, "blobs/sha256").is_empty());
    nothing_left(&store);
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_128_layers() {
    let registry = Registry::start();
    let layers: Vec<_> = (0..150)
        .map(|n| {
            TestLayer::plain(
                Tar::new()
                    .file(&format!("f{n}"), "x")
                    .file("top", &n.to_string())
                    .build(),
            )
        })
        .collect();
    registry.push("many", "1", &TestImage::new(layers));
    let dir = temp();
    let store = open(dir.path());
    let reference = registry.reference("many:1");
    pull(&store, &reference).await.unwrap();
    store.create_container("c", &reference.familiar()).unwrap();
    let mount = store.mount_container("c").unwrap();
    assert_eq!(read(&mount, "top"), "149");
    assert_eq!(tree(&mount).len(), 151);
}

#[tokio::test(flavor = "multi_thread")]
async fn images_pushed_by_skopeo() {
    let registry = Registry::start();
    let work = temp();
    let store = open(&work.path().join("a"));
    let first = store
        .add_image(
            &image::Reference::parse("a").unwrap(),
            image::ImageConfig {
                os: "linux".into(),
                architecture: "amd64".into(),
                ..Default::default()
            },
            &[&Tar::new().file("f", "1").build()],
        )
        .unwrap();
    // Our own store is an OCI layout that other tools read.
    let reference = registry.reference("sk:1");
    for format in ["v2s2", "oci"] {
        let status = std::process::Command::new("skopeo")
            .args([
                "copy",
                "-q",
                "--insecure-policy",
                "--dest-tls-verify=false",
                "--format",
                format,
            ])
            .arg(format!("oci:{}:{}", store.root().display(), first.tags[0]))
            .arg(format!("docker://{}", reference.familiar()))
            .status()
            .unwrap();
        assert!(status.success());
        let other = open(&work.path().join(format));
        let pulled = pull(&other, &reference).await.unwrap();
        assert_eq!(pulled.image.diff_ids(), first.diff_ids());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cancelled_pull_leaves_nothing() {
    let server =
        scripted::Server::start(|_| scripted::Answer::new(503, "").with("Retry-After", "20"));
    let dir = temp();
    let store = Store::open(dir.path(), Options::default()).unwrap();
    let reference = image::Reference::parse(&format!("127.0.0.1:{}/a", server.port)).unwrap();
    let cancel = CancellationToken::new();
    let canceller = cancel.clone();
    let watch = async {
        while server.requests().len() < 2 {
            tokio::task::yield_now().await;
        }
        canceller.cancel();
    };
    let (done, ()) = tokio::join!(store.pull(&reference, None, None, &|_| (), cancel), watch);
    assert!(matches!(done.unwrap_err(), Error::Cancelled(_)));
    nothing_left(&store);
}
