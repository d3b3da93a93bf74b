//! The form in which a build cache travels: a list of steps in a document that has the layers, as an
//! image has them.
//!
//! In a registry, a cache is an OCI manifest whose layers are the real ones, and whose configuration
//! is a document of our own media type. An image that carries its cache has the same list in its
//! configuration. Both are read the same way, and as what they are: something that anybody may have
//! written.

use std::collections::{BTreeMap, HashMap, HashSet};

use serde::{Deserialize, Serialize};

use crate::cache::CacheRecord;
use crate::config::RootFs;
use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::load::to_json;
use crate::manifest::{DOCKER_LAYER, Descriptor, MAX_CONFIG, Manifest, OCI_CONFIG, OCI_LAYER};

/// Media type of a cache's configuration.
pub(crate) const CACHE_CONFIG: &str = "application/vnd.wharf.build.cache.config.v1+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
/// Of the list's form.
const VERSION: u32 = 1;
/// Steps that are read of one cache.
const MAX_RECORDS: usize = 20_000;
/// Layers that one cache may have.
const MAX_CACHE_LAYERS: usize = 5_000;
/// Records that one may stand on.
const MAX_PARENTS: usize = 64;
/// Characters that are kept of what describes a step.
const MAX_DESCRIPTION: usize = 1_000;

/// A step of a cache that travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Listed {
    key: Digest,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    parents: Vec<Digest>,
    #[serde(default)]
    description: String,
    created: String,
    /// Digest of the unpacked layer, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) layer: Option<Digest>,
}

/// The steps of a cache that travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CacheList {
    version: u32,
    records: Vec<Listed>,
}

/// The configuration of a cache, or what of an image's is of interest here.
#[derive(Debug, Serialize, Deserialize)]
struct Document {
    #[serde(default)]
    rootfs: RootFs,
    #[serde(
        rename = "io.wharf.build.cache.v1",
        default,
        skip_serializing_if = "Option::is_none"
    )]
    cache: Option<CacheList>,
}

/// A cache that was read: what it has, and where its layers are.
#[derive(Debug, Default)]
pub struct CacheIndex {
    records: HashMap<Digest, Listed>,
    layers: HashMap<Digest, Descriptor>,
}

fn clipped(text: &str) -> String {
    let plain = text.chars().filter(|c| !c.is_control());
    plain.take(MAX_DESCRIPTION).collect()
}

impl Listed {
    fn of(record: &CacheRecord) -> Self {
        Self {
            key: record.key.clone(),
            parents: record.parents.clone(),
            description: clipped(&record.description),
            created: record.created.clone(),
            layer: record.layer.as_ref().map(|l| l.diff_id.clone()),
        }
    }

    /// The record that it becomes here.
    pub(crate) fn record(&self, layer: Option<crate::StoredLayer>) -> CacheRecord {
        CacheRecord {
            key: self.key.clone(),
            kind: "regular".to_owned(),
            description: self.description.clone(),
            parents: self.parents.clone(),
            layer,
            note: String::new(),
            created: self.created.clone(),
            last_used: jiff::Timestamp::now().to_string(),
            uses: 1,
        }
    }
}

impl CacheList {
    /// The list of these records.
    pub(crate) fn of<'r>(records: impl IntoIterator<Item = &'r CacheRecord>) -> Self {
        let mut seen = HashSet::new();
        let records = records.into_iter().filter(|r| seen.insert(&r.key));
        Self {
            version: VERSION,
            records: records.map(Listed::of).take(MAX_RECORDS).collect(),
        }
    }

    /// As an image's configuration carries it; nothing where there is nothing to carry.
    #[must_use]
    pub fn inline<'r>(
        records: impl IntoIterator<Item = &'r CacheRecord>,
    ) -> Option<serde_json::Value> {
        let list = Self::of(records);
        (!list.records.is_empty())
            .then(|| serde_json::to_value(list).ok())
            .flatten()
    }
}

/// The configuration of a cache of these records whose layers are `layers`, in their order.
pub(crate) fn configuration(records: &[CacheRecord], layers: &[Digest]) -> Result<Vec<u8>> {
    let bytes = to_json(&Document {
        rootfs: RootFs {
            diff_ids: layers.to_vec(),
            ..RootFs::default()
        },
        cache: Some(CacheList::of(records)),
    })?;
    if bytes.len() as u64 > MAX_CONFIG {
        let why = format!("the cache's list would have more than {MAX_CONFIG} bytes, the limit");
        return Err(Error::Invalid(why));
    }
    Ok(bytes)
}

/// Reads the manifest of a cache, or of an image that may carry one.
pub(crate) fn manifest(what: &str, bytes: &[u8]) -> Result<Manifest> {
    let bad = |why: String| Error::bad_manifest(what, why);
    let manifest: Manifest = serde_json::from_slice(bytes).map_err(|e| bad(e.to_string()))?;
    let kind = manifest.config.media_type.as_str();
    if kind.starts_with("application/vnd.buildkit.cacheconfig") {
        let text = format!("{what} is a cache of BuildKit, whose form wharf does not read");
        return Err(Error::Unsupported(text));
    }
    if ![CACHE_CONFIG, OCI_CONFIG, DOCKER_CONFIG].contains(&kind) {
        let text = format!("{what} is no build cache: its configuration is of media type {kind}");
        return Err(Error::Unsupported(text));
    }
    if manifest.config.size > MAX_CONFIG {
        return Err(bad(format!(
            "its configuration has {} bytes, the limit is {MAX_CONFIG}",
            manifest.config.size
        )));
    }
    if manifest.layers.len() > MAX_CACHE_LAYERS {
        let count = manifest.layers.len();
        let why = format!("it has {count} layers, the limit is {MAX_CACHE_LAYERS}");
        return Err(bad(why));
    }
    let known = |kind: &str| kind.starts_with(OCI_LAYER) || kind.starts_with(DOCKER_LAYER);
    let strange = |l: &&Descriptor| !known(&l.media_type) || l.media_type.contains("foreign");
    if let Some(layer) = manifest.layers.iter().find(strange) {
        return Err(bad(format!(
            "layer {} is of media type {}",
            layer.digest, layer.media_type
        )));
    }
    Ok(manifest)
}

impl CacheIndex {
    /// Reads what a manifest and its configuration say together. An image that carries no cache is
    /// an empty one.
    pub(crate) fn read(what: &str, manifest: &Manifest, config: &[u8]) -> Result<Self> {
        let bad = |why: String| Error::bad_manifest(what, why);
        let document: Document =
            serde_json::from_slice(config).map_err(|e| bad(format!("its configuration: {e}")))?;
        let Some(list) = document.cache else {
            return Ok(Self::default());
        };
        let diff_ids = document.rootfs.diff_ids;
        if diff_ids.len() != manifest.layers.len() {
            let (layers, ids) = (manifest.layers.len(), diff_ids.len());
            return Err(bad(format!(
                "its manifest has {layers} layers, its configuration {ids}"
            )));
        }
        let blobs = manifest.layers.iter().map(|blob| {
            // Nothing but what is needed: remarks of others are of no use.
            Descriptor::new(&blob.media_type, blob.digest.clone(), blob.size)
        });
        let layers: HashMap<_, _> = diff_ids.into_iter().zip(blobs).collect();
        Ok(Self {
            records: list.checked(&layers).map_err(bad)?,
            layers,
        })
    }

    /// How many steps it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Whether it says what a step came to.
    #[must_use]
    pub fn has(&self, key: &Digest) -> bool {
        self.records.contains_key(key)
    }

    /// What it says of a step, and where the layer is.
    pub(crate) fn get(&self, key: &Digest) -> Option<(&Listed, Option<(&Digest, &Descriptor)>)> {
        let listed = self.records.get(key)?;
        let layer = listed.layer.as_ref();
        Some((
            listed,
            layer.and_then(|id| Some((id, self.layers.get(id)?))),
        ))
    }

    /// The blob of a step's layer: its digest, and its length.
    #[must_use]
    pub fn blob(&self, key: &Digest) -> Option<(Digest, u64)> {
        let (_, blob) = self.get(key)?.1?;
        Some((blob.digest.clone(), blob.size))
    }
}

impl CacheList {
    /// Refuses what no builder would have written.
    fn checked(
        self,
        layers: &HashMap<Digest, Descriptor>,
    ) -> Result<HashMap<Digest, Listed>, String> {
        if self.version != VERSION {
            return Err(format!("its list has the unknown form {}", self.version));
        }
        if self.records.len() > MAX_RECORDS {
            let count = self.records.len();
            return Err(format!("it has {count} steps, the limit is {MAX_RECORDS}"));
        }
        let mut records = HashMap::new();
        for mut record in self.records {
            let key = record.key.clone();
            if record
                .layer
                .as_ref()
                .is_some_and(|l| !layers.contains_key(l))
            {
                return Err(format!("the step {key} has a layer that is not there"));
            }
            if record.parents.len() > MAX_PARENTS {
                return Err(format!("the step {key} stands on too many"));
            }
            if record.created.parse::<jiff::Timestamp>().is_err() {
                return Err(format!("the step {key} was made at no time"));
            }
            record.description = clipped(&record.description);
            records.entry(key).or_insert(record);
        }
        Ok(records)
    }
}

/// The layers of records, each once, in the order in which they come.
pub(crate) fn layers(records: &[CacheRecord]) -> Vec<crate::StoredLayer> {
    let mut seen = HashSet::new();
    let layers = records.iter().filter_map(|r| r.layer.clone());
    layers.filter(|l| seen.insert(l.diff_id.clone())).collect()
}

/// Remarks of a cache's manifest in a directory.
pub(crate) fn annotations() -> BTreeMap<String, String> {
    let name = "org.opencontainers.image.ref.name".to_owned();
    BTreeMap::from([(name, "latest".to_owned())])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn made(layers: &[&str]) -> Manifest {
        let layers = layers.iter();
        Manifest::new(
            Descriptor::new(CACHE_CONFIG, digest("config"), 2),
            layers
                .map(|l| Descriptor::new(OCI_LAYER, digest(l), 1))
                .collect(),
        )
    }

    fn config(record: &str) -> String {
        let id = digest("files");
        format!(
            r#"{{"rootfs":{{"type":"layers","diff_ids":["{id}"]}},
                "io.wharf.build.cache.v1":{{"version":1,"records":[{record}]}}}}"#
        )
    }

    #[test]
    fn what_is_written_is_read() {
        let record = CacheRecord {
            key: digest("key"),
            kind: "regular".to_owned(),
            description: "[2/2] RUN a\u{1b}[31m\nb".to_owned(),
            parents: vec![digest("parent")],
            layer: Some(crate::StoredLayer {
                diff_id: digest("files"),
                descriptor: Descriptor::new(OCI_LAYER, digest("files"), 1),
                files: 5,
            }),
            note: String::new(),
            created: "2026-01-01T00:00:00Z".to_owned(),
            last_used: String::new(),
            uses: 9,
        };
        let records = [record.clone(), record];
        let layers: Vec<_> = layers(&records).into_iter().map(|l| l.diff_id).collect();
        let bytes = configuration(&records, &layers).unwrap();
        let read = CacheIndex::read("it", &made(&["blob"]), &bytes).unwrap();
        assert_eq!((read.len(), read.has(&digest("key"))), (1, true));
        let (listed, layer) = read.get(&digest("key")).unwrap();
        assert_eq!(listed.description, "[2/2] RUN a[31mb");
        assert_eq!(layer.unwrap().1.digest, digest("blob"));
        // An image without one.
        let plain = r#"{"rootfs":{"diff_ids":[]}}"#;
        assert!(
            CacheIndex::read("it", &made(&[]), plain.as_bytes())
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn lists_that_make_no_sense_are_refused() {
        let (key, id) = (digest("key"), digest("files"));
        let good = format!(r#"{{"key":"{key}","created":"2026-01-01T00:00:00Z","layer":"{id}"}}"#);
        let read =
            |text: &str, layers: &[&str]| CacheIndex::read("it", &made(layers), text.as_bytes());
        assert_eq!(read(&config(&good), &["blob"]).unwrap().len(), 1);
        assert!(read(&config(&good), &[]).is_err());
        for (from, to) in [
            ("2026-01-01T00:00:00Z", "yesterday"),
            (&*id.to_string(), &*key.to_string()),
            (&*key.to_string(), "sha256:../../x"),
        ] {
            let text = config(&good.replace(from, to));
            assert!(read(&text, &["blob"]).is_err(), "{text}");
        }
        let other = config(&good).replace("\"version\":1", "\"version\":2");
        assert!(read(&other, &["blob"]).is_err());
        let many = vec![good.as_str(); MAX_RECORDS + 1].join(",");
        assert!(read(&config(&many), &["blob"]).is_err());
    }

    #[test]
    fn manifests_of_other_things_are_named() {
        let text = |m: &Manifest| serde_json::to_vec(m).unwrap();
        let mut it = made(&["a"]);
        assert!(manifest("it", &text(&it)).is_ok());
        it.config.media_type = "application/vnd.buildkit.cacheconfig.v0".to_owned();
        let told = manifest("it", &text(&it)).unwrap_err().to_string();
        assert!(told.contains("BuildKit"), "{told}");
        it = made(&["a"]);
        it.layers[0].media_type = "text/plain".to_owned();
        assert!(manifest("it", &text(&it)).is_err());
        it = made(&[]);
        it.config.size = MAX_CONFIG + 1;
        assert!(manifest("it", &text(&it)).is_err());
    }
}
