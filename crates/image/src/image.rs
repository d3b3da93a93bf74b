//! An image as callers see it.

use std::sync::Arc;

use types::reference::Reference;

use crate::config::ImageConfig;
use crate::digest::Digest;
use crate::error::Result;
use crate::platform::Platform;

/// An image in the store.
#[derive(Debug, Clone)]
pub struct Image {
    /// Digest of its configuration.
    pub id: Digest,
    /// Its references by tag.
    pub tags: Vec<Reference>,
    /// Its references by digest.
    pub digests: Vec<Reference>,
    /// Digest of its manifest in the store.
    pub manifest: Digest,
    /// Its configuration.
    pub config: Arc<ImageConfig>,
    /// Bytes of all files in its layers.
    pub size: u64,
    /// When it was last given a tag here, RFC 3339.
    pub last_tag_time: Option<String>,
}

impl Image {
    /// What it is for.
    pub fn platform(&self) -> Platform {
        Platform {
            os: match self.config.os.as_str() {
                "" => "linux".to_owned(),
                os => os.to_owned(),
            },
            architecture: self.config.architecture.clone(),
            variant: self.config.variant.clone(),
        }
    }

    /// Refuses it where it is not for the platform that was asked for.
    ///
    /// # Errors
    /// In Docker's words.
    pub fn check_platform(&self, wanted: Option<&Platform>) -> Result<()> {
        crate::platform::check(self, wanted)
    }

    /// `RepoTags`: familiar names with tags.
    pub fn repo_tags(&self) -> Vec<String> {
        self.tags.iter().map(Reference::familiar).collect()
    }

    /// `RepoDigests`: familiar names with digests.
    pub fn repo_digests(&self) -> Vec<String> {
        self.digests.iter().map(Reference::familiar).collect()
    }

    /// Digests of its unpacked layers, lowest first.
    pub fn diff_ids(&self) -> &[Digest] {
        &self.config.rootfs.diff_ids
    }

    /// The identifiers of its layers each together with all below it, lowest first.
    pub fn chain_ids(&self) -> Vec<Digest> {
        let mut chain: Vec<Digest> = Vec::new();
        for diff_id in self.diff_ids() {
            let id = match chain.last() {
                None => diff_id.clone(),
                Some(below) => Digest::of(format!("{below} {diff_id}").as_bytes()),
            };
            chain.push(id);
        }
        chain
    }
}
