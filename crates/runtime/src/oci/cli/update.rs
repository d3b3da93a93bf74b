//! `update`: other limits for a container that is there.

use std::{fs, io::Read, path::Path};

use oci_spec::runtime::LinuxResources;
use serde_json::{Map, Value, json};

use super::{Global, args::Given, group::Group, id};
use crate::oci::{Context, Error, Result};

/// Options that are numbers: their name, and where the number goes.
const NUMBERS: [(&str, &str, &str); 8] = [
    ("blkio-weight", "blockIO", "weight"),
    ("cpu-period", "cpu", "period"),
    ("cpu-quota", "cpu", "quota"),
    ("cpu-burst", "cpu", "burst"),
    ("cpu-share", "cpu", "shares"),
    ("cpu-rt-period", "cpu", "realtimePeriod"),
    ("cpu-rt-runtime", "cpu", "realtimeRuntime"),
    ("cpu-idle", "cpu", "idle"),
];
/// Those that are sizes.
const SIZES: [(&str, &str); 3] = [
    ("memory", "limit"),
    ("memory-reservation", "reservation"),
    ("memory-swap", "swap"),
];

pub(super) fn update(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    for name in ["l3-cache-schema", "mem-bw-schema"] {
        if given.has(name) {
            return Err(Error::Unsupported(format!(
                "--{name}: Intel RDT is not supported"
            )));
        }
    }
    let resources = match given.path("resources") {
        Some(path) => read(&path)?,
        None => resources(asked_for(given)?)?,
    };
    let _lock = container.lock()?;
    let state = container.finished_state()?;
    if !state.init.is_some_and(|p| p.is_alive()) {
        return Err(Error::State("container not running".to_owned()));
    }
    Group::of(&state)?.cgroup()?.update(&resources)?;
    Ok(0)
}

fn read(path: &Path) -> Result<LinuxResources> {
    let about = || format!("read {}", path.display());
    let mut text = Vec::new();
    if path == Path::new("-") {
        std::io::stdin().read_to_end(&mut text).context(about)?;
    } else {
        text = fs::read(path).context(about)?;
    }
    let value = serde_json::from_slice(&text)
        .map_err(|e| Error::State(format!("--resources {}: {e}", path.display())))?;
    resources(value)
}

fn resources(value: Value) -> Result<LinuxResources> {
    serde_json::from_value(value).map_err(|e| Error::State(format!("the new limits: {e}")))
}

/// The options as `linux.resources` has them.
fn asked_for(given: &Given) -> Result<Value> {
    let mut all = Map::new();
    let mut put = |part: &str, member: &str, value: Value| {
        all.entry(part).or_insert_with(|| json!({}))[member] = value;
    };
    for (name, part, member) in NUMBERS {
        if let Some(n) = given.number::<i64>(name).map_err(Error::State)? {
            put(part, member, json!(n));
        }
    }
    for (name, member) in [("cpuset-cpus", "cpus"), ("cpuset-mems", "mems")] {
        if let Some(list) = given.text(name).map_err(Error::State)? {
            put("cpu", member, json!(list));
        }
    }
    for (name, member) in SIZES {
        if let Some(text) = given.text(name).map_err(Error::State)? {
            let n = size(text)
                .ok_or_else(|| Error::State(format!("invalid value {text:?} for flag -{name}")))?;
            put("memory", member, json!(n));
        }
    }
    if let Some(n) = given.number::<i64>("pids-limit").map_err(Error::State)? {
        put("pids", "limit", json!(n));
    }
    if all.is_empty() {
        return Err(Error::State(
            "nothing to change: give at least one limit, or --resources".to_owned(),
        ));
    }
    Ok(Value::Object(all))
}

/// Bytes, also as `512m` or `1.5GiB`; -1 for no limit.
fn size(text: &str) -> Option<i64> {
    if let Ok(n) = text.parse::<i64>() {
        return (n >= -1).then_some(n);
    }
    let lower = text.to_ascii_lowercase();
    let end = lower.find(|c: char| !c.is_ascii_digit() && c != '.')?;
    let (number, unit) = lower.split_at(end);
    let unit = unit.trim();
    let unit = unit
        .strip_suffix("ib")
        .or(unit.strip_suffix('b'))
        .unwrap_or(unit);
    let shift = match unit {
        "" => 0,
        "k" => 10,
        "m" => 20,
        "g" => 30,
        "t" => 40,
        "p" => 50,
        _ => return None,
    };
    let bytes = number.parse::<f64>().ok()? * f64::from(2_u32.pow(10)).powi(shift / 10);
    // What is larger is no size any machine has.
    (bytes < 9e18).then_some(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (text, bytes) in [
            ("0", 0),
            ("-1", -1),
            ("4096", 4096),
            ("512m", 512 << 20),
            ("1.5GiB", 3 << 29),
            ("2KB", 2048),
            ("7b", 7),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "m", "-2", "-1m", "5x", "1.2.3g", "99999999p"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
