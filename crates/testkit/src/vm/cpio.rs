//! The archive that a kernel unpacks as its first file system: cpio in its "newc" form. Several of
//! them may follow each other, and what comes later adds to what came before.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

const DIR: u32 = 0o040_000;
const FILE: u32 = 0o100_000;
const LINK: u32 = 0o120_000;
const CHAR: u32 = 0o020_000;

/// An archive in the making; all of it belongs to root.
#[derive(Default)]
pub(super) struct Cpio {
    bytes: Vec<u8>,
    inode: u32,
}

impl Cpio {
    fn entry(&mut self, path: &str, mode: u32, device: (u32, u32), body: &[u8]) {
        let name = path.trim_start_matches('/');
        self.inode += 1;
        let fields = [
            self.inode,
            mode,
            0,
            0,
            1,
            0,
            u32::try_from(body.len()).expect("no file of 4 GB in an initramfs"),
            0,
            0,
            device.0,
            device.1,
            u32::try_from(name.len() + 1).expect("a path"),
            0,
        ];
        self.bytes.extend_from_slice(b"070701");
        for field in fields {
            self.bytes
                .extend_from_slice(format!("{field:08X}").as_bytes());
        }
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.push(0);
        self.pad();
        self.bytes.extend_from_slice(body);
        self.pad();
    }

    fn pad(&mut self) {
        self.bytes.resize(self.bytes.len().next_multiple_of(4), 0);
    }

    /// A directory; its parent must have been added.
    pub(super) fn dir(&mut self, path: &str) {
        self.entry(path, DIR | 0o755, (0, 0), &[]);
    }

    /// A file.
    pub(super) fn file(&mut self, path: &str, mode: u32, body: &[u8]) {
        self.entry(path, FILE | mode, (0, 0), body);
    }

    /// A symbolic link.
    pub(super) fn link(&mut self, path: &str, target: &str) {
        self.entry(path, LINK | 0o777, (0, 0), target.as_bytes());
    }

    /// A character device.
    pub(super) fn char(&mut self, path: &str, major: u32, minor: u32) {
        self.entry(path, CHAR | 0o600, (major, minor), &[]);
    }

    /// Everything under `root`, as `prefix` and below; device files and sockets are left out.
    pub(super) fn tree(&mut self, root: &Path, prefix: &str) {
        let mut entries: Vec<_> = fs::read_dir(root)
            .unwrap_or_else(|e| panic!("{}: {e}", root.display()))
            .map(|e| e.expect("a directory that nobody changes"))
            .collect();
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let name = entry.file_name().into_string().expect("a plain name");
            let (from, to) = (entry.path(), format!("{prefix}/{name}"));
            let meta = fs::symlink_metadata(&from).expect("it was just listed");
            if meta.is_symlink() {
                let target = fs::read_link(&from).expect("a link");
                self.link(&to, target.to_str().expect("a plain name"));
            } else if meta.is_dir() {
                self.entry(&to, DIR | meta.mode() & 0o7777, (0, 0), &[]);
                self.tree(&from, &to);
            } else if meta.is_file() {
                let body = fs::read(&from).unwrap_or_else(|e| panic!("{}: {e}", from.display()));
                self.file(&to, meta.permissions().mode() & 0o7777, &body);
            }
        }
    }

    /// The bytes.
    pub(super) fn finish(mut self) -> Vec<u8> {
        self.entry("TRAILER!!!", 0, (0, 0), &[]);
        // The kernel allows any padding between two archives; a page's end suits every loader.
        self.bytes
            .resize(self.bytes.len().next_multiple_of(4096), 0);
        self.bytes
    }
}
