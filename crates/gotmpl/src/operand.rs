//! The other half of the parser: pipelines, commands and operands.

use crate::ast::{Command, Expr, Pipe, Term};
use crate::error::Error;
use crate::funcs::is_function;
use crate::number::{Number, complex};
use crate::parse::Parser;
use crate::quote::{quote, unquote};
use crate::token::{Kind, Token, Word};

impl Parser<'_> {
    /// `declarations? command ('|' command)*` up to `end`.
    pub(super) fn pipeline(&mut self, context: &str, end: Kind) -> Result<Pipe, Error> {
        let pos = self.peek_non_space().pos;
        let mut pipe = Pipe {
            pos,
            decl: Vec::new(),
            assign: false,
            cmds: Vec::new(),
        };
        self.declarations(&mut pipe, context)?;
        loop {
            let token = self.peek_non_space().clone();
            match token.kind {
                kind if kind == end => {
                    self.next += 1;
                    break;
                }
                Kind::Bool
                | Kind::Char
                | Kind::Complex
                | Kind::Field
                | Kind::Ident
                | Kind::Number
                | Kind::Str
                | Kind::RawString
                | Kind::Variable
                | Kind::LeftParen
                | Kind::Word(Word::Dot | Word::Nil) => pipe.cmds.push(self.command()?),
                _ => return Err(self.unexpected(&token, context)),
            }
        }
        if pipe.cmds.is_empty() {
            return Err(self.error(format!("missing value for {context}")));
        }
        for (i, cmd) in pipe.cmds.iter().enumerate().skip(1) {
            if let Term::Bool(_) | Term::Dot | Term::Nil | Term::Number(_) | Term::Str(..) =
                cmd.args[0].term
            {
                let stage = i + 1;
                return Err(self.error(format!("non executable command in pipeline stage {stage}")));
            }
        }
        Ok(pipe)
    }

    /// `$x :=`, `$x =`, and in ranges `$i, $x :=`.
    fn declarations(&mut self, pipe: &mut Pipe, context: &str) -> Result<(), Error> {
        while self.peek_non_space().kind == Kind::Variable {
            let start = self.next;
            let name = self.token().text;
            let next = self.peek_non_space().clone();
            match next.kind {
                Kind::Assign | Kind::Declare => {
                    self.next += 1;
                    pipe.assign = next.kind == Kind::Assign;
                    pipe.decl.push(name.clone());
                    self.scope.vars.push(name);
                    return Ok(());
                }
                Kind::Punct if next.text == "," => {
                    self.next += 1;
                    pipe.decl.push(name.clone());
                    self.scope.vars.push(name);
                    if context != "range" || pipe.decl.len() > 1 {
                        return Err(self.error(format!("too many declarations in {context}")));
                    }
                    match self.peek_non_space().kind {
                        Kind::Variable | Kind::RightDelim | Kind::RightParen => {}
                        _ => return Err(self.error("range can only initialize variables")),
                    }
                }
                _ => {
                    // An operand, not a declaration.
                    self.next = start;
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Operands up to a pipe, which is read, or the end, which is not.
    fn command(&mut self) -> Result<Command, Error> {
        let pos = self.peek_non_space().pos;
        let mut args = Vec::new();
        loop {
            self.peek_non_space();
            args.extend(self.operand()?);
            let token = self.peek().clone();
            match token.kind {
                Kind::Space => self.next += 1,
                Kind::RightDelim | Kind::RightParen => break,
                Kind::Pipe => {
                    self.next += 1;
                    break;
                }
                _ => return Err(self.unexpected(&token, "operand")),
            }
        }
        if args.is_empty() {
            return Err(self.error("empty command"));
        }
        Ok(Command { pos, args })
    }

    /// `term .Field*`, or nothing if the next token starts no operand.
    fn operand(&mut self) -> Result<Option<Expr>, Error> {
        let Some(mut expr) = self.term()? else {
            return Ok(None);
        };
        if self.peek().kind != Kind::Field {
            return Ok(Some(expr));
        }
        let pos = self.peek().pos;
        let mut names = Vec::new();
        while self.peek().kind == Kind::Field {
            names.push(field_name(&self.token()));
        }
        match &mut expr.term {
            Term::Field(chain) | Term::Variable(chain) => {
                chain.append(&mut names);
                expr.pos = pos;
            }
            Term::Bool(_) | Term::Str(..) | Term::Number(_) | Term::Nil | Term::Dot => {
                let term = quote(expr.to_string().as_bytes(), false);
                return Err(self.error(format!("unexpected . after term {term}")));
            }
            Term::Ident(_) | Term::Pipe(_) | Term::Chain(..) => {
                expr = Expr {
                    pos,
                    term: Term::Chain(Box::new(expr), names),
                };
            }
        }
        Ok(Some(expr))
    }

    fn term(&mut self) -> Result<Option<Expr>, Error> {
        let start = self.next;
        let token = self.non_space();
        let text = token.text.as_str();
        let term = match token.kind {
            Kind::Ident if is_function(text) => Term::Ident(token.text),
            Kind::Ident => {
                let name = quote(text.as_bytes(), false);
                return Err(self.error(format!("function {name} not defined")));
            }
            Kind::Word(Word::Dot) => Term::Dot,
            Kind::Word(Word::Nil) => Term::Nil,
            Kind::Variable => {
                if !self.scope.vars.contains(&token.text) {
                    let name = quote(text.as_bytes(), false);
                    return Err(self.error(format!("undefined variable {name}")));
                }
                Term::Variable(vec![token.text])
            }
            Kind::Field => Term::Field(vec![field_name(&token)]),
            Kind::Bool => Term::Bool(text == "true"),
            Kind::Char => Term::Number(Number::character(text).map_err(|why| self.error(why))?),
            Kind::Number => Term::Number(Number::parse(text).map_err(|why| self.error(why))?),
            Kind::Complex => return Err(self.error(complex(text))),
            Kind::LeftParen => {
                let pipe =
                    self.nested(|p| p.pipeline("parenthesized pipeline", Kind::RightParen))?;
                return Ok(Some(Expr {
                    pos: pipe.pos,
                    term: Term::Pipe(pipe),
                }));
            }
            Kind::Str | Kind::RawString => {
                let value = unquote(text).map_err(|why| self.error(why))?;
                Term::Str(token.text, value)
            }
            _ => {
                self.next = start;
                return Ok(None);
            }
        };
        Ok(Some(Expr {
            pos: token.pos,
            term,
        }))
    }
}

/// The name in `.name`.
fn field_name(token: &Token) -> String {
    token.text.trim_start_matches('.').to_owned()
}
