//! `--cache-from` and `--cache-to` of directories: what is in them travels as contexts and results do,
//! so that the daemon may be anywhere.

use std::path::PathBuf;

use types::build::{BuildRequest, CacheTarget};

use super::{
    context::{Directory, Ignore},
    outputs::{Sink, Target},
};
use crate::{
    client::Client,
    error::{Error, Result, errno_text},
    format::output::complain,
    progress::build::Board,
};

const LOCAL: &str = "local";
/// Blobs of a directory that are told of; others come again.
const MOST: usize = 20_000;

/// Sends the caches in directories. One that is not there is no cache, as buildx has it.
pub(super) async fn give(
    caches: &mut Vec<CacheTarget>,
    client: &Client,
    board: &mut Board,
) -> Result {
    let mut all = Vec::new();
    for mut cache in caches.drain(..) {
        let dir = cache.attributes.get("src").cloned();
        let Some(dir) = dir.filter(|_| cache.kind == LOCAL) else {
            all.push(cache);
            continue;
        };
        if let Err(e) = std::fs::metadata(PathBuf::from(&dir).join("index.json")) {
            complain(&format!(
                "WARNING: local cache import at {dir} not found due to err: {}",
                errno_text(&e)
            ));
            continue;
        }
        let directory = Directory {
            title: format!("load cache {dir}"),
            path: PathBuf::from(dir),
            ignore: Ignore::of(&[])?,
            purpose: "cache".to_owned(),
        };
        let id = directory.give(client, board).await?;
        cache.attributes.insert("context".to_owned(), id);
        all.push(cache);
    }
    *caches = all;
    Ok(())
}

/// Says what directories that are to be written have already, so that it need not come again.
pub(super) fn look(caches: &mut [CacheTarget]) {
    for cache in caches.iter_mut().filter(|c| c.kind == LOCAL) {
        let Some(dir) = cache.attributes.get("dest") else {
            continue;
        };
        let blobs = std::fs::read_dir(PathBuf::from(dir).join("blobs/sha256"));
        let blobs = blobs.into_iter().flatten().flatten().filter_map(|blob| {
            let meta = blob.metadata().ok().filter(std::fs::Metadata::is_file)?;
            let name = blob.file_name().into_string().ok()?;
            types::reference::is_full_id(&name).then(|| format!("{name}:{}", meta.len()))
        });
        let have: Vec<_> = blobs.take(MOST).collect();
        cache.attributes.insert("have".to_owned(), have.join(","));
    }
}

/// Where archives go: that of the result first, then those of caches.
pub(crate) struct Sinks {
    now: Sink,
    /// Directories that were asked for and have not come yet.
    caches: Vec<String>,
}

impl Sinks {
    /// For the result's archive and what a build was asked to write.
    pub(crate) fn new(result: Sink, request: &BuildRequest) -> Self {
        let local = request.cache_to.iter().filter(|c| c.kind == LOCAL);
        Self {
            now: result,
            caches: local
                .filter_map(|c| c.attributes.get("dest").cloned())
                .collect(),
        }
    }

    /// What comes now goes into that directory, if it was asked for.
    pub(super) async fn cache(&mut self, dir: &str) -> Result {
        let at = self.caches.iter().position(|own| own == dir);
        let at = at.ok_or_else(|| Error::msg("the daemon sent a cache that nobody asked for"))?;
        let target = Target::Directory(PathBuf::from(self.caches.swap_remove(at)));
        let next = Sink::open(Some(target))?;
        std::mem::replace(&mut self.now, next).end().await
    }

    /// Takes the next bytes.
    pub(super) async fn take(&mut self, bytes: bytes::Bytes) -> Result {
        self.now.take(bytes).await
    }

    /// All of it came.
    pub(crate) async fn end(self) -> Result {
        self.now.end().await
    }
}
