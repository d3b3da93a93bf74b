//! Images for several platforms under one name: indexes that are here.
//!
//! The table knows images. A name that stands for an index has one of its images, that for this host or
//! the one pulled last, and the digest of the index, which is a blob beside them. Images of it without
//! names have that digest, too: they go with it.

use std::collections::HashSet;
use std::sync::Arc;

use types::reference::Reference;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::index::{Entry, OUT_OF, give_name};
use crate::load::to_json;
use crate::lookup::KnownManifest;
use crate::manifest::{self, Descriptor, Document, Index, MAX_MANIFEST, OCI_INDEX};
use crate::platform::Platform;
use crate::push::{Push, Pushed};
use crate::store::{State, Store};

/// An index with all that it names.
pub(crate) struct Whole {
    media_type: String,
    bytes: Vec<u8>,
    index: Index,
}

/// The indexes that entries came out of.
pub(crate) fn used(entries: &[Entry]) -> impl Iterator<Item = Digest> {
    let all = entries
        .iter()
        .filter_map(|e| e.manifest.annotations.get(OUT_OF));
    all.filter_map(|digest| Digest::parse(digest).ok())
}

/// Takes away what is left of indexes that no name stands for any more, unless `keep` it.
pub(crate) fn drop_rest(
    before: &[Entry],
    entries: &mut Vec<Entry>,
    keep: impl Fn(&Descriptor) -> bool,
) {
    let named = |entries: &[Entry]| -> HashSet<String> {
        let named = entries.iter().filter(|e| e.name.is_some());
        named
            .filter_map(|e| e.manifest.annotations.get(OUT_OF).cloned())
            .collect()
    };
    let (before, after) = (named(before), named(entries));
    entries.retain(|entry| {
        let index = entry.manifest.annotations.get(OUT_OF);
        let orphan =
            entry.name.is_none() && index.is_some_and(|i| before.contains(i) && !after.contains(i));
        !orphan || keep(&entry.manifest)
    });
}

impl Store {
    /// Puts images for several platforms under common names. The one for this host, or else the first,
    /// is answered, and the index. When this returns, it survives a power cut. Blocks.
    ///
    /// # Errors
    /// When one of them is gone meanwhile, two are for one platform, or the disk is full.
    pub fn index_of(
        &self,
        images: &[Arc<Image>],
        names: &[Reference],
    ) -> Result<(Arc<Image>, KnownManifest)> {
        let mut parts: Vec<Descriptor> = Vec::new();
        for image in images {
            let known = self
                .manifest_of(image)
                .ok_or_else(|| Error::NoSuchImage(image.id.to_string()))?;
            let size = known.size;
            let mut part = Descriptor::new(&known.media_type, image.manifest.clone(), size);
            part.platform = Some(image.platform());
            if parts.iter().any(|p| p.platform == part.platform) {
                let platform = image.platform();
                return Err(Error::Invalid(format!(
                    "two images of one index are for {platform}"
                )));
            }
            parts.push(part);
        }
        let host = Platform::host();
        let own = parts
            .iter()
            .position(|p| p.platform.as_ref().is_some_and(|p| host.accepts(p)))
            .unwrap_or(0);
        let (Some(image), Some(named)) = (images.get(own), parts.get(own)) else {
            return Err(Error::Invalid("an index needs images".to_owned()));
        };
        let index = Index {
            schema_version: 2,
            media_type: OCI_INDEX.to_owned(),
            manifests: parts.clone(),
        };
        let bytes = to_json(&index)?;
        let digest = Digest::of(&bytes);
        let _pins = self.pin([digest.clone()]);
        self.0.blobs.put(&self.0.temp, &bytes)?;
        self.0.blobs.sync()?;
        let mark = |descriptor: &mut Descriptor| {
            let annotations = &mut descriptor.annotations;
            annotations.insert(OUT_OF.to_owned(), digest.to_string());
        };
        let mut named = named.clone();
        named.platform = None;
        mark(&mut named);
        self.change_entries(|state| {
            let mut entries = state.entries.clone();
            // Those with names of their own stand for themselves under these.
            for entry in entries.iter_mut().filter(|e| e.name.is_none()) {
                if parts.iter().any(|p| p.digest == entry.manifest.digest) {
                    mark(&mut entry.manifest);
                }
            }
            for name in names {
                give_name(&mut entries, name, &named);
            }
            Ok(entries)
        })?;
        let image = self.state().images.get(&image.id).cloned();
        let image = image.ok_or_else(|| Error::NoSuchImage(named.digest.to_string()))?;
        let size = bytes.len() as u64;
        let known = KnownManifest {
            media_type: OCI_INDEX.to_owned(),
            digest: digest.to_string(),
            size,
            content: size + parts.iter().map(|p| p.size).sum::<u64>(),
        };
        Ok((image, known))
    }

    /// The index that an entry came out of, or was made for. One that is damaged or gone is none.
    fn index_at(&self, entry: &Entry) -> Option<(Vec<u8>, Index)> {
        let digest = used(std::slice::from_ref(entry)).next()?;
        let bytes = self.0.blobs.read(&digest, MAX_MANIFEST).ok()?;
        match manifest::parse("index", &bytes, None).ok()? {
            Document::Index(index) => Some((bytes, index)),
            Document::Manifest(_) => None,
        }
    }

    /// The index of a name among these that counts on a manifest.
    fn index_with(&self, entries: &[Entry], manifest: &Digest) -> Option<Digest> {
        let mut seen = HashSet::new();
        let named = entries.iter().filter(|e| e.name.is_some());
        let mut first = named.filter_map(|e| {
            let index = used(std::slice::from_ref(e)).next()?;
            seen.insert(index.clone()).then_some((e, index))
        });
        first
            .find(|(entry, _)| {
                let parts = self.index_at(entry).map(|(_, index)| index.manifests);
                parts.is_some_and(|parts| parts.iter().any(|p| p.digest == *manifest))
            })
            .map(|(_, index)| index)
    }

    /// Has an image that lost its last name go with an index that counts on it; false where none
    /// does.
    pub(crate) fn keep_for_indexes(
        &self,
        state: &State,
        entries: &mut [Entry],
        id: &Digest,
    ) -> bool {
        let mut kept = false;
        for at in 0..entries.len() {
            let Some(entry) = entries.get(at).filter(|e| e.name.is_none()) else {
                continue;
            };
            let digest = entry.manifest.digest.clone();
            let manifest = state.manifests.get(&digest);
            if manifest.is_none_or(|manifest| manifest.config.digest != *id) {
                continue;
            }
            if let Some(index) = self.index_with(entries, &digest)
                && let Some(entry) = entries.get_mut(at)
            {
                let annotations = &mut entry.manifest.annotations;
                annotations.insert(OUT_OF.to_owned(), index.to_string());
                kept = true;
            }
        }
        kept
    }

    /// The index of an entry, where all that it names is here.
    pub(crate) fn whole_index(&self, entry: &Entry) -> Option<Whole> {
        let (bytes, index) = self.index_at(entry)?;
        let state = self.state();
        let mut parts = index.manifests.iter();
        if !parts.all(|part| state.manifests.contains_key(&part.digest)) {
            return None;
        }
        drop(state);
        let media_type = match index.media_type.as_str() {
            "" => OCI_INDEX.to_owned(),
            own => own.to_owned(),
        };
        Some(Whole {
            media_type,
            bytes,
            index,
        })
    }

    /// The image for a platform among those that are here of an entry's index.
    pub(crate) fn sibling(
        &self,
        state: &State,
        entry: &Entry,
        platform: &Platform,
    ) -> Option<Arc<Image>> {
        let (_, index) = self.index_at(entry)?;
        let parts = index.manifests.iter();
        parts
            .filter_map(|part| {
                let manifest = state.manifests.get(&part.digest)?;
                let image = state.images.get(&manifest.config.digest)?;
                Some((platform.distance(&image.platform())?, image))
            })
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, image)| image.clone())
    }

    /// Has an entry stand for the image for a platform, where that one of its index is here.
    pub(crate) fn for_platform(&self, state: &State, entry: &mut Entry, platform: &Platform) {
        let manifest = state.manifests.get(&entry.manifest.digest);
        let image = manifest.and_then(|m| state.images.get(&m.config.digest));
        if image.is_none_or(|image| platform.accepts(&image.platform())) {
            return;
        }
        let other = self.sibling(state, entry, platform);
        let found = other.and_then(|other| {
            let mut entries = state.entries.iter();
            entries.find(|e| e.manifest.digest == other.manifest)
        });
        if let Some(found) = found {
            entry.manifest = found.manifest.clone();
        }
    }
}

impl Push<'_> {
    /// Sends all images of an index, and then the index under the entry's name.
    pub(crate) async fn index(
        &self,
        entry: &Entry,
        whole: Whole,
        from: &[(String, HashSet<Digest>)],
    ) -> Result<Pushed> {
        let Whole {
            mut media_type,
            mut bytes,
            mut index,
        } = whole;
        let mut changed = false;
        for part in &mut index.manifests {
            let (kind, sent) = self.content(part, None, from).await?;
            let digest = Digest::of(&sent);
            self.session
                .put_manifest(&digest.to_string(), &kind, &sent)
                .await?;
            changed |= digest != part.digest;
            (part.digest, part.size, part.media_type) = (digest, sent.len() as u64, kind);
        }
        if changed {
            // What was made here has other forms of layers in a registry.
            OCI_INDEX.clone_into(&mut media_type);
            index.media_type.clone_from(&media_type);
            bytes = to_json(&index)?;
        }
        self.publish(entry, &media_type, &bytes).await
    }
}
