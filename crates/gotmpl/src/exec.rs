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

    /// Runs `step` one level deeper.
    pub(super) fn deeper<T>(
        &mut self,
        step: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.depth == MAX_DEPTH {
            return Err(self.error(format!("exceeded maximum template depth ({MAX_DEPTH})")));
        }
        self.depth += 1;
        let result = step(self);
        self.depth -= 1;
        result
    }

    fn walk(&mut self, dot: &Value<'a>, list: &'a [Stmt]) -> Result<Flow, Error> {
        for stmt in list {
            let flow = match stmt {
                Stmt::Text(text) => {
                    self.out.extend_from_slice(text.as_bytes());
                    Flow::Next
                }
                Stmt::Action(pipe) => {
                    let value = self.pipeline(dot, pipe)?;
                    if pipe.decl.is_empty() {
                        self.show(&value);
                    }
                    Flow::Next
                }
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

    fn show(&mut self, value: &Value<'_>) {
        match value.val {
            Val::Invalid | Val::Nil => self.out.extend_from_slice(b"<no value>"),
            _ => self.out.append(&mut print(value)),
        }
    }

    fn branches(
        &mut self,
        dot: &Value<'a>,
        branches: &'a Branches,
        with: bool,
    ) -> Result<Flow, Error> {
        let vars = self.vars.len();
        let mut chosen = (dot.clone(), branches.otherwise.as_slice());
        for (pipe, list) in &branches.arms {
            let value = self.pipeline(dot, pipe)?;
            if value.val.truth() {
                chosen = (if with { value } else { dot.clone() }, list);
                break;
            }
        }
        let flow = self.deeper(|state| state.walk(&chosen.0, chosen.1))?;
        self.vars.truncate(vars);
        Ok(flow)
    }

    fn range(&mut self, dot: &Value<'a>, range: &'a Loop) -> Result<Flow, Error> {
        let vars = self.vars.len();
        let value = self.pipeline(dot, &range.pipe)?;
        let ran = match &value.val {
            Val::Invalid | Val::Nil => false,
            Val::List(list) => {
                let elements = list.iter().enumerate();
                let index = |i: usize| Value::new(Val::Int(i64::try_from(i).unwrap_or(i64::MAX)));
                self.elements(range, elements.map(|(i, element)| (index(i), element)))?
            }
            Val::Map(map) => {
                let entries = map.sorted().into_iter();
                let key = |key: &'a str| Value::new(Val::Str(key.as_bytes().into()));
                self.elements(range, entries.map(|(name, element)| (key(name), element)))?
            }
            Val::Int(_) | Val::Uint(_) | Val::Byte(_) if range.pipe.decl.len() > 1 => {
                let shown = in_message(&value, 'v');
                return Err(self.error(format!(
                    "can't use {shown} to iterate over more than one variable"
                )));
            }
            Val::Int(count) => {
                let numbers = (0..*count).map(|i| Value::new(Val::Int(i)));
                self.elements(range, numbers.map(|number| (Value::INVALID, number)))?
            }
            Val::Uint(count) => {
                let numbers = (0..*count).map(|i| Value::new(Val::Uint(i)));
                self.elements(range, numbers.map(|number| (Value::INVALID, number)))?
            }
            Val::Byte(count) => {
                let numbers = (0..*count).map(|i| Value::new(Val::Byte(i)));
                self.elements(range, numbers.map(|number| (Value::INVALID, number)))?
            }
            _ => {
                let shown = in_message(&value, 'v');
                return Err(self.error(format!("range can't iterate over {shown}")));
            }
        };
        let mut flow = Flow::Next;
        if !ran {
            flow = self.deeper(|state| state.walk(dot, &range.otherwise))?;
        }
        self.vars.truncate(vars);
        Ok(flow)
    }

    /// Executes the body for each element with its index. Tells whether there was any.
    fn elements(
        &mut self,
        range: &'a Loop,
        elements: impl Iterator<Item = (Value<'a>, Value<'a>)>,
    ) -> Result<bool, Error> {
        let vars = self.vars.len();
        let mut ran = false;
        for (index, element) in elements {
            ran = true;
            self.assign(range, &index, &element)?;
            let flow = self.deeper(|state| state.walk(&element, &range.body))?;
            self.vars.truncate(vars);
            if flow == Flow::Break {
                break;
            }
        }
        Ok(ran)
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
        self.deeper(|state| {
            let dot = match &call.pipe {
                Some(pipe) => state.pipeline(dot, pipe)?,
                None => Value::INVALID,
            };
            // A template sees no variables but its own dollar.
            let vars = std::mem::replace(&mut state.vars, vec![("$", dot.clone())]);
            let outer = std::mem::replace(&mut state.tree, tree);
            state.walk(&dot, &tree.root)?;
            state.tree = outer;
            state.vars = vars;
            Ok(Flow::Next)
        })
    }
}
