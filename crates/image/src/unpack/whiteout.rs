//! What a layer deletes.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rustix::fs::{AtFlags, FileType, Mode};

use super::{Unpacker, invalid};
use crate::tree::{self, Existing};

pub(super) const WHITEOUT: &[u8] = b".wh.";
const META: &[u8] = b".wh..wh.";
const OPAQUE_MARK: &[u8] = b".wh..wh..opq";

impl Unpacker<'_> {
    /// `.wh.name` and its special forms.
    pub(super) fn mark(&mut self, parent_path: &[u8], name: &[u8]) -> io::Result<()> {
        if name == OPAQUE_MARK {
            let parent = self.tree.dir(parent_path)?;
            if parent_path.is_empty() {
                self.outcome.root_opaque = true;
                return Ok(());
            }
            return tree::make_opaque(parent.as_fd(), b".");
        }
        if name.starts_with(META) {
            // Bookkeeping of AUFS, which means nothing to others.
            return Ok(());
        }
        let hidden = &name[WHITEOUT.len()..];
        if hidden.is_empty() || hidden == b"." || hidden == b".." {
            return Err(invalid("a whiteout does not name a file, which is refused"));
        }
        let parent = self.tree.dir(parent_path)?;
        self.whiteout(parent.as_fd(), parent_path, hidden)
    }

    /// Hides what lower layers have under this name. What this layer has itself stays.
    pub(super) fn whiteout(
        &mut self,
        parent: BorrowedFd<'_>,
        parent_path: &[u8],
        name: &[u8],
    ) -> io::Result<()> {
        match tree::existing(parent, name)? {
            Existing::Whiteout | Existing::Other => Ok(()),
            Existing::Dir => tree::make_opaque(parent, name),
            Existing::Nothing => {
                self.whiteouts.push((parent_path.to_vec(), name.to_vec()));
                let kind = FileType::CharacterDevice;
                Ok(rustix::fs::mknodat(parent, name, kind, Mode::empty(), 0)?)
            }
        }
    }

    /// Below an opaque directory there is nothing to hide, and an overlay lists whiteouts in a
    /// directory that it does not merge with another.
    pub(super) fn drop_needless_whiteouts(&mut self) -> io::Result<()> {
        let mut known = HashMap::new();
        for (parent_path, name) in std::mem::take(&mut self.whiteouts) {
            if !self.is_opaque(&parent_path, &mut known)? {
                continue;
            }
            // Not made if it is missing: a later entry of the same archive took its place.
            let Some(parent) = self.tree.existing_dir(&parent_path)? else {
                continue;
            };
            if tree::existing(parent.as_fd(), &name)? == Existing::Whiteout {
                rustix::fs::unlinkat(&*parent, name.as_slice(), AtFlags::empty())?;
            }
        }
        Ok(())
    }

    /// Whether the directory or one above it hides what is below.
    fn is_opaque(&mut self, path: &[u8], known: &mut HashMap<Vec<u8>, bool>) -> io::Result<bool> {
        if path.is_empty() {
            return Ok(self.outcome.root_opaque);
        }
        if let Some(known) = known.get(path) {
            return Ok(*known);
        }
        let own = self.tree.existing_dir(path)?.is_some_and(|dir| {
            let path = format!("/proc/self/fd/{}", dir.as_raw_fd());
            let mut value = [0_u8; 1];
            rustix::fs::getxattr(path, tree::OPAQUE, value.as_mut_slice()).is_ok()
        });
        let opaque = own || self.is_opaque(tree::split(path).0, known)?;
        known.insert(path.to_vec(), opaque);
        Ok(opaque)
    }
}
