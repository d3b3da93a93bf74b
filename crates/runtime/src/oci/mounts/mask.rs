//! Masked and read-only paths.
//!
//! Files are covered by the null device of the host, known by its numbers and held by descriptor:
//! the container's own `/dev/null` may be anything by now. The first mask is that mount itself, and
//! those after it are copies of the first.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, FileType, Mode, OFlags, StatxFlags};
use rustix::io::Errno;

use super::options::{Attrs, Options};
use super::place::is_device;
use super::resolve::find;
use super::tree::{Tree, Wish};
use super::{Parked, Plan, fresh};
use crate::oci::error::{Context as _, Error, Result};

const RDONLY: u64 = 1;
/// Read-only, and without set-user-id programs, devices and programs.
const SEALED: u64 = 0b1111;
/// What in `/proc` leads elsewhere, and so is resolved as any other path.
const PROC_LINKS: [&str; 4] = ["self", "thread-self", "mounts", "net"];

/// The host's null device.
pub(super) fn null() -> Result<Tree> {
    let about = || "open /dev/null";
    let mut tree = Tree::copy(Path::new("/dev/null"), false).context(about)?;
    if !is_device(tree.fd(), FileType::CharacterDevice, 1, 3).context(about)? {
        return Err(Error::Unsupported(
            "the host's /dev/null is not the null device: paths cannot be masked".to_owned(),
        ));
    }
    tree.wish(Wish::private(), super::tree::Kernel { setattr: true })
        .context(about)?;
    Ok(tree)
}

/// A mount to be attached in several places.
#[derive(Debug)]
struct Stamp {
    ready: Option<Tree>,
    used: Option<OwnedFd>,
}

impl Stamp {
    fn new(tree: Tree) -> Self {
        Self {
            ready: Some(tree),
            used: None,
        }
    }

    /// Attaches it, or a copy, by `attach`.
    fn press(
        &mut self,
        parked: &Parked,
        attach: impl FnOnce(&mut Tree) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut tree = match (self.ready.take(), &self.used) {
            (Some(tree), _) => tree,
            (None, Some(used)) => Tree::copy_of(used.as_fd(), false)?,
            (None, None) => return Err(Errno::BADF.into()),
        };
        let done = attach(&mut tree);
        match done {
            Ok(()) => {
                parked.park(tree.take_spare());
                parked.park(self.used.replace(tree.into_fd()));
            }
            // Nothing happened to it: it will do for the next.
            Err(_) => self.ready = Some(tree),
        }
        done
    }
}

/// Whether there is nothing to be hidden or protected.
fn is_missing(e: &io::Error) -> bool {
    e.kind() == io::ErrorKind::NotFound
}

fn is_directory(dir: BorrowedFd<'_>, name: &str) -> io::Result<bool> {
    let flags = AtFlags::EMPTY_PATH | AtFlags::SYMLINK_NOFOLLOW;
    let stat = rustix::fs::statx(dir, name, flags, StatxFlags::TYPE)?;
    Ok(FileType::from_raw_mode(stat.stx_mode.into()) == FileType::Directory)
}

impl Plan {
    /// The name in `/proc`, if a path is one that the kernel alone makes there.
    fn name_in_proc<'a>(&self, path: &'a Path) -> Option<(BorrowedFd<'_>, &'a str)> {
        let proc = self.inside.proc.as_ref()?;
        let name = path.strip_prefix("proc").ok()?.to_str()?;
        let plain = !name.is_empty() && !name.contains('/') && !PROC_LINKS.contains(&name);
        plain.then_some((proc.as_fd(), name))
    }

    pub(super) fn mask(&mut self) -> Result<()> {
        let Some(null) = self.null.take() else {
            return Ok(());
        };
        let parked = &self.inside.parked;
        let mut null = Stamp::new(null);
        let mut empty: Option<Stamp> = None;
        for path in &self.masked {
            let about = || format!("mask /{}", path.display());
            let found;
            let place = match self.name_in_proc(path) {
                Some(place) => Ok(place),
                None => match find(self.root()?, path) {
                    Err(e) if is_missing(&e) => continue,
                    other => {
                        found = other.context(about)?;
                        self.not_shared(found.as_fd()).context(about)?;
                        Err(found.as_fd())
                    }
                },
            };
            let attach = |tree: &mut Tree| match place {
                Ok((dir, name)) => tree.attach_at(dir, name, &self.inside.old),
                Err(target) => tree.attach(target, &self.inside.old),
            };
            match null.press(parked, attach) {
                // What move_mount(2) says of a file for a directory.
                Err(e) if e.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
                    let (dir, name) = match place {
                        Ok(place) => place,
                        Err(target) => (target, ""),
                    };
                    if !is_directory(dir, name).context(about)? {
                        return Err(e).context(about);
                    }
                }
                Err(e) if is_missing(&e) => continue,
                done => {
                    done.context(about)?;
                    continue;
                }
            }
            let stamp = match &mut empty {
                Some(stamp) => stamp,
                None => {
                    let made = fresh::mount(&fresh::Wanted {
                        fs: "tmpfs",
                        source: Some("tmpfs"),
                        options: &Options::default(),
                        attrs: Attrs {
                            set: SEALED,
                            clear: 0,
                        },
                        context: self.label.as_deref(),
                        mode: Some(0o755),
                    });
                    empty.insert(Stamp::new(made.context(about)?))
                }
            };
            stamp.press(parked, attach).context(about)?;
        }
        for stamp in [Some(null), empty].into_iter().flatten() {
            parked.park(stamp.ready.map(Tree::into_fd).into_iter().chain(stamp.used));
        }
        Ok(())
    }

    /// Refuses what would appear on the host: our own mounts in one that is shared with it.
    fn not_shared(&self, target: BorrowedFd<'_>) -> io::Result<()> {
        if !self.shares {
            return Ok(());
        }
        let flags = StatxFlags::MNT_ID;
        let id = rustix::fs::statx(target, "", AtFlags::EMPTY_PATH, flags)?.stx_mnt_id;
        let proc = self.inside.proc.as_ref().ok_or(Errno::NOENT)?;
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(proc, "thread-self/mountinfo", flags, Mode::empty())?;
        let text = io::read_to_string(std::fs::File::from(file))?;
        if is_shared(&text, id) {
            return Err(io::Error::new(
                io::ErrorKind::Unsupported,
                "it lies in a mount that is shared with the host, and would change there too",
            ));
        }
        Ok(())
    }

    pub(super) fn protect(&mut self) -> Result<()> {
        for path in &self.readonly {
            let about = || format!("make /{} read-only", path.display());
            let (found, copy);
            let place = match self.name_in_proc(path) {
                Some((dir, name)) => {
                    copy = Tree::copy_at(dir, name, true);
                    Ok((dir, name))
                }
                None => match find(self.root()?, path) {
                    Err(e) if is_missing(&e) => continue,
                    other => {
                        found = other.context(about)?;
                        self.not_shared(found.as_fd()).context(about)?;
                        copy = Tree::copy_of(found.as_fd(), true);
                        Err(found.as_fd())
                    }
                },
            };
            let mut tree = match copy {
                Err(e) if is_missing(&e) => continue,
                copy => copy.context(about)?,
            };
            let only = Attrs {
                set: RDONLY,
                clear: 0,
            };
            let wish = if self.kernel.setattr {
                Wish {
                    rec_attrs: only,
                    ..Wish::default()
                }
            } else {
                Wish {
                    attrs: only,
                    ..Wish::default()
                }
            };
            tree.wish(wish, self.kernel).context(about)?;
            match place {
                Ok((dir, name)) => tree.attach_at(dir, name, &self.inside.old),
                Err(target) => tree.attach(target, &self.inside.old),
            }
            .context(about)?;
            self.inside.parked.park([tree.into_fd()]);
        }
        Ok(())
    }

    /// What had to be writable until now; at last the root itself, without what is mounted in it.
    pub(super) fn readonly_last(&mut self) -> Result<()> {
        for (tree, shown) in &self.inside.readonly_later {
            self.make_readonly(tree.fd())
                .context(|| format!("make {shown} read-only"))?;
        }
        if self.readonly_root {
            self.make_readonly(self.root()?)
                .context(|| "make the root file system read-only")?;
        }
        Ok(())
    }

    fn make_readonly(&self, mount: BorrowedFd<'_>) -> io::Result<()> {
        let attrs = Attrs {
            set: RDONLY,
            clear: 0,
        };
        if !self.kernel.setattr {
            return self.inside.old.remount(mount, attrs);
        }
        sys::mount::setattr(
            mount,
            sys::mount::Change {
                set: attrs.set,
                ..sys::mount::Change::default()
            },
        )
    }

    /// Without pivot_root(2): takes away what of the host can be taken away, and makes the new
    /// root, which lies over the old one, the root.
    pub(super) fn move_over(&self) -> Result<()> {
        let about = || "leave the host's root";
        let text = std::fs::read_to_string("/proc/self/mountinfo").context(|| "read mountinfo")?;
        let root = rustix::fs::statx(self.root()?, "", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
            .context(about)?
            .stx_mnt_id;
        for point in foreign(&text, root) {
            // Those that came with a user namespace are locked; they lie below the new root.
            let _ = rustix::mount::unmount(
                sys::mount::unescaped(point),
                rustix::mount::UnmountFlags::DETACH,
            );
        }
        rustix::process::chroot(".").context(about)
    }
}

/// Whether a mount has peers; one that is not told of is taken for one that has.
fn is_shared(mountinfo: &str, id: u64) -> bool {
    let id = id.to_string();
    let mut lines = mountinfo.lines();
    lines
        .find(|line| line.split(' ').next() == Some(&id))
        .and_then(|line| line.split_once(" - "))
        .is_none_or(|(left, _)| {
            left.split(' ')
                .skip(6)
                .any(|tag| tag.starts_with("shared:"))
        })
}

/// Mount points, the deepest first, that are not in the tree of `root`.
fn foreign(mountinfo: &str, root: u64) -> Vec<&str> {
    let mut ours = vec![root];
    let mut points = Vec::new();
    for line in mountinfo.lines() {
        let mut fields = line.split(' ');
        let mut number = || fields.next().and_then(|f| f.parse::<u64>().ok());
        let (Some(id), Some(parent)) = (number(), number()) else {
            continue;
        };
        if id == root || ours.contains(&parent) {
            ours.push(id);
            continue;
        }
        if let Some(point) = fields.nth(2).filter(|p| *p != "/") {
            points.push(point);
        }
    }
    points.reverse();
    points
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_foreign() {
        let text = "\
1 0 0:1 / / rw - rootfs rootfs rw
2 1 0:2 / /proc rw - proc proc rw
3 1 0:3 / /mnt/a\\040b rw - tmpfs tmpfs rw
9 1 0:9 / / rw - overlay overlay rw
10 9 0:10 / /proc rw - proc proc rw
11 10 0:10 /sys /proc/sys ro - proc proc rw
";
        assert_eq!(foreign(text, 9), ["/mnt/a\\040b", "/proc"]);
        assert!(is_shared("5 1 0:3 / /x rw shared:7 - tmpfs t rw", 5));
        assert!(!is_shared("5 1 0:3 / /x rw master:7 - tmpfs t rw", 5));
        assert_eq!(sys::mount::unescaped("/mnt/a\\040b\\"), b"/mnt/a b\\");
    }
}
