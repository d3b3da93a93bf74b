//! Files in containers, and what is made of them.

use async_trait::async_trait;
use types::{
    container::{ContainerConfig, FilesystemChange, PathStat},
    options::PlaceOptions,
};

use super::{Body, Result};

/// How a container is committed.
#[derive(Debug, Clone, Default)]
pub struct CommitOptions {
    /// `repository[:tag]`; empty for none.
    pub reference: String,
    /// Who made it.
    pub author: String,
    /// A remark.
    pub comment: String,
    /// Members that replace the container's.
    pub config: Option<ContainerConfig>,
    /// Dockerfile instructions.
    pub changes: Vec<String>,
    /// Let nothing run meanwhile.
    pub pause: bool,
}

/// Files in containers, and what is made of them.
#[async_trait]
pub trait Files: Send + Sync {
    /// What is at a path.
    async fn path_stat(&self, name: &str, path: &str) -> Result<PathStat>;
    /// A path and all below it as a tar archive.
    async fn read_archive(&self, name: &str, path: &str) -> Result<(PathStat, Body)>;
    /// Places a tar archive, packed or not, in a directory.
    async fn write_archive(
        &self,
        name: &str,
        path: &str,
        options: PlaceOptions,
        archive: Body,
    ) -> Result<()>;
    /// The whole file system as a tar archive.
    async fn export(&self, name: &str) -> Result<Body>;
    /// What differs from the image, by path.
    async fn changes(&self, name: &str) -> Result<Vec<FilesystemChange>>;
    /// Makes an image; answers its identifier.
    async fn commit(&self, name: &str, options: CommitOptions) -> Result<String>;
}
