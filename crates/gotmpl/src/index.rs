//! `index`, `slice` and `len`.

use std::borrow::Cow;

use crate::value::{Val, Value};

/// `index item key…`: `item[key]…`.
pub(crate) fn index(args: Vec<Value<'_>>) -> Result<Value<'_>, String> {
    let mut args = args.into_iter();
    let mut item = args.next().unwrap_or(Value::INVALID).unboxed();
    if let Val::Invalid = item.val {
        return Err("index of untyped nil".into());
    }
    for key in args {
        let key = key.unboxed();
        item = match &item.val {
            Val::Nil => return Err("index of nil pointer".into()),
            Val::List(list) => list
                .get(position(&key, list.len())?)
                .ok_or("reflect: slice index out of range")?,
            Val::Str(text) => {
                let at = position(&key, text.len())?;
                let byte = text.get(at).ok_or("reflect: string index out of range")?;
                Value::new(Val::Byte(*byte))
            }
            Val::Map(map) => match &key.val {
                Val::Str(name) => map.get(name).unwrap_or_else(|| map.zero()),
                Val::Invalid => return Err("value is nil; should be of type string".into()),
                val => {
                    let kind = val.type_name();
                    return Err(format!("value has type {kind}; should be string"));
                }
            },
            val => return Err(format!("can't index item of type {}", val.type_name())),
        };
    }
    Ok(item)
}

/// An index as a number that is not beyond `end`.
fn position(index: &Value<'_>, end: usize) -> Result<usize, String> {
    let number = match index.val {
        Val::Int(int) => int,
        // Go wraps, too: it turns the bits into a signed number.
        Val::Uint(uint) => uint as i64,
        Val::Byte(byte) => i64::from(byte),
        Val::Invalid => return Err("cannot index slice/array with nil".into()),
        _ => {
            return Err(format!(
                "cannot index slice/array with type {}",
                index.type_name()
            ));
        }
    };
    usize::try_from(number)
        .ok()
        .filter(|&at| at <= end)
        .ok_or_else(|| format!("index out of range: {number}"))
}

/// `slice item start end max`: `item[start:end:max]`.
pub(crate) fn slice(args: Vec<Value<'_>>) -> Result<Value<'_>, String> {
    let mut args = args.into_iter();
    let item = args.next().unwrap_or(Value::INVALID).unboxed();
    let indexes: Vec<_> = args.collect();
    if let Val::Invalid = item.val {
        return Err("slice of untyped nil".into());
    }
    if indexes.len() > 3 {
        return Err(format!("too many slice indexes: {}", indexes.len()));
    }
    let length = match &item.val {
        Val::Str(_) if indexes.len() == 3 => return Err("cannot 3-index slice a string".into()),
        Val::Str(text) => text.len(),
        Val::List(list) => list.len(),
        val => return Err(format!("can't slice item of type {}", val.type_name())),
    };
    let mut bounds = [0, length, length];
    for (bound, index) in bounds.iter_mut().zip(&indexes) {
        *bound = position(index, length)?;
    }
    let [start, end, max] = bounds;
    if start > end {
        return Err(format!("invalid slice index: {start} > {end}"));
    }
    if end > max {
        return Err(format!("invalid slice index: {end} > {max}"));
    }
    Ok(Value::new(match item.val {
        Val::List(list) => Val::List(list.slice(start, end)),
        Val::Str(Cow::Borrowed(text)) => Val::Str(Cow::Borrowed(&text[start..end])),
        Val::Str(Cow::Owned(text)) => Val::Str(Cow::Owned(text[start..end].to_vec())),
        other => other,
    }))
}

/// `len item`.
pub(crate) fn len(item: &Value<'_>) -> Result<i64, String> {
    let length = match &item.val {
        Val::Str(text) => text.len(),
        Val::List(list) => list.len(),
        Val::Map(map) => map.len(),
        Val::Nil => return Err("len of nil pointer".into()),
        Val::Invalid => return Err("reflect: call of reflect.Value.Type on zero Value".into()),
        val => return Err(format!("len of type {}", val.type_name())),
    };
    Ok(i64::try_from(length).unwrap_or(i64::MAX))
}
