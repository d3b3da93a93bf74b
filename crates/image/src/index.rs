//! The reference table: `index.json` of the OCI image layout.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use types::reference::Reference;

use crate::blob::Temp;
use crate::error::{Context, Error, Result};
use crate::manifest::{Descriptor, Index, OCI_INDEX};

const NAME: &str = "org.opencontainers.image.ref.name";
const TAGGED: &str = "io.wharf.image.tagged";
/// Marks what a registry had in just this form, and so may be given to one as it is.
pub(crate) const FROM_REGISTRY: &str = "io.wharf.image.from-registry";

/// The digest of the index that an entry stands for: see [`crate::indexes`].
pub(crate) const OUT_OF: &str = "io.wharf.image.out-of";

/// One line of the table. An image that lost its last name keeps a line without one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) name: Option<Reference>,
    pub(crate) manifest: Descriptor,
    pub(crate) tagged: Option<String>,
}

pub(crate) fn read(path: &Path) -> Result<Vec<Entry>> {
    let bytes = match std::fs::read(path) {
        Ok(bytes) => bytes,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io(format!("read {}", path.display()), e)),
    };
    let index: Index = serde_json::from_slice(&bytes)
        .map_err(|e| Error::bad_manifest(path.display().to_string(), e.to_string()))?;
    let mut entries = Vec::new();
    for mut manifest in index.manifests {
        let name = manifest.annotations.remove(NAME);
        let tagged = manifest.annotations.remove(TAGGED);
        let name = match name.map(|name| Reference::parse(&name)).transpose() {
            Ok(name) => name,
            Err(e) => {
                return Err(Error::bad_manifest(
                    path.display().to_string(),
                    e.to_string(),
                ));
            }
        };
        entries.push(Entry {
            name,
            manifest,
            tagged,
        });
    }
    Ok(entries)
}

/// Replaces the table; when this returns, the new one survives a power cut.
pub(crate) fn write(path: &Path, temp: &Temp, entries: &[Entry]) -> Result<()> {
    let manifests = entries
        .iter()
        .map(|entry| {
            let mut descriptor = entry.manifest.clone();
            if let Some(name) = &entry.name {
                descriptor
                    .annotations
                    .insert(NAME.to_owned(), name.to_string());
            }
            if let Some(tagged) = &entry.tagged {
                descriptor
                    .annotations
                    .insert(TAGGED.to_owned(), tagged.clone());
            }
            descriptor
        })
        .collect();
    let index = Index {
        schema_version: 2,
        media_type: OCI_INDEX.to_owned(),
        manifests,
    };
    let bytes = serde_json::to_vec_pretty(&index).map_err(|e| Error::Invalid(e.to_string()))?;
    replace(path, temp, &bytes)
}

/// Replaces a small file durably.
pub(crate) fn replace(path: &Path, temp: &Temp, bytes: &[u8]) -> Result<()> {
    let new = temp.path("file");
    let write = || {
        let mut file = File::create(&new)?;
        file.write_all(bytes)?;
        sys::failpoint!("image.index.sync");
        file.sync_data()?;
        sys::failpoint!("image.index.rename");
        std::fs::rename(&new, path)?;
        File::open(path.parent().unwrap_or(Path::new("/")))?.sync_all()
    };
    let done = write().doing(|| format!("write {}", path.display()));
    if done.is_err() {
        let _ = std::fs::remove_file(&new);
    }
    done
}

/// Moves a name to an image. The image that had it keeps an entry without one if it was its last.
pub(crate) fn give_name(entries: &mut Vec<Entry>, name: &Reference, manifest: &Descriptor) {
    if let Some(same) = entries
        .iter_mut()
        .find(|e| e.name.as_ref() == Some(name) && e.manifest.digest == manifest.digest)
    {
        // What it stands for beside the image is what was said last.
        let annotations = &mut same.manifest.annotations;
        match manifest.annotations.get(OUT_OF) {
            Some(index) => annotations.insert(OUT_OF.to_owned(), index.clone()),
            None => annotations.remove(OUT_OF),
        };
        return;
    }
    drop_name(entries, name);
    entries.retain(|e| e.name.is_some() || e.manifest.digest != manifest.digest);
    entries.push(Entry {
        name: Some(name.clone()),
        manifest: manifest.clone(),
        tagged: Some(jiff::Timestamp::now().to_string()),
    });
}

/// Takes a name away; the image stays.
pub(crate) fn drop_name(entries: &mut Vec<Entry>, name: &Reference) {
    let Some(at) = entries.iter().position(|e| e.name.as_ref() == Some(name)) else {
        return;
    };
    let entry = entries.remove(at);
    if !entries
        .iter()
        .any(|e| e.manifest.digest == entry.manifest.digest)
    {
        entries.push(Entry {
            name: None,
            ..entry
        });
    }
}
