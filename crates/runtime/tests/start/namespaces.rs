//! Namespaces: made, joined, with mappings and offsets.

use serde_json::json;

use crate::support::{Bundle, Running};

fn namespace(pid: i32, name: &str) -> String {
    let link = std::fs::read_link(format!("/proc/{pid}/ns/{name}")).unwrap();
    link.display().to_string()
}

#[test]
fn a_user_namespace_with_mappings() {
    let script =
        "cat /proc/self/uid_map /proc/self/gid_map; id -u; stat -c %u /; cat /proc/self/setgroups";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.map_users();
    let ended = bundle.run().unwrap();
    let map = "         0     100000      65536\n";
    assert_eq!(
        ended.output,
        format!("{map}{map}0\n0\nallow\n"),
        "{ended:?}"
    );
}

#[test]
fn a_time_namespace_with_offsets() {
    let mut bundle = Bundle::new(&[
        "sh",
        "-c",
        "cat /proc/uptime; cat /proc/self/timens_offsets",
    ]);
    bundle.add_namespace(json!({"type": "time"}));
    bundle.linux()["timeOffsets"] = json!({"boottime": {"secs": 100_000_000}});
    let ended = bundle.run().unwrap();
    let uptime: f64 = ended
        .output
        .split_whitespace()
        .next()
        .unwrap()
        .parse()
        .unwrap();
    assert!(uptime > 100_000_000.0, "{ended:?}");
}

#[test]
fn those_of_another_container_are_joined() {
    let first = Bundle::new(&["sleep", "1000"]);
    let first = Running::start(&first);
    let pid = first.container.init.pid.as_raw_nonzero().get();
    let script = "for n in pid net ipc uts; do readlink /proc/self/ns/$n; done; hostname; ls /proc | grep -c '^1$'";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.config["hostname"] = json!(null);
    bundle.linux()["namespaces"] = json!([
        {"type": "mount"}, {"type": "cgroup"},
        {"type": "pid", "path": format!("/proc/{pid}/ns/pid")},
        {"type": "network", "path": format!("/proc/{pid}/ns/net")},
        {"type": "ipc", "path": format!("/proc/{pid}/ns/ipc")},
        {"type": "uts", "path": format!("/proc/{pid}/ns/uts")},
    ]);
    let ended = bundle.run().unwrap();
    let expected: String = ["pid", "net", "ipc", "uts"]
        .iter()
        .map(|name| namespace(pid, name) + "\n")
        .collect();
    assert_eq!(ended.output, format!("{expected}inside\n1\n"), "{ended:?}");
    // Ours are as they were, those for our children among them.
    assert_eq!(
        namespace(std::process::id() as i32, "pid_for_children"),
        namespace(std::process::id() as i32, "pid")
    );
}

#[test]
fn a_user_namespace_that_is_joined_owns_what_is_made() {
    let mut first = Bundle::new(&["sleep", "1000"]);
    first.map_users();
    let first = Running::start(&first);
    let pid = first.container.init.pid.as_raw_nonzero().get();
    let mut bundle = Bundle::new(&[
        "sh",
        "-c",
        "readlink /proc/self/ns/user; hostname; cat /proc/self/uid_map",
    ]);
    bundle.map_users();
    bundle.linux()["namespaces"] = json!([
        {"type": "mount"}, {"type": "cgroup"}, {"type": "uts"}, {"type": "pid"}, {"type": "ipc"},
        {"type": "user", "path": format!("/proc/{pid}/ns/user")},
        {"type": "network", "path": format!("/proc/{pid}/ns/net")},
    ]);
    let ended = bundle.run().unwrap();
    let expected = format!(
        "{}\ninside\n         0     100000      65536\n",
        namespace(pid, "user")
    );
    assert_eq!(ended.output, expected, "{ended:?}");
}

#[test]
fn sysctls_and_loopback_are_the_namespaces() {
    let script = "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/msgmax /proc/sys/kernel/domainname; cat /proc/net/dev | grep -c lo:; ls /sys/class 2>/dev/null";
    let mut bundle = Bundle::new(&["sh", "-c", script]);
    bundle.config["domainname"] = json!("example.org");
    bundle.linux()["sysctl"] = json!({"net.ipv4.ip_forward": "1", "kernel.msgmax": "4096"});
    let ended = bundle.run().unwrap();
    assert_eq!(ended.output, "1\n4096\nexample.org\n1\n", "{ended:?}");
    bundle.linux()["sysctl"] = json!({"net.ipv4.no_such_thing": "1"});
    let error = bundle.run().unwrap_err().to_string();
    assert!(error.contains("net.ipv4.no_such_thing"), "{error}");
}
