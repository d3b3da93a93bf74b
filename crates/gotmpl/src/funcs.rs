//! The functions templates can call, with the types of their parameters.

use crate::compare::{eq, lt};
use crate::fmt::sprint;
use crate::printf::sprintf;
use crate::value::{List, Val, Value};
use crate::{docker, escape, index, json};

/// The type of a parameter; Go checks arguments before it calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Param {
    /// Anything, as it is.
    Value,
    /// Anything, out of its interface.
    Any,
    /// `string`.
    Str,
    /// `int`.
    Int,
    /// `[]string`.
    Strings,
}

impl Param {
    /// The name of the Go type.
    pub(crate) fn type_name(self) -> &'static str {
        match self {
            Self::Value => "reflect.Value",
            Self::Any => "interface {}",
            Self::Str => "string",
            Self::Int => "int",
            Self::Strings => "[]string",
        }
    }
}

/// What runs a function. Arguments are of the types declared.
type Run = for<'a> fn(Vec<Value<'a>>) -> Result<Value<'a>, String>;

/// A function.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Func {
    /// The parameters it must have.
    pub(crate) fixed: &'static [Param],
    /// The type of any number of further ones.
    pub(crate) rest: Option<Param>,
    /// Its code.
    pub(crate) run: Run,
}

/// Whether a template may name this function.
pub(crate) fn is_function(name: &str) -> bool {
    function(name).is_some()
}

/// The function called `name`.
pub(crate) fn function(name: &str) -> Option<Func> {
    use Param::{Any, Int, Str, Strings, Value as V};
    const fn func(fixed: &'static [Param], rest: Option<Param>, run: Run) -> Func {
        Func { fixed, rest, run }
    }
    Some(match name {
        // These two are special: the evaluator stops at the argument that decides.
        "and" | "or" => func(&[V], Some(V), |mut args| {
            Ok(args.pop().unwrap_or(Value::INVALID))
        }),
        "call" => func(&[V], Some(V), call),
        "html" => func(&[], Some(Any), |args| text(escape::html(args))),
        "index" => func(&[V], Some(V), index::index),
        "slice" => func(&[V], Some(V), index::slice),
        "js" => func(&[], Some(Any), |args| text(escape::js(args))),
        "len" => func(&[V], None, |args| {
            Ok(Value::new(Val::Int(index::len(&args[0])?)))
        }),
        "not" => func(&[V], None, |args| boolean(!args[0].val.truth())),
        "print" => func(&[], Some(Any), |args| text(sprint(&args))),
        "printf" => func(&[Str], Some(Any), |args| {
            text(sprintf(bytes(&args[0]), &args[1..]))
        }),
        "println" => func(&[], Some(Any), |args| text(sprintln(args))),
        "urlquery" => func(&[], Some(Any), |args| text(escape::urlquery(args))),
        "eq" => func(&[V], Some(V), |args| boolean(eq(args)?)),
        "ne" => func(&[V, V], None, |args| boolean(!eq(args)?)),
        "lt" => func(&[V, V], None, |args| boolean(lt(&args[0], &args[1])?)),
        "le" => func(&[V, V], None, |args| boolean(le(args)?)),
        "gt" => func(&[V, V], None, |args| boolean(!le(args)?)),
        "ge" => func(&[V, V], None, |args| boolean(!lt(&args[0], &args[1])?)),
        "json" => func(&[Any], None, |args| text(json::encode(&args[0]))),
        "split" => func(&[Str, Str], None, |args| {
            Ok(docker::split(bytes(&args[0]), bytes(&args[1])))
        }),
        "join" => func(&[Strings, Str], None, |args| match &args[0].val {
            Val::List(list) => text(docker::join(list, bytes(&args[1]))),
            _ => text(""),
        }),
        "title" => func(&[Str], None, |args| text(docker::title(bytes(&args[0])))),
        "lower" => func(&[Str], None, |args| text(docker::lower(bytes(&args[0])))),
        "upper" => func(&[Str], None, |args| text(docker::upper(bytes(&args[0])))),
        "pad" => func(&[Str, Int, Int], None, |args| {
            text(docker::pad(bytes(&args[0]), int(&args[1]), int(&args[2]))?)
        }),
        "truncate" => func(&[Str, Int], None, |args| {
            text(docker::truncate(bytes(&args[0]), int(&args[1]))?)
        }),
        _ => return None,
    })
}

/// The function called `name` while the header of a table is printed: those that would change
/// the name of a column leave it alone, and take the name even where they want a list.
pub(crate) fn header_function(name: &str) -> Option<Func> {
    const SAME: Run = |mut args| Ok(args.swap_remove(0));
    let fixed: &[Param] = match name {
        "json" | "title" | "lower" | "upper" => &[Param::Str],
        "split" | "join" => &[Param::Str, Param::Str],
        "truncate" => &[Param::Str, Param::Int],
        _ => return function(name),
    };
    Some(Func {
        fixed,
        rest: None,
        run: SAME,
    })
}

fn text<'a>(text: impl Into<Vec<u8>>) -> Result<Value<'a>, String> {
    Ok(Value::string(text))
}

fn boolean<'a>(value: bool) -> Result<Value<'a>, String> {
    Ok(Value::new(Val::Bool(value)))
}

fn bytes<'v>(value: &'v Value<'_>) -> &'v [u8] {
    match &value.val {
        Val::Str(text) => text,
        _ => b"",
    }
}

fn int(value: &Value<'_>) -> i64 {
    match value.val {
        Val::Int(int) => int,
        _ => 0,
    }
}

fn le(args: Vec<Value<'_>>) -> Result<bool, String> {
    Ok(lt(&args[0], &args[1])? || eq(args)?)
}

fn sprintln(args: Vec<Value<'_>>) -> Vec<u8> {
    let lines: Vec<_> = args.iter().map(crate::fmt::print).collect();
    let mut out = lines.join(&b' ');
    out.push(b'\n');
    out
}

/// JSON has no functions, so this can only say what it was given instead.
fn call(mut args: Vec<Value<'_>>) -> Result<Value<'_>, String> {
    match args.swap_remove(0).unboxed().val {
        Val::Invalid => Err("call of nil".into()),
        val => Err(format!("non-function of type {}", val.type_name())),
    }
}

/// Whether the value can be had as a parameter of the type; `join` takes every list of strings,
/// and null, as docker's own lists are never of mixed types.
pub(crate) fn convert<'a>(value: Value<'a>, param: Param) -> Result<Value<'a>, String> {
    match (param, &value.val) {
        (Param::Value, _) => return Ok(value),
        (Param::Any, Val::Invalid) => return Ok(Value::NIL),
        (Param::Any, _) => return Ok(Value::new(value.val)),
        (Param::Strings, Val::Invalid | Val::Nil) => {
            return Ok(Value::new(Val::List(List::Nil)));
        }
        (Param::Strings, Val::List(list))
            if list
                .iter()
                .all(|element| matches!(element.val, Val::Str(_))) =>
        {
            return Ok(value.unboxed());
        }
        (Param::Str, Val::Str(_)) | (Param::Int, Val::Int(_)) => return Ok(value.unboxed()),
        (_, Val::Invalid) => {
            return Err(format!("invalid value; expected {}", param.type_name()));
        }
        _ => {}
    }
    Err(format!(
        "wrong type for value; expected {}; got {}",
        param.type_name(),
        value.val.type_name()
    ))
}
