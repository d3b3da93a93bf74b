//! What was said, on the command line and in the file, before anyone asks what it means.

use std::{collections::BTreeMap, path::Path};

use serde_json::{Map, Value};

use super::table::{Fate, Kind, SETTINGS, Setting, by_key};

/// The settings that were given, by name.
#[derive(Debug, Default, Clone)]
pub(crate) struct Values(BTreeMap<&'static str, Vec<String>>);

impl Values {
    /// Joins flags and the file's keys; a setting in both places is refused, as dockerd does.
    pub(crate) fn join(
        flags: BTreeMap<&'static str, Vec<String>>,
        file: &Map<String, Value>,
        path: &Path,
    ) -> Result<Self, String> {
        let unable = |why: String| {
            format!(
                "unable to configure the Docker daemon with file {}: {why}",
                path.display()
            )
        };
        let unknown: Vec<_> = file
            .keys()
            .filter(|k| by_key(k).is_none())
            .cloned()
            .collect();
        if !unknown.is_empty() {
            return Err(unable(format!(
                "the following directives don't match any configuration option: {}",
                unknown.join(", ")
            )));
        }
        let mut values = flags;
        let mut twice = Vec::new();
        for (key, value) in file {
            let Some(setting) = by_key(key) else { continue };
            if value.is_null() {
                continue;
            }
            let said = read(setting, value).map_err(unable)?;
            match values.get_mut(setting.name()) {
                // Runtimes may come from both, as in dockerd.
                Some(flags) if key == "runtimes" => flags.extend(said),
                Some(flags) => twice.push(format!(
                    "{key}: (from flag: {}, from file: {})",
                    shown(setting, flags),
                    shown(setting, &said)
                )),
                None => {
                    values.insert(setting.name(), said);
                }
            }
        }
        if !twice.is_empty() {
            return Err(unable(format!(
                "the following directives are specified both as a flag and in the configuration \
                 file: {}",
                twice.join(", ")
            )));
        }
        Ok(Self(values))
    }

    /// Refuses what cannot be done; answers a sentence for each setting that means nothing here.
    pub(crate) fn judge(&self) -> Result<Vec<String>, String> {
        let mut warnings = Vec::new();
        for setting in SETTINGS {
            let Some(said) = self.0.get(setting.name()) else {
                continue;
            };
            let other = |good: &[&str]| said.iter().find(|v| !good.contains(&v.as_str()));
            match setting.fate {
                Fate::Works => {}
                Fate::Idle(good, why) => {
                    if other(good).is_some() || said.is_empty() {
                        warnings.push(format!("{} has no effect: {why}", setting.name()));
                    }
                }
                Fate::Only(good, why) => {
                    if let Some(value) = other(good) {
                        return Err(format!("{} {value:?} is refused: {why}", setting.name()));
                    }
                }
            }
        }
        Ok(warnings)
    }

    /// Whether it was given at all.
    pub(crate) fn given(&self, name: &str) -> bool {
        self.0.contains_key(name)
    }

    /// The last value; none when it is not given or empty.
    pub(crate) fn text(&self, name: &str) -> Option<String> {
        self.0
            .get(name)
            .and_then(|v| v.last())
            .filter(|v| !v.is_empty())
            .cloned()
    }

    /// A switch.
    pub(crate) fn bool(&self, name: &str) -> Option<bool> {
        self.text(name).map(|v| v == "true")
    }

    /// A number; what is none was refused when it was read.
    pub(crate) fn number(&self, name: &str) -> Option<i64> {
        self.text(name).and_then(|v| v.parse().ok())
    }

    /// All values.
    pub(crate) fn list(&self, name: &str) -> Vec<String> {
        self.0.get(name).cloned().unwrap_or_default()
    }
}

fn shown(setting: &Setting, said: &[String]) -> String {
    match setting.kind {
        Kind::List | Kind::Map => format!("[{}]", said.join(" ")),
        _ => said.join(" "),
    }
}

/// A value of the file in the words of the command line.
fn read(setting: &Setting, value: &Value) -> Result<Vec<String>, String> {
    let key = setting.key;
    let wrong = |want: &str| format!("{key}: {value} is not {want}");
    match (setting.kind, value) {
        (Kind::Bool, Value::Bool(b)) => Ok(vec![b.to_string()]),
        (Kind::Bool, _) => Err(wrong("true or false")),
        (Kind::Text, Value::String(s)) => Ok(vec![s.clone()]),
        // dockerd takes a size as a number too.
        (Kind::Text, Value::Number(n)) if key == "default-shm-size" => Ok(vec![n.to_string()]),
        (Kind::Text, _) => Err(wrong("a string")),
        (Kind::Number, Value::Number(n)) if n.is_i64() => Ok(vec![n.to_string()]),
        (Kind::Number, _) => Err(wrong("a number")),
        (Kind::List, Value::Array(items)) => items
            .iter()
            .map(|item| match item {
                Value::String(s) => Ok(s.clone()),
                // Pools of addresses and resources: shown as they are.
                Value::Object(_) => Ok(item.to_string()),
                _ => Err(wrong("a list of strings")),
            })
            .collect(),
        (Kind::List, _) => Err(wrong("a list of strings")),
        (Kind::Map, Value::Object(members)) => members
            .iter()
            .map(|(name, member)| Ok(format!("{name}={}", member_text(key, name, member)?)))
            .collect(),
        (Kind::Map, _) => Err(wrong("an object")),
    }
}

fn member_text(key: &str, name: &str, member: &Value) -> Result<String, String> {
    let unknown = |object: &Map<String, Value>, known: &[&str]| {
        object
            .keys()
            .find(|k| !known.iter().any(|n| n.eq_ignore_ascii_case(k)))
            .map_or(Ok(()), |k| {
                Err(format!("{key}: {name}: {k} is not supported by wharf"))
            })
    };
    match (key, member) {
        ("runtimes", Value::Object(object)) => {
            unknown(object, &["path"])?;
            let path = object.get("path").and_then(Value::as_str);
            path.map(str::to_owned)
                .ok_or_else(|| format!("{key}: {name}: path is missing"))
        }
        ("default-ulimits", Value::Object(object)) => {
            unknown(object, &["Name", "Soft", "Hard"])?;
            let of = |wanted: &str| {
                let found = object.iter().find(|(k, _)| k.eq_ignore_ascii_case(wanted));
                found.and_then(|(_, v)| v.as_i64())
            };
            match (of("Soft"), of("Hard")) {
                (Some(soft), Some(hard)) => Ok(format!("{soft}:{hard}")),
                _ => Err(format!("{key}: {name}: Soft and Hard must be numbers")),
            }
        }
        (_, Value::String(text)) => Ok(text.clone()),
        (_, other) => Ok(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn join(flags: &[(&'static str, &str)], file: &str) -> Result<Values, String> {
        let flags = flags.iter().map(|(k, v)| (*k, vec![(*v).to_owned()]));
        let file: Map<String, Value> = serde_json::from_str(file).unwrap();
        Values::join(flags.collect(), &file, Path::new("/f"))
    }

    #[test]
    fn both_places_unknown_keys_and_wrong_types_are_refused_by_name() {
        let error = join(&[("data-root", "/b")], r#"{"data-root": "/a"}"#).unwrap_err();
        assert!(
            error.contains("data-root: (from flag: /b, from file: /a)"),
            "{error}"
        );
        let error = join(&[], r#"{"colour": 1, "icc": true}"#).unwrap_err();
        assert!(
            error.contains("don't match any configuration option: colour"),
            "{error}"
        );
        for wrong in [
            r#"{"debug": "true"}"#,
            r#"{"mtu": "1"}"#,
            r#"{"hosts": "a"}"#,
            r#"{"runtimes": {"a": {"path": "b", "runtimeArgs": []}}}"#,
            r#"{"default-ulimits": {"nofile": {"Soft": 1}}}"#,
        ] {
            assert!(join(&[], wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn values_are_judged() {
        let warnings = |file| join(&[], file).unwrap().judge();
        assert_eq!(
            warnings(r#"{"iptables": true, "userland-proxy": false}"#),
            Ok(vec![])
        );
        let told = warnings(r#"{"userland-proxy": true, "live-restore": false}"#).unwrap();
        assert_eq!(told.len(), 2);
        let error = warnings(r#"{"iptables": false}"#).unwrap_err();
        assert!(
            error.starts_with("iptables \"false\" is refused: "),
            "{error}"
        );
    }

    #[test]
    fn the_file_says_what_flags_say() {
        let values = join(
            &[("runtimes", "a=/a")],
            r#"{"runtimes": {"b": {"path": "/b"}},
                "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}}"#,
        )
        .unwrap();
        assert_eq!(values.list("runtimes"), ["a=/a", "b=/b"]);
        assert_eq!(values.list("default-ulimits"), ["nofile=1:2"]);
    }
}
