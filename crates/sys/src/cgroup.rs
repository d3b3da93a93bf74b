//! Control groups as directories, version 1, 2 and both at once ("hybrid").
//!
//! A container's cgroup is one path that exists in every hierarchy. Whoever cleans up must not
//! trust that path blindly: an empty or dotted one would mean the whole machine.

use std::{
    collections::BTreeSet,
    fs, io,
    path::{Component, Path, PathBuf},
    time::{Duration, Instant},
};

use rustix::process::Pid;

/// A mounted hierarchy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hierarchy {
    /// Where it is mounted.
    pub mount: PathBuf,
    /// The controllers of version 1 (`name=…` among them); `None` for version 2.
    pub controllers: Option<Vec<String>>,
}

impl Hierarchy {
    /// Is this the hierarchy of version 1 that has `controller`?
    pub fn has(&self, controller: &str) -> bool {
        self.controllers
            .as_ref()
            .is_some_and(|c| c.iter().any(|c| c == controller))
    }
}

/// All hierarchies that are mounted.
pub fn hierarchies() -> io::Result<Vec<Hierarchy>> {
    Ok(parse_mountinfo(&fs::read_to_string(
        "/proc/self/mountinfo",
    )?))
}

fn parse_mountinfo(text: &str) -> Vec<Hierarchy> {
    let mut found: Vec<Hierarchy> = Vec::new();
    for line in text.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mut right = right.split(' ');
        let kind = right.next().unwrap_or_default();
        let controllers = match kind {
            "cgroup2" => None,
            "cgroup" => Some(
                right
                    .nth(1)
                    .unwrap_or_default()
                    .split(',')
                    .filter(|o| !matches!(*o, "rw" | "ro" | "xattr" | "clone_children"))
                    .filter(|o| !o.starts_with("release_agent="))
                    .map(str::to_owned)
                    .collect(),
            ),
            _ => continue,
        };
        let Some(mount) = left.split(' ').nth(4) else {
            continue;
        };
        // Mounted twice, the first is as good as the second.
        if !found.iter().any(|h| h.controllers == controllers) {
            found.push(Hierarchy {
                mount: PathBuf::from(mount),
                controllers,
            });
        }
    }
    found
}

/// One cgroup path in all hierarchies.
#[derive(Debug, Clone)]
pub struct Cgroup {
    dirs: Vec<(Hierarchy, PathBuf)>,
}

impl Cgroup {
    /// The cgroup at `path`, which must be absolute and below the root, without `.` and `..`. It
    /// need not exist.
    pub fn new(path: &str) -> io::Result<Self> {
        Self::within(hierarchies()?, path)
    }

    fn within(hierarchies: Vec<Hierarchy>, path: &str) -> io::Result<Self> {
        let bad = || {
            io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{path:?} is no cgroup of a container: it must begin with / and name one"),
            )
        };
        let relative = path.strip_prefix('/').ok_or_else(bad)?;
        let mut names = 0;
        for part in Path::new(relative).components() {
            match part {
                Component::Normal(_) => names += 1,
                _ => return Err(bad()),
            }
        }
        if names == 0 {
            return Err(bad());
        }
        let dirs = hierarchies
            .into_iter()
            .map(|h| {
                let dir = h.mount.join(relative);
                (h, dir)
            })
            .collect();
        Ok(Self { dirs })
    }

    /// A cgroup whose directories are known already, one a hierarchy. Each must lie below its
    /// hierarchy's mount, without `.` and `..`.
    pub fn from_dirs(dirs: Vec<(Hierarchy, PathBuf)>) -> io::Result<Self> {
        for (h, dir) in &dirs {
            let below = dir.strip_prefix(&h.mount).is_ok_and(|rest| {
                rest.components().next().is_some()
                    && rest.components().all(|c| matches!(c, Component::Normal(_)))
            });
            if !below {
                return Err(io::Error::new(
                    io::ErrorKind::InvalidInput,
                    format!(
                        "{} is no cgroup of a container below {}",
                        dir.display(),
                        h.mount.display()
                    ),
                ));
            }
        }
        Ok(Self { dirs })
    }

    /// Its directory in every hierarchy, whether it exists or not.
    pub fn dirs(&self) -> &[(Hierarchy, PathBuf)] {
        &self.dirs
    }

    /// Its directory for a controller: that of version 1, or the one of version 2.
    pub fn dir(&self, controller: &str) -> Option<&Path> {
        let v1 = self.dirs.iter().find(|(h, _)| {
            h.controllers
                .as_ref()
                .is_some_and(|c| c.iter().any(|c| c == controller))
        });
        v1.or_else(|| self.dirs.iter().find(|(h, _)| h.controllers.is_none()))
            .map(|(_, dir)| dir.as_path())
    }

    /// Does it exist in any hierarchy?
    pub fn exists(&self) -> bool {
        self.dirs.iter().any(|(_, dir)| dir.is_dir())
    }

    /// Every process in it or below, in any hierarchy.
    pub fn processes(&self) -> BTreeSet<i32> {
        let mut pids = BTreeSet::new();
        for (_, dir) in &self.dirs {
            for dir in tree(dir) {
                let Ok(text) = fs::read_to_string(dir.join("cgroup.procs")) else {
                    continue;
                };
                pids.extend(text.lines().filter_map(|l| l.parse::<i32>().ok()));
            }
        }
        // 0 is a process of another pid namespace: not ours to name.
        pids.remove(&0);
        pids
    }

    /// How many processes the kernel has killed in it for lack of memory.
    pub fn oom_kills(&self) -> u64 {
        let Some(dir) = self.dir("memory") else {
            return 0;
        };
        ["memory.events", "memory.oom_control"]
            .iter()
            .filter_map(|name| fs::read_to_string(dir.join(name)).ok())
            .flat_map(|text| {
                text.lines()
                    .filter_map(|l| l.strip_prefix("oom_kill "))
                    .filter_map(|n| n.trim().parse().ok())
                    .collect::<Vec<u64>>()
            })
            .max()
            .unwrap_or(0)
    }

    /// Kills everything in it, and waits until it is empty; `each_round` is called while waiting
    /// (to reap, if the processes are the caller's children). Refuses to if the caller is inside.
    pub fn kill_all(&self, patience: Duration, mut each_round: impl FnMut()) -> io::Result<()> {
        let mut pids = self.processes();
        if pids.is_empty() {
            return Ok(());
        }
        let own = rustix::process::getpid().as_raw_nonzero().get();
        if pids.contains(&own) {
            return Err(io::Error::other(format!(
                "process {own} itself is in the cgroup that it should empty"
            )));
        }
        let end = Instant::now() + patience;
        let mut pause = Duration::from_micros(200);
        while !pids.is_empty() {
            self.kill_once(&pids);
            each_round();
            pids = self.processes();
            if pids.is_empty() {
                break;
            }
            if Instant::now() > end {
                return Err(io::Error::other(format!(
                    "processes {pids:?} do not die, not even of SIGKILL"
                )));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(20));
            each_round();
            pids = self.processes();
        }
        Ok(())
    }

    fn kill_once(&self, pids: &BTreeSet<i32>) {
        // Version 2 does it in one step, against which no fork bomb can win.
        for (h, dir) in &self.dirs {
            if h.controllers.is_none() {
                let _ = fs::write(dir.join("cgroup.kill"), "1");
            }
        }
        // On version 1 what is frozen cannot fork; it dies when thawed. (A container that was
        // paused is thawed too.)
        self.freeze(true);
        for pid in pids.iter().copied().chain(self.processes()) {
            if let Some(pid) = Pid::from_raw(pid) {
                let _ = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
            }
        }
        self.freeze(false);
    }

    fn freeze(&self, frozen: bool) {
        for (h, dir) in &self.dirs {
            match &h.controllers {
                Some(c) if c.iter().any(|c| c == "freezer") => {
                    for dir in tree(dir) {
                        let state = if frozen { "FROZEN" } else { "THAWED" };
                        let _ = fs::write(dir.join("freezer.state"), state);
                    }
                }
                Some(_) => {}
                None if !frozen => {
                    let _ = fs::write(dir.join("cgroup.freeze"), "0");
                }
                None => {}
            }
        }
    }

    /// Removes it, and what is below it, from every hierarchy. Nothing to remove is success.
    pub fn remove(&self, patience: Duration) -> io::Result<()> {
        let end = Instant::now() + patience;
        for (_, dir) in &self.dirs {
            for dir in tree(dir).iter().rev() {
                loop {
                    match fs::remove_dir(dir) {
                        Ok(()) => break,
                        Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                        // What was just killed is counted for a moment longer.
                        Err(e)
                            if e.kind() == io::ErrorKind::ResourceBusy && Instant::now() < end =>
                        {
                            std::thread::sleep(Duration::from_millis(1));
                        }
                        Err(e) => {
                            return Err(io::Error::new(
                                e.kind(),
                                format!("cannot remove cgroup {}: {e}", dir.display()),
                            ));
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// A directory and all below it, parents first; none if it is not there.
fn tree(dir: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut todo = vec![dir.to_owned()];
    while let Some(dir) = todo.pop() {
        let Ok(entries) = fs::read_dir(&dir) else {
            continue;
        };
        todo.extend(
            entries
                .flatten()
                .filter(|e| e.file_type().is_ok_and(|t| t.is_dir()))
                .map(|e| e.path()),
        );
        all.push(dir);
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFO: &str = "\
30 24 0:26 / /sys/fs/cgroup ro,nosuid - tmpfs tmpfs ro,mode=755
31 30 0:27 / /sys/fs/cgroup/unified rw shared:9 - cgroup2 cgroup2 rw,nsdelegate
33 30 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
34 30 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,release_agent=/x,name=systemd
35 30 0:30 / /elsewhere rw - cgroup cgroup rw,xattr,name=systemd
";

    #[test]
    fn finds_hierarchies() {
        let found = parse_mountinfo(INFO);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0].controllers, None);
        assert_eq!(
            found[1].controllers,
            Some(vec!["cpu".into(), "cpuacct".into()])
        );
        let cgroup = Cgroup::within(found, "/wharf/x").unwrap();
        assert_eq!(
            cgroup.dir("cpu"),
            Some(Path::new("/sys/fs/cgroup/cpu,cpuacct/wharf/x"))
        );
        assert_eq!(
            cgroup.dir("memory"),
            Some(Path::new("/sys/fs/cgroup/unified/wharf/x"))
        );
    }

    #[test]
    fn never_the_whole_machine() {
        for bad in ["", "/", "//", "/..", "/a/../..", "relative", "/.", "/./"] {
            assert!(Cgroup::within(vec![], bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn kills_and_removes() {
        let path = format!("/wharf-test-{}-{:p}", std::process::id(), &INFO);
        let cgroup = Cgroup::new(&path).unwrap();
        let dir = cgroup
            .dir("pids")
            .or(cgroup.dir("freezer"))
            .unwrap()
            .to_owned();
        fs::create_dir_all(dir.join("child")).unwrap();
        if let Some(freezer) = cgroup.dir("freezer") {
            fs::create_dir_all(freezer).unwrap();
        }
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("1000")
            .spawn()
            .unwrap();
        fs::write(dir.join("child/cgroup.procs"), child.id().to_string()).unwrap();
        assert_eq!(cgroup.processes().len(), 1);
        cgroup.kill_all(Duration::from_secs(10), || ()).unwrap();
        assert!(!child.wait().unwrap().success());
        cgroup.remove(Duration::from_secs(10)).unwrap();
        assert!(!cgroup.exists());
        cgroup.remove(Duration::ZERO).unwrap();
    }
}
