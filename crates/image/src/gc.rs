//! Removing content that nothing refers to.

use std::collections::HashSet;

use crate::blob::TempPath;
use crate::digest::Digest;
use crate::error::Result;
use crate::store::{State, Store};

/// Everything that must stay.
fn referenced(state: &State) -> HashSet<Digest> {
    let mut keep: HashSet<Digest> = state.pins.keys().cloned().collect();
    for (digest, manifest) in &state.manifests {
        keep.insert(digest.clone());
        keep.insert(manifest.config.digest.clone());
        keep.extend(manifest.layers.iter().map(|layer| layer.digest.clone()));
    }
    keep.extend(crate::indexes::used(&state.entries));
    for image in state.images.values() {
        keep.extend(image.diff_ids().iter().cloned());
    }
    for container in state.containers.values() {
        // The blob too: a layer that is not durable yet is unpacked from it again.
        keep.extend(
            container
                .layers
                .iter()
                .flat_map(|l| [l.diff_id.clone(), l.blob.clone()]),
        );
    }
    for record in state.cache.all.values() {
        let layer = record.layer.iter();
        keep.extend(layer.flat_map(|l| [l.diff_id.clone(), l.descriptor.digest.clone()]));
    }
    keep
}

impl Store {
    /// Removes blobs and layers without a user. What is returned is removed when dropped.
    pub(crate) fn gc(&self) -> Result<Vec<TempPath>> {
        // Under the lock throughout: whoever relies on content pins it under the same lock, so
        // nothing can be found present here and be gone a moment later.
        let state = self.state();
        if !state.unread.is_empty() {
            return Ok(Vec::new());
        }
        let keep = referenced(&state);
        let mut trash = Vec::new();
        let mut first_error = Ok(());
        for layer in self.0.layers.all() {
            if !keep.contains(&layer) {
                match self.0.layers.take(&layer, &self.0.temp) {
                    Ok(path) => trash.push(path),
                    Err(error) => first_error = first_error.and(Err(error)),
                }
            }
        }
        for blob in self.0.blobs.list()? {
            if !keep.contains(&blob) {
                sys::failpoint!("image.blob.remove");
                first_error = first_error.and(self.0.blobs.remove(&blob));
            }
        }
        self.forget_packed(&keep);
        first_error.map(|()| trash)
    }

    /// [`Self::gc`], with the files removed in the background; a failure is not the caller's,
    /// whose own work is done, and what is left is found again at the next opening.
    pub(crate) fn gc_later(&self) {
        match self.gc() {
            Ok(trash) => self.remove_later(trash),
            Err(error) => tracing::warn!(%error, "unused image content could not all be removed"),
        }
    }
}
