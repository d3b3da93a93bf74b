//! Looking into detached mounts.

use std::collections::BTreeMap;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};

use image::{Error, Reference, Store};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

/// Everything in a directory, by path: kind, and content or link target.
pub fn tree(root: &OwnedFd) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    walk(root, "", &mut all);
    all
}

fn walk(dir: &OwnedFd, prefix: &str, all: &mut BTreeMap<String, String>) {
    let list =
        rustix::fs::openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&list).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    for name in names {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        // An overlay lists a whiteout in a directory that has nothing below it to merge with,
        // though it hides it; only archives that delete what never was have such.
        let stat = match rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => continue,
            stat => stat.unwrap(),
        };
        let text = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                walk(
                    &rustix::fs::openat(dir, &name, flags, Mode::empty()).unwrap(),
                    &path,
                    all,
                );
                "dir".to_owned()
            }
            FileType::RegularFile => {
                let file = rustix::fs::openat(dir, &name, OFlags::RDONLY, Mode::empty()).unwrap();
                let mut text = String::new();
                std::fs::File::from(file).read_to_string(&mut text).unwrap();
                format!("file {text}")
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, &name, Vec::new()).unwrap();
                format!("link {}", target.to_string_lossy())
            }
            FileType::Fifo => "fifo".to_owned(),
            FileType::CharacterDevice => format!("char {:x}", stat.st_rdev),
            other => format!("{other:?}"),
        };
        all.insert(path, text);
    }
}

pub fn stat(root: &impl AsFd, path: &str) -> rustix::fs::Stat {
    rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).unwrap()
}

pub fn read(root: &impl AsFd, path: &str) -> String {
    let file = rustix::fs::openat(root, path, OFlags::RDONLY, Mode::empty()).unwrap();
    let mut text = String::new();
    std::fs::File::from(file).read_to_string(&mut text).unwrap();
    text
}

/// Makes an image of these layers and mounts a container of it.
pub fn mounted(store: &Store, layers: &[&[u8]]) -> Result<OwnedFd, Error> {
    let image = store.add_image(
        &Reference::parse("t").unwrap(),
        image::ImageConfig {
            os: "linux".into(),
            ..Default::default()
        },
        layers,
    )?;
    let id = format!("c{}", image.id.short());
    store.create_container(&id, &image.id.to_string())?;
    store.mount_container(&id)
}
