//! Cgroups for real: limits in the kernel, processes in them, and nothing left behind.

#![allow(clippy::unwrap_used)] // tests

use std::{
    collections::BTreeMap,
    fs,
    io::{Read as _, Write as _},
    os::{fd::AsFd as _, unix::process::CommandExt as _},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use oci_spec::runtime::LinuxResources;
use runtime::oci::cgroup::{Cgroup, Driver, Entry, Oom};
use rustix::process::Pid;
use serde_json::{Value, json};

fn name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let n = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("/wharf-test-oci-{}-{n}", std::process::id())
}

/// A cgroup that is emptied and removed at the end, also when the test fails.
struct Ours(Cgroup);

impl Ours {
    fn new() -> Self {
        Self(Cgroup::plan(Some(&name()), "x", Driver::Cgroupfs, false).unwrap())
    }

    /// Only version 2's part, as on a host that has nothing else.
    fn v2() -> Option<Self> {
        let all = Cgroup::plan(Some(&name()), "x", Driver::Cgroupfs, false).unwrap();
        let dir = all.paths().remove("")?;
        let paths = BTreeMap::from([(String::new(), dir)]);
        Some(Self(Cgroup::from_paths(&paths).unwrap()))
    }

    fn create(&self, resources: Value) -> Entry {
        self.0.create(Some(&parse(resources))).unwrap()
    }

    fn refused(&self, resources: Value) -> String {
        let e = self.0.create(Some(&parse(resources))).unwrap_err();
        assert!(!self.0.exists(), "{e}: and left {:?}", self.0.paths());
        e.to_string()
    }

    fn read(&self, controller: &str, file: &str) -> String {
        let file = self.0.dir(controller).unwrap().join(file);
        fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
    }
}

impl Drop for Ours {
    fn drop(&mut self) {
        let _ = self.0.thaw();
        let _ = self.0.kill_all(|| ());
        let _ = self.0.remove();
    }
}

fn parse(resources: Value) -> LinuxResources {
    serde_json::from_value(resources).unwrap()
}

/// A child that is ended with the test.
struct Process(Child);

impl Process {
    /// A shell that waits for a line before it does what it is told.
    fn shell(entry: &Entry, script: &str) -> Self {
        let child = Command::new("/bin/sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let process = Self(child);
        entry.join(process.pid()).unwrap();
        process
    }

    fn pid(&self) -> Pid {
        Pid::from_child(&self.0)
    }

    fn go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"\n").unwrap();
    }

    /// Lets it do it, and gives what it wrote.
    fn output(mut self) -> String {
        self.go();
        let mut text = String::new();
        self.0
            .stdout
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        self.0
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut text)
            .unwrap();
        text
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn hierarchy(controller: &str) -> bool {
    sys::cgroup::hierarchies()
        .unwrap()
        .iter()
        .any(|h| h.has(controller))
}

/// Some block device, if there is one.
fn disk() -> Option<String> {
    let mut all: Vec<_> = fs::read_dir("/sys/block").ok()?.flatten().collect();
    all.retain(|d| {
        let size = fs::read_to_string(d.path().join("size")).unwrap_or_default();
        size.trim() != "0"
    });
    let dev = fs::read_to_string(all.first()?.path().join("dev")).ok()?;
    Some(dev.trim().to_owned())
}

#[test]
fn each_limit_of_version_1_is_set_and_read_back() {
    type Files = &'static [(&'static str, &'static str)];
    let all: &[(&str, Value, Files)] = &[
        (
            "memory",
            json!({"memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432,
                "swappiness": 10, "disableOOMKiller": true, "useHierarchy": true,
                "kernelTCP": 1048576}}),
            &[
                ("memory.limit_in_bytes", "67108864"),
                ("memory.memsw.limit_in_bytes", "134217728"),
                ("memory.soft_limit_in_bytes", "33554432"),
                ("memory.swappiness", "10"),
                ("memory.kmem.tcp.limit_in_bytes", "1048576"),
            ],
        ),
        // Not whole pages: the kernel rounds.
        (
            "memory",
            json!({"memory": {"limit": 10000001}}),
            &[("memory.limit_in_bytes", "9998336")],
        ),
        (
            "memory",
            json!({"memory": {"limit": -1, "kernel": -1}}),
            &[("memory.limit_in_bytes", "9223372036854771712")],
        ),
        (
            "cpu",
            json!({"cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 1000}}),
            &[
                ("cpu.shares", "512"),
                ("cpu.cfs_quota_us", "50000"),
                ("cpu.cfs_period_us", "200000"),
                ("cpu.cfs_burst_us", "1000"),
            ],
        ),
        (
            "cpu",
            json!({"cpu": {"quota": -1}}),
            &[("cpu.cfs_quota_us", "-1")],
        ),
        ("cpu", json!({"cpu": {"idle": 1}}), &[("cpu.idle", "1")]),
        (
            "cpuset",
            json!({"cpu": {"cpus": "0", "mems": "0"}}),
            &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        ),
        (
            "pids",
            json!({"pids": {"limit": 42}}),
            &[("pids.max", "42")],
        ),
        (
            "pids",
            json!({"pids": {"limit": -1}}),
            &[("pids.max", "max")],
        ),
        (
            "pids",
            json!({"pids": {"limit": 0}}),
            &[("pids.max", "max")],
        ),
    ];
    for (controller, resources, files) in all {
        if !hierarchy(controller) {
            continue;
        }
        let ours = Ours::new();
        drop(ours.create(resources.clone()));
        for (file, value) in *files {
            assert_eq!(ours.read(controller, file).trim(), *value, "{resources}");
        }
    }
}

#[test]
fn each_limit_of_version_2_is_set_and_read_back() {
    type Files = &'static [(&'static str, &'static str)];
    let all: &[(&str, Value, Files)] = &[
        (
            "memory",
            json!({"memory": {"limit": 67108864, "swap": 134217728, "reservation": 33554432,
                "useHierarchy": true, "disableOOMKiller": false, "checkBeforeUpdate": true}}),
            &[
                ("memory.max", "67108864"),
                ("memory.swap.max", "67108864"),
                ("memory.low", "33554432"),
            ],
        ),
        (
            "memory",
            json!({"memory": {"limit": 10000001, "swap": 10000001}}),
            &[("memory.max", "9998336"), ("memory.swap.max", "0")],
        ),
        (
            "memory",
            json!({"memory": {"limit": -1, "swap": -1}}),
            &[("memory.max", "max"), ("memory.swap.max", "max")],
        ),
        (
            "cpu",
            json!({"cpu": {"shares": 512, "quota": 50000, "period": 200000, "burst": 1000}}),
            &[
                ("cpu.weight", "59"),
                ("cpu.max", "50000 200000"),
                ("cpu.max.burst", "1000"),
            ],
        ),
        (
            "cpu",
            json!({"cpu": {"period": 50000, "quota": -1}}),
            &[("cpu.max", "max 50000")],
        ),
        (
            "cpu",
            json!({"cpu": {"idle": 1, "shares": 512}}),
            &[("cpu.idle", "1")],
        ),
        (
            "cpuset",
            json!({"cpu": {"cpus": "0", "mems": "0"}}),
            &[("cpuset.cpus", "0"), ("cpuset.mems", "0")],
        ),
        (
            "pids",
            json!({"pids": {"limit": 42}}),
            &[("pids.max", "42")],
        ),
        (
            "pids",
            json!({"pids": {"limit": -1}}),
            &[("pids.max", "max")],
        ),
        (
            "memory",
            json!({"unified": {"memory.high": "32M", "memory.oom.group": "1",
                "pids.max": "12", "cgroup.max.descendants": "3"}}),
            &[
                ("memory.high", "33554432"),
                ("memory.oom.group", "1"),
                ("pids.max", "12"),
                ("cgroup.max.descendants", "3"),
            ],
        ),
    ];
    for (controller, resources, files) in all {
        let ours = Ours::new();
        if hierarchy(controller) || ours.0.dir(controller).is_none() {
            continue;
        }
        drop(ours.create(resources.clone()));
        for (file, value) in *files {
            assert_eq!(ours.read(controller, file).trim(), *value, "{resources}");
        }
    }
}

#[test]
fn what_only_version_1_has_is_refused_on_version_2() {
    if hierarchy("memory") || hierarchy("cpu") {
        return;
    }
    for (limit, field) in [
        (json!({"memory": {"swappiness": 10}}), "memory.swappiness"),
        (
            json!({"memory": {"disableOOMKiller": true}}),
            "memory.disableOOMKiller",
        ),
        (
            json!({"memory": {"useHierarchy": false}}),
            "memory.useHierarchy",
        ),
        (json!({"memory": {"kernelTCP": 4096}}), "memory.kernelTCP"),
        (json!({"memory": {"swap": 4096}}), "memory.swap"),
        (
            json!({"cpu": {"realtimeRuntime": 1000}}),
            "cpu.realtimeRuntime",
        ),
        (
            json!({"cpu": {"realtimePeriod": 1000}}),
            "cpu.realtimePeriod",
        ),
    ] {
        let e = Ours::new().refused(limit);
        assert!(e.contains(&format!("linux.resources.{field}")), "{e}");
    }
}

#[test]
fn oom_killer_off_is_read_back() {
    if !hierarchy("memory") {
        return;
    }
    let ours = Ours::new();
    drop(ours.create(json!({"memory": {"disableOOMKiller": true}})));
    let control = ours.read("memory", "memory.oom_control");
    assert!(control.contains("oom_kill_disable 1"), "{control}");
}

#[test]
fn block_devices_of_version_1() {
    let Some(disk) = disk().filter(|_| hierarchy("blkio")) else {
        return;
    };
    let (major, minor) = disk.split_once(':').unwrap();
    let (major, minor): (i64, i64) = (major.parse().unwrap(), minor.parse().unwrap());
    let rate = |n| json!([{"major": major, "minor": minor, "rate": n}]);
    let ours = Ours::new();
    let limits = json!({"blockIO": {
        "weight": 300,
        "throttleReadBpsDevice": rate(1048576), "throttleWriteBpsDevice": rate(2097152),
        "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200)}});
    drop(ours.create(limits));
    for (file, n) in [
        ("read_bps", 1048576),
        ("write_bps", 2097152),
        ("read_iops", 100),
        ("write_iops", 200),
    ] {
        let file = format!("blkio.throttle.{file}_device");
        assert_eq!(ours.read("blkio", &file).trim(), format!("{disk} {n}"));
    }
    // And taken away again.
    ours.0
        .update(&parse(
            json!({"blockIO": {"throttleReadBpsDevice": rate(0)}}),
        ))
        .unwrap();
    assert_eq!(
        ours.read("blkio", "blkio.throttle.read_bps_device").trim(),
        ""
    );
    // No such device.
    let none = json!([{"major": 999, "minor": 9, "rate": 1}]);
    let e = ours
        .0
        .update(&parse(json!({"blockIO": {"throttleWriteBpsDevice": none}})))
        .unwrap_err()
        .to_string();
    assert!(
        e.contains("linux.resources.blockIO.throttleWriteBpsDevice"),
        "{e}"
    );
}

#[test]
fn block_devices_of_version_2() {
    let ours = Ours::new();
    if hierarchy("blkio") || ours.0.dir("io").is_none() {
        return;
    }
    drop(ours.create(json!({})));
    let Some(disk) = disk().filter(|_| {
        let dir = ours.0.dir("io").unwrap();
        fs::read_to_string(dir.join("cgroup.controllers")).is_ok_and(|c| c.contains("io"))
    }) else {
        return;
    };
    let (major, minor) = disk.split_once(':').unwrap();
    let (major, minor): (i64, i64) = (major.parse().unwrap(), minor.parse().unwrap());
    let rate = |n| json!([{"major": major, "minor": minor, "rate": n}]);
    let limits = json!({"blockIO": {
        "throttleReadBpsDevice": rate(1048576), "throttleWriteBpsDevice": rate(2097152),
        "throttleReadIOPSDevice": rate(100), "throttleWriteIOPSDevice": rate(200)}});
    ours.0.update(&parse(limits)).unwrap();
    assert_eq!(
        ours.read("io", "io.max").trim(),
        format!("{disk} rbps=1048576 wbps=2097152 riops=100 wiops=200")
    );
    let none = json!({"blockIO": {"throttleReadBpsDevice": rate(0)}});
    ours.0.update(&parse(none)).unwrap();
    let text = ours.read("io", "io.max");
    assert!(text.contains("rbps=max wbps=2097152"), "{text}");
    let dir = ours.0.dir("io").unwrap();
    let weight = json!({"blockIO": {"weight": 500}});
    if dir.join("io.bfq.weight").exists() || dir.join("io.weight").exists() {
        ours.0.update(&parse(weight)).unwrap();
    } else {
        let e = ours.0.update(&parse(weight)).unwrap_err().to_string();
        assert!(e.contains("linux.resources.blockIO.weight"), "{e}");
    }
}

#[test]
fn what_cannot_be_had_is_refused_by_name_and_leaves_nothing() {
    let mut all = vec![
        (
            json!({"memory": {"kernel": 1048576}}),
            "linux.resources.memory.kernel",
        ),
        (
            json!({"cpu": {"cpus": "0-4095"}}),
            "linux.resources.cpu.cpus",
        ),
        (json!({"cpu": {"cpus": "x"}}), "linux.resources.cpu.cpus"),
        (json!({"cpu": {"quota": 1}}), "linux.resources.cpu.quota"),
        (
            json!({"blockIO": {"leafWeight": 100}}),
            "linux.resources.blockIO.leafWeight",
        ),
        (
            json!({"hugepageLimits": [{"pageSize": "3MB", "limit": 0}]}),
            "linux.resources.hugepageLimits[3MB]",
        ),
        (
            json!({"unified": {"nothing.max": "1"}}),
            "linux.resources.unified[nothing.max]",
        ),
        (
            json!({"unified": {"../x.y": "1"}}),
            "linux.resources.unified[../x.y]",
        ),
        (
            json!({"unified": {"cgroup.freeze": "1"}}),
            "linux.resources.unified[cgroup.freeze]",
        ),
        (
            json!({"devices": [{"allow": true, "type": "c", "major": 1, "access": "rwm"},
                {"allow": false, "type": "c", "major": 1, "minor": 1, "access": "w"}]}),
            "linux.resources.devices",
        ),
        (
            json!({"rdma": {"mlx5_0": {"hcaHandles": 1}}}),
            "linux.resources.rdma[mlx5_0]",
        ),
    ];
    if !hierarchy("net_cls") {
        let limit = json!({"network": {"classID": 1048577}});
        all.push((limit, "linux.resources.network.classID"));
    }
    if !hierarchy("net_prio") {
        let limit = json!({"network": {"priorities": [{"name": "lo", "priority": 1}]}});
        all.push((limit, "linux.resources.network.priorities"));
    }
    if hierarchy("cpu") {
        // The kernel takes it, and keeps another.
        all.push((json!({"cpu": {"shares": 1}}), "linux.resources.cpu.shares"));
        let limit = json!({"memory": {"swappiness": 1000}});
        all.push((limit, "linux.resources.memory.swappiness"));
        let limit = json!({"memory": {"limit": 67108864, "swap": 33554432}});
        all.push((limit, "linux.resources.memory.swap"));
    } else {
        all.retain(|(limit, _)| limit.get("devices").is_none());
    }
    for (resources, field) in all {
        let e = Ours::new().refused(resources.clone());
        assert!(e.contains(field), "{resources}: {e}");
    }
}

#[test]
fn wrong_paths_are_refused() {
    for bad in ["/", "/../x", "/a/../../b", "a/..", "//", "a:b:c"] {
        let e = Cgroup::plan(Some(bad), "id", Driver::Cgroupfs, false).unwrap_err();
        assert!(e.to_string().contains("linux.cgroupsPath"), "{bad}: {e}");
    }
    let mut paths = Ours::new().0.paths();
    for dir in paths.values_mut() {
        dir.push("../../..");
    }
    assert!(Cgroup::from_paths(&paths).is_err());
}

#[test]
fn a_relative_path_is_below_our_own_cgroup() {
    let relative = Cgroup::plan(Some("box"), "id", Driver::Cgroupfs, false).unwrap();
    let named = Cgroup::plan(None, "id", Driver::Cgroupfs, false).unwrap();
    for (controller, dir) in relative.paths() {
        assert!(dir.ends_with("box"), "{controller}: {}", dir.display());
    }
    assert!(named.paths().values().all(|dir| dir.ends_with("id")));
}

#[test]
fn updates_go_both_ways() {
    let ours = Ours::new();
    drop(ours.create(json!({"memory": {"limit": 67108864, "swap": 67108864}})));
    let file = if hierarchy("memory") {
        "memory.limit_in_bytes"
    } else {
        "memory.max"
    };
    for limit in [268_435_456, 33_554_432, 67_108_864] {
        let both = json!({"memory": {"limit": limit, "swap": limit}});
        ours.0.update(&parse(both)).unwrap();
        assert_eq!(ours.read("memory", file).trim(), limit.to_string());
    }
    ours.0
        .update(&parse(json!({"memory": {"limit": -1}})))
        .unwrap();
    ours.0
        .update(&parse(json!({"pids": {"limit": 7}})))
        .unwrap();
    assert_eq!(ours.read("pids", "pids.max").trim(), "7");
}

#[test]
fn a_thread_enters_every_hierarchy_by_itself() {
    let ours = Ours::new();
    let entry = ours.create(json!({}));
    // Version 2's file would move the whole test: there a process is cloned into it.
    let text = std::thread::spawn(move || {
        entry.enter(true).unwrap();
        fs::read_to_string("/proc/thread-self/cgroup").unwrap()
    })
    .join()
    .unwrap();
    let lines = text.lines().filter(|l| !l.starts_with("0::"));
    for line in lines {
        assert!(line.contains("wharf-test-oci"), "{text}");
    }
}

#[test]
fn freeze_kill_and_remove() {
    let ours = Ours::new();
    let entry = ours.create(json!({}));
    let mut sleeper = Process::shell(&entry, "sleep 1000");
    sleeper.go();
    assert!(
        ours.0
            .pids()
            .contains(&sleeper.pid().as_raw_nonzero().get())
    );
    assert!(!ours.0.is_frozen().unwrap());
    ours.0.freeze().unwrap();
    assert!(ours.0.is_frozen().unwrap());
    ours.0.thaw().unwrap();
    assert!(!ours.0.is_frozen().unwrap());
    // What is frozen dies too. In another process only the paths are known.
    ours.0.freeze().unwrap();
    let again = Cgroup::from_paths(&ours.0.paths()).unwrap();
    again
        .kill_all(|| {
            let _ = sleeper.0.try_wait();
        })
        .unwrap();
    assert!(again.pids().is_empty());
    again.remove().unwrap();
    assert!(!ours.0.exists());
    again.remove().unwrap();
}

#[test]
fn statistics_in_runcs_words() {
    let ours = Ours::new();
    let entry = ours.create(json!({"memory": {"limit": 67108864}, "pids": {"limit": 9}}));
    let mut busy = Process::shell(
        &entry,
        "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; echo; sleep 1000",
    );
    busy.go();
    let mut one = [0];
    busy.0
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut one)
        .unwrap();
    let stats = serde_json::to_value(ours.0.stats()).unwrap();
    assert!(
        stats["cpu"]["usage"]["total"].as_u64().unwrap() > 0,
        "{stats}"
    );
    assert_eq!(stats["memory"]["usage"]["limit"], 67_108_864, "{stats}");
    assert!(
        stats["memory"]["usage"]["usage"].as_u64().unwrap() > 0,
        "{stats}"
    );
    assert_eq!(stats["pids"]["limit"], 9);
    assert!(stats["pids"]["current"].as_u64().unwrap() >= 1);
    assert!(stats["memory"]["raw"].is_object());
    assert!(stats["network_interfaces"].is_null());
}

#[test]
fn out_of_memory_is_told() {
    let ours = Ours::new();
    let entry = ours.create(json!({"memory": {"limit": 16777216, "swap": 16777216}}));
    let mut events = ours.0.oom_events().unwrap();
    assert_eq!(events.check().unwrap(), Oom::Nothing);
    let eater = Process::shell(&entry, "head -c 200000000 /dev/zero | tail");
    drop(eater.output());
    while events.check().unwrap() != Oom::Happened {
        wait_readable(&events);
    }
    ours.0.kill_all(|| ()).unwrap();
    ours.0.remove().unwrap();
    loop {
        match events.check().unwrap() {
            Oom::Over => break,
            Oom::Nothing => wait_readable(&events),
            Oom::Happened => {}
        }
    }
}

fn wait_readable(events: &runtime::oci::cgroup::OomEvents) {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let fd = events.as_fd();
    let wait = Timespec {
        tv_sec: 30,
        tv_nsec: 0,
    };
    let mut fds = [PollFd::new(&fd, PollFlags::IN)];
    assert_eq!(poll(&mut fds, Some(&wait)).unwrap(), 1, "nothing was told");
}

/// The kernel's log, a device that no container has by itself.
const KMSG: &str = "dd if=/dev/kmsg of=/dev/null bs=8192 count=1 2>&1 && echo opened; \
    head -c 1 /dev/zero | wc -c";

fn kmsg(allow: bool) -> Value {
    json!({"devices": [{"allow": false, "access": "rwm"},
        {"allow": allow, "type": "c", "major": 1, "minor": 11, "access": "r"}]})
}

/// Both ways of holding a container to its devices keep the same promises.
fn devices(ours: &Ours) {
    let entry = ours.create(kmsg(false));
    let text = Process::shell(&entry, KMSG).output();
    assert!(text.contains("Operation not permitted"), "{text}");
    assert!(text.contains('1'), "/dev/zero is everybody's: {text}");
    let text = Process::shell(&entry, "echo x > /dev/kmsg").output();
    assert!(text.contains("Operation not permitted"), "{text}");
    // A node of one's own makes no difference; making it is allowed.
    let dir = tempfile::tempdir().unwrap();
    let node = dir.path().join("disk");
    let script = format!("mknod {0} b 8 0 && echo made; cat {0}", node.display());
    let text = Process::shell(&entry, &script).output();
    assert!(text.contains("made"), "{text}");
    assert!(text.contains("Operation not permitted"), "{text}");
    // Reading is allowed later, and writing still is not.
    ours.0.update(&parse(kmsg(true))).unwrap();
    let text = Process::shell(&entry, KMSG).output();
    assert!(text.contains("opened"), "{text}");
    let text = Process::shell(&entry, "echo x > /dev/kmsg").output();
    assert!(text.contains("Operation not permitted"), "{text}");
    // An update of something else changes nothing.
    ours.0.update(&parse(kmsg(false))).unwrap();
    ours.0.update(&parse(json!({}))).unwrap();
    let text = Process::shell(&entry, KMSG).output();
    assert!(text.contains("Operation not permitted"), "{text}");
    // Everything, as for privileged ones; and back.
    let all = json!({"devices": [{"allow": true, "access": "rwm"}]});
    ours.0.update(&parse(all)).unwrap();
    let text = Process::shell(&entry, KMSG).output();
    assert!(text.contains("opened"), "{text}");
    ours.0.update(&parse(kmsg(false))).unwrap();
    let text = Process::shell(&entry, KMSG).output();
    assert!(text.contains("Operation not permitted"), "{text}");
}

#[test]
fn devices_by_lists() {
    if hierarchy("devices") {
        devices(&Ours::new());
    }
}

#[test]
fn devices_by_a_program_on_version_2() {
    let Some(ours) = Ours::v2() else { return };
    devices(&ours);
    // However often the rules changed there is one program.
    let dir = fs::File::open(ours.0.dir("devices").unwrap()).unwrap();
    assert_eq!(sys::bpf::device_programs(dir.as_fd()).unwrap().len(), 1);
}

#[test]
fn no_rules_at_all_still_deny_disks() {
    for ours in [Some(Ours::new()), Ours::v2()].into_iter().flatten() {
        let entry = ours.0.create(None).unwrap();
        let text = Process::shell(&entry, KMSG).output();
        assert!(text.contains("Operation not permitted"), "{text}");
    }
}

#[test]
fn huge_pages_on_a_hybrid_host() {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else {
        return;
    };
    let two = sizes.flatten().any(|d| d.file_name() == "hugepages-2048kB");
    let controllers = sys::cgroup::hierarchies().unwrap().into_iter().any(|h| {
        h.has("hugetlb")
            || h.controllers.is_none()
                && fs::read_to_string(h.mount.join("cgroup.controllers"))
                    .is_ok_and(|c| c.contains("hugetlb"))
    });
    if !two || !controllers {
        return;
    }
    let ours = Ours::new();
    drop(ours.create(json!({"hugepageLimits": [{"pageSize": "2MB", "limit": 4194304}]})));
    let file = if hierarchy("hugetlb") {
        "hugetlb.2MB.limit_in_bytes"
    } else {
        "hugetlb.2MB.max"
    };
    assert_eq!(ours.read("hugetlb", file).trim(), "4194304");
    if !hierarchy("hugetlb") {
        let one = json!({"unified": {"hugetlb.2MB.max": "2M"}});
        ours.0.update(&parse(one)).unwrap();
        assert_eq!(ours.read("hugetlb", file).trim(), "2097152");
    }
    assert!(ours.0.stats().hugetlb.contains_key("2MB"));
}

#[test]
fn starts_at_once_share_a_parent() {
    let parent = name();
    let threads: Vec<_> = (0..8)
        .map(|i| {
            let path = format!("{parent}/{i}");
            std::thread::spawn(move || {
                for round in 0..10 {
                    let c = Cgroup::plan(Some(&path), "x", Driver::Cgroupfs, false).unwrap();
                    // Every other one comes to nothing, and takes the parent along if it can.
                    if (i + round) % 2 == 0 {
                        let e = c.create(Some(&parse(json!({"cpu": {"cpus": "x"}}))));
                        assert!(e.is_err());
                        assert!(!c.exists());
                    } else {
                        c.create(None).unwrap();
                        c.remove().unwrap();
                    }
                }
            })
        })
        .collect();
    let results: Vec<_> = threads
        .into_iter()
        .map(std::thread::JoinHandle::join)
        .collect();
    let all = Cgroup::plan(Some(&parent), "x", Driver::Cgroupfs, false).unwrap();
    all.remove().unwrap();
    assert!(results.iter().all(Result::is_ok));
}

#[test]
fn who_comes_later_goes_where_the_first_one_is() {
    let Some(ours) = Ours::v2() else { return };
    let entry = ours.create(json!({}));
    let first = Process::shell(&entry, "sleep 1000");
    let below = ours.0.dir("").unwrap().join("init.scope");
    fs::create_dir(&below).unwrap();
    let pid = first.pid().as_raw_nonzero().to_string();
    fs::write(below.join("cgroup.procs"), &pid).unwrap();
    let entry = ours.0.entry_beside(first.pid()).unwrap();
    let second = Process::shell(&entry, "sleep 1000");
    let text = fs::read_to_string(below.join("cgroup.procs")).unwrap();
    assert!(
        text.contains(&second.pid().as_raw_nonzero().to_string()),
        "{text}"
    );
    // Somebody elsewhere is no guide.
    let me = Pid::from_raw(std::process::id().cast_signed()).unwrap();
    let entry = ours.0.entry_beside(me).unwrap();
    let third = Process::shell(&entry, "sleep 1000");
    assert!(
        ours.read("", "cgroup.procs")
            .contains(&third.pid().as_raw_nonzero().to_string())
    );
}

/// Runs a test of this file as an ordinary user.
fn as_nobody(test: &str) {
    let dir = tempfile::tempdir_in("/tmp").unwrap();
    fs::set_permissions(dir.path(), mode(0o755)).unwrap();
    let exe: PathBuf = dir.path().join("cgroup");
    fs::copy(std::env::current_exe().unwrap(), &exe).unwrap();
    fs::set_permissions(&exe, mode(0o755)).unwrap();
    let out = Command::new(&exe)
        .args(["--exact", test, "--ignored", "--nocapture"])
        .current_dir(Path::new("/"))
        .uid(65534)
        .gid(65534)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&out.stdout).into_owned();
    assert!(out.status.success(), "{text}");
    assert!(text.contains("1 passed"), "{text}");
}

fn mode(bits: u32) -> fs::Permissions {
    std::os::unix::fs::PermissionsExt::from_mode(bits)
}

#[test]
fn without_delegation_there_is_no_cgroup_and_no_limit() {
    as_nobody("rootless_part");
}

#[test]
#[ignore = "is run as an ordinary user by the test before"]
fn rootless_part() {
    let c = Cgroup::plan(None, "wharf-test-rootless", Driver::Cgroupfs, true).unwrap();
    let entry = c.create(Some(&parse(json!({})))).unwrap();
    assert!(entry.directory().is_none());
    assert_eq!(entry.descriptors().count(), 0);
    entry.enter(false).unwrap();
    assert!(!c.exists());
    c.remove().unwrap();
    let e = c
        .create(Some(&parse(json!({"pids": {"limit": 5}}))))
        .unwrap_err()
        .to_string();
    assert!(e.contains("linux.resources.pids.limit"), "{e}");
    assert!(e.contains("delegated"), "{e}");
    // A path that was asked for must be had.
    let c = Cgroup::plan(Some("/wharf-test-rootless"), "x", Driver::Cgroupfs, true).unwrap();
    assert!(c.create(None).is_err());
    assert!(!c.exists());
}

#[test]
fn handed_on_is_only_what_the_kernel_names() {
    use std::os::unix::fs::MetadataExt as _;
    let Some(ours) = Ours::v2() else { return };
    drop(ours.create(json!({})));
    ours.0.delegate(100_000).unwrap();
    let dir = ours.0.dir("").unwrap();
    let owner = |file: &str| fs::metadata(dir.join(file)).unwrap().uid();
    assert_eq!(owner("."), 100_000);
    assert_eq!(owner("cgroup.procs"), 100_000);
    assert_eq!(owner("cgroup.freeze"), 0);
    assert_eq!(owner("cgroup.max.descendants"), 0);
}
