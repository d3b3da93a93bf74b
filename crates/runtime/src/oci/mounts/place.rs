//! Each mount to its place.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, StatxFlags};
use rustix::io::Errno;

use super::options::{MS_PRIVATE, MS_SLAVE};
use super::resolve::{Kind, find, find_or_make, ordinary_directory};
use super::tree::{Tree, Wish};
use super::{Item, Plan, Source, copyup, fresh, prepare};
use crate::oci::error::{Context as _, Error, Result};

/// What `statfs` calls procfs.
const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// Files in `/proc` that may be replaced: none of them is ever written to by a runtime, and
/// programs that show a container's own limits there do it so.
const REPLACEABLE: [&str; 11] = [
    "proc/cpuinfo",
    "proc/diskstats",
    "proc/meminfo",
    "proc/stat",
    "proc/swaps",
    "proc/uptime",
    "proc/loadavg",
    "proc/slabinfo",
    "proc/net/dev",
    "proc/sys/kernel/ns_last_pid",
    "proc/sys/crypto/fips_enabled",
];

/// Where a mount goes.
enum Target {
    /// What was found, with its mode if it was there before.
    Found { fd: OwnedFd, mode: Option<u32> },
    /// A name in our own `/dev`.
    Name(String),
}

impl Target {
    fn mode(&self) -> Option<u32> {
        match self {
            Self::Found { mode, .. } => *mode,
            Self::Name(_) => None,
        }
    }
}

impl Plan {
    pub(super) fn mount_all(&mut self) -> Result<()> {
        for mut item in std::mem::take(&mut self.items) {
            // Taken out, so that the source can be used up while the plan is.
            let source = std::mem::replace(&mut item.source, Source::CgroupV1(Vec::new()));
            match source {
                Source::Bind { path, tree, .. } => {
                    let shown = path.display().to_string();
                    let tree = tree.ok_or_else(|| Error::State(format!("{shown} is not open")))?;
                    self.mount_bind(&item, &shown, tree)?;
                }
                Source::Fresh { fs, source } => self.mount_fresh(&item, &fs, source.as_deref())?,
                Source::CgroupV1(parts) => self.mount_cgroup_v1(&item, parts)?,
            }
        }
        self.make_devices()
    }

    fn mount_bind(&mut self, item: &Item, source: &str, mut tree: Tree) -> Result<()> {
        let about = || prepare::about(item, source);
        let kind = tree.kind().context(about)?;
        let target = find_or_make(self.root()?, &item.destination, kind).context(about)?;
        if self.check_target(item, target.as_fd(), Some(&tree))?.0 != kind {
            // move_mount(2) only says that it is invalid.
            return Err(io::Error::from(Errno::NOTDIR)).context(|| {
                format!(
                    "{}: Are you trying to mount a directory onto a file (or vice-versa)? Check \
                     if the specified host path exists and is the expected type",
                    about()
                )
            });
        }
        tree.attach(target.as_fd(), &self.inside.old)
            .context(about)?;
        self.inside.parked.park([target]);
        self.remember(item, tree, None)
    }

    fn mount_fresh(&mut self, item: &Item, fs: &str, source: Option<&str>) -> Result<()> {
        let about = || prepare::about(item, source.unwrap_or(fs));
        let target = self.target(item, fs, source.unwrap_or(fs))?;
        let mut attrs = item.options.attrs;
        attrs.set |= item.options.rec_attrs.set;
        // Others are mounted in it, or nodes made.
        let later = attrs.readonly() && (fs == "tmpfs" || item.destination == Path::new("dev"));
        if later {
            attrs = attrs.without_readonly();
        }
        let context = self
            .label
            .as_deref()
            .filter(|_| !matches!(fs, "proc" | "sysfs" | "mqueue"));
        // As the directory was, unless something else is asked for.
        let mode = target.mode().filter(|_| fs == "tmpfs");
        let wanted = fresh::Wanted {
            fs,
            source,
            options: &item.options,
            attrs,
            context,
            mode,
        };
        let made = fresh::mount(&wanted);
        let mut tree = match made {
            Err(e) if fs == "sysfs" && e.kind() == io::ErrorKind::PermissionDenied => {
                self.host_sys(item)?
            }
            made => made.context(about)?,
        };
        if item.options.tmpcopyup
            && let Target::Found { fd, .. } = &target
        {
            let about = || format!("{}: tmpcopyup", about());
            copyup::copy(fd.as_fd(), tree.fd()).context(about)?;
        }
        // New mounts are private, and have no master.
        let propagation = item
            .options
            .propagation
            .filter(|p| p.kind != MS_PRIVATE && p.kind != MS_SLAVE);
        if propagation.is_some() {
            let wish = Wish {
                propagation,
                ..Wish::default()
            };
            tree.wish(wish, self.kernel).context(about)?;
        }
        match &target {
            Target::Found { fd, .. } => tree.attach(fd.as_fd(), &self.inside.old),
            Target::Name(name) => tree.attach_at(self.own_dev(about)?, name, &self.inside.old),
        }
        .context(about)?;
        if later {
            let fd = rustix::io::fcntl_dupfd_cloexec(tree.fd(), 3).context(about)?;
            self.inside
                .readonly_later
                .push((Tree::new(fd), item.shown.clone()));
        }
        if let Target::Found { fd, .. } = target {
            self.inside.parked.park([fd]);
        }
        self.inside.parked.park(tree.take_spare());
        self.remember(item, tree, Some(fs))
    }

    /// Where a new file system goes.
    fn target(&self, item: &Item, fs: &str, source: &str) -> Result<Target> {
        let about = || prepare::about(item, source);
        // A new directory in our own /dev: there is nothing to be looked at.
        if self.inside.own_dev
            && item.destination.parent() == Some(Path::new("dev"))
            && let Some(name) = item.destination.file_name().and_then(|n| n.to_str())
        {
            let mode = Mode::from_raw_mode(0o755);
            match rustix::fs::mkdirat(self.own_dev(about)?, name, mode) {
                Ok(()) => return Ok(Target::Name(name.to_owned())),
                Err(Errno::EXIST) => {}
                Err(e) => return Err(e).context(about),
            }
        }
        // What the runtime, or whoever trusts them, goes to by their names must be at these names.
        let root = self.root()?;
        let (fd, made) = if matches!(fs, "proc" | "sysfs") || item.destination == Path::new("dev") {
            let found = ordinary_directory(root, &item.destination);
            let fd = found.map_err(|e| match Errno::from_io_error(&e) {
                Some(Errno::LOOP | Errno::NOTDIR) => Error::Unsupported(format!(
                    "filesystem {fs:?} must be mounted on ordinary directory: {:?} of the image is \
                     a symbolic link or a file",
                    item.shown
                )),
                _ => Error::System {
                    what: about(),
                    source: e,
                },
            })?;
            (fd, false)
        } else {
            match find(root, &item.destination) {
                Err(e) if e.kind() == io::ErrorKind::NotFound => {
                    let made = find_or_make(root, &item.destination, Kind::Directory);
                    (made.context(about)?, true)
                }
                found => (found.context(about)?, false),
            }
        };
        let (kind, mode) = self.check_target(item, fd.as_fd(), None)?;
        if kind != Kind::Directory {
            return Err(io::Error::from(Errno::NOTDIR)).context(about);
        }
        let mode = (!made).then_some(mode);
        Ok(Target::Found { fd, mode })
    }

    fn own_dev(&self, about: impl FnOnce() -> String) -> Result<BorrowedFd<'_>> {
        let dev = self.inside.dev.as_ref().map(AsFd::as_fd);
        dev.ok_or(io::Error::from(Errno::BADF)).context(about)
    }

    /// The network namespace is not this user's, and so sysfs cannot be mounted: the host's is
    /// shown instead, read-only throughout, since cgroups are mounted below it.
    fn host_sys(&self, item: &Item) -> Result<Tree> {
        let about = || prepare::about(item, "/sys");
        let mut tree = Tree::copy(Path::new("/sys"), true).context(about)?;
        let mut attrs = item.options.attrs;
        attrs.set |= 1;
        attrs.clear = 0;
        let wish = Wish {
            rec_attrs: attrs,
            propagation: Some(super::options::Propagation::PRIVATE),
            ..Wish::default()
        };
        tree.wish(wish, self.kernel).context(about)?;
        Ok(tree)
    }

    /// What is at the target, and its mode; refuses to put anything on procfs on which we or the container rely.
    pub(super) fn check_target(
        &self,
        item: &Item,
        target: BorrowedFd<'_>,
        tree: Option<&Tree>,
    ) -> Result<(Kind, u32)> {
        let about = || prepare::about(item, "");
        let stat =
            rustix::fs::statx(target, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE).context(about)?;
        let kind = match FileType::from_raw_mode(stat.stx_mode.into()) {
            FileType::Directory => Kind::Directory,
            _ => Kind::File,
        };
        let mode = u32::from(stat.stx_mode) & 0o7777;
        if self.inside.procfs != Some((stat.stx_dev_major, stat.stx_dev_minor))
            || REPLACEABLE.iter().any(|r| item.destination == Path::new(r))
        {
            return Ok((kind, mode));
        }
        // A procfs for a procfs is no loss.
        if let Some(tree) = tree
            && item.destination == Path::new("proc")
            && is_procfs(tree).context(about)?
        {
            return Ok((kind, mode));
        }
        Err(Error::Unsupported(format!(
            "{}: {:?} cannot be mounted because it is inside /proc",
            item.field, item.shown
        )))
    }

    /// Keeps what will be needed again.
    fn remember(&mut self, item: &Item, tree: Tree, fs: Option<&str>) -> Result<()> {
        if item.destination == Path::new("proc") {
            let about = || prepare::about(item, "proc");
            self.inside.proc = None;
            if is_procfs(&tree).context(about)? {
                self.inside.procfs = Some(device(tree.fd()).context(about)?);
                self.inside.proc = Some(tree.into_fd());
            }
        } else if item.destination == Path::new("dev") {
            self.inside.devpts = None;
            self.inside.own_dev = fs == Some("tmpfs");
            self.inside.dev = Some(tree.into_fd());
        } else if item.destination == Path::new("dev/pts") {
            self.inside.devpts = Some(tree.into_fd());
        } else {
            self.inside.parked.park([tree.into_fd()]);
        }
        Ok(())
    }
}

fn is_procfs(tree: &Tree) -> io::Result<bool> {
    Ok(u64::try_from(rustix::fs::fstatfs(tree.fd())?.f_type) == Ok(PROC_SUPER_MAGIC))
}

/// The device of the file system that a descriptor is on.
fn device(fd: BorrowedFd<'_>) -> io::Result<(u32, u32)> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok((stat.stx_dev_major, stat.stx_dev_minor))
}

/// Whether a descriptor holds this character or block device.
pub(super) fn is_device(
    fd: BorrowedFd<'_>,
    typ: FileType,
    major: u32,
    minor: u32,
) -> io::Result<bool> {
    let stat = rustix::fs::statx(fd, "", AtFlags::EMPTY_PATH, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(stat.stx_mode.into()) == typ
        && (stat.stx_rdev_major, stat.stx_rdev_minor) == (major, minor))
}
