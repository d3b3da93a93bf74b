//! Volumes as a whole: copied, and as archives, to and from a client.
//!
//! A copy is of one moment: the containers that run and may write stand still ([`still`]), the gate
//! of the volume keeps others from starting with it. Where the file system can, files are shared
//! with the original, and the moment is short; elsewhere they are copied while nobody writes.

mod archives;
mod still;

use std::{
    collections::BTreeMap,
    fs::{self, File},
    os::fd::AsFd,
    path::Path,
    sync::Arc,
};

pub use archives::ImportLimit;
use jiff::Timestamp;
use types::volume::VolumeCopied;

use crate::{
    Engine, binds, blocking, clock,
    error::{Error, Result},
    tree_copy::{self, Copied},
    volumes::{Unfinished, Volume},
};

/// Says of a snapshot what it is one of.
const OF: &str = "wharf.volume.snapshot.of";

/// Lies beside the data of a volume that is not on record yet; see `Volumes::open`.
pub(crate) const NEW: &str = ".wharf-new";

/// The directory of the data in what is not finished.
pub(crate) const DATA: &str = "_data";

impl Engine {
    /// Makes the volume `new` with what `name` has now; where `new` is empty a snapshot is made,
    /// whose name says of when it is.
    ///
    /// # Errors
    /// When there is no such volume, the name is taken, or the disk is full; then nothing has
    /// changed.
    pub async fn copy_volume(self: &Arc<Self>, name: &str, new: &str) -> Result<VolumeCopied> {
        let original = self
            .volumes
            .get(name)
            .ok_or_else(|| Error::NoSuchVolume(name.to_owned()))?;
        let snapshot = new.is_empty();
        let new = match snapshot {
            true => format!("{name}-{}", Timestamp::now().strftime("%Y%m%d-%H%M%S-%3f")),
            false => new.to_owned(),
        };
        binds::volume_name(&new)?;
        self.not_taken(&new)?;
        let mut labels = original.labels.clone();
        if snapshot {
            labels.insert(OF.to_owned(), name.to_owned());
        }
        let (unfinished, copied, paused) = self.copy_now(name).await?;
        self.publish(unfinished, &new, labels).await?;
        Ok(VolumeCopied {
            name: new,
            bytes: copied.bytes,
            shared: copied.shared,
            paused,
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

    /// Copies a volume as it is at one moment, to a place that is no volume yet; also the names of
    /// the containers that stood still.
    async fn copy_now(self: &Arc<Self>, name: &str) -> Result<(Unfinished, Copied, Vec<String>)> {
        let (gate, still) = self.quiet(name).await?;
        let paused = still.names();
        let lease = self.volumes.lease_held(name).await;
        let copied = match lease {
            Err(error) => Err(error),
            Ok(lease) => {
                let volumes = Arc::clone(&self.volumes);
                blocking(move || {
                    let unfinished = volumes.unfinished();
                    let data = unfinished.0.join(DATA);
                    volumes.make_dir(&data)?;
                    let copied = copy_tree(&lease.place, &data)?;
                    Ok((unfinished, copied))
                })
                .await
            }
        };
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
        Ok((unfinished, copied, paused))
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

fn copy_tree(from: &Path, to: &Path) -> Result<Copied> {
    let open = |path: &Path| File::open(path).map_err(Error::path("open", path));
    let (source, target) = (open(from)?, open(to)?);
    tree_copy::copy(source.as_fd(), target.as_fd()).map_err(Error::path("copy", from))
}

/// What was written there survives a power cut.
fn sync(place: &Path) -> Result<()> {
    let dir = File::open(place).map_err(Error::path("open", place))?;
    rustix::fs::syncfs(&dir).map_err(|e| Error::path("write to disk", place)(e.into()))
}
