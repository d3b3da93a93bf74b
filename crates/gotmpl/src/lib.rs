//! Go's text/template language over JSON, for `--format`.
//!
//! Scripts around the world contain formats for docker, podman and kubectl, so this follows Go
//! to the letter: what is printed, how values compare, and what errors say. It is written from
//! the language's behaviour rather than from its subset that "should be enough", because the
//! formats people wrote over ten years use all of it. The golden tests hold what Go itself
//! printed.
//!
//! Data are [`serde_json::Value`]s. Go's templates see types that JSON does not have, so
//! [`Options`] tells which fields are typed, and lists of strings are always `[]string`.
//! Where Go versions differ the newer behaviour is implemented (`range` over integers,
//! `else with`, assignment in `range`).
//!
//! Templates come from users: parsing and rendering never panic, and nesting is bounded.

mod ast;
mod compare;
mod docker;
mod error;
mod escape;
mod eval;
mod exec;
mod float;
mod fmt;
mod funcs;
mod index;
mod json;
mod lex;
mod number;
mod operand;
mod options;
mod parse;
mod printf;
mod quote;
mod runes;
pub mod table;
mod tabwriter;
mod token;
mod value;

use std::collections::HashMap;

use serde_json::Value;

pub use error::Error;
pub use escape::query_escape;
pub use options::{FieldType, Method, MethodFn, MissingKey, Options};
pub use tabwriter::align;

/// A parsed template with all templates it defines.
#[derive(Debug)]
pub struct Template {
    name: String,
    text: String,
    trees: HashMap<String, ast::Tree>,
}

impl Template {
    /// Parses `text`. Errors call the template `name`; docker's have an empty one.
    pub fn parse(name: &str, text: &str) -> Result<Self, Error> {
        Ok(Self {
            name: name.to_owned(),
            text: text.to_owned(),
            trees: parse::parse(name, text)?,
        })
    }

    /// Renders the template with `data` as its dot. Bytes that are no UTF-8, which templates
    /// can make by cutting strings, become U+FFFD.
    pub fn render(&self, data: &Value, options: &Options) -> Result<String, Error> {
        let (out, result) = self.execute(data, options, false);
        result.map(|()| String::from_utf8_lossy(&out).into_owned())
    }

    /// Renders the names of columns, as far as it goes.
    fn header(&self, names: &Value, options: &Options) -> String {
        let (out, _) = self.execute(names, options, true);
        String::from_utf8_lossy(&out).into_owned()
    }

    fn execute(
        &self,
        data: &Value,
        options: &Options,
        header: bool,
    ) -> (Vec<u8>, Result<(), Error>) {
        let program = exec::Program {
            name: &self.name,
            text: &self.text,
            trees: &self.trees,
            options,
            header,
        };
        exec::execute(program, data)
    }
}
