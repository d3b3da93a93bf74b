//! A parsed template, and its pieces as error messages show them.

use std::fmt;

use crate::number::Number;
use crate::quote::quote;

/// A template and what it is called.
#[derive(Debug)]
pub(crate) struct Tree {
    /// The name `{{template}}` calls it by.
    pub(crate) name: String,
    /// What it does.
    pub(crate) root: Vec<Stmt>,
}

/// One step of a template.
#[derive(Debug)]
pub(crate) enum Stmt {
    /// Text to copy.
    Text(String),
    /// `{{pipeline}}`.
    Action(Pipe),
    /// `{{if}}`.
    If(Branches),
    /// `{{with}}`.
    With(Branches),
    /// `{{range}}`.
    Range(Loop),
    /// `{{template}}`, and `{{block}}` where it stands.
    Template(Call),
    /// `{{break}}`.
    Break,
    /// `{{continue}}`.
    Continue,
}

/// `{{if}}` or `{{with}}` with all its `{{else if}}`s: a list, so that long chains nest nothing.
#[derive(Debug)]
pub(crate) struct Branches {
    /// Conditions in order, each with what to do.
    pub(crate) arms: Vec<(Pipe, Vec<Stmt>)>,
    /// What to do if none holds.
    pub(crate) otherwise: Vec<Stmt>,
}

/// `{{range}}`.
#[derive(Debug)]
pub(crate) struct Loop {
    /// What to go over.
    pub(crate) pipe: Pipe,
    /// What to do for each element.
    pub(crate) body: Vec<Stmt>,
    /// What to do if there is none.
    pub(crate) otherwise: Vec<Stmt>,
}

/// `{{template "name" pipeline}}`.
#[derive(Debug)]
pub(crate) struct Call {
    /// Where the name stands.
    pub(crate) pos: usize,
    /// The template called.
    pub(crate) name: String,
    /// Its dot; nothing if absent.
    pub(crate) pipe: Option<Pipe>,
}

/// Commands, each one's value being the last argument of the next.
#[derive(Debug)]
pub(crate) struct Pipe {
    /// Where it starts.
    pub(crate) pos: usize,
    /// The variables set to its value.
    pub(crate) decl: Vec<String>,
    /// Whether those exist already.
    pub(crate) assign: bool,
    /// The commands, at least one.
    pub(crate) cmds: Vec<Command>,
}

/// An operand, or a function with its arguments.
#[derive(Debug)]
pub(crate) struct Command {
    /// Where it starts.
    pub(crate) pos: usize,
    /// The function and its arguments, at least one.
    pub(crate) args: Vec<Expr>,
}

/// An operand.
#[derive(Debug)]
pub(crate) struct Expr {
    /// Where it is; for `.A.B`, as Go has it, where `.B` is.
    pub(crate) pos: usize,
    /// What it is.
    pub(crate) term: Term,
}

/// The kinds of operands.
#[derive(Debug)]
pub(crate) enum Term {
    /// `true`, `false`.
    Bool(bool),
    /// `.`.
    Dot,
    /// `nil`.
    Nil,
    /// A number or character.
    Number(Number),
    /// A string: as written, and its value.
    Str(String, Vec<u8>),
    /// `.A.B`.
    Field(Vec<String>),
    /// `$x.A.B`; the first name has the dollar.
    Variable(Vec<String>),
    /// A function's name.
    Ident(String),
    /// `(pipeline)`.
    Pipe(Pipe),
    /// `(pipeline).A.B`.
    Chain(Box<Expr>, Vec<String>),
}

/// Whether there is nothing but white space in a template, so that another definition of the
/// same name may replace it.
pub(crate) fn is_empty(list: &[Stmt]) -> bool {
    list.iter()
        .all(|stmt| matches!(stmt, Stmt::Text(text) if text.trim().is_empty()))
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{{template {}", quote(self.name.as_bytes(), false))?;
        if let Some(pipe) = &self.pipe {
            write!(f, " {pipe}")?;
        }
        f.write_str("}}")
    }
}

impl fmt::Display for Pipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.decl.is_empty() {
            let sign = if self.assign { "=" } else { ":=" };
            write!(f, "{} {sign} ", self.decl.join(", "))?;
        }
        for (i, cmd) in self.cmds.iter().enumerate() {
            if i > 0 {
                f.write_str(" | ")?;
            }
            write!(f, "{cmd}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, arg) in self.args.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            parenthesized(f, arg)?;
        }
        Ok(())
    }
}

fn parenthesized(f: &mut fmt::Formatter<'_>, expr: &Expr) -> fmt::Result {
    match &expr.term {
        Term::Pipe(pipe) => write!(f, "({pipe})"),
        _ => write!(f, "{expr}"),
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.term {
            Term::Bool(value) => write!(f, "{value}"),
            Term::Dot => f.write_str("."),
            Term::Nil => f.write_str("nil"),
            Term::Number(number) => f.write_str(&number.text),
            Term::Str(text, _) | Term::Ident(text) => f.write_str(text),
            Term::Field(names) => write!(f, ".{}", names.join(".")),
            Term::Variable(names) => f.write_str(&names.join(".")),
            Term::Pipe(pipe) => write!(f, "{pipe}"),
            Term::Chain(inner, names) => {
                parenthesized(f, inner)?;
                write!(f, ".{}", names.join("."))
            }
        }
    }
}
