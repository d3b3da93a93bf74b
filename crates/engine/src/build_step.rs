//! Commands of builds: containers that nobody sees, from nothing to nothing in one go.
//!
//! They are in no record and no list. What a daemon's death leaves of one is what
//! [`crate::restore`] removes of every container that is not on record.

use std::{
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    sync::Arc,
};

use futures_util::StreamExt;
use image::{CancellationToken, Platform};
use runtime::protocol::{FdRole, mount_name};
use tokio::sync::oneshot;
use types::{
    container::{ContainerConfig, HostConfig, NetworkingConfig},
    options::{AttachOptions, StdStream},
};

use crate::{
    Engine, blocking, clock,
    container::{Container, Waiting},
    emulation,
    error::{Error, Result},
    files,
    record::{Mount, MountKind, Record},
    start::{Prepared, end_shim, reap},
    sync::lock,
    trace::Trace,
};

/// What is mounted for a command.
#[derive(Debug)]
pub enum StepSource {
    /// A file or directory of the host's.
    Path(PathBuf),
    /// A file system that is attached nowhere, and a path without links in it.
    Detached(OwnedFd, PathBuf),
    /// Memory, with mount(8)'s options.
    Tmpfs(String),
}

/// A mount of a command.
#[derive(Debug)]
pub struct StepMount {
    /// Where, absolute.
    pub target: String,
    /// What.
    pub source: StepSource,
    /// Whether it may not be written to.
    pub read_only: bool,
}

/// A command of a build.
#[derive(Debug)]
pub struct BuildStep {
    /// The image store's name of its file system.
    pub id: String,
    /// How it runs.
    pub config: ContainerConfig,
    /// Its limits and its network.
    pub host_config: HostConfig,
    /// What is mounted.
    pub mounts: Vec<StepMount>,
    /// Whose programs it runs.
    pub platform: Platform,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepEnd {
    /// 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
}

impl Engine {
    /// Runs a command to its end and gives `output` what it writes. When `cancel` is cancelled it is
    /// killed. Afterwards nothing is left of it but what it wrote in its file system.
    ///
    /// # Errors
    /// When something that is asked for cannot be had, or it cannot be started.
    pub async fn run_step(
        self: &Arc<Self>,
        step: BuildStep,
        mut output: impl FnMut(StdStream, &[u8]) + Send,
        cancel: &CancellationToken,
    ) -> Result<StepEnd> {
        let BuildStep {
            id,
            config,
            mut host_config,
            mounts,
            platform,
        } = step;
        host_config.log_config.kind = "none".to_owned();
        // Its files become a layer as they are, with the owners that they have in an image.
        host_config.userns_mode = "host".to_owned();
        self.check(&config, &mut host_config)?;
        let networks = self.attachments(&mut host_config, NetworkingConfig::default())?;
        let (mounts, given) = resolved(mounts);
        let container = self.container(Record {
            name: id.clone(),
            created: clock::now(),
            image_id: String::new(),
            config,
            host_config,
            mounts,
            links: Vec::new(),
            networks,
            stopped_by_user: false,
            last: None,
            id,
        });
        let ended = self
            .run_unseen(&container, given, &mut output, cancel)
            .await;
        self.clear_run(&container).await;
        let dir = container.data_dir.clone();
        let removed = blocking(move || files::remove_dir(&dir)).await;
        crate::end::log_failure(
            &container,
            "a directory of a build's command stays",
            removed,
        );
        ended.map_err(|error| emulation::explained(error, &platform))
    }

    async fn run_unseen(
        self: &Arc<Self>,
        container: &Arc<Container>,
        given: Vec<(u32, OwnedFd, PathBuf)>,
        output: &mut (impl FnMut(StdStream, &[u8]) + Send),
        cancel: &CancellationToken,
    ) -> Result<StepEnd> {
        let mut joined = self.join(container).await?;
        joined.given = given;
        joined.secret = true;
        let (engine, target) = (Arc::clone(self), Arc::clone(container));
        let mut trace = Trace::begin();
        let (Prepared { shim, run }, mut trace) = blocking(move || {
            let prepared = engine.prepare(&target, joined, &mut trace)?;
            Ok((prepared, trace))
        })
        .await?;
        let (sender, attached) = oneshot::channel();
        lock(&container.waiting).push(Waiting {
            options: AttachOptions {
                stdout: true,
                stderr: true,
                stream: true,
                ..AttachOptions::default()
            },
            link: sender,
        });
        let child = shim.child;
        let started = self
            .launch_prepared(container, shim.control, run, &mut trace)
            .await;
        let mut link = match started {
            Ok(link) => link,
            Err(error) => {
                container.drop_waiting();
                end_shim(child, matches!(error, Error::Start { .. })).await;
                return Err(error);
            }
        };
        trace.step("note");
        trace.end(&container.id);
        let work = async {
            // Without a connection there is no output, and the command runs all the same.
            if let Ok((link, _)) = attached.await {
                let (chunks, _) = link.into_io(false, |_| ());
                let mut chunks = std::pin::pin!(chunks);
                while let Some(chunk) = chunks.next().await {
                    let Ok((stream, bytes)) = chunk else { break };
                    output(stream, &bytes);
                }
            }
            self.follow(container, &mut link).await
        };
        let exit = tokio::select! {
            exit = work => exit,
            () = cancel.cancelled() => {
                // Takes its processes along; the shim has nothing more to do then.
                self.clear_run(container).await;
                end_shim(child, false).await;
                return Err(image::Error::Cancelled("the build").into());
            }
        };
        drop(link);
        let Some(exit) = exit else {
            end_shim(child, false).await;
            let exit = crate::end::lost();
            return Err(Error::Start {
                code: exit.code,
                message: exit.error,
            });
        };
        reap(child);
        Ok(StepEnd {
            code: exit.code,
            out_of_memory: exit.oom_killed,
        })
    }
}

/// Name in the bundle of a file with the cgroup's path, where the configuration is in memory.
pub(crate) const CGROUP_FILE: &str = "cgroup";

/// Puts a configuration, whose environment may have secrets in it, into memory that only the shim
/// and the runtime see: `config.json` is a link to where the shim attaches it, which leads nowhere for
/// everybody else. What a later daemon has to know of it is in a file of its own.
pub(crate) fn configure(
    bundle: &Path,
    json: &[u8],
    cgroup: &str,
    index: u32,
) -> Result<(FdRole, OwnedFd)> {
    const CONFIG: &str = "config.json";
    files::replace(&bundle.join(CGROUP_FILE), cgroup.as_bytes(), 0o600)?;
    let link = bundle.join(CONFIG);
    let target = Path::new(&mount_name(index)).join(CONFIG);
    std::os::unix::fs::symlink(target, &link).map_err(Error::path("link", &link))?;
    let memory = sys::namespace::detached_file(CONFIG, json, 0o600, (0, 0))
        .map_err(Error::io("put a command's environment into memory"))?;
    Ok((FdRole::Mount { index }, memory))
}

/// The mounts as a record has them, and what stands in for sources.
fn resolved(mounts: Vec<StepMount>) -> (Vec<Mount>, Vec<(u32, OwnedFd, PathBuf)>) {
    let mut given = Vec::new();
    let mut all = Vec::new();
    for (index, mount) in (0_u32..).zip(mounts) {
        let mut made = Mount {
            destination: mount.target,
            read_only: mount.read_only,
            must_exist: true,
            ..Mount::default()
        };
        match mount.source {
            StepSource::Path(path) => made.source = path.to_string_lossy().into_owned(),
            StepSource::Detached(file_system, path) => {
                // Looked at only for being there.
                "/".clone_into(&mut made.source);
                given.push((index, file_system, path));
            }
            StepSource::Tmpfs(options) => {
                made.kind = MountKind::Tmpfs;
                made.options = options;
            }
        }
        all.push(made);
    }
    (all, given)
}
