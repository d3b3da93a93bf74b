//! A container's binds and volumes before it runs: the places they come from are there, and new
//! volumes hold what the image has.

use std::{
    fs,
    os::fd::{AsFd, BorrowedFd},
    path::PathBuf,
};

use crate::{
    Engine,
    error::{Error, Result},
    mount_specs,
    record::{MountKind, Record},
    rootfs,
};

impl Engine {
    /// The path on the host of each of the record's mounts, in their order.
    pub(crate) fn mount_sources(
        &self,
        record: &Record,
        root: BorrowedFd<'_>,
    ) -> Result<Vec<PathBuf>> {
        let mut sources = Vec::with_capacity(record.mounts.len());
        for mount in &record.mounts {
            let source = match mount.kind {
                MountKind::Bind => {
                    let source = PathBuf::from(&mount.source);
                    // Docker's -v makes a directory of what is not there, its --mount does not.
                    if fs::symlink_metadata(&source).is_err() {
                        if mount.must_exist {
                            return Err(mount_specs::missing(&mount.source));
                        }
                        fs::create_dir_all(&source).map_err(Error::io(format!(
                            "error while creating mount source path '{}'",
                            mount.source
                        )))?;
                    }
                    source
                }
                MountKind::Volume => {
                    let data = self.volumes.data(&mount.name);
                    if mount.copy_up {
                        let target = fs::File::open(&data)
                            .map_err(Error::path("open the volume's directory", &data))?;
                        rootfs::copy_up(root, &mount.destination, target.as_fd()).map_err(
                            Error::io(format!(
                                "fill the volume {} with the image's {}",
                                mount.name, mount.destination
                            )),
                        )?;
                    }
                    data
                }
                // Made by the runtime.
                MountKind::Tmpfs => PathBuf::new(),
            };
            sources.push(source);
        }
        Ok(sources)
    }
}
