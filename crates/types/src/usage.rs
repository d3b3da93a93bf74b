//! How much disk everything takes, as `GET /system/df` tells it.

use serde::{Deserialize, Serialize};

use crate::{container::ContainerSummary, image::ImageSummary, volume::Volume};

/// `GET /system/df`; what was not asked for is left out.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DiskUsage {
    /// Bytes of all layers of images, each counted once.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layers_size: Option<i64>,
    /// Images, with what they share and how many containers have them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<ImageSummary>>,
    /// All containers, with their sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub containers: Option<Vec<ContainerSummary>>,
    /// All volumes, with their sizes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub volumes: Option<Vec<Volume>>,
    /// Records of the build cache.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub build_cache: Option<Vec<serde_json::Value>>,
    /// Sent to clients before API 1.42.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub builder_size: Option<i64>,
}
