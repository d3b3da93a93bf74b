//! How much disk volumes take.

use std::{collections::HashSet, fs, os::unix::fs::MetadataExt, path::Path};

use types::volume::{Volume as Told, VolumeUsage};

use crate::{Engine, blocking, error::Result, sync::lock, volumes::Volume};

impl Engine {
    /// All volumes with their sizes, by name.
    pub async fn volume_usage(&self) -> Result<Vec<Told>> {
        // As in Docker without those that are mounted: they may be another host's.
        let plain = self.volumes.all().into_iter().filter(Volume::is_plain);
        let mut list: Vec<Told> = plain.map(|v| self.told_volume(&v)).collect();
        for volume in &mut list {
            let data = self.volumes.data(&volume.name);
            let size = blocking(move || Ok(size_of(&data))).await?;
            volume.usage_data = Some(VolumeUsage {
                size: size.cast_signed(),
                ref_count: i64::try_from(self.holders_of_volume(&volume.name).len())
                    .unwrap_or(i64::MAX),
            });
        }
        Ok(list)
    }

    /// How many containers have an image.
    #[must_use]
    pub fn containers_of(&self, image: &str) -> i64 {
        i64::try_from(self.users_of(image).len()).unwrap_or(i64::MAX)
    }

    /// The containers that have a volume, running or not.
    pub(crate) fn holders_of_volume(&self, name: &str) -> Vec<String> {
        self.containers_with_volume(name)
            .iter()
            .map(|c| c.id.clone())
            .collect()
    }

    /// The containers that have a volume among their mounts.
    pub(crate) fn containers_with_volume(
        &self,
        name: &str,
    ) -> Vec<std::sync::Arc<crate::container::Container>> {
        let all = lock(&self.containers).all();
        let holds = |c: &&std::sync::Arc<crate::container::Container>| {
            c.with_record(|r| r.mounts.iter().any(|m| m.name == name))
        };
        all.iter().filter(holds).cloned().collect()
    }
}

/// Bytes of the files below `dir`, each counted once; what vanishes meanwhile or cannot be read is
/// not counted. Links are not followed.
pub(crate) fn size_of(dir: &Path) -> u64 {
    let mut size = 0;
    let mut linked = HashSet::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(&dir).into_iter().flatten().flatten() {
            let Ok(meta) = entry.metadata() else { continue };
            if meta.is_dir() {
                dirs.push(entry.path());
            } else if meta.is_file()
                && (meta.nlink() == 1 || linked.insert((meta.dev(), meta.ino())))
            {
                size += meta.len();
            }
        }
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_counted_once_and_links_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::create_dir(path("d")).unwrap();
        fs::write(path("d/a"), [0; 100]).unwrap();
        fs::hard_link(path("d/a"), path("b")).unwrap();
        fs::write(path("c"), [0; 11]).unwrap();
        std::os::unix::fs::symlink("/usr", path("l")).unwrap();
        assert_eq!(size_of(dir.path()), 111);
        assert_eq!(size_of(&path("none")), 0);
    }
}
