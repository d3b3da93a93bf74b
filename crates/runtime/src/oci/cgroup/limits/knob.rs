//! A limit's file: written, and read back, since some writes are taken and not kept.

use std::{
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Access, AtFlags, CWD, Mode, OFlags, accessat, openat},
    io::Errno,
};

use super::super::super::error::{Context, Error, Result};

/// The controllers of one cgroup.
#[derive(Debug)]
pub(in super::super) struct Controllers<'a> {
    cgroup: &'a sys::cgroup::Cgroup,
    /// Those of version 2 that the cgroup has.
    unified: String,
}

/// One controller's directory of one cgroup.
#[derive(Debug)]
pub(in super::super) struct Controller {
    /// Version 2?
    pub(in super::super) v2: bool,
    path: PathBuf,
    dir: OwnedFd,
}

impl<'a> Controllers<'a> {
    pub(in super::super) fn of(cgroup: &'a sys::cgroup::Cgroup) -> Self {
        let unified = cgroup
            .dirs()
            .iter()
            .find(|(h, _)| h.controllers.is_none())
            .and_then(|(_, dir)| std::fs::read_to_string(dir.join("cgroup.controllers")).ok())
            .unwrap_or_default();
        Self { cgroup, unified }
    }

    /// Where a controller is, if it is anywhere: its name on version 1, and on version 2.
    pub(in super::super) fn find(&self, v1: &str, v2: &str) -> Option<(bool, &'a Path)> {
        let dirs = self.cgroup.dirs();
        if let Some((_, dir)) = dirs.iter().find(|(h, _)| h.has(v1)) {
            return Some((false, dir));
        }
        let (_, dir) = dirs.iter().find(|(h, _)| h.controllers.is_none())?;
        let has = v2.is_empty() || self.unified.split_whitespace().any(|c| c == v2);
        has.then_some((true, dir))
    }

    /// The controller that `limit` needs.
    pub(in super::super) fn need(&self, v1: &str, v2: &str, limit: &str) -> Result<Controller> {
        let Some((is_v2, dir)) = self.find(v1, v2) else {
            let name = if v1 == v2 || v2.is_empty() {
                v1.to_owned()
            } else {
                format!("{v1} (version 2: {v2})")
            };
            return Err(Error::Unsupported(format!(
                "{limit}: the cgroup controller {name} is missing on this host, or not handed on \
                 to the container's cgroup"
            )));
        };
        Controller::open(dir, is_v2)
    }

    /// Version 2's directory, whatever controllers it has.
    pub(in super::super) fn unified(&self, limit: &str) -> Result<Controller> {
        let found = self.cgroup.dirs().iter();
        match found.clone().find(|(h, _)| h.controllers.is_none()) {
            Some((_, dir)) => Controller::open(dir, true),
            None => Err(Error::Unsupported(format!(
                "{limit}: no cgroup of version 2 is mounted on this host"
            ))),
        }
    }
}

impl Controller {
    pub(in super::super) fn open(path: &Path, v2: bool) -> Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let dir = openat(CWD, path, flags, Mode::empty())
            .context(|| format!("open cgroup {}", path.display()))?;
        Ok(Self {
            v2,
            path: path.to_owned(),
            dir,
        })
    }

    pub(in super::super) fn has(&self, file: &str) -> bool {
        accessat(&self.dir, file, Access::EXISTS, AtFlags::empty()).is_ok()
    }

    fn file(&self, file: &str) -> String {
        self.path.join(file).display().to_string()
    }

    pub(in super::super) fn read(&self, file: &str) -> Result<String> {
        openat(
            &self.dir,
            file,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|fd| read_all(&fd))
        .context(|| format!("read {}", self.file(file)))
    }

    /// The first number in a file.
    pub(in super::super) fn number(&self, file: &str) -> Result<u64> {
        let text = self.read(file)?;
        Ok(number(&text).unwrap_or(u64::MAX))
    }

    /// Writes without looking whether it was kept.
    pub(in super::super) fn write(&self, limit: &str, file: &str, value: &str) -> Result<()> {
        openat(
            &self.dir,
            file,
            OFlags::WRONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .and_then(|fd| rustix::io::write(&fd, value.as_bytes()))
        .map_err(|e| self.refused(limit, file, value, e))?;
        Ok(())
    }

    fn refused(&self, limit: &str, file: &str, value: &str, e: Errno) -> Error {
        if e == Errno::NOENT {
            return Error::Unsupported(format!(
                "{limit}: this host's kernel has no {}",
                self.file(file)
            ));
        }
        Error::System {
            what: format!("{limit}: write {value:?} to {}", self.file(file)),
            source: io::Error::from(e),
        }
    }

    /// Writes a limit and reads it back; `kept` judges what is found.
    pub(in super::super) fn set(
        &self,
        limit: &str,
        file: &str,
        value: &str,
        kept: impl Fn(&str) -> bool,
    ) -> Result<()> {
        let fd = openat(
            &self.dir,
            file,
            OFlags::RDWR | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(|e| self.refused(limit, file, value, e))?;
        rustix::io::write(&fd, value.as_bytes())
            .map_err(|e| self.refused(limit, file, value, e))?;
        let found = read_all(&fd).context(|| format!("read {}", self.file(file)))?;
        if kept(found.trim()) {
            return Ok(());
        }
        Err(Error::Unsupported(format!(
            "{limit}: wanted {value:?}, but {} has {:?} after it was written",
            self.file(file),
            found.trim()
        )))
    }

    /// A limit that reads as it was written.
    pub(in super::super) fn exact(&self, limit: &str, file: &str, value: &str) -> Result<()> {
        self.set(limit, file, value, |found| found == value)
    }

    /// A number of bytes that the kernel may round to whole pages of `page`; negative is no limit.
    pub(in super::super) fn bytes(
        &self,
        limit: &str,
        file: &str,
        value: i64,
        page: u64,
    ) -> Result<()> {
        let text = match (value, self.v2) {
            (v, true) if v < 0 => "max".to_owned(),
            (v, _) => v.max(-1).to_string(),
        };
        self.set(limit, file, &text, |found| bytes_kept(value, found, page))
    }

    /// A table with a line for each device: `8:0 1048576`. `value` empty: the line is gone.
    pub(in super::super) fn line(
        &self,
        limit: &str,
        file: &str,
        key: &str,
        written: &str,
        value: &str,
    ) -> Result<()> {
        self.set(limit, file, &format!("{key} {written}"), |found| {
            line_kept(found, key, value)
        })
    }
}

/// From the beginning to the end, in one call for nearly every file there is.
pub(in super::super) fn read_all(fd: &OwnedFd) -> Result<String, Errno> {
    let mut all = vec![0u8; 4096];
    let mut len = 0;
    loop {
        if len == all.len() {
            all.resize(len * 2, 0);
        }
        match rustix::io::pread(fd, &mut all[len..], len as u64) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(Errno::INTR) => {}
            Err(e) => return Err(e),
        }
    }
    all.truncate(len);
    Ok(String::from_utf8_lossy(&all).into_owned())
}

/// The number at the beginning of a text.
pub(in super::super) fn number(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

pub(super) fn bytes_kept(wanted: i64, found: &str, page: u64) -> bool {
    let Ok(wanted) = u64::try_from(wanted) else {
        // No limit is a word on version 2, and the greatest number of pages on version 1.
        return found == "max" || number(found).is_some_and(|n| n >= i64::MAX as u64 - page);
    };
    match number(found) {
        Some(n) => n.abs_diff(wanted) < page.max(1),
        // More than any machine can have is no limit either.
        None => found == "max" && wanted >= i64::MAX as u64 - page,
    }
}

fn line_kept(found: &str, key: &str, value: &str) -> bool {
    let line = found.lines().find_map(|line| {
        let rest = line.strip_prefix(key)?;
        rest.strip_prefix(' ').map(str::trim)
    });
    match line {
        None => value.is_empty(),
        Some(line) => {
            !value.is_empty()
                && value
                    .split_whitespace()
                    .all(|part| line.split_whitespace().any(|l| l == part))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_may_be_rounded_to_a_page_and_no_further() {
        assert!(bytes_kept(8192, "8192", 4096));
        assert!(bytes_kept(8193, "8192", 4096));
        assert!(!bytes_kept(8192, "4096", 4096));
        assert!(!bytes_kept(8192, "max", 4096));
        assert!(bytes_kept(-1, "max", 4096));
        assert!(bytes_kept(-1, "9223372036854771712", 4096));
        assert!(!bytes_kept(-1, "8192", 4096));
        assert!(bytes_kept(i64::MAX, "max", 4096));
        assert!(bytes_kept(0, "0", 4096));
    }

    #[test]
    fn lines_are_found_by_their_device() {
        let table = "8:0 rbps=1 wbps=max\n8:16 100";
        assert!(line_kept(table, "8:16", "100"));
        assert!(!line_kept(table, "8:1", "100"));
        assert!(line_kept(table, "8:1", ""));
        assert!(!line_kept(table, "8:16", ""));
        assert!(line_kept(table, "8:0", "wbps=max"));
        assert!(!line_kept(table, "8:0", "rbps=12"));
    }
}
