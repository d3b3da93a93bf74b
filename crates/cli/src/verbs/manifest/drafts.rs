//! Lists that are not put up yet: a folder each, a file for each manifest, as docker keeps them,
//! so that one command line goes on where the other stopped.

use std::{io, path::PathBuf};

use super::document::Draft;
use crate::{
    config::{self, ConfigFile},
    error::{Error, Result},
    format::names::Reference,
};

/// The folder of all of them.
pub(super) struct Drafts(PathBuf);

/// A name that a file may have.
fn file_name(reference: &Reference) -> String {
    reference.full().replace(':', "-").replace('/', "_")
}

fn failed(op: &str, path: &std::path::Path, error: &io::Error) -> Error {
    Error::file(op, &path.display().to_string(), error)
}

impl Drafts {
    pub(super) fn of(config: &ConfigFile) -> Self {
        Self(config.directory().join("manifests"))
    }

    fn folder(&self, list: &Reference) -> PathBuf {
        self.0.join(file_name(list))
    }

    /// One manifest of a list; none where it is not in it.
    pub(super) fn get(&self, list: &Reference, name: &Reference) -> Result<Option<Draft>> {
        self.read(self.folder(list).join(file_name(name)))
    }

    fn read(&self, path: PathBuf) -> Result<Option<Draft>> {
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("open", &path, &e)),
        };
        let draft: Draft = serde_json::from_slice(&bytes)
            .map_err(|e| Error::msg(format!("manifest {}: {e}", path.display())))?;
        Ok(Some(draft.renewed()))
    }

    /// All manifests of a list, by the names of their files; none where there is no list.
    pub(super) fn list(&self, list: &Reference) -> Result<Option<Vec<Draft>>> {
        let folder = self.folder(list);
        let entries = match std::fs::read_dir(&folder) {
            Ok(entries) => entries,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed("open", &folder, &e)),
        };
        let mut paths = Vec::new();
        for entry in entries {
            paths.push(entry.map_err(|e| failed("open", &folder, &e))?.path());
        }
        // What was being written when somebody was killed.
        paths.retain(|path| path.extension().is_none_or(|e| e != "tmp"));
        paths.sort();
        let mut all = Vec::new();
        for path in paths {
            all.extend(self.read(path)?);
        }
        Ok(Some(all))
    }

    /// Keeps a manifest in a list.
    pub(super) fn save(&self, list: &Reference, name: &Reference, draft: &Draft) -> Result {
        let folder = self.folder(list);
        std::fs::create_dir_all(&folder).map_err(|e| failed("mkdir", &folder, &e))?;
        let bytes = serde_json::to_vec(draft).map_err(|e| Error::msg(e.to_string()))?;
        let path = folder.join(file_name(name));
        config::replace(&path, &bytes, 0o644).map_err(|e| failed("write", &path, &e))
    }

    /// Forgets a list.
    pub(super) fn remove(&self, list: &Reference) -> Result {
        let folder = self.folder(list);
        std::fs::remove_dir_all(&folder).map_err(|e| failed("remove", &folder, &e))
    }
}

#[cfg(test)]
mod tests {
    use super::super::document::Descriptor;
    use super::*;

    #[test]
    fn lists_are_kept_where_docker_keeps_them() {
        let dir = tempfile::tempdir().unwrap();
        let drafts = Drafts::of(&ConfigFile::new(dir.path().to_str()));
        let parse = |text: &str| Reference::parse(text).unwrap();
        let (list, b, a) = (parse("r.lan:5000/m:1"), parse("b"), parse("a/x:y"));
        assert_eq!(drafts.list(&list).unwrap(), None);
        let draft = |name: &str| Draft::new(name.into(), Descriptor::default(), b"{}");
        drafts.save(&list, &b, &draft("b")).unwrap();
        drafts.save(&list, &a, &draft("a")).unwrap();
        let folder = dir.path().join("manifests/r.lan-5000_m-1");
        assert!(folder.join("docker.io_library_b-latest").is_file());
        let kept = drafts.list(&list).unwrap().unwrap();
        let names: Vec<_> = kept.iter().map(|d| d.reference.as_str()).collect();
        assert_eq!(names, ["a", "b"]);
        assert_eq!(drafts.get(&list, &parse("c")).unwrap(), None);
        drafts.remove(&list).unwrap();
        assert!(!folder.exists());
    }
}
