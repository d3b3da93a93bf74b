//! What the routes need from whoever does the work.

mod authorization;
mod builds;
mod files;
mod image_work;
mod life;
mod live;
mod networks;
mod registry_work;
mod volumes;

use std::{io, pin::Pin};

use async_trait::async_trait;
pub use authorization::{Answered, Asked, Authorization, Chain, Peer};
pub use builds::Builds;
use bytes::Bytes;
pub use files::{CommitOptions, Files};
use futures_util::{future::BoxFuture, stream::BoxStream};
pub use image_work::ImageWork;
pub use life::Life;
pub use live::Live;
pub use networks::Networks;
pub use registry_work::{RegistryAccess, RegistryWork};
use tokio::io::AsyncWrite;
pub use types::options::{
    AttachOptions, EventsOptions, Filters, ImagesOptions, ImportOptions, ListOptions, LogsOptions,
    RemoveOptions, StdStream, WaitCondition,
};
use types::{
    Failure,
    container::{ContainerInspect, ContainerSummary, CreateRequest, CreateResponse, WaitResponse},
    event::Event,
    exec::{ExecConfig, ExecInspect, ExecStart},
    image::{ImageDeleted, ImageInspect, ImageSummary, ProgressLine, RegistryAuth},
    system::{Info, Version},
};
pub use volumes::Volumes;

/// A backend's answer.
pub type Result<T> = std::result::Result<T, Failure>;

/// Output of a process, as it comes.
pub struct Output {
    /// One raw stream; otherwise the streams are told apart.
    pub tty: bool,
    /// Ends with the process.
    pub chunks: BoxStream<'static, io::Result<(StdStream, Bytes)>>,
}

/// A connection to a process.
pub struct Attachment {
    /// What it writes.
    pub output: Output,
    /// What it reads; `shutdown` ends its standard input, dropping detaches.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
    /// To be called when the client detaches by its keys.
    pub detached: Box<dyn FnOnce() + Send>,
}

/// Containers and the processes in them. A `name` is a name, a full identifier or the unique
/// beginning of one.
#[async_trait]
pub trait Containers: Send + Sync {
    /// Defines a container.
    async fn create(
        &self,
        name: Option<String>,
        platform: Option<String>,
        request: CreateRequest,
    ) -> Result<CreateResponse>;
    /// Starts it; [`types::ErrorKind::NotModified`] when it runs.
    async fn start(&self, name: &str) -> Result<()>;
    /// Stops it; [`types::ErrorKind::NotModified`] when it does not run. `timeout` in seconds.
    async fn stop(&self, name: &str, signal: Option<String>, timeout: Option<i64>) -> Result<()>;
    /// Stops it if it runs, and starts it.
    async fn restart(&self, name: &str, signal: Option<String>, timeout: Option<i64>)
    -> Result<()>;
    /// Sends `signal` (name or number; SIGKILL when absent).
    async fn kill(&self, name: &str, signal: Option<String>) -> Result<()>;
    /// Registers at once; the inner future ends when the condition holds.
    async fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<WaitResponse>>>;
    /// Removes it.
    async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()>;
    /// Those that match, newest first.
    async fn list(&self, options: ListOptions) -> Result<Vec<ContainerSummary>>;
    /// Everything about one.
    async fn inspect(&self, name: &str, size: bool) -> Result<ContainerInspect>;
    /// What it wrote.
    async fn logs(&self, name: &str, options: LogsOptions) -> Result<Output>;
    /// Connects to its first process.
    async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment>;
    /// Sets its terminal's size.
    async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()>;
    /// Defines a further process; answers its identifier.
    async fn exec_create(&self, name: &str, config: ExecConfig) -> Result<String>;
    /// Starts it, connected (`None` when `start.detach`).
    async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>>;
    /// Sets its terminal's size.
    async fn exec_resize(&self, exec: &str, rows: u16, columns: u16) -> Result<()>;
    /// Everything about it.
    async fn exec_inspect(&self, exec: &str) -> Result<ExecInspect>;
}

/// A body that arrives in pieces.
pub type Body = BoxStream<'static, io::Result<Bytes>>;
/// The lines of an answer that reports progress; an error after the first line is a line itself.
pub type Progress = BoxStream<'static, ProgressLine>;

/// Images.
#[async_trait]
pub trait Images: Send + Sync {
    /// Fetches `reference` (`repository`, `repository:tag` or `repository@digest`).
    async fn pull(
        &self,
        reference: &str,
        platform: Option<String>,
        auth: Option<RegistryAuth>,
    ) -> Result<Progress>;
    /// Takes in an archive that `save` wrote.
    async fn load(&self, archive: Body, quiet: bool, platform: Option<String>) -> Result<Progress>;
    /// Makes an image of one layer from a root file system's archive.
    async fn import(&self, archive: Body, options: ImportOptions) -> Result<Progress>;
    /// Those that match, newest first.
    async fn list(&self, options: ImagesOptions) -> Result<Vec<ImageSummary>>;
    /// Everything about one, which must be for `platform`; of its manifests too where asked for.
    async fn inspect(
        &self,
        name: &str,
        platform: Option<String>,
        manifests: bool,
    ) -> Result<ImageInspect>;
    /// Gives `name` the further reference `repository[:tag]`.
    async fn tag(&self, name: &str, reference: &str) -> Result<()>;
    /// Removes a reference, and the image with its last one.
    async fn remove(&self, name: &str, force: bool, noprune: bool) -> Result<Vec<ImageDeleted>>;
}

/// The daemon and its host.
#[async_trait]
pub trait System: Send + Sync {
    /// Versions.
    async fn version(&self) -> Result<Version>;
    /// The daemon's state and what its host can do.
    async fn info(&self) -> Result<Info>;
    /// What happens.
    async fn events(&self, options: EventsOptions) -> Result<BoxStream<'static, Event>>;
}
