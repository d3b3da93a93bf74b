//! `--userns-remap`: containers whose root is nobody on the host.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use testkit::{Daemon, Host, Opts, images};

/// A daemon whose containers' users begin at 300000, and groups at 400000.
pub(crate) fn remapped() -> Daemon {
    let file = |path: &str, first: u32| (path.to_owned(), format!("root:{first}:65536\n"));
    let opts = Opts {
        files: vec![file("/etc/subuid", 300_000), file("/etc/subgid", 400_000)],
        ..Opts::args(&["--userns-remap", "root"])
    };
    let d = Daemon::start(&Host::new(), opts);
    // An OCI runtime walks to the container's root as that root.
    std::fs::set_permissions(d.dir(), std::fs::Permissions::from_mode(0o711)).expect("our own");
    d.load(&images::busybox_tar());
    d
}

#[test]
fn root_is_nobody_on_the_host() {
    if !testkit::Engine::under_test().is_wharf() {
        return; // needs a file system that only this daemon sees
    }
    let d = remapped();
    for cli in d.clis() {
        cli.ok("run -d --name boxu -v data:/data busybox sh -c 'echo x >/data/file; echo x >/own; sleep 1000'");
        let pid = d.pid_of("boxu");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
        assert!(status.contains("Uid:\t300000\t300000"), "{status}");
        assert!(status.contains("Gid:\t400000\t400000"), "{status}");
        assert_eq!(cli.ok("exec boxu id -u"), "0");
        let map = cli.ok("exec boxu cat /proc/self/uid_map");
        assert_eq!(
            map.split_whitespace().collect::<Vec<_>>(),
            ["0", "300000", "65536"]
        );
        // What the image has is root's, and so is what the container makes: layers and volumes.
        let owners = cli.ok("exec boxu stat -c %u:%g / /bin /own /data /data/file /etc/hosts");
        assert!(owners.lines().all(|l| l == "0:0"), "{owners}");
        let data = d.dir().join("data/300000.400000/volumes/data/_data");
        for path in [data.clone(), data.join("file")] {
            let meta = std::fs::metadata(&path).expect("the volume");
            assert_eq!(
                (meta.uid(), meta.gid()),
                (300_000, 400_000),
                "{}",
                path.display()
            );
        }
        // Its network is its own to configure, the host's kernel is not.
        cli.ok("run --rm --cap-add NET_ADMIN busybox ip link set lo mtu 1400");
        cli.ok("run --rm busybox ls /sys/class/net/eth0");
        assert_ne!(
            cli.code("run --rm busybox sh -c 'echo 1 >/proc/sys/kernel/panic'"),
            0
        );
        let user = cli.ok("run --rm -u 1000:1000 busybox sh -c 'id -u; cat /etc/hostname >/dev/null && echo read'");
        assert_eq!(user, "1000\nread");
        let links = ["user", "net"]
            .map(|kind| std::fs::read_link(format!("/proc/{pid}/ns/{kind}")).expect("it runs"));
        let ours = std::fs::read_link("/proc/self/ns/user").expect("we run");
        assert_ne!(links[0], ours);
        // Who shares a namespace shares the users too.
        cli.ok(
            "run -d --name boxv --network container:boxu --pid container:boxu busybox sleep 1000",
        );
        let theirs = std::fs::read_link(format!("/proc/{}/ns/user", d.pid_of("boxv"))).expect("v");
        assert_eq!(theirs, links[0]);
        cli.ok("rm -f boxv");
        cli.ok("run -d --name hosts --userns host busybox sleep 1000");
        cli.refused(
            "run --rm --network container:hosts busybox true",
            &["has the host's users", "--userns host"],
        );
        cli.ok("rm -f hosts");
        // Standard output can be opened again by its name.
        assert_eq!(
            cli.ok("run --rm busybox sh -c 'echo text >/dev/stdout'"),
            "text"
        );
        cli.ok("restart -t 0 boxu");
        assert_eq!(
            cli.ok("exec boxu cat /own"),
            "x",
            "what was written stays its own"
        );
        cli.ok("rm -f boxu");
    }
    let info = d.api().get("/info").expect(200).json();
    let options = info["SecurityOptions"].to_string();
    assert!(options.contains("name=userns"), "{options}");
}

#[test]
fn what_needs_the_hosts_users() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let d = remapped();
    for cli in d.clis() {
        cli.refused(
            "run --rm --privileged busybox true",
            &["privileged mode is incompatible with user namespaces"],
        );
        cli.refused(
            "run --rm --network host busybox true",
            &["cannot share the host's network namespace when user namespaces are enabled"],
        );
        cli.refused(
            "run --rm --pid host busybox true",
            &["cannot share the host PID namespace when user namespaces are enabled"],
        );
        let map = cli.ok(
            "run --rm --userns host --privileged --network host busybox cat /proc/self/uid_map",
        );
        assert_eq!(
            map.split_whitespace().collect::<Vec<_>>(),
            ["0", "0", "4294967295"]
        );
    }
}

#[test]
fn nobody_to_map_to() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let refused =
        |user: &str| Daemon::refused(&Host::new(), Opts::args(&["--userns-remap", user])).stderr;
    let out = refused("nobody-here");
    assert!(out.contains("no user \"nobody-here\""), "{out}");
    let out = refused("daemon");
    assert!(
        out.contains("no subuid ranges found for user \"daemon\""),
        "{out}"
    );
}
