//! The values templates compute with: JSON seen as the Go values docker would have in its place.

use std::borrow::Cow;
use std::sync::Arc;

use serde_json::{Map as JsonMap, Value as Json};

/// A value, and whether Go would hold it in an `interface {}` (as elements of untyped maps and
/// lists are held), which shows in errors and decides what `nil` is.
#[derive(Debug, Clone)]
pub(crate) struct Value<'a> {
    /// The value itself.
    pub(crate) val: Val<'a>,
    /// Whether it is the content of an interface.
    pub(crate) boxed: bool,
}

/// The kinds of values.
#[derive(Debug, Clone)]
pub(crate) enum Val<'a> {
    /// No value at all: a missing key, or an unpacked `nil`.
    Invalid,
    /// JSON's null: an interface with nothing in it.
    Nil,
    Bool(bool),
    Int(i64),
    /// Only numbers that do not fit `Int`.
    Uint(u64),
    /// A byte of an indexed string.
    Byte(u8),
    Float(f64),
    Str(Cow<'a, [u8]>),
    List(List<'a>),
    Map(Map<'a>),
}

/// A list.
#[derive(Debug, Clone)]
pub(crate) enum List<'a> {
    /// Of mixed elements: `[]interface {}`.
    Any(&'a [Json]),
    /// Of strings only: `[]string`, which `join` demands.
    Strings(&'a [Json]),
    /// The result of `split`, or a part of it.
    Owned(Arc<[Vec<u8>]>, usize, usize),
    /// A list the API writes as null.
    Nil,
}

/// An object.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Map<'a> {
    /// `map[string]interface {}`.
    Any(&'a JsonMap<String, Json>),
    /// `map[string]string`; none if the API writes it as null.
    Strings(Option<&'a JsonMap<String, Json>>),
}

impl<'a> Value<'a> {
    /// No value.
    pub(crate) const INVALID: Self = Self {
        val: Val::Invalid,
        boxed: false,
    };

    /// An empty interface.
    pub(crate) const NIL: Self = Self {
        val: Val::Nil,
        boxed: true,
    };

    /// A value on its own.
    pub(crate) fn new(val: Val<'a>) -> Self {
        Self { val, boxed: false }
    }

    /// A string on its own.
    pub(crate) fn string(text: impl Into<Vec<u8>>) -> Self {
        Self::new(Val::Str(Cow::Owned(text.into())))
    }

    /// An element of an untyped map or list.
    pub(crate) fn boxed(json: &'a Json) -> Self {
        Self {
            val: Val::from_json(json),
            boxed: true,
        }
    }

    /// The value outside of its interface; an empty one becomes no value.
    pub(crate) fn unboxed(mut self) -> Self {
        self.boxed = false;
        if let Val::Nil = self.val {
            self.val = Val::Invalid;
        }
        self
    }

    /// The name of its Go type.
    pub(crate) fn type_name(&self) -> &'static str {
        if self.boxed {
            "interface {}"
        } else {
            self.val.type_name()
        }
    }
}

impl<'a> Val<'a> {
    fn from_json(json: &'a Json) -> Self {
        match json {
            Json::Null => Self::Nil,
            Json::Bool(value) => Self::Bool(*value),
            Json::Number(number) => {
                if let Some(int) = number.as_i64() {
                    Self::Int(int)
                } else if let Some(uint) = number.as_u64() {
                    Self::Uint(uint)
                } else {
                    Self::Float(number.as_f64().unwrap_or(f64::NAN))
                }
            }
            Json::String(text) => Self::Str(Cow::Borrowed(text.as_bytes())),
            Json::Array(list) => {
                let strings = !list.is_empty() && list.iter().all(Json::is_string);
                Self::List(if strings {
                    List::Strings(list)
                } else {
                    List::Any(list)
                })
            }
            Json::Object(map) => Self::Map(Map::Any(map)),
        }
    }

    /// The name of its Go type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Invalid => "<nil>",
            Self::Nil => "interface {}",
            Self::Bool(_) => "bool",
            Self::Int(_) => "int",
            Self::Uint(_) => "uint64",
            Self::Byte(_) => "uint8",
            Self::Float(_) => "float64",
            Self::Str(_) => "string",
            Self::List(list) => list.type_name(),
            Self::Map(map) => map.type_name(),
        }
    }

    /// Go's truth: not zero, not empty, not absent.
    pub(crate) fn truth(&self) -> bool {
        match self {
            Self::Invalid | Self::Nil => false,
            Self::Bool(value) => *value,
            Self::Int(int) => *int != 0,
            Self::Uint(uint) => *uint != 0,
            Self::Byte(byte) => *byte != 0,
            Self::Float(float) => *float != 0.0,
            Self::Str(text) => !text.is_empty(),
            Self::List(list) => list.len() > 0,
            Self::Map(map) => map.len() > 0,
        }
    }
}

impl<'a> List<'a> {
    /// The name of its Go type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Any(_) | Self::Nil => "[]interface {}",
            Self::Strings(_) | Self::Owned(..) => "[]string",
        }
    }

    /// How many elements there are.
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Any(list) | Self::Strings(list) => list.len(),
            Self::Owned(_, start, end) => end - start,
            Self::Nil => 0,
        }
    }

    /// The element at `at`.
    pub(crate) fn get(&self, at: usize) -> Option<Value<'a>> {
        match self {
            Self::Any(list) => list.get(at).map(Value::boxed),
            Self::Strings(list) => list.get(at).map(|json| Value::boxed(json).unboxed()),
            Self::Owned(list, start, end) => list[*start..*end]
                .get(at)
                .map(|text| Value::string(text.clone())),
            Self::Nil => None,
        }
    }

    /// The elements.
    pub(crate) fn iter(&self) -> impl Iterator<Item = Value<'a>> {
        (0..self.len()).filter_map(|at| self.get(at))
    }

    /// The elements from `start` to before `end`, which must exist.
    pub(crate) fn slice(&self, start: usize, end: usize) -> Self {
        match self {
            Self::Any(list) => Self::Any(&list[start..end]),
            Self::Strings(list) => Self::Strings(&list[start..end]),
            Self::Owned(list, from, _) => Self::Owned(Arc::clone(list), from + start, from + end),
            Self::Nil => Self::Nil,
        }
    }
}

impl<'a> Map<'a> {
    /// The name of its Go type.
    pub(crate) fn type_name(&self) -> &'static str {
        match self {
            Self::Any(_) => "map[string]interface {}",
            Self::Strings(_) => "map[string]string",
        }
    }

    /// The object itself.
    pub(crate) fn json(&self) -> Option<&'a JsonMap<String, Json>> {
        match self {
            Self::Any(map) => Some(map),
            Self::Strings(map) => *map,
        }
    }

    /// How many entries there are.
    pub(crate) fn len(&self) -> usize {
        self.json().map_or(0, JsonMap::len)
    }

    fn element(&self, json: &'a Json) -> Value<'a> {
        let value = Value::boxed(json);
        match self {
            Self::Any(_) => value,
            Self::Strings(_) => value.unboxed(),
        }
    }

    /// The entry for `key`.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Value<'a>> {
        let key = std::str::from_utf8(key).ok()?;
        Some(self.element(self.json()?.get(key)?))
    }

    /// What a typed map has for keys it does not have.
    pub(crate) fn zero(&self) -> Value<'a> {
        match self {
            Self::Any(_) => Value::NIL,
            Self::Strings(_) => Value::new(Val::Str(Cow::Borrowed(b""))),
        }
    }

    /// The entries in the order of their keys, in which Go prints and ranges over maps.
    pub(crate) fn sorted(&self) -> Vec<(&'a str, Value<'a>)> {
        let mut entries: Vec<_> = self
            .json()
            .into_iter()
            .flatten()
            .map(|(key, json)| (key.as_str(), self.element(json)))
            .collect();
        entries.sort_by_key(|(key, _)| *key);
        entries
    }
}
