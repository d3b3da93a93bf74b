//! Mapping the identities of a new user namespace, from outside.

use std::process::{Command, Stdio};

use oci_spec::runtime::LinuxIdMapping;

use crate::oci::{Context, Error, Result, procfs::Proc};

/// Writes the mappings of the process `pid`. An ordinary user may map only himself, and lets the
/// set-uid programs newuidmap and newgidmap do the rest, which ask `/etc/subuid` and `/etc/subgid`.
pub(super) fn write(
    proc: &Proc,
    pid: i32,
    uids: &[LinuxIdMapping],
    gids: &[LinuxIdMapping],
    rootless: bool,
) -> Result<()> {
    if !rootless {
        proc.write(&format!("{pid}/uid_map"), text(uids).as_bytes())?;
        return proc.write(&format!("{pid}/gid_map"), text(gids).as_bytes());
    }
    let (uid, gid) = (
        rustix::process::geteuid().as_raw(),
        rustix::process::getegid().as_raw(),
    );
    if only(uids, uid) {
        proc.write(&format!("{pid}/uid_map"), text(uids).as_bytes())?;
    } else {
        helper("newuidmap", pid, uids)?;
    }
    if only(gids, gid) {
        // Without it a process could drop a group that denies it something.
        proc.write(&format!("{pid}/setgroups"), b"deny")?;
        proc.write(&format!("{pid}/gid_map"), text(gids).as_bytes())
    } else {
        helper("newgidmap", pid, gids)
    }
}

fn only(list: &[LinuxIdMapping], own: u32) -> bool {
    matches!(list, [one] if one.size() == 1 && one.host_id() == own)
}

fn text(list: &[LinuxIdMapping]) -> String {
    list.iter()
        .map(|m| format!("{} {} {}\n", m.container_id(), m.host_id(), m.size()))
        .collect()
}

fn helper(program: &str, pid: i32, list: &[LinuxIdMapping]) -> Result<()> {
    let mut command = Command::new(program);
    command.arg(pid.to_string());
    for mapping in list {
        for number in [mapping.container_id(), mapping.host_id(), mapping.size()] {
            command.arg(number.to_string());
        }
    }
    command.stdin(Stdio::null());
    sys::process::die_with_parent(&mut command);
    let output = command.output().context(|| {
        format!(
            "run {program} (of the package uidmap), which maps the users of rootless containers"
        )
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(Error::Inside {
        message: format!(
            "{program}: {}: {}",
            output.status,
            String::from_utf8_lossy(&output.stderr).trim()
        ),
        errno: 0,
    })
}
