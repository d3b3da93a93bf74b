//! Options and arguments, in the form that Go's programs have taught runtimes' users: `--long`,
//! `-long`, `-s`, with `=value` or a value that follows.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

/// One option of a command.
#[derive(Debug, Clone, Copy)]
pub(super) struct Opt {
    pub(super) long: &'static str,
    /// Another name, of one letter; empty if there is none.
    pub(super) short: &'static str,
    /// What stands for its value in the help; empty for a switch.
    pub(super) value: &'static str,
    pub(super) help: &'static str,
}

/// What was given.
#[derive(Debug, Default)]
pub(super) struct Given {
    options: Vec<(&'static str, OsString)>,
    pub(super) args: Vec<OsString>,
}

/// Splits `words` into options, which `known` lists, and arguments. With `ordered` whatever comes
/// after the first argument is an argument: it belongs to another program.
///
/// # Errors
/// A sentence for the one who typed.
pub(super) fn parse(
    words: impl IntoIterator<Item = OsString>,
    known: &[Opt],
    ordered: bool,
) -> Result<Given, String> {
    let mut given = Given::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let bytes = word.as_bytes();
        if bytes == b"--" {
            given.args.extend(words);
            break;
        }
        if bytes.len() < 2 || bytes[0] != b'-' {
            given.args.push(word);
            if ordered {
                given.args.extend(words);
                break;
            }
            continue;
        }
        let body = bytes.strip_prefix(b"--").unwrap_or(&bytes[1..]);
        let (name, attached) = match body.iter().position(|b| *b == b'=') {
            Some(at) => (&body[..at], Some(OsStr::from_bytes(&body[at + 1..]))),
            None => (body, None),
        };
        let name = String::from_utf8_lossy(name);
        let Some(option) = known
            .iter()
            .find(|o| o.long == name || (!o.short.is_empty() && o.short == name))
        else {
            return Err(format!("flag provided but not defined: -{name}"));
        };
        let value = match (option.value.is_empty(), attached) {
            (_, Some(value)) => value.to_owned(),
            (true, None) => OsString::from("true"),
            (false, None) => words
                .next()
                .ok_or_else(|| format!("flag needs an argument: -{name}"))?,
        };
        if option.value.is_empty() && boolean(&value).is_none() {
            return Err(format!(
                "invalid boolean value {value:?} for -{name}: true or false"
            ));
        }
        given.options.push((option.long, value));
    }
    Ok(given)
}

fn boolean(value: &OsStr) -> Option<bool> {
    match value.as_bytes() {
        b"true" | b"1" | b"t" | b"T" | b"TRUE" | b"True" => Some(true),
        b"false" | b"0" | b"f" | b"F" | b"FALSE" | b"False" => Some(false),
        _ => None,
    }
}

impl Given {
    /// The last value of an option.
    pub(super) fn raw(&self, name: &str) -> Option<&OsStr> {
        let mut values = self.options.iter().filter(|(n, _)| *n == name);
        values.next_back().map(|(_, v)| v.as_os_str())
    }

    /// Whether the option was given at all.
    pub(super) fn has(&self, name: &str) -> bool {
        self.raw(name).is_some()
    }

    /// Whether a switch is on.
    pub(super) fn on(&self, name: &str) -> bool {
        self.raw(name).and_then(boolean).unwrap_or(false)
    }

    /// The last value, as a path; an empty one counts as not given, as scripts rely on.
    pub(super) fn path(&self, name: &str) -> Option<PathBuf> {
        let raw = self.raw(name).filter(|v| !v.is_empty());
        raw.map(PathBuf::from)
    }

    /// The last value, as text; an empty one counts as not given.
    ///
    /// # Errors
    /// When it is not UTF-8.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, String> {
        self.raw(name)
            .filter(|v| !v.is_empty())
            .map(|v| v.to_str().ok_or_else(|| not_text(name, v)))
            .transpose()
    }

    /// All values of an option that may be repeated.
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub(super) fn all(&self, name: &str) -> Result<Vec<String>, String> {
        let values = self.options.iter().filter(|(n, _)| *n == name);
        values
            .map(|(_, v)| {
                v.to_str()
                    .map(str::to_owned)
                    .ok_or_else(|| not_text(name, v))
            })
            .collect()
    }

    /// A number.
    ///
    /// # Errors
    /// When it is none, or too large.
    pub(super) fn number<T: std::str::FromStr>(&self, name: &str) -> Result<Option<T>, String> {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        text.parse()
            .map(Some)
            .map_err(|_| format!("invalid value {text:?} for flag -{name}: not a number it can be"))
    }

    /// The arguments from `at` on as text.
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub(super) fn words(&self, at: usize) -> Result<Vec<String>, String> {
        let rest = self.args.iter().skip(at);
        rest.map(|a| {
            String::from_utf8(a.clone().into_vec())
                .map_err(|_| format!("the argument {a:?} is not UTF-8"))
        })
        .collect()
    }
}

fn not_text(name: &str, value: &OsStr) -> String {
    format!("invalid value {value:?} for flag -{name}: not UTF-8")
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [Opt; 3] = [
        Opt {
            long: "bundle",
            short: "b",
            value: "path",
            help: "",
        },
        Opt {
            long: "detach",
            short: "d",
            value: "",
            help: "",
        },
        Opt {
            long: "env",
            short: "e",
            value: "x=y",
            help: "",
        },
    ];

    fn run(words: &[&str], ordered: bool) -> Result<Given, String> {
        parse(words.iter().map(OsString::from), &KNOWN, ordered)
    }

    #[test]
    fn every_spelling() {
        let given = run(
            &["-b", "/x", "-detach", "id", "--env=A=1", "-e", "B=", "more"],
            false,
        )
        .unwrap();
        assert_eq!(given.path("bundle"), Some("/x".into()));
        assert!(given.on("detach"));
        assert_eq!(given.all("env").unwrap(), ["A=1", "B="]);
        assert_eq!(given.args, ["id", "more"]);
        assert!(
            !run(&["--detach", "--detach=false"], false)
                .unwrap()
                .on("detach")
        );
    }

    #[test]
    fn what_belongs_to_another_program() {
        let given = run(&["-d", "id", "ls", "-l", "--", "-d"], true).unwrap();
        assert_eq!(given.args, ["id", "ls", "-l", "--", "-d"]);
        let given = run(&["--", "-d", "id"], false).unwrap();
        assert_eq!(given.args, ["-d", "id"]);
        assert!(!given.on("detach"));
    }

    #[test]
    fn refusals() {
        assert_eq!(
            run(&["--nope"], false).unwrap_err(),
            "flag provided but not defined: -nope"
        );
        assert_eq!(
            run(&["--bundle"], false).unwrap_err(),
            "flag needs an argument: -bundle"
        );
        assert!(run(&["--detach=perhaps"], false).is_err());
    }
}
