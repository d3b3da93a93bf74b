//! (Interim) a root without mounts of its own.
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind_recursive, mount_change,
    unmount,
};

use super::Prepared;
use crate::oci::{Context, Result};

pub(super) fn enter(prepared: &Prepared) -> Result<()> {
    let root = prepared.bundle.join("rootfs");
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )
    .context(|| "private")?;
    mount_bind_recursive(&root, &root).context(|| "bind")?;
    rustix::process::chdir(&root).context(|| "chdir")?;
    mount("proc", "proc", "proc", MountFlags::empty(), None).context(|| "proc")?;
    rustix::process::pivot_root(".", ".").context(|| "pivot")?;
    unmount(".", UnmountFlags::DETACH).context(|| "umount")?;
    rustix::process::chdir("/").context(|| "chdir")
}
