//! The local driver's options: what is mounted while somebody uses a volume.

use std::{fs, path::Path, process::Command};

use testkit::{Daemon, eventually, run};

/// What is mounted at a volume's place, in the daemon's eyes.
fn mounted(d: &Daemon, volume: &str) -> usize {
    let table = fs::read_to_string(format!("/proc/{}/mountinfo", d.pid())).expect("mountinfo");
    let place = d.dir().join(format!("data/volumes/{volume}/_data"));
    let place = format!(" {} ", place.display());
    table.lines().filter(|line| line.contains(&place)).count()
}

#[test]
fn memory_is_there_while_somebody_uses_it() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("volume create -o type=tmpfs -o device=tmpfs -o o=size=2m,uid=7,mode=700 mem");
        assert_eq!(
            cli.ok("volume inspect -f '{{json .Options}}' mem"),
            r#"{"device":"tmpfs","o":"size=2m,uid=7,mode=700","type":"tmpfs"}"#
        );
        assert_eq!(mounted(&d, "mem"), 0);
        cli.ok("run -d --name one -v mem:/m busybox sh -c 'echo one > /m/f; sleep 1000'");
        cli.ok("run -d --name two -v mem:/m busybox sleep 1000");
        assert_eq!(mounted(&d, "mem"), 1);
        eventually("the file in the other container", || {
            cli.run("exec two cat /m/f").stdout.trim() == "one"
        });
        assert_eq!(cli.ok("exec two stat -c '%u %a' /m"), "7 700");
        let mount = cli.ok("exec two grep ' /m ' /proc/mounts");
        assert!(mount.contains("size=2048k"), "{mount}");
        cli.ok("kill one");
        cli.ok("wait one");
        assert_eq!(mounted(&d, "mem"), 1, "the other has it");
        // What is looked at while nobody runs it sees it, too.
        cli.ok("cp one:/m/f -");
        cli.ok("rm -f two");
        eventually("nothing to be mounted", || mounted(&d, "mem") == 0);
        cli.ok("rm -f one");
        cli.ok("volume rm mem");
    }
    d.assert_no_leaks();
}

#[test]
fn a_bind_as_a_volume_keeps_what_is_there() {
    let d = Daemon::fresh();
    let folder = d.dir().join("kept");
    fs::create_dir(&folder).expect("our own folder");
    fs::write(folder.join("file"), "host").expect("our own file");
    let host = folder.display();
    for cli in d.clis() {
        let options = format!("-o type=none -o device={host} -o o=bind");
        cli.ok(&format!("volume create {options} bound"));
        assert_eq!(cli.ok("run --rm -v bound:/x busybox cat /x/file"), "host");
        cli.ok(&format!("volume create {options},ro fixed"));
        assert_ne!(cli.code("run --rm -v fixed:/x busybox touch /x/no"), 0);
        // In one go, by --mount; the options' commas are in quotes.
        let line = format!(
            "run --rm --mount 'type=volume,src=third,dst=/x,volume-driver=local,volume-opt=type=none,\
             volume-opt=device={host},\"volume-opt=o=bind,ro\"' busybox cat /x/file"
        );
        assert_eq!(cli.ok(&line), "host");
        for name in ["bound", "fixed", "third"] {
            eventually("it to be unmounted", || mounted(&d, name) == 0);
            cli.ok(&format!("volume rm {name}"));
        }
        assert!(folder.join("file").exists(), "what was mounted is not ours");
    }
    d.assert_no_leaks();
}

#[test]
fn what_cannot_be_mounted_is_told_and_leaves_nothing() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("volume create -o type=none -o device=/no/such/folder -o o=bind gone");
        cli.refused(
            "run --rm -v gone:/x busybox true",
            &[
                "error while mounting volume '",
                "failed to mount local volume: mount /no/such/folder:",
                "flags: 0x1000",
                "no such file or directory",
            ],
        );
        cli.ok("volume create -o type=nonsense -o device=x -o o=password=secret wrong");
        let said = cli.refused("run --rm -v wrong:/x busybox true", &["no such device"]);
        assert!(!said.stderr.contains("secret"), "{said}");
        cli.ok("volume rm gone wrong");
    }
    d.assert_no_leaks();
}

#[test]
fn a_disk_in_a_file_is_mounted_and_found_after_a_crash() {
    let mut d = Daemon::fresh();
    let image = d.dir().join("disk");
    fs::File::create(&image)
        .expect("our own file")
        .set_len(16 << 20)
        .expect("it grows");
    if !Path::new("/sbin/mkfs.ext4").exists() && !Path::new("/usr/sbin/mkfs.ext4").exists() {
        return;
    }
    run(Command::new("mkfs.ext4").arg("-q").arg(&image)).ok();
    let attached = run(Command::new("losetup")
        .arg("--find")
        .arg("--show")
        .arg(&image));
    if attached.code != 0 {
        // No loop devices in this sandbox.
        return;
    }
    let device = attached.stdout.trim().to_owned();
    let _free = Loop(device.clone());
    let cli = d.docker();
    cli.ok(&format!(
        "volume create -o type=ext4 -o device={device} disk"
    ));
    cli.ok("run -d --name box -v disk:/x busybox sh -c 'echo kept > /x/f; sync; sleep 1000'");
    assert_eq!(mounted(&d, "disk"), 1);
    d.kill9();
    d.restart();
    let cli = d.docker();
    assert_eq!(mounted(&d, "disk"), 1, "found again");
    assert_eq!(cli.ok("exec box cat /x/f"), "kept");
    d.kill9();
    d.restart();
    d.docker().ok("rm -f box");
    eventually("it to be unmounted", || mounted(&d, "disk") == 0);
    assert_eq!(
        d.docker().ok("run --rm -v disk:/y busybox cat /y/f"),
        "kept"
    );
    eventually("it to be unmounted", || mounted(&d, "disk") == 0);
    d.docker().ok("volume rm disk");
    d.assert_no_leaks();
}

struct Loop(String);

impl Drop for Loop {
    fn drop(&mut self) {
        let _ = Command::new("losetup").arg("-d").arg(&self.0).status();
    }
}

#[test]
fn one_left_mounted_by_a_dead_daemon_is_unmounted() {
    let mut d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("volume create -o type=tmpfs -o device=tmpfs mem");
    cli.ok("run -d --name box -v mem:/m busybox sleep 1000");
    let pid = d.pid_of("box");
    d.kill9();
    testkit::kill(pid);
    eventually("the container to end", || !testkit::alive(pid));
    d.restart();
    eventually("nothing to be mounted", || mounted(&d, "mem") == 0);
    d.docker().ok("rm box");
    d.docker().ok("volume rm mem");
    d.assert_no_leaks();
}
