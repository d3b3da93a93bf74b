//! What a client asks for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::CacheTarget;
use crate::{container::Ulimit, image::RegistryAuth};

/// Where the files of a build come from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContextSource {
    /// A context that was sent, by its name.
    Sent(String),
    /// The URL of an archive or a Dockerfile, or of a git repository.
    Remote(String),
    /// An image's files (`docker-image://` in `--build-context`).
    Image(String),
    /// An image in a directory of OCI's form (`oci-layout://`).
    Layout(Layout),
    /// No files at all.
    Empty,
}

/// An image in a directory of OCI's form, whose files were sent as a context.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layout {
    /// The context's name.
    pub context: String,
    /// Digest of the image's manifest or index.
    pub digest: String,
    /// Its length.
    pub size: u64,
    /// Its media type.
    pub media_type: String,
}

/// Which Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Dockerfile {
    /// A path in the context.
    Path(String),
    /// Its text, and the name that errors call it by.
    Text {
        /// What errors call it.
        name: String,
        /// The whole file.
        text: String,
    },
    /// Its URL.
    Url(String),
}

/// A secret that steps may mount. Its value is never stored.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secret {
    /// What `--mount=type=secret,id=` names.
    pub id: String,
    /// Base64 of the value.
    pub value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// What becomes of the result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputKind {
    /// An image in the daemon's store.
    Image,
    /// A tar archive of the files, to the client (`type=local` and `type=tar`: the client unpacks).
    Files,
    /// An OCI archive, to the client.
    Oci,
    /// A `docker save` archive, to the client.
    Docker,
}

/// One `--output`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// Which kind.
    pub kind: OutputKind,
    /// The image's names, beside those of the request.
    #[serde(default)]
    pub names: Vec<String>,
    /// Push it after the build.
    #[serde(default)]
    pub push: bool,
}

/// A build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct BuildRequest {
    /// Names one build, for `/build/cancel`.
    pub id: String,
    /// Its files.
    pub context: ContextSource,
    /// Further ones by name (`--build-context`).
    pub contexts: BTreeMap<String, ContextSource>,
    /// What to do.
    pub dockerfile: Dockerfile,
    /// The stage to end with; the last one when empty.
    pub target: String,
    /// Values of `ARG`s.
    pub build_args: BTreeMap<String, String>,
    /// Labels of the image.
    pub labels: BTreeMap<String, String>,
    /// Names of the image.
    pub tags: Vec<String>,
    /// Take nothing from the cache.
    pub no_cache: bool,
    /// Stages that take nothing from the cache.
    pub no_cache_filter: Vec<String>,
    /// Ask registries for base images that are here.
    pub pull: bool,
    /// `os/arch[/variant]` to build for; this host's when empty.
    pub platform: String,
    /// Caches to take from.
    pub cache_from: Vec<CacheTarget>,
    /// Caches to write.
    pub cache_to: Vec<CacheTarget>,
    /// Secrets that steps may mount.
    pub secrets: Vec<Secret>,
    /// Names of SSH agents that the client offers (`default`, …).
    pub ssh: Vec<String>,
    /// Lines of `/etc/hosts` in steps, `name:address`.
    pub extra_hosts: Vec<String>,
    /// Network of steps: empty or `default`, `none`, `host`.
    pub network: String,
    /// `security.insecure`, `network.host`: what steps may ask for beyond the usual.
    pub allow: Vec<String>,
    /// Bytes of `/dev/shm` in steps.
    pub shm_size: i64,
    /// Limits of processes in steps.
    pub ulimits: Vec<Ulimit>,
    /// Parent of the steps' cgroups.
    pub cgroup_parent: String,
    /// Bytes of memory that a step may use; 0 for all.
    pub memory: i64,
    /// Bytes of memory and swap; -1 for all.
    pub memory_swap: i64,
    /// Processor shares of a step.
    pub cpu_shares: i64,
    /// Microseconds per period.
    pub cpu_quota: i64,
    /// Microseconds of a period.
    pub cpu_period: i64,
    /// Processors, `0-2,4`.
    pub cpuset_cpus: String,
    /// Memory nodes.
    pub cpuset_mems: String,
    /// What becomes of the result; nothing but the cache when empty.
    pub outputs: Vec<Output>,
    /// Only look for mistakes in the Dockerfile.
    pub check: bool,
    /// Only ask for what the Dockerfile offers: `outline` or `targets`; the answer is
    /// [`super::Built::answer`].
    pub call: String,
    /// Credentials by registry, for base images and pushes.
    pub auths: BTreeMap<String, RegistryAuth>,
}

impl Default for BuildRequest {
    fn default() -> Self {
        Self {
            id: String::new(),
            context: ContextSource::Empty,
            contexts: BTreeMap::new(),
            dockerfile: Dockerfile::Path("Dockerfile".to_owned()),
            target: String::new(),
            build_args: BTreeMap::new(),
            labels: BTreeMap::new(),
            tags: Vec::new(),
            no_cache: false,
            no_cache_filter: Vec::new(),
            pull: false,
            platform: String::new(),
            cache_from: Vec::new(),
            cache_to: Vec::new(),
            secrets: Vec::new(),
            ssh: Vec::new(),
            extra_hosts: Vec::new(),
            network: String::new(),
            allow: Vec::new(),
            shm_size: 0,
            ulimits: Vec::new(),
            cgroup_parent: String::new(),
            memory: 0,
            memory_swap: 0,
            cpu_shares: 0,
            cpu_quota: 0,
            cpu_period: 0,
            cpuset_cpus: String::new(),
            cpuset_mems: String::new(),
            outputs: Vec::new(),
            check: false,
            call: String::new(),
            auths: BTreeMap::new(),
        }
    }
}

/// What `POST /build/prune` may remove.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PruneRequest {
    /// Cache mounts and what newer results rest on, too.
    pub all: bool,
    /// Bytes of cache that always may stay; where nothing else is said, those that stay.
    pub keep: i64,
    /// Bytes of cache that may stay at most; 0 for no such bound.
    pub max_used: i64,
    /// Bytes of the disk that are to be free afterwards; 0 for no such bound.
    pub min_free: i64,
    /// Seconds since the last use, at least.
    pub unused_for: i64,
    /// Records by their identifiers; all where there are none.
    pub ids: Vec<String>,
    /// Kinds of records; all where there are none.
    pub kinds: Vec<String>,
}

/// What was removed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct PruneAnswer {
    /// Records, by their identifiers.
    pub caches_deleted: Vec<String>,
    /// Bytes.
    pub space_reclaimed: i64,
}

/// A record of the build cache, as `/system/df` has it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Record {
    /// What names it.
    #[serde(rename = "ID")]
    pub id: String,
    /// Records that it stands on.
    pub parents: Vec<String>,
    /// `regular`, `exec.cachemount`, `source.local`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// The step.
    pub description: String,
    /// A build uses it now.
    pub in_use: bool,
    /// Images have its layer, too.
    pub shared: bool,
    /// Bytes.
    pub size: i64,
    /// RFC 3339.
    pub created_at: String,
    /// RFC 3339.
    pub last_used_at: Option<String>,
    /// How often it was used.
    pub usage_count: i64,
}
