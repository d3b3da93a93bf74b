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
