//! What a Dockerfile says.

use std::time::Duration;

use crate::parse::Notes;
use crate::span::{Located, Span};

/// A whole file.
#[derive(Clone, Debug, PartialEq)]
pub struct Dockerfile {
    /// The comments at its top that steer the parser.
    pub directives: Directives,
    /// The `ARG`s before the first `FROM`.
    pub global_args: Vec<Located<Vec<Argument>>>,
    /// The stages, at least one.
    pub stages: Vec<Stage>,
    /// The file's name, for messages.
    pub name: String,
    /// How things were written, for the checks.
    pub(crate) notes: Notes,
}

/// The comments at the top of a file that steer the parser.
#[derive(Clone, Debug, PartialEq)]
pub struct Directives {
    /// `# syntax=`: the frontend that the author wants.
    pub syntax: Option<String>,
    /// `# escape=`: the backslash, or a backtick.
    pub escape: char,
    /// `# check=`: how the checks are to be done.
    pub check: Check,
}

impl Default for Directives {
    fn default() -> Self {
        Self {
            syntax: None,
            escape: '\\',
            check: Check::default(),
        }
    }
}

/// `# check=`: how the checks are to be done.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Check {
    /// Rules that are left out.
    pub skip: Vec<String>,
    /// `skip=all`: no rule.
    pub skip_all: bool,
    /// A warning is an error.
    pub error: bool,
    /// Experimental rules that are wanted.
    pub experimental: Vec<String>,
    /// `experimental=all`: all of them.
    pub experimental_all: bool,
}

/// `NAME` or `NAME=default` of an `ARG`.
#[derive(Clone, Debug, PartialEq)]
pub struct Argument {
    /// The name.
    pub name: String,
    /// The default, an unexpanded word.
    pub default: Option<String>,
}

/// From one `FROM` to the next.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// The `FROM`.
    pub from: From,
    /// Where it stands.
    pub span: Span,
    /// The `FROM` as written, see [`Located::source`].
    pub source: String,
    /// What follows it.
    pub instructions: Vec<Located<Instruction>>,
}

/// `FROM --platform=PLATFORM IMAGE AS NAME`, image and platform unexpanded.
#[derive(Clone, Debug, PartialEq)]
pub struct From {
    /// An image, an earlier stage, or `scratch`.
    pub image: String,
    /// The platform.
    pub platform: Option<String>,
    /// The stage's name in small letters.
    pub name: Option<String>,
}

/// An instruction. Words that the build expands are as written, quotes included.
#[derive(Clone, Debug, PartialEq)]
pub enum Instruction {
    /// `ADD`
    Add(Copy),
    /// `COPY`
    Copy(Copy),
    /// `RUN`
    Run(Run),
    /// `ARG`
    Arg(Vec<Argument>),
    /// `ENV`: names and values, both unexpanded.
    Env(Vec<(String, String)>),
    /// `LABEL`: names and values, both unexpanded.
    Label(Vec<(String, String)>),
    /// `CMD`
    Cmd(Command),
    /// `ENTRYPOINT`; an empty shell form takes the base image's away.
    Entrypoint(Command),
    /// `EXPOSE`
    Expose(Vec<String>),
    /// `VOLUME`
    Volume(Vec<String>),
    /// `USER`
    User(String),
    /// `WORKDIR`
    Workdir(String),
    /// `SHELL`
    Shell(Vec<String>),
    /// `STOPSIGNAL`
    Stopsignal(String),
    /// `HEALTHCHECK`
    Healthcheck(Healthcheck),
    /// `ONBUILD`; the source of what is inside is what the image's configuration keeps.
    Onbuild(Box<Located<Instruction>>),
    /// `MAINTAINER`
    Maintainer(String),
}

/// A command line in one of its two forms.
#[derive(Clone, Debug, PartialEq)]
pub enum Command {
    /// Text for the shell.
    Shell(String),
    /// A JSON list: a program and its arguments.
    Exec(Vec<String>),
}

/// A document inside the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Heredoc {
    /// The delimiter, which is the file's name in `COPY` and `ADD`.
    pub name: String,
    /// Its lines; tabs at their beginnings are gone if it began with `<<-`.
    pub content: String,
    /// Whether variables in it are expanded: its delimiter was not quoted.
    pub expand: bool,
}

/// `RUN`
#[derive(Clone, Debug, PartialEq)]
pub struct Run {
    /// The command as written; for a lone heredoc see [`Run::script`].
    pub command: Command,
    /// The documents that follow the line.
    pub heredocs: Vec<Heredoc>,
    /// `--mount`
    pub mounts: Vec<Mount>,
    /// `--network`: `default`, `none` or `host`.
    pub network: Option<String>,
    /// `--security`: `sandbox` or `insecure`.
    pub security: Option<String>,
}

impl Run {
    /// The heredoc that is the whole command (`RUN <<EOF`). If it begins with `#!` it is a
    /// program to be run by itself; otherwise it is text for the shell.
    #[must_use]
    pub fn script(&self) -> Option<&Heredoc> {
        let Command::Shell(text) = &self.command else {
            return None;
        };
        match self.heredocs.as_slice() {
            [only] if crate::parse::is_heredoc(text) => Some(only),
            _ => None,
        }
    }

    /// What the shell is given: the command with its documents behind it, or only the content of
    /// a lone one. `None` for the exec form.
    #[must_use]
    pub fn shell_text(&self) -> Option<String> {
        if let Some(script) = self.script() {
            return Some(script.content.clone());
        }
        let Command::Shell(text) = &self.command else {
            return None;
        };
        let mut text = text.clone();
        for heredoc in &self.heredocs {
            text.push('\n');
            text.push_str(&heredoc.content);
            text.push_str(&heredoc.name);
        }
        Some(text)
    }
}

/// `COPY` or `ADD`; words are unexpanded.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Copy {
    /// What is copied, at least one.
    pub sources: Vec<Source>,
    /// Where to.
    pub target: String,
    /// `--from`: a stage, an image or a named context.
    pub from: Option<String>,
    /// `--chown`
    pub chown: Option<String>,
    /// `--chmod`
    pub chmod: Option<String>,
    /// `--link`
    pub link: bool,
    /// `--parents`
    pub parents: bool,
    /// `--exclude`
    pub exclude: Vec<String>,
    /// `--checksum`
    pub checksum: Option<String>,
    /// `--keep-git-dir`
    pub keep_git_dir: bool,
    /// `--unpack`
    pub unpack: Option<bool>,
}

/// One thing to copy.
#[derive(Clone, Debug, PartialEq)]
pub enum Source {
    /// A path, a pattern or a URL.
    Path(String),
    /// A document inside the file.
    Heredoc(Heredoc),
}

/// `--mount` of a `RUN`; words are unexpanded, see [`Mount::expanded`].
#[derive(Clone, Debug, PartialEq)]
pub struct Mount {
    /// `type`
    pub kind: MountKind,
    /// `target`
    pub target: Option<String>,
    /// `source`
    pub source: Option<String>,
    /// `from`
    pub from: Option<String>,
    /// `readonly` or `readwrite`, where it is said.
    pub readonly: Option<bool>,
    /// `id`
    pub id: Option<String>,
    /// `sharing` of a cache.
    pub sharing: Option<Sharing>,
    /// `required`
    pub required: bool,
    /// `mode`
    pub mode: Option<u32>,
    /// `uid`
    pub uid: Option<u32>,
    /// `gid`
    pub gid: Option<u32>,
    /// `size` in bytes.
    pub size: Option<u64>,
    /// `env` of a secret: the variable that it is put into.
    pub env: Option<String>,
    /// Keys and values as they were written, for [`Mount::expanded`].
    pub fields: Vec<(String, Option<String>)>,
}

impl Mount {
    /// A bind mount with nothing said.
    pub(crate) fn new(fields: Vec<(String, Option<String>)>) -> Self {
        Self {
            kind: MountKind::Bind,
            target: None,
            source: None,
            from: None,
            readonly: None,
            id: None,
            sharing: None,
            required: false,
            mode: None,
            uid: None,
            gid: None,
            size: None,
            env: None,
            fields,
        }
    }
}

/// `type` of a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A directory of a stage, an image or the context.
    Bind,
    /// A directory that is kept between builds.
    Cache,
    /// Memory.
    Tmpfs,
    /// A secret's file or variable.
    Secret,
    /// An SSH agent's socket.
    Ssh,
}

/// `sharing` of a cache mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharing {
    /// All at the same time.
    Shared,
    /// Each has its own.
    Private,
    /// One after the other.
    Locked,
}

/// `HEALTHCHECK`
#[derive(Clone, Debug, PartialEq)]
pub enum Healthcheck {
    /// `NONE`
    None,
    /// `CMD`, with what was said of its times.
    Test {
        /// The command.
        test: Command,
        /// `--interval`
        interval: Option<Duration>,
        /// `--timeout`
        timeout: Option<Duration>,
        /// `--start-period`
        start_period: Option<Duration>,
        /// `--start-interval`
        start_interval: Option<Duration>,
        /// `--retries`
        retries: Option<u32>,
    },
}
