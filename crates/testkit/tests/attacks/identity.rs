//! Users, groups and capabilities.

use std::os::unix::fs::symlink;

use serde_json::json;
use testkit::{Bundle, Daemon, images};

/// A line of `/proc/self/status`, without its name.
fn line<'a>(status: &'a str, name: &str) -> &'a str {
    let found = status
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    found
        .unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
}

const STATUS: [&str; 2] = ["cat", "/proc/self/status"];

#[test]
fn attack_11_no_inheritable_capabilities() {
    let d = Daemon::fresh();
    let docker = d.docker();
    let bundle = Bundle::new().args(&STATUS);
    let sleeping = Bundle::new().args(&["sleep", "1000"]);
    sleeping.start();
    let mut all = vec![bundle.run().ok(), sleeping.exec(&STATUS).ok()];
    for flags in [
        "",
        "--cap-add ALL",
        "--privileged",
        "-u 1000",
        "--cap-drop ALL",
    ] {
        docker.ok(&format!("run -d --name target {flags} busybox sleep 1000"));
        all.push(docker.ok(&format!("run --rm {flags} busybox cat /proc/self/status")));
        all.push(docker.ok("exec target cat /proc/self/status"));
        all.push(docker.ok("exec -u 1000 target cat /proc/self/status"));
        docker.ok("rm -f target");
    }
    for status in &all {
        assert_eq!(line(status, "CapInh"), "0000000000000000");
        assert_eq!(line(status, "CapAmb"), "0000000000000000");
    }
}

#[test]
fn attack_12_supplementary_groups() {
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok("run -d --name target busybox sleep 1000");
    for (user, groups) in [
        ("app", "1000 1010"),
        ("1000", "1000 1010"),
        ("1000:5", "5"),
        ("77", "0"),
    ] {
        let flags = format!("-u {user}");
        let run = docker.ok(&format!("run --rm {flags} busybox cat /proc/self/status"));
        let exec = docker.ok(&format!("exec {flags} target cat /proc/self/status"));
        for status in [&run, &exec] {
            let mut found: Vec<_> = line(status, "Groups").split_whitespace().collect();
            found.sort_unstable();
            let gid = line(status, "Gid")
                .split_whitespace()
                .next()
                .expect("a group");
            let mut wanted: Vec<_> = groups.split(' ').collect();
            wanted.sort_unstable();
            assert!(wanted.contains(&gid), "{user}: {status}");
            // The first group counts among the others: a program cannot get rid of it.
            assert_eq!(found, wanted, "{user}");
        }
    }
    let mut bundle = Bundle::new().args(&STATUS);
    *bundle.at("/process/user") = json!({"uid": 1000, "gid": 1000, "additionalGids": [7, 9]});
    let status = bundle.run().ok();
    assert_eq!(line(&status, "Groups"), "7 9");
    *bundle.at("/process/user") = json!({"uid": 1000, "gid": 1000});
    let status = bundle.run().ok();
    assert_eq!(line(&status, "Groups"), "", "none of the host's");
}

#[test]
fn attack_13_users_beyond_the_range() {
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok("run -d --name target busybox sleep 1000");
    for user in [
        "2147483648",
        "4294967295",
        "4294967296",
        "-1",
        "0:4294967296",
    ] {
        for line in [
            format!("run --rm --user={user} busybox id"),
            format!("exec --user={user} target id"),
        ] {
            let out = docker.run(&line);
            assert_ne!(out.code, 0, "{out}");
            assert!(!out.stdout.contains("uid=0"), "{out}");
        }
    }
    for uid in [2_147_483_648_u64, 4_294_967_295, 4_294_967_296] {
        let mut bundle = Bundle::new().args(&["id"]);
        bundle.at("/process/user")["uid"] = json!(uid);
        bundle.run().refused(&["uid"]);
    }
}

#[test]
fn attack_14_passwd_and_group_that_lead_elsewhere_or_never_end() {
    let d = Daemon::fresh();
    let docker = d.docker();
    // Links to the host's secrets and to what never ends; a file that is far too long.
    let long: String = (0..200_000).map(|n| format!("g{n}:x:{n}:app\n")).collect();
    for (name, target) in [
        ("shadow", "/etc/shadow"),
        ("zero", "/dev/zero"),
        ("climb", "../../../../../../../../etc/shadow"),
        ("long", ""),
    ] {
        let image_name = format!("attack-users-{name}");
        let image = images::variant(
            &image_name,
            |layer| {
                if target.is_empty() {
                    return layer.file("etc/group", 0o644, &long);
                }
                let layer =
                    layer
                        .file("etc/.wh.passwd", 0o644, "")
                        .file("etc/.wh.group", 0o644, "");
                layer
                    .symlink("etc/passwd", target)
                    .symlink("etc/group", target)
            },
            &json!({}),
        );
        d.load(&image);
        // Answered, whichever way; and the daemon lives.
        let _ = docker.run(&format!("run --rm -u root {image_name} id"));
        let _ = docker.run(&format!("run --rm -u app {image_name} id"));
        docker.ok("version");
    }
    // The runtime looks for HOME there.
    for target in ["/dev/zero", "/proc/self/mem", "/etc/loop"] {
        let bundle = Bundle::new().shell("echo home=$HOME");
        std::fs::remove_file(bundle.root().join("etc/passwd")).expect("a file");
        symlink(target, bundle.root().join("etc/passwd")).expect("a link");
        assert_eq!(bundle.run().ok(), "home=/");
    }
}

/// Root in a user namespace of its own, with the host's view of cgroups.
#[test]
fn attack_15_cgroups_are_not_written_from_a_user_namespace() {
    let script = "for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/pwned 2>/dev/null && echo MADE $d; \
        (echo 0 > $d/cgroup.procs) 2>/dev/null && echo WRITTEN $d; done; true";
    let mut bundle = Bundle::new().shell(script);
    bundle.remap();
    let out = bundle.run();
    assert_eq!(out.clone().ok(), "", "{out}");
    // And for root of the host, by Docker's defaults.
    let d = Daemon::fresh();
    assert_eq!(
        d.docker()
            .ok(&format!("run --rm busybox sh -c \"{script}\"")),
        ""
    );
    let bundle = Bundle::new().shell(script);
    assert_eq!(bundle.run().ok(), "");
}
