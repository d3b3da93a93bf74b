//! All mounts of a new container: those of others, its own, and those that its image wants.

use std::collections::BTreeSet;

use types::{
    container::{ContainerConfig, HostConfig},
    id,
};

use crate::{
    Engine, binds,
    error::{Error, Result},
    mount_specs,
    record::{Mount, MountKind},
};

/// The mount, with `--volume-driver` for a volume that names none of its own.
fn driven(mut mount: Mount, driver: &str) -> Mount {
    if mount.kind == MountKind::Volume {
        mount.driver = driver.to_owned();
    }
    mount
}

impl Engine {
    /// As Docker: `--volumes-from` first, which `-v` and `--mount` go before; then what the image
    /// wants and nobody else has taken.
    pub(crate) fn mounts(&self, config: &ContainerConfig, host: &HostConfig) -> Result<Vec<Mount>> {
        let mut own = Vec::new();
        for bind in &host.binds {
            own.push(driven(binds::parse(bind)?, &host.volume_driver));
        }
        for spec in &host.mounts {
            own.push(mount_specs::parse(spec)?);
        }
        let tmpfs: BTreeSet<_> = host.tmpfs.keys().map(|t| binds::clean(t)).collect();
        let mut taken = tmpfs.clone();
        for mount in &own {
            if !taken.insert(mount.destination.clone()) {
                return Err(Error::Invalid(format!(
                    "Duplicate mount point: {}",
                    mount.destination
                )));
            }
        }
        let mut mounts: Vec<Mount> = Vec::new();
        for from in host.volumes_from.iter().flatten() {
            for mount in self.mounts_of(from)? {
                mounts.retain(|m| m.destination != mount.destination);
                mounts.push(mount);
            }
        }
        mounts.retain(|m| !taken.contains(&m.destination));
        taken.extend(mounts.iter().map(|m| m.destination.clone()));
        mounts.extend(own);
        for target in config.volumes.keys() {
            let mount = driven(binds::parse(target)?, &host.volume_driver);
            if taken.insert(mount.destination.clone()) {
                mounts.push(mount);
            }
        }
        for mount in &mut mounts {
            if mount.kind == MountKind::Volume && mount.name.is_empty() {
                mount.name = id::generate();
            }
            if mount.kind == MountKind::Image && mount.image.is_empty() {
                // Not as an absent object: clients would take it for the container's own image.
                let image = self.images.get(&mount.source);
                let image = image.map_err(|e| Error::Invalid(e.to_string()))?;
                mount.image = image.id.to_string();
            }
        }
        Ok(mounts)
    }

    /// The mounts of another container, running or not: `name[:mode]`.
    fn mounts_of(&self, from: &str) -> Result<Vec<Mount>> {
        let (name, mode) = match from.split_once(':') {
            Some((name, mode)) => (name, mode),
            None => (from, "rw"),
        };
        if name.is_empty() {
            return Err(Error::Invalid(format!(
                "invalid volumes-from specification: '{from}'"
            )));
        }
        let words = binds::Words::parse(mode)?;
        // Both are the other container's.
        if words.no_copy || words.propagation.is_some() {
            return Err(binds::bad_mode(mode));
        }
        let read_only = words.read_only;
        // Not as an absent object: clients would take it for the image, and pull.
        let other = self.find(name).map_err(|e| Error::Invalid(e.to_string()))?;
        let mut mounts = other.with_record(|r| r.mounts.clone());
        for mount in &mut mounts {
            mount.read_only |= read_only;
            // The other one's image has filled it.
            mount.copy_up = false;
            if mount.kind != MountKind::Tmpfs {
                mount.mode = String::new();
            } else if mount.read_only && !mount.options.split(',').any(|o| o == "ro") {
                mount.options = format!("ro,{}", mount.options);
            }
        }
        Ok(mounts)
    }
}
