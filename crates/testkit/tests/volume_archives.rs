//! Volumes as a whole: snapshots, clones, archives out and in.

use std::{
    fs,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::PathBuf,
};

use serde_json::Value;
use testkit::{Daemon, eventually};

fn place(d: &Daemon, volume: &str) -> PathBuf {
    d.dir().join(format!("data/volumes/{volume}/_data"))
}

/// A volume with one of everything.
fn fill(d: &Daemon, volume: &str) {
    d.docker().ok(&format!(
        "run --rm -v {volume}:/v busybox sh -c 'cd /v && mkdir -p a/b && echo text > a/b/f && \
         ln a/b/f second && ln -s /etc/passwd link && chown 70:71 a/b/f && chmod 4750 a/b/f && \
         mkfifo pipe && chown 70:70 . && chmod 700 . && \
         dd if=/dev/zero of=hole bs=1 count=0 seek=32M 2>/dev/null'"
    ));
    let file = place(d, volume).join("hole");
    rustix::fs::setxattr(&file, "user.mark", b"here", rustix::fs::XattrFlags::empty())
        .expect("an attribute");
}

#[track_caller]
fn same(d: &Daemon, volume: &str) {
    let root = place(d, volume);
    let meta = |name: &str| fs::symlink_metadata(root.join(name)).expect(name);
    let file = meta("a/b/f");
    assert_eq!(
        (file.uid(), file.gid(), file.mode() & 0o7777),
        (70, 71, 0o4750)
    );
    assert_eq!(file.ino(), meta("second").ino());
    assert_eq!(
        fs::read_to_string(root.join("a/b/f")).expect("text"),
        "text\n"
    );
    assert!(meta("link").is_symlink());
    assert_eq!(meta("hole").len(), 32 << 20);
    assert!(meta("hole").blocks() * 512 < 1 << 20, "holes stay holes");
    let mut value = [0; 16];
    let length = rustix::fs::getxattr(root.join("hole"), "user.mark", &mut value);
    assert_eq!(length.map(|n| value[..n].to_vec()), Ok(b"here".to_vec()));
    let top = fs::metadata(&root).expect("the volume");
    assert_eq!((top.uid(), top.permissions().mode() & 0o7777), (70, 0o700));
}

#[test]
fn out_and_in_again_it_is_the_same() {
    let d = Daemon::fresh();
    let cli = d.wharf();
    fill(&d, "one");
    let file = d.dir().join("one.tar.zst");
    let path = file.display();
    cli.ok(&format!("volume export one -o {path}"));
    assert!(fs::metadata(&file).expect("the archive").len() < 1 << 20);
    assert_eq!(cli.ok(&format!("volume import two {path}")), "two");
    same(&d, "two");
    // Into one that is there and empty; by standard input.
    cli.ok("volume create --label keep=1 three");
    let bytes = fs::read(&file).expect("the archive");
    let put = d
        .api()
        .try_send("PUT", "/wharf/volumes/three/archive", &[], &bytes);
    assert_eq!(put.expect("an answer").status, 201);
    same(&d, "three");
    assert_eq!(cli.ok("volume inspect -f '{{.Labels.keep}}' three"), "1");
    cli.refused(
        &format!("volume import three {path}"),
        &["the volume is not empty"],
    );
    cli.ok("create --name user -v four:/x busybox true");
    cli.refused(
        &format!("volume import four {path}"),
        &["import four: volume is in use"],
    );
    cli.refused(
        &format!("volume import x!y {path}"),
        &["invalid characters"],
    );
    cli.refused("volume export nope -o /dev/null", &["must be"]);
    cli.refused(
        "volume export nope -o nope.tar",
        &["get nope: no such volume"],
    );
    cli.ok("rm user");
    d.assert_no_leaks();
}

/// An access list in the kernel's form: the owner, user 70, the group, the mask, others.
fn access_list() -> Vec<u8> {
    let none = u32::MAX;
    let entries = [
        (1_u16, 6_u16, none),
        (2, 4, 70),
        (4, 4, none),
        (16, 4, none),
        (32, 0, none),
    ];
    let mut list = vec![2, 0, 0, 0];
    for (tag, may, id) in entries {
        list.extend(tag.to_le_bytes());
        list.extend(may.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

#[test]
fn holes_and_access_lists_go_along_and_devices_do_not() {
    use rustix::fs::{XattrFlags, getxattr, setxattr};
    let d = Daemon::fresh();
    let cli = d.wharf();
    cli.ok(
        "run --rm -v one:/v busybox sh -c 'cd /v && mkdir -p sub/deep && \
            echo begin > hole && dd if=/dev/zero of=hole bs=1 count=0 seek=8G 2>/dev/null && \
            echo end >> hole && echo text > sub/deep/file && mknod sub/null c 1 3 && ln hole also'",
    );
    let one = place(&d, "one");
    let list = access_list();
    let lists = [
        ("sub/deep/file", "system.posix_acl_access"),
        ("sub", "system.posix_acl_default"),
    ];
    for (path, key) in lists {
        setxattr(one.join(path), key, &list, XattrFlags::empty()).expect("an access list");
    }
    let file = d.dir().join("one.tar.zst");
    let path = file.display();
    let said = cli.run(&format!("volume export one -o {path}"));
    assert_eq!(said.code, 0, "{said}");
    let words = "WARNING: left out, as archives of volumes hold no devices: sub/null";
    assert!(said.stderr.contains(words), "{said}");
    assert!(fs::metadata(&file).expect("the archive").len() < 1 << 16);
    // Holes take nothing of what the archive may take.
    cli.ok(&format!("volume import --limit 1m two {path}"));
    let two = place(&d, "two");
    let hole = fs::metadata(two.join("hole")).expect("the file");
    assert_eq!(hole.len(), (8 << 30) + 4);
    assert!(hole.blocks() * 512 < 1 << 20, "{}", hole.blocks());
    assert_eq!(
        hole.ino(),
        fs::metadata(two.join("also")).expect("its name").ino()
    );
    let mut ends = [0; 6];
    let open = fs::File::open(two.join("hole")).expect("the file");
    std::os::unix::fs::FileExt::read_exact_at(&open, &mut ends, 0).expect("its beginning");
    assert_eq!(&ends, b"begin\n");
    std::os::unix::fs::FileExt::read_exact_at(&open, &mut ends[..4], 8 << 30).expect("its end");
    assert_eq!(&ends[..4], b"end\n");
    for (path, key) in lists {
        let mut value = [0; 256];
        let length = getxattr(two.join(path), key, &mut value).expect(path);
        assert_eq!(&value[..length], list, "{path}");
    }
    assert!(
        getxattr(two.join("sub/deep"), lists[0].1, &mut [0; 256]).is_err(),
        "what is made in a directory gets none that the archive does not have"
    );
    assert!(!two.join("sub/null").exists());
    // It is an archive as others have it.
    let plain = d.dir().join("plain");
    fs::create_dir(&plain).expect("our own folder");
    let unpack = format!("zstd -dc {path} | tar -xf - -C {}", plain.display());
    testkit::run(std::process::Command::new("sh").args(["-c", &unpack])).ok();
    let hole = fs::metadata(plain.join("hole")).expect("the file");
    assert_eq!(hole.len(), (8 << 30) + 4);
    assert!(hole.blocks() * 512 < 1 << 20);
    d.assert_no_leaks();
}

#[test]
fn no_room_is_told_before_anybody_is_paused() {
    let d = Daemon::with(testkit::Opts {
        data_size: Some("70m".into()),
        ..testkit::Opts::default()
    });
    let cli = d.wharf();
    cli.ok("run -d --name box -v data:/v busybox sh -c \
            'dd if=/dev/zero of=/v/big bs=1M count=40 2>/dev/null; touch /v/done; sleep 1000'");
    eventually("the file", || place(&d, "data").join("done").exists());
    for line in ["volume clone data copy", "volume export data"] {
        cli.refused(
            line,
            &["copy volume data: no space left on device: it takes 4"],
        );
    }
    let until = cli.ok("info -f '{{.SystemTime}}'");
    let paused = format!("events --since 1 --until {until} --filter event=pause");
    assert_eq!(cli.ok(&paused), "");
    cli.ok("rm -f box");
    d.assert_no_leaks();
}

#[test]
fn what_is_mounted_inside_is_named() {
    let d = Daemon::fresh();
    let cli = d.wharf();
    cli.ok("run --rm -v data:/v busybox mkdir /v/inner");
    let inner = place(&d, "data").join("inner");
    let mount = ["-t", "tmpfs", "inner", inner.to_str().expect("a path")];
    testkit::run(std::process::Command::new("mount").args(mount)).ok();
    let words = "WARNING: left empty, as other file systems are mounted there: inner";
    for line in ["volume clone data copy", "volume export data"] {
        let said = cli.run(line);
        assert!(said.code == 0 && said.stderr.contains(words), "{said}");
    }
    testkit::run(std::process::Command::new("umount").arg(&inner)).ok();
    // Into memory that is gone a moment later nothing is imported.
    cli.ok("volume create -o type=tmpfs -o device=tmpfs memory");
    let file = d.dir().join("data.tar.zst");
    cli.ok(&format!("volume export data -o {}", file.display()));
    cli.refused(
        &format!("volume import memory {}", file.display()),
        &["its files are in memory while a container has it"],
    );
    d.assert_no_leaks();
}

#[test]
fn a_snapshot_is_of_one_moment() {
    let d = Daemon::fresh();
    let cli = d.wharf();
    // Two files that are always the same but for one moment in between.
    cli.ok("run -d --name writer -v data:/v busybox sh -c \
         'i=0; while :; do i=$((i+1)); echo $i > /v/a; echo $i > /v/b; done'");
    cli.ok("run -d --name reader -v data:/v:ro busybox sleep 1000");
    eventually("both files", || place(&d, "data").join("b").exists());
    let read = |volume: &str, name: &str| -> u64 {
        let text = fs::read_to_string(place(&d, volume).join(name)).expect(name);
        text.trim().parse().unwrap_or(0)
    };
    for round in 0..3 {
        let copied = cli.run(&format!("volume clone data copy{round}"));
        assert_eq!(copied.stdout.trim(), format!("copy{round}"));
        assert!(
            copied.stderr.contains("meanwhile paused: writer"),
            "{copied}"
        );
        let (a, b) = (
            read(&format!("copy{round}"), "a"),
            read(&format!("copy{round}"), "b"),
        );
        // An empty file is one that was just being written.
        assert!(a == 0 || b == 0 || a == b || a == b + 1, "{a} {b}");
        assert_eq!(cli.ok("inspect -f '{{.State.Status}}' writer"), "running");
    }
    let name = cli.ok("volume snapshot -q data");
    assert!(name.starts_with("data-2"), "{name}");
    let of = "volume inspect -f '{{index .Labels \"wharf.volume.snapshot.of\"}}'";
    assert_eq!(cli.ok(&format!("{of} {name}")), "data");
    // A volume that is written is exported as it is at one moment, and goes on.
    let path = d.dir().join("data.tar.zst");
    cli.ok(&format!("volume export data -o {}", path.display()));
    cli.ok(&format!("volume import back {}", path.display()));
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' writer"), "running");
    // Also one with a name of its own says of what it is; a clone of it is none.
    cli.ok("volume snapshot -q data mine");
    assert_eq!(cli.ok(&format!("{of} mine")), "data");
    cli.ok("volume clone -q mine fresh");
    assert_eq!(cli.ok(&format!("{of} fresh")), "");
    cli.refused("volume clone data copy1", &["volume name must be unique"]);
    cli.refused("volume clone nope x1", &["get nope: no such volume"]);
    cli.refused("volume clone data ../x", &["invalid characters"]);
    cli.ok("rm -f writer reader");
    d.assert_no_leaks();
}

#[test]
fn a_paused_container_stays_paused() {
    let d = Daemon::fresh();
    let cli = d.wharf();
    cli.ok("run -d --name box -v data:/v busybox sleep 1000");
    cli.ok("pause box");
    cli.ok("volume snapshot data snap");
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' box"), "paused");
    cli.ok("rm -f box");
    d.assert_no_leaks();
}

#[test]
fn a_crash_half_way_leaves_nothing_and_nobody_frozen() {
    for point in [
        "engine.volume.still",
        "engine.volume.copied",
        "engine.volume.renamed",
    ] {
        let mut d = Daemon::fresh();
        d.docker()
            .ok("run -d --name box -v data:/v busybox sh -c 'echo 1 > /v/f; sleep 1000'");
        d.sigterm();
        d.set_env(&[("WHARF_FAILPOINT", point)]);
        d.restart();
        let said = d.wharf().run("volume clone data copy");
        assert_ne!(said.code, 0, "{point}: {said}");
        d.wait();
        d.set_env(&[("WHARF_FAILPOINT", "")]);
        d.restart();
        let cli = d.wharf();
        assert_eq!(
            cli.ok("inspect -f '{{.State.Status}}' box"),
            "running",
            "{point}"
        );
        cli.ok("exec box true");
        let left: Vec<String> = fs::read_dir(d.dir().join("data/volumes"))
            .expect("volumes")
            .flatten()
            .filter_map(|e| e.file_name().into_string().ok())
            .collect();
        assert_eq!(left, ["data"], "{point}");
        cli.ok("volume clone data copy");
        cli.ok("rm -f box");
        d.assert_no_leaks();
    }
}

/// One entry of a tar archive by hand: name, type, link, content.
fn entry(name: &str, kind: u8, link: &str, data: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put =
        |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000644\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", data.len()));
    put(136, "00000000000\0");
    put(157, link);
    put(257, "ustar\x0000");
    put(329, "0000001\0");
    put(337, "0000003\0");
    header[156] = kind;
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|b| u32::from(*b)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut all = header.to_vec();
    all.extend_from_slice(data);
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

#[test]
fn attack_archives_do_nothing_outside() {
    let d = Daemon::fresh();
    let outside = d.dir().join("outside");
    fs::create_dir(&outside).expect("our own folder");
    fs::write(outside.join("kept"), "kept").expect("our own file");
    let out = outside.display().to_string();
    let whole = |entries: &[Vec<u8>]| [entries.concat(), vec![0; 1024]].concat();
    let through = whole(&[
        entry("l", b'2', &out, b""),
        entry("l/kept", b'0', "", b"changed"),
        entry("l/new", b'0', "", b"new"),
    ]);
    let import = |archive: &[u8], query: &str| {
        let path = format!("/wharf/volumes/bad/archive{query}");
        let answer = d
            .api()
            .try_send("PUT", &path, &[], archive)
            .expect("an answer");
        (answer.status, answer.text())
    };
    for (archive, words) in [
        (whole(&[entry("../x", b'0', "", b"x")]), "leads out"),
        (whole(&[entry("a/../../x", b'0', "", b"x")]), "leads out"),
        (
            whole(&[entry("h", b'1', "../../outside/kept", b"")]),
            "leads out",
        ),
        (whole(&[entry("d", b'3', "", b"")]), "a device is refused"),
        (whole(&[entry("d", b'4', "", b"")]), "a device is refused"),
        (
            b"no archive, only words, and more of them".repeat(40),
            "tar",
        ),
        (entry("cut", b'0', "", &[7; 4096])[..1024].to_vec(), "tar"),
    ] {
        let (status, text) = import(&archive, "");
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(words), "{words}: {text}");
    }
    let large = whole(&[entry("big", b'0', "", &vec![0; 3 << 20])]);
    let (status, text) = import(&large, "?limit=1000000");
    assert_eq!(status, 400);
    assert!(
        text.contains("unpacks to more than 1000000 bytes"),
        "{text}"
    );
    d.api().get("/volumes/bad").expect(404);
    let (status, text) = import(&through, "");
    assert!(status == 201 || status == 400, "{text}");
    assert_eq!(
        fs::read_to_string(outside.join("kept")).expect("kept"),
        "kept"
    );
    assert!(!outside.join("new").exists());
    let left: Value = d.api().get("/volumes").expect(200).json();
    assert!(
        left["Volumes"].as_array().is_some_and(|v| v.len() <= 1),
        "{left}"
    );
    let dirs = fs::read_dir(d.dir().join("data/volumes")).expect("volumes");
    let parts = dirs
        .flatten()
        .filter(|e| e.file_name().to_string_lossy().starts_with('.'));
    assert_eq!(parts.count(), 0, "nothing half made stays");
    d.assert_no_leaks();
}
