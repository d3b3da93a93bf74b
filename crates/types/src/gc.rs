//! What the daemon's automatic clean-up does, or would do: `POST /wharf/gc`.

use serde::{Deserialize, Serialize};

/// An image that nothing uses, and that goes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GcImage {
    /// `sha256:…`
    pub id: String,
    /// Its names; none for one without.
    pub names: Vec<String>,
    /// Bytes that nothing else has.
    pub size: i64,
    /// When it was last used, as far as that is known: seconds since the epoch.
    pub last_used: i64,
}

/// What went, or would go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct GcReport {
    /// The daemon does it by itself, now and then.
    pub enabled: bool,
    /// The policy in words; empty where none is set.
    pub policy: String,
    /// Nothing was removed.
    pub dry_run: bool,
    /// Those that went, or would, the longest unused first.
    pub images: Vec<GcImage>,
    /// Bytes.
    pub space_reclaimed: i64,
    /// Why some did not go that should have.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}
