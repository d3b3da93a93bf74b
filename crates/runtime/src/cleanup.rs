//! What is left when a container is gone, and when its shim was killed: then the container is
//! still there, and this ends it.

use std::{fs, io, path::Path, time::Duration};

use sys::cgroup::Cgroup;

use crate::Error;

/// How long processes that were killed may take to vanish: one that writes out its memory to a
/// slow disk takes seconds.
const PATIENCE: Duration = Duration::from_secs(20);

/// Where a container may have left something.
#[derive(Debug, Clone, Copy)]
pub struct Remains<'a> {
    /// Its id.
    pub id: &'a str,
    /// The `cgroupsPath` of its `config.json`.
    pub cgroup: &'a str,
    /// The runtime's state directory.
    pub runtime_root: &'a Path,
}

/// Kills what still runs in the container's cgroup, removes the cgroup and the runtime's state.
/// Goes on past a failure and tells all of them; may be repeated; nothing to do is success.
///
/// This blocks, normally for less than a millisecond.
pub fn cleanup(remains: Remains<'_>) -> Result<(), Error> {
    let mut failures = Vec::new();
    match Cgroup::new(remains.cgroup) {
        Ok(cgroup) => {
            if let Err(e) = cgroup.kill_all(PATIENCE, || ()) {
                failures.push(e.to_string());
            }
            if let Err(e) = cgroup.remove(PATIENCE) {
                failures.push(e.to_string());
            }
        }
        Err(e) => failures.push(e.to_string()),
    }
    if let Err(e) = remove_state(remains) {
        failures.push(e.to_string());
    }
    if failures.is_empty() {
        Ok(())
    } else {
        Err(Error::Cleanup {
            id: remains.id.to_owned(),
            reason: failures.join("; "),
        })
    }
}

fn remove_state(remains: Remains<'_>) -> io::Result<()> {
    // A name with a slash, or a dotted one, would lead elsewhere.
    if remains.id.is_empty() || remains.id.contains('/') || remains.id.starts_with('.') {
        return Err(io::Error::other(format!(
            "{:?} is no container's id",
            remains.id
        )));
    }
    match fs::remove_dir_all(remains.runtime_root.join(remains.id)) {
        Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_to_do_is_success_and_nonsense_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let remains = |id, cgroup| Remains {
            id,
            cgroup,
            runtime_root: root.path(),
        };
        cleanup(remains("abc", "/wharf-test-none/abc")).unwrap();
        fs::create_dir(root.path().join("abc")).unwrap();
        cleanup(remains("abc", "/wharf-test-none/abc")).unwrap();
        assert!(!root.path().join("abc").exists());
        for (id, cgroup) in [
            ("", "/a/b"),
            ("..", "/a/b"),
            ("a/b", "/a/b"),
            ("a", "/"),
            ("a", ""),
        ] {
            assert!(cleanup(remains(id, cgroup)).is_err(), "{id:?} {cgroup:?}");
        }
    }
}
