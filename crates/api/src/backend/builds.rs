//! Building images.

use async_trait::async_trait;
use types::build::{BuildRequest, ContextAnswer, PruneAnswer, PruneRequest, Record};

use super::{Attachment, Body, Progress, Result};

/// Builds of images.
#[async_trait]
pub trait Builds: Send + Sync {
    /// Takes in what a client tells of a context: a [`types::build::ContextUpdate`] as JSON.
    async fn context(&self, update: Body) -> Result<ContextAnswer>;
    /// Takes in contents of a context.
    async fn contents(&self, contents: Body) -> Result<()>;
    /// Builds, see [`types::build`] for what goes over the connection. It ends when the attachment
    /// is dropped.
    async fn session(&self, request: BuildRequest) -> Result<Attachment>;
    /// Builds as Docker's classic builder; `archive` is the context, where the request names none.
    /// `quiet`: nothing is told but the image.
    async fn build(&self, request: BuildRequest, archive: Body, quiet: bool) -> Result<Progress>;
    /// Ends the build of that identifier.
    async fn cancel(&self, id: &str) -> Result<()>;
    /// What the cache has.
    async fn records(&self) -> Result<Vec<Record>>;
    /// Removes of it.
    async fn prune(&self, request: PruneRequest) -> Result<PruneAnswer>;
}
