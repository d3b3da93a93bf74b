//! Whatever is mounted: nothing of it appears on the host, and nothing is made outside the root.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::harness::{Scene, isolated};

/// A mount: kind, destination, options.
type Wanted = (usize, Vec<&'static str>, Vec<&'static str>);

fn wanted() -> impl Strategy<Value = Vec<Wanted>> {
    let name = prop::sample::select(vec![
        "a", "b", "..", ".", "out", "up", "loop", "nowhere", "proc", "sys", "dev", "file",
    ]);
    let option = prop::sample::select(vec![
        "ro",
        "rw",
        "rro",
        "nosuid",
        "noexec",
        "nodev",
        "noatime",
        "rshared",
        "shared",
        "rslave",
        "slave",
        "private",
        "rprivate",
        "unbindable",
        "rnodev",
        "strictatime",
        "nosymfollow",
    ]);
    let mount = (
        0..7_usize,
        prop::collection::vec(name, 1..4),
        prop::collection::vec(option, 0..4),
    );
    prop::collection::vec(mount, 0..8)
}

fn listing(dir: &Path) -> Vec<String> {
    let mut all: Vec<String> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    all.sort();
    all
}

fn one(mounts: &[Wanted], (old_kernel, late, no_pivot, readonly): (bool, bool, bool, bool)) {
    let mut scene = Scene::docker("plain.json");
    scene.old_kernel = old_kernel;
    scene.late = late;
    scene.no_pivot = no_pivot;
    let root = scene.spec.root_mut().as_mut().unwrap();
    root.set_readonly(Some(readonly));
    let victim = scene.host_dir("victim");
    let source = scene.host_dir("source");
    let root = scene.root();
    fs::create_dir_all(root.join("a/b")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    symlink(&victim, root.join("out")).unwrap();
    symlink("../../../../..", root.join("up")).unwrap();
    symlink("loop", root.join("loop")).unwrap();
    symlink("nowhere-at-all", root.join("nowhere")).unwrap();
    for (kind, path, options) in mounts {
        let destination = format!("/{}", path.join("/"));
        let mut options = options.clone();
        let (typ, source) = match kind {
            0 => ("tmpfs", Path::new("tmpfs").to_owned()),
            1 => ("proc", Path::new("proc").to_owned()),
            2 => ("mqueue", Path::new("mqueue").to_owned()),
            3 => ("cgroup", Path::new("cgroup").to_owned()),
            4 => {
                options.push("rbind");
                ("bind", source.clone())
            }
            5 => {
                options.push("bind");
                ("bind", source.join("file"))
            }
            _ => {
                options.push("bind");
                ("bind", source.clone())
            }
        };
        scene.add(typ, &source, &destination, &options);
    }
    // Whether it works or not; the harness compares the mounts.
    let _ = scene.run(|_| ());
    assert_eq!(listing(&victim), ["file"]);
    assert_eq!(
        listing(root.parent().unwrap()),
        ["rootfs", "source", "victim"]
    );
    assert_eq!(fs::read_to_string(source.join("file")).unwrap(), "source");
}

#[test]
fn nothing_appears_on_the_host() {
    isolated("property::nothing_appears_on_the_host", || {
        let mut runner = TestRunner::new(Config {
            cases: 150,
            failure_persistence: None,
            ..Config::default()
        });
        let input = (wanted(), any::<(bool, bool, bool, bool)>());
        runner
            .run(&input, |(mounts, how)| {
                one(&mounts, how);
                Ok(())
            })
            .unwrap();
    });
}
