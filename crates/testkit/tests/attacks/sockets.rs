//! What a container on the host's network can talk to.

use testkit::{Bundle, Daemon};

#[test]
fn attack_16_the_shim_is_not_reachable_from_the_hosts_network() {
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok("run -d --name other busybox sleep 1000");
    let id = docker.ok("inspect -f '{{.Id}}' other");
    let text = docker.ok("run --rm --network host busybox cat /proc/net/unix");
    let exec_root = d.dir().display().to_string();
    for line in text
        .lines()
        .filter(|l| l.contains(&id) || l.contains(&exec_root))
    {
        // A name of the abstract kind needs no file system to be reached by.
        assert!(!line.contains('@'), "{line}");
        let path = line.split_whitespace().last().expect("a path");
        let seen = docker.run(&format!("run --rm --network host busybox ls {path}"));
        assert_ne!(seen.code, 0, "{seen}");
    }
    let mut bundle = Bundle::new().args(&["cat", "/proc/net/unix"]);
    let namespaces = bundle
        .at("/linux/namespaces")
        .as_array_mut()
        .expect("a list");
    namespaces.retain(|n| n["type"] != "network");
    bundle.config["linux"]
        .as_object_mut()
        .expect("an object")
        .remove("sysctl");
    let text = bundle.run().ok();
    let ours = text
        .lines()
        .filter(|l| l.contains('@') && l.contains(bundle.id()));
    assert_eq!(ours.count(), 0, "{text}");
}
