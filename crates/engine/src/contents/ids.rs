//! Owners of files, as the host and as the container knows them.

use runtime::spec::IdMapping;

use crate::remap::Remap;

/// What the kernel shows of an owner that has no name in a user namespace.
const NOBODY: u32 = 65_534;

/// How a container's owners are mapped, if they are.
#[derive(Debug, Clone)]
pub(crate) struct Owners(Option<Remap>);

impl Owners {
    pub(crate) fn new(remap: Option<&Remap>) -> Self {
        Self(remap.cloned())
    }

    /// From the host's to the container's.
    pub(crate) fn inside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let Some(remap) = &self.0 else {
            return (uid, gid);
        };
        let map = |all: &[IdMapping], id: u32| {
            let found = all.iter().find_map(|m| {
                let offset = id.checked_sub(m.host)?;
                (offset < m.size).then(|| m.container + offset)
            });
            found.unwrap_or(NOBODY)
        };
        (map(&remap.uids, uid), map(&remap.gids, gid))
    }

    /// From the container's to the host's; one that the container does not have becomes its root.
    pub(crate) fn outside(&self, uid: u32, gid: u32) -> (u32, u32) {
        let Some(remap) = &self.0 else {
            return (uid, gid);
        };
        let map = |all: &[IdMapping], id: u32, root: u32| {
            let found = all.iter().find_map(|m| {
                let offset = id.checked_sub(m.container)?;
                (offset < m.size).then(|| m.host + offset)
            });
            found.unwrap_or(root)
        };
        let root = remap.root();
        (map(&remap.uids, uid, root.0), map(&remap.gids, gid, root.1))
    }
}
