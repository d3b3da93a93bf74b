//! What the container sees at `/sys/fs/cgroup`.
//!
//! Always the directory of its own cgroup, bound from the host's mount: that is what a mount made
//! inside a cgroup namespace would show, and it depends neither on when the process joined nor on
//! who owns the namespaces.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use rustix::fs::Mode;
use sys::mount::Change;

use super::fresh;
use super::options::{Attrs, MS_PRIVATE, Options, Propagation};
use super::resolve::{Kind, find_or_make};
use super::tree::{Tree, Wish};
use super::{Item, Plan, Source, prepare};
use crate::oci::error::{Context as _, Error, Result};

/// The container's cgroups on the host.
#[derive(Debug, Default, Clone)]
pub enum Cgroups {
    /// Those in which the caller is.
    #[default]
    Own,
    /// One directory for each hierarchy.
    V1(Vec<Hierarchy>),
    /// The only hierarchy.
    V2 {
        /// Where it is mounted: what a container without a cgroup namespace sees.
        mount: PathBuf,
        /// The container's own directory.
        own: PathBuf,
    },
}

/// A hierarchy of cgroup v1.
#[derive(Debug, Clone)]
pub struct Hierarchy {
    /// The name of its mount point: `memory`, `cpu,cpuacct`, `systemd`.
    pub name: String,
    /// The container's directory in it.
    pub directory: PathBuf,
}

/// A hierarchy, opened.
#[derive(Debug)]
pub(super) struct Part {
    name: String,
    pub(super) path: PathBuf,
    pub(super) tree: Option<Tree>,
}

/// What a mount of type `cgroup` stands for on this host.
pub(super) fn source(cgroups: &Cgroups, own_namespace: bool) -> Result<Source> {
    match cgroups {
        Cgroups::Own => {
            let found = discover()?;
            if matches!(found, Cgroups::Own) {
                return Err(Error::Unsupported(
                    "a mount of type \"cgroup\": no cgroups are mounted on this host".to_owned(),
                ));
            }
            source(&found, own_namespace)
        }
        Cgroups::V1(hierarchies) => {
            let mut parts = Vec::with_capacity(hierarchies.len());
            for hierarchy in hierarchies {
                if hierarchy.name.is_empty() || hierarchy.name.contains('/') {
                    return Err(Error::State(format!(
                        "{:?} cannot be the name of a cgroup hierarchy",
                        hierarchy.name
                    )));
                }
                parts.push(Part {
                    name: hierarchy.name.clone(),
                    path: hierarchy.directory.clone(),
                    tree: None,
                });
            }
            Ok(Source::CgroupV1(parts))
        }
        Cgroups::V2 { mount, own } => Ok(Source::Bind {
            path: if own_namespace { own } else { mount }.clone(),
            tree: None,
            userns: None,
        }),
    }
}

/// The cgroups of this process.
fn discover() -> Result<Cgroups> {
    let read = |path: &str| std::fs::read_to_string(path).context(|| format!("read {path}"));
    let memberships = read("/proc/self/cgroup")?;
    let mounts = read("/proc/self/mountinfo")?;
    Ok(parse(&memberships, &mounts))
}

fn parse(memberships: &str, mounts: &str) -> Cgroups {
    let mut hierarchies: Vec<Hierarchy> = Vec::new();
    let mut unified = None;
    for line in mounts.lines() {
        let Some((left, right)) = line.split_once(" - ") else {
            continue;
        };
        let mut left = left.split(' ').skip(3);
        let (Some(root), Some(point)) = (left.next(), left.next()) else {
            continue;
        };
        let mut right = right.split(' ');
        let (fs, options) = (right.next().unwrap_or(""), right.nth(1).unwrap_or(""));
        let options: Vec<&str> = options.split(',').collect();
        let member = memberships.lines().find_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            let (controllers, path) = (fields.next()?, fields.next()?);
            let here = match fs {
                "cgroup2" => controllers.is_empty(),
                "cgroup" => {
                    !controllers.is_empty() && controllers.split(',').all(|c| options.contains(&c))
                }
                _ => false,
            };
            here.then_some(path)
        });
        let Some(path) = member else { continue };
        let point = Path::new(point);
        let below = Path::new(path)
            .strip_prefix(root)
            .or_else(|_| Path::new(path).strip_prefix("/"))
            .unwrap_or(Path::new(""));
        let directory = point.join(below);
        if fs == "cgroup2" {
            unified.get_or_insert((point.to_owned(), directory));
        } else if let Some(name) = point.file_name().and_then(|n| n.to_str())
            && !hierarchies.iter().any(|h| h.name == name)
        {
            hierarchies.push(Hierarchy {
                name: name.to_owned(),
                directory,
            });
        }
    }
    match unified {
        _ if !hierarchies.is_empty() => Cgroups::V1(hierarchies),
        Some((mount, own)) => Cgroups::V2 { mount, own },
        None => Cgroups::Own,
    }
}

impl Plan {
    /// A tmpfs with a directory for each hierarchy, and links for the controllers of those that
    /// have several.
    pub(super) fn mount_cgroup_v1(&mut self, item: &Item, parts: Vec<Part>) -> Result<()> {
        let about = || prepare::about(item, "cgroup");
        let target =
            find_or_make(self.root()?, &item.destination, Kind::Directory).context(about)?;
        self.check_target(item, target.as_fd(), None)?;
        let mut tmpfs = fresh::mount(&fresh::Wanted {
            fs: "tmpfs",
            source: Some("cgroup"),
            options: &Options::default(),
            attrs: item.options.attrs.without_readonly(),
            context: self.label.as_deref(),
            mode: Some(0o755),
        })
        .context(about)?;
        tmpfs
            .attach(target.as_fd(), &self.inside.old)
            .context(about)?;
        for part in parts {
            let Part { name, path, tree } = part;
            let what = || format!("mount the cgroup {}", path.display());
            let Some(mut tree) = tree else {
                return Err(Error::State(format!("{} is not open", path.display())));
            };
            if !self.kernel.setattr {
                let wish = Wish {
                    attrs: item.options.attrs,
                    propagation: Some(Propagation::PRIVATE),
                    ..Wish::default()
                };
                tree.wish(wish, self.kernel).context(what)?;
            }
            rustix::fs::mkdirat(tmpfs.fd(), name.as_str(), Mode::from_raw_mode(0o755))
                .context(what)?;
            tree.attach_at(tmpfs.fd(), &name, &self.inside.old)
                .context(what)?;
            self.inside.parked.park([tree.into_fd()]);
            for controller in name.split(',').filter(|c| *c != name) {
                rustix::fs::symlinkat(name.as_str(), tmpfs.fd(), controller).context(what)?;
            }
        }
        let attrs: Attrs = item.options.attrs;
        if self.kernel.setattr {
            let change = Change {
                set: attrs.set,
                clear: attrs.clear & !attrs.set & super::options::ATIME,
                propagation: MS_PRIVATE,
                recursive: true,
                ..Change::default()
            };
            sys::mount::setattr(tmpfs.fd(), change).context(about)?;
        } else if attrs.readonly() {
            self.inside.old.remount(tmpfs.fd(), attrs).context(about)?;
        }
        self.inside.parked.park(tmpfs.take_spare());
        self.inside.parked.park([target, tmpfs.into_fd()]);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hierarchies_of_a_hybrid_host() {
        let memberships = "11:memory:/a/b\n4:cpu,cpuacct:/a\n1:name=systemd:/s\n0::/u\n";
        let mounts = "\
31 23 0:28 / /sys/fs/cgroup rw - tmpfs tmpfs rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 /a /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw
";
        let Cgroups::V1(found) = parse(memberships, mounts) else {
            panic!("v1");
        };
        let found: Vec<_> = found
            .iter()
            .map(|h| (h.name.as_str(), h.directory.to_str().unwrap()))
            .collect();
        assert_eq!(
            found,
            [
                ("cpu,cpuacct", "/sys/fs/cgroup/cpu,cpuacct/a"),
                ("memory", "/sys/fs/cgroup/memory/b"),
                ("systemd", "/sys/fs/cgroup/systemd/s"),
            ]
        );
    }

    #[test]
    fn the_only_hierarchy() {
        let mounts = "30 23 0:26 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw,nsdelegate\n";
        let Cgroups::V2 { mount, own } = parse("0::/x.slice/y\n", mounts) else {
            panic!("v2");
        };
        assert_eq!(mount, Path::new("/sys/fs/cgroup"));
        assert_eq!(own, Path::new("/sys/fs/cgroup/x.slice/y"));
    }
}
