//! A command line that is not finished.

use super::takes_value;
use crate::{
    flags::Flag,
    globals,
    verbs::{self, GROUPS, Verb},
};

/// How far it has come.
#[derive(Clone, Copy)]
pub(super) enum Stage {
    /// No verb yet.
    Root,
    /// A group of verbs.
    Group(&'static str),
    /// A verb.
    Verb(&'static Verb),
    /// A verb that there is not.
    Unknown,
}

/// What stands before the word that is typed.
pub(super) struct Line {
    pub(super) stage: Stage,
    /// The words of flags before the verb.
    pub(super) globals: Vec<String>,
    /// Operands of the verb.
    pub(super) operands: Vec<String>,
    /// The flag whose value is typed.
    pub(super) pending: Option<Flag>,
    /// No flag can come any more.
    pub(super) ended: bool,
}

impl Line {
    /// Reads `words`, whole ones.
    pub(super) fn read(words: &[String]) -> Self {
        let mut line = Self {
            stage: Stage::Root,
            globals: Vec::new(),
            operands: Vec::new(),
            pending: None,
            ended: false,
        };
        for word in words {
            let global = matches!(line.stage, Stage::Root);
            if line.pending.take().is_none() {
                if word == "--" && !line.ended {
                    line.ended = true;
                } else if word.len() > 1 && word.starts_with('-') && !line.ended {
                    line.pending = line.waits(word);
                } else {
                    line.operand(word);
                    continue;
                }
            }
            if global {
                line.globals.push(word.clone());
            }
        }
        if line.pending.is_some() && matches!(line.stage, Stage::Root) {
            // Half a flag says nothing about the daemon.
            line.globals.pop();
        }
        line
    }

    /// The flags that can come.
    pub(super) fn flags(&self) -> impl Iterator<Item = &'static Flag> + use<> {
        let sections: Vec<&'static [Flag]> = match self.stage {
            Stage::Root => vec![globals::FLAGS],
            Stage::Verb(verb) => verb.flags.to_vec(),
            Stage::Group(_) | Stage::Unknown => Vec::new(),
        };
        sections.into_iter().flatten()
    }

    /// The flag in `word` that waits for its value.
    fn waits(&self, word: &str) -> Option<Flag> {
        if let Some(long) = word.strip_prefix("--") {
            let mut flags = self.flags();
            return flags
                .find(|f| f.long == long && takes_value(f.kind))
                .copied();
        }
        let mut letters = word[1..].chars();
        while let Some(letter) = letters.next() {
            let flag = self.flags().find(|f| f.short == Some(letter))?;
            if takes_value(flag.kind) {
                return letters.as_str().is_empty().then_some(*flag);
            }
        }
        None
    }

    fn operand(&mut self, word: &str) {
        let named = |name: &str| verbs::all().find(|v| v.names.contains(&name));
        let verb = |name: &str| named(name).map_or(Stage::Unknown, Stage::Verb);
        match self.stage {
            Stage::Root if word == "help" => {}
            Stage::Root => {
                let group = GROUPS.iter().find(|(group, _)| *group == word);
                self.stage = match group {
                    Some((group, _)) => Stage::Group(group),
                    None => verb(word),
                };
            }
            Stage::Group(group) => self.stage = verb(&format!("{group} {word}")),
            Stage::Verb(verb) => {
                self.operands.push(word.to_owned());
                self.ended |= !verb.mixed;
            }
            Stage::Unknown => {}
        }
    }
}
