//! Single values.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use types::container::Ulimit;

use super::Name;

/// `-H` in dockerd's forms: `unix://` alone is the default socket, an address alone is `tcp://`.
pub(super) fn host(name: Name, text: &str) -> Result<String, String> {
    let invalid = || format!("invalid -H {text}: use unix:///path, tcp://address:port or fd://");
    let url = match text.trim() {
        "" => return Err(invalid()),
        "unix://" => name.host().to_owned(),
        bare if !bare.contains("://") => format!("tcp://{bare}"),
        url => url.to_owned(),
    };
    match url.split_once("://") {
        Some(("unix" | "tcp" | "fd", _)) => Ok(url),
        _ => Err(invalid()),
    }
}

/// `name=soft[:hard]`.
pub(super) fn ulimit(text: &str) -> Result<Ulimit, String> {
    let invalid = || format!("invalid ulimit argument: {text}");
    let (name, values) = text.split_once('=').ok_or_else(invalid)?;
    let (soft, hard) = values.split_once(':').unwrap_or((values, values));
    let number = |t: &str| match t {
        "unlimited" => Ok(-1),
        t => t.parse::<i64>().map_err(|_| invalid()),
    };
    let limit = Ulimit {
        name: name.to_owned(),
        soft: number(soft)?,
        hard: number(hard)?,
    };
    if name.is_empty() || limit.hard != -1 && (limit.soft > limit.hard || limit.soft == -1) {
        return Err(invalid());
    }
    Ok(limit)
}

/// `base=10.1.0.0/16,size=24`, or the object that the file has for it.
pub(super) fn pool(text: &str) -> Result<network::Pool, String> {
    let wrong = |why: &str| format!("invalid default-address-pool {text}: {why}");
    let members: Vec<(String, String)> = if text.starts_with('{') {
        let object: serde_json::Map<String, serde_json::Value> =
            serde_json::from_str(text).map_err(|e| wrong(&e.to_string()))?;
        let plain = |v: &serde_json::Value| match v {
            serde_json::Value::String(s) => s.clone(),
            other => other.to_string(),
        };
        object.iter().map(|(k, v)| (k.clone(), plain(v))).collect()
    } else {
        let pairs = text.split(',').map(|pair| pair.split_once('='));
        let pairs = pairs.map(|pair| pair.map(|(k, v)| (k.trim().to_owned(), v.trim().to_owned())));
        pairs
            .collect::<Option<_>>()
            .ok_or_else(|| wrong("the form is base=CIDR,size=N"))?
    };
    let (mut base, mut size) = (None, None);
    for (key, value) in members {
        match key.to_ascii_lowercase().as_str() {
            "base" => base = Some(value),
            "size" => size = value.parse().ok(),
            _ => return Err(wrong(&format!("{key} is not known"))),
        }
    }
    match (base, size) {
        (Some(base), Some(size)) => network::Pool::new(&base, size),
        _ => Err(wrong("it needs base and size")),
    }
}

/// Labels of the daemon: each key has one value.
pub(super) fn labels(texts: &[String]) -> Result<Vec<String>, String> {
    let mut found: BTreeMap<&str, &str> = BTreeMap::new();
    for text in texts {
        let (key, value) = text
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("bad attribute format: {text}"))?;
        if found.insert(key, value).is_some_and(|other| other != value) {
            return Err(format!(
                "conflict labels for {key}={value} and {key}={}",
                found[key]
            ));
        }
    }
    Ok(found.iter().map(|(k, v)| format!("{k}={v}")).collect())
}

/// Names of plugins, each once: they are names of files.
pub(super) fn plugins(names: &[String]) -> Result<Vec<String>, String> {
    let mut found: Vec<String> = Vec::new();
    for name in names {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"-_.:".contains(&b);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(fits) {
            return Err(format!("invalid name of a plugin: {name:?}"));
        }
        if !found.contains(name) {
            found.push(name.clone());
        }
    }
    Ok(found)
}

/// `64m`, `1g`, `65536`; more than nothing.
pub(super) fn size(text: &str) -> Result<i64, String> {
    let bytes = types::size::parse(text.trim())?;
    match bytes {
        0 => Err(format!("invalid size: '{text}'")),
        bytes => Ok(bytes),
    }
}

/// A seccomp profile for all containers; read once, so that the file may go.
pub(super) fn seccomp(path: &Path) -> Result<String, String> {
    let unable =
        |why: String| format!("opening seccomp profile ({}) failed: {why}", path.display());
    let text = fs::read_to_string(path).map_err(|e| unable(e.to_string()))?;
    serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(&text)
        .map_err(|e| unable(e.to_string()))?;
    Ok(text)
}

/// The path from the root.
pub(super) fn absolute(path: &Path) -> Result<PathBuf, String> {
    std::path::absolute(path)
        .map_err(|e| format!("the path {} cannot be used: {e}", path.display()))
}
