//! Binds whose mounts spread: what is mounted below a shared one appears on the host, and what the
//! host mounts below a slave appears in the container.

use std::{
    fs,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use runtime::protocol::{FdRole, mount_name};

use crate::{
    error::{Error, Result},
    mount_table,
    record::{MountKind, Record},
    subpath,
};

/// Opens the record's shared binds and the parts of volumes: a copy in the host's own peer group,
/// which the shim attaches in its bundle. `sources` then name that place. The shim's mount namespace
/// itself only receives.
pub(crate) fn open(
    record: &Record,
    bundle: &Path,
    sources: &mut [PathBuf],
) -> Result<Vec<(FdRole, OwnedFd)>> {
    let mut opened = Vec::new();
    for (index, (mount, source)) in (0_u32..).zip(record.mounts.iter().zip(sources)) {
        if mount.kind == MountKind::Image {
            continue;
        }
        if !mount.subpath.is_empty() {
            let part = subpath::open(source, &mount.subpath)?;
            opened.push((FdRole::Mount { index }, part));
            *source = bundle.join(mount_name(index));
            continue;
        }
        let shared = matches!(mount.propagation.as_str(), "shared" | "rshared");
        let slave = matches!(mount.propagation.as_str(), "slave" | "rslave");
        if mount.kind != MountKind::Bind || !(shared || slave) {
            continue;
        }
        check(source, shared)?;
        if shared {
            let copy = sys::namespace::clone_mount(source)
                .map_err(Error::path("open the bind's source", source))?;
            opened.push((FdRole::Mount { index }, copy));
            *source = bundle.join(mount_name(index));
        }
    }
    Ok(opened)
}

/// Refuses a source whose mount does not spread, in Docker's words.
fn check(source: &Path, shared: bool) -> Result<()> {
    let real = fs::canonicalize(source).map_err(Error::path("open the bind's source", source))?;
    let table = mount_table::read()?;
    let (place, options) = mount_of(&table, &real).unwrap_or_default();
    let has = |kind: &str| options.iter().any(|o| o.starts_with(kind));
    if has("shared:") || !shared && has("master:") {
        return Ok(());
    }
    let wanted = if shared { "shared" } else { "shared or slave" };
    Err(Error::Invalid(format!(
        "path {} is mounted on {place} but it is not a {wanted} mount",
        source.display()
    )))
}

/// Where the mount is that `path` lies in, and its optional fields.
fn mount_of<'a>(table: &'a str, path: &Path) -> Option<(String, Vec<&'a str>)> {
    let mut best: Option<(String, Vec<&str>)> = None;
    for line in table.lines() {
        let mut fields = line.split(' ').skip(4);
        let Some(place) = fields.next().map(mount_table::unescaped) else {
            continue;
        };
        let place = place.to_string_lossy().into_owned();
        let options = fields.skip(1).take_while(|f| *f != "-").collect();
        // Of two at one place the later one is on top.
        let deeper = best.as_ref().is_none_or(|(b, _)| place.len() >= b.len());
        if deeper && path.starts_with(&place) {
            best = Some((place, options));
        }
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_mount_counts() {
        let table = "1 0 8:1 / / rw shared:1 - ext4 d rw\n\
                     2 1 0:2 / /a\\040b rw master:3 shared:4 - tmpfs t rw\n\
                     3 1 0:3 / /ab rw - tmpfs t rw\n";
        let of = |path: &str| mount_of(table, Path::new(path)).unwrap();
        assert_eq!(of("/a b/c"), ("/a b".into(), vec!["master:3", "shared:4"]));
        assert_eq!(of("/abc"), ("/".into(), vec!["shared:1"]));
        assert_eq!(of("/ab/c"), ("/ab".into(), vec![]));
    }
}
