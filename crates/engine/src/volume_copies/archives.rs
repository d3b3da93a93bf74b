//! Volumes to and from a client, as tar archives packed with zstd.
//!
//! A volume that somebody writes to is copied first, as for a snapshot: a client that takes its time
//! keeps no container waiting. What comes in is unpacked beside, within bounds, and becomes a volume
//! when it is whole; a bad archive has changed nothing.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    path::Path,
    sync::Arc,
};

use archive::{Packer, Placer};
use types::volume::Volume as Told;

use super::{DATA, Place, survey::survey, sync};
use crate::{
    Engine, binds, blocking,
    contents::{Chunks, Owners, PATIENCE, Sink, pipe},
    error::{Error, Result},
    volumes::Volume,
};

/// How well archives are packed: zstd's own usual.
const LEVEL: i32 = 3;
/// Of the disk's free room, what an archive may not take: a twentieth.
const SPARE: u64 = 20;

/// What an archive may unpack to.
#[derive(Debug, Clone, Copy, Default)]
pub struct ImportLimit {
    /// Bytes; what the disk has room for, if none.
    pub bytes: Option<u64>,
}

impl Engine {
    /// All of a volume as an archive, and what it lacks.
    ///
    /// # Errors
    /// When there is no such volume; what goes wrong later ends the stream.
    pub async fn export_volume(self: &Arc<Self>, name: &str) -> Result<(Chunks, Vec<String>)> {
        if self.volumes.get(name).is_none() {
            return Err(Error::NoSuchVolume(name.to_owned()));
        }
        let owners = Owners::new(self.config.remap.as_ref());
        let (sink, chunks) = pipe();
        // Nobody can begin to write meanwhile; who takes too long is given up.
        let thread = self.copies.free().await;
        let gate = self.volumes.gate(name).await;
        if self.is_written(name) {
            drop(gate);
            let made = self.copy_now(name).await?;
            let (copy, lacks) = (made.unfinished, made.seen.of_archive());
            let work = move || {
                pack(&copy.0.join(DATA), &owners, sink);
                // Only now may it go.
                drop(copy);
            };
            tokio::spawn(thread.run(work));
            return Ok((chunks, lacks));
        }
        let lease = self.volumes.lease_held(name).await?;
        let (lease, seen) = blocking(move || {
            let seen = survey(&lease.place)?;
            Ok((lease, seen))
        })
        .await?;
        let sink = sink.with_patience(PATIENCE);
        let work = move || {
            pack(&lease.place, &owners, sink);
            drop(gate);
            drop(lease);
        };
        tokio::spawn(thread.run(work));
        Ok((chunks, seen.of_archive()))
    }

    /// Makes a volume of an archive, or fills one that is empty and that no container has.
    ///
    /// # Errors
    /// When a container has the volume, it is not empty, or the archive is bad or too large; then
    /// nothing has changed.
    pub async fn import_volume(
        self: &Arc<Self>,
        name: &str,
        limit: ImportLimit,
        source: impl Read + Send + 'static,
    ) -> Result<Told> {
        binds::volume_name(name)?;
        self.volumes.settle(name).await;
        self.not_used(name)?;
        let known = self.volumes.get(name);
        if known.as_ref().is_some_and(|v| v.is_memory()) {
            return Err(Error::Invalid(format!(
                "import {name}: its files are in memory while a container has it, and nobody would \
                 ever see the archive's: fill it from a container"
            )));
        }
        if let Some(known) = known.as_ref().filter(|v| !v.is_plain()) {
            return self.import_mounted(known, limit, source).await;
        }
        let owners = Owners::new(self.config.remap.as_ref());
        let unfinished = self.volumes.unfinished();
        let data = unfinished.0.join(DATA);
        self.volumes.make_dir(&data)?;
        let thread = self.copies.free().await;
        let target = data.clone();
        let placed = thread.run(move || {
            let made = Place::open(&target)?;
            place(made.fd(), &target, &owners, limit, source)
        });
        placed
            .await
            .map_err(Error::io("a thread for an archive"))??;
        sys::failpoint!("engine.volume.unpacked");
        if known.is_none() {
            self.publish(unfinished, name, Default::default()).await?;
        } else {
            let _gate = self.volumes.gate(name).await;
            // Somebody may have got it, or filled it, while the archive came.
            self.not_used(name)?;
            let there = self.volumes.data(name);
            blocking(move || {
                sync(&data)?;
                match fs::rename(&data, &there) {
                    Err(e) if e.kind() == io::ErrorKind::DirectoryNotEmpty => {
                        Err(not_empty(&there))
                    }
                    done => done.map_err(Error::path("put in its place", &there)),
                }
            })
            .await?;
        }
        self.inspect_volume(name).await
    }

    /// Into what is mounted: there is no place beside.
    async fn import_mounted(
        self: &Arc<Self>,
        volume: &Volume,
        limit: ImportLimit,
        source: impl Read + Send + 'static,
    ) -> Result<Told> {
        let name = volume.name.clone();
        let owners = Owners::new(self.config.remap.as_ref());
        let thread = self.copies.free().await;
        let gate = self.volumes.gate(&name).await;
        self.not_used(&name)?;
        let lease = self.volumes.lease_held(&name).await?;
        let work = move || {
            let _gate = gate;
            let there = Place::open(&lease.place)?;
            if !there.is_new()? {
                return Err(not_empty(&lease.place));
            }
            // Others may write there meanwhile, from elsewhere: what is theirs is not touched.
            let part = format!(".part-{}", types::id::generate());
            let placed = there.make(&part).and_then(|dir| {
                place(dir.as_fd(), &lease.place, &owners, limit, source)?;
                there.move_up(dir.as_fd(), false)
            });
            if let Err(error) = there.remove(&part) {
                tracing::warn!(%error, "a part of an archive stays");
            }
            placed
        };
        let placed = thread.run(work).await;
        placed.map_err(Error::io("a thread for an archive"))??;
        self.inspect_volume(&name).await
    }

    fn not_used(&self, name: &str) -> Result<()> {
        let mut users = self.holders_of_volume(name);
        if users.is_empty() {
            users = self.volumes.users(name);
        }
        if users.is_empty() {
            return Ok(());
        }
        Err(Error::Conflict(format!(
            "import {name}: volume is in use - [{}]",
            users.join(", ")
        )))
    }
}

fn not_empty(place: &Path) -> Error {
    Error::Conflict(format!(
        "the volume is not empty, and nothing in it is overwritten: take another name, or empty {}",
        place.display()
    ))
}

/// Packs a directory for the client, who learns of what goes wrong.
fn pack(place: &Path, owners: &Owners, sink: Sink) {
    let ids = |uid, gid| owners.inside(uid, gid);
    let open = || -> io::Result<OwnedFd> { Ok(File::open(place)?.into()) };
    let mut encoder = match zstd::stream::write::Encoder::new(sink, LEVEL) {
        Ok(encoder) => encoder,
        // The sink went with it, and tells the client that it is not whole.
        Err(error) => return tracing::warn!(%error, "no archive"),
    };
    let mut packer = Packer::new(&mut encoder, &ids).one_file_system().whole();
    let packed = open().and_then(|dir| packer.dir(&dir, b"."));
    let (_, ended) = packer.into_inner(packed.is_ok());
    let mut done = packed.and(ended);
    if done.is_ok() {
        done = encoder.do_finish();
    }
    let mut sink = match done {
        Ok(()) => match encoder.finish() {
            Ok(sink) => sink,
            Err(_) => return,
        },
        // Not ended: what came is no whole archive, and says so.
        Err(error) => {
            let kind = error.kind();
            let (mut rest, _) = pipe();
            std::mem::swap(encoder.get_mut(), &mut rest);
            return rest.end(Err(io::Error::new(kind, error)));
        }
    };
    let flushed = sink.flush();
    sink.end(flushed);
}

/// Unpacks an archive, packed or not, into an empty directory.
fn place(
    root: BorrowedFd<'_>,
    target: &Path,
    owners: &Owners,
    limit: ImportLimit,
    source: impl Read,
) -> Result<()> {
    let room = rustix::fs::fstatvfs(root).map_err(|e| Error::path("look at", target)(e.into()))?;
    let free = room.f_bavail.saturating_mul(room.f_frsize);
    let most = limit.bytes.unwrap_or(u64::MAX).min(free - free / SPARE);
    let ids = |uid, gid| owners.outside(uid, gid);
    let placer = Placer {
        root,
        dest: Vec::new(),
        keep_kinds: false,
        ids: Some(&ids),
        rename: None,
        whole: true,
    };
    let source = io::BufReader::with_capacity(256 << 10, source);
    let (source, _) = archive::unpacked(source).map_err(bad_archive)?;
    let source = Bounded {
        source,
        left: most,
        most,
    };
    let source = io::BufReader::with_capacity(256 << 10, source);
    placer.place(source).map_err(bad_archive)
}

fn bad_archive(error: io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof | io::ErrorKind::NotFound => {
            Error::Invalid(format!("Error processing tar file: {error}"))
        }
        io::ErrorKind::FileTooLarge => Error::Invalid(error.to_string()),
        _ => Error::Io {
            what: "Error processing tar file".into(),
            source: error,
        },
    }
}

/// A source that ends in an error where it has more than it may.
struct Bounded<R> {
    source: R,
    left: u64,
    most: u64,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let got = self.source.read(out)?;
        match self.left.checked_sub(got as u64) {
            Some(left) => self.left = left,
            None => {
                return Err(io::Error::new(
                    io::ErrorKind::FileTooLarge,
                    format!(
                        "the archive unpacks to more than {} bytes, which is refused",
                        self.most
                    ),
                ));
            }
        }
        Ok(got)
    }
}
