//! JSON as Docker's clients send it: `null` stands for a field's zero value.

use serde_json::{Map, Value};

/// Maps whose values may be `null` where Go has an empty struct, list or string: their keys count.
type Zero = (&'static str, fn() -> Value);

const KEYED: &[Zero] = &[
    ("ExposedPorts", || Value::Object(Map::new())),
    ("Volumes", || Value::Object(Map::new())),
    ("PortBindings", || Value::Array(Vec::new())),
    ("EndpointsConfig", || Value::Object(Map::new())),
    ("Labels", || Value::String(String::new())),
    ("Tmpfs", || Value::String(String::new())),
];

/// Removes every `null` member, so that serde's defaults apply; in maps whose keys carry the
/// meaning the zero value takes its place.
pub fn drop_nulls(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.retain(|_, v| !v.is_null());
            for (key, inner) in map.iter_mut() {
                let zero = KEYED.iter().find(|(name, _)| name == key);
                if let (Some((_, zero)), Value::Object(inner)) = (zero, &mut *inner) {
                    inner
                        .values_mut()
                        .filter(|v| v.is_null())
                        .for_each(|v| *v = zero());
                }
                drop_nulls(inner);
            }
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nulls),
        _ => {}
    }
}

/// Whether `value` is what a client sends for a field that its user left alone.
#[must_use]
pub fn is_zero(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(b) => !b,
        Value::Number(n) => n.as_f64() == Some(0.0),
        Value::String(s) => s.is_empty(),
        Value::Array(a) => a.is_empty(),
        Value::Object(o) => o.values().all(is_zero),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn nulls_go_but_keys_stay() {
        let mut v = json!({"A": null, "B": {"C": null, "D": 1}, "ExposedPorts": {"80/tcp": null}});
        drop_nulls(&mut v);
        assert_eq!(v, json!({"B": {"D": 1}, "ExposedPorts": {"80/tcp": {}}}));
    }
}
