//! Images: content, unpacked layers, registries, and the file systems that containers run on.
//!
//! Everything lies below `<data-root>/image`: an OCI image layout (blobs by digest, `index.json`
//! as the table of names), unpacked layers by the digest of what they were unpacked from, and
//! containers' writable layers. All of it is crash-only: names appear by rename when what they
//! stand for is whole, and [`Store::open`] removes what is not.
//!
//! Layers are unpacked each by itself, independent of what is below it, so they unpack while
//! they arrive, in parallel, and are stored once however many images share them.

mod archive;
mod blob;
mod build;
mod cache;
mod cache_export;
mod cache_import;
mod cache_list;
mod carry;
mod changes;
mod channel;
mod commit;
mod config;
mod decompress;
mod digest;
mod download;
mod error;
mod fetch;
mod gc;
mod history;
mod image;
mod index;
mod indexes;
mod layer;
mod layout;
mod load;
mod login;
mod lookup;
mod make;
mod manifest;
mod mountable;
mod pack;
mod platform;
mod progress;
mod pull;
mod push;
mod push_made;
mod registry;
mod remote;
mod remove;
mod save;
mod snapshot;
mod store;
mod tree;
mod unpack;
mod usage;

pub use build::{Held, Step, StoredLayer};
pub use cache::{CacheRecord, CacheUse, Dropped};
pub use cache_import::RemoteCache;
pub use cache_list::{CacheIndex, CacheList};
pub use commit::Commit;
pub use config::{Healthcheck, History, ImageConfig, RootFs, RunConfig};
pub use digest::{Digest, Hasher};
pub use download::Downloaded;
pub use error::{Error, Result};
pub use image::Image;
pub use load::Loaded;
pub use login::{Distribution, Found, SearchFilters};
pub use lookup::KnownManifest;
pub use make::Import;
pub use platform::Platform;
pub use progress::{LayerStep, Progress};
pub use pull::{OnProgress, Pulled};
pub use push::Pushed;
pub use registry::{check_insecure, check_mirror};
pub use remote::{Access, Copied, Part, Remote};
pub use remove::{Deleted, InUse, Use};
pub use save::Saving;
pub use store::{Options, Store};
pub use tokio_util::sync::CancellationToken;
pub use types::image::RegistryAuth;
pub use types::reference::Reference;
pub use unpack::Limits;
pub use usage::Usage;

/// What a fuzzer feeds.
#[doc(hidden)]
pub mod fuzzing {
    /// Reads a manifest or index as it came from a registry that said it was `content_type`.
    pub fn manifest(bytes: &[u8], content_type: Option<&str>) {
        // An error is an answer.
        let _ = crate::manifest::parse("it", bytes, content_type);
    }
}
