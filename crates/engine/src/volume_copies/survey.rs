//! A look at a volume before it is copied: what it takes, and what a copy or an archive leaves out.

use std::{
    collections::HashSet,
    io,
    os::fd::{AsFd, BorrowedFd},
    path::Path,
};

use archive::open_below;
use rustix::{
    fs::{AtFlags, Dir, FileType, fstat, statat},
    io::Errno,
};

use crate::error::{Error, Result};

/// Names that are told; of those beyond only the number.
const TOLD: usize = 5;
/// Files with several names that are counted once; those beyond are counted for each name.
const MAX_LINKS: usize = 1 << 20;

/// Names of files, the first ones.
#[derive(Debug, Default, PartialEq, Eq)]
struct Names {
    first: Vec<String>,
    more: usize,
}

impl Names {
    fn add(&mut self, path: &[u8]) {
        if self.first.len() < TOLD {
            // They are told on terminals.
            let text = String::from_utf8_lossy(path);
            self.first.push(text.escape_debug().to_string());
        } else {
            self.more += 1;
        }
    }

    fn told(&self, what: &str) -> Option<String> {
        let more = match self.more {
            _ if self.first.is_empty() => return None,
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!("{what}: {}{more}", self.first.join(", ")))
    }
}

/// What was seen.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// What its files take on the disk; holes take nothing.
    pub bytes: u64,
    devices: Names,
    mounts: Names,
}

impl Survey {
    /// What a copy lacks.
    pub(super) fn of_copy(&self) -> Vec<String> {
        let mounts = self
            .mounts
            .told("left empty, as other file systems are mounted there");
        mounts.into_iter().collect()
    }

    /// What an archive lacks.
    pub(super) fn of_archive(&self) -> Vec<String> {
        let devices = self
            .devices
            .told("left out, as archives of volumes hold no devices");
        self.of_copy().into_iter().chain(devices).collect()
    }
}

/// Looks through all of a volume.
pub(super) fn survey(place: &Path) -> Result<Survey> {
    let root = std::fs::File::open(place).map_err(Error::path("open", place))?;
    let mut survey = Survey::default();
    walk(root.as_fd(), &mut survey).map_err(Error::path("look through", place))?;
    Ok(survey)
}

fn walk(root: BorrowedFd<'_>, survey: &mut Survey) -> io::Result<()> {
    let device = fstat(root)?.st_dev;
    let mut linked = HashSet::new();
    // By their paths: a tree may be deeper than there are descriptors.
    let mut waiting = vec![Vec::new()];
    while let Some(path) = waiting.pop() {
        let dir = match open_below(root, &path) {
            Ok(dir) => dir,
            // It went meanwhile, or became something else.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            Err(e) => return Err(e.into()),
        };
        if fstat(&dir)?.st_dev != device {
            survey.mounts.add(&path);
            continue;
        }
        for entry in Dir::read_from(&dir)? {
            let entry = entry?;
            let name = entry.file_name().to_bytes();
            if matches!(name, b"." | b"..") {
                continue;
            }
            let below = match path.is_empty() {
                true => name.to_vec(),
                false => [&path, b"/".as_slice(), name].concat(),
            };
            let stat = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Err(Errno::NOENT) => continue,
                stat => stat?,
            };
            let kind = FileType::from_raw_mode(stat.st_mode);
            match kind {
                FileType::CharacterDevice | FileType::BlockDevice => survey.devices.add(&below),
                FileType::Directory => waiting.push(below),
                _ if stat.st_dev != device => survey.mounts.add(&below),
                _ => {}
            }
            let several = stat.st_nlink > 1 && kind != FileType::Directory;
            let new =
                !several || linked.len() >= MAX_LINKS || linked.insert((stat.st_dev, stat.st_ino));
            if new && stat.st_dev == device {
                let blocks = u64::try_from(stat.st_blocks).unwrap_or(0);
                survey.bytes += blocks.saturating_mul(512);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holes_take_nothing_and_files_with_two_names_count_once() {
        let dir = tempfile::tempdir().unwrap();
        let hole = std::fs::File::create(dir.path().join("hole")).unwrap();
        hole.set_len(1 << 30).unwrap();
        std::fs::create_dir(dir.path().join("sub")).unwrap();
        let file = dir.path().join("sub/file");
        std::fs::write(&file, vec![1; 1 << 20]).unwrap();
        std::fs::hard_link(&file, dir.path().join("second")).unwrap();
        let seen = survey(dir.path()).unwrap();
        assert!((1 << 20..3 << 19).contains(&seen.bytes), "{}", seen.bytes);
        assert!(seen.of_archive().is_empty());
    }

    #[test]
    fn not_all_names_are_told() {
        let mut names = Names::default();
        assert_eq!(names.told("x"), None);
        for name in [b"a".as_slice(), b"b\n", b"c", b"d", b"e", b"f", b"g"] {
            names.add(name);
        }
        assert_eq!(names.told("x").unwrap(), "x: a, b\\n, c, d, e and 2 more");
    }
}
