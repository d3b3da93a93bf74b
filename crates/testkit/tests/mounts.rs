//! `-v`, `--tmpfs`, `--read-only`, named volumes.

use testkit::Daemon;

#[test]
fn bind() {
    let d = Daemon::fresh();
    let folder = d.dir().join("shared");
    std::fs::create_dir(&folder).expect("our own folder");
    let host = folder.display();
    for cli in d.clis() {
        std::fs::write(folder.join("in"), "from the host").expect("our own file");
        assert_eq!(
            cli.ok(&format!("run --rm -v {host}:/mnt/x busybox cat /mnt/x/in")),
            "from the host"
        );
        cli.ok(&format!(
            "run --rm -v {host}:/x busybox sh -c 'echo back > /x/out'"
        ));
        assert_eq!(
            std::fs::read_to_string(folder.join("out")).expect("written"),
            "back\n"
        );
        assert_ne!(
            cli.code(&format!("run --rm -v {host}:/x:ro busybox touch /x/no")),
            0
        );
        let one = cli.ok(&format!(
            "run --rm -v {host}/in:/etc/one:ro busybox cat /etc/one"
        ));
        assert_eq!(one, "from the host");
        let made = folder.join(format!("made-by-{}", cli.name()));
        cli.ok(&format!("run --rm -v {}:/x busybox true", made.display()));
        assert!(made.is_dir(), "a missing source of -v is made");
        cli.refused(
            "run --rm -v relative/path:/x busybox true",
            &["relative/path"],
        );
        cli.refused(
            &format!("run --rm -v {host}:relative busybox true"),
            &["relative"],
        );
    }
    d.assert_no_leaks();
}

#[test]
fn mount_flag_wants_its_source() {
    let d = Daemon::fresh();
    let missing = d.dir().join("not-there");
    let line = format!(
        "run --rm --mount type=bind,src={},dst=/x busybox true",
        missing.display()
    );
    let wanted = format!(
        "invalid mount config for type \"bind\": bind source path does not exist: {}",
        missing.display()
    );
    for cli in d.clis() {
        cli.refused(&line, &[&wanted]);
    }
    assert!(!missing.exists());
}

#[test]
fn named_volumes() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let name = format!("data-{}", cli.name());
        cli.ok(&format!(
            "run --rm -v {name}:/data busybox sh -c 'echo kept > /data/file'"
        ));
        assert_eq!(
            cli.ok(&format!(
                "run --rm -v {name}:/elsewhere busybox cat /elsewhere/file"
            )),
            "kept"
        );
        // The first use of an empty volume takes over what the image has there.
        let passwd = cli.ok(&format!(
            "run --rm -v etc-{name}:/etc busybox cat /etc/passwd"
        ));
        assert!(passwd.contains("root:"), "{passwd}");
        cli.ok(&format!("create --name user -v {name}:/data busybox true"));
        let mount = cli.ok("inspect -f '{{(index .Mounts 0).Type}} {{(index .Mounts 0).Name}} {{(index .Mounts 0).Destination}} {{(index .Mounts 0).RW}}' user");
        assert_eq!(mount, format!("volume {name} /data true"));
        cli.ok("rm user");
    }
}

#[test]
fn anonymous_volumes_go_with_rm_v() {
    let d = Daemon::fresh();
    let volumes = || {
        let volumes = d.dir().join("data/volumes");
        let entries = std::fs::read_dir(volumes).into_iter().flatten().flatten();
        entries.filter(|e| e.file_name().len() == 64).count()
    };
    for cli in d.clis() {
        let before = volumes();
        cli.ok("run --rm -v /scratch busybox touch /scratch/x");
        assert_eq!(volumes(), before, "--rm takes them along");
        cli.ok("create --name anon -v /scratch busybox true");
        assert_eq!(volumes(), before + 1);
        cli.ok("rm -v anon");
        assert_eq!(volumes(), before);
    }
}

#[test]
fn read_only_and_tmpfs() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        assert_ne!(cli.code("run --rm --read-only busybox touch /x"), 0);
        cli.ok("run --rm --read-only --tmpfs /scratch busybox touch /scratch/x");
        let mount = cli.ok("run --rm --tmpfs /t:size=1m,mode=700 busybox grep ' /t ' /proc/mounts");
        for part in [
            "tmpfs",
            "size=1024k",
            "mode=700",
            "nosuid",
            "nodev",
            "noexec",
        ] {
            assert!(mount.contains(part), "no {part} in {mount}");
        }
        cli.ok("run --rm --read-only busybox sh -c 'echo x > /dev/shm/x'");
    }
}

#[test]
fn containers_do_not_share_their_files() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run --name writer busybox sh -c 'echo changed > /etc/passwd; rm -rf /home'");
        let other = cli.ok("run --rm busybox sh -c 'cat /etc/passwd; ls -d /home'");
        assert!(other.contains("root:") && other.ends_with("/home"));
        cli.ok("start -a writer");
        cli.ok("rm writer");
    }
}

#[test]
fn a_volume_that_another_container_was_given_by_name_stays() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name one -v /data busybox sleep 1000");
        let volume = cli.ok("inspect -f '{{(index .Mounts 0).Name}}' one");
        cli.ok(&format!(
            "run -d --name two -v {volume}:/x busybox sleep 1000"
        ));
        cli.ok("exec two sh -c 'echo kept >/x/file'");
        cli.ok("rm -fv one");
        assert_eq!(cli.ok("exec two cat /x/file"), "kept");
        cli.ok("rm -fv two");
    }
    d.assert_no_leaks();
}

#[test]
fn propagation() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // dockerd's own mount namespace decides there
    }
    let place = tempfile::tempdir().expect("/tmp");
    let at = place.path().display().to_string();
    // A mount of this test's own, shared or not, in this machine's tree.
    let sh = |line: &str| testkit::run(std::process::Command::new("sh").args(["-c", line]));
    sh(&format!(
        "mount -t tmpfs none {at} && mount --make-private {at} && mkdir {at}/in"
    ))
    .ok();
    let gone = Unmount(at.clone());
    for cli in d.clis() {
        for kind in ["rshared", "shared", "rslave", "slave"] {
            cli.refused(
                &format!("run --rm -v {at}:/x:{kind} busybox true"),
                &[&format!(
                    "path {at} is mounted on {at} but it is not a shared"
                )],
            );
        }
    }
    sh(&format!("mount --make-shared {at}")).ok();
    for cli in d.clis() {
        let run = format!(
            "run -d --name boxp --privileged -v {at}:/x:rshared -v {at}:/y:rslave -v {at}:/z busybox sleep 1000"
        );
        cli.ok(&run);
        cli.ok("exec boxp mount -t tmpfs none /x/in");
        let mounted = || sh(&format!("grep -c ' {at}/in ' /proc/self/mountinfo")).stdout;
        assert_eq!(
            mounted().trim(),
            "1",
            "the container's mount reached the host"
        );
        let seen = cli.ok("exec boxp cat /proc/self/mountinfo");
        assert!(
            seen.contains(" /y/in ") && !seen.contains(" /z/in "),
            "{seen}"
        );
        sh(&format!("umount {at}/in")).ok();
        assert!(
            !cli.ok("exec boxp cat /proc/self/mountinfo")
                .contains(" /x/in ")
        );
        cli.ok("rm -f boxp");
    }
    drop(gone);
}

/// Takes a mount down, also when the test fails.
struct Unmount(String);

impl Drop for Unmount {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount")
            .args(["-R", "-l", &self.0])
            .status();
    }
}
