//! docker's contexts: named places where a daemon is, kept beside `config.json` in docker's own
//! layout, so that both command lines use the same ones.
//!
//! A context is `contexts/meta/<id>/meta.json` and, where it has any, certificates below
//! `contexts/tls/<id>/docker`; the id is the name's SHA-256.

mod archive;
mod choose;
mod material;

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    os::unix::fs::DirBuilderExt,
    path::{Path, PathBuf},
};

pub(crate) use choose::{Choice, choose, endpoint};
pub(crate) use material::Material;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::{
    config::replace,
    error::{Error, Result, errno_text},
    format::{quote, template},
};

/// The context that is no file: `-H`, `DOCKER_HOST`, or the usual socket.
pub(crate) const DEFAULT: &str = "default";
/// The kind of endpoint that docker's own are.
const DOCKER: &str = "docker";

/// What `meta.json` says. Go writes maps in the order of their keys.
#[derive(Debug, Clone, Default, Serialize, Deserialize, PartialEq)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Meta {
    /// The context's name.
    pub(crate) name: String,
    /// Its description, and what others keep there.
    pub(crate) metadata: BTreeMap<String, Value>,
    /// Where it leads, by kind.
    pub(crate) endpoints: BTreeMap<String, Value>,
}

impl Meta {
    /// A context called `name` that says nothing yet.
    pub(crate) fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            ..Self::default()
        }
    }

    /// The description.
    pub(crate) fn description(&self) -> &str {
        let text = self.metadata.get("Description").and_then(Value::as_str);
        text.unwrap_or_default()
    }

    /// Sets the description; an empty one is none.
    pub(crate) fn describe(&mut self, text: &str) {
        if text.is_empty() {
            self.metadata.remove("Description");
        } else {
            let name = "Description".to_owned();
            self.metadata.insert(name, Value::from(text));
        }
    }

    /// The daemon's address; empty for the usual one.
    pub(crate) fn host(&self) -> &str {
        let docker = self.endpoints.get(DOCKER).and_then(|e| e.get("Host"));
        docker.and_then(Value::as_str).unwrap_or_default()
    }

    /// Whether the daemon's certificate is taken as it is.
    pub(crate) fn skips_verification(&self) -> bool {
        let docker = self.endpoints.get(DOCKER);
        docker.and_then(|e| e.get("SkipTLSVerify")) == Some(&Value::Bool(true))
    }

    /// Sets the daemon's address.
    pub(crate) fn lead_to(&mut self, host: &str, skip_verification: bool) {
        let mut endpoint = serde_json::Map::new();
        if !host.is_empty() {
            endpoint.insert("Host".to_owned(), Value::from(host));
        }
        let skip = Value::Bool(skip_verification);
        endpoint.insert("SkipTLSVerify".to_owned(), skip);
        self.endpoints
            .insert(DOCKER.to_owned(), Value::Object(endpoint));
    }

    fn text(&self) -> Result<String> {
        let json = serde_json::to_string(self).map_err(|e| Error::msg(e.to_string()))?;
        Ok(template::escape(&json))
    }
}

/// Why `name` cannot be a context's, if so.
pub(crate) fn refusal(name: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || b"_.+-".contains(&b);
    let well_formed =
        name.len() > 1 && name.as_bytes()[0].is_ascii_alphanumeric() && name.bytes().all(allowed);
    if name.is_empty() {
        Some("context name cannot be empty".to_owned())
    } else if name == DEFAULT {
        Some("\"default\" is a reserved context name".to_owned())
    } else if !well_formed {
        Some(format!(
            "context name {} is invalid, names are validated against regexp \"^[a-zA-Z0-9][a-zA-Z0-9_.+-]+$\"",
            quote(name)
        ))
    } else {
        None
    }
}

/// The contexts of one configuration.
pub(crate) struct Store {
    root: PathBuf,
}

impl Store {
    /// The contexts beside the configuration in `directory`.
    pub(crate) fn new(directory: &Path) -> Self {
        Self {
            root: directory.join("contexts"),
        }
    }

    /// Where the context `name` keeps what it says.
    pub(crate) fn meta_path(&self, name: &str) -> PathBuf {
        self.root.join("meta").join(id(name))
    }

    /// Where it keeps its certificates.
    pub(crate) fn tls_path(&self, name: &str) -> PathBuf {
        self.root.join("tls").join(id(name))
    }

    /// Whether there is a context `name`.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.meta_path(name).join("meta.json").exists()
    }

    /// What the context `name` says.
    pub(crate) fn get(&self, name: &str) -> Result<Meta> {
        let path = self.meta_path(name).join("meta.json");
        let bytes = fs::read(&path).map_err(|e| {
            let what = match e.kind() {
                std::io::ErrorKind::NotFound => "context not found: ",
                _ => "",
            };
            Error::msg(format!(
                "context {}: {what}open {}: {}",
                quote(name),
                path.display(),
                errno_text(&e)
            ))
        })?;
        serde_json::from_slice(&bytes)
            .map_err(|e| Error::msg(format!("parsing {}: {e}", path.display())))
    }

    /// All contexts.
    pub(crate) fn list(&self) -> Result<Vec<Meta>> {
        let root = self.root.join("meta");
        let entries = match fs::read_dir(&root) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::file("open", &root.display().to_string(), &e)),
        };
        let mut all = Vec::new();
        for entry in entries.flatten() {
            let path = entry.path().join("meta.json");
            let Ok(bytes) = fs::read(&path) else { continue };
            let meta = serde_json::from_slice(&bytes)
                .map_err(|e| Error::msg(format!("parsing {}: {e}", path.display())))?;
            all.push(meta);
        }
        Ok(all)
    }

    /// Keeps `meta`, over what was there under its name.
    pub(crate) fn put(&self, meta: &Meta) -> Result {
        let dir = self.meta_path(&meta.name);
        make_dir(&dir, 0o755)?;
        let path = dir.join("meta.json");
        replace(&path, meta.text()?.as_bytes(), 0o644)
            .map_err(|e| Error::file("write", &path.display().to_string(), &e))
    }

    /// Removes the context `name` with its certificates. True when it was there.
    pub(crate) fn remove(&self, name: &str) -> Result<bool> {
        let mut was = false;
        for path in [self.meta_path(name), self.tls_path(name)] {
            match fs::remove_dir_all(&path) {
                Ok(()) => was = true,
                Err(e) if e.kind() == std::io::ErrorKind::NotFound => {}
                Err(e) => return Err(Error::file("remove", &path.display().to_string(), &e)),
            }
        }
        Ok(was)
    }
}

fn make_dir(path: &Path, mode: u32) -> Result {
    fs::DirBuilder::new()
        .recursive(true)
        .mode(mode)
        .create(path)
        .map_err(|e| Error::file("mkdir", &path.display().to_string(), &e))
}

/// The directory's name of the context `name`.
fn id(name: &str) -> String {
    let mut text = String::with_capacity(64);
    for byte in Sha256::digest(name) {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_dockers_to_the_byte() {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::new(dir.path());
        let mut meta = Meta::new("foo");
        meta.describe("a <desc>");
        meta.lead_to("tcp://h:2376", true);
        store.put(&meta).unwrap();
        let path = dir.path().join("contexts/meta/2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae/meta.json");
        assert_eq!(
            fs::read_to_string(path).unwrap(),
            r#"{"Name":"foo","Metadata":{"Description":"a \u003cdesc\u003e"},"Endpoints":{"docker":{"Host":"tcp://h:2376","SkipTLSVerify":true}}}"#
        );
        assert_eq!(store.get("foo").unwrap(), meta);
        assert_eq!(store.list().unwrap(), [meta]);
        assert!(store.remove("foo").unwrap() && !store.remove("foo").unwrap());
        assert!(store.get("foo").is_err() && store.list().unwrap().is_empty());
    }

    #[test]
    fn names_are_dockers() {
        assert!(refusal("ok-1_x.y+z").is_none());
        for bad in ["", "x", "a/b", "-a", "default", "../../x"] {
            assert!(refusal(bad).is_some(), "{bad}");
        }
    }
}
