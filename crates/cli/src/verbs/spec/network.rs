//! `--network`: a name, or `name=…,alias=…,ip=…`.

use std::collections::BTreeMap;

use crate::build::csv_fields;

/// A network, and what is asked of it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Attachment {
    /// Name or identifier.
    pub(crate) name: String,
    /// Names of the container in it.
    pub(crate) aliases: Vec<String>,
    /// Addresses, empty for any.
    pub(crate) ip: String,
    /// The same of IPv6.
    pub(crate) ip6: String,
    /// Its hardware address, empty for any.
    pub(crate) mac: String,
    /// Addresses of the link alone.
    pub(crate) local: Vec<String>,
    /// Containers and the names that it knows them by.
    pub(crate) links: Vec<String>,
    /// The driver's.
    pub(crate) options: BTreeMap<String, String>,
    /// The highest of all networks is the way out.
    pub(crate) priority: i64,
}

/// Whether users make networks of this name, or it is one of those that are always there.
pub(crate) fn is_own(name: &str) -> bool {
    !matches!(name, "default" | "bridge" | "host" | "none") && !name.starts_with("container:")
}

/// Docker takes a value for the long form where a word, an equals sign and a word are in it.
fn is_long(text: &str) -> bool {
    let word = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
    text.match_indices('=').any(|(at, _)| {
        let (before, after) = (&text[..at], &text[at + 1..]);
        before.chars().next_back().is_some_and(|c| word(&c))
            && after.chars().next().is_some_and(|c| word(&c))
    })
}

/// Reads a value of `--network`.
pub(crate) fn parse(text: &str) -> Result<Attachment, String> {
    let mut found = Attachment::default();
    if !is_long(text) {
        text.clone_into(&mut found.name);
        return Ok(found);
    }
    for field in csv_fields(text).map_err(|e| e.to_string())? {
        let (key, value) = field
            .split_once('=')
            .filter(|(key, _)| !key.is_empty())
            .ok_or_else(|| format!("invalid field {field}"))?;
        let (key, value) = (key.trim().to_lowercase(), value.trim().to_owned());
        match key.as_str() {
            "name" => found.name = value,
            "alias" => found.aliases.push(value),
            "ip" => found.ip = value,
            "ip6" => found.ip6 = value,
            "mac-address" => found.mac = value,
            "link-local-ip" => found.local.push(value),
            "driver-opt" => {
                let (name, value) = option(&value)
                    .ok_or("invalid key value pair format in driver options".to_owned())?;
                found.options.insert(name, value);
            }
            "gw-priority" => {
                found.priority = value
                    .parse()
                    .map_err(|_| format!("invalid gw-priority ({value}): invalid syntax"))?;
            }
            _ => return Err(format!("invalid field key {key}")),
        }
    }
    if found.name.is_empty() {
        return Err("network name/id is not specified".to_owned());
    }
    Ok(found)
}

/// `name=value` of a driver's option.
pub(crate) fn option(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=')?;
    let name = name.trim();
    (!name.is_empty()).then(|| (name.to_owned(), value.trim().to_owned()))
}

/// See [`parse`].
pub(crate) fn check(text: &str) -> Result<(), String> {
    parse(text).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms() {
        assert_eq!(parse("Mine").unwrap().name, "Mine");
        assert_eq!(parse("").unwrap().name, "");
        let long = "name=Mine,alias=a,alias=B,ip=10.0.0.2,ip6=fd00::2,mac-address=02:42:00:00:00:01,\
                    link-local-ip=169.254.1.1,gw-priority=-3,\
                    \"driver-opt=com.docker.network.endpoint.sysctls=a=1,b=2\"";
        let found = parse(long).unwrap();
        assert_eq!(
            (found.name.as_str(), found.aliases.len(), found.priority),
            ("Mine", 2, -3)
        );
        assert_eq!(
            found.options["com.docker.network.endpoint.sysctls"],
            "a=1,b=2"
        );
        assert!(is_own("mine") && !is_own("host") && !is_own("container:a"));
    }

    #[test]
    fn errors_are_dockers() {
        for (text, wanted) in [
            ("name=x,foo=y", "invalid field key foo"),
            ("alias=x", "network name/id is not specified"),
            (
                "name=x,gw-priority=zz",
                "invalid gw-priority (zz): invalid syntax",
            ),
            (
                "name=x,driver-opt=b",
                "invalid key value pair format in driver options",
            ),
            ("name=x,foo", "invalid field foo"),
        ] {
            assert_eq!(parse(text).unwrap_err(), wanted);
        }
    }
}
