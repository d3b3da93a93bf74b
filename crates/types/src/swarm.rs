//! The cluster's objects, as the Docker Engine API describes them.

use serde::{Deserialize, Serialize};

pub mod cluster;
pub mod node;
pub mod service;
pub mod task;

/// The state of an object that a change is made to: another one is a conflict.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(rename_all = "PascalCase", default)]
pub struct ObjectVersion {
    /// The log's index at its last change.
    pub index: u64,
}

/// An amount of something of the operator's own kind.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum GenericResource {
    /// Things with names, one each.
    #[serde(rename = "NamedResourceSpec")]
    Named {
        /// The kind.
        #[serde(rename = "Kind")]
        kind: String,
        /// The name of one.
        #[serde(rename = "Value")]
        value: String,
    },
    /// A number of things.
    #[serde(rename = "DiscreteResourceSpec")]
    Discrete {
        /// The kind.
        #[serde(rename = "Kind")]
        kind: String,
        /// How many.
        #[serde(rename = "Value")]
        value: i64,
    },
}

/// Numbers that are left out where they are 0, as Docker does.
pub(crate) fn zero<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
