//! A value to a type, as Go does it.

use std::fmt;

use serde::{
    de::{
        self, DeserializeOwned, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess,
        SeqAccess, Visitor,
    },
    forward_to_deserialize_any,
};
use serde_json::{Map, Value};

/// Reads `value` as a `T`.
pub(crate) fn from_value<T: DeserializeOwned>(value: Value) -> Result<T, String> {
    let name = std::any::type_name::<T>();
    from_value_at(value, name.rsplit("::").next().unwrap_or(name))
}

/// Reads `value`, which is at `path` in the body, as a `T`.
pub(crate) fn from_value_at<T: DeserializeOwned>(value: Value, path: &str) -> Result<T, String> {
    let path = path.to_owned();
    T::deserialize(Go { value, path }).map_err(|e| format!("invalid JSON: {e}"))
}

#[derive(Debug)]
struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

impl de::Error for Error {
    fn custom<T: fmt::Display>(text: T) -> Self {
        Self(text.to_string())
    }
}

/// A value and where it is.
struct Go {
    value: Value,
    path: String,
}

impl Go {
    /// Go's words for a value that does not fit.
    fn wrong(&self, wanted: &str) -> Error {
        let kind = match &self.value {
            Value::Null => "null".to_owned(),
            Value::Bool(_) => "bool".to_owned(),
            Value::Number(n) if wanted != "string" && wanted != "bool" => format!("number {n}"),
            Value::Number(_) => "number".to_owned(),
            Value::String(_) => "string".to_owned(),
            Value::Array(_) => "array".to_owned(),
            Value::Object(_) => "object".to_owned(),
        };
        let place = if self.path.contains('.') {
            format!("Go struct field {}", self.path)
        } else {
            "Go value".to_owned()
        };
        Error(format!(
            "json: cannot unmarshal {kind} into {place} of type {wanted}"
        ))
    }

    fn number<'de, V: Visitor<'de>>(
        self,
        visitor: V,
        wanted: &str,
        (least, most): (i128, i128),
    ) -> Result<V::Value, Error> {
        let integer = match &self.value {
            Value::Null => Some(0),
            Value::Number(n) => {
                let signed = n.as_i64().map(i128::from);
                signed.or_else(|| n.as_u64().map(i128::from))
            }
            _ => None,
        };
        let fits = integer.filter(|n| (least..=most).contains(n));
        match fits {
            Some(n) => match i64::try_from(n) {
                Ok(n) => visitor.visit_i64(n),
                Err(_) => visitor.visit_u64(u64::try_from(n).unwrap_or(u64::MAX)),
            },
            None => Err(self.wrong(wanted)),
        }
    }

    fn text<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_str(""),
            Value::String(text) => visitor.visit_string(text),
            _ => Err(self.wrong("string")),
        }
    }

    fn list<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        let path = self.path.clone();
        match self.value {
            Value::Null => visitor.visit_seq(Items {
                items: Vec::new().into_iter(),
                path,
            }),
            Value::Array(items) => visitor.visit_seq(Items {
                items: items.into_iter(),
                path,
            }),
            _ => Err(self.wrong("[]string")),
        }
    }

    /// An object, its members spelt as `fields` are where those are known.
    fn object<'de, V: Visitor<'de>>(
        mut self,
        visitor: V,
        fields: Option<&'static [&'static str]>,
        wanted: &str,
    ) -> Result<V::Value, Error> {
        let members = match std::mem::take(&mut self.value) {
            Value::Null => Map::new(),
            Value::Object(members) => members,
            other => {
                self.value = other;
                return Err(self.wrong(wanted));
            }
        };
        let members = match fields {
            Some(fields) => respell(members, fields).map_err(|name| {
                Error(format!(
                    "the member {:?} is there twice",
                    format!("{}.{name}", self.path)
                ))
            })?,
            None => members,
        };
        visitor.visit_map(Members {
            members: members.into_iter(),
            value: None,
            skip_nulls: fields.is_some(),
            path: self.path,
        })
    }
}

/// Gives members the spelling of `fields`, those in exactly that spelling first.
///
/// # Errors
/// The name of a member that is there in two spellings.
pub(crate) fn respell(
    members: Map<String, Value>,
    fields: &[&str],
) -> Result<Map<String, Value>, String> {
    let mut all = Map::new();
    for (key, value) in members {
        let exact = fields.iter().find(|f| **f == key);
        let field = exact.or_else(|| fields.iter().find(|f| f.eq_ignore_ascii_case(&key)));
        let key = field.map_or(key, |f| (*f).to_owned());
        if all.contains_key(&key) {
            return Err(key);
        }
        all.insert(key, value);
    }
    Ok(all)
}

macro_rules! integers {
    ($($method:ident $type:ty, $name:literal;)*) => {$(
        fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
            self.number(visitor, $name, (i128::from(<$type>::MIN), i128::from(<$type>::MAX)))
        }
    )*};
}

impl<'de> Deserializer<'de> for Go {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match &self.value {
            Value::Null => visitor.visit_unit(),
            Value::Bool(b) => visitor.visit_bool(*b),
            Value::Number(n) => match (n.as_i64(), n.as_u64(), n.as_f64()) {
                (Some(n), _, _) => visitor.visit_i64(n),
                (_, Some(n), _) => visitor.visit_u64(n),
                (_, _, n) => visitor.visit_f64(n.unwrap_or_default()),
            },
            Value::String(_) => self.text(visitor),
            Value::Array(_) => self.list(visitor),
            Value::Object(_) => self.object(visitor, None, "map"),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_bool(false),
            Value::Bool(b) => visitor.visit_bool(b),
            _ => Err(self.wrong("bool")),
        }
    }

    integers! {
        deserialize_i8 i8, "int8";
        deserialize_i16 i16, "int16";
        deserialize_i32 i32, "int";
        deserialize_i64 i64, "int64";
        deserialize_u8 u8, "uint8";
        deserialize_u16 u16, "uint16";
        deserialize_u32 u32, "uint32";
        deserialize_u64 u64, "uint64";
    }

    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value.as_f64() {
            Some(n) => visitor.visit_f64(n),
            None if self.value.is_null() => visitor.visit_f64(0.0),
            None => Err(self.wrong("float64")),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_f64(visitor)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.text(visitor)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self.value {
            Value::Null => visitor.visit_none(),
            _ => visitor.visit_some(self),
        }
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.list(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        // Go fills what is missing of an array and leaves out what is too much.
        let mut value = self.value;
        if value.is_null() {
            value = Value::Array(Vec::new());
        }
        if let Value::Array(items) = &mut value {
            items.resize(length, Value::Null);
        }
        Self {
            value,
            path: self.path,
        }
        .list(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.object(visitor, None, "map[string]string")
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.object(visitor, Some(fields), name)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self.value {
            Value::String(text) => visitor.visit_enum(text.into_deserializer()),
            _ => Err(self.wrong("string")),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        i128 u128 char bytes byte_buf unit unit_struct tuple_struct identifier
    }
}

struct Items {
    items: std::vec::IntoIter<Value>,
    path: String,
}

impl<'de> SeqAccess<'de> for Items {
    type Error = Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(value) = self.items.next() else {
            return Ok(None);
        };
        let path = self.path.clone();
        seed.deserialize(Go { value, path }).map(Some)
    }
}

struct Members {
    members: serde_json::map::IntoIter,
    value: Option<Go>,
    /// A member of a struct that is null is left alone; a key of a map is there all the same.
    skip_nulls: bool,
    path: String,
}

impl<'de> MapAccess<'de> for Members {
    type Error = Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, Error> {
        for (key, value) in self.members.by_ref() {
            if self.skip_nulls && value.is_null() {
                continue;
            }
            let path = format!("{}.{key}", self.path);
            self.value = Some(Go { value, path });
            return seed.deserialize(key.into_deserializer()).map(Some);
        }
        Ok(None)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        match self.value.take() {
            Some(value) => seed.deserialize(value),
            None => Err(de::Error::custom("a value before its key")),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::container::{HealthConfig, HostConfig, MountSpec};

    use super::*;

    #[test]
    fn names_in_any_case_and_nulls_left_alone() {
        let value = json!({"type": "bind", "SOURCE": "/a", "Target": null,
            "bindoptions": {"nonrecursive": true, "propagation": null}, "other": 1});
        let spec: MountSpec = from_value(value).unwrap();
        assert_eq!((spec.kind.as_str(), spec.source.as_str()), ("bind", "/a"));
        assert!(spec.bind_options.unwrap().non_recursive && spec.target.is_empty());
        let host: HostConfig = from_value(json!({"PortBindings": {"80/tcp": null},
            "Dns": [null, "a"], "RestartPolicy": null, "ConsoleSize": [1],
            "LogConfig": {"TYPE": "none"}, "Tmpfs": {"/t": null}}))
        .unwrap();
        assert_eq!(host.port_bindings["80/tcp"], []);
        assert_eq!(host.dns, ["", "a"]);
        assert_eq!(host.console_size, [1, 0]);
        assert_eq!(
            (host.log_config.kind.as_str(), host.tmpfs["/t"].as_str()),
            ("none", "")
        );
    }

    #[test]
    fn gos_words() {
        let said = |value: Value| from_value::<HostConfig>(value).unwrap_err();
        for (value, wanted) in [
            (
                json!({"Memory": "1"}),
                "cannot unmarshal string into Go struct field HostConfig.Memory of type int64",
            ),
            (
                json!({"Memory": 1.5}),
                "cannot unmarshal number 1.5 into Go struct field HostConfig.Memory of type int64",
            ),
            (
                json!({"Binds": "a"}),
                "cannot unmarshal string into Go struct field HostConfig.Binds of type []string",
            ),
            (
                json!({"RestartPolicy": {"Name": 1}}),
                "cannot unmarshal number into Go struct field HostConfig.RestartPolicy.Name of type string",
            ),
            (
                json!({"Privileged": {}}),
                "cannot unmarshal object into Go struct field HostConfig.Privileged of type bool",
            ),
        ] {
            assert_eq!(said(value), format!("invalid JSON: json: {wanted}"));
        }
        let twice = from_value::<HealthConfig>(json!({"Retries": 1, "retries": 2}));
        assert!(twice.unwrap_err().contains("there twice"));
    }
}
