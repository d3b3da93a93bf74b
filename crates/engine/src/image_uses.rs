//! When images were last used, for the automatic clean-up: while a container has one it is in use;
//! afterwards the moment counts in which the last container went. Kept in a small file; what a crash
//! takes from it makes images look younger, never older: one that is not in it counts from now on.

use std::{collections::BTreeMap, fs, path::PathBuf, sync::Mutex};

use jiff::Timestamp;

use crate::{Engine, sync::lock};

/// Name of the file under the data root.
const FILE: &str = "image-uses.json";

/// Seconds since the epoch, by image.
pub(crate) struct ImageUses {
    path: PathBuf,
    all: Mutex<BTreeMap<String, i64>>,
}

impl ImageUses {
    pub(crate) fn open(data_root: &std::path::Path) -> Self {
        let path = data_root.join(FILE);
        let all = fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok());
        Self {
            path,
            all: Mutex::new(all.unwrap_or_default()),
        }
    }

    fn save(&self, all: &BTreeMap<String, i64>) {
        let temporary = self.path.with_extension("new");
        let written = serde_json::to_vec(all)
            .map_err(std::io::Error::other)
            .and_then(|bytes| fs::write(&temporary, bytes))
            .and_then(|()| fs::rename(&temporary, &self.path));
        if let Err(error) = written {
            tracing::warn!(%error, "when images were used is not written down");
        }
    }
}

impl Engine {
    /// An image is used just now.
    pub fn note_image_use(&self, image: &str) {
        if image.is_empty() {
            return;
        }
        let mut all = lock(&self.image_uses.all);
        all.insert(image.to_owned(), Timestamp::now().as_second());
        self.image_uses.save(&all);
    }

    /// When each of these was last used. One that is new here counts as used now; what is known of
    /// others is forgotten.
    pub fn image_last_uses(&self, images: &[String]) -> BTreeMap<String, i64> {
        let mut all = lock(&self.image_uses.all);
        let now = Timestamp::now().as_second();
        let known: BTreeMap<String, i64> = images
            .iter()
            .map(|id| (id.clone(), all.get(id).copied().unwrap_or(now)))
            .collect();
        if known != *all {
            self.image_uses.save(&known);
            all.clone_from(&known);
        }
        known
    }
}
