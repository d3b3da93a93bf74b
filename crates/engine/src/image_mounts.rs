//! Images that are mounted into containers, to read. A part of one is found as in its own root: what
//! an image has is not ours, so no link in it may lead out.

use std::{
    os::fd::{AsFd, AsRawFd, OwnedFd},
    path::PathBuf,
};

use runtime::protocol::{FdRole, mount_name};
use rustix::fs::OFlags;

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    record::{Mount, MountKind, Record},
    rootfs,
};

impl Engine {
    /// Opens the record's images. `sources` then name the places where the shim attaches them.
    pub(crate) fn image_mounts(
        &self,
        container: &Container,
        record: &Record,
        users: Option<&OwnedFd>,
        sources: &mut [PathBuf],
    ) -> Result<Vec<(FdRole, OwnedFd)>> {
        let mut opened = Vec::new();
        for (index, (mount, source)) in (0_u32..).zip(record.mounts.iter().zip(sources)) {
            if mount.kind != MountKind::Image {
                continue;
            }
            let files = self.open_image(mount, users, container)?;
            opened.push((FdRole::Mount { index }, files));
            *source = container.run_dir.join(mount_name(index));
        }
        Ok(opened)
    }

    /// What a mount shows of its image, attached nowhere.
    pub(crate) fn open_image(
        &self,
        mount: &Mount,
        users: Option<&OwnedFd>,
        container: &Container,
    ) -> Result<OwnedFd> {
        let whole = self
            .images
            .mount_image(&mount.image, users.map(AsFd::as_fd))?;
        if mount.subpath.is_empty() {
            return Ok(whole);
        }
        let missing = || {
            Error::Invalid(format!(
                "cannot access path \"{}\" in image {}: no such file or directory",
                mount.subpath, mount.source
            ))
        };
        let mut part = None;
        // Only what is attached somewhere can be copied in part: here, where nobody sees it.
        sys::tree::Tree::new(&whole, &container.data_dir, |root| {
            let found = rootfs::open(root, &mount.subpath, OFlags::PATH)?;
            let path = format!("/proc/self/fd/{}", found.as_raw_fd());
            part = Some(sys::namespace::clone_mount(path.as_ref())?);
            Ok(())
        })
        .map_err(|e| match e.kind() {
            std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory => missing(),
            _ => Error::io(format!("open {} in image {}", mount.subpath, mount.source))(e),
        })?;
        part.ok_or_else(missing)
    }
}
