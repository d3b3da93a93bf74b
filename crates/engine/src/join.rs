//! What a container shares with others that run: namespaces, by descriptors that are opened
//! before anything of it is made, so that no number of a process can come to mean another one.

use std::{os::fd::OwnedFd, path::PathBuf};

use runtime::protocol::{FdRole, SHM};
use sys::namespace::{self, Kind, Process};

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    link::Link,
    modes::{Ipc, Pid},
    network_mode::NetworkMode,
    state::Phase,
};

/// Descriptors of others' namespaces.
#[derive(Default)]
pub(crate) struct Joined {
    pub network: Option<OwnedFd>,
    /// The one that owns the others; only where users are remapped.
    pub user: Option<OwnedFd>,
    /// A network namespace that belongs to it, where it was made for this container.
    pub fresh_network: Option<OwnedFd>,
    /// Everything else, and what it is for.
    pub rest: Vec<(FdRole, OwnedFd)>,
    /// File systems, attached nowhere, in the place of the sources of the record's mounts of those
    /// numbers, and a path in each.
    pub given: Vec<(u32, OwnedFd, PathBuf)>,
    /// Where its volumes are.
    pub places: crate::volume_mounts::Places,
    /// Its environment may be on no disk.
    pub secret: bool,
}

/// A container to share with, and its first process.
struct Donor {
    id: String,
    /// Whether its users are its own.
    remapped: bool,
    process: Process,
}

impl Donor {
    fn open(&self, kind: Kind) -> Result<OwnedFd> {
        self.process.namespace(kind).map_err(Error::io(format!(
            "open a namespace of container {}",
            self.id
        )))
    }
}

impl Engine {
    /// Opens what `container` shares with others.
    pub(crate) async fn join(&self, container: &Container) -> Result<Joined> {
        let host = container.with_record(|r| r.host_config.clone());
        let mut joined = Joined::default();
        let remapped = self.remap(&host).is_some();
        let mut user = |donor: &Donor| -> Result<()> {
            if remapped {
                if !donor.remapped {
                    return Err(Error::Invalid(format!(
                        "container {} has the host's users: who shares its namespaces needs \
                         --userns host, too",
                        donor.id
                    )));
                }
                joined.user = Some(donor.open(Kind::User)?);
            }
            Ok(())
        };
        if let NetworkMode::Container(name) = NetworkMode::of(&host)? {
            let donor = self.donor(&name, "network")?;
            user(&donor)?;
            joined.network = Some(donor.open(Kind::Network)?);
        }
        if let Pid::Container(name) = Pid::of(&host)? {
            let donor = self.donor(&name, "PID")?;
            user(&donor)?;
            joined.rest.push((FdRole::Pidns, donor.open(Kind::Pid)?));
        }
        match Ipc::of(&host)? {
            Ipc::Container(name) => {
                let donor = self.donor(&name, "IPC")?;
                user(&donor)?;
                joined.rest.push((FdRole::Ipcns, donor.open(Kind::Ipc)?));
                let shm = self.shm_of(&name).await?;
                joined.rest.push((FdRole::Shm, shm));
            }
            Ipc::Shareable => {
                let owner = self.remap(&host).map_or((0, 0), |r| r.root());
                let shm = namespace::detached_shm(crate::spec::shm_size(&host), owner)
                    .map_err(Error::io("make the container's shared memory"))?;
                joined.rest.push((FdRole::Shm, shm));
            }
            Ipc::Private | Ipc::None | Ipc::Host => {}
        }
        Ok(joined)
    }

    /// Opens a namespace of a container that runs.
    pub(crate) fn open_namespace(&self, name: &str, kind: Kind, word: &str) -> Result<OwnedFd> {
        self.donor(name, word)?.open(kind)
    }

    /// A namespace of the container whose first process has this number.
    pub(crate) fn namespace_of(&self, id: &str, pid: u32, kind: Kind) -> Result<OwnedFd> {
        let what = || format!("open a namespace of container {id}");
        let process = process_of(id, pid).map_err(Error::io(what()))?;
        let process = process.ok_or_else(|| Error::NotRunning(id.to_owned()))?;
        process.namespace(kind).map_err(Error::io(what()))
    }

    /// A container that runs, to share its `kind` of namespace with.
    fn donor(&self, name: &str, kind: &str) -> Result<Donor> {
        let other = self.find(name)?;
        let state = other.state();
        let pid = state.pid();
        if pid == 0 {
            return Err(if state.phase == Phase::Restarting {
                Error::Conflict(format!(
                    "Container {} is restarting, wait until the container is running",
                    other.id
                ))
            } else {
                Error::Conflict(format!(
                    "cannot join {kind} of a non running container: {}",
                    other.id
                ))
            });
        }
        let what = || format!("join the {kind} namespace of container {}", other.id);
        let process = process_of(&other.id, pid).map_err(Error::io(what()))?;
        let process = process.ok_or_else(|| {
            Error::Conflict(format!(
                "cannot join {kind} of a non running container: {}",
                other.id
            ))
        })?;
        Ok(Donor {
            id: other.id.clone(),
            remapped: other.with_record(|r| self.remap(&r.host_config).is_some()),
            process,
        })
    }

    /// The shared memory of a container: what its shim has mounted, which nothing in a container
    /// can change.
    async fn shm_of(&self, name: &str) -> Result<OwnedFd> {
        let other = self.find(name)?;
        let host = other.with_record(|r| r.host_config.clone());
        match Ipc::of(&host)? {
            Ipc::Shareable | Ipc::Container(_) => {}
            Ipc::Host => {
                return namespace::clone_mount("/dev/shm".as_ref())
                    .map_err(Error::io("open the host's /dev/shm"));
            }
            Ipc::Private | Ipc::None => {
                return Err(Error::Invalid(format!(
                    "failed to join IPC namespace: container {}: non-shareable IPC (hint: use \
                     IpcMode:shareable for the donor container)",
                    other.id
                )));
            }
        }
        let what = || format!("open the shared memory of container {}", other.id);
        // While this connection stands, the shim lives and its number is its own.
        let link = Link::connect(&other.run_dir)
            .await
            .map_err(Error::io(what()))?;
        let pid = link.peer().and_then(|p| u32::try_from(p).ok()).unwrap_or(0);
        let mounts = Process::open(pid).and_then(|p| p.namespace(Kind::Mount));
        let mounts = mounts.map_err(Error::io(what()))?;
        let place = other.run_dir.join(SHM);
        let cloned = crate::blocking(move || {
            use std::os::fd::AsFd;
            namespace::clone_mount_of(mounts.as_fd(), &place)
                .map_err(Error::io("open a container's shared memory"))
        })
        .await;
        drop(link);
        cloned
    }
}

/// The process with this number, if it is the container's.
fn process_of(id: &str, pid: u32) -> std::io::Result<Option<Process>> {
    let process = Process::open(pid)?;
    // Whatever has this number now: only what is in the container's cgroup is the container.
    let is = process.cgroups()?.lines().any(|l| l.contains(id));
    Ok(is.then_some(process))
}
