//! Writing `config.json`.

use std::{
    fs::{DirBuilder, File},
    io::Write,
    os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, fchown},
    path::{Path, PathBuf},
};

use serde::Serialize;
use serde_json::{Map, Value, ser::PrettyFormatter};

use super::ConfigFile;
use crate::error::{Error, Result};

impl ConfigFile {
    /// Changes the file: `change` gets what it says now, and answers whether it changed
    /// anything. What `change` leaves alone stays as it is, in its order. A file that cannot be
    /// read is not written over.
    pub(crate) fn change(&self, change: impl FnOnce(&mut Map<String, Value>) -> bool) -> Result {
        let mut value = self.read().map_err(Error::msg)?;
        if !change(&mut value) {
            return Ok(());
        }
        let mut text = Vec::new();
        let tabs = PrettyFormatter::with_indent(b"\t");
        value
            .serialize(&mut serde_json::Serializer::with_formatter(&mut text, tabs))
            .map_err(|e| Error::msg(e.to_string()))?;
        // A link to the file stays a link.
        let path = std::fs::canonicalize(self.path()).unwrap_or_else(|_| self.path());
        let failed = |op: &str, e: &std::io::Error| Error::file(op, &path.display().to_string(), e);
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(path.parent().unwrap_or(Path::new(".")))
            .map_err(|e| failed("mkdir", &e))?;
        replace(&path, &text, 0o600).map_err(|e| failed("write", &e))
    }
}

/// Puts `text` in the place of the file at `path`, whole or not at all.
pub(crate) fn replace(path: &Path, text: &[u8], mode: u32) -> std::io::Result<()> {
    let temporary = {
        let mut name = path.as_os_str().to_owned();
        name.push(format!(".{}.tmp", std::process::id()));
        PathBuf::from(name)
    };
    let written =
        write(&temporary, path, text, mode).and_then(|()| std::fs::rename(&temporary, path));
    if written.is_err() {
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn write(temporary: &Path, path: &Path, text: &[u8], mode: u32) -> std::io::Result<()> {
    let _ = std::fs::remove_file(temporary);
    let mut file = File::options()
        .write(true)
        .create_new(true)
        .mode(mode)
        .open(temporary)?;
    if let Ok(old) = std::fs::metadata(path) {
        // As root in another user's home: it stays that user's.
        let _ = fchown(&file, Some(old.uid()), Some(old.gid()));
    }
    file.write_all(text)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn what_is_not_ours_stays_in_its_order() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().join("sub");
        let config = ConfigFile::new(at.to_str());
        let set = |name: &'static str| {
            move |map: &mut Map<String, Value>| map.insert(name.to_owned(), 1.into()).is_none()
        };
        config.change(set("a")).unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&at), mode(&config.path())), (0o700, 0o600));
        std::fs::write(config.path(), "{\"zz\": {\"b\": [1.0]}, \"a\": null}").unwrap();
        config.change(set("m")).unwrap();
        assert_eq!(
            std::fs::read_to_string(config.path()).unwrap(),
            "{\n\t\"zz\": {\n\t\t\"b\": [\n\t\t\t1.0\n\t\t]\n\t},\n\t\"a\": null,\n\t\"m\": 1\n}"
        );
        assert_eq!(std::fs::read_dir(&at).unwrap().count(), 1);
    }

    #[test]
    fn a_link_stays_and_a_broken_file_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let config = ConfigFile::new(dir.path().to_str());
        let real = dir.path().join("real.json");
        std::fs::write(&real, "{}").unwrap();
        std::os::unix::fs::symlink(&real, config.path()).unwrap();
        config
            .change(|map| map.insert("a".into(), 1.into()).is_none())
            .unwrap();
        assert!(config.path().is_symlink());
        assert!(std::fs::read_to_string(&real).unwrap().contains("\"a\""));
        std::fs::write(&real, "{bad").unwrap();
        assert!(config.change(|_| true).is_err());
        assert_eq!(std::fs::read_to_string(&real).unwrap(), "{bad");
    }
}
