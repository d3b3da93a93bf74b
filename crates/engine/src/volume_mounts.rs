//! A container's binds and volumes before it runs: the places they come from are there, and new
//! volumes hold what the image has.

use std::{
    collections::BTreeMap,
    fs,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    mount_specs,
    record::{Mount, MountKind, Record},
    rootfs,
};

/// How long a container's end waits for its volumes to be released.
const RELEASING: Duration = Duration::from_secs(1);

/// Where a container's volumes are, by their names.
pub(crate) type Places = BTreeMap<String, PathBuf>;

/// The volumes that a container has, each once.
fn volumes_of(container: &Container) -> Vec<Mount> {
    let mut all = container.with_record(|r| r.mounts.clone());
    all.retain(|m| m.kind == MountKind::Volume);
    all
}

impl Engine {
    /// Makes the container's volumes ready. Those that are stay so when another one fails: the end
    /// of the run lets go of all.
    pub(crate) async fn acquire_volumes(&self, container: &Container) -> Result<Places> {
        let mut places = Places::new();
        for mount in volumes_of(container) {
            if places.contains_key(&mount.name) {
                continue;
            }
            let place = self.volumes.acquire(&mount.name, &container.id).await?;
            places.insert(mount.name, place);
        }
        Ok(places)
    }

    /// The container's run is over: it needs its volumes no more. A driver or a server that does not
    /// answer is waited for in the background: the container has ended all the same.
    pub(crate) async fn release_volumes(&self, container: &Arc<Container>) {
        let mut waited = Vec::new();
        for mount in volumes_of(container) {
            // Whoever starts it again before it is released keeps it.
            let Some(turn) = self.volumes.turn(&mount.name, &container.id) else {
                continue;
            };
            let keeper = self.volumes.keeper(&mount.name);
            let late = self.volumes.late(&keeper);
            let (volumes, user, who) = (
                Arc::clone(&self.volumes),
                container.id.clone(),
                keeper.clone(),
            );
            let work = tokio::spawn(async move {
                volumes.release(&mount.name, &user, Some(turn)).await;
                volumes.set_late(&who, false);
            });
            if !late {
                waited.push((keeper, work));
            }
        }
        let all = waited.iter_mut().map(|(_, work)| work);
        let all = futures_util::future::join_all(all);
        if tokio::time::timeout(RELEASING, all).await.is_err() {
            tracing::warn!(container = %container.id, "its volumes are still being released");
            for (keeper, work) in waited {
                // Nobody else waits for it until it has answered.
                self.volumes.set_late(&keeper, !work.is_finished());
            }
        }
    }

    /// A run was found that a daemon before this one began: it has its volumes.
    pub(crate) fn adopt_volumes(&self, container: &Container) {
        for mount in volumes_of(container) {
            self.volumes.adopt(&mount.name, &container.id);
        }
    }

    /// Tells that a container's volumes were mounted.
    pub(crate) fn tell_mounted(&self, container: &Container) {
        for mount in volumes_of(container) {
            let attributes = [
                ("container", container.id.clone()),
                ("destination", mount.destination),
                ("driver", self.driver_of(&mount.name)),
                ("propagation", mount.propagation),
                ("read/write", (!mount.read_only).to_string()),
            ];
            let attributes = attributes.map(|(k, v)| (k.to_owned(), v)).into();
            self.events.tell("volume", "mount", &mount.name, attributes);
        }
    }

    /// Tells that a container's volumes were unmounted.
    pub(crate) fn tell_unmounted(&self, container: &Container) {
        for mount in volumes_of(container) {
            let attributes = [
                ("container", container.id.clone()),
                ("driver", self.driver_of(&mount.name)),
            ];
            let attributes = attributes.map(|(k, v)| (k.to_owned(), v)).into();
            self.events
                .tell("volume", "unmount", &mount.name, attributes);
        }
    }

    fn driver_of(&self, volume: &str) -> String {
        let known = self.volumes.get(volume);
        known.map_or(String::new(), |v| v.driver().to_owned())
    }

    /// The path on the host of each of the record's mounts, in their order.
    pub(crate) fn mount_sources(
        &self,
        record: &Record,
        root: BorrowedFd<'_>,
        places: &Places,
    ) -> Result<Vec<PathBuf>> {
        let mut sources = Vec::with_capacity(record.mounts.len());
        for mount in &record.mounts {
            let source = match mount.kind {
                MountKind::Bind => {
                    let source = PathBuf::from(&mount.source);
                    // Docker's -v makes a directory of what is not there, its --mount does not.
                    if fs::symlink_metadata(&source).is_err() {
                        if mount.must_exist {
                            return Err(mount_specs::missing(&mount.source));
                        }
                        fs::create_dir_all(&source).map_err(Error::io(format!(
                            "error while creating mount source path '{}'",
                            mount.source
                        )))?;
                    }
                    source
                }
                MountKind::Volume => {
                    let place = places.get(&mount.name).cloned();
                    let data = place.unwrap_or_else(|| self.volumes.data(&mount.name));
                    if mount.copy_up {
                        let image = rootfs::directory(root, &mount.destination);
                        let image = image.map_err(Error::io(format!(
                            "fill the volume {} with the image's {}",
                            mount.name, mount.destination
                        )))?;
                        if let Some(image) = image {
                            let user = &record.id;
                            self.volumes.fill(&mount.name, user, &data, image.as_fd())?;
                        }
                    }
                    data
                }
                // Made by the runtime, or given by descriptor.
                MountKind::Tmpfs | MountKind::Image => PathBuf::new(),
            };
            sources.push(source);
        }
        Ok(sources)
    }
}
