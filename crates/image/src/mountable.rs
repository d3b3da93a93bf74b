//! Where a registry may take layers from by itself.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use types::reference::Reference;

use crate::digest::Digest;
use crate::index::Entry;
use crate::manifest::Manifest;

/// Most repositories that a registry is asked to take a layer from.
const MOUNTS: usize = 3;

/// Other repositories on the same registry, and the layers that they have as far as is known.
pub(crate) fn repositories(
    entries: &[Entry],
    reference: &Reference,
    manifests: &HashMap<Digest, Arc<Manifest>>,
) -> Vec<(String, HashSet<Digest>)> {
    let mut found: Vec<(String, HashSet<Digest>)> = Vec::new();
    for entry in entries {
        // A name by digest tells that the registry had it.
        let name = entry.name.as_ref().filter(|n| n.digest().is_some());
        let Some(name) =
            name.filter(|n| n.domain() == reference.domain() && n.path() != reference.path())
        else {
            continue;
        };
        let Some(manifest) = manifests.get(&entry.manifest.digest) else {
            continue;
        };
        let layers = manifest.layers.iter().map(|layer| layer.digest.clone());
        let known = found.iter().position(|(path, _)| path == name.path());
        match known {
            Some(at) => found[at].1.extend(layers),
            None if found.len() < MOUNTS => found.push((name.path().to_owned(), layers.collect())),
            None => {}
        }
    }
    found
}
