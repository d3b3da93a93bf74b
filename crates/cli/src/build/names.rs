//! Names of images in a build, caches, and the registries that they are in.

use std::collections::{BTreeMap, BTreeSet};

use types::{build::CacheTarget, image::RegistryAuth};

use super::attributes::{fields, pairs};
use crate::{
    config::{self, Credentials},
    error::{Error, Result},
    format::names::Reference,
};

/// A name that the image is to have.
pub(super) fn tag(text: &str) -> Result<String> {
    let reference = Reference::parse(text).map_err(|e| {
        let why = e.strip_prefix("invalid reference format: ").unwrap_or(&e);
        Error::msg(format!("ERROR: invalid tag \"{text}\": {why}"))
    })?;
    if reference.digest.is_some() {
        return Err(Error::msg(format!(
            "ERROR: invalid tag \"{text}\": a name with a digest cannot be given to an image"
        )));
    }
    Ok(reference.familiar())
}

/// Reads `--cache-from` or `--cache-to`. Paths become whole ones, as the daemon stands elsewhere.
pub(super) fn cache(flag: &str, text: &str) -> Result<CacheTarget> {
    let all = fields(text)?;
    if all.iter().all(|field| !field.contains('=')) {
        // Of old: the name of an image.
        let reference = Reference::parse(text)
            .map_err(|e| Error::msg(format!("ERROR: invalid {flag} \"{text}\": {e}")))?;
        return Ok(CacheTarget {
            kind: "registry".to_owned(),
            attributes: BTreeMap::from([("ref".to_owned(), reference.familiar())]),
        });
    }
    let mut attributes: BTreeMap<String, String> = pairs(flag, text)?.into_iter().collect();
    let kind = attributes
        .remove("type")
        .ok_or_else(|| Error::msg(format!("ERROR: type required form> \"{text}\"")))?;
    for name in ["src", "dest"] {
        if let Some(path) = attributes.get_mut(name) {
            let whole = std::path::absolute(&path).map_err(|e| Error::file("stat", path, &e))?;
            *path = whole.display().to_string();
        }
    }
    let target = CacheTarget { kind, attributes };
    let understood = match flag {
        "cache-to" => target.sink().map(drop),
        _ => target.source().map(drop),
    };
    understood.map_err(|e| Error::msg(format!("ERROR: {e}")))?;
    Ok(target)
}

/// Lines with those that go on at the next one, whichever character the file has for that.
fn joined(text: &str) -> Vec<String> {
    let mut all = Vec::new();
    let mut line = String::new();
    for part in text.lines() {
        let part = part.trim();
        if part.is_empty() || part.starts_with('#') {
            continue;
        }
        match part.strip_suffix(['\\', '`']) {
            Some(part) => line = line + part + " ",
            None => all.push(std::mem::take(&mut line) + part),
        }
    }
    all.push(line);
    all
}

/// The registries of a build.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Registries {
    /// Their names, as credentials are kept under.
    servers: BTreeSet<String>,
    /// There may be others: a name depends on what only the build knows.
    open: bool,
}

impl Registries {
    /// Adds the registry of the image called `name`.
    pub(super) fn add(&mut self, name: &str) {
        if name.contains('$') {
            self.open = true;
        } else if let Ok(reference) = Reference::parse(name) {
            let server = config::server(&reference.domain);
            self.servers.insert(server.to_owned());
        }
    }

    /// The Dockerfile is not here to look into.
    pub(super) fn add_unknown(&mut self) {
        self.open = true;
    }

    /// Adds those of the images that a Dockerfile names. A rough reading: one registry too many costs
    /// a question to a helper, and nothing else.
    pub(super) fn add_dockerfile(&mut self, text: &str) {
        for line in joined(text) {
            let mut words = line.split_whitespace();
            let first = words.next().unwrap_or_default();
            if first.eq_ignore_ascii_case("from") {
                if let Some(name) = words.find(|word| !word.starts_with("--")) {
                    self.add(name);
                }
                continue;
            }
            for word in line.split([' ', '\t', ',']) {
                if let Some(name) = word.trim_start_matches("--").strip_prefix("from=") {
                    self.add(name);
                }
            }
        }
    }

    /// Their credentials, and those that stand in the configuration itself. A helper is asked only
    /// about registries of the build.
    pub(super) fn credentials(&self, credentials: &Credentials) -> BTreeMap<String, RegistryAuth> {
        let mut all = BTreeMap::new();
        let configured = credentials.servers();
        let asked = configured
            .iter()
            .filter(|server| self.open || !credentials.has_helper(server))
            .chain(&self.servers);
        for server in asked {
            if !all.contains_key(server)
                && let Some(auth) = credentials.get_or_none(server)
            {
                all.insert(server.clone(), auth);
            }
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_and_caches_are_read() {
        assert_eq!(tag("a/b").unwrap(), "a/b:latest");
        assert_eq!(
            tag("Foo").unwrap_err().to_string(),
            "ERROR: invalid tag \"Foo\": repository name (library/Foo) must be lowercase"
        );
        let cache = |text| cache("cache-from", text);
        let plain = cache("reg.example/x").unwrap();
        assert_eq!(plain.kind, "registry");
        assert_eq!(plain.attributes["ref"], "reg.example/x:latest");
        let local = cache("type=local,src=here").unwrap();
        assert!(local.attributes["src"].starts_with('/'));
        assert_eq!(
            cache("type=gha").unwrap_err().to_string(),
            "ERROR: --cache-from type=gha is not supported by wharf yet: there are registry, inline, local"
        );
        assert!(cache("src=x").is_err());
    }

    #[test]
    fn registries_are_those_that_images_are_in() {
        let mut all = Registries::default();
        all.add_dockerfile(
            "from --platform=x reg.example:5000/a AS b\nCOPY --from=other.example/c /x /y\nRUN --mount=type=bind,from=busybox,target=/m true\n",
        );
        let servers: Vec<_> = all.servers.iter().map(String::as_str).collect();
        assert_eq!(servers, [config::HUB, "other.example", "reg.example:5000"]);
        assert!(!all.open);
        let mut all = Registries::default();
        all.add_dockerfile(
            "FROM \\\n# so far\n  reg.example:5000/a AS b\nCOPY \\\n\n  --from=other.example/c /x /y\n",
        );
        let servers: Vec<_> = all.servers.iter().map(String::as_str).collect();
        assert_eq!(servers, ["other.example", "reg.example:5000"]);
        all.add_dockerfile("FROM $BASE\n");
        assert!(all.open);
    }
}
