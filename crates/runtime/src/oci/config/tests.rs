use serde_json::{Value, json};

use super::*;

const MUCH: &str = include_str!("../../../tests/golden/much.json");
const PLAIN: &str = include_str!("../../../tests/golden/plain.json");

/// A configuration with a bit of everything, all of it good.
fn good() -> Value {
    let all = ["CAP_CHOWN", "CAP_KILL"];
    json!({
        "ociVersion": "1.2.0",
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "box",
        "process": {
            "terminal": true, "consoleSize": {"height": 24, "width": 80},
            "user": {"uid": 0, "gid": 0, "additionalGids": [1, 2], "umask": 18},
            "args": ["sh"], "env": ["PATH=/bin", "A=b=c"], "cwd": "/",
            "capabilities": {"bounding": all, "effective": all, "permitted": all},
            "rlimits": [{"type": "RLIMIT_NOFILE", "soft": 1, "hard": 2}],
            "oomScoreAdj": -5, "noNewPrivileges": true,
            "ioPriority": {"class": "IOPRIO_CLASS_BE", "priority": 4},
            "scheduler": {"policy": "SCHED_OTHER", "nice": 1}
        },
        "mounts": [
            {"destination": "/proc", "type": "proc", "source": "proc"},
            {"destination": "/x", "source": "/x", "options": ["rbind", "ro"]}
        ],
        "hooks": {"poststop": [{"path": "/bin/true", "args": ["true"], "timeout": 3}]},
        "annotations": {"a": "b"},
        "linux": {
            "namespaces": [
                {"type": "mount"}, {"type": "uts"}, {"type": "ipc"}, {"type": "pid"},
                {"type": "network", "path": "/run/no-netns"}, {"type": "user"}, {"type": "time"}
            ],
            "uidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
            "gidMappings": [{"containerID": 0, "hostID": 1000, "size": 10}],
            "timeOffsets": {"boottime": {"secs": 5, "nanosecs": 7}},
            "sysctl": {"net.ipv4.ip_forward": "1", "kernel.shmmax": "1", "kernel.domainname": "x"},
            "devices": [{"path": "/dev/x", "type": "c", "major": 1, "minor": 3}],
            "maskedPaths": ["/proc/kcore"], "readonlyPaths": ["/proc/sys"],
            "rootfsPropagation": "rslave", "cgroupsPath": "/a/b",
            "personality": {"domain": "LINUX32"},
            "resources": {
                "devices": [{"allow": false, "access": "rwm"}],
                "memory": {"limit": 100, "swap": 200}, "pids": {"limit": 5},
                "cpu": {"shares": 5, "cpus": "0-1,3"}, "blockIO": {"weight": 10},
                "hugepageLimits": [{"pageSize": "2MB", "limit": 5}],
                "unified": {"memory.high": "5"}
            },
            "seccomp": {"defaultAction": "SCMP_ACT_ALLOW"}
        }
    })
}

fn parse(value: &Value) -> Result<Config> {
    Config::parse(serde_json::to_string_pretty(value).unwrap().as_bytes())
}

/// Sets the member at a pointer, made if need be; `null` takes it out.
fn set(value: &mut Value, pointer: &str, to: Value) {
    let (parent, last) = pointer.rsplit_once('/').unwrap();
    let last = last.replace("~1", "/");
    let parent = value.pointer_mut(parent).unwrap();
    match parent {
        Value::Array(list) => {
            let at: usize = last.parse().unwrap();
            if at == list.len() {
                list.push(to);
            } else {
                list[at] = to;
            }
        }
        Value::Object(map) if to.is_null() => {
            map.remove(&last);
        }
        Value::Object(map) => {
            map.insert(last, to);
        }
        _ => panic!("{pointer}"),
    }
}

fn refused(pointer: &str, to: Value, words: &str) {
    let mut value = good();
    set(&mut value, pointer, to);
    let error = parse(&value).expect_err(pointer).to_string();
    let whole = format!("invalid config.json: {words}");
    assert!(error.starts_with(&whole), "{pointer}: {error}");
}

#[test]
fn good_ones_are_taken() {
    let config = parse(&good()).unwrap();
    assert_eq!(config.warnings, [""; 0]);
    for text in [MUCH, PLAIN] {
        let config = Config::parse(text.as_bytes()).unwrap();
        assert_eq!(config.warnings, [""; 0]);
    }
    let mut newer = good();
    newer["ociVersion"] = json!("1.0.2-dev");
    newer["invented"] = json!({"later": 1});
    parse(&newer).unwrap();
}

#[test]
fn the_whole() {
    for (pointer, to, words) in [
        ("/ociVersion", json!(null), "ociVersion: is missing"),
        (
            "/ociVersion",
            json!("2.0.0"),
            "ociVersion: \"2.0.0\" is not supported",
        ),
        (
            "/ociVersion",
            json!("one"),
            "ociVersion: \"one\" is no version",
        ),
        (
            "/ociVersion",
            json!(1),
            "ociVersion: invalid type: integer `1`",
        ),
        (
            "/process",
            json!(null),
            "process: property must not be empty",
        ),
        ("/linux", json!(null), "linux: is missing"),
        (
            "/windows",
            json!({"layerFolders": ["x"]}),
            "windows: is not supported",
        ),
        (
            "/uidMappings",
            json!([]),
            "uidMappings: has no meaning here",
        ),
        (
            "/annotations/",
            json!("x"),
            "annotations: a key must not be empty",
        ),
        (
            "/annotations/b",
            json!(5),
            "annotations.b: invalid type: integer `5`",
        ),
        ("/root", json!(null), "root: must be specified"),
        ("/root/path", json!(null), "root.path: must not be empty"),
        (
            "/hostname",
            json!("x".repeat(65)),
            "hostname: 65 characters",
        ),
    ] {
        refused(pointer, to, words);
    }
    let mut value = good();
    value["linux"]["namespaces"]
        .as_array_mut()
        .unwrap()
        .remove(1);
    let error = parse(&value).unwrap_err().to_string();
    assert!(
        error.contains("hostname: unable to set hostname without"),
        "{error}"
    );
}

#[test]
fn processes() {
    let id = 1u64 << 31;
    for (pointer, to, words) in [
        ("/process/cwd", json!(null), "process.cwd: is missing (line"),
        (
            "/process/cwd",
            json!(""),
            "process.cwd: property must not be empty",
        ),
        (
            "/process/cwd",
            json!("tmp"),
            "process.cwd: must be an absolute path",
        ),
        ("/process/user", json!(null), "process.user: is missing"),
        (
            "/process/args",
            json!([]),
            "process.args: must not be empty",
        ),
        (
            "/process/args",
            json!("sh"),
            "process.args: invalid type: string",
        ),
        (
            "/process/args/1",
            json!(7),
            "process.args[1]: invalid type: integer",
        ),
        (
            "/process/args/1",
            json!("a\0b"),
            "process.args[1]: has a zero byte",
        ),
        (
            "/process/env/1",
            json!("x"),
            "process.env[1]: invalid environment variable \"x\"",
        ),
        (
            "/process/env/1",
            json!("=x"),
            "process.env[1]: invalid environment variable \"=x\"",
        ),
        (
            "/process/commandLine",
            json!("x"),
            "process.commandLine: is for Windows",
        ),
        (
            "/process/user/uid",
            json!(id),
            "process.user.uid: 2147483648 is not between",
        ),
        (
            "/process/user/uid",
            json!(-1),
            "process.user.uid: invalid value",
        ),
        (
            "/process/user/uid",
            json!("root"),
            "process.user.uid: invalid type",
        ),
        (
            "/process/user/gid",
            json!(id),
            "process.user.gid: 2147483648 is not between",
        ),
        (
            "/process/user/additionalGids/1",
            json!(id),
            "process.user.additionalGids[1]: 2147",
        ),
        (
            "/process/user/umask",
            json!(512),
            "process.user.umask: 512 is more than",
        ),
        (
            "/process/user/username",
            json!("x"),
            "process.user.username: is for Windows",
        ),
        (
            "/process/capabilities/effective",
            json!(["CAP_FOWNER"]),
            "process.capabilities.effective: ",
        ),
        (
            "/process/capabilities/bounding",
            json!([5]),
            "process.capabilities.bounding[0]: invalid type",
        ),
        (
            "/process/rlimits/0/type",
            json!("RLIMIT_X"),
            "process.rlimits[0].type: unknown variant",
        ),
        (
            "/process/rlimits/0/soft",
            json!(3),
            "process.rlimits[0].soft: 3 is more than the hard limit, 2",
        ),
        (
            "/process/rlimits/1",
            json!({"type": "RLIMIT_NOFILE"}),
            "process.rlimits[1].type: RLIMIT_NOFILE is there twice",
        ),
        (
            "/process/oomScoreAdj",
            json!(1001),
            "process.oomScoreAdj: 1001 is not",
        ),
        (
            "/process/consoleSize/width",
            json!(70000),
            "process.consoleSize: 70000x24",
        ),
        (
            "/process/ioPriority/priority",
            json!(8),
            "process.ioPriority.priority: 8 is not",
        ),
        (
            "/process/ioPriority/class",
            json!("X"),
            "process.ioPriority.class: unknown variant",
        ),
        (
            "/process/scheduler/nice",
            json!(20),
            "process.scheduler.nice: 20 is not",
        ),
        (
            "/process/scheduler/policy",
            json!("SCHED_FIFO"),
            "process.scheduler.priority: SCHED_FIFO and",
        ),
        (
            "/process/scheduler/policy",
            json!("SCHED_ISO"),
            "process.scheduler.policy: SCHED_ISO",
        ),
        (
            "/process/scheduler/policy",
            json!("SCHED_DEADLINE"),
            "process.scheduler.runtime: SCHED_DEADLINE",
        ),
        (
            "/process/scheduler/priority",
            json!(4),
            "process.scheduler.priority: can only",
        ),
        (
            "/process/scheduler/period",
            json!(4),
            "process.scheduler.period: can only",
        ),
        (
            "/process/scheduler/flags",
            json!(["X"]),
            "process.scheduler.flags[0]: unknown variant",
        ),
        (
            "/process/execCPUAffinity",
            json!({"initial": "3-1"}),
            "process.execCPUAffinity",
        ),
        (
            "/process/apparmorProfile",
            json!("a\0"),
            "process.apparmorProfile: has a zero byte",
        ),
    ] {
        refused(pointer, to, words);
    }
}

#[test]
fn mounts_and_hooks() {
    let map = json!([{"containerID": 0, "hostID": 5, "size": 1}]);
    for (pointer, to, words) in [
        (
            "/mounts/0/destination",
            json!(null),
            "mounts[0].destination: is missing",
        ),
        (
            "/mounts/0/destination",
            json!(""),
            "mounts[0].destination: must not be empty",
        ),
        ("/mounts/0/type", json!(null), "mounts[0].type: is missing"),
        (
            "/mounts/1/source",
            json!(null),
            "mounts[1].source: a bind mount needs one",
        ),
        (
            "/mounts/0/options",
            json!(["a\0"]),
            "mounts[0].options[0]: has a zero byte",
        ),
        (
            "/mounts/1/uidMappings",
            map.clone(),
            "mounts[1].gidMappings: is missing beside",
        ),
        (
            "/mounts/0",
            json!({"destination": "/p", "type": "proc", "uidMappings": map.clone(),
            "gidMappings": map}),
            "mounts[0].uidMappings: is supported only",
        ),
        (
            "/hooks/poststop/0/path",
            json!("x"),
            "hooks.poststop[0].path: \"x\" is not an absolute",
        ),
        (
            "/hooks/poststop/0/path",
            json!(null),
            "hooks.poststop[0].path: is missing",
        ),
        (
            "/hooks/poststop/0/timeout",
            json!(0),
            "hooks.poststop[0].timeout: 0 is not",
        ),
        (
            "/hooks/poststop/0/timeout",
            json!(-1),
            "hooks.poststop[0].timeout: -1 is not",
        ),
        (
            "/hooks/poststop/0/env",
            json!(["x"]),
            "hooks.poststop[0].env[0]: invalid",
        ),
        (
            "/hooks/prestart",
            json!([{"path": "a"}]),
            "hooks.prestart[0].path: \"a\"",
        ),
    ] {
        refused(pointer, to, words);
    }
}

#[test]
fn lists_are_no_objects() {
    for (pointer, field) in [
        ("/process/user", "process.user"),
        ("/linux/resources/memory", "linux.resources.memory"),
        ("/linux/resources/rdma", "linux.resources.rdma"),
        ("/linux/resources/pids", "linux.resources.pids"),
        ("/linux/timeOffsets/boottime", "linux.timeOffsets.boottime"),
        ("/hooks", "hooks"),
        ("/linux/gidMappings/0", "linux.gidMappings[0]"),
        ("/linux/resources/devices/0", "linux.resources.devices[0]"),
    ] {
        refused(pointer, json!([]), &format!("{field}: invalid "));
    }
}

#[test]
fn linux_members() {
    let many: Vec<_> = (0..341)
        .map(|i| json!({"containerID": i, "hostID": i, "size": 1}))
        .collect();
    let map = |inside: u32, host: u32, size: u32| json!({"containerID": inside, "hostID": host, "size": size});
    let dev = |typ: &str, major: i64| json!({"path": "/d", "type": typ, "major": major});
    for (pointer, to, words) in [
        (
            "/linux/intelRdt",
            json!({}),
            "linux.intelRdt: is not supported",
        ),
        (
            "/linux/netDevices",
            json!({"eth0": {}}),
            "linux.netDevices: is not supported",
        ),
        (
            "/linux/namespaces/7",
            json!({"type": "pid"}),
            "linux.namespaces[7].type: pid is there twice",
        ),
        (
            "/linux/namespaces/7",
            json!({"type": "moon"}),
            "linux.namespaces[7].type: unknown variant `moon`",
        ),
        (
            "/linux/namespaces/7",
            json!({}),
            "linux.namespaces[7].type: is missing",
        ),
        (
            "/linux/namespaces/4/path",
            json!("x"),
            "linux.namespaces[4].path: \"x\" is not an absolute",
        ),
        (
            "/linux/namespaces",
            json!([]),
            "linux.namespaces: has no mount namespace",
        ),
        (
            "/linux/uidMappings",
            json!(many),
            "linux.uidMappings: 341 mappings are more than 340",
        ),
        (
            "/linux/uidMappings/1",
            map(9, 0, 5),
            "linux.uidMappings[1].containerID: overlaps with linux.uidMappings[0]",
        ),
        (
            "/linux/gidMappings/1",
            map(10, 1009, 5),
            "linux.gidMappings[1].hostID: overlaps with",
        ),
        (
            "/linux/gidMappings/1",
            map(10, u32::MAX, 1),
            "linux.gidMappings[1].hostID: 4294967295 and 1 more",
        ),
        (
            "/linux/gidMappings/1",
            map(10, 0, 0),
            "linux.gidMappings[1].size: must not be 0",
        ),
        (
            "/linux/gidMappings",
            json!(null),
            "linux.gidMappings: is missing",
        ),
        (
            "/linux/timeOffsets/realtime",
            json!({"secs": 1}),
            "linux.timeOffsets: \"realtime\" is neither",
        ),
        (
            "/linux/timeOffsets/boottime/nanosecs",
            json!(1_000_000_000),
            "linux.timeOffsets.boottime.nanosecs",
        ),
        (
            "/linux/namespaces/6/path",
            json!("/x"),
            "linux.timeOffsets: the clocks of a time namespace that is joined",
        ),
        (
            "/linux/sysctl/vm.swappiness",
            json!("1"),
            "linux.sysctl[\"vm.swappiness\"]: is not in a separate",
        ),
        (
            "/linux/sysctl/kernel.hostname",
            json!("1"),
            "linux.sysctl[\"kernel.hostname\"]: is not allowed as it conflicts",
        ),
        (
            "/linux/sysctl/kernel.core_pattern",
            json!("|x"),
            "linux.sysctl[\"kernel.core_pattern\"]: is not in",
        ),
        (
            "/linux/sysctl/net~1..~1kernel~1core_pattern",
            json!("1"),
            "linux.sysctl[",
        ),
        (
            "/linux/sysctl/net",
            json!("1"),
            "linux.sysctl[\"net\"]: is no name",
        ),
        (
            "/linux/sysctl/net.x",
            json!(1),
            "linux.sysctl.net.x: invalid type",
        ),
        (
            "/linux/devices/0",
            dev("q", 1),
            "linux.devices[0].type: unknown variant",
        ),
        (
            "/linux/devices/0",
            dev("a", 1),
            "linux.devices[0].type: a is for rules",
        ),
        (
            "/linux/devices/0",
            dev("b", -1),
            "linux.devices[0].major: -1 is not",
        ),
        (
            "/linux/devices/0",
            dev("c", 4096),
            "linux.devices[0].major: 4096 is not",
        ),
        (
            "/linux/devices/0/path",
            json!("d"),
            "linux.devices[0].path: \"d\" is not",
        ),
        (
            "/linux/maskedPaths/0",
            json!("proc"),
            "linux.maskedPaths[0]: \"proc\" is not",
        ),
        (
            "/linux/readonlyPaths/0",
            json!(""),
            "linux.readonlyPaths[0]: \"\" is not",
        ),
        (
            "/linux/rootfsPropagation",
            json!("both"),
            "linux.rootfsPropagation: \"both\" is none",
        ),
        (
            "/linux/cgroupsPath",
            json!("/a/../b"),
            "linux.cgroupsPath: must not",
        ),
        (
            "/linux/personality/domain",
            json!("BSD"),
            "linux.personality.domain: unknown variant",
        ),
        (
            "/linux/personality/flags",
            json!(["X"]),
            "linux.personality.flags: \"X\" is not",
        ),
        (
            "/linux/seccomp/defaultAction",
            json!("SCMP_ACT_X"),
            "linux.seccomp.defaultAction: unknown variant",
        ),
        (
            "/linux/seccomp/defaultAction",
            json!(null),
            "linux.seccomp.defaultAction: is missing",
        ),
        (
            "/linux/seccomp/architectures",
            json!(["X"]),
            "linux.seccomp.architectures[0]: unknown variant",
        ),
        (
            "/linux/resources/devices/0/access",
            json!("rx"),
            "linux.resources.devices[0].access: 'x'",
        ),
        (
            "/linux/resources/memory/limit",
            json!(-2),
            "linux.resources.memory.limit: is less",
        ),
        (
            "/linux/resources/memory/limit",
            json!(300),
            "linux.resources.memory.swap: 200 is less",
        ),
        (
            "/linux/resources/memory/limit",
            json!("1G"),
            "linux.resources.memory.limit: invalid type",
        ),
        (
            "/linux/resources/memory/swappiness",
            json!(101),
            "linux.resources.memory.swappiness",
        ),
        (
            "/linux/resources/pids/limit",
            json!(1.5),
            "linux.resources.pids.limit: invalid type",
        ),
        (
            "/linux/resources/cpu/cpus",
            json!("0-"),
            "linux.resources.cpu.cpus: \"0-\"",
        ),
        (
            "/linux/resources/cpu/quota",
            json!(-2),
            "linux.resources.cpu.quota",
        ),
        (
            "/linux/resources/blockIO/weight",
            json!(9),
            "linux.resources.blockIO.weight: 9",
        ),
        (
            "/linux/resources/hugepageLimits/0/pageSize",
            json!("2 MB"),
            "linux.resources.hugepageLimits[0].pageSize",
        ),
        (
            "/linux/resources/unified/a~1b",
            json!(""),
            "linux.resources.unified: \"a/b\"",
        ),
    ] {
        refused(pointer, to, words);
    }
    // What a namespace would have kept apart.
    for (kind, words) in [
        (
            "network",
            "linux.sysctl[\"net.ipv4.ip_forward\"]: is not allowed in the host's network",
        ),
        (
            "ipc",
            "linux.sysctl[\"kernel.shmmax\"]: is not allowed in the host's ipc",
        ),
        ("user", "linux.uidMappings: there is no user namespace"),
        ("time", "linux.timeOffsets: there is no time namespace"),
    ] {
        let mut value = good();
        let list = value["linux"]["namespaces"].as_array_mut().unwrap();
        list.retain(|n| n["type"] != kind);
        let error = parse(&value).unwrap_err().to_string();
        assert!(error.contains(words), "{error}");
    }
}

#[test]
fn what_is_left_out_is_told() {
    for caps in [
        json!(["CAP_NEW", "CAP_CHOWN"]),
        json!(["CAP_CHOWN", "CAP_NEW"]),
        json!(["CAP_NEW", "CAP_CHOWN", "CAP_NEWER"]),
        json!(["CAP_NEW"]),
    ] {
        let mut value = good();
        value["process"]["capabilities"]["bounding"] = caps.clone();
        let config = parse(&value).unwrap();
        let words = "ignoring unknown capability \"CAP_NEW";
        assert!(config.warnings[0].contains(words), "{:?}", config.warnings);
        let process = config.spec.process().as_ref().unwrap();
        let bounding = process
            .capabilities()
            .as_ref()
            .unwrap()
            .bounding()
            .as_ref()
            .unwrap();
        assert_eq!(
            bounding.len(),
            usize::from(caps.to_string().contains("CHOWN"))
        );
    }
    let mut value = good();
    value["mounts"][0]["destination"] = json!("proc");
    value["process"]["env"] = json!(["A=1", "A=2"]);
    value["process"]["capabilities"]["ambient"] = json!(["CAP_KILL"]);
    value["linux"]["resources"]["memory"]["kernel"] = json!(5);
    assert_eq!(parse(&value).unwrap().warnings.len(), 3);
}

#[test]
fn places_in_the_text() {
    for (text, words) in [
        ("", "json: EOF while parsing a value (line 1)"),
        ("{\n\"ociVersion\" 5}", "expected `:` (line 2)"),
        ("[]", "json: "),
        ("[\"1.2.0\"]", "json: "),
        (
            "{\"process\":\n{\"user\":\n[], \"x\":1}}",
            "process.cwd: is missing (line 3)",
        ),
        (
            "{\"process\": {\"args\": [\"a\", {\"b\": [1]}]}}",
            "process.args[1]: invalid type: map",
        ),
        (
            "{\"process\": {\"cwd\": \"/\", \"cwd\": \"/\"}}",
            "process.cwd: duplicate field",
        ),
        (
            "{\"hooks\": {\"poststop\": [{\"path\": \"\\\"]\"}, {\"path\": 1}]}}",
            "hooks.poststop[1].path: invalid type",
        ),
        (
            "{\"process\": {\"user\": {\"uid\": 99999999999}}}",
            "process.user.uid: invalid value",
        ),
    ] {
        let error = Config::parse(text.as_bytes()).unwrap_err().to_string();
        assert!(error.contains(words), "{text:?}: {error}");
    }
    let error = parse_process(b"{\"user\": {},\n\"cwd\": 5}")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("process.cwd: invalid type: integer `5`, expected path string (line 2)"),
        "{error}"
    );
    assert!(parse_process(br#"{"user": {}, "cwd": "/", "args": ["a"]}"#).is_ok());
}

#[test]
fn bundles() {
    let dir = tempfile::tempdir().unwrap();
    let load = |value: &Value| {
        std::fs::write(dir.path().join("config.json"), value.to_string()).unwrap();
        Config::load(dir.path())
            .map(|_| ())
            .map_err(|e| e.to_string())
    };
    let error = Config::load(dir.path()).unwrap_err().to_string();
    assert!(error.contains("config.json: No such file"), "{error}");
    let mut value = good();
    assert!(
        load(&value)
            .unwrap_err()
            .contains("root.path: there is no ")
    );
    std::fs::write(dir.path().join("rootfs"), "").unwrap();
    assert!(load(&value).unwrap_err().contains("is not a directory"));
    std::fs::remove_file(dir.path().join("rootfs")).unwrap();
    std::os::unix::fs::symlink("/", dir.path().join("rootfs")).unwrap();
    assert!(load(&value).unwrap_err().contains("is a symbolic link"));
    std::fs::remove_file(dir.path().join("rootfs")).unwrap();
    std::fs::create_dir(dir.path().join("rootfs")).unwrap();
    assert!(
        load(&value)
            .unwrap_err()
            .contains("the network namespace /run/no-netns")
    );
    value["linux"]["namespaces"][4]["path"] = json!("/proc/self/ns/net");
    assert!(
        load(&value)
            .unwrap_err()
            .contains("in the host's network namespace")
    );
    value["linux"]["namespaces"][4] = json!({"type": "network"});
    load(&value).unwrap();
}

#[test]
fn sysctl_names() {
    for (name, expected) in [
        ("net.ipv4.ip_forward", Some("net/ipv4/ip_forward")),
        ("net/ipv4/ip_forward", Some("net/ipv4/ip_forward")),
        ("net/ipv4/conf/eth0.5/mtu", Some("net/ipv4/conf/eth0.5/mtu")),
        ("net.ipv4.conf.eth0/5.mtu", Some("net/ipv4/conf/eth0.5/mtu")),
        ("net..x", None),
        ("net/../kernel/x", None),
        ("net.//.kernel.x", None),
        ("/net/x", None),
        ("net.x.", None),
        ("net", None),
    ] {
        assert_eq!(sysctl_path(name).as_deref(), expected, "{name}");
    }
}

/// Whatever is done to a good text: never a panic, and a refusal names something.
#[test]
fn any_change_is_taken_or_refused_by_name() {
    let mut state = 7u64;
    let mut roll = move |sides: usize| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % sides
    };
    let odd = [
        json!(null),
        json!(-1),
        json!(0),
        json!(4_294_967_296u64),
        json!(1e300),
        json!(""),
        json!("x"),
        json!("/"),
        json!("../.."),
        json!("a\0b"),
        json!([]),
        json!({}),
        json!([[]]),
        json!({"": 1}),
        json!(true),
        json!(u64::MAX),
        json!("é\u{1F980}"),
    ];
    let texts = [good().to_string(), MUCH.to_owned(), PLAIN.to_owned()];
    let mut refusals = 0;
    for round in 0..3000 {
        let text = &texts[round % texts.len()];
        let bytes = if roll(3) == 0 {
            let mut bytes = text.clone().into_bytes();
            for _ in 0..=roll(3) {
                let at = roll(bytes.len());
                match roll(3) {
                    0 => bytes[at] = roll(256) as u8,
                    1 => {
                        bytes.remove(at);
                    }
                    _ => bytes.insert(at, b"[]{}\",:0 n-"[roll(11)]),
                }
            }
            bytes
        } else {
            let mut value: Value = serde_json::from_str(text).unwrap();
            let mut here = &mut value;
            loop {
                let leaf = !matches!(here, Value::Object(m) if !m.is_empty())
                    && !matches!(here, Value::Array(l) if !l.is_empty());
                if leaf || roll(8) == 0 {
                    *here = odd[roll(odd.len())].clone();
                    break;
                }
                here = match here {
                    Value::Object(map) => {
                        let key = map.keys().nth(roll(map.len())).unwrap().clone();
                        map.get_mut(&key).unwrap()
                    }
                    Value::Array(list) => {
                        let at = roll(list.len());
                        &mut list[at]
                    }
                    _ => unreachable!(),
                };
            }
            value.to_string().into_bytes()
        };
        match Config::parse(&bytes) {
            Ok(_) => {}
            Err(Error::Config { field, problem }) => {
                refusals += 1;
                assert!(!field.is_empty() && !problem.is_empty());
            }
            Err(other) => panic!("{other}"),
        }
    }
    assert!(refusals > 1000);
}
