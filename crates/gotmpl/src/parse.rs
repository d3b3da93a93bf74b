//! Builds a template out of tokens: the statements. Pipelines and operands are in `operand`.

use std::collections::HashMap;
use std::fmt::Display;

use crate::ast::{Branches, Call, Loop, Pipe, Stmt, Tree, is_empty};
use crate::error::Error;
use crate::lex::lex;
use crate::quote::{quote, unquote};
use crate::token::{Kind, Token, Word};

/// How deep blocks and parentheses may nest. Formats people write stay below ten; the bound
/// keeps hostile ones from exhausting the stack, here and in execution.
pub(crate) const MAX_NESTING: usize = 100;

/// Parses `text` as the template `name` and all templates it defines.
pub(crate) fn parse(name: &str, text: &str) -> Result<HashMap<String, Tree>, Error> {
    let mut parser = Parser {
        name,
        tokens: lex(text),
        next: 0,
        seen: 0,
        scope: Scope::new(),
        nesting: 0,
        trees: HashMap::new(),
    };
    let root = parser.top()?;
    parser.add(name.to_owned(), root)?;
    Ok(parser.trees)
}

/// What ends a list of statements.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    End,
    Else,
}

impl Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::End => "{{end}}",
            Self::Else => "{{else}}",
        })
    }
}

enum Item {
    Stmt(Stmt),
    Stop(Stop),
    /// `{{else if` or `{{else with`; the word is still to be read.
    ElseWord,
}

/// What belongs to one template, `{{define}}`d or not.
pub(super) struct Scope {
    /// The variables declared so far.
    pub(super) vars: Vec<String>,
    loops: usize,
    /// The line on which the current action started; 0 outside actions.
    action_line: usize,
}

impl Scope {
    fn new() -> Self {
        Self {
            vars: vec!["$".into()],
            loops: 0,
            action_line: 0,
        }
    }
}

/// The parser; `operand` has its other half.
pub(super) struct Parser<'t> {
    name: &'t str,
    tokens: Vec<Token>,
    pub(super) next: usize,
    /// The furthest token looked at; Go names its line in errors.
    seen: usize,
    pub(super) scope: Scope,
    nesting: usize,
    trees: HashMap<String, Tree>,
}

impl Parser<'_> {
    /// An error at the furthest token.
    pub(super) fn error(&self, message: impl Display) -> Error {
        let line = self.tokens[self.seen].line;
        Error::Parse(format!("template: {}:{line}: {message}", self.name))
    }

    /// Reads a token; at the end, the last one again.
    pub(super) fn token(&mut self) -> Token {
        let token = self.peek().clone();
        self.next += 1;
        token
    }

    pub(super) fn peek(&mut self) -> &Token {
        self.next = self.next.min(self.tokens.len() - 1);
        self.seen = self.seen.max(self.next);
        &self.tokens[self.next]
    }

    pub(super) fn peek_non_space(&mut self) -> &Token {
        while self.peek().kind == Kind::Space {
            self.next += 1;
        }
        self.peek()
    }

    pub(super) fn non_space(&mut self) -> Token {
        self.peek_non_space();
        self.token()
    }

    pub(super) fn unexpected(&self, token: &Token, context: &str) -> Error {
        if token.kind != Kind::Error {
            return self.error(format!("unexpected {token} in {context}"));
        }
        let started = self.scope.action_line;
        if started == 0 || started == token.line {
            return self.error(token);
        }
        // "unclosed action in action started" would say it twice.
        let link = if token.text.ends_with(" action") {
            ""
        } else {
            " in action"
        };
        self.error(format!("{token}{link} started at {}:{started}", self.name))
    }

    fn expect(&mut self, kind: Kind, context: &str) -> Result<(), Error> {
        let token = self.non_space();
        if token.kind == kind {
            return Ok(());
        }
        Err(self.unexpected(&token, context))
    }

    /// Runs `parse` one level deeper.
    pub(super) fn nested<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        if self.nesting == MAX_NESTING {
            return Err(self.error(format!(
                "nested deeper than {MAX_NESTING} levels; simplify it"
            )));
        }
        self.nesting += 1;
        let result = parse(self);
        self.nesting -= 1;
        result
    }

    fn add(&mut self, name: String, root: Vec<Stmt>) -> Result<(), Error> {
        if self.trees.get(&name).is_none_or(|old| is_empty(&old.root)) {
            self.trees.insert(name.clone(), Tree { name, root });
        } else if !is_empty(&root) {
            let name = quote(name.as_bytes(), false);
            return Err(self.error(format!("template: multiple definition of template {name}")));
        }
        Ok(())
    }

    fn top(&mut self) -> Result<Vec<Stmt>, Error> {
        let mut root = Vec::new();
        while self.peek().kind != Kind::Eof {
            let start = self.next;
            if self.token().kind == Kind::LeftDelim
                && self.non_space().kind == Kind::Word(Word::Define)
            {
                self.separate(Self::define)?;
                continue;
            }
            self.next = start;
            match self.item()? {
                Item::Stmt(stmt) => root.push(stmt),
                Item::Stop(stop) => return Err(self.error(format!("unexpected {stop}"))),
                Item::ElseWord => return Err(self.error(format!("unexpected {}", Stop::Else))),
            }
        }
        Ok(root)
    }

    /// Runs `parse` for a template of its own inside this one.
    fn separate<T>(
        &mut self,
        parse: impl FnOnce(&mut Self) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let outer = std::mem::replace(&mut self.scope, Scope::new());
        let result = self.nested(parse);
        self.scope = outer;
        result
    }

    fn define(&mut self) -> Result<(), Error> {
        const CONTEXT: &str = "define clause";
        let name = self.template_name(CONTEXT)?;
        self.expect(Kind::RightDelim, CONTEXT)?;
        let (root, stop) = self.list()?;
        match stop {
            Item::Stop(Stop::End) => self.add(name, root),
            _ => Err(self.error(format!("unexpected {} in {CONTEXT}", Stop::Else))),
        }
    }

    fn template_name(&mut self, context: &str) -> Result<String, Error> {
        let token = self.non_space();
        if !matches!(token.kind, Kind::Str | Kind::RawString) {
            return Err(self.unexpected(&token, context));
        }
        let name = unquote(&token.text).map_err(|message| self.error(message))?;
        Ok(String::from_utf8_lossy(&name).into_owned())
    }

    /// Statements up to `{{end}}` or `{{else`, which is returned.
    fn list(&mut self) -> Result<(Vec<Stmt>, Item), Error> {
        let mut list = Vec::new();
        while self.peek_non_space().kind != Kind::Eof {
            match self.item()? {
                Item::Stmt(stmt) => list.push(stmt),
                stop => return Ok((list, stop)),
            }
        }
        Err(self.error("unexpected EOF"))
    }

    fn item(&mut self) -> Result<Item, Error> {
        let token = self.non_space();
        match token.kind {
            Kind::Text => Ok(Item::Stmt(Stmt::Text(token.text))),
            Kind::LeftDelim => {
                self.scope.action_line = token.line;
                let item = self.nested(Self::action);
                self.scope.action_line = 0;
                item
            }
            _ => Err(self.unexpected(&token, "input")),
        }
    }

    fn action(&mut self) -> Result<Item, Error> {
        let start = self.next;
        let word = match self.non_space().kind {
            Kind::Word(word) => Some(word),
            _ => None,
        };
        Ok(Item::Stmt(match word {
            Some(Word::Block) => self.block()?,
            Some(Word::Break) => self.leave("{{break}}", Stmt::Break)?,
            Some(Word::Continue) => self.leave("{{continue}}", Stmt::Continue)?,
            Some(Word::Else) => return self.else_clause(),
            Some(Word::End) => {
                self.expect(Kind::RightDelim, "end")?;
                return Ok(Item::Stop(Stop::End));
            }
            Some(word @ Word::If) => Stmt::If(self.branches(word, "if")?),
            Some(word @ Word::With) => Stmt::With(self.branches(word, "with")?),
            Some(Word::Range) => self.range()?,
            Some(Word::Template) => self.template()?,
            _ => {
                self.next = start;
                Stmt::Action(self.pipeline("command", Kind::RightDelim)?)
            }
        }))
    }

    fn else_clause(&mut self) -> Result<Item, Error> {
        if let Kind::Word(Word::If | Word::With) = self.peek_non_space().kind {
            return Ok(Item::ElseWord);
        }
        self.expect(Kind::RightDelim, "else")?;
        Ok(Item::Stop(Stop::Else))
    }

    fn leave(&mut self, what: &str, stmt: Stmt) -> Result<Stmt, Error> {
        let token = self.non_space();
        if token.kind != Kind::RightDelim {
            return Err(self.unexpected(&token, what));
        }
        if self.scope.loops == 0 {
            return Err(self.error(format!("{what} outside {{{{range}}}}")));
        }
        Ok(stmt)
    }

    /// `{{if}}` and `{{with}}`. `{{else with}}` is newer than `{{else if}}`, but as old as
    /// today's docker.
    fn branches(&mut self, word: Word, context: &str) -> Result<Branches, Error> {
        let vars = self.scope.vars.len();
        let mut arms = Vec::new();
        let otherwise = loop {
            let pipe = self.pipeline(context, Kind::RightDelim)?;
            let (list, stop) = self.list()?;
            arms.push((pipe, list));
            match stop {
                Item::Stop(Stop::Else) => break self.last_list()?,
                Item::ElseWord => {
                    let token = self.non_space();
                    if token.kind != Kind::Word(word) {
                        return Err(self.unexpected(&token, "input"));
                    }
                }
                _ => break Vec::new(),
            }
        };
        self.scope.vars.truncate(vars);
        Ok(Branches { arms, otherwise })
    }

    /// The list after `{{else}}`, which nothing but `{{end}}` may end.
    fn last_list(&mut self) -> Result<Vec<Stmt>, Error> {
        match self.list()? {
            (list, Item::Stop(Stop::End)) => Ok(list),
            _ => Err(self.error(format!("expected end; found {}", Stop::Else))),
        }
    }

    fn range(&mut self) -> Result<Stmt, Error> {
        let vars = self.scope.vars.len();
        let pipe = self.pipeline("range", Kind::RightDelim)?;
        self.scope.loops += 1;
        let (body, stop) = self.list()?;
        self.scope.loops -= 1;
        let otherwise = match stop {
            Item::Stop(Stop::End) => Vec::new(),
            Item::Stop(Stop::Else) => self.last_list()?,
            _ => {
                let token = self.non_space();
                return Err(self.unexpected(&token, "input"));
            }
        };
        self.scope.vars.truncate(vars);
        Ok(Stmt::Range(Loop {
            pipe,
            body,
            otherwise,
        }))
    }

    fn template(&mut self) -> Result<Stmt, Error> {
        const CONTEXT: &str = "template clause";
        let pos = self.peek_non_space().pos;
        let name = self.template_name(CONTEXT)?;
        let mut pipe = None;
        if self.peek_non_space().kind == Kind::RightDelim {
            self.next += 1;
        } else {
            pipe = Some(self.pipeline(CONTEXT, Kind::RightDelim)?);
        }
        Ok(Stmt::Template(Call { pos, name, pipe }))
    }

    fn block(&mut self) -> Result<Stmt, Error> {
        const CONTEXT: &str = "block clause";
        let pos = self.peek_non_space().pos;
        let name = self.template_name(CONTEXT)?;
        let pipe: Pipe = self.pipeline(CONTEXT, Kind::RightDelim)?;
        let header = self.seen;
        self.separate(|parser| {
            let (root, stop) = parser.list()?;
            match stop {
                Item::Stop(Stop::End) => parser.add(name.clone(), root),
                _ => {
                    // Go blames the line the block starts on.
                    parser.seen = header;
                    Err(parser.error(format!("unexpected {} in {CONTEXT}", Stop::Else)))
                }
            }
        })?;
        Ok(Stmt::Template(Call {
            pos,
            name,
            pipe: Some(pipe),
        }))
    }
}
