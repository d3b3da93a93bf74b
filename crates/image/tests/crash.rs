//! The process dies at each durable step; what the next one finds is whole.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::*;
use image::{ImageConfig, Reference, Store};

const DIR: &str = "IMAGE_CRASH_DIR";

const FAILPOINTS: [(&str, u32); 18] = [
    ("image.index.sync", 2),
    ("image.index.rename", 2),
    ("image.index.rename", 4),
    ("image.index.rename", 5),
    ("image.layer.discard", 1),
    ("image.layer.stage", 2),
    ("image.layer.rename", 1),
    ("image.layer.rename", 2),
    ("image.layer.remove", 1),
    ("image.layer.syncfs", 1),
    ("image.layer.durable", 1),
    ("image.blob.sync", 3),
    ("image.blob.rename", 1),
    ("image.blob.link", 2),
    ("image.container.meta", 1),
    ("image.container.rename", 1),
    ("image.container.remove", 1),
    ("image.blob.remove", 2),
];

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

/// What the process does that dies: a bit of everything.
fn work(dir: &Path) {
    std::fs::create_dir_all(dir.join("image/layers/half")).unwrap();
    let store = open(dir);
    let base = Tar::new().file("base", "1").build();
    let config = |comment: &str| ImageConfig {
        os: "linux".into(),
        comment: Some(comment.into()),
        ..ImageConfig::default()
    };
    let own = Tar::new().file("own", "a").build();
    store
        .add_image(&reference("a"), config("a"), &[&base, &own])
        .unwrap();
    store.tag("a", &reference("also")).unwrap();
    store.create_container("kept", "a").unwrap();
    store.create_container("gone", "a").unwrap();
    store.remove_container("gone").unwrap();
    let own = Tar::new().file("own", "b").build();
    store
        .add_image(&reference("b"), config("b"), &[&base, &own])
        .unwrap();
    store.remove("b", false, false, &|_| Vec::new()).unwrap();
    wait_for("a sync", || {
        names(&store, "layers").iter().all(|layer| {
            std::fs::read_to_string(store.root().join("layers").join(layer).join("meta.json"))
                .is_ok_and(|text| text.contains("\"durable\":true"))
        })
    });
}

/// Run by the other test as a process of its own.
#[test]
fn child() {
    if let Some(dir) = std::env::var_os(DIR) {
        work(Path::new(&dir));
    }
}

fn check(store: &Store) {
    for (n, image) in store.list().iter().enumerate() {
        let id = format!("check{n}");
        store.create_container(&id, &image.id.to_string()).unwrap();
        let mount = store.mount_container(&id).unwrap();
        assert_eq!(read(&mount, "base"), "1");
        assert_eq!(Some(read(&mount, "own")), image.config.comment);
        assert_eq!(image.size, 2);
    }
    for id in store.containers() {
        assert_eq!(read(&store.mount_container(&id).unwrap(), "base"), "1");
        store.remove_container(&id).unwrap();
    }
    for image in store.list() {
        store
            .remove(&image.id.to_string(), true, false, &|_| Vec::new())
            .unwrap();
    }
    nothing_left(store);
    for part in ["layers", "blobs/sha256", "containers"] {
        assert!(
            names(store, part).is_empty(),
            "{part}: {:?}",
            names(store, part)
        );
    }
}

#[test]
fn death_at_any_step_leaves_a_whole_store() {
    for (name, count) in FAILPOINTS {
        let dir = temp();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["crash::child", "--exact"])
            .env(DIR, dir.path())
            .env("WHARF_FAILPOINT", format!("{name}={count}"))
            .stdout(Stdio::null())
            .status()
            .unwrap();
        assert_eq!(status.signal(), Some(9), "{name}={count} was not reached");
        check(&open(dir.path()));
    }
}
