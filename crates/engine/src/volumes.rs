//! Named volumes: directories under the data root that outlive containers.

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
    sync::Mutex,
};

use serde::{Deserialize, Serialize};

use crate::{
    blocking, clock,
    error::{Error, Result},
    record::Mount,
    records::{Records, Table},
    sync::lock,
};

/// A volume's definition.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Volume {
    pub name: String,
    /// RFC 3339.
    pub created: String,
    /// Made for one container, without a name of the user's.
    pub anonymous: bool,
    /// As its first user asked.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
}

/// The volumes of one daemon.
pub(crate) struct Volumes {
    root: PathBuf,
    records: Records,
    /// Who is root in containers, where that is not the host's.
    owner: Option<(u32, u32)>,
    known: Mutex<BTreeMap<String, Volume>>,
    /// Held while one is made or removed because nobody has it: who is given one in between would
    /// be left with nothing.
    gate: tokio::sync::Mutex<()>,
}

impl Volumes {
    /// Those on record; directories that no record knows are left alone: they may hold data.
    pub(crate) async fn open(
        root: PathBuf,
        records: Records,
        owner: Option<(u32, u32)>,
    ) -> Result<Self> {
        private_dir(&root)?;
        let known = records.all::<Volume>(Table::Volumes).await?;
        let known = known.into_iter().map(|v| (v.name.clone(), v)).collect();
        Ok(Self {
            root,
            records,
            owner,
            known: Mutex::new(known),
            gate: tokio::sync::Mutex::new(()),
        })
    }

    /// The volume `name`, made where it is not there; also says whether it was made now.
    pub(crate) async fn ensure(&self, mount: &Mount) -> Result<(PathBuf, bool)> {
        let name = mount.name.as_str();
        let data = self.data(name);
        let _gate = self.gate.lock().await;
        if lock(&self.known).contains_key(name) {
            return Ok((data, false));
        }
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o755)
            .create(&data)
            .map_err(Error::path("create the volume's directory", &data))?;
        if let Some((uid, gid)) = self.owner {
            std::os::unix::fs::chown(&data, Some(uid), Some(gid))
                .map_err(Error::path("give away the volume's directory", &data))?;
        }
        sys::failpoint!("engine.volume.directory");
        let volume = Volume {
            name: name.into(),
            created: clock::now(),
            anonymous: mount.anonymous,
            labels: mount.labels.clone(),
        };
        self.records.put(Table::Volumes, name, &volume).await?;
        lock(&self.known).insert(name.into(), volume);
        Ok((data, true))
    }

    /// Removes the volume and its data. Idempotent.
    pub(crate) async fn remove(&self, name: &str) -> Result<()> {
        // The record goes last: a crash half-way leaves something that can be removed again.
        let dir = self.root.join(name);
        blocking(move || match fs::remove_dir_all(&dir) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(Error::path("remove the volume's directory", &dir)(e))
            }
            _ => Ok(()),
        })
        .await?;
        sys::failpoint!("engine.volume.removed");
        self.records.remove(Table::Volumes, name).await?;
        lock(&self.known).remove(name);
        Ok(())
    }

    /// Removes the volume unless it is `unused` no longer; says whether it is gone. Containers are
    /// registered before their volumes are made, so that none can come between.
    pub(crate) async fn remove_if(&self, name: &str, unused: impl Fn() -> bool) -> Result<bool> {
        let _gate = self.gate.lock().await;
        if !unused() || !lock(&self.known).contains_key(name) {
            return Ok(false);
        }
        self.remove(name).await.map(|()| true)
    }

    /// All definitions, by name.
    pub(crate) fn all(&self) -> Vec<Volume> {
        lock(&self.known).values().cloned().collect()
    }

    /// The directory of a volume's data.
    pub(crate) fn data(&self, name: &str) -> PathBuf {
        self.root.join(name).join("_data")
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
