//! Volumes as objects of their own: made, listed, looked at, removed.

use std::{collections::BTreeMap, path::PathBuf};

use types::{
    id,
    options::{Filters, yes_or_no},
    volume::{Volume as Told, VolumeList, VolumesPruned},
};

use crate::{
    Engine, blocking,
    container::Container,
    error::{Error, Result},
    list, usage, volume_plugins,
    volumes::{LOCAL, Volume},
};

/// A volume that a user asks for.
#[derive(Debug, Clone, Default)]
pub struct NewVolume {
    /// Made up when empty.
    pub name: String,
    /// `local` when empty.
    pub driver: String,
    /// The driver's own.
    pub options: BTreeMap<String, String>,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
}

fn of_driver(driver: &str) -> BTreeMap<String, String> {
    [("driver".to_owned(), driver.to_owned())].into()
}

impl Engine {
    /// Makes a volume, unless there is one of this name.
    ///
    /// # Errors
    /// When its name, driver or options are not right, or another driver has it.
    pub async fn create_volume(&self, new: NewVolume) -> Result<Told> {
        let anonymous = new.name.is_empty();
        let volume = Volume {
            name: if anonymous { id::generate() } else { new.name },
            anonymous,
            labels: new.labels,
            driver: new.driver,
            options: new.options,
            ..Volume::default()
        };
        let (made, _) = self.make_volume(volume).await?;
        self.describe_volume(&made).await
    }

    /// Makes a volume where it is missing, and tells of it; also whether it is new.
    pub(crate) async fn make_volume(&self, wanted: Volume) -> Result<(Volume, bool)> {
        let (volume, new) = self.volumes.create(wanted).await?;
        if new {
            let attributes = of_driver(volume.driver());
            self.events
                .tell("volume", "create", &volume.name, attributes);
        }
        Ok((volume, new))
    }

    /// The volumes that match, those that only their plugins know included.
    ///
    /// # Errors
    /// When a filter makes no sense.
    pub async fn list_volumes(&self, filters: &Filters) -> Result<VolumeList> {
        let dangling =
            yes_or_no(filters, "dangling").map_err(|failure| Error::Invalid(failure.message))?;
        let names = list::name_patterns(filters)?;
        let own = self.volumes.all();
        let mut all: Vec<Told> = own.iter().map(|v| self.told_volume(v)).collect();
        let (theirs, warnings) = self.volumes.plugins().list().await;
        for (driver, theirs) in theirs {
            let known = all.iter_mut().find(|v| v.name == theirs.name);
            match known {
                Some(known) if known.driver == driver => merge(known, theirs),
                Some(_) => {}
                None if theirs.name.is_empty() => {}
                None => {
                    let mut volume = Told {
                        driver,
                        scope: LOCAL.into(),
                        name: theirs.name.clone(),
                        ..Told::default()
                    };
                    merge(&mut volume, theirs);
                    all.push(volume);
                }
            }
        }
        let fits = |volume: &Told| {
            let drivers = filters.get("driver").filter(|d| !d.is_empty());
            drivers.is_none_or(|d| d.contains(&volume.driver))
                && (names.is_empty() || names.iter().any(|n| n.is_match(&volume.name)))
                && list::labels_pass(volume.labels.as_ref().unwrap_or(&BTreeMap::new()), filters)
                && dangling.is_none_or(|d| d == self.holders_of_volume(&volume.name).is_empty())
        };
        all.retain(fits);
        all.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(VolumeList {
            volumes: all,
            warnings: Some(warnings).filter(|w| !w.is_empty()),
        })
    }

    /// Everything about one.
    ///
    /// # Errors
    /// When there is none of this name, or its driver does not answer.
    pub async fn inspect_volume(&self, name: &str) -> Result<Told> {
        let volume = self.known_volume(name).await?;
        self.describe_volume(&volume).await
    }

    /// A volume by its name, also one that only its plugin knows.
    pub(crate) async fn known_volume(&self, name: &str) -> Result<Volume> {
        if let Some(volume) = self.volumes.get(name) {
            return Ok(volume);
        }
        let theirs = self.volumes.find_foreign(name).await;
        theirs.ok_or_else(|| Error::NoSuchVolume(name.to_owned()))
    }

    async fn describe_volume(&self, volume: &Volume) -> Result<Told> {
        let mut told = self.told_volume(volume);
        if !volume.is_local() {
            let driver = self.volumes.plugins().driver(volume.driver()).await?;
            let theirs = driver.get(&volume.name).await;
            merge(
                &mut told,
                theirs.map_err(|e| e.doing(&format!("get {}", volume.name)))?,
            );
            told.scope = driver.scope().await;
        }
        Ok(told)
    }

    /// Removes a volume that no container has. With `force` also where its driver cannot, and
    /// nothing is wrong where there is none.
    ///
    /// # Errors
    /// When a container has it, whether it runs or not.
    pub async fn remove_volume(&self, name: &str, force: bool) -> Result<()> {
        let volume = match self.known_volume(name).await {
            Ok(volume) => volume,
            Err(_) if force => return Ok(()),
            Err(error) => return Err(error),
        };
        if self.volumes.get(name).is_none() {
            // Only its plugin knows it: it is removed as any other one.
            self.volumes.learn(volume.clone()).await?;
        }
        self.volumes.settle(name).await;
        let unused = || self.holders_of_volume(name).is_empty();
        if !self.volumes.remove_if(name, force, unused).await? {
            let mut users = self.holders_of_volume(name);
            if users.is_empty() {
                users = self.volumes.users(name);
            }
            if users.is_empty() {
                // Somebody else was quicker.
                return Err(Error::NoSuchVolume(name.to_owned()));
            }
            return Err(Error::Conflict(format!(
                "remove {name}: volume is in use - [{}]",
                users.join(", ")
            )));
        }
        let attributes = of_driver(volume.driver());
        self.events.tell("volume", "destroy", name, attributes);
        Ok(())
    }

    /// Removes a volume that was made for `container`, unless another one has it too: it may have
    /// been given it by its name.
    pub(crate) async fn drop_volume(&self, container: &Container, name: &str) -> Result<()> {
        let Some(volume) = self.volumes.get(name) else {
            return self.volumes.remove_unrecorded(name).await;
        };
        // Of several that go at once, each leaves it to the others otherwise.
        let goes = |holder: &Container| {
            holder.id == container.id
                || holder
                    .takes_volumes
                    .load(std::sync::atomic::Ordering::Relaxed)
        };
        let unused = || self.containers_with_volume(name).iter().all(|c| goes(c));
        if self.volumes.remove_if(name, true, unused).await? {
            let attributes = of_driver(volume.driver());
            self.events.tell("volume", "destroy", name, attributes);
        }
        Ok(())
    }

    /// Removes the volumes that no container has and that `filters` (`label`, `label!`) let
    /// through: those that were made for one container, or `all`.
    ///
    /// # Errors
    /// When disk usage cannot be read.
    pub async fn prune_volumes(&self, all: bool, filters: &Filters) -> Result<VolumesPruned> {
        let mut pruned = VolumesPruned::default();
        for volume in self.volumes.all() {
            // As in Docker: what a plugin keeps may be another host's, too.
            let wanted = volume.is_local() && (all || volume.anonymous);
            if !wanted || !list::labels_pass(&volume.labels, filters) {
                continue;
            }
            let unused = || self.holders_of_volume(&volume.name).is_empty();
            if !unused() {
                continue;
            }
            let data = self.volumes.data(&volume.name);
            let bytes = if volume.is_plain() {
                blocking(move || Ok(usage::size_of(&data))).await?
            } else {
                0
            };
            match self.volumes.remove_if(&volume.name, false, unused).await {
                Ok(true) => {
                    let attributes = of_driver(volume.driver());
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

    /// A volume, as the API tells of it without asking its driver.
    pub(crate) fn told_volume(&self, volume: &Volume) -> Told {
        let place = match self.volumes.get(&volume.name) {
            // Its plugin says where.
            None if !volume.is_local() => PathBuf::new(),
            _ => self.volumes.place(&volume.name),
        };
        Told {
            created_at: whole_seconds(&volume.created),
            driver: volume.driver().to_owned(),
            labels: Some(volume.labels.clone()).filter(|l| !l.is_empty()),
            mountpoint: place.to_string_lossy().into_owned(),
            name: volume.name.clone(),
            options: Some(volume.options.clone()).filter(|o| !o.is_empty()),
            scope: LOCAL.into(),
            status: None,
            usage_data: None,
        }
    }
}

/// A time as Docker shows it of volumes.
fn whole_seconds(time: &str) -> String {
    match time.split_once('.') {
        Some((seconds, _)) => format!("{seconds}Z"),
        None => time.to_owned(),
    }
}

/// Adds what its plugin says.
fn merge(volume: &mut Told, theirs: volume_plugins::Told) {
    if let Some(place) = theirs.mountpoint.filter(|p| !p.is_empty()) {
        volume.mountpoint = place;
    }
    if let Some(created) = theirs.created_at.filter(|c| !c.is_empty()) {
        volume.created_at = created;
    }
    volume.status = theirs.status.filter(|s| !s.is_empty());
}
