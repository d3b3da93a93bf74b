//! Names, removal, archives, containers, and what a crash leaves.

use std::collections::HashMap;
use std::path::Path;

use crate::common::*;
use image::{
    CancellationToken, Deleted, Error, Image, ImageConfig, Import, Options, Reference, Store, Use,
};

fn nobody(_: &str) -> Vec<(String, Use)> {
    Vec::new()
}

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn add(store: &Store, name: &str, layers: &[Vec<u8>]) -> std::sync::Arc<Image> {
    let config = ImageConfig {
        os: "linux".into(),
        comment: Some(name.to_owned()),
        ..ImageConfig::default()
    };
    let layers: Vec<_> = layers.iter().map(Vec::as_slice).collect();
    store.add_image(&reference(name), config, &layers).unwrap()
}

fn one(text: &str) -> Vec<u8> {
    Tar::new().file("f", text).build()
}

fn forget_layers_durability(store: &Store) {
    wait_for("durable layers", || {
        names(store, "layers").iter().all(|name| {
            let meta = store.root().join("layers").join(name).join("meta.json");
            std::fs::read_to_string(meta).is_ok_and(|text| text.contains("\"durable\":true"))
        })
    });
    for name in names(store, "layers") {
        let path = store.root().join("layers").join(name).join("meta.json");
        let mut meta: serde_json::Value =
            serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        meta["durable"] = false.into();
        meta["boot_id"] = "an earlier one".into();
        std::fs::write(&path, meta.to_string()).unwrap();
    }
}

#[test]
fn images_are_found_by_all_they_are_called() {
    let dir = temp();
    let store = open(dir.path());
    let image = add(&store, "reg.lan:5000/a/b:1", &[one("1")]);
    store
        .tag("reg.lan:5000/a/b:1", &reference("busybox"))
        .unwrap();
    let id = image.id.to_string();
    for name in [
        "busybox",
        "busybox:latest",
        "docker.io/library/busybox",
        "reg.lan:5000/a/b:1",
        &id,
        image.id.hex(),
        image.id.short(),
        &image.id.hex()[..3],
        &id[..10],
    ] {
        assert_eq!(store.get(name).unwrap().id, image.id, "{name}");
    }
    for (name, words) in [
        ("busybox:2", "No such image: busybox:2"),
        ("zzz", "No such image: zzz:latest"),
        ("reg.lan:5000/a/b", "No such image: reg.lan:5000/a/b:latest"),
        ("A b", "No such image: A b"),
    ] {
        let error = store.get(name).unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.kind()),
            (words, types::ErrorKind::NotFound)
        );
    }
    // Enough images that two share a first digit.
    for n in 0..17 {
        add(&store, &format!("n{n}"), &[]);
    }
    let mut firsts = HashMap::new();
    for image in store.list() {
        *firsts.entry(image.id.hex()[..1].to_owned()).or_insert(0) += 1;
    }
    let shared = firsts.iter().find(|(_, count)| **count > 1).unwrap().0;
    assert!(matches!(
        store.get(shared).unwrap_err(),
        Error::AmbiguousId(_)
    ));
}

#[test]
fn tags_move_and_survive() {
    let dir = temp();
    let store = open(dir.path());
    let (first, second) = (
        add(&store, "a:1", &[one("1")]),
        add(&store, "b:1", &[one("2")]),
    );
    store.tag("b:1", &reference("a:1")).unwrap();
    assert_eq!(store.get("a:1").unwrap().id, second.id);
    let first_now = store.get(&first.id.to_string()).unwrap();
    assert!(first_now.repo_tags().is_empty());
    let digest = reference(&format!("a@sha256:{}", "0".repeat(64)));
    assert_eq!(
        store.tag("b:1", &digest).unwrap_err().to_string(),
        "refusing to create a tag with a digest reference"
    );
    assert!(store.tag("nothing", &reference("x")).is_err());
    let again = open(dir.path());
    assert_eq!(again.get("a:1").unwrap().repo_tags(), ["b:1", "a:1"]);
    assert_eq!(again.list().len(), 2);
}

#[test]
fn removal_by_dockers_rules() {
    let dir = temp();
    let store = open(dir.path());
    let image = add(&store, "a:1", &[one("1")]);
    let short = image.id.short();
    let used = |how| move |_: &str| vec![("0123456789abcdef".to_owned(), how)];
    let words = |name: &str, force, how| {
        store
            .remove(name, force, false, &used(how))
            .unwrap_err()
            .to_string()
    };
    assert_eq!(
        words("a:1", false, Use::Stopped),
        format!(
            "conflict: unable to remove repository reference \"a:1\" (must force) - container 0123456789ab is using its referenced image {short}"
        )
    );
    assert_eq!(
        words(short, false, Use::Stopped),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is being used by stopped container 0123456789ab"
        )
    );
    assert_eq!(
        words(short, true, Use::Running),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being used by running container 0123456789ab"
        )
    );
    assert_eq!(
        words(short, true, Use::Mounted),
        format!(
            "conflict: unable to delete {short} (cannot be forced) - image is being mounted into container 0123456789ab"
        )
    );
    store.tag("a:1", &reference("b:1")).unwrap();
    let error = store.remove(short, false, false, &nobody).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "conflict: unable to delete {short} (must be forced) - image is referenced in multiple repositories"
        )
    );
    assert_eq!(error.kind(), types::ErrorKind::Conflict);
    assert_eq!(
        store.remove("b:1", false, false, &nobody).unwrap(),
        [Deleted::Untagged("b:1".into())]
    );
    // By force the name goes though a container runs; the image stays without one.
    assert_eq!(
        store
            .remove("a:1", true, false, &used(Use::Running))
            .unwrap(),
        [Deleted::Untagged("a:1".into())]
    );
    assert!(store.get("a:1").is_err());
    assert_eq!(
        store.remove(short, false, false, &nobody).unwrap(),
        [
            Deleted::Deleted(image.id.to_string()),
            Deleted::Deleted(image.chain_ids()[0].to_string())
        ]
    );
    assert!(names(&store, "blobs/sha256").is_empty() && names(&store, "layers").is_empty());
    assert!(matches!(
        store.remove("a:1", false, false, &nobody),
        Err(Error::NoSuchImage(_))
    ));
}

#[test]
fn shared_content_stays_until_its_last_user_goes() {
    let dir = temp();
    let store = open(dir.path());
    let base = one("base");
    let a = add(&store, "a", &[base.clone(), one("a")]);
    add(&store, "b", &[base.clone(), one("b")]);
    store.create_container("c1", "a").unwrap();
    let gone = store.remove("a", true, false, &nobody).unwrap();
    // The container's file system still needs the layers.
    assert_eq!(
        gone,
        [
            Deleted::Untagged("a:latest".into()),
            Deleted::Deleted(a.id.to_string())
        ]
    );
    assert_eq!(read(&store.mount_container("c1").unwrap(), "f"), "a");
    assert_eq!(store.containers(), ["c1"]);
    let store = open(dir.path());
    assert_eq!(read(&store.mount_container("c1").unwrap(), "f"), "a");
    store.remove_container("c1").unwrap();
    assert_eq!(names(&store, "layers").len(), 2);
    store.remove("b", false, false, &nobody).unwrap();
    assert!(names(&store, "layers").is_empty() && names(&store, "blobs/sha256").is_empty());
    nothing_left(&store);
}

#[test]
fn containers_have_their_own_changes() {
    let dir = temp();
    let store = open(dir.path());
    add(&store, "a", &[one("image")]);
    store.create_container("c1", "a").unwrap();
    store.create_container("c2", "a").unwrap();
    assert!(matches!(
        store.create_container("c1", "a"),
        Err(Error::ContainerExists(_))
    ));
    assert!(matches!(
        store.create_container("../x", "a"),
        Err(Error::Invalid(_))
    ));
    assert!(matches!(
        store.create_container("c3", "gone"),
        Err(Error::NoSuchImage(_))
    ));
    let (one, two) = (
        store.mount_container("c1").unwrap(),
        store.mount_container("c2").unwrap(),
    );
    let flags = rustix::fs::OFlags::CREATE | rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::TRUNC;
    let file = rustix::fs::openat(&one, "f", flags, rustix::fs::Mode::from(0o644)).unwrap();
    rustix::io::write(&file, b"changed!").unwrap();
    assert_eq!(
        (read(&one, "f").as_str(), read(&two, "f").as_str()),
        ("changed!", "image")
    );
    assert_eq!(store.container_size("c1").unwrap(), 8);
    assert_eq!(store.container_size("c2").unwrap(), 0);
    drop((one, two, file));
    let again = open(dir.path());
    assert_eq!(read(&again.mount_container("c1").unwrap(), "f"), "changed!");
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(dir.path().to_str().unwrap()),
        "no mount on the host"
    );
    again.remove_container("c1").unwrap();
    again.remove_container("c1").unwrap();
    assert!(matches!(
        again.mount_container("c1"),
        Err(Error::NoSuchContainer(_))
    ));
    assert_eq!(again.containers(), ["c2"]);
}

#[test]
fn what_a_crash_leaves_is_removed() {
    let dir = temp();
    let store = open(dir.path());
    let image = add(&store, "a", &[one("1")]);
    store.create_container("c1", "a").unwrap();
    let root = store.root().to_owned();
    drop(store);
    std::fs::create_dir_all(root.join("tmp/layer-1-1/diff/etc")).unwrap();
    std::fs::write(root.join("tmp/layer-1-1/diff/etc/x"), "half").unwrap();
    std::fs::write(root.join("tmp/blob-1-2"), "half").unwrap();
    let stray = "0".repeat(64);
    std::fs::write(root.join("blobs/sha256").join(&stray), "nobody's").unwrap();
    std::fs::create_dir_all(root.join("layers").join(&stray).join("diff")).unwrap();
    std::fs::create_dir_all(root.join("containers/c2/upper")).unwrap();
    let store = open(dir.path());
    nothing_left(&store);
    assert_eq!(names(&store, "layers"), [image.diff_ids()[0].hex()]);
    assert_eq!(names(&store, "containers"), ["c1"]);
    assert!(!names(&store, "blobs/sha256").contains(&stray));
    assert_eq!(store.get("a").unwrap().id, image.id);
}

#[test]
fn layers_of_an_earlier_boot_that_were_not_synced_are_made_again() {
    let dir = temp();
    let store = open(dir.path());
    let image = add(&store, "a", &[one("1"), Tar::new().file("g", "2").build()]);
    store.create_container("c1", "a").unwrap();
    forget_layers_durability(&store);
    let damaged = store
        .root()
        .join("layers")
        .join(image.diff_ids()[0].hex())
        .join("diff/f");
    std::fs::write(damaged, "").unwrap();
    drop(store);
    let store = open(dir.path());
    assert!(names(&store, "layers").is_empty());
    let mount = store.mount_container("c1").unwrap();
    assert_eq!(
        (read(&mount, "f"), read(&mount, "g")),
        ("1".into(), "2".into())
    );
    store.create_container("c2", "a").unwrap();
    assert_eq!(store.get("a").unwrap().size, 2);
}

#[test]
fn damaged_image_does_not_keep_the_others_away() {
    let dir = temp();
    let store = open(dir.path());
    let bad = add(&store, "bad", &[one("1")]);
    add(&store, "good", &[one("2")]);
    std::fs::write(store.root().join("blobs/sha256").join(bad.id.hex()), "{}").unwrap();
    let store = open(dir.path());
    assert!(store.get("bad").is_err());
    assert_eq!(
        read(
            &{
                store.create_container("c", "good").unwrap();
                store.mount_container("c").unwrap()
            },
            "f"
        ),
        "2"
    );
}

/// What cannot be read may be whole: it is neither forgotten nor collected.
#[test]
fn images_that_cannot_be_read_now_are_there_again_later() {
    let dir = temp();
    let store = open(dir.path());
    let image = add(&store, "hidden", &[one("1")]);
    add(&store, "good", &[one("2")]);
    let blobs = store.root().join("blobs/sha256");
    let config = blobs.join(image.id.hex());
    let aside = dir.path().join("aside");
    let count = names(&store, "layers").len();
    drop(store);
    std::fs::rename(&config, &aside).unwrap();
    std::fs::create_dir(&config).unwrap();
    let store = open(dir.path());
    assert!(store.get("hidden").is_err());
    // The table is written, and unused content would be removed.
    add(&store, "third", &[one("3")]);
    store
        .remove("third", false, false, &|_| Vec::new())
        .unwrap();
    assert!(names(&store, "layers").len() >= count);
    drop(store);
    std::fs::remove_dir(&config).unwrap();
    std::fs::rename(&aside, &config).unwrap();
    let store = open(dir.path());
    assert_eq!(store.get("hidden").unwrap().id, image.id);
    assert_eq!(names(&store, "layers").len(), count);
}

/// An archive of these files.
fn bundle(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, data) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(data.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        builder
            .append_data(&mut header, name, data.as_slice())
            .unwrap();
    }
    builder.into_inner().unwrap()
}

fn load(store: &Store, archive: &[u8]) -> Result<Vec<image::Loaded>, Error> {
    store.load(archive, &|_| (), &CancellationToken::new())
}

fn docker_archive(image: &TestImage, tags: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = image
        .layers
        .iter()
        .enumerate()
        .map(|(n, layer)| (format!("{n}/layer.tar"), layer.packed.clone()))
        .collect();
    let layers: Vec<_> = files
        .iter()
        .map(|(name, _)| format!("\"{name}\""))
        .collect();
    let manifest = format!(
        r#"[{{"Config":"config.json","RepoTags":{tags},"Layers":[{}]}}]"#,
        layers.join(",")
    );
    files.push(("config.json".into(), image.config().into_bytes()));
    files.push(("manifest.json".into(), manifest.into_bytes()));
    files
}

#[test]
fn docker_archives_are_loaded() {
    let image = TestImage::new(vec![
        TestLayer::plain(one("1")),
        Tar::new().file("g", "2").layer(),
        TestLayer::zstd(Tar::new().file("h", "3").build()),
    ]);
    let archive = bundle(&docker_archive(&image, r#"["a:1","b"]"#));
    for packed in [
        archive.clone(),
        gzip(&archive),
        zstd::stream::encode_all(archive.as_slice(), 1).unwrap(),
    ] {
        let dir = temp();
        let store = open(dir.path());
        let log = Log::default();
        let loaded = store
            .load(
                packed.as_slice(),
                &|p| log.add(p),
                &CancellationToken::new(),
            )
            .unwrap();
        assert_eq!(loaded[0].image.id, image.id());
        assert_eq!(loaded[0].image.repo_tags(), ["a:1", "b:latest"]);
        assert!(
            log.lines()
                .contains(&r#"{"stream":"Loaded image: b:latest\n"}"#.to_owned())
        );
        store.create_container("c", "b").unwrap();
        assert_eq!(tree(&store.mount_container("c").unwrap()).len(), 3);
        // Again changes nothing.
        load(&store, &archive).unwrap();
        assert_eq!(store.list().len(), 1);
        nothing_left(&store);
    }
    let dir = temp();
    let store = open(dir.path());
    let log = Log::default();
    let archive = bundle(&docker_archive(&image, "null"));
    store
        .load(
            archive.as_slice(),
            &|p| log.add(p),
            &CancellationToken::new(),
        )
        .unwrap();
    assert!(log.lines().contains(&format!(
        "{{\"stream\":\"Loaded image ID: {}\\n\"}}",
        image.id()
    )));
}

#[test]
fn oci_archives_are_loaded() {
    let image = TestImage::new(vec![Tar::new().file("f", "1").layer()]);
    let manifest = image.manifest().into_bytes();
    let digest = image::Digest::of(&manifest);
    let index = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{digest}","size":{},"annotations":{{"io.containerd.image.name":"docker.io/library/x:3","org.opencontainers.image.ref.name":"3"}}}}]}}"#,
        manifest.len()
    );
    let blob = |bytes: &[u8]| format!("blobs/sha256/{}", image::Digest::of(bytes).hex());
    let mut files = vec![
        (
            "oci-layout".to_owned(),
            br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec(),
        ),
        ("index.json".to_owned(), index.into_bytes()),
        (blob(&manifest), manifest.clone()),
        (blob(image.config().as_bytes()), image.config().into_bytes()),
        (
            blob(&image.layers[0].packed),
            image.layers[0].packed.clone(),
        ),
    ];
    let dir = temp();
    let store = open(dir.path());
    let loaded = load(&store, &bundle(&files)).unwrap();
    assert_eq!(loaded[0].image.repo_tags(), ["x:3"]);
    assert_eq!(loaded[0].image.manifest, digest);
    // A layer that is not what its name says.
    let dir = temp();
    let store = open(dir.path());
    files[4].1 = gzip(&one("2"));
    assert!(load(&store, &bundle(&files)).is_err());
    assert!(store.list().is_empty());
    nothing_left(&store);
}

#[test]
fn attack_24_an_archive_cannot_claim_a_layer_that_is_here() {
    let dir = temp();
    let store = open(dir.path());
    let private = TestImage::new(vec![TestLayer::plain(one("1"))]);
    load(
        &store,
        &bundle(&docker_archive(&private, r#"["private:1"]"#)),
    )
    .unwrap();
    for layer in [TestLayer::plain(one("2")), TestLayer::gzip(one("2"))] {
        let mut thief = TestImage::new(vec![layer]);
        thief.diff_ids = private.diff_ids.clone();
        let error = load(&store, &bundle(&docker_archive(&thief, r#"["thief:1"]"#))).unwrap_err();
        assert!(error.to_string().contains("unpacked layer"), "{error}");
    }
    assert_eq!(store.list().len(), 1);
    nothing_left(&store);
}

#[test]
fn attack_22_many_images_of_one_large_configuration() {
    let dir = temp();
    let store = open(dir.path());
    let manifest = |count: usize| {
        let one = r#"{"Config":"c","RepoTags":null,"Layers":[]}"#;
        format!("[{}]", vec![one; count].join(",")).into_bytes()
    };
    for (count, config) in [(1001, 2), (20, 4 << 20)] {
        let files = [
            ("c".to_owned(), vec![b' '; config]),
            ("manifest.json".to_owned(), manifest(count)),
        ];
        let error = load(&store, &bundle(&files)).unwrap_err();
        assert!(
            error.to_string().contains("more than 1000 images"),
            "{error}"
        );
    }
    nothing_left(&store);
}

#[test]
fn archives_that_are_none_are_refused() {
    let image = TestImage::new(vec![TestLayer::plain(one("1"))]);
    let good = docker_archive(&image, r#"["a:1"]"#);
    let change = |name: &str, data: &str| {
        let mut files = good.clone();
        files.iter_mut().find(|(n, _)| n == name).unwrap().1 = data.as_bytes().to_vec();
        bundle(&files)
    };
    let manifest = |text: &str| change("manifest.json", text);
    let whole = bundle(&good);
    for (archive, words) in [
        (b"not a tar archive at all".to_vec(), "ends within a header"),
        (vec![b'x'; 2048], "not a tar archive"),
        (bundle(&[]), "neither manifest.json nor index.json"),
        (manifest("[]"), "no images"),
        (manifest("{"), "manifest.json cannot be read"),
        (
            manifest(r#"[{"Config":"../../etc/passwd"}]"#),
            "does not have it",
        ),
        (manifest(r#"[{"Config":"gone"}]"#), "does not have it"),
        (
            manifest(r#"[{"Config":"config.json","Layers":[]}]"#),
            "0 layers, but 1",
        ),
        (
            manifest(r#"[{"Config":"config.json","RepoTags":["A"],"Layers":["0/layer.tar"]}]"#),
            "invalid tag",
        ),
        (change("0/layer.tar", "x"), "ends within a header"),
        (change("config.json", "null"), "not usable"),
        (whole[..whole.len() - 1500].to_vec(), "archive ends"),
        (
            Tar::new()
                .symlink("manifest.json", "../../../../etc/passwd")
                .build(),
            "leads out",
        ),
        (
            Tar::new().symlink("manifest.json", "manifest.json").build(),
            "neither",
        ),
        (Tar::new().file("../x", "").build(), "leads out"),
        (
            Tar::new().char_device("manifest.json", 1, 5).build(),
            "device",
        ),
    ] {
        let dir = temp();
        let store = open(dir.path());
        let error = load(&store, &archive).unwrap_err();
        assert!(error.to_string().contains(words), "{words}: {error}");
        assert!(store.list().is_empty() && names(&store, "layers").is_empty());
        nothing_left(&store);
    }
}

#[test]
fn import_makes_an_image_of_one_layer() {
    let dir = temp();
    let store = open(dir.path());
    let import = Import {
        reference: Some(reference("own/root")),
        message: "from a tarball".into(),
        changes: vec!["CMD [\"sh\"]".into(), "ENV A=1".into()],
        platform: None,
    };
    let image = store
        .import(
            gzip(&one("1")).as_slice(),
            &import,
            &CancellationToken::new(),
        )
        .unwrap();
    assert_eq!(image.repo_tags(), ["own/root:latest"]);
    assert_eq!(image.config.config.env, ["A=1"]);
    assert_eq!(image.config.comment.as_deref(), Some("from a tarball"));
    assert_eq!(image.config.os, "linux");
    store.create_container("c", "own/root").unwrap();
    assert_eq!(read(&store.mount_container("c").unwrap(), "f"), "1");
    let bad = Import {
        changes: vec!["RUN x".into()],
        ..Import::default()
    };
    let error = store
        .import(one("1").as_slice(), &bad, &CancellationToken::new())
        .unwrap_err();
    assert_eq!(error.kind(), types::ErrorKind::NotImplemented);
    assert!(
        store
            .import(&b"junk"[..], &Import::default(), &CancellationToken::new())
            .is_err()
    );
    nothing_left(&store);
}

#[test]
fn adding_the_same_image_again_changes_nothing() {
    let dir = temp();
    let store = open(dir.path());
    let first = add(&store, "a", &[one("1")]);
    let index = std::fs::read(store.root().join("index.json")).unwrap();
    assert_eq!(add(&store, "a", &[one("1")]).id, first.id);
    assert_eq!(
        std::fs::read(store.root().join("index.json")).unwrap(),
        index
    );
}

#[test]
fn many_threads_at_once() {
    let dir = temp();
    let store = open(dir.path());
    let base = one("base");
    std::thread::scope(|scope| {
        for n in 0..8 {
            let (store, base) = (store.clone(), base.clone());
            scope.spawn(move || {
                for round in 0..5 {
                    let name = format!("t{n}");
                    add(&store, &name, &[base.clone(), one(&format!("{n}-{round}"))]);
                    let container = format!("c{n}-{round}");
                    store.create_container(&container, &name).unwrap();
                    let mount = store.mount_container(&container).unwrap();
                    assert_eq!(read(&mount, "f"), format!("{n}-{round}"));
                    store.remove_container(&container).unwrap();
                    store.remove(&name, false, false, &nobody).unwrap();
                }
            });
        }
    });
    assert!(store.list().is_empty());
    assert!(names(&store, "layers").is_empty() && names(&store, "blobs/sha256").is_empty());
    nothing_left(&store);
}

#[test]
fn options_are_checked_when_opening() {
    let dir = temp();
    let insecure_registries = vec!["http://x".to_owned()];
    let options = Options {
        insecure_registries,
        ..Options::default()
    };
    let error = Store::open(dir.path(), options).unwrap_err();
    assert!(error.to_string().contains("http://x"), "{error}");
    assert!(Store::open(Path::new("/proc/nowhere"), Options::default()).is_err());
}
