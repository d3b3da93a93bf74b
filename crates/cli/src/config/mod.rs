//! The user's configuration, docker's `config.json`: credentials, headers, keys and formats.
//!
//! The file is read once, when something of it is needed, and a file that cannot be read is
//! treated as docker does: with a warning, as if it were empty. What wharf does not know in it is
//! left alone, also when the file is written.

mod auths;
mod credentials;
mod helper;
mod proxies;
mod save;

use std::{
    cell::OnceCell,
    path::{Path, PathBuf},
};

pub(crate) use auths::hostname;
pub(crate) use credentials::{Credentials, HUB, server};
pub(crate) use save::replace;
use serde_json::{Map, Value};

use crate::format::output;

/// The configuration in a directory.
pub(crate) struct ConfigFile {
    directory: PathBuf,
    value: OnceCell<Map<String, Value>>,
}

impl ConfigFile {
    /// The configuration in `directory`, or where docker's is.
    pub(crate) fn new(directory: Option<&str>) -> Self {
        let directory = match directory.filter(|d| !d.is_empty()) {
            Some(given) => PathBuf::from(given),
            None => match std::env::var_os("DOCKER_CONFIG").filter(|d| !d.is_empty()) {
                Some(given) => PathBuf::from(given),
                None => PathBuf::from(std::env::var_os("HOME").unwrap_or_default()).join(".docker"),
            },
        };
        Self {
            directory,
            value: OnceCell::new(),
        }
    }

    /// Where the configuration is.
    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// `config.json`'s path.
    pub(crate) fn path(&self) -> PathBuf {
        self.directory.join("config.json")
    }

    fn value(&self) -> &Map<String, Value> {
        self.value.get_or_init(|| {
            self.read().unwrap_or_else(|why| {
                output::complain(&format!("WARNING: {why}"));
                Map::new()
            })
        })
    }

    /// What the file says now; nothing where there is none.
    fn read(&self) -> Result<Map<String, Value>, String> {
        let path = self.path();
        let failed = |what: &str, why: &dyn std::fmt::Display| {
            format!("Error {what} config file ({}): {why}", path.display())
        };
        match std::fs::read(&path) {
            Ok(bytes) if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Map::new()),
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| failed("parsing", &e)),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(Map::new()),
            Err(e) => Err(failed(
                "loading",
                &format!("open {}: {}", path.display(), crate::error::errno_text(&e)),
            )),
        }
    }

    /// The text called `name`, empty when it is not set.
    pub(crate) fn text(&self, name: &str) -> String {
        let value = self.value().get(name).and_then(Value::as_str);
        value.unwrap_or_default().to_owned()
    }

    /// The texts in the object called `name`, in the file's order.
    pub(crate) fn texts(&self, name: &str) -> impl Iterator<Item = (&str, &str)> {
        let members = self.value().get(name).and_then(Value::as_object);
        members
            .into_iter()
            .flatten()
            .filter_map(|(name, value)| Some((name.as_str(), value.as_str()?)))
    }

    /// Headers that go with each request, by file and by `DOCKER_CUSTOM_HEADERS`.
    pub(crate) fn headers(&self) -> Vec<(String, String)> {
        let variable = std::env::var("DOCKER_CUSTOM_HEADERS").unwrap_or_default();
        let given = variable.split(',').filter_map(|pair| pair.split_once('='));
        // The name of the program is its own.
        self.texts("HttpHeaders")
            .chain(given.map(|(name, value)| (name.trim(), value)))
            .filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"))
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .collect()
    }

    /// Credentials for registries.
    pub(crate) fn credentials(&self) -> Credentials<'_> {
        Credentials::of(self)
    }
}
