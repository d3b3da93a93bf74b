//! The user's configuration, docker's `config.json`: credentials, keys and formats. Read when
//! something of it is needed, which most calls never do.

use std::{
    cell::OnceCell,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
};

use base64::Engine;
use serde_json::Value;
use types::image::RegistryAuth;

use crate::error::{Error, Result};

/// Where docker keeps its own registry's credentials.
const HUB: &str = "https://index.docker.io/v1/";

/// The configuration in a directory.
pub(crate) struct ConfigFile {
    directory: PathBuf,
    value: OnceCell<Value>,
}

impl ConfigFile {
    /// The configuration in `directory`, or where docker's is.
    pub(crate) fn new(directory: Option<&str>) -> Self {
        let directory = match directory {
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

    fn value(&self) -> Result<&Value> {
        if let Some(value) = self.value.get() {
            return Ok(value);
        }
        let path = self.directory.join("config.json");
        let value = match std::fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|e| {
                Error::msg(format!(
                    "Error loading config file: {}: {e}",
                    path.display()
                ))
            })?,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Value::Null,
            Err(e) => return Err(Error::file("open", &path.display().to_string(), &e)),
        };
        Ok(self.value.get_or_init(|| value))
    }

    /// The text called `name`, empty when it is not set.
    pub(crate) fn text(&self, name: &str) -> Result<String> {
        Ok(self
            .value()?
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned())
    }

    /// Credentials for the registry `domain`.
    pub(crate) fn auth(&self, domain: &str) -> Result<Option<RegistryAuth>> {
        let config = self.value()?;
        let server = if domain == "docker.io" { HUB } else { domain };
        let helper = config
            .pointer("/credHelpers")
            .and_then(|h| h.get(server))
            .or_else(|| config.get("credsStore"))
            .and_then(Value::as_str)
            .filter(|h| !h.is_empty());
        if let Some(helper) = helper {
            return from_helper(helper, server);
        }
        let Some(auths) = config.get("auths").and_then(Value::as_object) else {
            return Ok(None);
        };
        let host = |key: &str| {
            let key = key.split_once("://").map_or(key, |(_, rest)| rest);
            key.split('/').next().unwrap_or_default().to_owned()
        };
        let entry = auths.get(server).or_else(|| {
            auths
                .iter()
                .find(|(key, _)| host(key) == server)
                .map(|(_, v)| v)
        });
        Ok(entry.and_then(|entry| from_entry(entry, server)))
    }
}

fn from_entry(entry: &Value, server: &str) -> Option<RegistryAuth> {
    let text = |name: &str| {
        entry
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (mut username, mut password) = (text("username"), text("password"));
    if let Ok(bytes) = base64::engine::general_purpose::STANDARD.decode(text("auth"))
        && let Ok(pair) = String::from_utf8(bytes)
        && let Some((name, secret)) = pair.split_once(':')
    {
        username = name.to_owned();
        password = secret.trim_end_matches('\0').to_owned();
    }
    let auth = RegistryAuth {
        username,
        password,
        serveraddress: server.to_owned(),
        identitytoken: text("identitytoken"),
        registrytoken: text("registrytoken"),
        ..RegistryAuth::default()
    };
    let says = |t: &str| !t.is_empty();
    (says(&auth.username) || says(&auth.identitytoken) || says(&auth.registrytoken)).then_some(auth)
}

/// Asks a credential helper, docker's program that keeps secrets elsewhere.
fn from_helper(helper: &str, server: &str) -> Result<Option<RegistryAuth>> {
    let program = format!("docker-credential-{helper}");
    let failed = |why: &str| Error::msg(format!("error getting credentials: {program}: {why}"));
    let mut child = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| failed(&e.to_string()))?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin
            .write_all(server.as_bytes())
            .map_err(|e| failed(&e.to_string()))?;
    }
    let output = child
        .wait_with_output()
        .map_err(|e| failed(&e.to_string()))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stdout);
        if said.contains("credentials not found") {
            return Ok(None);
        }
        return Err(failed(said.trim()));
    }
    let value: Value =
        serde_json::from_slice(&output.stdout).map_err(|e| failed(&e.to_string()))?;
    let text = |name: &str| {
        value
            .get(name)
            .and_then(Value::as_str)
            .unwrap_or_default()
            .to_owned()
    };
    let (username, secret) = (text("Username"), text("Secret"));
    let mut auth = RegistryAuth {
        serveraddress: server.to_owned(),
        ..RegistryAuth::default()
    };
    if username == "<token>" {
        auth.identitytoken = secret;
    } else {
        auth.username = username;
        auth.password = secret;
    }
    Ok(Some(auth))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_found_by_host() {
        let config = ConfigFile::new(Some("/nonexistent"));
        let value = serde_json::json!({"auths": {"https://reg.example/v2/": {"auth": "bWU6czpjcmV0"}},
            "detachKeys": "ctrl-a"});
        config.value.set(value).unwrap();
        let auth = config.auth("reg.example").unwrap().unwrap();
        assert_eq!(
            (auth.username.as_str(), auth.password.as_str()),
            ("me", "s:cret")
        );
        assert_eq!(config.auth("other.example").unwrap(), None);
        assert_eq!(config.text("detachKeys").unwrap(), "ctrl-a");
    }
}
