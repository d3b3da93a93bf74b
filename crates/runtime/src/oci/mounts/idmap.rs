//! User namespaces for id-mapped mounts.

use std::fmt::Write as _;
use std::os::fd::OwnedFd;

use oci_spec::runtime::{LinuxIdMapping, LinuxNamespaceType, Mount, Spec};

use super::options::Options;
use crate::oci::error::{Context as _, Error, Result};

/// The namespace whose mappings the mount gets; `None` if it is not to be mapped.
pub(super) fn user_namespace(
    spec: &Spec,
    mount: &Mount,
    options: &Options,
    field: &str,
) -> Result<Option<OwnedFd>> {
    let about = || format!("make the user namespace for {field}.uidMappings");
    let given = |m: &Option<Vec<LinuxIdMapping>>| m.clone().filter(|m| !m.is_empty());
    match (given(mount.uid_mappings()), given(mount.gid_mappings())) {
        (Some(uids), Some(gids)) => {
            return sys::mount::user_namespace(&lines(&uids), &lines(&gids))
                .map(Some)
                .context(about);
        }
        (None, None) => {}
        (None, _) => return Err(Error::config(field, "gidMappings without uidMappings")),
        (_, None) => return Err(Error::config(field, "uidMappings without gidMappings")),
    }
    if !options.idmap {
        return Ok(None);
    }
    // The container's own.
    let linux = spec.linux().as_ref();
    let namespace = linux
        .and_then(|l| l.namespaces().as_ref())
        .and_then(|n| n.iter().find(|n| n.typ() == LinuxNamespaceType::User));
    let Some(namespace) = namespace else {
        return Err(Error::config(
            format!("{field}.options"),
            "\"idmap\" needs uidMappings and gidMappings, or a container with a user namespace",
        ));
    };
    if let Some(path) = namespace.path() {
        return std::fs::File::open(path)
            .map(|f| Some(f.into()))
            .context(|| format!("open the user namespace {}", path.display()));
    }
    let of = |m: Option<&Option<Vec<LinuxIdMapping>>>| {
        lines(m.and_then(Option::as_deref).unwrap_or_default())
    };
    sys::mount::user_namespace(
        &of(linux.map(|l| l.uid_mappings())),
        &of(linux.map(|l| l.gid_mappings())),
    )
    .map(Some)
    .context(about)
}

fn lines(mappings: &[LinuxIdMapping]) -> String {
    let mut text = String::new();
    for m in mappings {
        let _ = writeln!(text, "{} {} {}", m.container_id(), m.host_id(), m.size());
    }
    text
}
