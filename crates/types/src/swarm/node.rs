//! Nodes, as the Docker Engine API describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ObjectVersion;
use super::task::{Platform, Resources};

/// What a node is for.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum NodeRole {
    /// It runs tasks.
    #[default]
    #[serde(rename = "worker", alias = "")]
    Worker,
    /// It decides, and runs tasks, too.
    #[serde(rename = "manager")]
    Manager,
}

impl NodeRole {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Worker => "worker",
            Self::Manager => "manager",
        }
    }
}
/// Whether a node takes tasks.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Availability {
    /// It does.
    #[default]
    #[serde(rename = "active", alias = "")]
    Active,
    /// No new ones.
    #[serde(rename = "pause")]
    Pause,
    /// None; those it has go elsewhere.
    #[serde(rename = "drain")]
    Drain,
}

impl Availability {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Pause => "pause",
            Self::Drain => "drain",
        }
    }
}
/// How a node is.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum NodeState {
    /// Not known yet.
    #[default]
    #[serde(rename = "unknown", alias = "")]
    Unknown,
    /// It does not answer.
    #[serde(rename = "down")]
    Down,
    /// It answers.
    #[serde(rename = "ready")]
    Ready,
    /// It said that it leaves.
    #[serde(rename = "disconnected")]
    Disconnected,
}

impl NodeState {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Down => "down",
            Self::Ready => "ready",
            Self::Disconnected => "disconnected",
        }
    }
}
/// Whether a manager answers the others.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
pub enum Reachability {
    /// Not known yet.
    #[default]
    #[serde(rename = "unknown", alias = "")]
    Unknown,
    /// It does not.
    #[serde(rename = "unreachable")]
    Unreachable,
    /// It does.
    #[serde(rename = "reachable")]
    Reachable,
}

impl Reachability {
    /// Docker's word for it.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Unreachable => "unreachable",
            Self::Reachable => "reachable",
        }
    }
}
/// What is wanted of a node.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeSpec {
    /// A name for it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What it is for.
    pub role: NodeRole,
    /// Whether it takes tasks.
    pub availability: Availability,
}
/// What a node says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeDescription {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub hostname: String,
    /// Its machine.
    pub platform: Platform,
    /// What it has.
    pub resources: Resources,
    /// Its engine.
    pub engine: EngineDescription,
    /// Whom it trusts.
    #[serde(rename = "TLSInfo")]
    pub tls_info: TlsInfo,
}
/// A node's engine.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EngineDescription {
    /// Its version.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub engine_version: String,
    /// Its labels.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// What it can do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub plugins: Vec<Plugin>,
}
/// Something an engine can do.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Plugin {
    /// `Volume`, `Network`, `Log`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its name.
    pub name: String,
}
/// Whom a node trusts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TlsInfo {
    /// The root's certificate.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub trust_root: String,
    /// The issuer's subject, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_issuer_subject: String,
    /// The issuer's public key, in base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub cert_issuer_public_key: String,
}
/// How a node is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct NodeStatus {
    /// Its state.
    pub state: NodeState,
    /// Why.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Where it came from.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
}
/// A manager's part in the quorum.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ManagerStatus {
    /// It leads.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub leader: bool,
    /// Whether it answers.
    pub reachability: Reachability,
    /// Where.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub addr: String,
}
/// `GET /nodes/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Node {
    /// Its identifier.
    #[serde(rename = "ID")]
    pub id: String,
    /// Of this state.
    pub version: ObjectVersion,
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub created_at: String,
    /// RFC 3339.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub updated_at: String,
    /// What is wanted.
    pub spec: NodeSpec,
    /// What it says of itself.
    pub description: NodeDescription,
    /// How it is.
    pub status: NodeStatus,
    /// Of a manager.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manager_status: Option<ManagerStatus>,
}
