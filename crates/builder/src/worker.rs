//! What the builder needs of whoever runs processes and speaks to registries.

use std::{
    io::Write,
    os::fd::{BorrowedFd, OwnedFd},
    path::PathBuf,
    sync::Arc,
};

use image::{
    CacheRecord, CancellationToken, Digest, Held, Image, Platform, Pushed, Reference, RemoteCache,
};
use types::{build::BuildRequest, options::StdStream};

use crate::error::Result;

/// What is mounted for one command.
#[derive(Debug)]
pub enum MountSource {
    /// A file or directory of the host's.
    Path(PathBuf),
    /// A file system that is attached nowhere, and a path in it without links.
    Detached(OwnedFd, PathBuf),
    /// Memory, with mount(8)'s options.
    Tmpfs(String),
}

/// A mount of one command.
#[derive(Debug)]
pub struct StepMount {
    /// Where, absolute.
    pub target: String,
    /// What.
    pub source: MountSource,
    /// Whether it may not be written to.
    pub read_only: bool,
}

/// The network of a command.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum StepNetwork {
    /// A bridge.
    #[default]
    Default,
    /// Loopback alone.
    None,
    /// The host's.
    Host,
    /// One that a user made, by name or identifier.
    Own(String),
}

/// A command to run.
#[derive(Debug)]
pub struct Command<'a> {
    /// The store's name of its file system; also the container's identifier.
    pub id: &'a str,
    /// Program and arguments.
    pub argv: Vec<String>,
    /// `NAME=value`.
    pub env: Vec<String>,
    /// `user[:group]`; root where empty.
    pub user: String,
    /// Absolute.
    pub working_dir: String,
    /// Its network.
    pub network: StepNetwork,
    /// Every capability, no filter.
    pub insecure: bool,
    /// What is mounted.
    pub mounts: Vec<StepMount>,
    /// Whose programs it runs.
    pub platform: &'a Platform,
    /// Limits, hosts and the parent of its cgroup.
    pub request: &'a BuildRequest,
}

/// How a command ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ended {
    /// 128 and the signal's number where a signal ended it.
    pub code: i32,
    /// The kernel ended it for want of memory.
    pub out_of_memory: bool,
}

/// What was fetched from a URL.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fetched {
    /// Seconds since 1970, where the server says.
    pub modified: Option<i64>,
    /// What the server calls this state of it.
    pub etag: Option<String>,
    /// It is what was known already, and was not sent.
    pub unchanged: bool,
}

/// Where output goes as it comes.
pub type OnOutput<'a> = &'a (dyn Fn(StdStream, &[u8]) + Sync);

/// Where progress of transfers goes.
pub type OnProgress<'a> = &'a (dyn Fn(image::Progress) + Send + Sync);

/// Whoever runs processes and speaks to registries and servers. All of it blocks, and ends soon
/// after `cancel` is cancelled.
pub trait Worker: Send + Sync {
    /// Runs a command to its end. Nothing of it is left afterwards but what it wrote.
    ///
    /// # Errors
    /// When it cannot be started, and [`crate::Error::Cancelled`].
    fn run(
        &self,
        command: Command<'_>,
        output: OnOutput<'_>,
        cancel: &CancellationToken,
    ) -> Result<Ended>;

    /// The image of a name, pulled where it is not here, or newly where `pull`.
    ///
    /// # Errors
    /// When there is none for the platform or its registry cannot be reached.
    fn base(
        &self,
        name: &Reference,
        platform: &Platform,
        pull: bool,
        request: &BuildRequest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Arc<Image>>;

    /// Sends the manifest or index with this digest to its registry under a name, whatever has
    /// that name here by now; answers what it stands for there.
    ///
    /// # Errors
    /// When the registry refuses or cannot be reached.
    fn push(
        &self,
        name: &Reference,
        digest: &str,
        request: &BuildRequest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<Pushed>>;

    /// Reads which steps a cache in a registry has.
    ///
    /// # Errors
    /// When there is none, it cannot be read, or its registry cannot be reached.
    fn cache(
        &self,
        name: &Reference,
        platform: &Platform,
        insecure: bool,
        request: &BuildRequest,
        cancel: &CancellationToken,
    ) -> Result<RemoteCache>;

    /// Takes a step from a cache in a registry.
    ///
    /// # Errors
    /// When its layer cannot be fetched, or is not what the cache says.
    fn cached(
        &self,
        cache: &RemoteCache,
        key: &Digest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<Option<(CacheRecord, Held)>>;

    /// Sends a cache to a registry; answers its manifest's digest.
    ///
    /// # Errors
    /// When the registry refuses or cannot be reached.
    fn export(
        &self,
        name: &Reference,
        records: &[CacheRecord],
        insecure: bool,
        request: &BuildRequest,
        progress: OnProgress<'_>,
        cancel: &CancellationToken,
    ) -> Result<String>;

    /// Fetches what a URL has into `sink`, unless it is what its server calls `known`.
    ///
    /// # Errors
    /// When the server refuses or cannot be reached.
    fn fetch(
        &self,
        url: &str,
        known: Option<&str>,
        sink: &mut (dyn Write + Send),
        cancel: &CancellationToken,
    ) -> Result<Fetched>;

    /// User and group of `user[:group]` by the files of an image's root.
    ///
    /// # Errors
    /// When there is no such user or group.
    fn user(&self, root: BorrowedFd<'_>, user: &str) -> Result<(u32, u32)>;

    /// Tells that something happened to an image.
    fn tell(&self, action: &str, image: &str, name: Option<&str>);
}
