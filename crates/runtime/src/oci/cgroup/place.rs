//! Where a container's cgroup is, and making its directories.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

use rustix::io::Errno;
use sys::cgroup::Hierarchy;

use super::super::error::{Context, Error, Result};

/// Who makes the cgroup.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Driver {
    /// We do, as directories.
    #[default]
    Cgroupfs,
    /// systemd does, as a scope; `linux.cgroupsPath` is `slice:prefix:name`.
    Systemd,
}

/// The directory of each hierarchy.
pub(super) fn directories(
    hierarchies: &[Hierarchy],
    path: Option<&str>,
    id: &str,
    rootless: bool,
) -> Result<Vec<(Hierarchy, PathBuf)>> {
    let path = path.filter(|p| !p.is_empty()).unwrap_or(id);
    let wrong = |problem: &str| Error::config("linux.cgroupsPath", format!("{path:?} {problem}"));
    if path.contains(':') && path.split(':').count() == 3 && !path.contains('/') {
        return Err(wrong(
            "has the form slice:prefix:name, which is for the systemd driver (--systemd-cgroup)",
        ));
    }
    let (absolute, relative) = match path.strip_prefix('/') {
        Some(rest) => (true, rest),
        None => (false, path),
    };
    if relative.contains('\0') {
        return Err(wrong("contains a zero byte"));
    }
    let parts: Vec<_> = Path::new(relative).components().collect();
    if parts.is_empty() {
        return Err(wrong("is the whole machine: it must name a cgroup"));
    }
    if !parts.iter().all(|p| matches!(p, Component::Normal(_))) {
        return Err(wrong("may not contain . or .."));
    }
    let own = if absolute {
        String::new()
    } else {
        fs::read_to_string("/proc/self/cgroup").context(|| "read /proc/self/cgroup")?
    };
    let mut dirs = Vec::with_capacity(hierarchies.len());
    for h in hierarchies {
        // What an ordinary user may not change on version 1 at all is no place for a container.
        if rootless && h.controllers.is_some() {
            continue;
        }
        let mut dir = h.mount.clone();
        if !absolute {
            let own = own_path(&own, h);
            // On version 2 a cgroup with processes cannot hand its controllers on, and ours has
            // at least us: beside it, not below.
            let base = match h.controllers {
                None => own.parent().unwrap_or(Path::new("/")),
                Some(_) => own,
            };
            dir.extend(
                base.components()
                    .filter(|c| matches!(c, Component::Normal(_))),
            );
        }
        dir.push(relative);
        dirs.push((h.clone(), dir));
    }
    Ok(dirs)
}

/// A process's own cgroup in a hierarchy, out of its `/proc/…/cgroup`.
pub(super) fn own_path<'a>(text: &'a str, h: &Hierarchy) -> &'a Path {
    let found = text.lines().find_map(|line| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (names, path) = (parts.next()?, parts.next()?);
        let same = match &h.controllers {
            None => names.is_empty(),
            Some(own) => names.split(',').any(|n| own.iter().any(|o| o == n)),
        };
        same.then_some(path)
    });
    Path::new(found.unwrap_or("/"))
}

/// What was made, for the case that it comes to nothing.
#[derive(Debug, Default)]
pub(super) struct Made(Vec<PathBuf>);

impl Made {
    /// Was this directory made, or was it there?
    pub(super) fn has(&self, dir: &Path) -> bool {
        self.0.iter().any(|d| d == dir)
    }

    /// Removes what was made, the innermost first.
    pub(super) fn undo(&self) {
        for dir in self.0.iter().rev() {
            // Where another container has come in meanwhile, the kernel says no, rightly.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// Makes the directories, and hands the controllers on to them: version 2's by
/// `cgroup.subtree_control`, and the processors and memory nodes of version 1's cpuset, which begins
/// empty and takes no process before it has both.
///
/// Beside version 1, version 2 has few controllers or none, which most containers do not need:
/// they are handed on if `everything` is.
pub(super) fn make(dirs: &[(Hierarchy, PathBuf)], everything: bool) -> Result<Made> {
    let everything = everything || is_unified(dirs);
    let mut made = Made::default();
    for (h, dir) in dirs {
        let mut tries = 0;
        while let Err(e) = make_one(h, dir, everything, &mut made) {
            tries += 1;
            // Another start that came to nothing has taken a parent away that it had made.
            let again = e.errno() == Some(Errno::NOENT.raw_os_error()) && tries < 5;
            if !again {
                made.undo();
                return Err(e);
            }
        }
    }
    Ok(made)
}

fn make_one(h: &Hierarchy, dir: &Path, everything: bool, made: &mut Made) -> Result<()> {
    let mut missing = Vec::new();
    match h.controllers {
        // Whoever made the parents has handed on what they have; the container's own directory is
        // the only one that is usually missing.
        Some(_) => {
            let mut at = dir;
            while at != h.mount {
                match fs::create_dir(at) {
                    Ok(()) => {
                        made.0.push(at.to_owned());
                        break;
                    }
                    Err(e) if e.kind() == io::ErrorKind::AlreadyExists => break,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => {
                        missing.push(at);
                        let Some(parent) = at.parent() else { break };
                        at = parent;
                    }
                    Err(e) => return Err(failed(at, e)),
                }
            }
            for at in missing.into_iter().rev() {
                create(at, made)?;
            }
            if h.has("cpuset") {
                fill_cpuset(&h.mount, dir)?;
            }
        }
        None => {
            let Ok(below) = dir.strip_prefix(&h.mount) else {
                return Ok(());
            };
            let mut at = h.mount.clone();
            for part in below.components() {
                if everything {
                    hand_on(&at)?;
                }
                at.push(part);
                create(&at, made)?;
            }
        }
    }
    Ok(())
}

fn failed(dir: &Path, e: io::Error) -> Error {
    Error::System {
        what: format!("make cgroup {}", dir.display()),
        source: e,
    }
}

fn create(dir: &Path, made: &mut Made) -> Result<()> {
    match fs::create_dir(dir) {
        Ok(()) => made.0.push(dir.to_owned()),
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
        Err(e) => return Err(failed(dir, e)),
    }
    Ok(())
}

/// Lets the cgroups below `dir` have every controller that `dir` has. One that cannot be had is not
/// an error here: a limit that needs it will name it.
fn hand_on(dir: &Path) -> Result<()> {
    let file = dir.join("cgroup.controllers");
    let have = fs::read_to_string(&file).context(|| format!("read {}", file.display()))?;
    if have.trim().is_empty() {
        return Ok(());
    }
    let file = dir.join("cgroup.subtree_control");
    let given = fs::read_to_string(&file).context(|| format!("read {}", file.display()))?;
    let given: Vec<&str> = given.split_whitespace().collect();
    let wanted: Vec<String> = have
        .split_whitespace()
        .filter(|c| !given.contains(c))
        .map(|c| format!("+{c}"))
        .collect();
    if wanted.is_empty() || fs::write(&file, wanted.join(" ")).is_ok() {
        return Ok(());
    }
    // All or nothing is the kernel's rule for one write: one at a time brings what can be had.
    for controller in wanted {
        let _ = fs::write(&file, controller);
    }
    Ok(())
}

/// Is version 2 all there is? (systemd's own hierarchy has no controllers.)
fn is_unified(dirs: &[(Hierarchy, PathBuf)]) -> bool {
    dirs.iter().all(|(h, _)| {
        let names = h.controllers.as_deref().unwrap_or_default();
        names.iter().all(|c| c.starts_with("name="))
    })
}

/// Hands version 2's controllers on to a cgroup that exists.
pub(super) fn hand_on_to(dirs: &[(Hierarchy, PathBuf)]) -> Result<()> {
    for (h, dir) in dirs.iter().filter(|(h, _)| h.controllers.is_none()) {
        let mut above: Vec<&Path> = dir
            .ancestors()
            .skip(1)
            .take_while(|d| d.starts_with(&h.mount))
            .collect();
        above.reverse();
        for dir in above {
            hand_on(dir)?;
        }
    }
    Ok(())
}

/// Gives the container's root the cgroup and those files in it that the kernel names.
pub(super) fn delegate(dirs: &[(Hierarchy, PathBuf)], uid: u32) -> Result<()> {
    let files = fs::read_to_string("/sys/kernel/cgroup/delegate")
        .unwrap_or_else(|_| "cgroup.procs\ncgroup.subtree_control\ncgroup.threads\n".to_owned());
    for (_, dir) in dirs.iter().filter(|(h, _)| h.controllers.is_none()) {
        std::os::unix::fs::chown(dir, Some(uid), None)
            .context(|| format!("give {} to user {uid}", dir.display()))?;
        for file in files.lines().map(|f| dir.join(f)) {
            match std::os::unix::fs::chown(&file, Some(uid), None) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                other => other.context(|| format!("give {} to user {uid}", file.display()))?,
            }
        }
    }
    Ok(())
}

/// Copies what the parent has into what is empty, from the top down.
fn fill_cpuset(mount: &Path, dir: &Path) -> Result<()> {
    for name in ["cpuset.cpus", "cpuset.mems"] {
        fill(mount, dir, name)?;
    }
    Ok(())
}

fn fill(mount: &Path, dir: &Path, name: &str) -> Result<String> {
    let file = dir.join(name);
    let has = fs::read_to_string(&file).context(|| format!("read {}", file.display()))?;
    let has = has.trim();
    if !has.is_empty() || dir == mount {
        return Ok(has.to_owned());
    }
    let Some(parent) = dir.parent() else {
        return Ok(String::new());
    };
    let value = fill(mount, parent, name)?;
    fs::write(&file, &value).context(|| format!("write {value:?} to {}", file.display()))?;
    Ok(value)
}
