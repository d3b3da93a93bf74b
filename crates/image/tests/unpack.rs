//! What comes out of layers, read back through the mounted overlay.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::common::*;
use image::{CancellationToken, Error, ImageConfig, Options, Reference, Store};
use proptest::prelude::*;

#[test]
fn kinds_owners_times_and_modes() {
    let dir = temp();
    let store = open(dir.path());
    let long = "d".repeat(90) + "/" + &"e".repeat(90) + "/" + &"f".repeat(90);
    let tar = Tar::new()
        .dir_mode("./", 0o751)
        .dir_mode("d", 0o700)
        .file("d/f", "text")
        .hard_link("d/h", "d/f")
        .hard_link("d/again", "d/h")
        .symlink("s", "../../outside")
        .fifo("p")
        .char_device("null", 1, 3)
        .owned("mine", 1000, 100, 0o640)
        .owned("big", 4_000_000_000, 3_999_999_999, 0o600)
        .pax(&[
            ("path", long.as_bytes()),
            ("mtime", b"-1.5"),
            ("SCHILY.xattr.user.x", b"\0\n="),
        ])
        .file("short", "long")
        .dir("lib64")
        .build();
    let mount = mounted(&store, &[&tar]).unwrap();
    let all = tree(&mount);
    assert_eq!(all["d/h"], "file text");
    assert_eq!(all["s"], "link ../../outside");
    assert_eq!(all["p"], "fifo");
    assert_eq!(all["null"], "char 103");
    assert_eq!(all[&long], "file long");
    assert_eq!(stat(&mount, "d/f").st_nlink, 3);
    assert_eq!(stat(&mount, "d/f").st_ino, stat(&mount, "d/h").st_ino);
    let mine = stat(&mount, "mine");
    assert_eq!(
        (mine.st_uid, mine.st_gid, mine.st_mode & 0o7777),
        (1000, 100, 0o640)
    );
    let big = stat(&mount, "big");
    assert_eq!((big.st_uid, big.st_gid), (4_000_000_000, 3_999_999_999));
    assert_eq!(stat(&mount, "d").st_mode & 0o7777, 0o700);
    assert_eq!(stat(&mount, ".").st_mode & 0o7777, 0o751);
    for path in ["d", "d/f", "s", "lib64"] {
        assert_eq!(stat(&mount, path).st_mtime, 1_000_000, "{path}");
    }
    let time = stat(&mount, &long);
    assert_eq!((time.st_mtime, time.st_mtime_nsec), (-2, 500_000_000));
    let flags = rustix::fs::OFlags::RDONLY;
    let file = rustix::fs::openat(&mount, long.as_str(), flags, rustix::fs::Mode::empty()).unwrap();
    let mut value = [0; 8];
    let length = rustix::fs::fgetxattr(&file, "user.x", value.as_mut_slice()).unwrap();
    assert_eq!(&value[..length], b"\0\n=");
}

#[test]
fn file_capabilities_are_kept() {
    let dir = temp();
    let store = open(dir.path());
    // Version 2, effective, CAP_NET_RAW.
    let capability = [
        1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    ];
    let tar = Tar::new()
        .pax(&[
            ("SCHILY.xattr.security.capability", &capability),
            ("uid", b"7"),
        ])
        .file("ping", "x")
        .build();
    let mount = mounted(&store, &[&tar]).unwrap();
    let file = rustix::fs::openat(
        &mount,
        "ping",
        rustix::fs::OFlags::RDONLY,
        rustix::fs::Mode::empty(),
    )
    .unwrap();
    let mut value = [0; 64];
    let length = rustix::fs::fgetxattr(&file, "security.capability", value.as_mut_slice()).unwrap();
    assert_eq!(&value[..length], capability);
    assert_eq!(stat(&mount, "ping").st_uid, 7);
}

#[test]
fn links_within_a_layer_are_followed_inside() {
    let dir = temp();
    let store = open(dir.path());
    let tar = Tar::new()
        .dir("usr")
        .dir("usr/lib")
        .symlink("lib", "usr/lib")
        .symlink("abs", "/usr/lib")
        .file("lib/a", "1")
        .file("abs/b", "2")
        .hard_link("lib/c", "abs/b")
        .build();
    let mount = mounted(&store, &[&tar]).unwrap();
    for (path, text) in [("usr/lib/a", "1"), ("usr/lib/b", "2"), ("usr/lib/c", "2")] {
        assert_eq!(read(&mount, path), text);
    }
}

#[test]
fn later_entries_take_the_place_of_earlier_ones() {
    let dir = temp();
    let store = open(dir.path());
    let tar = Tar::new()
        .dir("a")
        .file("a/x", "1")
        .file("a", "file")
        .file("b", "file")
        .dir("b")
        .file("b/y", "2")
        .dir("c")
        .file("c/z", "3")
        .symlink("c", "b")
        .file("c/w", "4")
        .build();
    let mount = mounted(&store, &[&tar]).unwrap();
    let all: Vec<_> = tree(&mount).into_iter().collect();
    let wanted = [
        ("a", "file file"),
        ("b", "dir"),
        ("b/w", "file 4"),
        ("b/y", "file 2"),
        ("c", "link b"),
    ];
    assert_eq!(all, wanted.map(|(k, v)| (k.to_owned(), v.to_owned())));
}

#[test]
fn root_opaque_hides_all_below() {
    let dir = temp();
    let store = open(dir.path());
    let below = Tar::new().file("a", "1").build();
    let above = Tar::new().file(".wh..wh..opq", "").file("b", "2").build();
    let mount = mounted(&store, &[&below, &above]).unwrap();
    assert_eq!(tree(&mount).into_keys().collect::<Vec<_>>(), ["b"]);
}

/// GNU tar's own output in each of its formats, sparse files included.
#[test]
fn what_gnu_tar_writes() {
    let work = temp();
    let source = work.path().join("source");
    let deep = source.join("x".repeat(120)).join("y".repeat(120));
    std::fs::create_dir_all(&deep).unwrap();
    std::fs::write(deep.join("file"), "deep").unwrap();
    let sparse = std::fs::File::create(source.join("sparse")).unwrap();
    sparse.set_len(9 << 20).unwrap();
    for n in 0..60_u64 {
        std::os::unix::fs::FileExt::write_all_at(&sparse, b"data", n * (128 << 10)).unwrap();
    }
    std::fs::write(source.join("ümlaut"), "u").unwrap();
    std::fs::write(source.join("empty"), "").unwrap();
    let wanted = std::fs::read(source.join("sparse")).unwrap();
    for format in [
        &["--format=gnu", "-S"][..],
        &["--format=pax", "-S", "--sparse-version=0.0"],
        &["--format=pax", "-S", "--sparse-version=0.1"],
        &["--format=pax", "-S", "--sparse-version=1.0"],
        &["--format=pax", "--xattrs"],
        &["--format=oldgnu"],
    ] {
        let out = Command::new("tar")
            .args(format)
            .args(["-c", "-C"])
            .arg(&source)
            .arg(".")
            .stderr(Stdio::inherit())
            .output()
            .unwrap();
        assert!(out.status.success());
        let store = open(&work.path().join(format.join("")));
        let mount = mounted(&store, &[&out.stdout]).unwrap();
        assert_eq!(
            read(
                &mount,
                &format!("{}/{}/file", "x".repeat(120), "y".repeat(120))
            ),
            "deep"
        );
        assert_eq!(read(&mount, "ümlaut"), "u");
        assert_eq!(read(&mount, "sparse").as_bytes(), wanted, "{format:?}");
        if format.contains(&"-S") {
            assert!(
                stat(&mount, "sparse").st_blocks * 512 < 2 << 20,
                "holes stay holes"
            );
        }
        assert_eq!(store.list()[0].size, (9 << 20) + 5);
    }
}

#[test]
fn full_disk_is_named_and_nothing_stays() {
    let dir = temp();
    let status = Command::new("mount")
        .args(["-t", "tmpfs", "-o", "size=2m,mode=700", "tmpfs"])
        .arg(dir.path())
        .status()
        .unwrap();
    assert!(status.success());
    struct Unmount<'a>(&'a Path);
    impl Drop for Unmount<'_> {
        fn drop(&mut self) {
            let _ = Command::new("umount").arg("-l").arg(self.0).status();
        }
    }
    let _unmount = Unmount(dir.path());
    let store = open(dir.path());
    {
        let small = store
            .add_image(
                &Reference::parse("small").unwrap(),
                ImageConfig::default(),
                &[&Tar::new().file("a", "1").build()],
            )
            .unwrap();
        let big = gzip(&Tar::new().bytes("zero", &vec![0; 8 << 20]).build());
        let error = store
            .add_image(
                &Reference::parse("big").unwrap(),
                ImageConfig::default(),
                &[&big],
            )
            .unwrap_err();
        assert!(matches!(error, Error::NoSpace { .. }), "{error}");
        assert!(
            error.to_string().contains("no space left on device"),
            "{error}"
        );
        nothing_left(&store);
        assert_eq!(names(&store, "layers").len(), 1);
        assert_eq!(store.list().len(), 1);
        assert_eq!(store.get("small").unwrap().id, small.id);
        // And there is room again for what fits.
        let fits = Tar::new().bytes("f", &vec![1; 200_000]).build();
        store
            .add_image(
                &Reference::parse("fits").unwrap(),
                ImageConfig::default(),
                &[&fits],
            )
            .unwrap();
    }
}

#[test]
fn cancelled_load_leaves_nothing() {
    let dir = temp();
    let store = open(dir.path());
    let cancel = CancellationToken::new();
    cancel.cancel();
    let tar = Tar::new().file("a", "1").build();
    let error = store
        .import(tar.as_slice(), &image::Import::default(), &cancel)
        .unwrap_err();
    assert!(matches!(error, Error::Cancelled(_)), "{error}");
    nothing_left(&store);
}

/// One entry of a made-up layer.
#[derive(Debug, Clone)]
enum Op {
    File(&'static str, u8),
    Dir(&'static str),
    Whiteout(&'static str),
    Opaque(&'static str),
}

const PATHS: [&str; 8] = ["a", "b", "a/x", "a/y", "b/x", "a/x/z", "a/x/w", "b/x/z"];

fn op() -> impl Strategy<Value = Op> {
    let path = || prop::sample::select(PATHS.as_slice());
    prop_oneof![
        3 => (path(), 0_u8..9).prop_map(|(p, n)| Op::File(p, n)),
        2 => path().prop_map(Op::Dir),
        2 => path().prop_map(Op::Whiteout),
        1 => prop_oneof![path(), Just("")].prop_map(Op::Opaque),
    ]
}

/// What the layers mean: each one applied to the files below, its deletions first.
#[derive(Default, Clone)]
struct Model {
    files: BTreeMap<String, String>,
    /// Those of the layer that is being applied.
    own: std::collections::BTreeSet<String>,
}

impl Model {
    fn below(&self, path: &str) -> Vec<String> {
        let prefix = format!("{path}/");
        self.files
            .keys()
            .filter(|p| path.is_empty() || p.starts_with(&prefix))
            .cloned()
            .collect()
    }

    fn cut(&mut self, path: &str, itself: bool) {
        for gone in self.below(path) {
            self.files.remove(&gone);
            self.own.remove(&gone);
        }
        if itself {
            self.files.remove(path);
            self.own.remove(path);
        }
    }

    /// False where the layer contradicts itself: a file of its own with entries below it.
    fn dir(&mut self, path: &str, explicit: bool) -> bool {
        if path.is_empty() {
            return true;
        }
        if let Some((parent, _)) = path.rsplit_once('/')
            && !self.dir(parent, false)
        {
            return false;
        }
        let is_dir = self.files.get(path).is_some_and(|text| text == "dir");
        if !is_dir {
            if self.own.contains(path) && !explicit {
                return false;
            }
            self.cut(path, true);
            self.files.insert(path.to_owned(), "dir".to_owned());
        }
        self.own.insert(path.to_owned());
        true
    }

    fn layer(&mut self, ops: &[Op]) -> bool {
        self.own.clear();
        for op in ops {
            match op {
                Op::Whiteout(path) => self.cut(path, true),
                Op::Opaque(path) => self.cut(path, false),
                _ => {}
            }
        }
        for op in ops {
            let parent =
                |path: &'static str| path.rsplit_once('/').map_or("", |(parent, _)| parent);
            let fits = match op {
                Op::File(path, n) => {
                    let fits = self.dir(parent(path), false);
                    self.cut(path, true);
                    self.files.insert((*path).to_owned(), format!("file {n}"));
                    self.own.insert((*path).to_owned());
                    fits
                }
                Op::Dir(path) => self.dir(path, true),
                Op::Whiteout(path) => self.dir(parent(path), false),
                Op::Opaque(path) => self.dir(path, false),
            };
            if !fits {
                return false;
            }
        }
        true
    }
}

fn archive(ops: &[Op]) -> Vec<u8> {
    let whiteout = |path: &str| match path.rsplit_once('/') {
        Some((parent, name)) => format!("{parent}/.wh.{name}"),
        None => format!(".wh.{path}"),
    };
    let tar = ops.iter().fold(Tar::new(), |tar, op| match op {
        Op::File(path, n) => tar.file(path, &n.to_string()),
        Op::Dir(path) => tar.dir(path),
        Op::Whiteout(path) => tar.file(&whiteout(path), ""),
        Op::Opaque("") => tar.file(".wh..wh..opq", ""),
        Op::Opaque(path) => tar.file(&format!("{path}/.wh..wh..opq"), ""),
    });
    tar.build()
}

#[test]
fn a_directory_that_was_replaced_leaves_nothing_of_itself() {
    let entries = Tar::new().dir("a/x/z");
    let whiteouts = Tar::new().file("a/x/.wh.z", "");
    for tar in [entries, whiteouts] {
        let tar = tar.file("a", "0").dir("a").build();
        let dir = temp();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        let mount = mounted(&store, &[&tar]).unwrap();
        assert_eq!(
            tree(&mount),
            BTreeMap::from([("a".to_owned(), "dir".to_owned())])
        );
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, max_shrink_iters: 300, ..ProptestConfig::default() })]

    #[test]
    fn whiteouts_mean_what_the_model_says(
        layers in prop::collection::vec(prop::collection::vec(op(), 0..7), 1..4)
    ) {
        let mut model = Model::default();
        let fits = layers.iter().all(|ops| model.layer(ops));
        let archives: Vec<_> = layers.iter().map(|ops| archive(ops)).collect();
        let archives: Vec<_> = archives.iter().map(Vec::as_slice).collect();
        let dir = temp();
        let store = Store::open(dir.path(), Options::default()).unwrap();
        match mounted(&store, &archives) {
            Ok(mount) => {
                prop_assert!(fits, "accepted a layer that contradicts itself");
                prop_assert_eq!(tree(&mount), model.files);
            }
            Err(error) => prop_assert!(!fits, "{}", error),
        }
    }
}
