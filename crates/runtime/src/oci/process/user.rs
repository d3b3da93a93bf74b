//! The user and his groups.

use oci_spec::runtime::User as OciUser;
use rustix::{
    fs::{Gid, Mode, Uid},
    io::Errno,
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::oci::{Context, Error, Result};

#[derive(Debug)]
pub(super) struct User {
    pub(super) uid: u32,
    gid: u32,
    groups: Vec<Gid>,
    umask: Option<u32>,
}

impl User {
    pub(super) fn new(given: &OciUser) -> Result<Self> {
        for (field, id) in [("uid", given.uid()), ("gid", given.gid())] {
            // The kernel takes it for "leave as it is", which would be root.
            if id == u32::MAX {
                return Err(Error::config(
                    format!("process.user.{field}"),
                    format!("{id} is no valid id"),
                ));
            }
        }
        let groups = given.additional_gids().as_deref().unwrap_or_default();
        if groups.contains(&u32::MAX) {
            let problem = format!("{} is no valid id", u32::MAX);
            return Err(Error::config("process.user.additionalGids", problem));
        }
        Ok(Self {
            uid: given.uid(),
            gid: given.gid(),
            groups: groups.iter().map(|g| Gid::from_raw(*g)).collect(),
            umask: given.umask(),
        })
    }

    /// Becomes the user. Groups are set even if there are none: those of whoever started us must
    /// not be had, nor must the primary group be missing from a check for `setgroups`
    /// (CVE-2022-36109).
    pub(super) fn apply(&self) -> Result<()> {
        if let Some(mask) = self.umask {
            rustix::process::umask(Mode::from_raw_mode(mask));
        }
        match set_thread_groups(&self.groups) {
            Ok(()) => {}
            // An unprivileged user namespace may have denied it for good; with nothing to set, what
            // remains are the groups its maker has, which cannot be dropped and were not raised.
            Err(Errno::PERM) if self.groups.is_empty() && setgroups_denied() => {}
            Err(e) => return Err(e).context(|| "set process.user.additionalGids"),
        }
        let (gid, uid) = (Gid::from_raw(self.gid), Uid::from_raw(self.uid));
        set_thread_res_gid(gid, gid, gid).context(|| format!("set group {}", self.gid))?;
        set_thread_res_uid(uid, uid, uid).context(|| format!("set user {}", self.uid))
    }

    /// See [`super::Setup::own_stdio`].
    pub(super) fn own_stdio(&self) -> Result<()> {
        use std::os::fd::AsFd;
        let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
        for fd in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            // A descriptor that is not there is not an error: who started us wanted it so.
            let Ok(stat) = rustix::fs::fstat(fd) else {
                continue;
            };
            let null = rustix::fs::makedev(1, 3);
            if stat.st_uid == self.uid || stat.st_rdev == null {
                continue;
            }
            match rustix::fs::fchown(fd, Some(Uid::from_raw(self.uid)), None) {
                // Not ours to give (a user without a number here, a read-only file system).
                Ok(()) | Err(Errno::INVAL | Errno::PERM | Errno::ROFS) => {}
                Err(e) => return Err(e).context(|| "give standard input and output to the user"),
            }
        }
        Ok(())
    }
}

fn setgroups_denied() -> bool {
    std::fs::read_to_string("/proc/self/setgroups").is_ok_and(|text| text.trim() == "deny")
}
