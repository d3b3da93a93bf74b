//! All processes of a container: those in its cgroup, or where it has none those in its process
//! namespace.

use std::{fs, path::PathBuf};

use super::signal;
use crate::oci::{Error, Result, cgroup::Cgroup, state::State};

/// A container's processes.
pub(super) struct Group {
    cgroup: Option<Cgroup>,
    init: Option<i32>,
}

impl Group {
    /// Those of the container that `state` describes.
    pub(super) fn of(state: &State) -> Result<Self> {
        let cgroup = (!state.cgroup.is_empty()).then(|| Cgroup::from_paths(&state.cgroup));
        let cgroup = cgroup.transpose()?.filter(Cgroup::exists);
        let cgroup = cgroup.map(|c| match &state.unit {
            Some(unit) => c.with_unit(unit),
            None => c,
        });
        Ok(Self {
            cgroup,
            init: state.init.filter(|p| p.is_alive()).map(|p| p.pid),
        })
    }

    /// Its cgroup.
    pub(super) fn cgroup(&self) -> Result<&Cgroup> {
        self.cgroup
            .as_ref()
            .ok_or_else(|| Error::State("the container has no cgroup".to_owned()))
    }

    /// Their numbers, as we count.
    pub(super) fn pids(&self) -> Result<Vec<i32>> {
        if let Some(cgroup) = &self.cgroup {
            return Ok(cgroup.pids());
        }
        let Some(init) = self.init else {
            return Ok(Vec::new());
        };
        let (own, its) = (namespace("self"), namespace(&init.to_string()));
        if its.is_none() || own == its {
            return Err(Error::State(
                "the container has neither a cgroup nor a process namespace of its own by which \
                 its processes could be told"
                    .to_owned(),
            ));
        }
        let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
        let numbers = numbers.filter_map(|e| e.file_name().to_str()?.parse::<i32>().ok());
        let mut pids: Vec<i32> = numbers
            .filter(|pid| namespace(&pid.to_string()) == its)
            .collect();
        pids.sort_unstable();
        Ok(pids)
    }

    /// Are they stopped for a while?
    pub(super) fn is_frozen(&self) -> bool {
        self.cgroup
            .as_ref()
            .is_some_and(|c| c.is_frozen().unwrap_or(false))
    }

    /// Lets a signal that cannot be refused take effect also while they are frozen.
    pub(super) fn let_die(&self, signal: i32) -> Result<()> {
        match &self.cgroup {
            Some(cgroup) if signal == signal::KILL && self.is_frozen() => cgroup.thaw(),
            _ => Ok(()),
        }
    }

    /// Kills all and waits until they are gone, then removes the cgroup.
    pub(super) fn remove(&self) -> Result<()> {
        match &self.cgroup {
            Some(cgroup) => cgroup.kill_all(|| ()).and_then(|()| cgroup.remove()),
            None => Ok(()),
        }
    }
}

/// The name of a process's process namespace.
fn namespace(process: &str) -> Option<PathBuf> {
    fs::read_link(format!("/proc/{process}/ns/pid")).ok()
}
