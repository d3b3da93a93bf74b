//! Files in and out of a container, as archives: `docker cp` and `docker export`.

use std::{
    io::{self, Read},
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use archive::{Packer, Placer};
use rustix::fs::{self as rfs, AtFlags, FileType, OFlags, StatVfsMountFlags};

use types::{container::PathStat, options::PlaceOptions};

use super::{
    ids::Owners,
    stream::{Chunks, PATIENCE, Sink, pipe},
    view::{View, path_error},
};
use crate::{
    Engine, Free, binds, blocking,
    container::Container,
    error::{Error, Result},
    rootfs::open,
    state::Phase,
};

/// A path as Docker takes it: the directory is followed, the last part is not, unless the path
/// ends with `/` or `/.`.
struct Target {
    /// From the root, without the last part.
    parent: String,
    /// Empty for the directory itself.
    base: String,
    /// The last part as the client wrote it: the name of the archive's first entry.
    name: String,
}

impl Target {
    fn new(path: &str) -> Self {
        let whole = binds::clean(path);
        let (above, last) = whole.rsplit_once('/').unwrap_or_default();
        let here = path.ends_with("/.") || path == ".";
        let name = match last {
            _ if here => ".",
            "" => "/",
            last => last,
        };
        let (parent, base) = if here || path.ends_with('/') || last.is_empty() {
            (whole.as_str(), "")
        } else {
            (above, last)
        };
        Self {
            parent: if parent.is_empty() { "/" } else { parent }.to_owned(),
            base: base.to_owned(),
            name: name.to_owned(),
        }
    }

    fn whole(&self) -> String {
        if self.base.is_empty() {
            return self.parent.clone();
        }
        format!("{}/{}", self.parent.trim_end_matches('/'), self.base)
    }
}

/// The user that the container's processes run as, if it names one.
fn container_user(container: &Container) -> Option<String> {
    let user = container.with_record(|r| r.config.user.clone());
    (!user.is_empty()).then_some(user)
}

impl Engine {
    /// What is at `path`.
    ///
    /// # Errors
    /// When the container or the path does not exist.
    pub async fn path_stat(self: &Arc<Self>, name: &str, path: &str) -> Result<PathStat> {
        let container = self.find(name)?;
        let (engine, path) = (Arc::clone(self), path.to_owned());
        let _op = hold(&container).await;
        let (inner, container) = (Arc::clone(&container), name.to_owned());
        blocking(move || {
            let view = engine.view(&inner)?;
            let failed = |e: io::Error| path_error(&container, &path, e);
            stat(&view, &Target::new(&path)).map_err(failed)
        })
        .await
    }

    /// `path` and all below it as an archive.
    ///
    /// # Errors
    /// When the container or the path does not exist; what goes wrong later ends the stream.
    pub async fn read_archive(
        self: &Arc<Self>,
        name: &str,
        path: &str,
    ) -> Result<(PathStat, Chunks)> {
        let container = self.find(name)?;
        let owners = self.owners(&container);
        let (sink, chunks) = pipe();
        let (found, answer) = tokio::sync::oneshot::channel();
        let (engine, path, name) = (Arc::clone(self), path.to_owned(), name.to_owned());
        tokio::spawn(async move {
            let (thread, held) = tokio::select! {
                turn = engine.turn(&container) => turn,
                () = sink.closed() => return,
            };
            let sink = patient(sink, held.as_ref());
            let inner = Arc::clone(&container);
            let told = path.clone();
            let work = move || {
                let target = Target::new(&path);
                let look = || -> Result<(View, PathStat)> {
                    let view = engine.view(&inner)?;
                    let seen = stat(&view, &target).map_err(|e| path_error(&name, &path, e))?;
                    Ok((view, seen))
                };
                let view = match look() {
                    Ok((view, seen)) => {
                        _ = found.send(Ok(seen));
                        view
                    }
                    Err(error) => {
                        _ = found.send(Err(error));
                        return;
                    }
                };
                let ids = |uid, gid| owners.inside(uid, gid);
                let mut packer = Packer::new(sink, &ids);
                let packed = pack(&view, &target, &mut packer);
                end(packer, packed);
                engine.tell(&inner, "archive-path", &[("path", told)]);
            };
            // What went wrong the client was told.
            _ = thread.run(work).await;
        });
        match answer.await {
            Ok(Ok(stat)) => Ok((stat, chunks)),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(Error::Io {
                what: "read a container's files".into(),
                source: io::Error::other("the task that reads them failed"),
            }),
        }
    }

    /// Places an archive, packed or not, in the directory `path`.
    ///
    /// # Errors
    /// When the directory does not exist or is read-only, or the archive is bad; what was placed
    /// by then stays.
    pub async fn write_archive(
        self: &Arc<Self>,
        name: &str,
        path: &str,
        options: PlaceOptions,
        source: impl Read + Send + 'static,
    ) -> Result<()> {
        let container = self.find(name)?;
        let owners = self.owners(&container);
        let (thread, _held) = self.turn(&container).await;
        let (engine, inner) = (Arc::clone(self), Arc::clone(&container));
        let (name, path, told) = (name.to_owned(), path.to_owned(), path.to_owned());
        let work = move || {
            let view = engine.view(&inner)?;
            let failed = |e: io::Error| path_error(&name, &path, e);
            let dest = Target::new(&format!("{path}/")).parent;
            let dir = open(view.root(), &dest, OFlags::PATH | OFlags::DIRECTORY);
            let dir = dir.map_err(|e| match e {
                rustix::io::Errno::NOTDIR => {
                    Error::Invalid("extraction point is not a directory".into())
                }
                e => failed(e.into()),
            })?;
            if let Some(why) = read_only(&inner, &view, &dir).map_err(failed)? {
                return Err(Error::Forbidden(why.into()));
            }
            let user = match container_user(&inner).filter(|_| options.to_user) {
                Some(user) => Some(runtime::user::resolve(view.root(), &user, &[])?.user),
                None => None,
            };
            let ids = |uid, gid| match &user {
                Some(user) => owners.outside(user.uid, user.gid),
                None => owners.outside(uid, gid),
            };
            let placer = Placer {
                root: view.root(),
                dest: dest.trim_matches('/').as_bytes().to_vec(),
                keep_kinds: options.keep_kinds,
                ids: Some(&ids),
                rename: None,
                whole: false,
            };
            let source = io::BufReader::with_capacity(256 << 10, source);
            let (source, _) = archive::unpacked(source).map_err(bad_archive)?;
            let source = io::BufReader::with_capacity(256 << 10, source);
            placer.place(source).map_err(bad_archive)?;
            Ok(())
        };
        let done = thread.run(work).await.map_err(|source| Error::Io {
            what: "a thread for a client's files".into(),
            source,
        });
        done??;
        self.tell(&container, "extract-to-dir", &[("path", told)]);
        Ok(())
    }

    /// The whole file system as an archive, without what is mounted into it.
    ///
    /// # Errors
    /// When the container does not exist; what goes wrong later ends the stream.
    pub async fn export(self: &Arc<Self>, name: &str) -> Result<Chunks> {
        let container = self.find(name)?;
        let owners = self.owners(&container);
        let (sink, chunks) = pipe();
        let engine = Arc::clone(self);
        self.tell(&container, "export", &[]);
        tokio::spawn(async move {
            let (thread, held) = tokio::select! {
                turn = engine.turn(&container) => turn,
                () = sink.closed() => return,
            };
            let sink = patient(sink, held.as_ref());
            let inner = Arc::clone(&container);
            let work = move || {
                let ids = |uid, gid| owners.inside(uid, gid);
                let mut packer = Packer::new(sink, &ids).one_file_system();
                let packed = engine
                    .view(&inner)
                    .map_err(io::Error::other)
                    .and_then(|view| {
                        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
                        packer.dir(&open(view.root(), "/", flags)?, b"")
                    });
                // What is removed meanwhile only looks like having no more files.
                let state = inner.state();
                let packed = match packed {
                    Ok(()) if state.removed || state.phase == Phase::Removing => {
                        Err(io::Error::other("the container was removed meanwhile"))
                    }
                    packed => packed,
                };
                end(packer, packed);
            };
            // What went wrong the client was told.
            _ = thread.run(work).await;
        });
        Ok(chunks)
    }

    pub(super) fn owners(&self, container: &Container) -> Owners {
        Owners::new(
            container
                .with_record(|r| self.remap(&r.host_config).cloned())
                .as_ref(),
        )
    }
}

impl Engine {
    /// A thread, and what [`hold`] gives. Who waits for either has neither meanwhile: many who
    /// wait for one container take no threads from others, and nobody's container waits for a
    /// thread.
    async fn turn<'c>(&self, container: &'c Container) -> (Free, Held<'c>) {
        loop {
            let thread = self.copies.free().await;
            if container.state().is_running() {
                return (thread, None);
            }
            if let Ok(op) = container.op.try_lock() {
                return (thread, (!container.state().is_running()).then_some(op));
            }
            drop(thread);
            drop(container.op.lock().await);
        }
    }
}

type Held<'c> = Option<tokio::sync::MutexGuard<'c, ()>>;

/// The lock that keeps a container that does not run from being started meanwhile; one that runs
/// needs none.
async fn hold(container: &Container) -> Held<'_> {
    if container.state().is_running() {
        return None;
    }
    let op = container.op.lock().await;
    (!container.state().is_running()).then_some(op)
}

/// A sink that gives up on its client, where a container is held for it.
fn patient<T>(sink: Sink, held: Option<&T>) -> Sink {
    match held {
        Some(_) => sink.with_patience(PATIENCE),
        None => sink,
    }
}

/// Ends the archive, and tells the client how that went.
fn end(packer: Packer<'_, Sink>, packed: io::Result<()>) {
    let (sink, ended) = packer.into_inner(packed.is_ok());
    sink.end(packed.and(ended));
}

fn bad_archive(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof => {
            Error::Invalid(format!("Error processing tar file: {error}"))
        }
        _ => Error::Io {
            what: "Error processing tar file".into(),
            source: error,
        },
    }
}

fn stat(view: &View, target: &Target) -> io::Result<PathStat> {
    let parent = open(
        view.root(),
        &target.parent,
        OFlags::PATH | OFlags::DIRECTORY,
    )?;
    let (stat, link) = if target.base.is_empty() {
        (rfs::fstat(&parent)?, String::new())
    } else {
        let stat = rfs::statat(&parent, target.base.as_str(), AtFlags::SYMLINK_NOFOLLOW)?;
        let link = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Symlink => link_target(view, target, &parent)?,
            _ => String::new(),
        };
        (stat, link)
    };
    Ok(PathStat {
        name: target.name.clone(),
        size: stat.st_size,
        mode: stat.st_mode,
        mtime: (
            stat.st_mtime,
            u32::try_from(stat.st_mtime_nsec).unwrap_or(0),
        ),
        link_target: link,
    })
}

/// Where a link leads inside: the path of what it resolves to, or what it says where that is
/// nothing.
fn link_target(view: &View, target: &Target, parent: &OwnedFd) -> io::Result<String> {
    let text = rfs::readlinkat(parent, target.base.as_str(), Vec::new())?;
    let text = String::from_utf8_lossy(text.as_bytes()).into_owned();
    let said = if text.starts_with('/') {
        text
    } else {
        format!("{}/{text}", target.parent.trim_end_matches('/'))
    };
    let said = Target::new(&said).whole();
    let Ok(found) = open(view.root(), &target.whole(), OFlags::PATH) else {
        return Ok(said);
    };
    // The kernel's own word for where that is, seen from the root of the view.
    let path_of = |fd: std::os::fd::BorrowedFd<'_>| {
        use std::os::fd::AsRawFd;
        std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd()))
    };
    let (root, found) = (path_of(view.root())?, path_of(found.as_fd())?);
    Ok(match found.strip_prefix(&root) {
        Ok(inside) => format!("/{}", inside.display()),
        Err(_) => said,
    })
}

fn pack<W: io::Write>(view: &View, target: &Target, packer: &mut Packer<'_, W>) -> io::Result<()> {
    if target.base.is_empty() {
        let dir = open(
            view.root(),
            &target.parent,
            OFlags::RDONLY | OFlags::DIRECTORY,
        )?;
        return packer.dir(&dir, target.name.as_bytes());
    }
    let parent = open(
        view.root(),
        &target.parent,
        OFlags::PATH | OFlags::DIRECTORY,
    )?;
    packer.tree(
        parent.as_fd(),
        target.base.as_bytes(),
        target.name.as_bytes(),
    )
}

/// Why nothing can be written there, in Docker's words, who refuses before unpacking anything.
fn read_only(
    container: &Container,
    view: &View,
    dir: &OwnedFd,
) -> io::Result<Option<&'static str>> {
    let read_only = rfs::fstatvfs(dir)?
        .f_flag
        .contains(StatVfsMountFlags::RDONLY);
    let in_root = rfs::fstat(dir)?.st_dev == rfs::fstat(view.root())?.st_dev;
    let asked = container.with_record(|r| r.host_config.readonly_rootfs);
    Ok(match (in_root, read_only) {
        (true, true) => Some("container rootfs is marked read-only"),
        (true, false) if asked => Some("container rootfs is marked read-only"),
        (false, true) => Some("mounted volume is marked read-only"),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_split_as_docker_does() {
        for (path, parent, base, name) in [
            ("/etc/passwd", "/etc", "passwd", "passwd"),
            ("etc", "/", "etc", "etc"),
            ("/etc/", "/etc", "", "etc"),
            ("/etc/.", "/etc", "", "."),
            ("/", "/", "", "/"),
            ("/a/../../b", "/", "b", "b"),
        ] {
            let target = Target::new(path);
            assert_eq!(
                (
                    target.parent.as_str(),
                    target.base.as_str(),
                    target.name.as_str()
                ),
                (parent, base, name),
                "{path}"
            );
        }
    }
}
