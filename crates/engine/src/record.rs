//! A container's definition as it is kept on disk.

use serde::{Deserialize, Serialize};
use types::container::{ContainerConfig, Health, HostConfig};

use crate::{
    links::LinkTo,
    nets::{Attachment, Attachments},
};

/// A container's definition and what must outlive a reboot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Record {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without a leading `/`.
    pub name: String,
    /// RFC 3339, nanoseconds.
    pub created: String,
    /// `sha256:…` of the image's configuration.
    pub image_id: String,
    /// Merged with the image's defaults.
    pub config: ContainerConfig,
    /// As asked for, completed.
    pub host_config: HostConfig,
    /// Binds and volumes, resolved.
    pub mounts: Vec<Mount>,
    /// Containers that it knows by name.
    #[serde(default)]
    pub links: Vec<LinkTo>,
    /// The networks that it is in while it runs.
    #[serde(default = "unknown")]
    pub networks: Attachments,
    /// The user stopped it: a policy that restarts leaves it alone.
    pub stopped_by_user: bool,
    /// What became of it the last time it ran.
    pub last: Option<LastRun>,
}

/// What a record of a version without networks of users' own has: see [`Record::knows_networks`].
fn unknown() -> Attachments {
    Attachments::from([(String::new(), Attachment::default())])
}

/// What became of a container the last time it ran.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LastRun {
    /// RFC 3339.
    pub started_at: String,
    /// RFC 3339; [`types::container::NEVER`] while it runs or when nobody saw it end.
    pub finished_at: String,
    /// 128 + the signal's number where a signal ended it.
    pub exit_code: i32,
    /// The kernel ended it for want of memory.
    pub oom_killed: bool,
    /// Why it could not start, or did not end by itself.
    pub error: String,
    /// Times that the policy started it again since a user did.
    pub restarts: u32,
    /// What its checks said, if it is checked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub health: Option<Health>,
}

/// Where a mount comes from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum MountKind {
    #[default]
    Bind,
    Volume,
    /// A file system in memory that was asked for as a mount.
    Tmpfs,
    /// What an image has, to read.
    Image,
}

/// A mount of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Mount {
    pub kind: MountKind,
    /// The volume's name; empty for a bind.
    pub name: String,
    /// The volume was made for this container alone and goes with it.
    pub anonymous: bool,
    /// Path on the host.
    pub source: String,
    /// Path in the container.
    pub destination: String,
    pub read_only: bool,
    /// Fill an empty volume with what the image has there.
    pub copy_up: bool,
    /// The options as the user wrote them.
    pub mode: String,
    /// `rprivate`, `rslave`, …
    pub propagation: String,
    /// A bind's source is not made where it is missing.
    pub must_exist: bool,
    /// Without what is mounted below the source.
    pub flat: bool,
    /// Read-only means the mount alone: what is mounted below stays writable.
    pub flat_read_only: bool,
    /// What of the volume is mounted; all of it when empty.
    pub subpath: String,
    /// Labels of a volume that is new.
    pub labels: std::collections::BTreeMap<String, String>,
    /// Driver of a volume that is new; the local one when empty.
    pub driver: String,
    /// That driver's own options.
    pub driver_options: std::collections::BTreeMap<String, String>,
    /// A tmpfs's options as mount(8) writes them.
    pub options: String,
    /// Identifier of the image that is mounted; `source` is what the user called it.
    pub image: String,
}

impl Record {
    /// Whether its networks are on record; else they are those of its mode.
    pub(crate) fn knows_networks(&self) -> bool {
        !self.networks.contains_key("")
    }

    /// Whether a policy wants it running again after it ended with `code`, having been restarted
    /// `restarts` times already.
    pub(crate) fn restarts_after(&self, code: i32, restarts: u32) -> bool {
        let policy = &self.host_config.restart_policy;
        match policy.name.as_str() {
            "always" | "unless-stopped" => !self.stopped_by_user,
            "on-failure" => {
                let bound = u32::try_from(policy.maximum_retry_count).unwrap_or(0);
                !self.stopped_by_user && code != 0 && (bound == 0 || restarts < bound)
            }
            _ => false,
        }
    }

    /// Whether the policy wants it running when the daemon starts and finds it ended.
    pub(crate) fn starts_with_daemon(&self) -> bool {
        match self.host_config.restart_policy.name.as_str() {
            // Docker: `always` comes back with the daemon even after a stop by the user.
            "always" => self.last.is_some(),
            "unless-stopped" => self.last.is_some() && !self.stopped_by_user,
            "on-failure" => {
                let last = self.last.as_ref();
                last.is_some_and(|l| self.restarts_after(l.exit_code, l.restarts))
            }
            _ => false,
        }
    }

    /// Program and arguments.
    pub(crate) fn argv(&self) -> Vec<String> {
        let entrypoint = self.config.entrypoint.iter().flatten();
        entrypoint
            .chain(self.config.cmd.iter().flatten())
            .cloned()
            .collect()
    }

    /// A command of a build, which stands on no image.
    pub(crate) fn is_step(&self) -> bool {
        self.image_id.is_empty()
    }

    /// The host name inside.
    pub(crate) fn hostname(&self) -> &str {
        if self.config.hostname.is_empty() {
            types::id::short(&self.id)
        } else {
            &self.config.hostname
        }
    }
}
