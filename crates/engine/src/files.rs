//! The small files that a container finds in `/etc`.

use std::{fs, io::Write as _, net::IpAddr, os::unix::fs::OpenOptionsExt, path::Path};

use crate::{
    container::Container,
    error::{Error, Result},
};

/// Writes a file under a temporary name and renames it: readers see the old or the new one.
pub(crate) fn replace(path: &Path, bytes: &[u8], mode: u32) -> Result<()> {
    let new = path.with_extension("new");
    let write = || {
        // A crash may have left one, with whatever mode.
        match fs::remove_file(&new) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut options = fs::OpenOptions::new();
        options
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&new)?
            .write_all(bytes)?;
        fs::rename(&new, path)
    };
    write().map_err(Error::path("write", path))
}

/// Removes a directory with all that is in it; none is no error. A shim that is just ending may
/// still write there.
pub(crate) fn remove_dir(dir: &Path) -> Result<()> {
    let mut attempt = 0;
    loop {
        match fs::remove_dir_all(dir) {
            Err(e) if e.kind() == std::io::ErrorKind::DirectoryNotEmpty && attempt < 500 => {
                attempt += 1;
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::path("remove", dir)(e));
            }
            _ => return Ok(()),
        }
    }
}

/// Makes the lines of a container's own name those of its addresses `now`, where they were those of
/// the addresses `before`.
pub(crate) fn readdress_own(
    container: &Container,
    before: &[IpAddr],
    now: &[IpAddr],
    hostname: &str,
    domain: &str,
) -> Result<()> {
    let path = container.data_dir.join("hosts");
    let text = fs::read_to_string(&path).map_err(Error::path("read", &path))?;
    let names = network::hosts::own_names(hostname, domain);
    let own = |line: &&str| {
        let parts = line.split_once('\t');
        parts.is_some_and(|(ip, n)| n == names && ip.parse().is_ok_and(|ip| before.contains(&ip)))
    };
    let mut new: String = text
        .lines()
        .filter(|line| !own(line))
        .map(|line| format!("{line}\n"))
        .collect();
    for ip in now {
        new.push_str(&format!("{ip}\t{names}\n"));
    }
    // In place: it is mounted into the container.
    fs::write(&path, new).map_err(Error::path("write", &path))
}

/// Writes `hostname`, `hosts` and `resolv.conf` into the container's directory. In place, so
/// that they are the same files for another container that shares its network.
/// `owner` is who is root in the container, where that is not the host's.
pub(crate) fn write(
    container: &Container,
    hostname: &str,
    hosts: &str,
    resolv_conf: &str,
    owner: Option<(u32, u32)>,
) -> Result<()> {
    for (name, text) in [
        ("hostname", format!("{hostname}\n").as_str()),
        ("hosts", hosts),
        ("resolv.conf", resolv_conf),
    ] {
        let path = container.data_dir.join(name);
        fs::write(&path, text).map_err(Error::path("write", &path))?;
        if let Some((uid, gid)) = owner {
            std::os::unix::fs::chown(&path, Some(uid), Some(gid))
                .map_err(Error::path("give away", &path))?;
        }
    }
    Ok(())
}
