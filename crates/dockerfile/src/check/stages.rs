//! Rules that follow a stage from its base on.

use std::collections::{BTreeMap, BTreeSet};

use super::bases::{self, Values};
use super::{Found, rules};
use crate::{
    Command, Copy, Dockerfile, Instruction, Located, Patterns, Run, Source, Span, Stage, expand,
    expand_raw,
};

/// What is known at a point of a stage.
#[derive(Clone, Debug, Default)]
struct Scope {
    /// Variables with values.
    values: Values,
    /// Arguments, also those without a value.
    arguments: BTreeSet<String>,
    /// More variables may come from an image that nobody has looked at.
    unknown: bool,
    workdir: bool,
    shell: bool,
}

/// The stages' rules and what they need.
struct Walk<'a> {
    escape: char,
    ignore: Option<&'a Patterns>,
    build_args: &'a BTreeMap<String, String>,
    globals: Values,
    found: &'a mut Found,
}

pub(super) fn run(
    file: &Dockerfile,
    ignore: Option<&Patterns>,
    build_args: &BTreeMap<String, String>,
    bases: &BTreeMap<String, Vec<String>>,
    found: &mut Found,
) {
    let mut walk = Walk {
        escape: file.directives.escape,
        ignore,
        build_args,
        globals: bases::values(file, build_args),
        found,
    };
    let mut done: BTreeMap<String, Scope> = BTreeMap::new();
    let notes = &file.notes.instructions;
    for stage in &file.stages {
        let image = bases::image(stage, walk.escape, &walk.globals);
        let mut scope = match (done.get(&image.to_lowercase()), bases.get(&image)) {
            (Some(scope), _) => scope.clone(),
            (None, Some(environment)) => Scope {
                values: Values(
                    environment
                        .iter()
                        .filter_map(|pair| pair.split_once('='))
                        .map(|(name, value)| (name.to_owned(), value.to_owned()))
                        .collect(),
                ),
                ..Scope::default()
            },
            (None, None) => Scope {
                unknown: image != "scratch",
                ..Scope::default()
            },
        };
        // BuildKit sets it where the base has none.
        let path = scope.values.0.entry("PATH".to_owned());
        path.or_insert_with(|| "/usr/bin".to_owned());
        walk.once(stage, |span| {
            let at = notes.binary_search_by_key(&span.line, |note| note.span.line);
            at.map_or_else(|_| String::new(), |at| notes[at].keyword.clone())
        });
        for instruction in &stage.instructions {
            walk.instruction(&mut scope, instruction);
        }
        if let Some(name) = &stage.from.name {
            done.insert(name.clone(), scope);
        }
    }
}

impl Walk<'_> {
    /// Of some instructions only the last counts.
    fn once(&mut self, stage: &Stage, written: impl Fn(Span) -> String) {
        let mut last: BTreeMap<&str, Span> = BTreeMap::new();
        for instruction in &stage.instructions {
            let name = match instruction.value {
                Instruction::Cmd(_) => "CMD",
                Instruction::Entrypoint(_) => "ENTRYPOINT",
                Instruction::Healthcheck(_) => "HEALTHCHECK",
                _ => continue,
            };
            if let Some(before) = last.insert(name, instruction.span) {
                let name = written(before);
                self.found.add(
                    &rules::MULTIPLE_INSTRUCTIONS_DISALLOWED,
                    before,
                    format!(
                        "Multiple {name} instructions should not be used in the same stage \
                         because only the last one will be used"
                    ),
                );
            }
        }
    }

    fn instruction(&mut self, scope: &mut Scope, instruction: &Located<Instruction>) {
        let span = instruction.span;
        match &instruction.value {
            Instruction::Arg(arguments) => {
                for argument in arguments {
                    self.secret("ARG", &argument.name, span);
                    let default = argument.default.as_ref();
                    let default = default.map(|word| self.word(scope, word, span).0);
                    let name = argument.name.clone();
                    let value = self.build_args.get(&name).cloned().or(default);
                    let value = value.or_else(|| self.globals.0.get(&name).cloned());
                    if let Some(value) = value {
                        scope.values.0.insert(name.clone(), value);
                    }
                    scope.arguments.insert(name);
                }
            }
            Instruction::Env(pairs) => {
                // All see what was before the instruction.
                let mut expanded = Vec::new();
                for (name, value) in pairs {
                    let (name, _) = self.word(scope, name, span);
                    let (value, _) = self.word(scope, value, span);
                    self.secret("ENV", &name, span);
                    expanded.push((name, value));
                }
                for (name, value) in expanded {
                    scope.arguments.remove(&name);
                    scope.values.0.insert(name, value);
                }
            }
            Instruction::Label(pairs) => {
                for (name, value) in pairs {
                    self.word(scope, name, span);
                    self.word(scope, value, span);
                }
            }
            Instruction::Copy(copy) => self.copy(scope, copy, "Copy", span),
            Instruction::Add(copy) => self.copy(scope, copy, "Add", span),
            Instruction::Run(run) => self.run(scope, run, span),
            Instruction::Workdir(path) => {
                let (path, whole) = self.word(scope, path, span);
                if !scope.workdir && whole && !path.starts_with('/') {
                    self.found.add(
                        &rules::WORKDIR_RELATIVE_PATH,
                        span,
                        format!(
                            "Relative workdir {path:?} can have unexpected results if the base \
                             image changes"
                        ),
                    );
                }
                scope.workdir = true;
            }
            Instruction::User(word) | Instruction::Stopsignal(word) => {
                self.word(scope, word, span);
            }
            Instruction::Volume(words) => {
                for word in words {
                    self.word(scope, word, span);
                }
            }
            Instruction::Expose(ports) => {
                for port in ports {
                    self.port(scope, port, span);
                }
            }
            Instruction::Shell(_) => scope.shell = true,
            Instruction::Cmd(command) => self.json(scope, "CMD", command, span),
            Instruction::Entrypoint(command) => self.json(scope, "ENTRYPOINT", command, span),
            Instruction::Healthcheck(_) | Instruction::Onbuild(_) | Instruction::Maintainer(_) => {}
        }
    }

    /// Expands a word, and tells what has no value; false if that is so.
    fn word(&mut self, scope: &Scope, word: &str, span: Span) -> (String, bool) {
        match expand(word, self.escape, &scope.values) {
            Ok(read) => {
                self.unmatched(scope, &read.unmatched, span);
                (read.text, read.unmatched.is_empty())
            }
            Err(_) => (word.to_owned(), false),
        }
    }

    fn unmatched(&mut self, scope: &Scope, names: &[String], span: Span) {
        for name in names {
            if scope.arguments.contains(name) || name.starts_with("BUILDKIT_SBOM_SCAN_") {
                continue;
            }
            let known = scope.values.0.keys().chain(&scope.arguments);
            let known: Vec<&str> = known.map(String::as_str).collect();
            let near = crate::suggest::nearest(name, &known);
            if near.is_none() && scope.unknown {
                continue;
            }
            let meant = near.map_or(String::new(), |near| format!(" (did you mean ${near}?)"));
            self.found.add(
                &rules::UNDEFINED_VAR,
                span,
                format!("Usage of undefined variable '${name}'{meant}"),
            );
        }
    }

    fn copy(&mut self, scope: &Scope, copy: &Copy, name: &str, span: Span) {
        let flags = [&copy.chown, &copy.chmod, &copy.checksum];
        for word in flags.into_iter().flatten().chain([&copy.target]) {
            self.word(scope, word, span);
        }
        for source in &copy.sources {
            let path = match source {
                Source::Path(path) => path,
                Source::Heredoc(document) => {
                    if document.expand
                        && let Ok(read) = expand_raw(&document.content, '\\', &scope.values)
                    {
                        self.unmatched(scope, &read.unmatched, span);
                    }
                    continue;
                }
            };
            let (path, whole) = self.word(scope, path, span);
            let remote = path.contains("://") || path.starts_with("git@");
            let Some(ignore) = self.ignore else {
                continue;
            };
            // Where something comes back, what a source comes to is not seen from here.
            if !whole || remote || copy.from.is_some() || ignore.has_exceptions() {
                continue;
            }
            if ignore.ignores(&path) {
                let path = crate::ignore::clean(&path);
                self.found.add(
                    &rules::COPY_IGNORED_FILE,
                    span,
                    format!("Attempting to {name} file {path:?} that is excluded by .dockerignore"),
                );
            }
        }
    }

    /// Of a command only mounts are expanded here; the rest is the shell's.
    fn run(&mut self, scope: &Scope, run: &Run, span: Span) {
        for mount in &run.mounts {
            for value in mount.fields.iter().filter_map(|(_, value)| value.as_ref()) {
                self.word(scope, value, span);
            }
        }
    }

    fn port(&mut self, scope: &Scope, port: &str, span: Span) {
        let (port, _) = self.word(scope, port, span);
        for port in port.split_whitespace() {
            let (number, protocol) = port.split_once('/').unwrap_or((port, ""));
            if protocol != protocol.to_lowercase() {
                self.found.add(
                    &rules::EXPOSE_PROTO_CASING,
                    span,
                    format!("Defined protocol '{port}' in EXPOSE instruction should be lowercase"),
                );
            }
            if number.contains(':') {
                self.found.add(
                    &rules::EXPOSE_INVALID_FORMAT,
                    span,
                    format!(
                        "EXPOSE instruction should not define an IP address or host-port \
                         mapping, found '{port}'"
                    ),
                );
            }
        }
    }

    fn json(&mut self, scope: &Scope, name: &str, command: &Command, span: Span) {
        let shell = matches!(command, Command::Shell(text) if !text.is_empty());
        if shell && !scope.shell {
            self.found.add(
                &rules::JSON_ARGS_RECOMMENDED,
                span,
                format!(
                    "JSON arguments recommended for {name} to prevent unintended behavior \
                     related to OS signals"
                ),
            );
        }
    }

    /// Names that say that what they hold must not be in an image.
    fn secret(&mut self, keyword: &str, name: &str, span: Span) {
        const SECRET: [&str; 10] = [
            "apikey",
            "auth",
            "credential",
            "credentials",
            "key",
            "password",
            "pword",
            "passwd",
            "secret",
            "token",
        ];
        const HARMLESS: [&str; 3] = ["public", "file", "version"];
        let lower = name.to_lowercase();
        let has = |list: &[&str]| lower.split('_').any(|part| list.contains(&part));
        if has(&SECRET) && !has(&HARMLESS) {
            self.found.add(
                &rules::SECRETS_USED_IN_ARG_OR_ENV,
                span,
                format!(
                    "Do not use ARG or ENV instructions for sensitive data ({keyword} {name:?})"
                ),
            );
        }
    }
}
