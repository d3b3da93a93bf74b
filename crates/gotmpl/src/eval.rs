//! Evaluates pipelines. The machine notes where it is before each step as Go's does, so that
//! errors name the same place.

use std::borrow::Cow;

use crate::ast::{Command, Expr, Pipe, Term};
use crate::error::Error;
use crate::exec::{At, State};
use crate::funcs::{Func, Param, convert, function, header_function};
use crate::options::{FieldType, MissingKey};
use crate::quote::quote;
use crate::value::{List, Map, Val, Value};

impl<'a> State<'a> {
    /// The value of `pipe`, with its variables set.
    pub(super) fn pipeline(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Result<Value<'a>, Error> {
        self.at = At::Pipe(pipe);
        let mut last = None;
        for cmd in &pipe.cmds {
            last = Some(self.command(dot, cmd, last)?.unboxed());
        }
        let value = last.unwrap_or(Value::INVALID);
        for name in &pipe.decl {
            if pipe.assign {
                self.set_var(name, value.clone())?;
            } else {
                self.vars.push((name, value.clone()));
            }
        }
        Ok(value)
    }

    /// A pipeline in parentheses.
    fn inner(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Result<Value<'a>, Error> {
        self.enter()?;
        let value = self.pipeline(dot, pipe)?;
        self.leave();
        Ok(value)
    }

    pub(super) fn set_var(&mut self, name: &str, value: Value<'a>) -> Result<(), Error> {
        match self.vars.iter_mut().rev().find(|(var, _)| *var == name) {
            Some((_, old)) => *old = value,
            None => return Err(self.error(format!("undefined variable: {name}"))),
        }
        Ok(())
    }

    fn var(&self, name: &str) -> Result<Value<'a>, Error> {
        let found = self.vars.iter().rev().find(|(var, _)| *var == name);
        found
            .map(|(_, value)| value.clone())
            .ok_or_else(|| self.error(format!("undefined variable: {name}")))
    }

    fn command(
        &mut self,
        dot: &Value<'a>,
        cmd: &'a Command,
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        let first = &cmd.args[0];
        let args = &cmd.args[1..];
        match &first.term {
            Term::Field(names) => {
                self.at = At::Expr(first);
                self.fields(dot, dot.clone(), names, args, last)
            }
            Term::Chain(inner, names) => self.chain(dot, first, inner, names, args, last),
            Term::Variable(names) => self.variable(dot, first, names, args, last),
            Term::Ident(name) => self.call(dot, name, At::Command(cmd), first, args, last),
            Term::Pipe(pipe) => {
                self.no_arguments(first, args, &last)?;
                self.inner(dot, pipe)
            }
            _ => {
                self.at = At::Expr(first);
                self.no_arguments(first, args, &last)?;
                self.constant(dot, first)
            }
        }
    }

    fn no_arguments(
        &self,
        expr: &Expr,
        args: &[Expr],
        last: &Option<Value<'a>>,
    ) -> Result<(), Error> {
        if args.is_empty() && last.is_none() {
            return Ok(());
        }
        Err(self.error(format!("can't give argument to non-function {expr}")))
    }

    /// The value of a constant or of the dot, where any type will do.
    fn constant(&mut self, dot: &Value<'a>, expr: &'a Expr) -> Result<Value<'a>, Error> {
        match &expr.term {
            Term::Bool(value) => Ok(Value::new(Val::Bool(*value))),
            Term::Dot => Ok(dot.clone()),
            Term::Str(_, text) => Ok(Value::new(Val::Str(Cow::Borrowed(text)))),
            Term::Number(number) => {
                if let Some(float) = number.float {
                    Ok(Value::new(Val::Float(float)))
                } else if let Some(int) = number.int {
                    Ok(Value::new(Val::Int(int)))
                } else {
                    Err(self.error(format!("{} overflows int", number.text)))
                }
            }
            Term::Nil => Err(self.error("nil is not a command")),
            _ => {
                let text = quote(expr.to_string().as_bytes(), false);
                Err(self.error(format!("can't evaluate command {text}")))
            }
        }
    }

    fn variable(
        &mut self,
        dot: &Value<'a>,
        expr: &'a Expr,
        names: &'a [String],
        args: &'a [Expr],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        self.at = At::Expr(expr);
        let value = self.var(&names[0])?;
        if names.len() == 1 {
            self.no_arguments(expr, args, &last)?;
            return Ok(value);
        }
        self.fields(dot, value, &names[1..], args, last)
    }

    fn chain(
        &mut self,
        dot: &Value<'a>,
        expr: &'a Expr,
        inner: &'a Expr,
        names: &'a [String],
        args: &'a [Expr],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        self.at = At::Expr(expr);
        let value = self.operand(dot, inner)?;
        self.fields(dot, value, names, args, last)
    }

    /// `.A.B.C`; only the last one may be a method and get the arguments.
    fn fields(
        &mut self,
        dot: &Value<'a>,
        mut value: Value<'a>,
        names: &'a [String],
        args: &'a [Expr],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        let Some((name, before)) = names.split_last() else {
            return Ok(value);
        };
        for name in before {
            value = self.field(dot, value, name, &[], None)?;
        }
        self.field(dot, value, name, args, last)
    }

    fn field(
        &mut self,
        dot: &Value<'a>,
        value: Value<'a>,
        name: &'a str,
        args: &'a [Expr],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        let quoted = || quote(name.as_bytes(), false);
        let map = match value.val {
            Val::Map(map) => map,
            Val::Invalid if self.options.missing_key == MissingKey::Error => {
                return Err(self.error(format!("nil data; no entry for key {}", quoted())));
            }
            Val::Invalid => return Ok(Value::INVALID),
            Val::Nil => {
                let message = format!("nil pointer evaluating interface {{}}.{name}");
                return Err(self.error(message));
            }
            _ => {
                let kind = value.type_name();
                return Err(self.error(format!("can't evaluate field {name} in type {kind}")));
            }
        };
        if let Some(json) = map.json()
            && let Some(method) = self
                .options
                .methods
                .iter()
                .find(|method| method.name == name)
        {
            let expected = method.args;
            let count = args.len() + usize::from(last.is_some());
            if count != expected {
                let message =
                    format!("wrong number of args for {name}: want {expected} got {count}");
                return Err(self.error(message));
            }
            let at = self.at;
            let mut texts = Vec::with_capacity(count);
            for arg in args {
                texts.push(self.argument(dot, Param::Str, arg)?);
            }
            if let Some(last) = last {
                texts.push(convert(last, Param::Str).map_err(|why| self.error(why))?);
            }
            let texts: Vec<_> = texts.iter().map(text).collect();
            return (method.run)(json, &texts)
                .map(Value::string)
                .map_err(|why| {
                    self.at = at;
                    self.error(format!("error calling {name}: {why}"))
                });
        }
        if !args.is_empty() || last.is_some() {
            return Err(self.error(format!("{name} is not a method but has arguments")));
        }
        match (map.get(name.as_bytes()), self.options.missing_key) {
            (Some(found), _) => Ok(self.typed(name, found)),
            (None, MissingKey::Zero) => Ok(map.zero()),
            // Docker's maps of strings are fields of structs, which tell nothing of their keys.
            (None, MissingKey::Error) if matches!(map, Map::Any(_)) => {
                Err(self.error(format!("map has no entry for key {}", quoted())))
            }
            (None, _) => Ok(Value::INVALID),
        }
    }

    /// Gives the value of a field the Go type it is known to have.
    fn typed(&self, name: &str, value: Value<'a>) -> Value<'a> {
        let Some(field_type) = self.options.field_type else {
            return value;
        };
        let val = match (field_type(name), &value.val) {
            (FieldType::StringMap, Val::Nil) => Val::Map(Map::Strings(None)),
            (FieldType::StringMap, Val::Map(Map::Any(map)))
                if map.values().all(serde_json::Value::is_string) =>
            {
                Val::Map(Map::Strings(Some(map)))
            }
            (FieldType::List, Val::Nil) => Val::List(List::Nil),
            _ => return value,
        };
        Value::new(val)
    }

    /// Calls the function `name`; `node` is what errors of the function itself are said to be at.
    fn call(
        &mut self,
        dot: &Value<'a>,
        name: &str,
        node: At<'a>,
        expr: &'a Expr,
        args: &'a [Expr],
        last: Option<Value<'a>>,
    ) -> Result<Value<'a>, Error> {
        self.at = At::Expr(expr);
        let func = if self.header {
            header_function(name)
        } else {
            function(name)
        };
        let Some(func) = func else {
            let name = quote(name.as_bytes(), false);
            return Err(self.error(format!("{name} is not a defined function")));
        };
        self.check_count(name, &func, args.len(), last.is_some())?;
        let param = |i: usize| {
            func.fixed
                .get(i)
                .copied()
                .or(func.rest)
                .unwrap_or(Param::Value)
        };
        let stop_at = match name {
            "and" => Some(false),
            "or" => Some(true),
            _ => None,
        };
        let mut values = Vec::with_capacity(args.len() + 1);
        for (i, arg) in args.iter().enumerate() {
            let value = self.argument(dot, param(i), arg)?;
            if stop_at == Some(value.val.truth()) {
                return Ok(value);
            }
            values.push(value);
        }
        if let Some(last) = last {
            values.push(convert(last, param(values.len())).map_err(|why| self.error(why))?);
        }
        (func.run)(values).map_err(|why| {
            self.at = node;
            self.error(format!("error calling {name}: {why}"))
        })
    }

    fn check_count(&self, name: &str, func: &Func, args: usize, piped: bool) -> Result<(), Error> {
        let given = args + usize::from(piped);
        let wanted = func.fixed.len();
        if func.rest.is_some() && given < wanted {
            // Go counts only the arguments written here.
            let message =
                format!("wrong number of args for {name}: want at least {wanted} got {args}");
            return Err(self.error(message));
        }
        if func.rest.is_none() && given != wanted {
            let message = format!("wrong number of args for {name}: want {wanted} got {given}");
            return Err(self.error(message));
        }
        Ok(())
    }

    /// The value of an operand that is not a constant.
    fn operand(&mut self, dot: &Value<'a>, expr: &'a Expr) -> Result<Value<'a>, Error> {
        self.at = At::Expr(expr);
        match &expr.term {
            Term::Field(names) => self.fields(dot, dot.clone(), names, &[], None),
            Term::Variable(names) => self.variable(dot, expr, names, &[], None),
            Term::Pipe(pipe) => self.inner(dot, pipe),
            Term::Ident(name) => self.call(dot, name, At::Expr(expr), expr, &[], None),
            Term::Chain(inner, names) => self.chain(dot, expr, inner, names, &[], None),
            _ => self.constant(dot, expr),
        }
    }

    /// The value of an operand as a parameter of the type `param`.
    fn argument(
        &mut self,
        dot: &Value<'a>,
        param: Param,
        expr: &'a Expr,
    ) -> Result<Value<'a>, Error> {
        self.at = At::Expr(expr);
        match (&expr.term, param) {
            (Term::Nil, Param::Value) => return Ok(Value::INVALID),
            (Term::Nil, Param::Any) => return Ok(Value::NIL),
            (Term::Nil, Param::Strings) => return Ok(Value::new(Val::List(List::Nil))),
            (Term::Nil, _) => {
                return Err(self.error(format!("cannot assign nil to {}", param.type_name())));
            }
            (Term::Number(number), Param::Int) => {
                if let Some(int) = number.int {
                    return Ok(Value::new(Val::Int(int)));
                }
                return Err(self.error(format!("expected integer; found {expr}")));
            }
            (Term::Bool(_) | Term::Str(..), Param::Int) => {
                return Err(self.error(format!("expected integer; found {expr}")));
            }
            (Term::Bool(_) | Term::Number(_), Param::Str) => {
                return Err(self.error(format!("expected string; found {expr}")));
            }
            (Term::Bool(_) | Term::Number(_) | Term::Str(..), Param::Strings) => {
                let kind = param.type_name();
                return Err(self.error(format!("can't handle {expr} for arg of type {kind}")));
            }
            _ => {}
        }
        let value = self.operand(dot, expr)?;
        convert(value, param).map_err(|why| self.error(why))
    }
}

fn text(value: &Value<'_>) -> String {
    match &value.val {
        Val::Str(text) => String::from_utf8_lossy(text).into_owned(),
        _ => String::new(),
    }
}
