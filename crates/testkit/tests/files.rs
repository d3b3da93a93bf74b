//! Files in and out of containers, and what is made of them.

use std::{fs, io::Write, os::unix::net::UnixStream};

use testkit::{Daemon, http::Client};

#[test]
fn copies_in_and_out() {
    let d = Daemon::fresh();
    let (file, dir) = (d.dir().join("a.txt"), d.dir().join("tree"));
    fs::write(&file, "text\n").unwrap();
    fs::create_dir_all(dir.join("sub")).unwrap();
    fs::write(dir.join("sub/b"), "b").unwrap();
    let (file, dir) = (file.display().to_string(), dir.display().to_string());
    for cli in d.clis() {
        let out = d
            .dir()
            .join(format!("out-{}", cli.name()))
            .display()
            .to_string();
        cli.ok("run -d --name box -v data:/data busybox sleep 1000");
        cli.ok(&format!("cp {file} box:/tmp/new.txt"));
        assert_eq!(cli.ok("exec box cat /tmp/new.txt"), "text");
        cli.ok(&format!("cp {dir} box:/data"));
        cli.ok(&format!("cp {dir}/. box:/data/flat"));
        assert_eq!(
            cli.ok("exec box cat /data/tree/sub/b /data/flat/sub/b"),
            "bb"
        );
        cli.ok(&format!("cp box:/data/tree {out}"));
        assert_eq!(fs::read_to_string(format!("{out}/sub/b")).unwrap(), "b");
        cli.ok(&format!("cp box:/data/tree {out}"));
        assert_eq!(
            fs::read_to_string(format!("{out}/tree/sub/b")).unwrap(),
            "b"
        );
        cli.refused(
            "cp box:/nothing -",
            &["Could not find the file /nothing in container box"],
        );
        cli.refused(&format!("cp {file} box:/nothing/"), &["no such directory"]);
        // Over-strict once: an absolute link on the way is the container's own.
        cli.ok("exec box sh -c 'mkdir -p /run/x; ln -s /run/x /short'");
        cli.ok(&format!("cp {file} box:/short/c"));
        assert_eq!(cli.ok("exec box cat /run/x/c"), "text");
        cli.ok("stop -t 0 box");
        cli.ok(&format!("cp {file} box:/data/late"));
        cli.ok(&format!("cp box:/short/c {out}/c"));
        assert_eq!(fs::read_to_string(format!("{out}/c")).unwrap(), "text\n");
        cli.ok("start box");
        assert_eq!(cli.ok("exec box cat /data/late"), "text");
        cli.ok("rm -fv box");
        cli.ok("create --name ro --read-only -v data:/data:ro busybox true");
        cli.refused(
            &format!("cp {file} ro:/x"),
            &["container rootfs is marked read-only"],
        );
        cli.refused(
            &format!("cp {file} ro:/data/x"),
            &["mounted volume is marked read-only"],
        );
        cli.ok("rm ro");
    }
    d.assert_no_leaks();
}

#[test]
fn changes_become_images_and_archives() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name box busybox sleep 1000");
        cli.ok("exec box sh -c 'echo new > /made; rm /bin/yes; mkdir /dir; echo x > /dir/x'");
        let diff = cli.ok("diff box");
        for line in ["A /made", "C /bin", "D /bin/yes", "A /dir", "A /dir/x"] {
            assert!(diff.lines().any(|l| l == line), "{line} in {diff}");
        }
        let id = cli.ok("commit -m why -a me -c 'ENV A=1' -c 'ENV B=$A' box made:1");
        assert_eq!(
            cli.ok("image inspect -f '{{.Id}} {{.Author}} {{.Comment}}' made:1"),
            format!("{id} me why")
        );
        let said = cli.run("run --rm made:1 sh -c 'cat /made; echo $A$B; ls /bin/yes'");
        assert_eq!(said.stdout, "new\n11\n");
        assert!(said.stderr.contains("No such file"), "{said}");
        let history = cli.ok("history --no-trunc --format '{{.ID}} {{.Comment}}' made:1");
        assert!(history.starts_with(&format!("{id} why")), "{history}");
        let (tar, saved) = (d.dir().join("e.tar"), d.dir().join("s.tar"));
        cli.ok(&format!("export -o {} box", tar.display()));
        let mut names = tar::Archive::new(fs::File::open(&tar).unwrap());
        let names: Vec<_> = names
            .entries()
            .unwrap()
            .map(|e| e.unwrap().path().unwrap().into_owned())
            .collect();
        assert!(names.iter().any(|n| n.ends_with("dir/x")), "{names:?}");
        cli.ok(&format!("save -o {} made:1 busybox", saved.display()));
        let changes = "-c 'HEALTHCHECK --interval=5s CMD true' -c 'ONBUILD RUN x  y'";
        cli.ok(&format!("commit {changes} box made:2"));
        assert_eq!(
            cli.ok("image inspect -f '{{json .Config.Healthcheck}} {{.Config.OnBuild}}' made:2"),
            r#"{"Test":["CMD-SHELL","true"],"Interval":5000000000} [RUN x  y]"#
        );
        cli.refused("commit -c 'RUN x' box made:3", &["RUN is not supported"]);
        cli.refused(
            "commit -c 'HEALTCHECK NONE' box made:3",
            &["did you mean HEALTHCHECK?"],
        );
        cli.ok("rmi made:2");
        cli.ok("rm -f box");
        cli.ok("rmi made:1");
        cli.ok(&format!("load -i {}", saved.display()));
        assert_eq!(cli.ok("run --rm made:1 cat /made"), "new");
        assert_eq!(cli.ok("image inspect -f '{{.Id}}' made:1"), id);
        cli.ok("image prune -af --filter label=nobody-has-this");
        cli.ok("rmi made:1");
    }
    d.assert_no_leaks();
}

fn put(api: &Client, path: &str, archive: Vec<u8>) -> u16 {
    let headers = [("Content-Type", "application/x-tar")];
    api.try_send("PUT", path, &headers, &archive)
        .expect("an answer")
        .status
}

/// A header by hand: the builder refuses such names.
fn entry(name: &str, link: Option<&str>, data: &[u8]) -> Vec<u8> {
    let mut header = tar::Header::new_ustar();
    header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1);
    header.set_size(data.len() as u64);
    if let Some(link) = link {
        header.set_entry_type(tar::EntryType::Symlink);
        header.as_mut_bytes()[157..157 + link.len()].copy_from_slice(link.as_bytes());
    }
    header.set_cksum();
    let mut out = header.as_bytes().to_vec();
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Attack 21: names and links of an archive that lead out of its destination or of the container.
#[test]
fn attack_21_archives_stay_inside() {
    let d = Daemon::fresh();
    let bait = d.dir().join("bait");
    fs::write(&bait, "mine").unwrap();
    let bait = bait.display().to_string();
    d.docker().ok("run -d --name box busybox sleep 1000");
    let api = d.api();
    let path = "/containers/box/archive?path=/tmp";
    assert_eq!(put(&api, path, entry("../../../etc/evil", None, b"x")), 400);
    let up = format!("..{}", "/..".repeat(20));
    let evil = [
        entry("out", Some(&format!("{up}{bait}")), b""),
        entry("dir", Some(&up), b""),
        entry(&format!("dir{bait}"), None, b"evil"),
        entry("etc", Some("/etc"), b""),
        entry("etc/inside", None, b"own"),
    ]
    .concat();
    assert_eq!(put(&api, path, evil), 200);
    assert_eq!(fs::read_to_string(&bait).unwrap(), "mine");
    // Where the links lead inside.
    assert_eq!(d.docker().ok("exec box cat /etc/inside"), "own");
    assert_eq!(d.docker().ok(&format!("exec box cat {bait}")), "evil");
    d.docker().ok("rm -f box");
    d.assert_no_leaks();
}

/// Attacks 18 and 20: a link that is swapped all the time while files are copied through it.
#[test]
fn attack_18_links_that_are_swapped() {
    let d = Daemon::fresh();
    let bait = d.dir().join("bait");
    fs::create_dir(&bait).unwrap();
    fs::write(bait.join("secret"), "of the host").unwrap();
    let path = bait.display().to_string();
    d.docker().ok(&format!(
        "run -d --name box busybox sh -c 'mkdir -p /real {path}; echo inside > /real/secret; echo inside > {path}/secret; \
         while :; do rm -rf /t; ln -s {path} /t; rm -rf /t; mkdir /t; echo inside > /t/secret; done'"
    ));
    let file = d.dir().join("f");
    fs::write(&file, "copied").unwrap();
    for cli in d.clis() {
        let mut copied = 0;
        for round in 0..30 {
            let out = cli.run("cp box:/t/secret -");
            assert!(!out.stdout.contains("of the host"), "{out}");
            let to = d.dir().join(format!("out-{}-{round}", cli.name()));
            let into = cli.run(&format!("cp box:/t {}", to.display()));
            copied += u32::from(out.code == 0) + u32::from(into.code == 0);
            cli.run(&format!("cp {} box:/t/f{round}", file.display()));
        }
        assert!(copied > 0, "{} copied nothing at all", cli.name());
    }
    let names: Vec<_> = fs::read_dir(&bait)
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert_eq!(names, ["secret"], "nothing was written to the host");
    d.docker().ok("rm -f box");
    d.assert_no_leaks();
}

/// Clients that ask for files and then read nothing take nothing from anybody else.
#[test]
fn clients_that_stand_still() {
    let d = Daemon::fresh();
    d.docker().ok(
        "run -d --name box busybox sh -c 'dd if=/dev/zero of=/large bs=1M count=32; sleep 1000'",
    );
    testkit::eventually("the file is there", || {
        d.docker().run("exec box stat -c %s /large").stdout.trim() == "33554432"
    });
    // More than there are threads for work that blocks; most of them wait for their turn.
    let still: Vec<_> = (0..600)
        .map(|_| {
            let mut client = UnixStream::connect(d.dir().join("d.sock")).unwrap();
            let path = "/containers/box/archive?path=/large";
            write!(client, "GET {path} HTTP/1.1\r\nHost: docker\r\n\r\n").unwrap();
            client
        })
        .collect();
    assert_eq!(d.docker().ok("run --rm busybox echo runs"), "runs");
    drop(still);
    let out = d.dir().join("large");
    d.docker().ok(&format!("cp box:/large {}", out.display()));
    assert_eq!(fs::metadata(&out).unwrap().len(), 32 << 20);
    d.docker().ok("rm -f box");
    d.assert_no_leaks();
}
