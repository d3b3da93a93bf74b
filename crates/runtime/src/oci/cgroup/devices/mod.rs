//! `linux.resources.devices`: which devices may be used, whatever nodes the container makes.
//!
//! Everything is denied to begin with; rules are in order, and of those that match the last wins,
//! for reading, writing and making nodes apart. After the configuration's come the devices that
//! every container has, as with runc. Version 1 has lists, which cannot say everything: what they
//! cannot is refused. On version 2 a small program says what the rules say.

mod lists;
mod program;
mod rules;

use std::os::fd::AsFd;

use oci_spec::runtime::LinuxDeviceCgroup;
use rustix::{
    fs::{CWD, Mode, OFlags, openat},
    io::Errno,
};

use super::{
    super::error::{Context, Result},
    limits::knob::{Controller, Controllers},
};

const NAME: &str = "linux.resources.devices";

/// Sets the rules. `fresh`: there is no process in the cgroup yet. `rootless`: an ordinary user
/// may load no program; it can make no device nodes either, so the rules would guard nothing.
pub(super) fn apply(
    have: &Controllers<'_>,
    wanted: &[LinuxDeviceCgroup],
    fresh: bool,
    rootless: bool,
) -> Result<()> {
    let rules = rules::parse(wanted)?;
    match have.find("devices", "") {
        Some((false, dir)) => lists::apply(&Controller::open(dir, false)?, &rules, fresh),
        Some((true, dir)) => {
            let done = on_v2(dir, &program::generate(&rules), fresh);
            match done {
                Err(e) if rootless && e.errno() == Some(Errno::PERM.raw_os_error()) => Ok(()),
                other => other,
            }
        }
        // Nothing to hold anybody with: only rules that hold nobody are fulfilled.
        None if rules::allow_all(&rules) || rootless => Ok(()),
        None => have.need("devices", "", NAME).map(drop),
    }
}

fn on_v2(dir: &std::path::Path, program: &[sys::bpf::Instruction], fresh: bool) -> Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let cgroup = openat(CWD, dir, flags, Mode::empty())
        .context(|| format!("open cgroup {}", dir.display()))?;
    let cgroup = cgroup.as_fd();
    let loaded =
        sys::bpf::load_device(program).context(|| format!("{NAME}: load the eBPF program"))?;
    let attach = |old| {
        sys::bpf::attach_device(cgroup, loaded.as_fd(), old)
            .context(|| format!("{NAME}: attach the eBPF program to {}", dir.display()))
    };
    if fresh {
        return attach(None);
    }
    let old = sys::bpf::device_programs(cgroup)
        .context(|| format!("{NAME}: look for the eBPF program of {}", dir.display()))?;
    match &old[..] {
        // In one step: there is no moment without rules.
        [one] => attach(Some(one.as_fd())),
        many => {
            attach(None)?;
            for one in many {
                sys::bpf::detach_device(cgroup, one.as_fd())
                    .context(|| format!("{NAME}: detach the old eBPF program"))?;
            }
            Ok(())
        }
    }
}
