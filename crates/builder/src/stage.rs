//! Working through one stage.

use std::{collections::BTreeMap, os::fd::AsFd};

use dockerfile::{Argument, Dockerfile, Instruction, Located, expand};
use image::{CacheRecord, Digest, Held, Step};
use serde_json::json;

use crate::{
    copy,
    draft::Draft,
    error::{Error, Result},
    keys, meta,
    place::Place,
    plan::{self, Origin, Planned},
    remote, run,
    select::clean,
    session::Running,
    solve::{Solver, full},
    vars::{Args, PROXIES, Scope, platform_args},
};

/// One stage on its way.
pub(crate) struct StageRun<'s, 'a> {
    pub solver: &'s Solver<'a>,
    pub index: usize,
    pub planned: &'s Planned<'a>,
    pub draft: Draft,
    pub args: Args,
    /// Predefined arguments that an `ARG` may take up.
    predefined: BTreeMap<String, String>,
    /// A `CMD` of this stage's own.
    cmd_set: bool,
    pub no_cache: bool,
    /// Of the last step that made a record.
    pub parent: Option<Digest>,
    done: usize,
    /// Instructions that were worked through.
    done_instructions: usize,
    total: usize,
}

/// Whether a step is numbered and told.
fn is_step(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_) | Instruction::Workdir(_)
    )
}

impl<'s, 'a> StageRun<'s, 'a> {
    pub(crate) fn new(solver: &'s Solver<'a>, index: usize) -> Result<Self> {
        let planned = solver
            .plan
            .stages
            .get(index)
            .ok_or_else(|| Error::invalid(format!("there is no stage {index}")))?;
        let target = &solver.plan.stages[solver.plan.target];
        let filter = &solver.request.no_cache_filter;
        Ok(Self {
            solver,
            index,
            planned,
            draft: Draft::default(),
            args: Args::default(),
            predefined: platform_args(&solver.plan.platform, &target.name),
            cmd_set: false,
            no_cache: solver.request.no_cache
                || filter.iter().any(|f| f.eq_ignore_ascii_case(&planned.name)),
            parent: None,
            done: 1,
            done_instructions: 0,
            total: 1,
        })
    }

    fn file(&self) -> &'a Dockerfile {
        self.solver.plan.file
    }

    pub(crate) fn escape(&self) -> char {
        self.file().directives.escape
    }

    /// Variables as an instruction sees them now.
    pub(crate) fn scope(&self) -> Scope<'_> {
        Scope {
            env: &self.draft.config.env,
            args: &self.args,
        }
    }

    /// Expands one word.
    pub(crate) fn word(&self, text: &str) -> Result<String> {
        expand(text, self.escape(), &self.scope())
            .map(|e| e.text)
            .map_err(Error::invalid)
    }

    /// A path as an instruction means it: below the working directory, without a leading `/`.
    pub(crate) fn absolute(&self, path: &str) -> String {
        if path.starts_with('/') {
            return clean(path);
        }
        clean(&format!("{}/{path}", self.draft.config.working_dir))
    }

    /// Works through the stage.
    pub(crate) fn run(mut self) -> Result<Draft> {
        let stage = self.planned.stage;
        self.announce(&stage.source);
        self.done_instructions += 1;
        self.base().map_err(|e| self.placed(stage.span, e))?;
        let triggers = std::mem::take(&mut self.draft.triggers);
        let triggers: Vec<Located<Instruction>> = triggers
            .iter()
            .map(|t| {
                dockerfile::parse_instruction(t).map_err(|e| {
                    Error::invalid(format!("an ONBUILD of the base image cannot be read: {e}"))
                })
            })
            .collect::<Result<_>>()?;
        let from_base = triggers.len();
        let all: Vec<_> = triggers.iter().chain(&stage.instructions).collect();
        self.total = 1 + all.iter().filter(|i| is_step(&i.value)).count();
        self.solver.session.listener.done(&self.result(), false);
        for (index, instruction) in all.into_iter().enumerate() {
            // A trigger has its text, but no place in this file.
            let span = match index < from_base {
                true => stage.span,
                false => instruction.span,
            };
            self.solver.session.check()?;
            self.announce(&remote::without_passwords(&instruction.source));
            self.done_instructions += 1;
            let cached = self.instruction(instruction).map_err(|e| {
                match remote::has_password(&instruction.source) {
                    // The line would be drawn.
                    true => e,
                    false => self.placed(span, e),
                }
            })?;
            self.solver.session.listener.done(&self.result(), cached);
        }
        self.draft.args = self.args;
        Ok(self.draft)
    }

    /// Puts the place in the file to an error that has none, and is not one of a command.
    fn placed(&self, span: dockerfile::Span, error: Error) -> Error {
        match error {
            Error::Failure(failure) => {
                plan::at((self.file(), self.solver.plan.text), span, failure.message)
            }
            Error::Command {
                command,
                code,
                place: _,
            } => {
                let (file, text) = (self.file(), self.solver.plan.text);
                let drawn = dockerfile::error_at(&file.name, text, span, "");
                let place = format!(
                    "\n{}:{}:{}\n{}",
                    file.name,
                    span.line,
                    span.column,
                    drawn.drawing()
                );
                Error::Command {
                    command,
                    code,
                    place,
                }
            }
            error => error,
        }
    }

    fn announce(&self, source: &str) {
        let stages = &self.solver.plan.stages;
        let before: usize = self
            .solver
            .plan
            .needed
            .iter()
            .filter(|s| **s < self.index)
            .map(|s| 1 + stages[*s].stage.instructions.len())
            .sum();
        let all: usize = self
            .solver
            .plan
            .needed
            .iter()
            .map(|s| 1 + stages[*s].stage.instructions.len())
            .sum();
        let globals = self.solver.plan.file.global_args.len();
        let number = before + globals + self.done_instructions + 1;
        self.solver
            .session
            .listener
            .instruction(number, all + globals, source);
    }

    /// What stands for the stage as far as it is.
    fn result(&self) -> String {
        Digest::of(format!("{:?} {:?}", self.draft.base(), self.draft.config).as_bytes())
            .to_string()
    }

    /// `[builder 2/5] RUN make`.
    pub(crate) fn title(&mut self, source: &str) -> String {
        self.done += 1;
        format!("{} {}", self.position(), remote::without_passwords(source))
    }

    fn position(&self) -> String {
        let alone = self.solver.plan.needed.len() == 1;
        let width = self.total.to_string().len();
        let (done, total) = (self.done, self.total);
        let (own, target) = (&self.planned.platform, &self.solver.plan.platform);
        let mut text = String::new();
        if self.solver.plan.several {
            text = match own == target {
                true => format!("{own} "),
                false => format!("{own}->{} ", target.architecture),
            };
        }
        if !alone {
            text = format!("{text}{} ", self.planned.name);
        }
        format!("[{text}{done:>width$}/{total}]")
    }

    fn base(&mut self) -> Result<()> {
        let platform = &self.planned.platform;
        let store = &self.solver.builder.store;
        let (draft, title) = match &self.planned.base {
            Origin::Scratch => (Draft::scratch(platform), None),
            Origin::Stage(other) => {
                let mut draft = Draft::clone(&*self.solver.stage(*other)?);
                // What it gives to others' builds works here, too.
                draft.triggers = draft.config.on_build.take().unwrap_or_default();
                self.args = draft.args.clone();
                (draft, None)
            }
            Origin::Image(name) => {
                let image = self.solver.image(name, platform)?;
                let name = types::reference::Reference::parse(name)
                    .map_or_else(|_| name.clone(), |r| full(&r.with_default_tag()));
                (Draft::of(store, &image)?, Some(name))
            }
            Origin::Named(name) => match self.solver.named_image(name, platform)? {
                Some((found, title)) => (Draft::of(store, &found)?, Some(title)),
                None => return self.base_of_context(),
            },
            Origin::Context => return self.base_of_context(),
        };
        self.draft = draft;
        if let Some(name) = title {
            let stage = self.planned.stage;
            let triggers = self.draft.triggers.len();
            let steps = stage
                .instructions
                .iter()
                .filter(|i| is_step(&i.value))
                .count();
            self.total = 1 + steps + triggers;
            let title = format!("{} FROM {name}", self.position());
            self.solver.session.begin(title).end(false, String::new());
        }
        Ok(())
    }

    /// `FROM` a context of the request: its files are the stage's.
    fn base_of_context(&mut self) -> Result<()> {
        self.draft = Draft::scratch(&self.planned.platform);
        let origin = self.planned.base.clone();
        copy::whole(self, &origin)
    }

    /// Does one instruction; answers whether it came from the cache.
    fn instruction(&mut self, instruction: &Located<Instruction>) -> Result<bool> {
        let source = &instruction.source;
        match &instruction.value {
            Instruction::Arg(arguments) => self.arg(arguments, source).map(|()| !self.no_cache),
            Instruction::Run(command) => run::run(self, command, source),
            Instruction::Copy(what) => copy::copy(self, what, source, false),
            Instruction::Add(what) => copy::copy(self, what, source, true),
            Instruction::Workdir(path) => self.workdir(path, source),
            other => {
                let escape = self.escape();
                let pairs = match other {
                    Instruction::Env(pairs) => pairs.as_slice(),
                    _ => &[],
                };
                let named = pairs.iter().map(|(name, _)| self.word(name));
                let named: Vec<String> = named.collect::<Result<_>>()?;
                let text = meta::apply(
                    other,
                    source,
                    &mut self.draft.config,
                    &mut self.draft.author,
                    &mut self.cmd_set,
                    &self.args,
                    escape,
                )?;
                for name in named {
                    self.args.give_way(&name);
                }
                self.draft.note(text);
                Ok(!self.no_cache)
            }
        }
    }

    fn arg(&mut self, arguments: &[Argument], source: &str) -> Result<()> {
        for Argument { name, default } in arguments {
            let given = plan::given(self.solver.request, name);
            let default = || default.as_deref().map(|text| self.word(text)).transpose();
            let value = match given {
                Some(value) => Some(value),
                None => default()?
                    .or_else(|| {
                        use dockerfile::Variables;
                        self.solver.plan.globals.get(name)
                    })
                    .or_else(|| self.predefined.get(name).cloned()),
            };
            if let Some(value) = value {
                self.args.set(name, value);
            }
        }
        self.draft.note(source.to_owned());
        Ok(())
    }

    /// Environment of commands: arguments and what the image says. Second, what of it is no part of
    /// the key.
    pub(crate) fn environment(&self) -> (Vec<String>, Vec<String>) {
        let mut env: Vec<String> = Vec::new();
        for (name, value) in self.args.all() {
            env.push(format!("{name}={value}"));
        }
        for pair in &self.draft.config.env {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            crate::vars::set_env(&mut env, name, value);
        }
        for (name, value) in self.args.in_front() {
            crate::vars::set_env(&mut env, name, value);
        }
        if !env.iter().any(|p| p.starts_with("PATH=")) {
            env.push(crate::vars::PATH.to_owned());
        }
        let declared = |name: &str| env.iter().any(|p| p.split('=').next() == Some(name));
        let args = &self.solver.request.build_args;
        let mut proxies = Vec::new();
        for name in PROXIES {
            let Some((_, value)) = args.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)) else {
                continue;
            };
            for name in [name.to_owned(), name.to_lowercase()] {
                if !declared(&name) {
                    // In its own spelling it may have another value.
                    let value = args.get(&name).unwrap_or(value);
                    proxies.push(format!("{name}={value}"));
                }
            }
        }
        (env, proxies)
    }

    fn workdir(&mut self, path: &str, source: &str) -> Result<bool> {
        let path = self.word(path)?;
        if path.is_empty() {
            return Err(Error::invalid("cannot normalize nothing"));
        }
        let path = format!("/{}", self.absolute(&path));
        let title = self.title(source);
        self.draft.config.working_dir.clone_from(&path);
        let created_by = format!("WORKDIR {path}");
        let key = keys::key(
            "workdir",
            &self.draft.base(),
            json!({"path": path, "user": self.draft.config.user}),
            self.solver.epoch,
        );
        self.layer(&key, title, created_by, |run, _, step| {
            let root = step.mount()?;
            let cancel = &run.solver.session.cancel;
            let mut place = Place::new(root.as_fd(), cancel);
            if place.is_dir(&clean(&path)) {
                return Ok(());
            }
            let owner = match run.draft.config.user.as_str() {
                "" => (0, 0),
                user => run.solver.builder.worker.user(root.as_fd(), user)?,
            };
            place.dir(&clean(&path), owner).map(drop)
        })
    }

    /// Takes a step's layer from the cache, or makes it with `work`; answers whether it was there.
    pub(crate) fn layer(
        &mut self,
        key: &Digest,
        title: String,
        created_by: String,
        work: impl FnOnce(&Self, &Running<'_>, &Step) -> Result<()>,
    ) -> Result<bool> {
        let solver = self.solver;
        let running = solver.session.begin(title.clone());
        let found = solver.cached(key, self.no_cache, &running);
        if let Ok(Some((record, held))) = found {
            running.end(true, String::new());
            self.take(record, Some(held), created_by);
            return Ok(true);
        }
        let made = found.and_then(|_| self.make(key, &title, &running, work));
        let error = made.as_ref().err().map(ToString::to_string);
        running.end(false, error.unwrap_or_default());
        let (record, held) = made?;
        self.take(record, held, created_by);
        Ok(false)
    }

    fn take(&mut self, record: CacheRecord, held: Option<Held>, created_by: String) {
        self.parent = Some(record.key.clone());
        let layer = record.layer.clone().zip(held);
        self.draft.push(layer, created_by, record.created.clone());
        self.draft.records.push(std::sync::Arc::new(record));
    }

    fn make(
        &self,
        key: &Digest,
        title: &str,
        running: &Running<'_>,
        work: impl FnOnce(&Self, &Running<'_>, &Step) -> Result<()>,
    ) -> Result<(CacheRecord, Option<Held>)> {
        let solver = self.solver;
        let store = &solver.builder.store;
        let step = store.step(&types::id::generate(), &self.draft.layers)?;
        work(self, running, &step)?;
        let (layer, held) = step.commit(solver.epoch, &solver.session.cancel)?.unzip();
        let parents = self.parent.iter().cloned().collect();
        Ok((solver.remember(key, title, parents, layer)?, held))
    }
}
