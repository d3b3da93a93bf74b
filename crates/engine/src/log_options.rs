//! Where a container's output goes: the drivers, their options as Docker spells them, and what the
//! shim is told of them.

use std::collections::BTreeMap;

use gotmpl::Template;
use regex::Regex;
use runtime::logfile::{LogForm, LogOptions};
use serde_json::{Map, Value, json};
use types::{
    boolean,
    container::{HostConfig, LogConfig},
    id, size,
};

use crate::{
    error::{Error, Result},
    record::Record,
};

/// The driver for containers that name none, and whose daemon names none.
const DEFAULT: &str = "json-file";
/// Bytes of a file of `json-file` where nothing is said. Docker has no bound, and fills disks.
const JSON_SIZE: u64 = 10_000_000;
/// Files of `json-file` where nothing is said.
const JSON_FILES: u32 = 3;
/// The same for `local`, as Docker's.
const LOCAL_SIZE: u64 = 20_000_000;
const LOCAL_FILES: u32 = 5;
/// What is held in memory in the mode `non-blocking` where nothing is said.
const BUFFER: u64 = 1 << 20;
/// The most that may be: it is memory of the shim's, one for each container.
const MOST_BUFFER: u64 = 1 << 30;

/// What each driver takes beside `mode` and `max-buffer-size`.
const JSON_OPTIONS: &[&str] = &[
    "max-file",
    "max-size",
    "compress",
    "labels",
    "labels-regex",
    "env",
    "env-regex",
    "tag",
];
const LOCAL_OPTIONS: &[&str] = &["max-file", "max-size", "compress"];

/// Completes a container's log configuration from the daemon's, and refuses what is wrong.
pub(crate) fn settle(host: &mut HostConfig, daemon: &LogConfig) -> Result<()> {
    let log = &mut host.log_config;
    let default = if daemon.kind.is_empty() {
        DEFAULT
    } else {
        &daemon.kind
    };
    if log.kind.is_empty() {
        default.clone_into(&mut log.kind);
    }
    if log.kind == default {
        for (name, value) in &daemon.config {
            log.config
                .entry(name.clone())
                .or_insert_with(|| value.clone());
        }
    }
    check(log)
}

/// Refuses what no driver here can do.
///
/// # Errors
/// [`Error::Invalid`], in Docker's words.
pub fn check(log: &LogConfig) -> Result<()> {
    parse(log).map(|_| ()).map_err(Error::Invalid)
}

/// Options that are understood.
struct Parsed {
    options: LogOptions,
    labels: Vec<String>,
    labels_regex: Option<Regex>,
    env: Vec<String>,
    env_regex: Option<Regex>,
    tag: Option<Template>,
}

fn parse(log: &LogConfig) -> std::result::Result<Parsed, String> {
    let get = |name: &str| log.config.get(name).map(String::as_str);
    let (known, form, size, files) = match log.kind.as_str() {
        "none" => (&[][..], LogForm::JsonFile, 0, 1),
        "" | DEFAULT => (JSON_OPTIONS, LogForm::JsonFile, JSON_SIZE, JSON_FILES),
        "local" => (LOCAL_OPTIONS, LogForm::Local, LOCAL_SIZE, LOCAL_FILES),
        other => {
            return Err(format!(
                "logger: no log driver named '{other}' is registered"
            ));
        }
    };
    let keep = buffer(log.kind == "none", get("mode"), get("max-buffer-size"))?;
    if log.kind != "none" {
        let builtin = ["mode", "max-buffer-size"];
        let unknown =
            |name: &&String| !known.contains(&name.as_str()) && !builtin.contains(&name.as_str());
        if let Some(name) = log.config.keys().find(unknown) {
            return Err(if form == LogForm::Local {
                format!("unknown log opt '{name}' for log driver local")
            } else {
                format!("unknown log opt '{name}' for json-file log driver")
            });
        }
    }
    let max_size = match get("max-size") {
        None => size,
        Some("-1") => 0,
        Some(text) => match unsigned(size::parse_decimal(text)?) {
            0 => return Err("max-size must be a positive number".into()),
            size => size,
        },
    };
    let max_file = match get("max-file") {
        // A bound of one's own comes with Docker's number of files.
        None if get("max-size").is_some() && form == LogForm::JsonFile => 1,
        None => files,
        Some(text) => match text.parse::<i64>() {
            Err(_) => return Err(format!("strconv.Atoi: parsing {text:?}: invalid syntax")),
            Ok(number) if number < 1 => return Err("max-file cannot be less than 1".into()),
            Ok(number) => u32::try_from(number).unwrap_or(u32::MAX).min(10_000),
        },
    };
    let compress = match get("compress") {
        None => form == LogForm::Local && max_file > 1 && max_size > 0,
        Some(text) => boolean::parse(text)
            .ok_or_else(|| format!("strconv.ParseBool: parsing {text:?}: invalid syntax"))?,
    };
    if compress && (max_file < 2 || max_size == 0) {
        return Err(
            "compress cannot be true when max-file is less than 2 or max-size is not set".into(),
        );
    }
    let list = |name: &str| -> Vec<String> {
        let all = get(name).unwrap_or_default().split(',');
        all.filter(|l| !l.is_empty()).map(str::to_owned).collect()
    };
    let regex = |name: &str| {
        let text = get(name).filter(|t| !t.is_empty());
        text.map(Regex::new).transpose().map_err(|e| e.to_string())
    };
    let tag = get("tag").filter(|t| !t.is_empty());
    Ok(Parsed {
        options: LogOptions {
            form,
            max_size,
            max_file,
            compress,
            attrs: None,
            keep,
        },
        labels: list("labels"),
        labels_regex: regex("labels-regex")?,
        env: list("env"),
        env_regex: regex("env-regex")?,
        tag: tag
            .map(|t| Template::parse("log-tag", t))
            .transpose()
            .map_err(|e| e.to_string())?,
    })
}

fn unsigned(bytes: i64) -> u64 {
    bytes.unsigned_abs()
}

/// How much is kept in memory while the log takes no more.
fn buffer(none: bool, mode: Option<&str>, size: Option<&str>) -> std::result::Result<u64, String> {
    if none {
        return Ok(0);
    }
    let blocking = match mode.unwrap_or_default() {
        "" | "blocking" => true,
        "non-blocking" => false,
        other => return Err(format!("logger: logging mode not supported: {other}")),
    };
    match size {
        Some(_) if blocking => {
            Err("logger: max-buffer-size option is only supported with 'mode=non-blocking'".into())
        }
        Some(text) => match size::parse(text).map(unsigned) {
            Ok(size) if size > MOST_BUFFER => Err(format!(
                "logger: max-buffer-size {text} is not supported by wharf: at most 1g is held in \
                 memory"
            )),
            Ok(size) => Ok(size),
            Err(e) => Err(format!("error parsing option max-buffer-size: {e}")),
        },
        None if blocking => Ok(0),
        None => Ok(BUFFER),
    }
}

/// What the shim is told; nothing where there is no log.
pub(crate) fn for_shim(record: &Record) -> Result<Option<LogOptions>> {
    let log = &record.host_config.log_config;
    if log.kind == "none" {
        return Ok(None);
    }
    let failed = |e: String| Error::Invalid(format!("failed to initialize logging driver: {e}"));
    let parsed = parse(log).map_err(failed)?;
    let mut attrs: BTreeMap<String, String> = BTreeMap::new();
    for (name, value) in &record.config.labels {
        if parsed.labels.contains(name) || matches(parsed.labels_regex.as_ref(), name) {
            attrs.insert(name.clone(), value.clone());
        }
    }
    for (name, value) in record.config.env.iter().filter_map(|e| e.split_once('=')) {
        if parsed.env.iter().any(|e| e == name) || matches(parsed.env_regex.as_ref(), name) {
            attrs.insert(name.to_owned(), value.to_owned());
        }
    }
    if let Some(tag) = &parsed.tag {
        let text = tag.render(&tag_fields(record), &gotmpl::Options::default());
        attrs.insert("tag".into(), text.map_err(|e| failed(e.to_string()))?);
    }
    let attrs: Map<String, Value> = attrs.into_iter().map(|(k, v)| (k, v.into())).collect();
    Ok(Some(LogOptions {
        attrs: (!attrs.is_empty()).then(|| Value::Object(attrs).to_string()),
        ..parsed.options
    }))
}

fn matches(regex: Option<&Regex>, name: &str) -> bool {
    regex.is_some_and(|r| r.is_match(name))
}

/// What a tag's template may name.
fn tag_fields(record: &Record) -> Value {
    json!({
        "ID": id::short(&record.id),
        "FullID": record.id,
        "Name": record.name,
        "ImageID": id::short(&record.image_id),
        "ImageFullID": record.image_id,
        "ImageName": record.config.image,
        "DaemonName": "docker",
        "Command": record.argv().join(" "),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(kind: &str, options: &[(&str, &str)]) -> LogConfig {
        LogConfig {
            kind: kind.into(),
            config: options
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
        }
    }

    type Case = (
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
    );

    #[test]
    fn refusals_are_dockers() {
        let cases: &[Case] = &[
            (
                "syslog",
                &[],
                "logger: no log driver named 'syslog' is registered",
            ),
            (
                "json-file",
                &[("x", "1")],
                "unknown log opt 'x' for json-file log driver",
            ),
            (
                "local",
                &[("tag", "1")],
                "unknown log opt 'tag' for log driver local",
            ),
            ("json-file", &[("max-size", "many")], "invalid size: 'many'"),
            (
                "json-file",
                &[("max-file", "0")],
                "max-file cannot be less than 1",
            ),
            (
                "json-file",
                &[("mode", "fast")],
                "logger: logging mode not supported: fast",
            ),
            (
                "json-file",
                &[("max-buffer-size", "1m")],
                "logger: max-buffer-size option is only supported with 'mode=non-blocking'",
            ),
            (
                "json-file",
                &[("compress", "true"), ("max-size", "1m")],
                "compress cannot be true when max-file is less than 2 or max-size is not set",
            ),
        ];
        for (kind, options, message) in cases {
            assert_eq!(
                &check(&config(kind, options)).unwrap_err().to_string(),
                message
            );
        }
    }

    #[test]
    fn sizes_count_as_dockers() {
        let options = |o| parse(&config("json-file", o)).map(|p| p.options).unwrap();
        assert_eq!(options(&[]).max_size, 10_000_000);
        assert_eq!(options(&[]).max_file, 3);
        assert_eq!(options(&[("max-size", "1.5k")]).max_size, 1500);
        assert_eq!(options(&[("max-size", "1.5k")]).max_file, 1);
        assert_eq!(options(&[("max-size", "-1")]).max_size, 0);
        let keep = [("mode", "non-blocking"), ("max-buffer-size", "4kb")];
        assert_eq!(options(&keep).keep, 4096);
        let local = parse(&config("local", &[])).map(|p| p.options).unwrap();
        assert_eq!((local.max_file, local.compress), (5, true));
    }
}
