//! Text to a value, refusing members that are there twice.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Reads one value and nothing behind it.
pub(crate) fn parse(bytes: &[u8]) -> Result<Value, String> {
    let error = match serde_json::from_slice::<Strict>(bytes) {
        Ok(Strict(value)) => return Ok(value),
        Err(error) => error.to_string(),
    };
    // serde_json names these only in their texts.
    Err(if error.starts_with("trailing characters") {
        "unexpected content after JSON".to_owned()
    } else if error.starts_with("recursion limit") {
        "invalid JSON: exceeded max depth".to_owned()
    } else {
        format!("invalid JSON: {error}")
    })
}

struct Strict(Value);

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(Reader).map(Self)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(Number::from_f64(value).map_or(Value::Null, Value::Number))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut all = Vec::new();
        while let Some(Strict(value)) = seq.next_element()? {
            all.push(value);
        }
        Ok(Value::Array(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut all = Map::new();
        while let Some((key, Strict(value))) = map.next_entry::<String, Strict>()? {
            if all.contains_key(&key) {
                return Err(A::Error::custom(format!(
                    "the member {key:?} is there twice"
                )));
            }
            all.insert(key, value);
        }
        Ok(Value::Object(all))
    }
}

#[cfg(test)]
mod tests {
    use super::parse;
    use serde_json::json;

    #[test]
    fn one_value_that_can_be_read_in_one_way() {
        let text = br#"{"a": [1, -1, 1.5, "x", null, true, {}], "b": {"a": 1}}"#;
        let wanted = json!({"a": [1, -1, 1.5, "x", null, true, {}], "b": {"a": 1}});
        assert_eq!(parse(text).unwrap(), wanted);
        for (bad, words) in [
            ("{\"a\": 1, \"a\": 1}", "the member \"a\" is there twice"),
            ("{\"b\": [{\"a\": 1, \"\\u0061\": 2}]}", "is there twice"),
            ("{} x", "unexpected content after JSON"),
            ("{", "invalid JSON: "),
            ("{\"a\": 1,}", "invalid JSON: "),
        ] {
            let error = parse(bad.as_bytes()).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
        let deep = "[".repeat(100_000);
        assert_eq!(
            parse(deep.as_bytes()).unwrap_err(),
            "invalid JSON: exceeded max depth"
        );
    }
}
