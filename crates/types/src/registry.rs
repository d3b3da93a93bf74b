//! What registries tell of images.

use serde::{Deserialize, Serialize};

/// `GET /distribution/{name}/json`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DistributionInspect {
    /// Of what the name stands for.
    pub descriptor: Descriptor,
    /// For what it is.
    pub platforms: Vec<OciPlatform>,
}

/// What some content is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// Its digest.
    pub digest: String,
    /// Its length.
    pub size: u64,
}

/// An operating system and processor, in OCI's spelling.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct OciPlatform {
    /// `amd64`, `arm64`, …
    pub architecture: String,
    /// `linux`.
    pub os: String,
    /// `v7`, `v8`, …
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// One manifest of an image, as `manifests` asks for them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ImageManifest {
    /// Its digest.
    #[serde(rename = "ID")]
    pub id: String,
    /// The same, with its type and length.
    pub descriptor: Descriptor,
    /// Whether all of it is here.
    pub available: bool,
    /// What it takes.
    pub size: ManifestSize,
    /// `image`.
    pub kind: String,
    /// What is to be told of images.
    pub image_data: Option<ManifestImage>,
}

/// Bytes of a manifest with all that it names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestSize {
    /// As it was transferred, and unpacked.
    pub total: u64,
    /// As it was transferred.
    pub content: u64,
}

/// The image of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManifestImage {
    /// For what it is.
    pub platform: OciPlatform,
    /// Identifiers of the containers that have it.
    pub containers: Vec<String>,
    /// What it takes.
    pub size: UnpackedSize,
}

/// Bytes of an image's files.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct UnpackedSize {
    /// Of all of them.
    pub unpacked: u64,
}

/// `GET /wharf/manifests/{name}`: a manifest or index as it is in a registry.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoteManifest {
    /// What it is.
    pub descriptor: Descriptor,
    /// Every byte of it, in base64.
    pub raw: String,
    /// The configuration that it names, in base64; empty where it is no image's.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub config: String,
    /// What an index names, where that was asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<Vec<RemoteManifest>>,
}

/// `PUT /wharf/manifests/{name}`: an index to be put up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexPut {
    /// Its media type.
    pub media_type: String,
    /// Every byte of it, in base64.
    pub raw: String,
    /// What it names and what is in other repositories of the registry.
    pub parts: Vec<IndexPart>,
}

/// A manifest in another repository.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexPart {
    /// The repository, without the registry.
    pub repository: String,
    /// Its media type.
    pub media_type: String,
    /// Every byte of it, in base64.
    pub raw: String,
}

/// What was put up.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct IndexPutAnswer {
    /// Digests of the parts.
    pub parts: Vec<String>,
    /// Digest of the index.
    pub digest: String,
}

/// `GET /wharf/tags/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RepositoryTags {
    /// The repository.
    pub name: String,
    /// Its tags, sorted.
    pub tags: Vec<String>,
}

/// `DELETE /wharf/manifests/{name}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RemoteRemoved {
    /// The tag, or the manifest by its digest.
    pub removed: String,
}
