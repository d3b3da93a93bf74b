//! From the configuration to a plan: judged, and with the sources open.

use std::io;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};
use rustix::io::Errno;

use super::cgroup;
use super::devices::Devices;
use super::options::{MS_PRIVATE, MS_SLAVE, Options, Propagation};
use super::resolve::{Kind, clean};
use super::tree::{Kernel, Tree, Wish};
use super::{Context, Inside, Item, Plan, Root, Source, idmap};
use crate::oci::error::{Context as _, Error, Result};

const RDONLY: u64 = 1;

pub(super) fn prepare(spec: &Spec, bundle: &Path, context: Context) -> Result<Plan> {
    let linux = spec.linux().as_ref();
    let namespaces = linux.and_then(|l| l.namespaces().as_deref()).unwrap_or(&[]);
    let has = |typ| namespaces.iter().find(|n| n.typ() == typ);
    match has(LinuxNamespaceType::Mount) {
        Some(n) if n.path().is_none() => {}
        Some(_) => {
            return Err(Error::Unsupported(
                "linux.namespaces: joining a mount namespace by path is not supported".to_owned(),
            ));
        }
        None => {
            return Err(Error::Unsupported(
                "linux.namespaces: a container without a mount namespace of its own is not supported"
                    .to_owned(),
            ));
        }
    }
    let kernel = Kernel {
        setattr: !context.old_kernel,
    };
    let propagation = match linux.and_then(|l| l.rootfs_propagation().as_deref()) {
        None | Some("") => None,
        Some(text) => Some(Propagation::parse(text).ok_or_else(|| {
            Error::config(
                "linux.rootfsPropagation",
                format!(
                    "{text:?} is none of shared, slave, private, unbindable and their r… forms"
                ),
            )
        })?),
    };
    let label = label(linux.and_then(|l| l.mount_label().as_deref()))?;
    let mut items = Vec::new();
    for (index, mount) in spec.mounts().iter().flatten().enumerate() {
        let own_cgroups = has(LinuxNamespaceType::Cgroup).is_some();
        let field = format!("mounts[{index}]");
        items.push(item(spec, mount, field, bundle, &context, own_cgroups)?);
    }
    // Whoever binds a /dev brings its devices along.
    let own_dev = items
        .iter()
        .any(|i| i.destination == Path::new("dev") && matches!(i.source, Source::Bind { .. }));
    let devices = if own_dev {
        None
    } else {
        let wanted = linux.and_then(|l| l.devices().as_deref()).unwrap_or(&[]);
        Some(Devices::new(wanted, context.user_namespace)?)
    };
    let paths = |member: &str, paths: Option<&Option<Vec<String>>>| -> Result<Vec<PathBuf>> {
        let paths = paths.and_then(Option::as_deref).unwrap_or_default();
        let mut all = Vec::with_capacity(paths.len());
        for (index, path) in paths.iter().enumerate() {
            let field = || format!("linux.{member}[{index}]");
            if !path.starts_with('/') {
                return Err(Error::config(field(), format!("{path:?} is not absolute")));
            }
            let path = clean(Path::new(path));
            if path.as_os_str().is_empty() {
                return Err(Error::config(field(), "cannot be the root"));
            }
            all.push(path);
        }
        Ok(all)
    };
    let root = spec
        .root()
        .as_ref()
        .ok_or_else(|| Error::config("root", "is missing"))?;
    let mut plan = Plan {
        root: Root {
            path: absolute(bundle, root.path())?,
            tree: None,
        },
        items,
        devices,
        masked: paths("maskedPaths", linux.map(|l| l.masked_paths()))?,
        readonly: paths("readonlyPaths", linux.map(|l| l.readonly_paths()))?,
        readonly_root: root.readonly().unwrap_or(false),
        propagation,
        label,
        null: None,
        no_pivot: context.no_pivot,
        kernel,
        inside: Inside::default(),
    };
    if !context.ordinary_user {
        plan.open_early()?;
    }
    Ok(plan)
}

fn label(label: Option<&str>) -> Result<Option<String>> {
    let Some(label) = label.filter(|l| !l.is_empty()) else {
        return Ok(None);
    };
    if !Path::new("/sys/fs/selinux/enforce").exists() {
        return Err(Error::Unsupported(format!(
            "linux.mountLabel: {label:?}: SELinux is not enabled on this host"
        )));
    }
    Ok(Some(label.to_owned()))
}

/// As paths inside look the same later, whatever the working directory is then.
fn absolute(bundle: &Path, path: &Path) -> Result<PathBuf> {
    let path = bundle.join(path);
    std::path::absolute(&path).context(|| format!("find {}", path.display()))
}

fn item(
    spec: &Spec,
    mount: &Mount,
    field: String,
    bundle: &Path,
    context: &Context,
    own_cgroups: bool,
) -> Result<Item> {
    let mut options = Options::parse(mount.options().as_deref().unwrap_or_default());
    let destination = clean(mount.destination());
    if destination.as_os_str().is_empty() {
        return Err(Error::config(
            format!("{field}.destination"),
            "the root itself cannot be mounted over",
        ));
    }
    let given = mount.source().as_deref();
    let fs = mount.typ().as_deref().unwrap_or_default();
    let bind = options.bind || matches!(fs, "bind" | "rbind");
    let source = if bind {
        options.recursive |= fs == "rbind";
        let Some(given) = given.filter(|s| !s.as_os_str().is_empty()) else {
            return Err(Error::config(
                format!("{field}.source"),
                "a bind mount needs one",
            ));
        };
        let userns = idmap::user_namespace(spec, mount, &options, &field)?;
        Source::Bind {
            path: absolute(bundle, given)?,
            tree: None,
            userns,
        }
    } else {
        if options.idmap || mount.uid_mappings().as_ref().is_some_and(|m| !m.is_empty()) {
            return Err(Error::config(
                field,
                "only bind mounts can be id-mapped: give the option \"bind\" or \"rbind\"",
            ));
        }
        match fs {
            "" => return Err(Error::config(format!("{field}.type"), "is missing")),
            "cgroup" => cgroup::source(&context.cgroups, own_cgroups)?,
            "cgroup2" if matches!(context.cgroups, cgroup::Cgroups::V2 { .. }) => {
                cgroup::source(&context.cgroups, own_cgroups)?
            }
            fs => Source::Fresh {
                fs: fs.to_owned(),
                source: given.and_then(Path::to_str).map(str::to_owned),
            },
        }
    };
    match source {
        Source::Fresh { ref fs, .. } if options.tmpcopyup && fs != "tmpfs" => {
            return Err(Error::config(
                format!("{field}.options"),
                "\"tmpcopyup\" is for tmpfs only",
            ));
        }
        Source::Fresh { .. } => {}
        Source::Bind { .. } | Source::CgroupV1(_) => options.check_bind(&field)?,
    }
    Ok(Item {
        field,
        shown: mount.destination().display().to_string(),
        destination,
        source,
        options,
    })
}

/// What was tried, as runc says it.
pub(super) fn about(item: &Item, source: &str) -> String {
    format!(
        "error mounting {source:?} to rootfs at {:?} ({})",
        item.shown, item.field
    )
}

/// The root file system, detached, and so that what is mounted in it stays in it.
fn root_tree(
    copy: io::Result<Tree>,
    path: &Path,
    propagation: Option<Propagation>,
    kernel: Kernel,
) -> Result<Tree> {
    let about = || format!("open the root file system {}", path.display());
    let mut tree = copy.context(about)?;
    if tree.kind().context(about)? != Kind::Directory {
        return Err(io::Error::from(Errno::NOTDIR)).context(about);
    }
    // A mount below that the host changes later may be seen; what happens inside never goes out.
    let kind = match propagation {
        Some(p) if p.kind == MS_SLAVE => MS_SLAVE,
        _ => MS_PRIVATE,
    };
    let wish = Wish {
        propagation: Some(Propagation {
            kind,
            recursive: true,
        }),
        ..Wish::default()
    };
    tree.wish(wish, kernel).context(about)?;
    Ok(tree)
}

impl Plan {
    /// Outside: everything, unless an ordinary user may open nothing before the user namespace.
    fn open_early(&mut self) -> Result<()> {
        match Tree::copy(&self.root.path, true) {
            Err(e) if Errno::from_io_error(&e) == Some(Errno::PERM) => Ok(()),
            copy => {
                self.root.tree = Some(root_tree(
                    copy,
                    &self.root.path,
                    self.propagation,
                    self.kernel,
                )?);
                self.open()
            }
        }
    }

    /// Opens what is not open yet.
    fn open(&mut self) -> Result<()> {
        for item in &mut self.items {
            open(item, self.kernel)?;
        }
        Ok(())
    }

    /// Inside: what the parent was not allowed to open, and what only here is of use.
    pub(super) fn open_late(&mut self) -> Result<()> {
        if self.root.tree.is_none() {
            let path = &self.root.path;
            let copy = Tree::copy(path, true);
            self.root.tree = Some(root_tree(copy, path, self.propagation, self.kernel)?);
        }
        self.open()?;
        if !self.masked.is_empty() {
            self.null = Some(super::mask::null()?);
        }
        Ok(())
    }
}

fn open(item: &mut Item, kernel: Kernel) -> Result<()> {
    let recursive = item.options.recursive;
    let what = |path: &Path| {
        format!(
            "error mounting {:?} to rootfs at {:?} ({}): open the source",
            path.display().to_string(),
            item.shown,
            item.field
        )
    };
    match &mut item.source {
        Source::Bind { path, tree, userns } if tree.is_none() => {
            let mut opened = Tree::copy(path, recursive).context(|| what(path))?;
            let mut attrs = item.options.attrs;
            // What the host has as read-only stays so: that `rw` is asked for is the default.
            attrs.clear &= !RDONLY;
            let wish = Wish {
                attrs,
                rec_attrs: item.options.rec_attrs,
                propagation: Some(item.options.propagation.unwrap_or(Propagation::PRIVATE)),
                userns: userns.take().map(|fd| (fd, item.options.ridmap)),
            };
            opened.wish(wish, kernel).context(|| what(path))?;
            *tree = Some(opened);
        }
        Source::CgroupV1(parts) => {
            for part in parts.iter_mut().filter(|p| p.tree.is_none()) {
                part.tree = Some(Tree::copy(&part.path, false).context(|| what(&part.path))?);
            }
        }
        Source::Bind { .. } | Source::Fresh { .. } => {}
    }
    Ok(())
}
