//! Removing all volumes that no container has.

use types::{
    options::Filters,
    volume::{Volume, VolumesPruned},
};

use crate::{Engine, blocking, error::Result, list, usage};

impl Engine {
    /// Removes the volumes that no container has and that `filters` (`label`, `label!`) let
    /// through: those that were made for one container, or `all`.
    pub async fn prune_volumes(&self, all: bool, filters: &Filters) -> Result<VolumesPruned> {
        let mut pruned = VolumesPruned::default();
        for volume in self.volumes.all() {
            if !(all || volume.anonymous) || !list::labels_pass(&volume.labels, filters) {
                continue;
            }
            let data = self.volumes.data(&volume.name);
            let bytes = blocking(move || Ok(usage::size_of(&data))).await?;
            let unused = || self.users_of_volume(&volume.name) == 0;
            match self.volumes.remove_if(&volume.name, unused).await {
                Ok(true) => {
                    let attributes = [("driver".to_owned(), "local".to_owned())].into();
                    self.events
                        .tell("volume", "destroy", &volume.name, attributes);
                    pruned.volumes_deleted.push(volume.name);
                    pruned.space_reclaimed += bytes.cast_signed();
                }
                Ok(false) => {}
                // As in Docker, one that cannot go keeps no other one.
                Err(error) => tracing::warn!(volume = %volume.name, %error, "not pruned"),
            }
        }
        let reclaimed = pruned.space_reclaimed.to_string();
        let attributes = [("reclaimed".to_owned(), reclaimed)].into();
        self.events.tell("volume", "prune", "", attributes);
        Ok(pruned)
    }

    /// All volumes, as the API tells them.
    pub(crate) fn told_volumes(&self) -> Vec<Volume> {
        let told = self.volumes.all().into_iter().map(|volume| Volume {
            created_at: volume.created,
            driver: "local".into(),
            labels: volume.labels,
            mountpoint: self
                .volumes
                .data(&volume.name)
                .to_string_lossy()
                .into_owned(),
            scope: "local".into(),
            name: volume.name,
            ..Volume::default()
        });
        told.collect()
    }
}
