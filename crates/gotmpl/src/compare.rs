//! `eq` and its relatives. Go compares values of the same basic kind only: no integer equals a
//! float, and nothing but strings and numbers has an order.

use crate::fmt::in_message;
use crate::value::{List, Map, Val, Value};

const BAD_TYPE: &str = "invalid type for comparison";
const INCOMPATIBLE: &str = "incompatible types for comparison";

/// The basic kinds, with integers of both signednesses as one.
#[derive(Debug, Clone, Copy)]
enum Basic<'v> {
    Bool(bool),
    Int(i128),
    Float(f64),
    Str(&'v [u8]),
}

fn basic<'v>(val: &'v Val<'_>) -> Option<Basic<'v>> {
    Some(match val {
        Val::Bool(value) => Basic::Bool(*value),
        Val::Int(int) => Basic::Int(i128::from(*int)),
        Val::Uint(uint) => Basic::Int(i128::from(*uint)),
        Val::Byte(byte) => Basic::Int(i128::from(*byte)),
        Val::Float(float) => Basic::Float(*float),
        Val::Str(text) => Basic::Str(text),
        Val::Invalid | Val::Nil | Val::List(_) | Val::Map(_) => return None,
    })
}

/// Whether the first value equals any of the others.
pub(crate) fn eq(args: Vec<Value<'_>>) -> Result<bool, String> {
    let mut args = args.into_iter().map(Value::unboxed);
    let first = args.next().ok_or("missing argument for comparison")?;
    if args.len() == 0 {
        return Err("missing argument for comparison".into());
    }
    for other in args {
        if equal(&first, &other)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn equal(first: &Value<'_>, other: &Value<'_>) -> Result<bool, String> {
    match (basic(&first.val), basic(&other.val)) {
        (Some(Basic::Bool(a)), Some(Basic::Bool(b))) => Ok(a == b),
        (Some(Basic::Int(a)), Some(Basic::Int(b))) => Ok(a == b),
        (Some(Basic::Float(a)), Some(Basic::Float(b))) => Ok(a == b),
        (Some(Basic::Str(a)), Some(Basic::Str(b))) => Ok(a == b),
        (None, None) => equal_others(first, other),
        _ if is_invalid(first) || is_invalid(other) => Ok(false),
        _ => Err(INCOMPATIBLE.into()),
    }
}

fn is_invalid(value: &Value<'_>) -> bool {
    matches!(value.val, Val::Invalid)
}

fn is_nil(value: &Value<'_>) -> bool {
    matches!(
        value.val,
        Val::Invalid | Val::Nil | Val::List(List::Nil) | Val::Map(Map::Strings(None))
    )
}

/// Lists, maps and nothing: these can only be compared with nothing.
fn equal_others(first: &Value<'_>, other: &Value<'_>) -> Result<bool, String> {
    let lists = |value: &Value<'_>| matches!(value.val, Val::List(_));
    if !is_invalid(first) && !is_invalid(other) && lists(first) != lists(other) {
        return Err(format!(
            "non-comparable types {}: {}, {}: {}",
            in_message(first, 's'),
            first.type_name(),
            other.type_name(),
            in_message(other, 'v')
        ));
    }
    if is_nil(first) || is_nil(other) {
        return Ok(is_nil(first) == is_nil(other));
    }
    Err(format!(
        "non-comparable type {}: {}",
        in_message(other, 's'),
        other.type_name()
    ))
}

/// Whether the first of two values is less than the second.
pub(crate) fn lt(first: &Value<'_>, other: &Value<'_>) -> Result<bool, String> {
    let a = basic(&first.val).ok_or(BAD_TYPE)?;
    let b = basic(&other.val).ok_or(BAD_TYPE)?;
    match (a, b) {
        (Basic::Int(a), Basic::Int(b)) => Ok(a < b),
        (Basic::Float(a), Basic::Float(b)) => Ok(a < b),
        (Basic::Str(a), Basic::Str(b)) => Ok(a < b),
        (Basic::Bool(_), Basic::Bool(_)) => Err(BAD_TYPE.into()),
        _ => Err(INCOMPATIBLE.into()),
    }
}
