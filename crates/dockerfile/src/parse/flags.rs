//! `--name=value` before an instruction's arguments.

use crate::text::{Fault, Text};

/// A flag as written, without quotes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flag<'a> {
    pub(super) name: String,
    pub(super) value: Option<String>,
    pub(super) place: Text<'a>,
}

/// The flags of an instruction.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Flags<'a>(Vec<Flag<'a>>);

impl<'a> Flags<'a> {
    /// Takes flags from the beginning of the text; returns the rest.
    pub(super) fn split(text: Text<'a>, escape: char) -> (Self, Text<'a>) {
        let mut flags = Vec::new();
        let mut rest = text.trim();
        while rest.text.starts_with("--") {
            let (length, word) = word(rest.text, escape);
            let place = rest.part(0, length);
            rest = rest.from(length).trim();
            let Some(flag) = word.strip_prefix("--").filter(|flag| !flag.is_empty()) else {
                break;
            };
            let (name, value) = match flag.split_once('=') {
                Some((name, value)) => (name, Some(value.to_owned())),
                None => (flag, None),
            };
            flags.push(Flag {
                name: name.to_owned(),
                value,
                place,
            });
        }
        (Self(flags), rest)
    }

    /// Refuses what is not among the known names, and what is said twice; those in `many` may be.
    pub(super) fn known(&self, names: &[&str], many: &[&str]) -> Result<(), Fault> {
        for (at, flag) in self.0.iter().enumerate() {
            let name = flag.name.as_str();
            if !names.contains(&name) && !many.contains(&name) {
                let all: Vec<String> = names
                    .iter()
                    .chain(many)
                    .map(|name| format!("--{name}"))
                    .collect();
                let all: Vec<&str> = all.iter().map(String::as_str).collect();
                let fault = Fault::new(flag.place, format!("unknown flag: --{name}"));
                return Err(match all.as_slice() {
                    [] => fault.hint("this instruction has no flags"),
                    all => {
                        let fault = fault.meant(&format!("--{name}"), all);
                        match fault.hint {
                            Some(_) => fault,
                            None => fault.hint(format!("flags here are {}", all.join(", "))),
                        }
                    }
                });
            }
            let before = &self.0[..at];
            if !many.contains(&name) && before.iter().any(|other| other.name == name) {
                return Err(Fault::new(
                    flag.place,
                    format!("duplicate flag specified: --{name}"),
                ));
            }
        }
        Ok(())
    }

    fn get(&self, name: &str) -> Option<&Flag<'a>> {
        self.0.iter().find(|flag| flag.name == name)
    }

    /// All flags of a name that has values.
    pub(super) fn all(&self, name: &str) -> Result<Vec<(String, Text<'a>)>, Fault> {
        self.0
            .iter()
            .filter(|flag| flag.name == name)
            .map(|flag| match &flag.value {
                Some(value) => Ok((value.clone(), flag.place)),
                None => Err(missing(flag)),
            })
            .collect()
    }

    /// A flag with a value and where it stands.
    pub(super) fn placed(&self, name: &str) -> Result<Option<(String, Text<'a>)>, Fault> {
        Ok(self.all(name)?.into_iter().next())
    }

    /// A flag with a value.
    pub(super) fn text(&self, name: &str) -> Result<Option<String>, Fault> {
        Ok(self.placed(name)?.map(|(value, _)| value))
    }

    /// A flag that is true by itself.
    pub(super) fn switch(&self, name: &str) -> Result<Option<bool>, Fault> {
        let Some(flag) = self.get(name) else {
            return Ok(None);
        };
        match flag.value.as_deref().map(str::to_lowercase).as_deref() {
            None | Some("true") => Ok(Some(true)),
            Some("false") => Ok(Some(false)),
            Some("") => Err(missing(flag)),
            Some(_) => Err(Fault::new(
                flag.place,
                format!(
                    "expecting boolean value for flag --{name}, not: {}",
                    flag.value.as_deref().unwrap_or_default()
                ),
            )
            .hint("write true or false")),
        }
    }
}

fn missing(flag: &Flag<'_>) -> Fault {
    let name = &flag.name;
    Fault::new(flag.place, format!("missing a value on flag: --{name}"))
        .hint(format!("write it as --{name}=VALUE"))
}

/// The length of the first word, and the word without quotes and escapes.
fn word(text: &str, escape: char) -> (usize, String) {
    let mut word = String::new();
    let mut quote = None;
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match quote {
            None if c.is_whitespace() => return (at, word),
            None if c == '"' || c == '\'' => quote = Some(c),
            Some(open) if c == open => quote = None,
            _ if c == escape => word.extend(chars.next().map(|(_, c)| c)),
            _ => word.push(c),
        }
    }
    (text.len(), word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_end_at_the_first_argument() {
        let (flags, rest) = Flags::split(Text::new(r#"--a=b --c --d="x y" -- --e z"#), '\\');
        let all: Vec<_> = flags
            .0
            .iter()
            .map(|flag| (flag.name.as_str(), flag.value.as_deref()))
            .collect();
        assert_eq!(all, [("a", Some("b")), ("c", None), ("d", Some("x y"))]);
        assert_eq!((rest.text, rest.at), ("--e z", 23));
        let (_, rest) = Flags::split(Text::new("a --b"), '\\');
        assert_eq!(rest.text, "a --b");
    }
}
