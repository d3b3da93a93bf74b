//! Credentials for registries, wherever they are kept: in `config.json`, with a helper, or in
//! the variable `DOCKER_AUTH_CONFIG`.

use serde_json::{Map, Value};
use types::image::RegistryAuth;

use super::{ConfigFile, auths, helper};
use crate::{error::Result, format::output};

/// The name under which docker keeps its own registry's credentials.
pub(crate) const HUB: &str = "https://index.docker.io/v1/";

/// The name under which the credentials of the registry `domain` (of an image's name) are kept.
pub(crate) fn server(domain: &str) -> &str {
    match domain {
        "" | "docker.io" | "index.docker.io" => HUB,
        other => other,
    }
}

/// The credentials of one user.
pub(crate) struct Credentials<'c> {
    config: &'c ConfigFile,
}

impl<'c> Credentials<'c> {
    pub(super) fn of(config: &'c ConfigFile) -> Self {
        Self { config }
    }

    /// The helper that keeps `server`'s, if one does.
    fn helper(&self, server: &str) -> Option<String> {
        let config = self.config;
        if let Some((_, helper)) = config
            .texts("credHelpers")
            .find(|(name, _)| *name == server)
        {
            return Some(helper.to_owned()).filter(|h| !h.is_empty());
        }
        self.common_helper()
    }

    /// The helper for all servers that have none of their own.
    fn common_helper(&self) -> Option<String> {
        let named = self.config.text("credsStore");
        if !named.is_empty() {
            return Some(named);
        }
        // docker takes the host's usual keeper where nothing was ever decided.
        let decided = self.config.texts("credHelpers").next().is_some()
            || !self.entries().is_none_or(Map::is_empty);
        if decided {
            return None;
        }
        let usual = if helper::in_path("pass") {
            "pass"
        } else {
            "secretservice"
        };
        helper::exists(usual).then(|| usual.to_owned())
    }

    fn entries(&self) -> Option<&Map<String, Value>> {
        self.config.value().get("auths").and_then(Value::as_object)
    }

    /// The credentials for `server`, named as [`server`] does.
    pub(crate) fn get(&self, server: &str) -> Result<Option<RegistryAuth>> {
        if let Some(found) = from_environment().and_then(|all| auths::find(&all, server)) {
            return Ok(Some(found));
        }
        self.stored(server)
    }

    /// The same for who can go on without: what is wrong with a helper is only said.
    pub(crate) fn get_or_none(&self, server: &str) -> Option<RegistryAuth> {
        self.get(server).unwrap_or_else(|error| {
            output::complain(&format!("WARNING: {error}; going on without credentials"));
            None
        })
    }

    /// The servers that the configuration names.
    pub(crate) fn servers(&self) -> Vec<String> {
        let environment = from_environment();
        let named = self.entries().into_iter().chain(&environment);
        let mut all: Vec<String> = named.flat_map(Map::keys).cloned().collect();
        all.extend(
            self.config
                .texts("credHelpers")
                .map(|(name, _)| name.to_owned()),
        );
        all.sort();
        all.dedup();
        all
    }

    /// Whether a program is to be asked for `server`'s.
    pub(crate) fn has_helper(&self, server: &str) -> bool {
        self.helper(server).is_some()
    }

    fn stored(&self, server: &str) -> Result<Option<RegistryAuth>> {
        let entry = self.entries().and_then(|all| auths::find(all, server));
        match self.helper(server) {
            Some(name) => Ok(helper::get(&name, server)?.map(|mut auth| {
                auth.email = entry.map(|e| e.email).unwrap_or_default();
                auth
            })),
            None => Ok(entry),
        }
    }

    /// Keeps `auth` for `server`. True when it went into `config.json`, in clear.
    pub(crate) fn store(&self, server: &str, auth: &RegistryAuth) -> Result<bool> {
        let helper = self.helper(server);
        let kept = match &helper {
            Some(name) => {
                helper::store(name, server, auth)?;
                // The file only notes that there is something.
                RegistryAuth {
                    email: auth.email.clone(),
                    ..RegistryAuth::default()
                }
            }
            None => auth.clone(),
        };
        self.config.change(|file| {
            let all = file
                .entry("auths")
                .or_insert_with(|| Value::Object(Map::new()));
            if !all.is_object() {
                *all = Value::Object(Map::new());
            }
            if let Some(all) = all.as_object_mut() {
                let entry = auths::encode(&kept, all.get(server));
                all.insert(server.to_owned(), entry);
            }
            true
        })?;
        Ok(helper.is_none())
    }

    /// Forgets `server`'s. What was never there is no failure.
    pub(crate) fn erase(&self, server: &str) -> Result {
        if let Some(name) = self.helper(server) {
            helper::erase(&name, server)?;
        }
        self.config.change(|file| {
            let all = file.get_mut("auths").and_then(Value::as_object_mut);
            all.is_some_and(|all| all.shift_remove(server).is_some())
        })
    }
}

/// `DOCKER_AUTH_CONFIG`: a whole `{"auths": …}` in a variable, as CI systems set it.
fn from_environment() -> Option<Map<String, Value>> {
    let text = std::env::var("DOCKER_AUTH_CONFIG").ok()?;
    if text.trim().is_empty() {
        return None;
    }
    let value = serde_json::from_str::<Value>(&text).map_err(|e| e.to_string());
    let auths = value.and_then(|mut value| match value.get_mut("auths").map(Value::take) {
        Some(Value::Object(auths)) => Ok(auths),
        _ => Err("no \"auths\" in it".to_owned()),
    });
    auths
        .map_err(|why| {
            output::complain(&format!(
                "Failed to create credential store from DOCKER_AUTH_CONFIG: {why}"
            ));
        })
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn auth(name: &str) -> RegistryAuth {
        RegistryAuth {
            username: name.to_owned(),
            password: "secret".to_owned(),
            ..RegistryAuth::default()
        }
    }

    #[test]
    fn the_file_keeps_what_no_helper_does() {
        let dir = tempfile::tempdir().unwrap();
        let at = dir.path().to_str();
        // Named so that the host's own keeper stays out of the test.
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"x":1,"auths":{"o":{}}}"#,
        )
        .unwrap();
        assert!(
            ConfigFile::new(at)
                .credentials()
                .store("r.example", &auth("me"))
                .unwrap()
        );
        let config = ConfigFile::new(at);
        let found = config.credentials().get("r.example").unwrap().unwrap();
        assert_eq!(
            (found.username.as_str(), found.password.as_str()),
            ("me", "secret")
        );
        config.credentials().erase("r.example").unwrap();
        config.credentials().erase("never.example").unwrap();
        let config = ConfigFile::new(at);
        assert_eq!(config.credentials().get("r.example").unwrap(), None);
        assert!(config.value()["auths"]["o"].is_object() && config.value().contains_key("x"));
    }

    #[test]
    fn a_missing_helper_is_named() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(
            dir.path().join("config.json"),
            r#"{"credHelpers":{"r.example":"wharf-nosuch"}}"#,
        )
        .unwrap();
        let config = ConfigFile::new(dir.path().to_str());
        assert_eq!(
            config
                .credentials()
                .get("r.example")
                .unwrap_err()
                .to_string(),
            "error getting credentials - err: exec: \"docker-credential-wharf-nosuch\": executable file not found in $PATH, out: ``"
        );
        assert_eq!(config.credentials().get("other.example").unwrap(), None);
    }
}
