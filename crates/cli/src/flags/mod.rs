//! Command lines as docker reads them.
//!
//! Docker's CLI parses with pflag, and its users know pflag's forms and error texts: `-it`,
//! `-p8080:80`, `-e=A=b`, a switch that takes `=false`, `unknown shorthand flag: 'x' in -x`.
//! clap reads some of these differently and says all of them differently, hence this module.

pub(crate) mod checks;
mod help;
mod parse;

pub(crate) use help::{group_help, root_help, verb_help};
pub(crate) use parse::{Matches, parse};

/// Whether a value is well formed; the text says what is wrong.
pub(crate) type Check = fn(&str) -> Result<(), String>;

/// What a flag takes.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    /// Nothing, or `=true` or `=false`.
    Switch,
    /// A value; the last one counts.
    Value,
    /// A value; all of them count.
    List,
}

/// One flag.
#[derive(Clone, Copy)]
pub(crate) struct Flag {
    /// `--long`.
    pub(crate) long: &'static str,
    /// `-s`.
    pub(crate) short: Option<char>,
    /// What it takes.
    pub(crate) kind: Kind,
    /// The value's name in the help.
    pub(crate) value: &'static str,
    /// Rejects malformed values.
    pub(crate) check: Check,
    /// One line of help.
    pub(crate) about: &'static str,
    /// The default as the help shows it; empty for none.
    pub(crate) default: &'static str,
    /// Known, but only these values are accepted.
    pub(crate) only: Option<&'static [&'static str]>,
    /// Of old: still read, no longer shown.
    pub(crate) hidden: bool,
}

const fn flag(long: &'static str, kind: Kind, value: &'static str, about: &'static str) -> Flag {
    Flag {
        long,
        short: None,
        kind,
        value,
        check: checks::any,
        about,
        default: "",
        only: None,
        hidden: false,
    }
}

/// A flag that is on or off.
pub(crate) const fn switch(long: &'static str, about: &'static str) -> Flag {
    let mut flag = flag(long, Kind::Switch, "", about);
    flag.check = checks::boolean;
    flag
}

/// A flag with a text.
pub(crate) const fn text(long: &'static str, about: &'static str) -> Flag {
    flag(long, Kind::Value, "string", about)
}

/// A flag with a whole number.
pub(crate) const fn int(long: &'static str, about: &'static str) -> Flag {
    let mut flag = flag(long, Kind::Value, "int", about);
    flag.check = checks::int;
    flag
}

/// A flag that may be repeated.
pub(crate) const fn list(long: &'static str, about: &'static str) -> Flag {
    flag(long, Kind::List, "list", about)
}

impl Flag {
    /// Its one-letter form.
    pub(crate) const fn short(mut self, short: char) -> Self {
        self.short = Some(short);
        self
    }

    /// The value's name and form.
    pub(crate) const fn value(mut self, value: &'static str, check: Check) -> Self {
        self.value = value;
        self.check = check;
        self
    }

    /// The value's form.
    pub(crate) const fn check(mut self, check: Check) -> Self {
        self.check = check;
        self
    }

    /// The default that the help shows.
    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.default = default;
        self
    }

    /// Docker's flag that wharf does not have: only values that change nothing pass.
    pub(crate) const fn only(mut self, values: &'static [&'static str]) -> Self {
        self.only = Some(values);
        self
    }

    /// Read, and not shown.
    pub(crate) const fn hidden(mut self) -> Self {
        self.hidden = true;
        self
    }

    /// As error texts name it.
    pub(crate) fn label(&self) -> String {
        match self.short {
            Some(short) => format!("-{short}, --{}", self.long),
            None => format!("--{}", self.long),
        }
    }
}

/// `--format` of verbs that list.
pub(crate) const FORMAT_TABLE: Flag = text(
    "format",
    "Shape of the output: 'table' (the default), 'table TEMPLATE' (columns from a Go template), \
     'json', or a Go template for each line",
);

/// `--format` of verbs that show one thing.
pub(crate) const FORMAT: Flag =
    text("format", "Shape of the output: 'json', or a Go template").short('f');

/// `--detach-keys`.
pub(crate) const DETACH_KEYS: Flag = text(
    "detach-keys",
    "Keys that detach from the container (ctrl-p,ctrl-q unless given)",
);

/// `--filter`.
pub(crate) const FILTER: Flag = list("filter", "Show only what matches, NAME=VALUE")
    .short('f')
    .value("filter", checks::filter);
