//! Manifests and indexes: what a registry says an image consists of.
//!
//! A document that could be read in two ways is refused (CVE-2021-41190): its kind is what the
//! content type, its own `mediaType` and its fields say together, or it is nothing.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::error::{Error, Result};
use crate::platform::Platform;

pub(crate) const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(crate) const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(crate) const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(crate) const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
pub(crate) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(crate) const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
pub(crate) const DOCKER_LAYER: &str = "application/vnd.docker.image.rootfs.diff.tar";

/// Largest manifest or index that is read.
pub(crate) const MAX_MANIFEST: u64 = 4 << 20;
/// Largest configuration that is read.
pub(crate) const MAX_CONFIG: u64 = 8 << 20;
/// Most layers that one overlay mount takes.
pub(crate) const MAX_LAYERS: usize = 500;

/// Points to content.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Descriptor {
    /// What kind of content.
    #[serde(default)]
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// For which platform, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Remarks.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

impl Descriptor {
    pub(crate) fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            platform: None,
            annotations: BTreeMap::new(),
        }
    }
}

/// The manifest of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Manifest {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) config: Descriptor,
    pub(crate) layers: Vec<Descriptor>,
}

impl Manifest {
    pub(crate) fn new(config: Descriptor, layers: Vec<Descriptor>) -> Self {
        Self {
            schema_version: 2,
            media_type: OCI_MANIFEST.to_owned(),
            config,
            layers,
        }
    }
}

/// A list of manifests.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Index {
    pub(crate) schema_version: u32,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) media_type: String,
    pub(crate) manifests: Vec<Descriptor>,
}

/// Either of the two.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Document {
    Manifest(Manifest),
    Index(Index),
}

/// Reads a manifest or index. `content_type` is what its carrier said of it, if anything.
pub(crate) fn parse(what: &str, bytes: &[u8], content_type: Option<&str>) -> Result<Document> {
    let bad = |why: String| Error::bad_manifest(what, why);
    let (kind, value) = classify(what, bytes, content_type)?;
    let value = serde_json::Value::Object(value);
    let document = match kind {
        Kind::Index => serde_json::from_value(value).map(Document::Index),
        Kind::Manifest => serde_json::from_value(value).map(Document::Manifest),
    }
    .map_err(|e| bad(e.to_string()))?;
    match &document {
        Document::Manifest(manifest) => check_manifest(what, manifest)?,
        Document::Index(index) => check_version(what, index.schema_version)?,
    }
    Ok(document)
}

type Members = serde_json::Map<String, serde_json::Value>;

/// Which of the two a document is, of whatever it consists.
pub(crate) fn classify(
    what: &str,
    bytes: &[u8],
    content_type: Option<&str>,
) -> Result<(Kind, Members)> {
    let bad = |why: String| Error::bad_manifest(what, why);
    let value: Members =
        serde_json::from_slice(bytes).map_err(|e| bad(format!("it is not a JSON object: {e}")))?;
    let has = |key| value.contains_key(key);
    if has("fsLayers")
        || value
            .get("schemaVersion")
            .and_then(serde_json::Value::as_u64)
            == Some(1)
    {
        return Err(Error::Unsupported(format!(
            "{what} is a Docker image manifest of schema version 1, which is no longer \
             supported: push the image again with a current tool"
        )));
    }
    let own = match value.get("mediaType") {
        None => None,
        Some(serde_json::Value::String(text)) => Some(text.as_str()),
        Some(_) => return Err(bad("its mediaType is not a text".to_owned())),
    };
    let carrier = content_type
        .map(|text| text.split(';').next().unwrap_or_default().trim())
        .filter(|text| kind(text).is_some());
    if let (Some(own), Some(carrier)) = (own, carrier)
        && own != carrier
    {
        return Err(bad(format!(
            "it was sent as {carrier} and calls itself {own}"
        )));
    }
    let (is_index, is_manifest) = (has("manifests"), has("layers") || has("config"));
    let by_fields = match (is_index, is_manifest) {
        (true, true) => {
            return Err(bad(
                "it has both manifests and layers, so it is ambiguous".to_owned()
            ));
        }
        (true, false) => Kind::Index,
        (false, true) => Kind::Manifest,
        (false, false) => return Err(bad("it has neither layers nor manifests".to_owned())),
    };
    let named = own.or(carrier);
    match named.map(kind) {
        None => {}
        Some(Some(named)) if named == by_fields => {}
        Some(Some(_)) => {
            return Err(bad(format!(
                "its media type {} does not fit its fields, so it is ambiguous",
                named.unwrap_or_default()
            )));
        }
        Some(None) => {
            return Err(bad(format!(
                "media type {} is not supported",
                named.unwrap_or_default()
            )));
        }
    }
    Ok((by_fields, value))
}

/// What kind of document it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Manifest,
    Index,
}

fn kind(media_type: &str) -> Option<Kind> {
    match media_type {
        OCI_MANIFEST | DOCKER_MANIFEST => Some(Kind::Manifest),
        OCI_INDEX | DOCKER_LIST => Some(Kind::Index),
        _ => None,
    }
}

fn check_version(what: &str, version: u32) -> Result<()> {
    if version == 2 {
        return Ok(());
    }
    Err(Error::bad_manifest(
        what,
        format!("schema version {version} is not known"),
    ))
}

fn check_manifest(what: &str, manifest: &Manifest) -> Result<()> {
    check_version(what, manifest.schema_version)?;
    if !matches!(
        manifest.config.media_type.as_str(),
        OCI_CONFIG | DOCKER_CONFIG
    ) {
        return Err(Error::Unsupported(format!(
            "{what} is not a container image: its configuration is of media type {}",
            manifest.config.media_type
        )));
    }
    if manifest.config.size > MAX_CONFIG {
        return Err(Error::bad_manifest(
            what,
            format!(
                "its configuration has {} bytes, the limit is {MAX_CONFIG}",
                manifest.config.size
            ),
        ));
    }
    if manifest.layers.len() > MAX_LAYERS {
        return Err(Error::bad_manifest(
            what,
            format!(
                "it has {} layers, the limit is {MAX_LAYERS}",
                manifest.layers.len()
            ),
        ));
    }
    for layer in &manifest.layers {
        let media_type = layer.media_type.as_str();
        if media_type.contains("foreign") || media_type.contains("nondistributable") {
            return Err(Error::Unsupported(format!(
                "{what}: layer {} is of media type {media_type}, which is fetched from \
                 elsewhere than the registry; that is not supported",
                layer.digest
            )));
        }
        if !media_type.starts_with(OCI_LAYER) && !media_type.starts_with(DOCKER_LAYER) {
            return Err(Error::Unsupported(format!(
                "{what}: layer {} is of media type {media_type}, which is not a file system layer",
                layer.digest
            )));
        }
    }
    Ok(())
}

impl Index {
    /// The entry that serves the platform best; the first one of equals.
    pub(crate) fn choose(&self, platform: &Platform) -> Result<&Descriptor> {
        self.manifests
            .iter()
            .filter(|entry| entry.media_type.is_empty() || kind(&entry.media_type).is_some())
            .filter_map(|entry| Some((platform.distance(entry.platform.as_ref()?)?, entry)))
            .min_by_key(|(distance, _)| *distance)
            .map(|(_, entry)| entry)
            .ok_or_else(|| Error::NoPlatform(platform.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn manifest(extra: &str) -> String {
        format!(
            r#"{{"schemaVersion":2{extra},"config":{{"mediaType":"{OCI_CONFIG}","digest":"{DIGEST}","size":2}},"layers":[]}}"#
        )
    }

    fn index(extra: &str, arch: &str) -> String {
        format!(
            r#"{{"schemaVersion":2{extra},"manifests":[{{"mediaType":"{OCI_MANIFEST}","digest":"{DIGEST}","size":2,"platform":{{"os":"linux","architecture":"{arch}"}}}}]}}"#
        )
    }

    #[test]
    fn ordinary_documents_are_read() {
        for content_type in [None, Some(OCI_MANIFEST), Some("application/json")] {
            let read = parse("m", manifest("").as_bytes(), content_type).unwrap();
            assert!(matches!(read, Document::Manifest(_)));
        }
        let read = parse("i", index("", "arm64").as_bytes(), Some(OCI_INDEX)).unwrap();
        let Document::Index(read) = read else {
            panic!()
        };
        let wanted = Platform {
            os: "linux".into(),
            architecture: "amd64".into(),
            variant: None,
        };
        assert_eq!(
            read.choose(&wanted).unwrap_err().to_string(),
            "no matching manifest for linux/amd64 in the manifest list entries"
        );
    }

    #[test]
    fn attack_23_ambiguous_manifests_are_refused() {
        let typed = format!(r#","mediaType":"{OCI_INDEX}""#);
        let both = manifest(r#","manifests":[]"#);
        for (text, content_type) in [
            (manifest(""), Some(OCI_INDEX)),
            (manifest(&typed), None),
            (manifest(&typed), Some(OCI_MANIFEST)),
            (index("", "amd64"), Some(DOCKER_MANIFEST)),
            (both.clone(), Some(OCI_MANIFEST)),
            (both, Some(OCI_INDEX)),
            (index(r#","config":{}"#, "amd64"), None),
        ] {
            let error = parse("x", text.as_bytes(), content_type).unwrap_err();
            assert!(
                matches!(error, Error::BadManifest { .. }),
                "{text}: {error}"
            );
        }
    }

    #[test]
    fn attack_24_wrong_media_types_and_schema_1_are_refused_by_name() {
        let schema1 = r#"{"schemaVersion":1,"fsLayers":[]}"#;
        let error = parse("x", schema1.as_bytes(), None)
            .unwrap_err()
            .to_string();
        assert!(error.contains("schema version 1"), "{error}");
        let helm = manifest("").replace(OCI_CONFIG, "application/vnd.cncf.helm.config.v1+json");
        let error = parse("x", helm.as_bytes(), None).unwrap_err().to_string();
        assert!(error.contains("not a container image"), "{error}");
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            "{\"schemaVersion\":2}",
            "{\"layers\":3}",
        ] {
            assert!(parse("x", bad.as_bytes(), None).is_err(), "{bad}");
        }
    }
}
