//! Volumes as a whole: copied, and as archives, to and from a client.
//!
//! A copy is of one moment: the containers that run and may write stand still ([`still`]), the gate
//! of the volume keeps others from starting with it. Where the file system can, files are shared
//! with the original, and the moment is short; elsewhere they are copied while nobody writes.

mod archives;
mod parts;
mod still;
mod survey;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    os::fd::AsFd,
    path::Path,
    sync::Arc,
};

pub use archives::ImportLimit;
use jiff::Timestamp;
pub(crate) use parts::{Place, names, sync, sync_fd};
use types::volume::VolumeCopied;

use crate::{
    Engine, binds, blocking, clock,
    error::{Error, Result},
    tree_copy::{self, Copied},
    volumes::{Unfinished, Volume, Volumes},
};
use survey::{Survey, survey};

/// Says of a snapshot what it is one of.
const OF: &str = "wharf.volume.snapshot.of";

/// Lies beside the data of a volume that is not on record yet; see `Volumes::open`.
pub(crate) const NEW: &str = ".wharf-new";

/// The directory of the data in what is not finished.
pub(crate) const DATA: &str = "_data";

/// A copy that is no volume yet.
struct Made {
    unfinished: Unfinished,
    copied: Copied,
    /// Names of the containers that stood still.
    paused: Vec<String>,
    seen: Survey,
}

impl Engine {
    /// Makes the volume `new` with what `name` has now. A `snapshot` has a label that says of what;
    /// where `new` is empty one is made, whose name says of when it is.
    ///
    /// # Errors
    /// When there is no such volume, the name is taken, or the disk is full; then nothing has
    /// changed.
    pub async fn copy_volume(
        self: &Arc<Self>,
        name: &str,
        new: &str,
        snapshot: bool,
    ) -> Result<VolumeCopied> {
        let original = self
            .volumes
            .get(name)
            .ok_or_else(|| Error::NoSuchVolume(name.to_owned()))?;
        let snapshot = snapshot || new.is_empty();
        let new = match new.is_empty() {
            true => format!("{name}-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S-%3f")),
            false => new.to_owned(),
        };
        binds::volume_name(&new)?;
        self.not_taken(&new)?;
        let mut labels = original.labels.clone();
        // A copy of a snapshot is none.
        labels.remove(OF);
        if snapshot {
            labels.insert(OF.to_owned(), name.to_owned());
        }
        let made = self.copy_now(name).await?;
        self.publish(made.unfinished, &new, labels).await?;
        Ok(VolumeCopied {
            name: new,
            bytes: made.copied.bytes,
            shared: made.copied.shared,
            paused: made.paused,
            warnings: made.seen.of_copy(),
        })
    }

    fn not_taken(&self, name: &str) -> Result<()> {
        match self.volumes.get(name) {
            None => Ok(()),
            Some(there) => Err(Error::Conflict(format!(
                "create {name}: driver '{}' already has volume '{name}': volume name must be unique",
                there.driver()
            ))),
        }
    }

    /// Copies a volume as it is at one moment, to a place that is no volume yet.
    async fn copy_now(self: &Arc<Self>, name: &str) -> Result<Made> {
        let lease = self.volumes.lease(name).await?;
        // While containers still run: what cannot be done shall not stop them.
        let (volumes, of) = (Arc::clone(&self.volumes), name.to_owned());
        let (lease, seen) = blocking(move || {
            let seen = survey(&lease.place)?;
            volumes.has_room(&of, seen.bytes)?;
            Ok((lease, seen))
        })
        .await?;
        let (gate, still) = self.quiet(name).await?;
        let paused = still.names();
        let volumes = Arc::clone(&self.volumes);
        let copied = blocking(move || {
            let unfinished = volumes.unfinished();
            let data = unfinished.0.join(DATA);
            volumes.make_dir(&data)?;
            let copied = copy_tree(&lease.place, &data)?;
            Ok((unfinished, copied))
        })
        .await;
        sys::failpoint!("engine.volume.copied");
        let disturbed = still.disturbed();
        // The gate first: who ends one of them meanwhile waits for it, and we for who ends it.
        drop(gate);
        // Whatever happened.
        still.go_on().await;
        let (unfinished, copied) = copied?;
        if let Some(container) = disturbed {
            return Err(Error::Conflict(format!(
                "container {container} was let go on while volume {name} was copied, and may have \
                 written to it: try again"
            )));
        }
        Ok(Made {
            unfinished,
            copied,
            paused,
            seen,
        })
    }

    /// Makes a volume of what is finished.
    async fn publish(
        &self,
        unfinished: Unfinished,
        name: &str,
        labels: BTreeMap<String, String>,
    ) -> Result<()> {
        let _gate = self.volumes.gate(name).await;
        self.not_taken(name)?;
        let place = self.volumes.root().join(name);
        let target = place.clone();
        blocking(move || {
            sync(&unfinished.0)?;
            let mark = unfinished.0.join(NEW);
            fs::write(&mark, "").map_err(Error::path("write", &mark))?;
            match fs::rename(&unfinished.0, &target) {
                Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty => {
                    Err(Error::Conflict(format!(
                        "there is a directory {} already, of which no record knows: look at it, and \
                         take another name or move it away",
                        target.display()
                    )))
                }
                done => done.map_err(Error::path("put in its place", &target)),
            }
        })
        .await?;
        sys::failpoint!("engine.volume.renamed");
        let volume = Volume {
            name: name.to_owned(),
            created: clock::now(),
            labels,
            ..Volume::default()
        };
        let made = self.volumes.remember(volume).await;
        if made.is_err() {
            drop(Unfinished(place));
            return made;
        }
        // From here on it is a volume as any other.
        let _ = fs::remove_file(place.join(NEW));
        let attributes = [("driver".to_owned(), "local".to_owned())].into();
        self.events.tell("volume", "create", name, attributes);
        Ok(())
    }
}

impl Volumes {
    /// Refuses a copy of so many bytes that the disk has no room for. Shared blocks take none.
    fn has_room(&self, name: &str, bytes: u64) -> Result<()> {
        let root = self.root();
        let room = rustix::fs::statvfs(root).map_err(|e| Error::path("look at", root)(e.into()))?;
        let free = room.f_bavail.saturating_mul(room.f_frsize);
        if bytes <= free || self.can_share() {
            return Ok(());
        }
        Err(Error::Io {
            what: format!("copy volume {name}"),
            source: io::Error::new(
                io::ErrorKind::StorageFull,
                format!(
                    "no space left on device: it takes {bytes} bytes, and there is room for {free} \
                     in {}",
                    root.display()
                ),
            ),
        })
    }

    /// Whether files can share their place on disk here.
    fn can_share(&self) -> bool {
        let place = self.unfinished();
        let try_it = || -> io::Result<()> {
            fs::create_dir(&place.0)?;
            fs::write(place.0.join("one"), [0; 4096])?;
            let two = File::create(place.0.join("two"))?;
            Ok(rustix::fs::ioctl_ficlone(
                &two,
                File::open(place.0.join("one"))?,
            )?)
        };
        try_it().is_ok()
    }
}

fn copy_tree(from: &Path, to: &Path) -> Result<Copied> {
    let open = |path: &Path| File::open(path).map_err(Error::path("open", path));
    let (source, target) = (open(from)?, open(to)?);
    tree_copy::copy(source.as_fd(), target.as_fd()).map_err(Error::path("copy", from))
}
