//! What a file offers to whoever builds it: its targets (`--call targets`), and what one of them
//! takes (`--call outline`).

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    Dockerfile, Instruction, Mount, MountKind, Span, Variables, check::base_values, expand,
};

/// A stage that can be built.
#[derive(Clone, Debug, PartialEq)]
pub struct Target {
    /// Its name; empty where it has none.
    pub name: String,
    /// It is built if nothing is said.
    pub default: bool,
    /// The comment above it.
    pub description: String,
    /// What it stands on, as written.
    pub base: String,
    /// Its platform, as written.
    pub platform: String,
    /// Its `FROM`.
    pub span: Span,
}

/// An argument that a target takes.
#[derive(Clone, Debug, PartialEq)]
pub struct TakenArgument {
    /// Its name.
    pub name: String,
    /// What it is worth in this build.
    pub value: String,
    /// The comment above it.
    pub description: String,
    /// Where it is declared.
    pub span: Span,
}

/// A secret, or an agent for SSH, that a target takes.
#[derive(Clone, Debug, PartialEq)]
pub struct Taken {
    /// Its `id`.
    pub name: String,
    /// Without it the build fails.
    pub required: bool,
    /// The instruction that takes it.
    pub span: Span,
}

/// What a target takes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// The target's name; empty where it has none.
    pub name: String,
    /// The comment above it.
    pub description: String,
    /// Arguments of the stages that are built, and those before the first stage that these use.
    pub args: Vec<TakenArgument>,
    /// Secrets.
    pub secrets: Vec<Taken>,
    /// Agents.
    pub ssh: Vec<Taken>,
}

/// The comment right above `span` that begins with `name`, without that.
fn description(file: &Dockerfile, span: Span, name: &str) -> String {
    let notes = &file.notes.instructions;
    let note = notes.binary_search_by_key(&span.line, |note| note.span.line);
    let comments = note.map_or(&[][..], |at| notes[at].comments.as_slice());
    let said = comments.iter().find_map(|comment| {
        let (first, rest) = comment.split_once(' ')?;
        (!name.is_empty() && first == name).then(|| rest.trim().to_owned())
    });
    said.unwrap_or_default()
}

/// All stages.
#[must_use]
pub fn targets(file: &Dockerfile) -> Vec<Target> {
    let last = file.stages.len().saturating_sub(1);
    let each = file.stages.iter().enumerate().map(|(index, stage)| {
        let name = stage.from.name.clone().unwrap_or_default();
        Target {
            description: description(file, stage.span, &name),
            default: index == last,
            base: stage.from.image.clone(),
            platform: stage.from.platform.clone().unwrap_or_default(),
            span: stage.span,
            name,
        }
    });
    each.collect()
}

/// What the stage `target` takes, where `built` are the stages that it needs, itself among them.
#[must_use]
pub fn outline(
    file: &Dockerfile,
    target: usize,
    built: &[usize],
    build_args: &BTreeMap<String, String>,
) -> Outline {
    let mut outline = Outline::default();
    if let Some(stage) = file.stages.get(target) {
        outline.name = stage.from.name.clone().unwrap_or_default();
        outline.description = description(file, stage.span, &outline.name);
    }
    let globals = base_values(file, build_args);
    let escape = file.directives.escape;
    let mut used: BTreeSet<String> = BTreeSet::new();
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let stages = built.iter().filter_map(|index| file.stages.get(*index));
    for stage in stages {
        let from = [Some(&stage.from.image), stage.from.platform.as_ref()];
        for word in from.into_iter().flatten() {
            note_used(word, escape, &mut used);
        }
        for instruction in &stage.instructions {
            match &instruction.value {
                Instruction::Arg(arguments) => {
                    for argument in arguments {
                        let name = &argument.name;
                        if argument.default.is_none() {
                            used.insert(name.clone());
                        }
                        let word = argument.default.as_deref().unwrap_or_default();
                        note_used(word, escape, &mut used);
                        let global = || globals.get(name).unwrap_or_default();
                        let default = argument.default.as_ref().map_or_else(global, |word| {
                            expand(word, escape, &globals)
                                .map_or_else(|_| word.clone(), |read| read.text)
                        });
                        let declared = file
                            .global_args
                            .iter()
                            .any(|line| line.value.iter().any(|a| a.name == *name));
                        // One that stands before the first stage is told from there.
                        if argument.default.is_none() && declared || !seen.insert(name.clone()) {
                            continue;
                        }
                        outline.args.push(TakenArgument {
                            name: name.clone(),
                            value: build_args.get(name).cloned().unwrap_or(default),
                            description: description(file, instruction.span, name),
                            span: instruction.span,
                        });
                    }
                }
                Instruction::Run(run) => {
                    for mount in &run.mounts {
                        outline.mount(mount, instruction.span);
                    }
                }
                _ => {}
            }
        }
    }
    for line in file.global_args.iter().rev() {
        for argument in line.value.iter().rev() {
            if !used.contains(&argument.name) || !seen.insert(argument.name.clone()) {
                continue;
            }
            note_used(
                argument.default.as_deref().unwrap_or_default(),
                escape,
                &mut used,
            );
            outline.args.push(TakenArgument {
                name: argument.name.clone(),
                value: globals.get(&argument.name).unwrap_or_default(),
                description: description(file, line.span, &argument.name),
                span: line.span,
            });
        }
    }
    outline.args.sort_by_key(|argument| argument.span.line);
    for list in [&mut outline.secrets, &mut outline.ssh] {
        list.sort_by_key(|taken| taken.span.line);
    }
    outline
}

/// Takes note of every variable in a word.
fn note_used(word: &str, escape: char, used: &mut BTreeSet<String>) {
    /// Knows nothing, so that all are told.
    struct Nothing;
    impl Variables for Nothing {
        fn get(&self, _: &str) -> Option<String> {
            None
        }
    }
    if let Ok(read) = expand(word, escape, &Nothing) {
        used.extend(read.unmatched);
    }
}

impl Outline {
    fn mount(&mut self, mount: &Mount, span: Span) {
        let last = |path: &String| path.rsplit('/').next().unwrap_or_default().to_owned();
        let (list, name) = match mount.kind {
            MountKind::Secret => {
                let id = mount.id.clone().filter(|id| !id.is_empty());
                let named = id.or_else(|| mount.source.as_ref().map(last));
                let named = named.or_else(|| mount.target.as_ref().map(last));
                (&mut self.secrets, named.or_else(|| mount.env.clone()))
            }
            MountKind::Ssh => {
                let id = mount.id.clone().filter(|id| !id.is_empty());
                (
                    &mut self.ssh,
                    Some(id.unwrap_or_else(|| "default".to_owned())),
                )
            }
            MountKind::Bind | MountKind::Cache | MountKind::Tmpfs => return,
        };
        let Some(name) = name else { return };
        match list.iter_mut().find(|taken| taken.name == name) {
            Some(taken) => taken.required |= mount.required,
            None => list.push(Taken {
                name,
                required: mount.required,
                span,
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const FILE: &str = "\
# VERSION is what is built.
ARG VERSION=1
ARG UNUSED=x
ARG BASE=image:$VERSION
# base has the tools.
FROM $BASE AS base
RUN --mount=type=secret,id=token,required --mount=type=ssh true
FROM base AS other
ARG OTHER=1
# app is the program.
# It is small.
FROM --platform=linux/amd64 base AS app
ARG VERSION
# MODE says how.
ARG MODE=fast-$VERSION
RUN --mount=type=secret,target=/root/.netrc --mount=type=secret,id=token true
";

    #[test]
    fn stages_are_targets() {
        let file = crate::parse("Dockerfile", FILE.as_bytes()).unwrap();
        let all: Vec<_> = targets(&file)
            .into_iter()
            .map(|t| {
                (
                    t.name,
                    t.default,
                    t.description,
                    t.base,
                    t.platform,
                    t.span.line,
                )
            })
            .collect();
        let row = |name: &str, default, text: &str, base: &str, platform: &str, line| {
            let own = [name, text, base, platform].map(str::to_owned);
            let [name, text, base, platform] = own;
            (name, default, text, base, platform, line)
        };
        assert_eq!(
            all,
            [
                row("base", false, "has the tools.", "$BASE", "", 6),
                row("other", false, "", "base", "", 8),
                row("app", true, "is the program.", "base", "linux/amd64", 12),
            ]
        );
    }

    #[test]
    fn a_target_takes_what_its_stages_take() {
        let file = crate::parse("Dockerfile", FILE.as_bytes()).unwrap();
        let given = BTreeMap::from([("VERSION".to_owned(), "2".to_owned())]);
        let outline = outline(&file, 2, &[0, 2], &given);
        assert_eq!(
            (outline.name.as_str(), outline.description.as_str()),
            ("app", "is the program.")
        );
        let args: Vec<_> = outline
            .args
            .iter()
            .map(|a| {
                (
                    a.name.as_str(),
                    a.value.as_str(),
                    a.description.as_str(),
                    a.span.line,
                )
            })
            .collect();
        assert_eq!(
            args,
            [
                ("VERSION", "2", "is what is built.", 2),
                ("BASE", "image:2", "", 4),
                ("MODE", "fast-2", "says how.", 15),
            ]
        );
        let taken = |list: &[Taken]| -> Vec<_> {
            list.iter().map(|t| (t.name.clone(), t.required)).collect()
        };
        let secrets = [("token".to_owned(), true), (".netrc".to_owned(), false)];
        assert_eq!(taken(&outline.secrets), secrets);
        assert_eq!(taken(&outline.ssh), [("default".to_owned(), false)]);
    }
}
