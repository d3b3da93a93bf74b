//! Files into and out of containers that try to be more than files.

use std::{
    fs,
    io::Write,
    path::Path,
    process::{Command, Stdio},
};

use crate::bait::Bait;
use testkit::{
    Daemon,
    images::{self, Layer},
};

/// `bytes` packed by one of the host's programs.
fn packed(program: &str, bytes: &[u8]) -> Vec<u8> {
    let mut child = Command::new(program)
        .arg("-c")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|e| panic!("{program}: {e}"));
    let mut input = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || input.write_all(bytes).expect("it reads"));
        let out = child.wait_with_output().expect("it ends");
        assert!(out.status.success(), "{program}");
        out.stdout
    })
}

/// Puts an archive into `/tmp` of a container: the status and what was answered.
fn put(d: &Daemon, container: &str, path: &str, archive: &[u8]) -> (u16, String) {
    let path = format!("/containers/{container}/archive?path={path}");
    let headers = [("Content-Type", "application/x-tar")];
    let answer = d.api().try_send("PUT", &path, &headers, archive);
    let answer = answer.expect("an answer");
    (answer.status, answer.text())
}

/// CVE-2019-14271, CVE-2026-41567: a helper of the daemon that enters the container loads the
/// container's libraries, or unpacks by the container's own `xz`, outside of its walls.
#[test]
fn attack_19_nothing_of_the_container_is_run_or_loaded() {
    let script = "#!/bin/sh\necho \"$0\" >> /pwned\nexit 1\n";
    let programs = ["xz", "unxz", "gzip", "unpigz", "bzip2", "zstd", "tar"];
    let archive = images::variant(
        "bait-programs",
        |mut layer| {
            for name in programs {
                for folder in ["bin", "usr/bin", "usr/local/bin"] {
                    layer = layer.file(&format!("{folder}/{name}"), 0o755, script);
                }
            }
            for name in ["libnss_files.so.2", "libnss_dns.so.2", "liblzma.so.5"] {
                for folder in ["lib", "lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu"] {
                    layer = layer.file(&format!("{folder}/{name}"), 0o755, "no library");
                }
            }
            layer.file(
                "etc/nsswitch.conf",
                0o644,
                "passwd: files\ngroup: files\nhosts: files\n",
            )
        },
        &serde_json::json!({}),
    );
    let d = Daemon::fresh();
    d.load(&archive);
    d.docker()
        .ok("run -d --name box bait-programs busybox sleep 1000");
    d.docker().ok("create --name rests bait-programs true");
    let plain = Layer::new().file("copied", 0o644, "text").finish();
    for container in ["box", "rests"] {
        for program in ["gzip", "zstd", "xz", "bzip2"] {
            let whole = packed(program, &plain);
            let (got, text) = put(&d, container, "/tmp", &whole);
            assert_eq!(got, 200, "{program}: {text}");
            let (got, text) = put(&d, container, "/tmp", &whole[..whole.len() - 9]);
            assert_eq!(got, 400, "{program}: {text}");
            assert!(
                text.contains(&format!("the {program} data are damaged")),
                "{text}"
            );
        }
        for cli in d.clis() {
            cli.ok(&format!("cp {container}:/etc/nsswitch.conf -"));
            let out = cli.run(&format!("cp {container}:/pwned -"));
            assert_ne!(out.code, 0, "a program of the container was run: {out}");
        }
    }
    assert!(!Path::new("/pwned").exists(), "it was run on the host");
    d.docker().ok("rm -f box rests");
    d.assert_no_leaks();
}

/// GO-2026-5617, GO-2026-5668: while a container's mounts are attached for a copy, links lead them,
/// or the empty files that are made for them, to the host. And moby#52653, what was broken by the
/// remedy: an absolute link inside goes on leading where it leads inside.
#[test]
fn attack_20_mounts_for_a_copy_are_not_led_away() {
    let d = Daemon::fresh();
    let bait = Bait::new();
    let own = d.dir().join("own.txt");
    fs::write(&own, "of the volume").expect("our own folder");
    let (trap, file) = (bait.path().display(), own.display());
    let up = "../".repeat(20);
    let docker = d.docker();
    // Its mounts' places lie in a directory that it moves away, and in a volume that another
    // container goes on changing.
    docker.ok(&format!(
        "run --name box -v inner:/a/b -v {file}:/a/file -v shared:/s -v inner:/s/in -v {file}:/s/file busybox \
         sh -c 'mv /a /moved; ln -s {up}{trap} /a'"
    ));
    docker.ok(&format!(
        "run -d --name other -v shared:/s busybox sh -c 'while :; do rm -rf /s/in /s/file; \
         ln -s {up}{trap} /s/in; ln -s {up}{trap}/new /s/file; rm -f /s/in /s/file; mkdir /s/in; touch /s/file; done'"
    ));
    for cli in d.clis() {
        let mut copied = 0;
        for _ in 0..20 {
            cli.run("cp box:/a -");
            let out = cli.run("cp box:/s -");
            let into = cli.run(&format!("cp {file} box:/s/in/x"));
            copied += u32::from(out.code == 0) + u32::from(into.code == 0);
            cli.run(&format!("cp {file} box:/s/file"));
        }
        assert!(copied > 0, "{} copied nothing at all", cli.name());
    }
    bait.untouched();
    assert_eq!(
        fs::read_to_string(&own).expect("it is there"),
        "of the volume"
    );

    d.load(&images::variant(
        "var-run",
        |layer| layer.folder("run", 0o755).symlink("var/run", "/run"),
        &serde_json::json!({}),
    ));
    docker.ok("create --name linked -v locks:/var/run/lock var-run sleep 1000");
    for cli in d.clis() {
        for start in [false, true] {
            if start {
                cli.ok("start linked");
            }
            cli.ok(&format!("cp {file} linked:/var/run/in"));
            cli.ok(&format!("cp {file} linked:/var/run/lock/in"));
            let got = cli.ok("cp linked:/run/in -");
            assert!(got.contains("of the volume"));
            let got = cli.ok("cp linked:/run/lock/in -");
            assert!(got.contains("of the volume"));
        }
        cli.ok("stop -t 0 linked");
    }
    docker.ok("rm -fv box other linked");
    d.assert_no_leaks();
}

/// Most memory the daemon ever had of its own, in KiB.
fn peak(d: &Daemon) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", d.pid())).expect("it runs");
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
    let value = line.and_then(|l| l.split_whitespace().next()?.parse().ok());
    value.expect("a size")
}

/// A header by hand, of whatever size it says.
fn header(name: &str, kind: u8, size: &[u8; 12]) -> Vec<u8> {
    let mut block = vec![0; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    block[100..108].copy_from_slice(b"0000644\0");
    block[108..116].copy_from_slice(b"0000000\0");
    block[116..124].copy_from_slice(b"0000000\0");
    block[124..136].copy_from_slice(size);
    block[136..148].copy_from_slice(b"00000000000\0");
    block[148..156].copy_from_slice(b"        ");
    block[156] = kind;
    block[257..265].copy_from_slice(b"ustar\x0000");
    let sum: u32 = block.iter().map(|b| u32::from(*b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    block
}

/// Extended headers for the entry that follows.
fn pax(records: &[(&str, &str)]) -> Vec<u8> {
    let mut text = String::new();
    for (key, value) in records {
        let body = format!(" {key}={value}\n");
        // The length counts its own digits.
        let length = (body.len()..).find(|n| n.to_string().len() + body.len() == *n);
        text += &format!("{}{body}", length.expect("a length"));
    }
    let size = format!("{:011o}\0", text.len());
    let mut all = header("pax", b'x', size.as_bytes().try_into().expect("twelve"));
    all.extend(text.as_bytes());
    all.resize(all.len().next_multiple_of(512), 0);
    all
}

/// Archives that unpack to far more than they are, or whose headers ask for far too much.
#[test]
fn attack_22_bombs_that_are_copied_into_a_container() {
    let d = Daemon::fresh();
    d.docker()
        .ok("run -d --name box --tmpfs /t:size=16m busybox sleep 1000");
    let before = peak(&d);
    // A gigabyte of zeros in a megabyte.
    let mut bomb = header("zeros", b'0', b"10000000000\0");
    bomb.resize(bomb.len() + (64 << 20), 0);
    let (status, text) = put(&d, "box", "/t", &packed("gzip", &bomb));
    assert_eq!(status, 500, "{text}");
    assert!(text.contains("No space left on device"), "{text}");
    d.docker().ok("exec box sh -c 'rm -f /t/zeros'");
    for (what, archive) in [
        (
            "a long name of 8 GB",
            header("././@LongLink", b'L', b"77777777777\0"),
        ),
        (
            "extended headers of 8 GB",
            header("pax", b'x', b"77777777777\0"),
        ),
        (
            "global headers of 8 GB",
            header("pax", b'g', b"77777777777\0"),
        ),
        (
            "a size below zero",
            header(
                "f",
                b'0',
                b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            ),
        ),
        (
            "a size beyond 2^64",
            header(
                "f",
                b'0',
                b"\x80\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            ),
        ),
    ] {
        let (status, text) = put(&d, "box", "/t", &archive);
        assert_eq!(status, 400, "{what}: {text}");
    }
    // A file of an exabyte that stores nothing takes none.
    let mut sparse = pax(&[
        ("GNU.sparse.major", "1"),
        ("GNU.sparse.minor", "0"),
        ("GNU.sparse.name", "hole"),
        ("GNU.sparse.realsize", "1152921504606846976"),
    ]);
    sparse.extend(header("hole", b'0', b"00000001000\0"));
    let mut map = b"0\n".to_vec();
    map.resize(512, 0);
    sparse.extend(map);
    sparse.resize(sparse.len() + 1024, 0);
    let (status, text) = put(&d, "box", "/t", &sparse);
    assert_eq!(status, 200, "{text}");
    assert_eq!(d.docker().ok("exec box du -k /t/hole").trim(), "0\t/t/hole");
    d.docker().ok("exec box rm /t/hole");
    let grown = peak(&d) - before;
    assert!(grown < 48 << 10, "the daemon grew by {grown} KiB");
    assert_eq!(d.docker().ok("exec box ls /t").trim(), "");
    d.docker().ok("rm -f box");
    d.assert_no_leaks();
}
