//! Writing images as an archive that any tool reads: an OCI layout, with the `manifest.json` and
//! `repositories` of older docker versions beside it, as Docker 25 and later write it.
//!
//! Blobs go into it as they are in the store, packed or not: nothing is computed, so it is as fast
//! as the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write};
use std::sync::Arc;

use archive::{Header, Kind, TarWriter};
use serde_json::{Value, json};
use types::reference::Reference;

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::image::Image;
use crate::load::to_json;
use crate::lookup::find;
use crate::manifest::{Descriptor, Index, MAX_MANIFEST, Manifest, OCI_INDEX};
use crate::platform::Platform;
use crate::store::{Pins, State, Store};

const PIECE: usize = 1 << 20;

/// An archive about to be written. What it needs stays in the store as long as this lives.
#[derive(Debug)]
pub struct Saving {
    store: Store,
    blobs: BTreeMap<Digest, u64>,
    documents: Vec<(&'static str, Vec<u8>)>,
    /// Identifiers of the images, for those who tell of it.
    pub images: Vec<String>,
    pins: Pins,
}

/// An image, by which of its manifests, and the names it is saved under.
struct Chosen {
    manifest: Descriptor,
    names: BTreeSet<Reference>,
}

impl Store {
    /// Prepares an archive of images by names (all tags of a bare repository), or identifiers
    /// (then without names).
    ///
    /// # Errors
    /// When there is no such image, or it is not for `platform`.
    pub fn save(&self, names: &[String], platform: Option<&Platform>) -> Result<Saving> {
        let (chosen, manifests) = {
            let state = self.state();
            let mut chosen: Vec<Chosen> = Vec::new();
            for name in names {
                choose(&state, name, &mut chosen)?;
            }
            let mut manifests = Vec::new();
            for one in &chosen {
                let manifest = state.manifests.get(&one.manifest.digest).cloned();
                let manifest =
                    manifest.ok_or_else(|| Error::NoSuchImage(one.manifest.digest.to_string()))?;
                if let Some(image) = state.images.get(&manifest.config.digest) {
                    crate::platform::check(image, platform)?;
                }
                manifests.push(manifest);
            }
            (chosen, manifests)
        };
        self.saving(&chosen, &manifests)
    }

    /// Prepares an archive of images under `names`, which need not be theirs here: of one image, or of
    /// those of an index, by its digest.
    ///
    /// # Errors
    /// When an image is being removed.
    pub fn save_as(
        &self,
        images: &[Arc<Image>],
        index: Option<&str>,
        names: &[Reference],
    ) -> Result<Saving> {
        let (mut chosen, mut manifests) = (Vec::new(), Vec::new());
        for image in images {
            let state = self.state();
            let entry = state
                .entries
                .iter()
                .find(|e| e.manifest.digest == image.manifest);
            let manifest = state.manifests.get(&image.manifest).cloned();
            let (Some(entry), Some(manifest)) = (entry, manifest) else {
                return Err(Error::NoSuchImage(image.id.to_string()));
            };
            chosen.push(Chosen {
                manifest: entry.manifest.clone(),
                names: names.iter().cloned().collect(),
            });
            manifests.push(manifest);
        }
        let saving = self.saving(&chosen, &manifests)?;
        match index {
            Some(index) => self.by_index(
                saving,
                &Digest::parse(index).map_err(Error::Unsupported)?,
                names,
            ),
            None => Ok(saving),
        }
    }

    /// The same archive with an index at the top. Older forms of archives have no such thing.
    fn by_index(&self, mut saving: Saving, index: &Digest, names: &[Reference]) -> Result<Saving> {
        let bytes = self.0.blobs.read(index, MAX_MANIFEST)?;
        let size = bytes.len() as u64;
        let plain = Descriptor::new(OCI_INDEX, index.clone(), size);
        let mut top: Vec<_> = names.iter().map(|name| named(&plain, name)).collect();
        if top.is_empty() {
            top.push(plain);
        }
        let top = Index {
            schema_version: 2,
            media_type: OCI_INDEX.to_owned(),
            manifests: top,
        };
        saving.documents.retain(|(name, _)| *name == "oci-layout");
        saving.documents.push(("index.json", to_json(&top)?));
        saving.blobs.insert(index.clone(), size);
        saving.pins = self.pin(saving.blobs.keys().cloned());
        Ok(saving)
    }

    fn saving(&self, chosen: &[Chosen], manifests: &[Arc<Manifest>]) -> Result<Saving> {
        let mut blobs = BTreeMap::new();
        let (mut old, mut index, mut repositories) = (Vec::new(), Vec::new(), BTreeMap::new());
        for (one, manifest) in chosen.iter().zip(manifests) {
            blobs.insert(one.manifest.digest.clone(), one.manifest.size);
            blobs.insert(manifest.config.digest.clone(), manifest.config.size);
            for layer in &manifest.layers {
                blobs.insert(layer.digest.clone(), layer.size);
            }
            let top = manifest.layers.last().map_or("", |l| l.digest.hex());
            let mut plain = one.manifest.clone();
            plain.annotations.clear();
            if one.names.is_empty() {
                index.push(plain.clone());
            }
            for name in &one.names {
                let tag = name.tag().unwrap_or_default();
                index.push(named(&plain, name));
                repositories
                    .entry(name.familiar_name())
                    .or_insert_with(BTreeMap::new)
                    .insert(tag.to_owned(), top.to_owned());
            }
            let tags: Vec<_> = one.names.iter().map(Reference::familiar).collect();
            let path = |digest: &Digest| format!("blobs/sha256/{}", digest.hex());
            old.push(json!({
                "Config": path(&manifest.config.digest),
                "RepoTags": if tags.is_empty() { Value::Null } else { json!(tags) },
                "Layers": manifest.layers.iter().map(|l| path(&l.digest)).collect::<Vec<_>>(),
            }));
        }
        let index = Index {
            schema_version: 2,
            media_type: OCI_INDEX.to_owned(),
            manifests: index,
        };
        let mut documents = vec![
            ("index.json", to_json(&index)?),
            ("manifest.json", to_json(&old)?),
            ("oci-layout", b"{\"imageLayoutVersion\":\"1.0.0\"}".to_vec()),
        ];
        if !repositories.is_empty() {
            documents.push(("repositories", to_json(&repositories)?));
        }
        Ok(Saving {
            store: self.clone(),
            pins: self.pin(blobs.keys().cloned()),
            blobs,
            documents,
            images: manifests
                .iter()
                .map(|m| m.config.digest.to_string())
                .collect(),
        })
    }
}

/// A manifest with a name.
fn named(manifest: &Descriptor, name: &Reference) -> Descriptor {
    let mut named = manifest.clone();
    let note = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    named.annotations.extend([
        note("io.containerd.image.name", &name.to_string()),
        note(
            "org.opencontainers.image.ref.name",
            name.tag().unwrap_or_default(),
        ),
    ]);
    named
}

/// Adds what `given` means to `chosen`.
fn choose(state: &State, given: &str, chosen: &mut Vec<Chosen>) -> Result<()> {
    let mut add = |manifest: &Descriptor, name: Option<&Reference>| {
        let known = chosen
            .iter()
            .position(|c| c.manifest.digest == manifest.digest);
        let at = known.unwrap_or_else(|| {
            chosen.push(Chosen {
                manifest: manifest.clone(),
                names: BTreeSet::new(),
            });
            chosen.len() - 1
        });
        chosen[at].names.extend(name.cloned());
    };
    let reference = Reference::parse(given)
        .ok()
        .filter(|r| r.digest().is_none());
    if let Some(reference) = &reference {
        let mut found = false;
        for entry in &state.entries {
            let Some(name) = entry.name.as_ref().filter(|n| n.digest().is_none()) else {
                continue;
            };
            if name.name() == reference.name()
                && (reference.tag().is_none() || reference.tag() == name.tag())
            {
                found = true;
                add(&entry.manifest, Some(name));
            }
        }
        if found {
            return Ok(());
        }
    }
    let image = find(state, given)?;
    let entry = state
        .entries
        .iter()
        .find(|entry| entry.manifest.digest == image.manifest)
        .ok_or_else(|| Error::NoSuchImage(given.to_owned()))?;
    add(&entry.manifest, None);
    Ok(())
}

impl Saving {
    /// Writes the archive. Blocks.
    ///
    /// # Errors
    /// When the disk cannot be read, a blob is not as long as it should be, or nobody wants more.
    pub fn write(self, out: impl Write) -> io::Result<()> {
        let mut tar = TarWriter::new(out);
        for dir in ["blobs/", "blobs/sha256/"] {
            tar.entry(&Header::new(dir.as_bytes(), Kind::Dir, 0))?;
        }
        let mut piece = vec![0; PIECE];
        for (digest, size) in &self.blobs {
            let name = format!("blobs/sha256/{}", digest.hex());
            tar.entry(&Header::new(name.as_bytes(), Kind::File, *size))?;
            let mut file = self.store.0.blobs.open(digest).map_err(io::Error::other)?;
            while tar.left() > 0 {
                let length = usize::try_from(tar.left()).unwrap_or(PIECE).min(PIECE);
                file.read_exact(&mut piece[..length])?;
                tar.data(&piece[..length])?;
            }
        }
        for (name, bytes) in &self.documents {
            tar.entry(&Header::new(
                name.as_bytes(),
                Kind::File,
                bytes.len() as u64,
            ))?;
            tar.data(bytes)?;
        }
        tar.finish().map(drop)
    }
}
