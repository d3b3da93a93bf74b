//! `/dev`: the nodes that every container has, those that the configuration adds, and the links.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxDevice, LinuxDeviceType};
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::Plan;
use super::place::is_device;
use super::resolve::{clean, find_or_make_directory, make_file, ordinary_directory};
use super::tree::Tree;
use crate::oci::error::{Context as _, Error, Result};

const DEFAULT: [(&str, u32, u32); 6] = [
    ("null", 1, 3),
    ("zero", 1, 5),
    ("full", 1, 7),
    ("random", 1, 8),
    ("urandom", 1, 9),
    ("tty", 5, 0),
];

const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("core", "/proc/kcore"),
    ("ptmx", "pts/ptmx"),
];

/// What will be made.
#[derive(Debug)]
pub(super) struct Devices {
    nodes: Vec<Node>,
    /// In a user namespace nodes cannot be made.
    bind: bool,
}

#[derive(Debug)]
struct Node {
    /// Relative to the root.
    path: PathBuf,
    typ: FileType,
    major: u32,
    minor: u32,
    mode: u32,
    owner: (u32, u32),
}

impl Devices {
    pub(super) fn new(wanted: &[LinuxDevice], bind: bool) -> Result<Self> {
        let mut nodes: Vec<Node> = DEFAULT
            .iter()
            .map(|(name, major, minor)| Node {
                path: Path::new("dev").join(name),
                typ: FileType::CharacterDevice,
                major: *major,
                minor: *minor,
                mode: 0o666,
                owner: (0, 0),
            })
            .collect();
        for (index, device) in wanted.iter().enumerate() {
            let node = node(device, &format!("linux.devices[{index}]"))?;
            // Made by the link to the container's own devpts.
            if node.path == Path::new("dev/ptmx") {
                continue;
            }
            match nodes.iter_mut().find(|n| n.path == node.path) {
                Some(same) => *same = node,
                None => nodes.push(node),
            }
        }
        Ok(Self { nodes, bind })
    }
}

fn node(device: &LinuxDevice, field: &str) -> Result<Node> {
    let typ = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => FileType::CharacterDevice,
        LinuxDeviceType::B => FileType::BlockDevice,
        LinuxDeviceType::P => FileType::Fifo,
        LinuxDeviceType::A => {
            return Err(Error::config(
                format!("{field}.type"),
                "\"a\" is for cgroup rules only",
            ));
        }
    };
    let path = clean(device.path());
    if !device.path().is_absolute() || path.as_os_str().is_empty() {
        return Err(Error::config(
            format!("{field}.path"),
            format!("{:?} is not the absolute path of a device", device.path()),
        ));
    }
    let number = |member: &str, value: i64| {
        u32::try_from(value).map_err(|_| {
            Error::config(
                format!("{field}.{member}"),
                format!("{value} is not a device number"),
            )
        })
    };
    let fifo = typ == FileType::Fifo;
    Ok(Node {
        path,
        typ,
        major: if fifo {
            0
        } else {
            number("major", device.major())?
        },
        minor: if fifo {
            0
        } else {
            number("minor", device.minor())?
        },
        mode: device.file_mode().unwrap_or(0o666) & 0o7777,
        owner: (
            device.uid().unwrap_or_default(),
            device.gid().unwrap_or_default(),
        ),
    })
}

impl Plan {
    /// Makes nodes and links; the file mode creation mask is 0.
    pub(super) fn make_devices(&mut self) -> Result<()> {
        let Some(mut devices) = self.devices.take() else {
            return Ok(());
        };
        if self.inside.dev.is_none() {
            let dev = ordinary_directory(self.root()?, Path::new("dev")).map_err(not_ordinary)?;
            self.inside.dev = Some(dev);
        }
        let dev = self
            .inside
            .dev
            .as_ref()
            .ok_or_else(|| Error::State("no /dev".to_owned()))?;
        let mut other: Option<(&Path, OwnedFd)> = None;
        for node in &devices.nodes {
            let about = || format!("make the device /{}", node.path.display());
            let (Some(parent), Some(name)) = (node.path.parent(), node.path.file_name()) else {
                continue;
            };
            let dir = if parent == Path::new("dev") {
                dev.as_fd()
            } else {
                if !matches!(&other, Some((path, _)) if *path == parent) {
                    let made = find_or_make_directory(self.root()?, parent).context(about)?;
                    other = Some((parent, made));
                }
                match &other {
                    Some((_, dir)) => dir.as_fd(),
                    None => continue,
                }
            };
            if !devices.bind || node.typ == FileType::Fifo {
                match make(dir, name, node) {
                    Err(e) if e.kind() == io::ErrorKind::PermissionDenied => devices.bind = true,
                    done => {
                        done.context(about)?;
                        continue;
                    }
                }
            }
            self.bind_device(dir, name, node).context(about)?;
        }
        links(dev.as_fd())
    }

    /// Shows the host's node. To be called while the host's `/dev` can be reached.
    fn bind_device(&self, dir: BorrowedFd<'_>, name: &OsStr, node: &Node) -> io::Result<()> {
        let mut tree = Tree::copy(&Path::new("/").join(&node.path), false)?;
        if !is_device(tree.fd(), node.typ, node.major, node.minor)? {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "the host has no device {}:{} at this path, and nodes cannot be made here",
                    node.major, node.minor
                ),
            ));
        }
        tree.wish(super::tree::Wish::private(), self.kernel)?;
        let target = make_file(dir, name)?;
        tree.attach(target.as_fd(), &self.inside.old)
    }
}

fn not_ordinary(e: io::Error) -> Error {
    match Errno::from_io_error(&e) {
        Some(Errno::LOOP | Errno::NOTDIR) => Error::Unsupported(
            "/dev of the image is a symbolic link or a file; it must be an ordinary directory"
                .to_owned(),
        ),
        _ => Error::System {
            what: "open /dev".to_owned(),
            source: e,
        },
    }
}

fn make(dir: BorrowedFd<'_>, name: &OsStr, node: &Node) -> io::Result<()> {
    let number = rustix::fs::makedev(node.major, node.minor);
    let mode = Mode::from_raw_mode(node.mode);
    match rustix::fs::mknodat(dir, name, node.typ, mode, number) {
        Ok(()) if node.owner == (0, 0) => return Ok(()),
        Ok(()) | Err(Errno::EXIST) => {}
        Err(e) => return Err(e.into()),
    }
    // The image's own, or ours whose owner is another.
    let made = rustix::fs::openat(
        dir,
        name,
        OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC,
        Mode::empty(),
    )?;
    if !is_device(made.as_fd(), node.typ, node.major, node.minor)? {
        return Err(io::Error::new(
            io::ErrorKind::AlreadyExists,
            "the image has something else at this path",
        ));
    }
    rustix::fs::chownat(
        &made,
        "",
        Some(Uid::from_raw(node.owner.0)),
        Some(Gid::from_raw(node.owner.1)),
        AtFlags::EMPTY_PATH,
    )
    .map_err(Into::into)
}

fn links(dev: BorrowedFd<'_>) -> Result<()> {
    for (name, target) in LINKS {
        let about = || format!("make the link /dev/{name}");
        let link = || rustix::fs::symlinkat(target, dev, name);
        match link() {
            // The image's is as good, except where it decides which terminals are opened.
            Err(Errno::EXIST) if name == "ptmx" => {
                rustix::fs::unlinkat(dev, name, AtFlags::empty()).context(about)?;
                link().context(about)?;
            }
            Err(Errno::EXIST) => {}
            done => done.context(about)?,
        }
    }
    Ok(())
}
