//! What is made for a command's mounts, and what they leave behind.

use std::{
    collections::VecDeque,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{AtFlags, FileType, Mode, OFlags, Stat},
    io::Errno,
};

use crate::{
    error::{Error, Result},
    place::open,
    select::clean,
    session::Listener,
};

/// The small files and directories that a runtime makes to mount on.
const OWN: [&str; 5] = ["/etc/hosts", "/etc/resolv.conf", "/proc", "/sys", "/dev"];

/// Links that are followed, in all.
const LINKS: usize = 32;

/// What was not there before a command ran, and is only there to be mounted on: it goes after it.
#[derive(Debug, Default)]
pub(crate) struct Stubs {
    /// Paths that were not there, parents first.
    missing: Vec<String>,
    /// The directories that they are in, as they were.
    parents: Vec<(String, Stat)>,
}

impl Stubs {
    /// Looks what of the targets is not there.
    pub(crate) fn look<'t>(
        root: BorrowedFd<'_>,
        targets: impl Iterator<Item = &'t str>,
    ) -> Result<Self> {
        let mut stubs = Self::default();
        let mut targets: VecDeque<String> = OWN.into_iter().chain(targets).map(clean).collect();
        let mut links = 0;
        while let Some(target) = targets.pop_front() {
            let mut parent = String::new();
            for part in target.split('/') {
                let path = if parent.is_empty() {
                    part.to_owned()
                } else {
                    format!("{parent}/{part}")
                };
                match open(root, &path, OFlags::PATH) {
                    Ok(_) => {}
                    Err(Errno::NOENT) => {
                        // A link to nothing: the runtime makes what it leads to.
                        let dir = open(root, &parent, OFlags::PATH | OFlags::DIRECTORY);
                        let link = dir.and_then(|d| rustix::fs::readlinkat(d, part, Vec::new()));
                        if let Ok(link) = link {
                            links += 1;
                            let link = link.to_string_lossy();
                            match link.starts_with('/') {
                                _ if links > LINKS => {}
                                true => targets.push_back(clean(&link)),
                                false => targets.push_back(clean(&format!("{parent}/{link}"))),
                            }
                            break;
                        }
                        if !stubs.missing.contains(&parent) {
                            stubs.note(root, &parent)?;
                        }
                        if !stubs.missing.contains(&path) {
                            stubs.missing.push(path.clone());
                        }
                    }
                    // A link in a circle, a file: the runtime will say so.
                    Err(_) => break,
                }
                parent = path;
            }
        }
        Ok(stubs)
    }

    fn note(&mut self, root: BorrowedFd<'_>, parent: &str) -> Result<()> {
        let mut path = parent;
        loop {
            if self.parents.iter().all(|(p, _)| p != path) {
                let stat = open(root, path, OFlags::PATH)
                    .and_then(rustix::fs::fstat)
                    .map_err(|e| Error::io(format!("look at /{path}"))(e.into()))?;
                self.parents.push((path.to_owned(), stat));
            }
            match path.rsplit_once('/') {
                Some((above, _)) => path = above,
                None => return Ok(()),
            }
        }
    }

    /// Removes what is still as the runtime makes it: empty. Then directories that are in the
    /// step's own layer `upper` for no other reason.
    pub(crate) fn remove(self, root: BorrowedFd<'_>, upper: &Path) -> Result<()> {
        for path in self.missing.iter().rev() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let Ok(dir) = open(root, parent, OFlags::PATH | OFlags::DIRECTORY) else {
                continue;
            };
            let Ok(stat) = rustix::fs::statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let flags = match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => AtFlags::REMOVEDIR,
                FileType::RegularFile if stat.st_size == 0 => AtFlags::empty(),
                _ => continue,
            };
            match rustix::fs::unlinkat(&dir, name, flags) {
                Ok(()) | Err(Errno::NOTEMPTY | Errno::NOENT) => {}
                Err(e) => return Err(Error::io(format!("remove /{path}"))(e.into())),
            }
        }
        let upper = rustix::fs::open(
            upper,
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|e| Error::io("look at what a command has written")(e.into()))?;
        let mut parents = self.parents;
        parents.sort_by_key(|(path, _)| std::cmp::Reverse(path.len()));
        for (path, before) in parents {
            let Ok(dir) = archive::open_below(upper.as_fd(), path.as_bytes()) else {
                continue;
            };
            let same = rustix::fs::fstat(&dir).is_ok_and(|now| {
                (now.st_mode, now.st_uid, now.st_gid)
                    == (before.st_mode, before.st_uid, before.st_gid)
            });
            if path.is_empty() || !same || archive::is_opaque(dir.as_fd()) {
                continue;
            }
            // Not empty: the command wrote there.
            let _ = rustix::fs::unlinkat(&upper, path.as_str(), AtFlags::REMOVEDIR);
        }
        Ok(())
    }
}

/// A socket whose connections go to the client's SSH agent, as long as it lives.
pub(crate) struct AgentSocket {
    path: PathBuf,
    over: Arc<AtomicBool>,
}

impl AgentSocket {
    /// Listens in `dir`.
    pub(crate) fn new(
        name: &str,
        dir: &Path,
        mode: u32,
        (uid, gid): (u32, u32),
        listener: Arc<dyn Listener>,
    ) -> Result<Self> {
        use std::os::unix::fs::PermissionsExt as _;
        let what = || "make a socket for an SSH agent".to_owned();
        let path = dir.join("agent.sock");
        let socket = bind(dir).map_err(Error::io(what()))?;
        std::os::unix::fs::chown(&path, Some(uid), Some(gid))
            .and_then(|()| {
                let mode = std::fs::Permissions::from_mode(mode & 0o7777);
                std::fs::set_permissions(&path, mode)
            })
            .map_err(Error::io(what()))?;
        let over = Arc::new(AtomicBool::new(false));
        let (stopped, name) = (Arc::clone(&over), name.to_owned());
        std::thread::Builder::new()
            .name("ssh-agent".to_owned())
            .spawn(move || {
                for stream in socket.incoming().flatten() {
                    if stopped.load(Ordering::Relaxed) {
                        return;
                    }
                    listener.agent(&name, stream);
                }
            })
            .map_err(Error::io(what()))?;
        Ok(Self { path, over })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

/// By the directory's descriptor: the path may be longer than a socket's may be.
fn short(dir: &Path) -> std::io::Result<(OwnedFd, PathBuf)> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let fd = rustix::fs::open(dir, flags, Mode::empty())?;
    let number = std::os::fd::AsRawFd::as_raw_fd(&fd);
    Ok((
        fd,
        PathBuf::from(format!("/proc/self/fd/{number}/agent.sock")),
    ))
}

fn bind(dir: &Path) -> std::io::Result<UnixListener> {
    let (_held, path) = short(dir)?;
    UnixListener::bind(path)
}

impl Drop for AgentSocket {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some((_held, path)) = self.path.parent().and_then(|dir| short(dir).ok()) {
            // Wakes the thread, which then ends.
            let _ = UnixStream::connect(path);
        }
    }
}
