//! The cluster, its secrets and its configs, as the Docker Engine API describes them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ObjectVersion;
use super::node::TlsInfo;
use super::task::Driver;

/// What is wanted of the cluster. Times are nanoseconds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmSpec {
    /// `default`.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Of services.
    pub orchestration: Orchestration,
    /// Of the log.
    pub raft: RaftConfig,
    /// Of nodes.
    pub dispatcher: DispatcherConfig,
    /// Of certificates.
    #[serde(rename = "CAConfig")]
    pub ca_config: CaConfig,
    /// What tasks have that say nothing.
    pub task_defaults: TaskDefaults,
    /// Of the log on disk.
    pub encryption_config: EncryptionConfig,
}
/// Of services.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Orchestration {
    /// How many ended tasks of each slot are kept; 5 where nothing is said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub task_history_retention_limit: Option<i64>,
}
/// Of the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct RaftConfig {
    /// Entries between snapshots.
    #[serde(skip_serializing_if = "super::zero")]
    pub snapshot_interval: u64,
    /// How many older ones stay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub keep_old_snapshots: Option<u64>,
    /// Entries that stay after a snapshot.
    #[serde(skip_serializing_if = "super::zero")]
    pub log_entries_for_slow_followers: u64,
    /// Without a leader's word for so many ticks a node stands for election.
    #[serde(skip_serializing_if = "super::zero")]
    pub election_tick: u32,
    /// A leader's word comes every so many ticks.
    #[serde(skip_serializing_if = "super::zero")]
    pub heartbeat_tick: u32,
}
/// Of nodes.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct DispatcherConfig {
    /// How often a node says that it lives; 5 seconds where nothing is said.
    #[serde(skip_serializing_if = "super::zero")]
    pub heartbeat_period: i64,
}
/// Of certificates.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct CaConfig {
    /// How long a node's certificate holds; 90 days where nothing is said.
    #[serde(skip_serializing_if = "super::zero")]
    pub node_cert_expiry: i64,
    /// Others' authorities, which are refused.
    #[serde(rename = "ExternalCAs", skip_serializing_if = "Vec::is_empty")]
    pub external_cas: Vec<serde_json::Value>,
    /// The root that is wanted.
    #[serde(rename = "SigningCACert", skip_serializing_if = "String::is_empty")]
    pub signing_ca_cert: String,
    /// Its key.
    #[serde(rename = "SigningCAKey", skip_serializing_if = "String::is_empty")]
    pub signing_ca_key: String,
    /// Counted up to have a new root.
    #[serde(skip_serializing_if = "super::zero")]
    pub force_rotate: u64,
}
/// What tasks have that say nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct TaskDefaults {
    /// Where their output goes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub log_driver: Option<Driver>,
}
/// Of the log on disk.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct EncryptionConfig {
    /// A restarted manager needs the key.
    pub auto_lock_managers: bool,
}
/// `GET /info`, of the cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ClusterInfo {
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
    pub spec: SwarmSpec,
    /// Whom nodes trust.
    #[serde(rename = "TLSInfo")]
    pub tls_info: TlsInfo,
    /// Nodes get certificates of a new root.
    pub root_rotation_in_progress: bool,
    /// Where networks' addresses come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_addr_pool: Vec<String>,
    /// How large each network is.
    #[serde(skip_serializing_if = "super::zero")]
    pub subnet_size: u32,
    /// Of the overlay.
    #[serde(skip_serializing_if = "super::zero")]
    pub data_path_port: u32,
}
/// `GET /swarm`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Swarm {
    /// The cluster.
    #[serde(flatten)]
    pub cluster: ClusterInfo,
    /// By which nodes join.
    pub join_tokens: JoinTokens,
}
/// By which nodes join.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct JoinTokens {
    /// As workers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub worker: String,
    /// As managers.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub manager: String,
}
/// `POST /swarm/init`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmInit {
    /// Where it listens.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listen_addr: String,
    /// Where others reach it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advertise_addr: String,
    /// Where the overlay reaches it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data_path_addr: String,
    /// Of the overlay.
    #[serde(skip_serializing_if = "super::zero")]
    pub data_path_port: u32,
    /// Where networks' addresses come from.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub default_addr_pool: Vec<String>,
    /// How large each network is.
    #[serde(skip_serializing_if = "super::zero")]
    pub subnet_size: u32,
    /// From what is on this disk, alone.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub force_new_cluster: bool,
    /// A restarted manager needs the key.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub auto_lock_managers: bool,
    /// What is wanted.
    pub spec: SwarmSpec,
    /// Of this node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub availability: String,
}
/// `POST /swarm/join`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SwarmJoin {
    /// Where it listens.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub listen_addr: String,
    /// Where others reach it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub advertise_addr: String,
    /// Where the overlay reaches it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data_path_addr: String,
    /// Managers.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub remote_addrs: Vec<String>,
    /// Which says as what.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub join_token: String,
    /// Of this node.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub availability: String,
}
/// What is wanted of a secret.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct SecretSpec {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// In base64; never given back.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// Who holds it; refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub driver: Option<Driver>,
    /// How it is filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templating: Option<Driver>,
}
/// `GET /secrets/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Secret {
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
    /// Without the data.
    pub spec: SecretSpec,
}
/// What is wanted of a config.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ConfigSpec {
    /// Its name.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// In base64.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub data: String,
    /// How it is filled in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub templating: Option<Driver>,
}
/// `GET /configs/{id}`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Config {
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
    /// With the data.
    pub spec: ConfigSpec,
}
