//! Who uses volumes now: what is mounted for the first and unmounted after the last.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use super::{Volume, Volumes, local};
use crate::{
    blocking,
    error::{Error, Result},
    sync::lock,
    volume_plugins::{Driver, Mounted},
};

/// How long a daemon's start waits for what its predecessor had mounted to be unmounted.
const TIDYING: Duration = Duration::from_secs(1);

/// Begins the names of users that are no containers.
const OURS: &str = "wharf-";

/// The users of one volume.
#[derive(Default)]
struct Users {
    all: BTreeMap<String, Turn>,
    /// Where it is; empty where a daemon before this one knew.
    place: PathBuf,
}

/// Tells one time that a user got a volume from the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Turn(u64);

/// The volumes in use, by name, and how often one was given out. A user is a container's identifier,
/// or a name of our own for work that is done here.
#[derive(Default)]
pub(super) struct Uses(Mutex<BTreeMap<String, Users>>, AtomicU64);

impl Uses {
    pub(super) fn any(&self, name: &str) -> bool {
        lock(&self.0).contains_key(name)
    }

    fn has(&self, name: &str, user: &str) -> Option<PathBuf> {
        let uses = lock(&self.0);
        let users = uses.get(name)?;
        users.all.contains_key(user).then(|| users.place.clone())
    }

    fn turn(&self, name: &str, user: &str) -> Option<Turn> {
        lock(&self.0).get(name)?.all.get(user).copied()
    }

    fn add(&self, name: &str, user: &str, place: PathBuf) {
        let mut uses = lock(&self.0);
        let users = uses.entry(name.to_owned()).or_default();
        let turn = Turn(self.1.fetch_add(1, Ordering::Relaxed));
        users.all.insert(user.to_owned(), turn);
        if !place.as_os_str().is_empty() {
            users.place = place;
        }
    }

    /// Whether `user` was one, and has not got it anew since that `turn`; and whether nobody is left.
    fn remove(&self, name: &str, user: &str, turn: Option<Turn>) -> (bool, bool) {
        let mut uses = lock(&self.0);
        let Some(users) = uses.get_mut(name) else {
            return (false, true);
        };
        let was = turn.is_some() && users.all.get(user).copied() == turn;
        if was {
            users.all.remove(user);
        }
        let last = users.all.is_empty();
        if last {
            uses.remove(name);
        }
        (was, last)
    }
}

/// A volume in use by the daemon itself, until this goes.
pub(crate) struct Lease {
    volumes: Arc<Volumes>,
    name: String,
    user: String,
    /// Where its data are.
    pub place: PathBuf,
}

impl Drop for Lease {
    fn drop(&mut self) {
        let (volumes, name, user) = (
            Arc::clone(&self.volumes),
            std::mem::take(&mut self.name),
            std::mem::take(&mut self.user),
        );
        if volumes.get(&name).is_none_or(|v| v.is_plain()) {
            // Nothing has to be done, so it is done at once.
            let turn = volumes.uses.turn(&name, &user);
            volumes.uses.remove(&name, &user, turn);
            return;
        }
        self.volumes.runtime.spawn(async move {
            let turn = volumes.turn(&name, &user);
            volumes.release(&name, &user, turn).await;
        });
    }
}

impl Volumes {
    /// Makes the volume ready for `user`; answers where its data are. A user that has it keeps it.
    pub(crate) async fn acquire(self: &Arc<Self>, name: &str, user: &str) -> Result<PathBuf> {
        let _gate = self.gate(name).await;
        self.acquire_held(name, user).await
    }

    /// As [`Volumes::acquire`], for who holds the gate.
    pub(crate) async fn acquire_held(self: &Arc<Self>, name: &str, user: &str) -> Result<PathBuf> {
        let volume = self
            .get(name)
            .ok_or_else(|| Error::NoSuchVolume(name.to_owned()))?;
        if let Some(place) = self.uses.has(name, user)
            && !place.as_os_str().is_empty()
        {
            // Its turn begins anew: what ends the one before must not take it away.
            self.uses.add(name, user, place.clone());
            return Ok(place);
        }
        let place = self.make_ready(&volume, user).await?;
        self.uses.add(name, user, place.clone());
        self.answers(&volume, &place).await?;
        self.settle_filling(name, &place).await?;
        Ok(place)
    }

    async fn make_ready(self: &Arc<Self>, volume: &Volume, user: &str) -> Result<PathBuf> {
        let name = &volume.name;
        if !volume.is_local() {
            let driver = self.plugins.driver(volume.driver()).await?;
            let error = match driver.mount(name, user).await {
                Mounted::At(place) => return Ok(place),
                Mounted::Not(error) => error,
                Mounted::Perhaps(error, later) => {
                    let (volumes, name, user) = (Arc::clone(self), name.clone(), user.to_owned());
                    tokio::spawn(async move {
                        let mounted = match later {
                            Some(later) => later.await.unwrap_or(true),
                            None => true,
                        };
                        if mounted {
                            volumes.unmount_unwanted(&driver, &name, &user).await;
                        }
                    });
                    error
                }
            };
            return Err(error.doing(&format!("mount volume '{name}'")));
        }
        let data = self.data(name);
        if volume.has_device() {
            let (options, place) = (volume.options.clone(), data.clone());
            blocking(move || {
                if local::is_mounted(&place)? {
                    // Somebody uses it, or did when the daemon before this one died.
                    return Ok(());
                }
                local::mount(&options, &place).map_err(|why| Error::Io {
                    what: format!("error while mounting volume '{}'", place.display()),
                    source: std::io::Error::other(format!("failed to mount local volume: {why}")),
                })
            })
            .await?;
            sys::failpoint!("engine.volume.mounted");
        }
        Ok(data)
    }

    /// Tells a plugin to unmount what it has mounted after its time, unless `user` has got it since.
    async fn unmount_unwanted(&self, driver: &Driver, name: &str, user: &str) {
        let _gate = self.gate(name).await;
        if self.uses.has(name, user).is_some() {
            return;
        }
        if let Err(error) = driver.unmount(name, user).await {
            tracing::warn!(volume = name, user, %error, "mounted too late, and not unmounted");
        }
    }

    /// The last time that `user` got it, if it has it.
    pub(crate) fn turn(&self, name: &str, user: &str) -> Option<Turn> {
        self.uses.turn(name, user)
    }

    /// `user` does not need it any more, unless it got it again since that `turn`. What goes wrong is
    /// told in the log: nobody could do anything about it.
    pub(crate) async fn release(&self, name: &str, user: &str, turn: Option<Turn>) {
        let _gate = self.gate(name).await;
        let (was, last) = self.uses.remove(name, user, turn);
        let Some(volume) = self.get(name).filter(|_| was) else {
            return;
        };
        let done = if !volume.is_local() {
            match self.plugins.driver(volume.driver()).await {
                Ok(driver) => driver.unmount(name, user).await,
                Err(error) => Err(error),
            }
        } else if volume.has_device() && last {
            let data = self.data(name);
            blocking(move || local::unmount(&data)).await
        } else {
            Ok(())
        };
        if let Err(error) = done {
            tracing::warn!(volume = name, user, %error, "not unmounted");
        }
    }

    /// Who answers for the volume when it is released: its driver, or itself.
    pub(crate) fn keeper(&self, name: &str) -> String {
        match self.get(name) {
            Some(volume) if !volume.is_local() => format!("driver {}", volume.driver()),
            _ => name.to_owned(),
        }
    }

    /// Whether one did not answer in time when it was asked last.
    pub(crate) fn late(&self, keeper: &str) -> bool {
        lock(&self.late).contains(keeper)
    }

    pub(crate) fn set_late(&self, keeper: &str, late: bool) {
        match late {
            true => lock(&self.late).insert(keeper.to_owned()),
            false => lock(&self.late).remove(keeper),
        };
    }

    /// Notes that `user`, a container that a daemon before this one started, has it.
    pub(crate) fn adopt(&self, name: &str, user: &str) {
        let place = match self.get(name) {
            Some(volume) if volume.is_local() => self.data(name),
            _ => PathBuf::new(),
        };
        self.uses.add(name, user, place);
    }

    /// Unmounts what was mounted for users that a daemon before this one had. Each by itself: a
    /// server that does not answer any more holds up neither the others nor the daemon's start.
    pub(crate) async fn tidy(self: &Arc<Self>) {
        let all = self.all().into_iter().filter(Volume::has_device);
        let works = all.map(|volume| {
            let volumes = Arc::clone(self);
            tokio::spawn(async move { volumes.tidy_one(&volume.name).await })
        });
        let all = futures_util::future::join_all(works.collect::<Vec<_>>());
        if tokio::time::timeout(TIDYING, all).await.is_err() {
            tracing::warn!("unmounting volumes that nobody uses takes longer");
        }
    }

    async fn tidy_one(&self, name: &str) {
        let _gate = self.gate(name).await;
        if self.uses.any(name) {
            return;
        }
        let data = self.data(name);
        if let Err(error) = blocking(move || local::unmount(&data)).await {
            tracing::warn!(volume = name, %error, "not unmounted");
        }
    }

    /// Where its data are, as far as that is known without asking anybody.
    pub(crate) fn place(&self, name: &str) -> PathBuf {
        if self.get(name).is_none_or(|v| v.is_local()) {
            return self.data(name);
        }
        let uses = lock(&self.uses.0);
        uses.get(name).map(|u| u.place.clone()).unwrap_or_default()
    }

    /// The volume for work of the daemon's own.
    pub(crate) async fn lease(self: &Arc<Self>, name: &str) -> Result<Lease> {
        let user = format!("{OURS}{}", types::id::generate());
        let place = self.acquire(name, &user).await?;
        Ok(self.leased(name, user, place))
    }

    /// As [`Volumes::lease`], for who holds the gate. The gate goes first.
    pub(crate) async fn lease_held(self: &Arc<Self>, name: &str) -> Result<Lease> {
        let user = format!("{OURS}{}", types::id::generate());
        let place = self.acquire_held(name, &user).await?;
        Ok(self.leased(name, user, place))
    }

    fn leased(self: &Arc<Self>, name: &str, user: String, place: PathBuf) -> Lease {
        Lease {
            volumes: Arc::clone(self),
            name: name.to_owned(),
            user,
            place,
        }
    }

    /// As [`Volumes::lease`], on a thread that may block.
    pub(crate) fn lease_blocking(self: &Arc<Self>, name: &str) -> Result<Lease> {
        self.runtime.block_on(self.lease(name))
    }

    /// Waits until no work of ours uses it, if that is all that does; not for long.
    pub(crate) async fn settle(&self, name: &str) {
        for _ in 0..100 {
            let users = self.users(name);
            if users.is_empty() || !users.iter().all(|user| user.starts_with(OURS)) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    }

    /// Who uses it now.
    pub(crate) fn users(&self, name: &str) -> Vec<String> {
        let uses = lock(&self.uses.0);
        let all = uses.get(name).map(|u| u.all.keys().cloned().collect());
        all.unwrap_or_default()
    }
}
