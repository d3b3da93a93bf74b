//! The verbs.

mod attach;
mod build;
mod builder;
mod commit;
mod completion;
mod config;
mod container;
mod context;
mod cp;
mod create;
mod df;
mod dial_stdio;
mod events;
mod exec;
mod firewall;
mod gc;
mod history;
mod host_config;
mod image;
mod images;
mod info;
mod inspect;
mod lenient;
mod life;
mod login;
mod logs;
mod manifest;
mod network;
mod networks;
mod options;
mod port;
mod prune;
mod ps;
mod pull;
mod push;
mod registry;
mod run;
mod save;
mod search;
pub(crate) mod spec;
mod start;
mod stats;
mod system_prune;
mod table;
mod top;
mod update;
mod version;
mod volume;

use std::{future::Future, pin::Pin};

#[cfg(test)]
pub(crate) use build::FLAGS as BUILD_FLAGS;
pub(crate) use pull::Show;
pub(crate) use table::{GROUPS, HIDDEN, MISSING, all};

use crate::{
    client::Client,
    config::ConfigFile,
    contexts::Choice,
    error::Result,
    flags::{Flag, Matches},
};

/// What every verb needs.
pub(crate) struct Context {
    /// The verb as it was called: `docker container ls`.
    pub(crate) path: String,
    /// The daemon.
    pub(crate) client: Client,
    /// Which daemon that is, and why.
    pub(crate) chosen: Choice,
    /// The user's configuration.
    pub(crate) config: ConfigFile,
    /// `-D`.
    pub(crate) debug: bool,
}

/// How many operands a verb takes.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Args {
    /// None.
    None,
    /// So many.
    Exactly(usize),
    /// So many or more.
    AtLeast(usize),
    /// So many or fewer.
    AtMost(usize),
    /// From so many to so many.
    Between(usize, usize),
}

impl Args {
    /// What is wrong with `count` operands, and the word before the hint.
    pub(crate) fn complaint(self, count: usize) -> Option<(String, &'static str)> {
        let plural = |n: usize| if n == 1 { "argument" } else { "arguments" };
        match self {
            Self::None if count > 0 => Some(("accepts no arguments".to_owned(), "Run")),
            Self::Exactly(n) if count != n => Some((format!("requires {n} {}", plural(n)), "Run")),
            Self::AtLeast(n) if count < n => {
                Some((format!("requires at least {n} {}", plural(n)), "See"))
            }
            Self::AtMost(n) if count > n => {
                Some((format!("requires at most {n} {}", plural(n)), "Run"))
            }
            Self::Between(least, most) if !(least..=most).contains(&count) => Some((
                format!(
                    "requires at least {least} and at most {most} {}",
                    plural(most)
                ),
                "Run",
            )),
            _ => None,
        }
    }
}

type Running<'a> = Pin<Box<dyn Future<Output = Result> + 'a>>;

/// One verb.
pub(crate) struct Verb {
    /// All spellings, docker's newest first.
    pub(crate) names: &'static [&'static str],
    /// Behind the name in the usage line.
    pub(crate) usage: &'static str,
    /// One line of help.
    pub(crate) about: &'static str,
    /// Its flags.
    pub(crate) flags: &'static [&'static [Flag]],
    /// Its operands.
    pub(crate) args: Args,
    /// Flags may follow operands.
    pub(crate) mixed: bool,
    /// Does it.
    pub(crate) run: for<'a> fn(&'a Context, Matches) -> Running<'a>,
}
