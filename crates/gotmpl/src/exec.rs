//! Executes the statements of a template; `eval` has the expressions.

use std::collections::HashMap;
use std::fmt::Display;

use crate::ast::{Branches, Call, Command, Expr, Loop, Pipe, Stmt, Tree};
use crate::error::Error;
use crate::fmt::{in_message, print};
use crate::options::Options;
use crate::quote::quote;
use crate::value::{Val, Value};

/// How deep templates, blocks and parentheses may be nested at run time. Go allows 100,000
/// templates inside one another; the stack of a thread does not, and JSON nests 128 levels only.
const MAX_DEPTH: usize = 500;

/// Where the machine is.
#[derive(Debug, Clone, Copy)]
pub(super) enum At<'a> {
    /// Before the first step.
    Start,
    Expr(&'a Expr),
    Command(&'a Command),
    Pipe(&'a Pipe),
    Call(&'a Call),
}

/// What to execute, and how.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Program<'a> {
    /// The name of the whole.
    pub(crate) name: &'a str,
    /// Its text, to find lines and columns in.
    pub(crate) text: &'a str,
    /// All templates in it.
    pub(crate) trees: &'a HashMap<String, Tree>,
    /// The user's choices.
    pub(crate) options: &'a Options,
    /// Whether the data are the names of columns.
    pub(crate) header: bool,
}

/// An execution.
pub(super) struct State<'a> {
    program: Program<'a>,
    pub(super) options: &'a Options,
    pub(super) header: bool,
    tree: &'a Tree,
    out: Vec<u8>,
    pub(super) at: At<'a>,
    pub(super) vars: Vec<(&'a str, Value<'a>)>,
    depth: usize,
}

/// What a range goes over: indexes and elements.
type Elements<'a> = Box<dyn Iterator<Item = (Value<'a>, Value<'a>)> + 'a>;

/// What follows a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Next,
    Break,
    Continue,
}

/// Executes `program` and returns what it wrote, all of it or up to the error.
pub(crate) fn execute<'a>(
    program: Program<'a>,
    data: &'a serde_json::Value,
) -> (Vec<u8>, Result<(), Error>) {
    let Some(tree) = program.trees.get(program.name) else {
        let name = quote(program.name.as_bytes(), false);
        let message = format!(
            "template: {}: {name} is an incomplete or empty template",
            program.name
        );
        return (Vec::new(), Err(Error::Exec(message)));
    };
    let dot = Value::boxed(data).unboxed();
    let mut state = State {
        program,
        options: program.options,
        header: program.header,
        tree,
        out: Vec::new(),
        at: At::Start,
        vars: vec![("$", dot.clone())],
        depth: 0,
    };
    let result = state.walk(&dot, &tree.root).map(|_| ());
    (state.out, result)
}

impl<'a> State<'a> {
    /// An error where the machine is.
    pub(super) fn error(&self, message: impl Display) -> Error {
        let name = self.program.name;
        let (pos, context) = match self.at {
            At::Start => return Error::Exec(format!("template: {name}: {message}")),
            At::Expr(expr) => (expr.pos, expr.to_string()),
            At::Command(cmd) => (cmd.pos, cmd.to_string()),
            At::Pipe(pipe) => (pipe.pos, pipe.to_string()),
            At::Call(call) => (call.pos, call.to_string()),
        };
        let before = &self.program.text[..pos];
        let line = 1 + before.matches('\n').count();
        let column = before.rfind('\n').map_or(pos, |newline| pos - newline - 1);
        let tree = quote(self.tree.name.as_bytes(), false);
        Error::Exec(format!(
            "template: {name}:{line}:{column}: executing {tree} at <{context}>: {message}"
        ))
    }

    /// Goes one level deeper; the caller comes back by `leave`.
    pub(super) fn enter(&mut self) -> Result<(), Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("exceeded maximum template depth ({MAX_DEPTH})")));
        }
        self.depth += 1;
        Ok(())
    }

    /// Comes back from one level deeper. After an error nothing follows, so nobody needs to.
    pub(super) fn leave(&mut self) {
        self.depth -= 1;
    }

    fn walk(&mut self, dot: &Value<'a>, list: &'a [Stmt]) -> Result<Flow, Error> {
        for stmt in list {
            let flow = match stmt {
                Stmt::Text(text) => {
                    self.out.extend_from_slice(text.as_bytes());
                    Flow::Next
                }
                Stmt::Action(pipe) => self.action(dot, pipe)?,
                Stmt::If(branches) => self.branches(dot, branches, false)?,
                Stmt::With(branches) => self.branches(dot, branches, true)?,
                Stmt::Range(range) => self.range(dot, range)?,
                Stmt::Template(call) => self.template(dot, call)?,
                Stmt::Break => Flow::Break,
                Stmt::Continue => Flow::Continue,
            };
            if flow != Flow::Next {
                return Ok(flow);
            }
        }
        Ok(Flow::Next)
    }

    fn action(&mut self, dot: &Value<'a>, pipe: &'a Pipe) -> Result<Flow, Error> {
        let value = self.pipeline(dot, pipe)?;
        match value.val {
            _ if !pipe.decl.is_empty() => {}
            Val::Invalid | Val::Nil => self.out.extend_from_slice(b"<no value>"),
            _ => self.out.append(&mut print(&value)),
        }
        Ok(Flow::Next)
    }

    fn branches(
        &mut self,
        dot: &Value<'a>,
        branches: &'a Branches,
        with: bool,
    ) -> Result<Flow, Error> {
        let vars = self.vars.len();
        self.enter()?;
        let (value, list) = self.choose(dot, branches)?;
        let flow = match value {
            Some(value) if with => self.walk(&value, list)?,
            _ => self.walk(dot, list)?,
        };
        self.leave();
        self.vars.truncate(vars);
        Ok(flow)
    }

    /// The list to execute, with the value that decided for it.
    fn choose(
        &mut self,
        dot: &Value<'a>,
        branches: &'a Branches,
    ) -> Result<(Option<Value<'a>>, &'a [Stmt]), Error> {
        for (pipe, list) in &branches.arms {
            let value = self.pipeline(dot, pipe)?;
            if value.val.truth() {
                return Ok((Some(value), list));
            }
        }
        Ok((None, &branches.otherwise))
    }

    fn range(&mut self, dot: &Value<'a>, range: &'a Loop) -> Result<Flow, Error> {
        let vars = self.vars.len();
        let value = self.pipeline(dot, &range.pipe)?;
        let elements = self.elements(value, range.pipe.decl.len())?;
        self.enter()?;
        let inside = self.vars.len();
        let mut flow = Flow::Next;
        let mut ran = false;
        for (index, element) in elements {
            ran = true;
            self.assign(range, &index, &element)?;
            let left = self.walk(&element, &range.body)?;
            self.vars.truncate(inside);
            if left == Flow::Break {
                break;
            }
        }
        if !ran {
            flow = self.walk(dot, &range.otherwise)?;
        }
        self.leave();
        self.vars.truncate(vars);
        Ok(flow)
    }

    /// What `value` consists of, each with its index.
    fn elements(&self, value: Value<'a>, vars: usize) -> Result<Elements<'a>, Error> {
        let int = |i: usize| Value::new(Val::Int(i64::try_from(i).unwrap_or(i64::MAX)));
        let shown = match value.val {
            Val::Invalid | Val::Nil => return Ok(Box::new(std::iter::empty())),
            Val::List(list) => {
                let all = (0..list.len()).filter_map(move |i| Some((int(i), list.get(i)?)));
                return Ok(Box::new(all));
            }
            Val::Map(map) => {
                let key = |key: &'a str| Value::new(Val::Str(key.as_bytes().into()));
                return Ok(Box::new(
                    map.sorted().into_iter().map(move |(k, v)| (key(k), v)),
                ));
            }
            Val::Int(count) if vars < 2 => {
                let numbers = (0..count).map(|i| (Value::INVALID, Value::new(Val::Int(i))));
                return Ok(Box::new(numbers));
            }
            Val::Uint(count) if vars < 2 => {
                let numbers = (0..count).map(|i| (Value::INVALID, Value::new(Val::Uint(i))));
                return Ok(Box::new(numbers));
            }
            Val::Byte(count) if vars < 2 => {
                let numbers = (0..count).map(|i| (Value::INVALID, Value::new(Val::Byte(i))));
                return Ok(Box::new(numbers));
            }
            _ => in_message(&value, 'v'),
        };
        Err(self.error(match value.val {
            Val::Int(_) | Val::Uint(_) | Val::Byte(_) => {
                format!("can't use {shown} to iterate over more than one variable")
            }
            _ => format!("range can't iterate over {shown}"),
        }))
    }

    fn assign(
        &mut self,
        range: &'a Loop,
        index: &Value<'a>,
        element: &Value<'a>,
    ) -> Result<(), Error> {
        let values = match range.pipe.decl.len() {
            0 => return Ok(()),
            1 => vec![element],
            _ => vec![index, element],
        };
        let first = self.vars.len().saturating_sub(values.len());
        for (i, (name, value)) in range.pipe.decl.iter().zip(values).enumerate() {
            if range.pipe.assign {
                self.set_var(name, value.clone())?;
            } else if let Some(slot) = self.vars.get_mut(first + i) {
                slot.1 = value.clone();
            }
        }
        Ok(())
    }

    fn template(&mut self, dot: &Value<'a>, call: &'a Call) -> Result<Flow, Error> {
        self.at = At::Call(call);
        let Some(tree) = self.program.trees.get(&call.name) else {
            let name = quote(call.name.as_bytes(), false);
            return Err(self.error(format!("template {name} not defined")));
        };
        self.enter()?;
        let dot = match &call.pipe {
            Some(pipe) => self.pipeline(dot, pipe)?,
            None => Value::INVALID,
        };
        // A template sees no variables but its own dollar.
        let vars = std::mem::replace(&mut self.vars, vec![("$", dot.clone())]);
        let outer = std::mem::replace(&mut self.tree, tree);
        self.walk(&dot, &tree.root)?;
        self.tree = outer;
        self.vars = vars;
        self.leave();
        Ok(Flow::Next)
    }
}
