//! Labels of AppArmor and SELinux.
//!
//! They are written to files of procfs, and a container must not be able to put something else in
//! their place (CVE-2019-16884, CVE-2025-31133, CVE-2025-52881): the files are opened before the
//! container's mounts are seen, on a procfs that was verified, and a label that was not taken is an
//! error.

use std::os::fd::OwnedFd;

use oci_spec::runtime::Process;

use crate::oci::{Context, Error, Result, procfs::Proc};

/// What a process shall be labelled as, from exec on.
#[derive(Debug, Clone, Default)]
pub struct Labels {
    apparmor: Option<String>,
    selinux: Option<String>,
}

/// The files, opened by the process itself.
#[derive(Debug, Default)]
pub struct Opened {
    writes: Vec<(OwnedFd, String, &'static str)>,
}

impl Labels {
    pub(super) fn new(process: &Process) -> Result<Self> {
        let given = |field: &str, value: &Option<String>| match value.as_deref() {
            None | Some("") => Ok(None),
            Some(label) if label.contains(['\0', '\n']) => Err(Error::config(
                field,
                "must not contain a zero byte or a line's end",
            )),
            Some(label) => Ok(Some(label.to_owned())),
        };
        Ok(Self {
            apparmor: given("process.apparmorProfile", process.apparmor_profile())?,
            selinux: given("process.selinuxLabel", process.selinux_label())?,
        })
    }

    /// Opens what will be written to. To be called by the process that is to be labelled, while it
    /// still sees the host's procfs.
    pub fn open(&self, proc: &Proc) -> Result<Opened> {
        let mut writes = Vec::new();
        if let Some(profile) = &self.apparmor {
            // The interface of its own, where the kernel has it: the common one may be another
            // security module's.
            let fd = match proc.open_own("attr/apparmor/exec") {
                Err(e) if e.errno() == Some(rustix::io::Errno::NOENT.raw_os_error()) => {
                    proc.open_own("attr/exec")
                }
                other => other,
            };
            match fd {
                Ok(fd) => writes.push((fd, format!("exec {profile}"), "process.apparmorProfile")),
                // Nothing is confined here, and that is what was asked for.
                Err(_) if profile == "unconfined" => {}
                Err(e) => return Err(e),
            }
        }
        if let Some(label) = &self.selinux {
            let fd = proc.open_own("attr/exec")?;
            writes.push((fd, label.clone(), "process.selinuxLabel"));
        }
        Ok(Opened { writes })
    }
}

impl Opened {
    pub(super) fn write(self) -> Result<()> {
        for (fd, text, field) in self.writes {
            match rustix::io::write(&fd, text.as_bytes()) {
                Ok(n) if n == text.len() => {}
                // A kernel without the module has the file but takes nothing.
                Err(rustix::io::Errno::INVAL | rustix::io::Errno::NODEV)
                    if text == "exec unconfined" => {}
                Ok(_) => return Err(Error::State(format!("{field}: {text:?} was not taken"))),
                Err(e) => return Err(e).context(|| format!("{field}: write {text:?}")),
            }
        }
        Ok(())
    }
}
