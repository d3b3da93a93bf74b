//! `cp` where docker's own rules are finer than one expects: both command lines must do the same.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown, symlink};

use testkit::{Cli, Daemon};

const USER: u32 = 4321;

fn owner(cli: &Cli, path: &str) -> String {
    cli.ok(&format!("exec -u 0 box stat -c %u:%g {path}"))
}

#[test]
fn owners() {
    let d = Daemon::fresh();
    let file = d.dir().join("own");
    fs::write(&file, "x").unwrap();
    chown(&file, Some(USER), Some(USER + 1)).unwrap();
    let file = file.display().to_string();
    for cli in d.clis() {
        cli.ok("run -d --name box busybox sleep 1000");
        cli.ok(&format!("cp {file} box:/plain"));
        cli.ok(&format!("cp -a {file} box:/archived"));
        assert_eq!(owner(&cli, "/plain"), format!("{USER}:{}", USER + 1));
        assert_eq!(owner(&cli, "/archived"), format!("{USER}:{}", USER + 1));
        let out = d.dir().join(format!("out-{}", cli.name()));
        cli.ok(&format!("cp box:/plain {}", out.display()));
        let meta = fs::metadata(&out).unwrap();
        assert_eq!((meta.uid(), meta.gid()), (0, 0), "who copies owns the copy");
        cli.ok("rm -f box");
        // Of a container that runs as somebody, archive mode makes what is copied theirs.
        cli.ok("run -d --name box -u 77:88 busybox sleep 1000");
        cli.ok(&format!("cp {file} box:/tmp/plain"));
        cli.ok(&format!("cp -a {file} box:/tmp/archived"));
        assert_eq!(owner(&cli, "/tmp/plain"), format!("{USER}:{}", USER + 1));
        assert_eq!(owner(&cli, "/tmp/archived"), "77:88");
        cli.ok("rm -f box");
    }
    d.assert_no_leaks();
}

#[test]
fn links() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let dir = d.dir().join(cli.name());
        fs::create_dir_all(dir.join("real")).unwrap();
        fs::write(dir.join("real/file"), "in the file").unwrap();
        symlink("real/file", dir.join("link")).unwrap();
        symlink("real", dir.join("way")).unwrap();
        let at = |name: &str| dir.join(name).display().to_string();
        cli.ok("run -d --name box busybox sleep 1000");
        cli.ok("exec box sh -c 'mkdir /real; echo inside > /real/f; ln -s real/f /link; ln -s real /way; ln -s /tmp/new /dangles'");

        // As itself, and followed under its own name.
        cli.ok(&format!("cp {} box:/tmp", at("link")));
        assert_eq!(cli.ok("exec box readlink /tmp/link"), "real/file");
        cli.ok("exec box rm /tmp/link");
        cli.ok(&format!("cp -L {} box:/tmp", at("link")));
        assert_eq!(cli.ok("exec box cat /tmp/link"), "in the file");
        assert_eq!(cli.ok("exec box sh -c 'ls /tmp'"), "link");
        cli.ok(&format!("cp -L {} box:/tmp", at("way")));
        assert_eq!(cli.ok("exec box cat /tmp/way/file"), "in the file");
        cli.ok(&format!("cp {}/. box:/tmp/flat", at("way")));
        assert_eq!(cli.ok("exec box cat /tmp/flat/file"), "in the file");

        // The other way.
        fs::create_dir(dir.join("out")).unwrap();
        let out = at("out");
        cli.ok(&format!("cp box:/link {out}"));
        assert_eq!(
            fs::read_link(dir.join("out/link")).unwrap().to_str(),
            Some("real/f")
        );
        fs::remove_file(dir.join("out/link")).unwrap();
        cli.ok(&format!("cp -L box:/link {out}"));
        assert_eq!(
            fs::read_to_string(dir.join("out/link")).unwrap(),
            "inside\n"
        );
        cli.ok(&format!("cp -L box:/way {out}"));
        assert_eq!(
            fs::read_to_string(dir.join("out/way/f")).unwrap(),
            "inside\n"
        );

        // A link at the destination stays, and what it leads to is written.
        cli.ok(&format!("cp box:/real/f {}", at("link")));
        assert_eq!(
            fs::read_to_string(dir.join("real/file")).unwrap(),
            "inside\n"
        );
        assert!(fs::symlink_metadata(dir.join("link")).unwrap().is_symlink());
        symlink("real/born", dir.join("dangling")).unwrap();
        cli.ok(&format!("cp box:/real/f {}", at("dangling")));
        assert_eq!(
            fs::read_to_string(dir.join("real/born")).unwrap(),
            "inside\n"
        );
        assert!(
            fs::symlink_metadata(dir.join("dangling"))
                .unwrap()
                .is_symlink()
        );
        cli.ok(&format!("cp box:/real/f {}", at("way")));
        assert_eq!(fs::read_to_string(dir.join("real/f")).unwrap(), "inside\n");
        symlink("turns", dir.join("turns")).unwrap();
        cli.refused(&format!("cp box:/real/f {}", at("turns")), &["too many"]);
        cli.ok(&format!("cp {} box:/way", at("real/file")));
        assert_eq!(cli.ok("exec box cat /real/file"), "inside");
        cli.ok("rm -f box");
    }
    d.assert_no_leaks();
}

#[test]
fn what_is_no_file() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let dir = d.dir().join(cli.name());
        fs::create_dir_all(&dir).unwrap();
        cli.ok("run -d --name box busybox sleep 1000");
        cli.ok("exec box sh -c 'echo x > /file'");
        let tar = cli.run("cp box:/file -").stdout;
        for to in ["box:/file", "box:/nothing"] {
            let out = cli.with_input(&format!("cp - {to}"), &tar);
            out.refused(&[&format!("destination \"{to}\" must be a directory")]);
        }
        let out = cli.with_input("cp - box:/tmp", &tar);
        assert_eq!((out.code, out.stdout.as_str()), (0, ""), "{out}");
        assert_eq!(cli.ok("exec box cat /tmp/file"), "x");
        cli.refused(
            "cp /etc/hostname box:/dev/null",
            &["destination \"box:/dev/null\" must be a directory or a regular file: got a device"],
        );
        cli.refused(
            &format!("cp box:/file {}/no/where", dir.display()),
            &["invalid output path: directory", "does not exist"],
        );
        cli.refused(
            "cp box:/file /dev/null",
            &["must be a directory or a regular file: got a device"],
        );
        let file = dir.join("a:b");
        fs::write(&file, "colon").unwrap();
        let mut command = cli.command("cp ./a:b box:/tmp/colon");
        testkit::run(command.current_dir(&dir)).ok();
        assert_eq!(cli.ok("exec box cat /tmp/colon"), "colon");
        cli.ok("rm -f box");
    }
    d.assert_no_leaks();
}

/// No container has a slash in its name.
#[test]
fn a_path_with_a_slash_is_this_hosts() {
    let d = Daemon::fresh();
    let cli = d.wharf();
    fs::create_dir(d.dir().join("sub")).unwrap();
    fs::write(d.dir().join("sub/a:b"), "colon").unwrap();
    cli.ok("create --name box busybox true");
    testkit::run(cli.command("cp sub/a:b box:/tmp").current_dir(d.dir())).ok();
    testkit::run(cli.command("cp box:/tmp/a:b sub/c:d").current_dir(d.dir())).ok();
    assert_eq!(
        fs::read_to_string(d.dir().join("sub/c:d")).unwrap(),
        "colon"
    );
    cli.ok("rm box");
    d.assert_no_leaks();
}

/// Only people on terminals are told how far it is.
#[test]
fn told_on_terminals_only() {
    let d = Daemon::fresh();
    let out = d.dir().join("out.tar");
    for cli in d.clis() {
        cli.ok("run -d --name box busybox sh -c 'dd if=/dev/zero of=/big bs=1M count=30 2>/dev/null; touch /ready; sleep 1000'");
        testkit::eventually("the file", || cli.code("exec box test -e /ready") == 0);
        let copy = d.dir().join(format!("big-{}", cli.name()));
        let copy = copy.display().to_string();
        for line in [
            format!("cp box:/big {copy}"),
            format!("cp {copy} box:/tmp/big"),
        ] {
            let quiet = cli.run(&line);
            assert_eq!(
                (quiet.code, quiet.stdout.as_str(), quiet.stderr.as_str()),
                (0, "", ""),
                "{quiet}"
            );
            let told = cli.run(&line.replace("cp ", "cp --quiet=false "));
            assert!(
                told.stderr.contains("Successfully copied 31.5MB to "),
                "{told}"
            );
            assert_eq!(told.stdout, "");
            let mut tty = cli.tty(&line);
            assert_eq!(tty.wait(), 0);
            tty.expect("Successfully copied 31.5MB to ");
            // Docker's is drawn after half a second only.
            if cli.name() == "wharf" {
                tty.expect(" container - ");
            }
            let mut tty = cli.tty(&line.replace("cp ", "cp -q "));
            assert_eq!(tty.wait(), 0);
            assert_eq!(tty.screen(), "");
        }
        let save = format!("save -o {} busybox", out.display());
        let saved = cli.run(&save);
        assert_eq!(
            (saved.code, saved.stdout.as_str(), saved.stderr.as_str()),
            (0, "", ""),
            "{saved}"
        );
        assert_eq!(cli.tty(&save).wait(), 0);
        let mut tty = cli.tty(&format!("load -i {}", out.display()));
        assert_eq!(tty.wait(), 0);
        tty.expect("Loaded image: busybox:latest");
        let loaded = cli.run(&format!("load -i {}", out.display()));
        assert_eq!(loaded.stdout, "Loaded image: busybox:latest\n");
        cli.ok("rm -f box");
    }
    d.assert_no_leaks();
}
