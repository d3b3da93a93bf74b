//! What a daemon has left behind, and how to get rid of it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::mount::{UnmountFlags, unmount};
use rustix::process::Signal;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::engine::Engine;
use crate::processes;

/// What was there when the daemon had just started.
#[derive(Debug, Default)]
pub(crate) struct Baseline {
    links: BTreeSet<String>,
    settings: BTreeSet<String>,
    rules: BTreeSet<String>,
    mounts: Vec<PathBuf>,
}

impl Baseline {
    pub(crate) fn of(daemon: &Daemon) -> Self {
        Self {
            links: links(daemon),
            settings: settings(daemon),
            rules: rules(daemon),
            mounts: mounts_under(daemon.dir()),
        }
    }
}

/// What is there although every container is gone. Each entry describes one thing.
#[derive(Debug, Default)]
pub struct Leaks {
    /// Processes of the host or in the daemon's cgroups, other than the daemon.
    pub processes: Vec<String>,
    /// Mount points under the daemon's roots.
    pub mounts: Vec<String>,
    /// Network links that were not there when the daemon had started.
    pub links: Vec<String>,
    /// Addresses and routes of links, and links that 127.0.0.1 is passed on to, likewise.
    pub settings: Vec<String>,
    /// Firewall rules and elements that were not there when the daemon had started.
    pub rules: Vec<String>,
    /// Cgroups below the daemon's parent.
    pub cgroups: Vec<String>,
    /// Files and folders named after containers.
    pub records: Vec<String>,
}

impl Leaks {
    /// True when there is nothing.
    pub fn is_empty(&self) -> bool {
        let Self {
            processes,
            mounts,
            links,
            settings,
            rules,
            cgroups,
            records,
        } = self;
        [processes, mounts, links, settings, rules, cgroups, records]
            .iter()
            .all(|v| v.is_empty())
    }
}

impl std::fmt::Display for Leaks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kinds = [
            ("process", &self.processes),
            ("mount", &self.mounts),
            ("link", &self.links),
            ("setting", &self.settings),
            ("rule", &self.rules),
            ("cgroup", &self.cgroups),
            ("record", &self.records),
        ];
        for (kind, found) in kinds {
            for one in found {
                writeln!(f, "{kind}: {one}")?;
            }
        }
        Ok(())
    }
}

impl Daemon {
    /// The live processes that belong to this daemon: itself, its helpers, what runs in its
    /// containers.
    pub fn processes(&self) -> Vec<u32> {
        owned(self)
    }

    /// What is left of containers now.
    pub fn leaks_now(&self) -> Leaks {
        let new = |now: BTreeSet<String>, then: &BTreeSet<String>| {
            now.difference(then).cloned().collect::<Vec<_>>()
        };
        let text = |paths: Vec<PathBuf>| paths.iter().map(|p| p.display().to_string()).collect();
        Leaks {
            processes: strays(self).into_iter().map(processes::name).collect(),
            mounts: text(self.leaked_mounts()),
            links: new(links(self), &self.baseline().links),
            settings: new(settings(self), &self.baseline().settings),
            rules: new(rules(self), &self.baseline().rules),
            cgroups: text(cgroups(self.cgroup_parent())),
            records: text(records(self)),
        }
    }

    /// Asserts that no container has left anything; what ends a moment later is no leak.
    #[track_caller]
    pub fn assert_no_leaks(&self) {
        let end = Instant::now() + Duration::from_secs(10);
        loop {
            let leaks = self.leaks_now();
            if leaks.is_empty() {
                return;
            }
            assert!(Instant::now() < end, "left behind:\n{leaks}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn leaked_mounts(&self) -> Vec<PathBuf> {
        let mut mounts = mounts_under(self.dir());
        let (then, dockerd) = (&self.baseline().mounts, self.engine() == Engine::Dockerd);
        mounts.retain(|m| !then.contains(m));
        // These it keeps for itself.
        mounts.retain(|m| !dockerd || !(m.ends_with("netns/default") || m.ends_with("data")));
        mounts
    }
}

/// The live processes that belong to a daemon: by its cgroups, or by its host's namespace.
fn owned(daemon: &Daemon) -> Vec<u32> {
    let ns = daemon.host().ns();
    let parent = format!("/{}/", daemon.cgroup_parent());
    let (inode, own) = (ns.inode(), ns.own());
    processes::all()
        .into_iter()
        .filter(|pid| !own.contains(pid) && processes::alive(*pid))
        .filter(|pid| {
            let net = rustix::fs::stat(format!("/proc/{pid}/ns/net"));
            net.is_ok_and(|s| s.st_ino == inode) || processes::cgroups_of(*pid).contains(&parent)
        })
        .collect()
}

/// Those that should not be there when there is no container, and dead children nobody waits for.
fn strays(daemon: &Daemon) -> Vec<u32> {
    let main = daemon.pid_if_running();
    let mut strays = owned(daemon);
    strays.retain(|pid| Some(*pid) != main);
    if daemon.engine() == Engine::Dockerd {
        strays.retain(|pid| !processes::name(*pid).contains("containerd --config"));
    }
    if let Some(main) = main {
        let children = processes::children_of(main);
        strays.extend(children.into_iter().filter(|pid| !processes::alive(*pid)));
    }
    strays
}

/// Mount points at or below `dir`, deepest first.
fn mounts_under(dir: &Path) -> Vec<PathBuf> {
    let info = fs::read_to_string("/proc/self/mountinfo").expect("/proc is mounted");
    let mut points: Vec<_> = info
        .lines()
        .filter_map(|line| line.split(' ').nth(4))
        .map(PathBuf::from)
        .filter(|point| point.starts_with(dir))
        .collect();
    points.sort_by_key(|p| std::cmp::Reverse(p.components().count()));
    points
}

fn links(daemon: &Daemon) -> BTreeSet<String> {
    let list = daemon
        .host()
        .run(Command::new("ip").args(["-json", "link"]))
        .ok();
    let list: Value = serde_json::from_str(&list).unwrap_or_default();
    let names = list.as_array().into_iter().flatten();
    names
        .filter_map(|link| link["ifname"].as_str().map(str::to_owned))
        .collect()
}

/// What links have: addresses, routes, and whether 127.0.0.1 is passed on to them. Not what the kernel gives them
/// when they come up, nor how long it lasts.
fn settings(daemon: &Daemon) -> BTreeSet<String> {
    // dockerd's bridge gets some with its first container.
    if daemon.engine() == Engine::Dockerd {
        return BTreeSet::new();
    }
    let line = "ip -o addr; ip route; ip -6 route; \
                grep -lx 1 /proc/sys/net/ipv4/conf/*/route_localnet || true";
    let list = daemon
        .host()
        .run(Command::new("sh").args(["-c", line]))
        .ok();
    list.lines().filter_map(setting).collect()
}

/// The link by which a test's host reaches others.
const HOSTS: &str = "eth0";

fn setting(line: &str) -> Option<String> {
    let words: Vec<&str> = line.split_whitespace().collect();
    let own = |ip: &str| ip.starts_with("fe80::") && ip != "fe80::1/64";
    match words[..] {
        // Tests change the host's own way out as its operator does; the daemon has no business there.
        _ if words.contains(&HOSTS) => None,
        // `2: eth0 inet 10.0.0.2/24 …`
        [_, link, "inet" | "inet6", ip, ..] => (!own(ip)).then(|| format!("{link} has {ip}")),
        [to, ..] if own(to) || to == "multicast" => None,
        _ => {
            let dev = words.iter().position(|w| *w == "dev");
            let end = dev.map_or(words.len(), |at| (at + 2).min(words.len()));
            Some(words[..end].join(" "))
        }
    }
}

/// Every rule and every element of a set or map, without what changes by itself.
fn rules(daemon: &Daemon) -> BTreeSet<String> {
    let list = daemon
        .host()
        .run(Command::new("nft").args(["--json", "list", "ruleset"]))
        .ok();
    let list: Value = serde_json::from_str(&list).unwrap_or_default();
    let mut rules = BTreeSet::new();
    for mut object in list["nftables"].as_array().cloned().unwrap_or_default() {
        if object.get("metainfo").is_some() {
            continue;
        }
        for kind in ["set", "map"] {
            let name = object[kind]["name"].clone();
            if let Some(elements) = object[kind]["elem"].as_array_mut() {
                rules.extend(elements.drain(..).map(|e| format!("{name}: {e}")));
            }
        }
        settle(&mut object);
        rules.insert(object.to_string());
    }
    rules
}

/// Takes handles and counters out.
fn settle(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.remove("handle");
            map.remove("counter");
            map.values_mut().for_each(settle);
        }
        Value::Array(list) => list.iter_mut().for_each(settle),
        _ => {}
    }
}

/// Every cgroup below `/parent`, in every hierarchy, deepest first.
fn cgroups(parent: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for root in cgroup_roots() {
        descend(&root.join(parent), &mut found);
    }
    found.sort_by_key(|p| std::cmp::Reverse(p.components().count()));
    found
}

fn cgroup_roots() -> Vec<PathBuf> {
    let root = PathBuf::from("/sys/fs/cgroup");
    if root.join("cgroup.procs").exists() {
        return vec![root];
    }
    let entries = fs::read_dir(root).expect("cgroups are mounted").flatten();
    entries
        .map(|e| e.path())
        .filter(|p| p.join("cgroup.procs").exists())
        .collect()
}

fn descend(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|t| t.is_dir()) {
            found.push(entry.path());
            descend(&entry.path(), found);
        }
    }
}

/// Files and folders named by a container's id: 64 hexadecimal digits, outside of what is named
/// by digests of content.
fn records(daemon: &Daemon) -> Vec<PathBuf> {
    const CONTENT: [&str; 8] = [
        "blobs",
        "layers",
        "snapshots",
        "image",
        "overlay2",
        "containerd",
        "buildkit",
        "volumes",
    ];
    fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            let (name, path) = (entry.file_name(), entry.path());
            let name = name.to_string_lossy();
            if CONTENT.contains(&name.as_ref()) {
                continue;
            }
            let id = name.split(['.', '-']).next().unwrap_or_default();
            if id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()) {
                found.push(path);
            } else if depth > 0 && entry.file_type().is_ok_and(|t| t.is_dir()) {
                walk(&path, depth - 1, found);
            }
        }
    }
    let mut found = Vec::new();
    walk(&daemon.dir().join("data"), 3, &mut found);
    walk(&daemon.dir().join("exec"), 3, &mut found);
    found
}

/// Ends all processes of a daemon, its own first, and removes its mounts and cgroups. Goes on
/// past failures: what cannot be removed now is told and left.
pub(crate) fn end_everything(daemon: &mut Daemon) {
    if let Some(pid) = daemon.pid_if_running() {
        processes::signal(pid, Signal::KILL);
    }
    let end = Instant::now() + Duration::from_secs(10);
    loop {
        let owned = owned(daemon);
        if owned.is_empty() {
            break;
        }
        for pid in &owned {
            processes::signal(*pid, Signal::KILL);
        }
        if Instant::now() > end {
            let names: Vec<_> = owned.into_iter().map(processes::name).collect();
            eprintln!("cannot end: {names:?}");
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    for point in mounts_under(daemon.dir()) {
        if let Err(e) = unmount(&point, UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {e}", point.display());
        }
    }
    for root in cgroup_roots() {
        let parent = root.join(daemon.cgroup_parent());
        let mut below = Vec::new();
        descend(&parent, &mut below);
        below.sort_by_key(|p| std::cmp::Reverse(p.components().count()));
        for cgroup in below.iter().chain([&parent]) {
            let _ = fs::remove_dir(cgroup);
        }
    }
}
