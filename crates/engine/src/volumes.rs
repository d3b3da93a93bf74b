//! Named volumes: they outlive containers. Those of the `local` driver are directories under the
//! data root, or what is mounted on one while somebody uses it ([`local`]); others are kept by a
//! plugin ([`crate::volume_plugins`]).
//!
//! Whoever changes one volume holds its gate and nobody else's: a plugin that hangs, or a server
//! that does not answer, keeps nobody from other volumes.

mod answers;
mod fill;
pub(crate) mod local;
mod unfinished;
mod uses;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
};

use serde::{Deserialize, Serialize};
use tokio::sync::OwnedMutexGuard;
pub(crate) use unfinished::Unfinished;
use unfinished::remove_unfinished;
pub(crate) use uses::Lease;

use crate::{
    binds, blocking, clock,
    error::{Error, Result},
    records::{Records, Table},
    sync::lock,
    volume_plugins::Plugins,
};

/// The driver that is always there.
pub(crate) const LOCAL: &str = "local";

/// Marks volumes that were made for one container.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// Begins the names of what is being made; no volume is called so.
const UNFINISHED: &str = ".part-";

/// A volume's definition.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// Made for one container, without a name of the user's.
    pub anonymous: bool,
    /// As its first user asked.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Who keeps it; the local driver when empty.
    #[serde(default)]
    pub driver: String,
    /// The driver's own.
    #[serde(default)]
    pub options: BTreeMap<String, String>,
}

impl Volume {
    /// Who keeps it.
    pub(crate) fn driver(&self) -> &str {
        if self.driver.is_empty() {
            LOCAL
        } else {
            &self.driver
        }
    }

    pub(crate) fn is_local(&self) -> bool {
        self.driver() == LOCAL
    }

    /// A directory here, and nothing else.
    pub(crate) fn is_plain(&self) -> bool {
        self.is_local() && !self.has_device()
    }

    /// It is empty each time that its first user gets it.
    pub(crate) fn is_memory(&self) -> bool {
        let kind = self.options.get("type").map(String::as_str);
        self.has_device() && matches!(kind, Some("tmpfs" | "ramfs"))
    }

    /// Something is mounted while it is used.
    fn has_device(&self) -> bool {
        self.is_local() && self.options.contains_key("device")
    }
}

/// The volumes of one daemon.
pub(crate) struct Volumes {
    root: PathBuf,
    records: Records,
    plugins: Arc<Plugins>,
    /// Who is root in containers, where that is not the host's.
    owner: Option<(u32, u32)>,
    known: Mutex<BTreeMap<String, Volume>>,
    /// Who uses them now.
    uses: uses::Uses,
    /// Held while one is made, removed, mounted or copied.
    gates: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
    /// Those of which it is being found out whether they answer.
    asked: Mutex<BTreeSet<String>>,
    /// Those who keep some and were too late to release one.
    late: Mutex<BTreeSet<String>>,
    /// What is on its way into them from images.
    filling: Mutex<BTreeMap<String, fill::Part>>,
    /// Where those wait who have no thread for it.
    runtime: tokio::runtime::Handle,
}

impl Volumes {
    /// Those on record; directories that no record knows are left alone: they may hold data.
    pub(crate) async fn open(
        root: PathBuf,
        records: Records,
        plugins: Arc<Plugins>,
        owner: Option<(u32, u32)>,
    ) -> Result<Arc<Self>> {
        private_dir(&root)?;
        let known = records.all::<Volume>(Table::Volumes).await?;
        let known: BTreeMap<_, _> = known.into_iter().map(|v| (v.name.clone(), v)).collect();
        remove_unfinished(&root, &known)?;
        let filling = fill::left(&root)?;
        Ok(Arc::new(Self {
            root,
            records,
            plugins,
            owner,
            known: Mutex::new(known),
            uses: uses::Uses::default(),
            gates: Mutex::default(),
            asked: Mutex::default(),
            late: Mutex::default(),
            filling: Mutex::new(filling),
            runtime: tokio::runtime::Handle::current(),
        }))
    }

    /// The right to change one volume, when nobody else has it.
    pub(crate) async fn gate(&self, name: &str) -> OwnedMutexGuard<()> {
        let gate = {
            let mut gates = lock(&self.gates);
            if gates.len() > 64 {
                gates.retain(|_, gate| Arc::strong_count(gate) > 1);
            }
            Arc::clone(gates.entry(name.to_owned()).or_default())
        };
        gate.lock_owned().await
    }

    /// The volume of `wanted`'s name, made as it says where it is not there; also whether it was
    /// made now.
    pub(crate) async fn create(&self, wanted: Volume) -> Result<(Volume, bool)> {
        let _gate = self.gate(&wanted.name).await;
        if let Some(there) = self.get(&wanted.name) {
            if !wanted.driver.is_empty() && wanted.driver() != there.driver() {
                return Err(Error::Conflict(format!(
                    "create {}: driver '{}' already has volume '{}': volume name must be unique",
                    there.name,
                    there.driver(),
                    there.name
                )));
            }
            if there.is_local() {
                // A crash in the middle of its removal may have taken it.
                self.make_missing_dir(&self.data(&there.name))?;
            }
            return Ok((there, false));
        }
        if wanted.driver.is_empty()
            && !wanted.anonymous
            && let Some(theirs) = self.find_foreign(&wanted.name).await
        {
            // From now on it is known here, too, whether its plugin is there or not.
            self.remember(theirs.clone()).await?;
            return Ok((theirs, false));
        }
        let mut volume = wanted;
        volume.created = clock::now();
        if volume.anonymous {
            volume.labels.entry(ANONYMOUS.into()).or_default();
        }
        if volume.is_local() {
            volume.driver = String::new();
            binds::volume_name(&volume.name)?;
            local::check(&volume.options)
                .map_err(|why| Error::Invalid(format!("create {}: {why}", volume.name)))?;
            self.make_dir(&self.data(&volume.name))?;
            sys::failpoint!("engine.volume.directory");
        } else {
            binds::volume_name(&volume.name)?;
            let driver = self.plugins.driver(volume.driver()).await?;
            driver
                .create(&volume.name, &volume.options)
                .await
                .map_err(|e| e.doing(&format!("create {}", volume.name)))?;
        }
        self.remember(volume.clone()).await?;
        Ok((volume, true))
    }

    /// A volume that only its plugin knows.
    pub(crate) async fn find_foreign(&self, name: &str) -> Option<Volume> {
        binds::volume_name(name).ok()?;
        let (driver, told) = self.plugins.who_has(name).await?;
        Some(Volume {
            name: name.to_owned(),
            created: told.created_at.unwrap_or_default(),
            driver,
            ..Volume::default()
        })
    }

    /// Puts a volume on record that its plugin has.
    pub(crate) async fn learn(&self, theirs: Volume) -> Result<()> {
        let _gate = self.gate(&theirs.name).await;
        match self.get(&theirs.name) {
            Some(_) => Ok(()),
            None => self.remember(theirs).await,
        }
    }

    /// Puts a new volume on record.
    pub(crate) async fn remember(&self, volume: Volume) -> Result<()> {
        self.records
            .put(Table::Volumes, &volume.name, &volume)
            .await?;
        lock(&self.known).insert(volume.name.clone(), volume);
        Ok(())
    }

    /// As [`Volumes::make_dir`], where it is not there. What is mounted on it is not looked at: it may
    /// not answer.
    fn make_missing_dir(&self, data: &Path) -> Result<()> {
        match fs::create_dir(data) {
            Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => Ok(()),
            _ => self.make_dir(data),
        }
    }

    /// Makes a volume's directory, for the root of containers.
    pub(crate) fn make_dir(&self, data: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(data)
            .map_err(Error::path("create the volume's directory", data))?;
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::chown(data, Some(uid), Some(gid))
                .map_err(Error::path("give away the volume's directory", data))?;
        }
        Ok(())
    }

    /// Removes the volume and its data, for who holds its gate. Idempotent. With `force` also where
    /// its driver cannot.
    async fn forget(&self, name: &str, force: bool) -> Result<()> {
        let volume = self.get(name).unwrap_or_default();
        let mut doomed = None;
        if volume.is_local() {
            let (place, data, gone) = (self.root.join(name), self.data(name), self.unfinished());
            doomed = Some(
                blocking(move || {
                    // What is mounted there is somebody else's data.
                    local::unmount(&data)?;
                    local::nothing_mounted_in(&place)?;
                    // In one step: half of a volume must not be taken for the whole.
                    match fs::rename(&place, &gone.0) {
                        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                            Err(Error::path("remove the volume's directory", &place)(e))
                        }
                        _ => Ok(gone),
                    }
                })
                .await?,
            );
        } else {
            let removed = match self.plugins.driver(volume.driver()).await {
                Ok(driver) => driver.remove(name).await,
                Err(error) => Err(error),
            };
            match removed {
                Err(error) if force => {
                    tracing::warn!(volume = name, %error, "forgotten, as its driver does not answer");
                }
                done => done.map_err(|e| e.doing(&format!("remove {name}")))?,
            }
        }
        sys::failpoint!("engine.volume.removed");
        self.records.remove(Table::Volumes, name).await?;
        lock(&self.known).remove(name);
        self.unmark(name);
        if let Some(doomed) = doomed {
            // A crash from here on leaves it to the next start.
            blocking(move || doomed.remove()).await?;
        }
        Ok(())
    }

    /// Removes what a crash has left of a volume that was being made, and that no record knows.
    pub(crate) async fn remove_unrecorded(&self, name: &str) -> Result<()> {
        let _gate = self.gate(name).await;
        match self.get(name) {
            Some(_) => Ok(()),
            None => self.forget(name, false).await,
        }
    }

    /// Removes the volume unless it is `unused` no longer; says whether it is gone. Containers are
    /// registered before their volumes are made, so that none can come between.
    pub(crate) async fn remove_if(
        &self,
        name: &str,
        force: bool,
        unused: impl Fn() -> bool,
    ) -> Result<bool> {
        let _gate = self.gate(name).await;
        if !unused() || self.uses.any(name) || self.get(name).is_none() {
            return Ok(false);
        }
        self.forget(name, force).await.map(|()| true)
    }

    /// One definition.
    pub(crate) fn get(&self, name: &str) -> Option<Volume> {
        lock(&self.known).get(name).cloned()
    }

    /// All definitions, by name.
    pub(crate) fn all(&self) -> Vec<Volume> {
        lock(&self.known).values().cloned().collect()
    }

    /// Those who keep volumes beside the local driver.
    pub(crate) fn plugins(&self) -> &Arc<Plugins> {
        &self.plugins
    }

    /// Where the volumes are.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The directory of a local volume's data.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.root.join(name).join("_data")
    }

    /// A place for what shall become a volume; what is in it goes with the next start.
    pub(crate) fn unfinished(&self) -> Unfinished {
        Unfinished(
            self.root
                .join(format!("{UNFINISHED}{}", types::id::generate())),
        )
    }
}

/// Makes `path` and its parents if need be; ordinary users can pass through it but not list it
/// (CVE-2021-41091: programs with set-user-id bits in layers must not be reachable).
pub(crate) fn private_dir(path: &Path) -> Result<()> {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(0o710)
        .create(path)
        .map_err(Error::path("create the directory", path))
}

/// Lets everybody pass through `path`, without seeing what is in it.
pub(crate) fn passable(path: &Path) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o711))
        .map_err(Error::path("let containers' users pass", path))
}
