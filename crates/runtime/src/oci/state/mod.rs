//! What is remembered of a container between one command and the next: a directory for each.
//!
//! | file | what | made safe by |
//! |---|---|---|
//! | `state.json` | [`State`] | temporary name, rename |
//! | `config.json` | the configuration as it was at `create` | written before `state.json` |
//! | `start.sock` | where the program waits for `start` ([`start::Gate`]) | removed by `start` |
//! | `lock` | held by whoever changes something | flock: gone with its holder |
//!
//! There is no status in it: that is seen by looking at the process. So whoever dies at whatever
//! point leaves something that [`Store::open`] understands and `delete --force` removes.

mod lock;
mod process;

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

pub use lock::Lock;
pub use process::Process;

use super::{Config, Context, Error, Result, start};

/// The form of `state.json`; another one is refused.
const FORM: u32 = 1;
const STATE: &str = "state.json";
const CONFIG: &str = "config.json";

/// Names longer than this do not fit beside what programs append to them.
const MAX_ID: usize = 1024;

/// What is written down of a container.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// The form this is written in.
    form: u32,
    /// The version that `config.json` names.
    pub oci_version: String,
    /// The container's name.
    pub id: String,
    /// The bundle, absolute.
    pub bundle: PathBuf,
    /// The root file system, absolute.
    pub rootfs: PathBuf,
    /// When it was created, as RFC 3339.
    pub created: String,
    /// As in `config.json`.
    #[serde(default)]
    pub annotations: HashMap<String, String>,
    /// The first process, once there is one.
    pub init: Option<Process>,
    /// The cgroup's directories, by controller; none until it is decided, or where there is none.
    #[serde(default)]
    pub cgroup: BTreeMap<String, PathBuf>,
    /// systemd's name for the cgroup, if systemd makes it.
    #[serde(default)]
    pub unit: Option<String>,
}

impl State {
    /// The state of a container that is about to be made.
    pub fn new(id: &str, bundle: &Path, config: &Config) -> Self {
        let spec = &config.spec;
        let root = spec.root().as_ref().map(|r| bundle.join(r.path()));
        Self {
            form: FORM,
            oci_version: spec.version().clone(),
            id: id.to_owned(),
            bundle: bundle.to_owned(),
            rootfs: root.unwrap_or_else(|| bundle.to_owned()),
            created: crate::time::now(),
            annotations: spec.annotations().clone().unwrap_or_default(),
            init: None,
            cgroup: BTreeMap::new(),
            unit: None,
        }
    }
}

/// How a container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Somebody is making it.
    Creating,
    /// Its program waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its processes are frozen.
    Paused,
    /// It has ended, or was never finished.
    Stopped,
}

impl Status {
    /// As the specification writes it, and `paused`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        }
    }
}

/// Is `id` a name a container can have? As runc has it, so that it is one path component.
///
/// # Errors
/// When it is not.
pub fn check_id(id: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || "_+-.".contains(c);
    if id.is_empty() {
        return Err(Error::State("container id cannot be empty".to_owned()));
    }
    if id == "." || id == ".." || id.len() > MAX_ID || !id.chars().all(allowed) {
        return Err(Error::State(format!(
            "invalid container ID format: {id:?} (letters, digits and any of _ + - . up to {MAX_ID} characters)"
        )));
    }
    Ok(())
}

/// The directory with all containers' directories.
#[derive(Debug)]
pub struct Store {
    root: PathBuf,
}

impl Store {
    /// Nothing is made or read yet.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// Where it is.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Makes a container's directory, in which there is only the lock, held.
    ///
    /// # Errors
    /// When there is a container of that name.
    pub fn make(&self, id: &str) -> Result<(Container, Lock)> {
        check_id(id)?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.root)
            .context(|| format!("make {}", self.root.display()))?;
        let dir = self.root.join(id);
        match fs::DirBuilder::new().mode(0o700).create(&dir) {
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {
                return Err(Error::State(
                    "container with given ID already exists".to_owned(),
                ));
            }
            other => other.context(|| format!("make {}", dir.display()))?,
        }
        let lock = Lock::take(&dir)?;
        let container = Container::at(dir, id);
        Ok((container, lock))
    }

    /// A container that was made, even if it was not finished.
    ///
    /// # Errors
    /// When there is none.
    pub fn open(&self, id: &str) -> Result<Container> {
        check_id(id)?;
        let dir = self.root.join(id);
        if !dir.is_dir() {
            return Err(Error::State(format!("container {id:?} does not exist")));
        }
        Ok(Container::at(dir, id))
    }

    /// All there are, by name.
    pub fn all(&self) -> Result<Vec<Container>> {
        let entries = match fs::read_dir(&self.root) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.context(|| format!("read {}", self.root.display()))?,
        };
        let mut found = Vec::new();
        for entry in entries {
            let entry = entry.context(|| format!("read {}", self.root.display()))?;
            let name = entry.file_name();
            let Some(id) = name.to_str().filter(|n| check_id(n).is_ok()) else {
                continue;
            };
            if entry.path().is_dir() {
                found.push(Container::at(entry.path(), id));
            }
        }
        found.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(found)
    }
}

/// A container's directory.
#[derive(Debug)]
pub struct Container {
    dir: PathBuf,
    id: String,
    /// The directory's device and inode: another container may come to have its name.
    identity: Option<(u64, u64)>,
}

fn identity(dir: &Path) -> Option<(u64, u64)> {
    fs::metadata(dir).ok().map(|m| (m.dev(), m.ino()))
}

impl Container {
    fn at(dir: PathBuf, id: &str) -> Self {
        Self {
            identity: identity(&dir),
            dir,
            id: id.to_owned(),
        }
    }

    /// Its name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Where everything of it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whom it belongs to.
    pub fn owner(&self) -> Option<u32> {
        fs::metadata(&self.dir).ok().map(|m| m.uid())
    }

    /// Keeps others from changing it; waits for them a while.
    ///
    /// # Errors
    /// When they do not end, or have removed it.
    pub fn lock(&self) -> Result<Lock> {
        let lock = Lock::take(&self.dir)?;
        if identity(&self.dir) != self.identity {
            return Err(Error::State("the container was just deleted".to_owned()));
        }
        Ok(lock)
    }

    /// What is written down; `None` when it was not finished.
    pub fn state(&self) -> Result<Option<State>> {
        let path = self.dir.join(STATE);
        let text = match fs::read(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.context(|| format!("read {}", path.display()))?,
        };
        let state: State = serde_json::from_slice(&text)
            .map_err(|e| Error::State(format!("{}: {e}", path.display())))?;
        if state.form != FORM {
            return Err(Error::State(format!(
                "{} was written by another version of wharf",
                path.display()
            )));
        }
        Ok(Some(state))
    }

    /// As [`Container::state`], for those who need one.
    pub fn finished_state(&self) -> Result<State> {
        self.state()?.ok_or_else(|| {
            Error::State(format!(
                "container {:?} was not created completely: delete it",
                self.id
            ))
        })
    }

    /// Writes the state down.
    pub fn save(&self, state: &State) -> Result<()> {
        let text = serde_json::to_vec(state).map_err(|e| Error::State(e.to_string()))?;
        self.put(STATE, &text)
    }

    /// Keeps the configuration: what is done to the bundle later changes nothing.
    pub fn save_config(&self, text: &[u8]) -> Result<()> {
        self.put(CONFIG, text)
    }

    /// The configuration as it was at `create`.
    pub fn config(&self) -> Result<Config> {
        let path = self.dir.join(CONFIG);
        let text = fs::read(&path).context(|| format!("read {}", path.display()))?;
        Config::parse(&text)
    }

    fn put(&self, name: &str, text: &[u8]) -> Result<()> {
        let (path, new) = (self.dir.join(name), self.dir.join(format!("{name}.new")));
        fs::write(&new, text)
            .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o600)))
            .and_then(|()| fs::rename(&new, &path))
            .context(|| format!("write {}", path.display()))
    }

    /// How it is; `frozen` is asked only when there is a process.
    pub fn status(&self, state: Option<&State>, frozen: impl FnOnce() -> bool) -> Status {
        let Some(init) = state.and_then(|s| s.init.as_ref()) else {
            return if Lock::is_held(&self.dir) {
                Status::Creating
            } else {
                Status::Stopped
            };
        };
        if !init.is_alive() {
            Status::Stopped
        } else if frozen() {
            Status::Paused
        } else if start::waits_at_gate(&self.dir) {
            Status::Created
        } else {
            Status::Running
        }
    }

    /// Removes the directory.
    pub fn remove(&self, lock: Lock) -> Result<()> {
        let result = match fs::remove_dir_all(&self.dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            other => other,
        };
        drop(lock);
        result.context(|| format!("remove {}", self.dir.display()))
    }
}

#[cfg(test)]
mod tests;
