//! Finding images by what people call them, and giving them names.

use std::sync::Arc;

use types::reference::{Reference, is_full_id};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::index::{Entry, OUT_OF, give_name};
use crate::manifest::MAX_CONFIG;
use crate::platform::Platform;
use crate::store::{State, Store};

/// What Docker calls an image that it does not find: with its tag.
fn missing(name: &str) -> Error {
    let text = match Reference::parse(name) {
        Ok(reference) => reference.with_default_tag().familiar(),
        Err(_) => name.to_owned(),
    };
    Error::NoSuchImage(text)
}

pub(crate) fn find(state: &State, name: &str) -> Result<Arc<Image>> {
    let hex = name.strip_prefix("sha256:").unwrap_or(name);
    if is_full_id(hex) {
        let id = Digest::from_hex(hex);
        return id
            .and_then(|id| state.images.get(&id).cloned())
            .ok_or_else(|| missing(name));
    }
    if let Ok(reference) = Reference::parse(name)
        && let Some(image) = by_reference(state, &reference)
    {
        return Ok(image);
    }
    let is_prefix = !hex.is_empty()
        && hex.len() < 64
        && hex
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if !is_prefix {
        return Err(missing(name));
    }
    let mut fitting = state
        .images
        .values()
        .filter(|image| image.id.hex().starts_with(hex));
    match (fitting.next(), fitting.next()) {
        (Some(image), None) => Ok(image.clone()),
        (Some(_), Some(_)) => Err(Error::AmbiguousId(name.to_owned())),
        (None, _) => Err(missing(name)),
    }
}

/// A digest decides when there is one; a tag beside it says nothing then.
fn entry_of<'s>(state: &'s State, reference: &Reference) -> Option<&'s Entry> {
    let wanted = match reference.digest() {
        Some(digest) => reference.with_digest(digest).ok()?,
        None => reference.clone().with_default_tag(),
    };
    let mut entries = state.entries.iter();
    entries.find(|entry| entry.name.as_ref() == Some(&wanted))
}

fn by_reference(state: &State, reference: &Reference) -> Option<Arc<Image>> {
    let entry = entry_of(state, reference)?;
    let manifest = state.manifests.get(&entry.manifest.digest)?;
    state.images.get(&manifest.config.digest).cloned()
}

/// What there is to tell of a manifest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownManifest {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its length.
    pub size: u64,
    /// Bytes of it and of all that it names.
    pub content: u64,
}

impl Store {
    /// The image of a name, a digest reference, an id or the beginning of one.
    ///
    /// # Errors
    /// With Docker's text, when there is none, or when several ids begin so.
    pub fn get(&self, name_or_id: &str) -> Result<Arc<Image>> {
        find(&self.state(), name_or_id)
    }

    /// The same for one platform: the image that has the name, or another one of the index that it
    /// was pulled out of.
    ///
    /// # Errors
    /// With Docker's texts, when there is none.
    pub fn get_for(&self, name_or_id: &str, platform: Option<&Platform>) -> Result<Arc<Image>> {
        let state = self.state();
        let image = find(&state, name_or_id)?;
        let Some(platform) = platform.filter(|p| !p.accepts(&image.platform())) else {
            return Ok(image);
        };
        // An identifier means just this image.
        let reference = Reference::parse(name_or_id).ok();
        let named = reference.and_then(|r| entry_of(&state, &r));
        match named.and_then(|entry| self.sibling(&state, entry, platform)) {
            Some(other) => Ok(other),
            None => crate::platform::check(&image, Some(platform)).map(|()| image),
        }
    }

    /// The manifest of an image here.
    #[must_use]
    pub fn manifest_of(&self, image: &Image) -> Option<KnownManifest> {
        let state = self.state();
        let mut entries = state.entries.iter();
        let entry = entries.find(|e| e.manifest.digest == image.manifest)?;
        let manifest = state.manifests.get(&image.manifest)?;
        let blobs: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
        Some(KnownManifest {
            media_type: entry.manifest.media_type.clone(),
            digest: image.manifest.to_string(),
            size: entry.manifest.size,
            content: entry.manifest.size + manifest.config.size + blobs,
        })
    }

    /// All images, those made last first.
    pub fn list(&self) -> Vec<Arc<Image>> {
        let mut images: Vec<_> = self.state().images.values().cloned().collect();
        let created = |image: &Image| {
            let text = image.config.created.as_deref()?;
            text.parse::<jiff::Timestamp>().ok()
        };
        images.sort_by_key(|image| std::cmp::Reverse(created(image)));
        images
    }

    /// The configuration exactly as it was pulled; its digest is the image's id.
    ///
    /// # Errors
    /// When it cannot be read or is damaged.
    pub fn raw_config(&self, image: &Image) -> Result<Vec<u8>> {
        self.0.blobs.read(&image.id, MAX_CONFIG)
    }

    /// Gives an image a further name, taken from whatever image had it.
    ///
    /// # Errors
    /// When there is no such image, or the new name has a digest.
    pub fn tag(&self, source: &str, target: &Reference) -> Result<Arc<Image>> {
        if target.digest().is_some() {
            return Err(Error::Invalid(
                "refusing to create a tag with a digest reference".to_owned(),
            ));
        }
        let target = target.clone().with_default_tag();
        let mut id = None;
        self.change_entries(|state| {
            let image = find(state, source)?;
            // By the entry that was meant, for only that one may stand for an index.
            let named = Reference::parse(source)
                .ok()
                .map(Reference::with_default_tag);
            let mut own = state
                .entries
                .iter()
                .filter(|entry| entry.manifest.digest == image.manifest);
            let meant = own
                .clone()
                .find(|entry| entry.name.is_some() && entry.name == named)
                .map(|entry| entry.manifest.clone());
            let alone = || {
                let mut manifest = own.next()?.manifest.clone();
                manifest.annotations.remove(OUT_OF);
                Some(manifest)
            };
            let manifest = meant.or_else(alone).ok_or_else(|| missing(source))?;
            id = Some(image.id.clone());
            let mut entries = state.entries.clone();
            give_name(&mut entries, &target, &manifest);
            Ok(entries)
        })?;
        id.and_then(|id| self.state().images.get(&id).cloned())
            .ok_or_else(|| missing(source))
    }
}
