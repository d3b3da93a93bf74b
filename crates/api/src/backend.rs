//! What the routes need from whoever does the work.

use std::{collections::BTreeMap, io, pin::Pin};

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{future::BoxFuture, stream::BoxStream};
use tokio::io::AsyncWrite;
use types::{
    Failure,
    container::{ContainerInspect, ContainerSummary, CreateRequest, CreateResponse, WaitResponse},
    event::Event,
    exec::{ExecConfig, ExecInspect, ExecStart},
    image::{ImageDeleted, ImageInspect, ImageSummary, ProgressLine, RegistryAuth},
    system::{Info, Version},
};

/// A backend's answer.
pub type Result<T> = std::result::Result<T, Failure>;

/// `filters=`: by name, the values asked for (any of them; several names must all hold).
pub type Filters = BTreeMap<String, Vec<String>>;

/// Which stream of a process bytes belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StdStream {
    /// Standard output; everything, where there is a terminal.
    Out,
    /// Standard error.
    Err,
}

/// When a wait ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WaitCondition {
    /// When it does not run: at once for one that is created or ended.
    #[default]
    NotRunning,
    /// When it ends the next time.
    NextExit,
    /// When it is removed.
    Removed,
}

/// `DELETE /containers/{id}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RemoveOptions {
    /// Kill it first.
    pub force: bool,
    /// Its anonymous volumes too.
    pub volumes: bool,
    /// A link rather than the container.
    pub link: bool,
}

/// `GET /containers/json`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListOptions {
    /// Those that do not run too.
    pub all: bool,
    /// The newest so many, running or not.
    pub limit: Option<usize>,
    /// Count sizes.
    pub size: bool,
    /// Which.
    pub filters: Filters,
}

/// `GET /containers/{id}/logs`. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LogsOptions {
    /// Standard output.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Go on with what comes.
    pub follow: bool,
    /// Nothing older.
    pub since: Option<i64>,
    /// Nothing newer.
    pub until: Option<i64>,
    /// Only so many last lines.
    pub tail: Option<usize>,
    /// Put its time before each line.
    pub timestamps: bool,
}

/// Output of a process, as it comes.
pub struct Output {
    /// One raw stream; otherwise the streams are told apart.
    pub tty: bool,
    /// Ends with the process.
    pub chunks: BoxStream<'static, io::Result<(StdStream, Bytes)>>,
}

/// `POST /containers/{id}/attach`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct AttachOptions {
    /// What was logged so far, first.
    pub logs: bool,
    /// What comes from now on.
    pub stream: bool,
    /// Connect standard input.
    pub stdin: bool,
    /// Connect standard output.
    pub stdout: bool,
    /// Connect standard error.
    pub stderr: bool,
}

/// A connection to a process.
pub struct Attachment {
    /// What it writes.
    pub output: Output,
    /// What it reads; `shutdown` ends its standard input, dropping detaches.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
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

/// `POST /images/create?fromSrc=-`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImportOptions {
    /// Name of the new image, `repository[:tag]`; none when empty.
    pub reference: String,
    /// Its commit message.
    pub message: String,
    /// Dockerfile instructions applied to its configuration.
    pub changes: Vec<String>,
    /// `os[/arch[/variant]]`.
    pub platform: Option<String>,
}

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
    async fn load(&self, archive: Body, quiet: bool) -> Result<Progress>;
    /// Makes an image of one layer from a root file system's archive.
    async fn import(&self, archive: Body, options: ImportOptions) -> Result<Progress>;
    /// Those that match, newest first.
    async fn list(&self, all: bool, filters: Filters) -> Result<Vec<ImageSummary>>;
    /// Everything about one.
    async fn inspect(&self, name: &str) -> Result<ImageInspect>;
    /// Gives `name` the further reference `repository[:tag]`.
    async fn tag(&self, name: &str, reference: &str) -> Result<()>;
    /// Removes a reference, and the image with its last one.
    async fn remove(&self, name: &str, force: bool, noprune: bool) -> Result<Vec<ImageDeleted>>;
}

/// `GET /events`. Times are nanoseconds since the epoch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct EventsOptions {
    /// From then on, as far as remembered; otherwise from now on.
    pub since: Option<i64>,
    /// Until then; otherwise without end.
    pub until: Option<i64>,
    /// Which.
    pub filters: Filters,
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
