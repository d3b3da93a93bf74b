//! `builder` of the configuration file: what is kept of the build cache, and what builds may ask for.

use ::builder::{Amount, Bound, Entitlements, Rule};
use serde_json::{Map, Value};

use super::{parse, values::Values};

type Object = Map<String, Value>;

/// What is kept, as Docker's `builder.gc` says it.
pub(super) fn bound(values: &Values) -> Result<Bound, String> {
    let mut bound = Bound::default();
    for member in values.list("builder") {
        let (name, text) = member.split_once('=').unwrap_or((&member, ""));
        match name {
            "gc" => {}
            // Read below.
            "entitlements" => continue,
            _ => return Err(format!("builder: {name} is not supported by wharf")),
        }
        let wrong = |e: serde_json::Error| format!("builder: gc: {e}");
        bound = read(&serde_json::from_str(text).map_err(wrong)?)?;
    }
    Ok(bound)
}

/// What builds may be allowed, as Docker's `builder.entitlements` says it.
pub(super) fn entitlements(values: &Values) -> Result<Entitlements, String> {
    let mut entitlements = Entitlements::default();
    for member in values.list("builder") {
        if let Some(("entitlements", text)) = member.split_once('=') {
            let wrong = |e: serde_json::Error| format!("builder: entitlements: {e}");
            entitlements = granted(&serde_json::from_str(text).map_err(wrong)?)?;
        }
    }
    Ok(entitlements)
}

fn granted(object: &Object) -> Result<Entitlements, String> {
    let mut all = Entitlements::default();
    for (name, value) in object {
        let place = match name.as_str() {
            "network-host" => &mut all.network_host,
            "security-insecure" => &mut all.security_insecure,
            other => {
                return Err(format!(
                    "builder: entitlements: {other} is not supported by wharf"
                ));
            }
        };
        match value {
            Value::Null => {}
            Value::Bool(on) => *place = *on,
            other => {
                return Err(format!(
                    "builder: entitlements: {name}: {other} is not true or false"
                ));
            }
        }
    }
    Ok(all)
}

fn known(object: &Object, names: &[&str]) -> Result<(), String> {
    let other = object.keys().find(|key| !names.contains(&key.as_str()));
    other.map_or(Ok(()), |key| {
        Err(format!("builder: gc: {key} is not supported by wharf"))
    })
}

fn flag(object: &Object, name: &str, usual: bool) -> Result<bool, String> {
    match object.get(name) {
        None | Some(Value::Null) => Ok(usual),
        Some(Value::Bool(on)) => Ok(*on),
        Some(other) => Err(format!("builder: gc: {name}: {other} is not true or false")),
    }
}

/// Sizes by any of their names; the first that is given.
fn amount(object: &Object, names: &[&str]) -> Result<Option<Amount>, String> {
    for name in names {
        let text = match object.get(*name) {
            None | Some(Value::Null) => continue,
            Some(Value::String(text)) => text.clone(),
            Some(Value::Number(number)) => number.to_string(),
            Some(other) => return Err(format!("builder: gc: {name}: {other} is no size")),
        };
        if matches!(text.trim(), "" | "0") {
            continue;
        }
        let bytes = parse::size(&text).map_err(|e| format!("builder: gc: {name}: {e}"))?;
        return Ok(Some(Amount::Bytes(bytes)));
    }
    Ok(None)
}

fn read(gc: &Object) -> Result<Bound, String> {
    let sizes = [
        "defaultKeepStorage",
        "defaultReservedSpace",
        "defaultMaxUsedSpace",
        "defaultMinFreeSpace",
    ];
    known(gc, &[&sizes[..], &["enabled", "policy"]].concat())?;
    let reserved = amount(gc, &["defaultReservedSpace", "defaultKeepStorage"])?;
    let max_used = amount(gc, &["defaultMaxUsedSpace"])?;
    let min_free = amount(gc, &["defaultMinFreeSpace"])?;
    let usual = match (reserved, max_used, min_free) {
        (None, None, None) => Bound::default(),
        _ => Bound::usual(reserved, max_used, min_free),
    };
    let rules = match gc.get("policy") {
        None | Some(Value::Null) => usual.0,
        Some(Value::Array(rules)) if rules.is_empty() => usual.0,
        Some(Value::Array(rules)) => {
            let last = usual.0.last().cloned().unwrap_or_default();
            let rules = rules.iter().map(|one| rule(one, &last));
            rules.collect::<Result<_, _>>()?
        }
        Some(other) => return Err(format!("builder: gc: policy: {other} is not a list")),
    };
    match flag(gc, "enabled", true)? {
        true => Ok(Bound(rules)),
        false => Ok(Bound(Vec::new())),
    }
}

/// One rule; without a size it has those of `usual`.
fn rule(value: &Value, usual: &Rule) -> Result<Rule, String> {
    let object = value.as_object();
    let object = object.ok_or_else(|| format!("builder: gc: policy: {value} is not an object"))?;
    let sizes = [
        "keepStorage",
        "reservedSpace",
        "maxUsedSpace",
        "minFreeSpace",
    ];
    known(
        object,
        &[&sizes[..], &["all", "filter", "keepDuration"]].concat(),
    )?;
    let mut rule = Rule {
        all: flag(object, "all", false)?,
        reserved: amount(object, &["reservedSpace", "keepStorage"])?,
        max_used: amount(object, &["maxUsedSpace"])?,
        min_free: amount(object, &["minFreeSpace"])?,
        ..Rule::default()
    };
    if (rule.reserved, rule.max_used, rule.min_free) == (None, None, None) {
        rule.reserved = usual.reserved;
        rule.max_used = usual.max_used;
        rule.min_free = usual.min_free;
    }
    if let Some(text) = object.get("keepDuration").and_then(Value::as_str) {
        rule.unused_for = seconds(text)?;
    }
    let filters = match object.get("filter") {
        None | Some(Value::Null) => &Vec::new(),
        Some(Value::Array(filters)) => filters,
        Some(other) => return Err(format!("builder: gc: filter: {other} is not a list")),
    };
    for filter in filters {
        let text = filter.as_str();
        let text = text.ok_or_else(|| format!("builder: gc: filter: {filter} is not a string"))?;
        for one in text.split(',') {
            let (name, value) = one.split_once('=').unwrap_or((one, ""));
            let value = value.trim_start_matches('=');
            match name {
                "unused-for" | "until" => rule.unused_for = seconds(value)?,
                "type" => rule.kinds.push(value.to_owned()),
                "id" => rule.ids.push(value.to_owned()),
                other => {
                    return Err(format!(
                        "builder: gc: the filter {other} is not supported by wharf"
                    ));
                }
            }
        }
    }
    Ok(rule)
}

/// A duration such as `2200h` or `1h30m`.
pub(super) fn seconds(text: &str) -> Result<i64, String> {
    let wrong = || format!("builder: gc: invalid duration \"{text}\": use 48h");
    let mut left = text;
    let mut all = 0_i64;
    while !left.is_empty() {
        let digits = left.len() - left.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, rest) = left.split_at(digits);
        let number: i64 = number.parse().map_err(|_| wrong())?;
        let unit = match rest.chars().next() {
            Some('h') => 3600,
            Some('m') => 60,
            Some('s') => 1,
            _ => return Err(wrong()),
        };
        let more = number.checked_mul(unit).ok_or_else(wrong)?;
        all = all.checked_add(more).ok_or_else(wrong)?;
        left = &rest[1..];
    }
    match text {
        "" => Err(wrong()),
        _ => Ok(all),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Bound, String> {
        read(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn entitlements_are_dockers() {
        let of = |text: &str| granted(&serde_json::from_str(text).unwrap());
        let of = |text: &str| of(text).map(|e| (e.network_host, e.security_insecure));
        assert_eq!(of("{}").unwrap(), (true, false));
        let all = r#"{"security-insecure": true, "network-host": null}"#;
        assert_eq!(of(all).unwrap(), (true, true));
        assert_eq!(of(r#"{"network-host": false}"#).unwrap(), (false, false));
        for bad in [r#"{"device": true}"#, r#"{"network-host": "no"}"#] {
            assert!(of(bad).unwrap_err().starts_with("builder: entitlements: "));
        }
    }

    #[test]
    fn dockers_form_is_read() {
        assert_eq!(of("{}").unwrap(), Bound::default());
        assert_eq!(of(r#"{"enabled": false}"#).unwrap(), Bound(Vec::new()));
        let gib = |n: i64| Some(Amount::Bytes(n << 30));
        let own = of(r#"{"enabled": true, "defaultKeepStorage": "10GB"}"#).unwrap();
        assert_eq!(own, Bound::usual(gib(10), None, None));
        let own = of(r#"{"policy": [
            {"keepStorage": "10GB", "filter": ["unused-for=2200h"]},
            {"maxUsedSpace": "1gb", "filter": ["type==source.local,type==exec.cachemount"]},
            {"all": true}]}"#)
        .unwrap()
        .0;
        assert_eq!(own[0].reserved, gib(10));
        assert_eq!(own[0].unused_for, 2200 * 3600);
        assert_eq!(own[1].kinds, ["source.local", "exec.cachemount"]);
        assert_eq!((own[1].reserved, own[1].max_used), (None, gib(1)));
        assert!(own[2].all);
        assert_eq!(own[2].reserved, Some(Amount::Percent(10)));
        for bad in [
            r#"{"size": 1}"#,
            r#"{"defaultKeepStorage": "much"}"#,
            r#"{"enabled": "yes"}"#,
            r#"{"policy": [{"keep": 1}]}"#,
            r#"{"policy": [{"filter": ["unused-for=2 days"]}]}"#,
            r#"{"policy": [{"filter": ["colour=red"]}]}"#,
        ] {
            assert!(of(bad).unwrap_err().starts_with("builder: gc: "), "{bad}");
        }
    }
}
