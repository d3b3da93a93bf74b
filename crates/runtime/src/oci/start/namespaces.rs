//! Which namespaces are made, which are joined, and in which order that is possible.

use std::{
    os::fd::{AsFd, OwnedFd},
    path::Path,
};

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Spec};
use rustix::{
    fs::{Gid, Mode, OFlags, Uid, open},
    io::Errno,
    thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid},
};

use crate::oci::{Context, Error, Result};

/// A namespace to be joined.
#[derive(Debug)]
struct Join {
    fd: OwnedFd,
    kind: LinuxNamespaceType,
    path: String,
}

/// The namespaces of a container.
#[derive(Debug)]
pub(crate) struct Namespaces {
    /// Flags of those that are made.
    new: u64,
    joins: Vec<Join>,
    pub(crate) uids: Vec<LinuxIdMapping>,
    pub(crate) gids: Vec<LinuxIdMapping>,
    offsets: String,
}

/// The kernel's flag.
pub(crate) fn flag(kind: LinuxNamespaceType) -> u64 {
    kind as u64
}

impl Namespaces {
    pub(crate) fn new(spec: &Spec) -> Result<Self> {
        let linux = spec.linux().as_ref();
        let mut this = Self {
            new: 0,
            joins: Vec::new(),
            uids: mappings(linux.and_then(|l| l.uid_mappings().as_ref())),
            gids: mappings(linux.and_then(|l| l.gid_mappings().as_ref())),
            offsets: String::new(),
        };
        for namespace in linux.iter().flat_map(|l| l.namespaces()).flatten() {
            let kind = namespace.typ();
            match namespace.path() {
                None => this.new |= flag(kind),
                Some(path) => this.joins.push(open_join(kind, path)?),
            }
        }
        if this.makes(LinuxNamespaceType::User) && (this.uids.is_empty() || this.gids.is_empty()) {
            return Err(Error::config(
                "linux.uidMappings",
                "a new user namespace needs mappings of users and of groups",
            ));
        }
        if let Some(offsets) = linux.and_then(|l| l.time_offsets().as_ref()) {
            if !offsets.is_empty() && !this.makes(LinuxNamespaceType::Time) {
                return Err(Error::config(
                    "linux.timeOffsets",
                    "needs a new time namespace",
                ));
            }
            for (clock, offset) in offsets {
                if clock != "monotonic" && clock != "boottime" {
                    return Err(Error::config(
                        format!("linux.timeOffsets.{clock}"),
                        "the clocks are monotonic and boottime",
                    ));
                }
                let (s, ns) = (offset.secs(), offset.nanosecs());
                let (s, ns) = (s.unwrap_or_default(), ns.unwrap_or_default());
                this.offsets.push_str(&format!("{clock} {s} {ns}\n"));
            }
        }
        Ok(this)
    }

    /// Is one of this kind made?
    pub(crate) fn makes(&self, kind: LinuxNamespaceType) -> bool {
        self.new & flag(kind) != 0
    }

    fn joins(&self, kind: LinuxNamespaceType) -> bool {
        self.joins.iter().any(|j| j.kind == kind)
    }

    /// Is there one of this kind that is not the runtime's own?
    pub(crate) fn has(&self, kind: LinuxNamespaceType) -> bool {
        self.makes(kind) || self.joins(kind)
    }

    /// What the clone makes. A cgroup namespace is made later, when the process is in its cgroup,
    /// since its root is where the process then is; and a time namespace when its offsets are known.
    pub(crate) fn clone_flags(&self) -> u64 {
        self.new & sys::clone::NEW_NAMESPACES & !flag(LinuxNamespaceType::Cgroup)
    }

    /// Must another process stand between, which goes into namespaces before the clone? So that what
    /// is made belongs to a user namespace that is joined, and so that what belongs to the host can
    /// still be joined.
    pub(crate) fn need_go_between(&self) -> bool {
        self.joins(LinuxNamespaceType::Pid)
            || (self.has(LinuxNamespaceType::User) && !self.joins.is_empty())
    }

    /// Does it join a user namespace? Then nothing can be cloned into the host's cgroup: that asks
    /// for the rights of who is root there, where a descriptor that is open asks for none.
    pub(crate) fn joins_users(&self) -> bool {
        self.joins(LinuxNamespaceType::User)
    }

    /// Joins all: what may be joined only from outside of the user namespace first, then that one,
    /// then the rest.
    pub(crate) fn join(&self) -> Result<()> {
        let mut later: Vec<&Join> = Vec::new();
        let user = self
            .joins
            .iter()
            .find(|j| j.kind == LinuxNamespaceType::User);
        for join in self
            .joins
            .iter()
            .filter(|j| j.kind != LinuxNamespaceType::User)
        {
            match sys::clone::join(join.fd.as_fd(), flag(join.kind)) {
                Ok(()) => {}
                Err(e)
                    if user.is_some() && e.raw_os_error() == Some(Errno::PERM.raw_os_error()) =>
                {
                    later.push(join);
                }
                Err(e) => return Err(e).context(|| join.about()),
            }
        }
        if let Some(join) = user {
            sys::clone::join(join.fd.as_fd(), flag(join.kind)).context(|| join.about())?;
            become_root()?;
        }
        for join in later {
            sys::clone::join(join.fd.as_fd(), flag(join.kind)).context(|| join.about())?;
        }
        Ok(())
    }

    /// What `/proc/self/timens_offsets` takes.
    pub(crate) fn time_offsets(&self) -> &str {
        &self.offsets
    }
}

/// Root of the user namespace, with no groups of elsewhere.
pub(crate) fn become_root() -> Result<()> {
    match set_thread_groups(&[]) {
        // Denied for good in a namespace that an ordinary user has made.
        Ok(()) | Err(Errno::PERM) => {}
        Err(e) => return Err(e).context(|| "drop groups"),
    }
    let (gid, uid) = (Gid::from_raw(0), Uid::from_raw(0));
    set_thread_res_gid(gid, gid, gid).context(|| "become group 0 of the user namespace")?;
    set_thread_res_uid(uid, uid, uid).context(|| "become user 0 of the user namespace")
}

impl Join {
    fn about(&self) -> String {
        format!("join the {} namespace {}", self.kind, self.path)
    }
}

fn mappings(given: Option<&Vec<LinuxIdMapping>>) -> Vec<LinuxIdMapping> {
    given.cloned().unwrap_or_default()
}

fn open_join(kind: LinuxNamespaceType, path: &Path) -> Result<Join> {
    let path_text = path.display().to_string();
    let fd = open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .context(|| format!("open the {kind} namespace {path_text}"))?;
    Ok(Join {
        fd,
        kind,
        path: path_text,
    })
}
