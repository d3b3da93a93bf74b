//! Volumes, as the Docker Engine API describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A volume.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
#[expect(
    missing_docs,
    reason = "the names say it; the API's description has each"
)]
pub struct Volume {
    pub created_at: String,
    pub driver: String,
    /// Null when there are none, as Docker has it.
    pub labels: Option<BTreeMap<String, String>>,
    pub mountpoint: String,
    pub name: String,
    /// Null when there are none, as Docker has it.
    pub options: Option<BTreeMap<String, String>>,
    pub scope: String,
    /// What its driver says of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<BTreeMap<String, serde_json::Value>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub usage_data: Option<VolumeUsage>,
}

/// `GET /volumes`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeList {
    /// Those that match, by name.
    pub volumes: Vec<Volume>,
    /// What went wrong with drivers; null when nothing did, as Docker has it.
    pub warnings: Option<Vec<String>>,
}

/// `POST /volumes/create`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeCreate {
    /// Made up when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// `local` when empty.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub driver: String,
    /// The driver's own options.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub driver_opts: BTreeMap<String, String>,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Of a cluster's volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_volume_spec: Option<serde_json::Value>,
}

/// How a volume was copied: `POST /wharf/volumes/{name}/copy`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeCopied {
    /// The new volume.
    pub name: String,
    /// Bytes of its files.
    pub bytes: u64,
    /// They share their place on disk with the original, until one of them is written.
    pub shared: bool,
    /// The containers that stood still meanwhile.
    pub paused: Vec<String>,
    /// What the copy lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// `POST /volumes/prune`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumesPruned {
    /// Names of those that are gone.
    pub volumes_deleted: Vec<String>,
    /// Bytes.
    pub space_reclaimed: i64,
}

/// How much a volume takes, and for whom.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct VolumeUsage {
    /// Bytes.
    pub size: i64,
    /// Containers that have it.
    pub ref_count: i64,
}
