//! From a Dockerfile to the stages that are needed and what each of them stands on.

use std::collections::BTreeMap;

use dockerfile::{Dockerfile, Instruction, Stage, Variables, expand};
use image::Platform;
use types::{build::BuildRequest, reference::Reference};

use crate::{
    error::{Error, Result},
    vars::{Args, platform_args},
};

/// Stages that a file may have.
const MAX_STAGES: usize = 1000;
/// Platforms that a build may be for.
const MAX_PLATFORMS: usize = 32;

/// What something is taken from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    Scratch,
    /// A stage, by its number.
    Stage(usize),
    /// A context of the request, by its name.
    Named(String),
    /// The build's own context.
    Context,
    /// An image, by its name.
    Image(String),
}

/// A stage with what is known of it before it is built.
#[derive(Debug)]
pub(crate) struct Planned<'a> {
    pub stage: &'a Stage,
    /// `builder`, or `stage-1`.
    pub name: String,
    pub base: Origin,
    pub platform: Platform,
}

/// All stages.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub file: &'a Dockerfile,
    /// Its content.
    pub text: &'a [u8],
    pub stages: Vec<Planned<'a>>,
    pub target: usize,
    /// Arguments before the first `FROM`.
    pub globals: Args,
    /// Those that have to be built, in the file's order.
    pub needed: Vec<usize>,
    /// What is built for.
    pub platform: Platform,
    /// Whether the build is for others, too.
    pub several: bool,
}

/// A build argument's value by the request, or as it is predefined.
pub(crate) fn given(request: &BuildRequest, name: &str) -> Option<String> {
    request.build_args.get(name).cloned()
}

/// Works out what has to be built.
pub(crate) fn plan<'a>(
    file: &'a Dockerfile,
    text: &'a [u8],
    request: &BuildRequest,
    wanted: Platform,
) -> Result<Plan<'a>> {
    if file.stages.len() > MAX_STAGES {
        return Err(Error::invalid(format!(
            "the Dockerfile has more than {MAX_STAGES} stages, which is the limit"
        )));
    }
    let target = target(file, &request.target)?;
    let target_name = name(file, target);
    let predefined = platform_args(&wanted, &target_name);
    let globals = globals((file, text), request, &predefined)?;
    let escape = file.directives.escape;
    let lookup = Globals(&globals, &predefined);
    let mut stages: Vec<Planned<'a>> = Vec::new();
    for (index, stage) in file.stages.iter().enumerate() {
        let word = |word: &str| {
            expand(word, escape, &lookup)
                .map(|e| e.text)
                .map_err(|why| at((file, text), stage.span, why))
        };
        let platform = match stage.from.platform.as_deref().map(word).transpose()? {
            Some(given) if given.is_empty() => {
                let said = stage.from.platform.as_deref().unwrap_or_default();
                let why = format!("empty platform value from expression {said}");
                return Err(at((file, text), stage.span, why));
            }
            Some(given) => Platform::parse(&given).map_err(|e| at((file, text), stage.span, e))?,
            None => wanted.clone(),
        };
        let base = word(&stage.from.image)?;
        if base.is_empty() {
            let why = format!("base name ({}) should not be blank", stage.from.image);
            return Err(at((file, text), stage.span, why));
        }
        let base = match base.as_str() {
            "scratch" => Origin::Scratch,
            base => origin(file, index, base, request),
        };
        let platform = match base {
            Origin::Stage(other) => stages.get(other).map_or(platform, |s| s.platform.clone()),
            _ => platform,
        };
        stages.push(Planned {
            stage,
            name: name(file, index),
            base,
            platform,
        });
    }
    let needed = needed(file, &stages, target, request);
    Ok(Plan {
        file,
        text,
        stages,
        target,
        globals,
        needed,
        platform: wanted,
        several: false,
    })
}

/// The platforms that are built for, each once.
pub(crate) fn platforms(request: &BuildRequest) -> Result<Vec<Platform>> {
    let mut all = Vec::new();
    for text in request.platform.split(',').filter(|p| !p.is_empty()) {
        let platform = match text {
            "local" => Platform::host(),
            text => Platform::parse(text)?,
        };
        if !all.contains(&platform) {
            all.push(platform);
        }
    }
    if all.is_empty() {
        all.push(Platform::host());
    }
    if all.len() > MAX_PLATFORMS {
        return Err(Error::invalid(format!(
            "a build is for at most {MAX_PLATFORMS} platforms"
        )));
    }
    Ok(all)
}

struct Globals<'a>(&'a Args, &'a BTreeMap<String, String>);

impl Variables for Globals<'_> {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).or_else(|| self.1.get(name).cloned())
    }
}

fn globals(
    (file, text): (&Dockerfile, &[u8]),
    request: &BuildRequest,
    predefined: &BTreeMap<String, String>,
) -> Result<Args> {
    let mut args = Args::default();
    for line in &file.global_args {
        for argument in &line.value {
            let given = given(request, &argument.name).map(Ok);
            let default = || {
                let default = argument.default.as_deref()?;
                let value = expand(default, file.directives.escape, &Globals(&args, predefined));
                Some(
                    value
                        .map(|e| e.text)
                        .map_err(|why| at((file, text), line.span, why)),
                )
            };
            if let Some(value) = given.or_else(default) {
                args.set(&argument.name, value?);
            }
        }
    }
    Ok(args)
}

/// An error with its place in the file.
pub(crate) fn at(
    (file, text): (&Dockerfile, &[u8]),
    span: dockerfile::Span,
    why: impl std::fmt::Display,
) -> Error {
    dockerfile::error_at(&file.name, text, span, &why.to_string()).into()
}

fn name(file: &Dockerfile, index: usize) -> String {
    let named = file.stages.get(index).and_then(|s| s.from.name.clone());
    named.unwrap_or_else(|| format!("stage-{index}"))
}

fn target(file: &Dockerfile, target: &str) -> Result<usize> {
    if target.is_empty() {
        return Ok(file.stages.len().saturating_sub(1));
    }
    let wanted = target.to_lowercase();
    let named = file
        .stages
        .iter()
        .rposition(|s| s.from.name.as_deref() == Some(&wanted));
    let number = || wanted.parse().ok().filter(|n| *n < file.stages.len());
    named.or_else(number).ok_or_else(|| {
        let names: Vec<_> = file
            .stages
            .iter()
            .filter_map(|s| s.from.name.as_deref())
            .collect();
        let known = if names.is_empty() {
            String::new()
        } else {
            format!(": it has {}", names.join(", "))
        };
        Error::invalid(format!(
            "target stage \"{target}\" could not be found{known}"
        ))
    })
}

/// What a name means in stage `index`: a context of the request, an earlier stage, an image.
pub(crate) fn origin(
    file: &Dockerfile,
    index: usize,
    name: &str,
    request: &BuildRequest,
) -> Origin {
    if let Some(named) = context(name, request) {
        return Origin::Named(named.to_owned());
    }
    let wanted = name.to_lowercase();
    let earlier = file.stages.get(..index).unwrap_or_default();
    match earlier
        .iter()
        .rposition(|s| s.from.name.as_deref() == Some(&wanted))
    {
        Some(stage) => Origin::Stage(stage),
        None => Origin::Image(name.to_owned()),
    }
}

/// The context of the request that goes by a name: as it is written, or as images are named, so
/// that one for `alpine` also stands for `docker.io/library/alpine:latest`.
fn context<'r>(name: &str, request: &'r BuildRequest) -> Option<&'r str> {
    if let Some((own, _)) = request.contexts.get_key_value(name) {
        return Some(own);
    }
    let familiar = |name: &str| {
        let name = Reference::parse(name).ok()?.familiar();
        Some(name.strip_suffix(":latest").unwrap_or(&name).to_owned())
    };
    let wanted = familiar(name)?;
    let mut names = request.contexts.keys();
    names
        .find(|own| familiar(own).as_ref() == Some(&wanted))
        .map(String::as_str)
}

/// The same for `--from`, which may also say a stage's number, and where a stage that comes later
/// is a mistake and no image.
pub(crate) fn from(file: &Dockerfile, index: usize, name: &str, request: &BuildRequest) -> Origin {
    if let Ok(number) = name.parse::<usize>() {
        return Origin::Stage(number);
    }
    let wanted = name.to_lowercase();
    match origin(file, index, name, request) {
        Origin::Image(image) => {
            let mut stages = file.stages.iter();
            let later = stages.position(|s| s.from.name.as_deref() == Some(&wanted));
            later.map_or(Origin::Image(image), Origin::Stage)
        }
        origin => origin,
    }
}

/// Refuses a stage that is not before stage `index`.
pub(crate) fn before(origin: &Origin, name: &str, index: usize) -> Result<()> {
    match origin {
        Origin::Stage(other) if *other >= index => Err(Error::invalid(format!(
            "invalid stage \"{name}\": there is no such stage before this one"
        ))),
        _ => Ok(()),
    }
}

/// The stages that an instruction takes files from.
fn sources(instruction: &Instruction) -> Vec<&str> {
    match instruction {
        Instruction::Copy(copy) | Instruction::Add(copy) => {
            copy.from.as_deref().into_iter().collect()
        }
        Instruction::Run(run) => run
            .mounts
            .iter()
            .filter_map(|m| m.from.as_deref())
            .collect(),
        _ => Vec::new(),
    }
}

fn needed(
    file: &Dockerfile,
    stages: &[Planned<'_>],
    target: usize,
    request: &BuildRequest,
) -> Vec<usize> {
    let mut needed = vec![false; stages.len()];
    let mut waiting = vec![target];
    while let Some(index) = waiting.pop() {
        let Some(planned) = stages.get(index).filter(|_| !needed[index]) else {
            continue;
        };
        needed[index] = true;
        if let Origin::Stage(base) = planned.base {
            waiting.push(base);
        }
        for name in planned
            .stage
            .instructions
            .iter()
            .flat_map(|i| sources(&i.value))
        {
            if let Origin::Stage(other) = from(file, index, name, request)
                && other < index
            {
                waiting.push(other);
            }
        }
    }
    (0..stages.len()).filter(|i| needed[*i]).collect()
}
