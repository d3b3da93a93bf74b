//! How much disk images take, and how much of it they share.

use std::collections::HashMap;

use crate::{digest::Digest, store::Store};

/// Bytes of layers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Usage {
    /// Of all layers that images have, each counted once.
    pub layers: u64,
    /// By image: of the layers that another image has too.
    pub shared: HashMap<Digest, u64>,
}

impl Store {
    /// What images take. Sizes were counted when the layers were unpacked: nothing is read now.
    #[must_use]
    pub fn usage(&self) -> Usage {
        let images = self.list();
        let mut users: HashMap<&Digest, usize> = HashMap::new();
        for image in &images {
            let mut own: Vec<_> = image.diff_ids().iter().collect();
            own.sort();
            own.dedup();
            for layer in own {
                *users.entry(layer).or_default() += 1;
            }
        }
        let size = |layer: &Digest| self.0.layers.get(layer).map_or(0, |meta| meta.size);
        let shared = images.iter().map(|image| {
            let layers = image.diff_ids().iter();
            let shared = layers.filter(|l| users.get(l).is_some_and(|n| *n > 1));
            (image.id.clone(), shared.map(size).sum())
        });
        Usage {
            layers: users.keys().map(|layer| size(layer)).sum(),
            shared: shared.collect(),
        }
    }
}
