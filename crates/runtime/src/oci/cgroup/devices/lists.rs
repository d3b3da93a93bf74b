//! Version 1: a default, and a list of exceptions from it.

use std::collections::BTreeMap;

use super::{
    super::{
        super::error::{Error, Result},
        limits::knob::Controller,
    },
    NAME,
    rules::{ALL, Kind, MKNOD, READ, Rule, WRITE},
};

type Key = (Kind, Option<u32>, Option<u32>);

/// What the lists shall say: the default, and where it does not hold.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    allow: bool,
    exceptions: BTreeMap<Key, u8>,
}

impl State {
    fn of(rules: &[Rule]) -> Result<Self> {
        let mut state = Self::default();
        for rule in rules {
            if rule.is_total() {
                state = Self {
                    allow: rule.allow,
                    ..Self::default()
                };
                continue;
            }
            let kinds: &[Kind] = match &rule.kind {
                Some(kind) => std::slice::from_ref(kind),
                None => &[Kind::Block, Kind::Char],
            };
            for kind in kinds {
                state.add((*kind, rule.major, rule.minor), rule.access, rule.allow)?;
            }
        }
        Ok(state)
    }

    fn add(&mut self, key: Key, access: u8, allow: bool) -> Result<()> {
        if allow != self.allow {
            *self.exceptions.entry(key).or_default() |= access;
            return Ok(());
        }
        // Back to the default: whatever it covers is no exception any more. The lists cannot take a
        // part out of an exception that reaches further.
        for (old, had) in &mut self.exceptions {
            if covers(key, *old) {
                *had &= !access;
            } else if meet(key, *old) && *had & access != 0 {
                return Err(Error::Unsupported(format!(
                    "{NAME}: \"{} {}\" after \"{} {}\": version 1 of cgroups cannot take a part out \
                     of an earlier rule",
                    if allow { "allow" } else { "deny" },
                    line(key, access),
                    if allow { "deny" } else { "allow" },
                    line(*old, *had),
                )));
            }
        }
        self.exceptions.retain(|_, had| *had != 0);
        Ok(())
    }

    /// `devices.list`. A default of "allow" hides its exceptions.
    fn parse(text: &str) -> Option<Self> {
        let mut state = Self::default();
        for entry in text.lines() {
            let mut words = entry.split_whitespace();
            let (kind, numbers, access) = (words.next()?, words.next()?, words.next()?);
            let kind = match kind {
                "a" => {
                    state.allow = true;
                    continue;
                }
                "b" => Kind::Block,
                "c" => Kind::Char,
                _ => return None,
            };
            let (major, minor) = numbers.split_once(':')?;
            let access = access.bytes().fold(0, |all, b| {
                all | match b {
                    b'r' => READ,
                    b'w' => WRITE,
                    b'm' => MKNOD,
                    _ => 0,
                }
            });
            *state
                .exceptions
                .entry((kind, major.parse().ok(), minor.parse().ok()))
                .or_default() |= access;
        }
        Some(state)
    }
}

fn covers(wide: Key, narrow: Key) -> bool {
    wide.0 == narrow.0
        && (wide.1.is_none() || wide.1 == narrow.1)
        && (wide.2.is_none() || wide.2 == narrow.2)
}

fn meet(a: Key, b: Key) -> bool {
    let one = |a: Option<u32>, b: Option<u32>| a.is_none() || b.is_none() || a == b;
    a.0 == b.0 && one(a.1, b.1) && one(a.2, b.2)
}

fn line((kind, major, minor): Key, access: u8) -> String {
    let number = |n: Option<u32>| n.map_or("*".to_owned(), |n| n.to_string());
    let mut line = format!(
        "{} {}:{} ",
        match kind {
            Kind::Block => 'b',
            Kind::Char => 'c',
        },
        number(major),
        number(minor)
    );
    for (bit, letter) in [(READ, 'r'), (WRITE, 'w'), (MKNOD, 'm')] {
        if access & bit != 0 {
            line.push(letter);
        }
    }
    line
}

/// Brings the lists to what the rules say. Where the default stays only the differences are
/// written, so that a running container never loses what it keeps.
pub(super) fn apply(devices: &Controller, rules: &[Rule], fresh: bool) -> Result<()> {
    let wanted = State::of(rules)?;
    let now = State::parse(&devices.read("devices.list")?).unwrap_or_default();
    let file = |allow: bool| {
        if allow {
            "devices.allow"
        } else {
            "devices.deny"
        }
    };
    // Exceptions from "allow" cannot be read, so those are begun anew, unless there can be none.
    let anew = now.allow != wanted.allow || wanted.allow && !fresh;
    if anew {
        devices.write(NAME, file(wanted.allow), "a")?;
    }
    let old = if anew {
        &BTreeMap::new()
    } else {
        &now.exceptions
    };
    for (key, had) in old {
        let gone = had & !wanted.exceptions.get(key).copied().unwrap_or(0) & ALL;
        if gone != 0 {
            devices.write(NAME, file(wanted.allow), &line(*key, gone))?;
        }
    }
    for (key, access) in &wanted.exceptions {
        let new = access & !old.get(key).copied().unwrap_or(0);
        if new != 0 {
            devices.write(NAME, file(!wanted.allow), &line(*key, new))?;
        }
    }
    let text = devices.read("devices.list")?;
    let kept = State::parse(&text).is_some_and(|found| {
        found.allow == wanted.allow && (wanted.allow || found.exceptions == wanted.exceptions)
    });
    if kept {
        return Ok(());
    }
    Err(Error::Unsupported(format!(
        "{NAME}: devices.list is not what was written to it: {text:?}"
    )))
}

#[cfg(test)]
mod tests {
    use super::{super::rules::tests::rules, *};

    fn lines(state: &State) -> Vec<String> {
        state
            .exceptions
            .iter()
            .map(|(key, access)| line(*key, *access))
            .collect()
    }

    #[test]
    fn rules_become_a_default_and_exceptions() {
        let state = State::of(&rules(&["+a", "-a", "+c 1:3 r", "+c 1:3 w", "+b 8:* rwm"])).unwrap();
        assert!(!state.allow);
        assert_eq!(lines(&state), ["b 8:* rwm", "c 1:3 rw"]);
        let state = State::of(&rules(&["-a", "+a", "-b 8:0", "+b 8:0 r"])).unwrap();
        assert!(state.allow);
        assert_eq!(lines(&state), ["b 8:0 wm"]);
        let state = State::of(&rules(&["-a", "+c 1:3", "+c 1:5", "+c 2:1", "-c 1:*"])).unwrap();
        assert_eq!(lines(&state), ["c 2:1 rwm"]);
        let state = State::of(&rules(&["-a", "+a *:* r"])).unwrap();
        assert_eq!(lines(&state), ["b *:* r", "c *:* r"]);
    }

    #[test]
    fn what_lists_cannot_say_is_refused() {
        for cannot in [
            &["-a", "+c 1:*", "-c 1:3 w"],
            &["+a", "-c *:3", "+c 1:*"],
            &["-a", "+b *:* r", "-b 8:0"],
        ] {
            let e = State::of(&rules(cannot)).unwrap_err().to_string();
            assert!(e.contains("linux.resources.devices"), "{e}");
        }
        // It speaks of another use.
        State::of(&rules(&["-a", "+c *:* m", "-c 1:3 rw"])).unwrap();
    }

    #[test]
    fn lists_are_read() {
        let state = State::parse("b 8:* rwm\nc 1:3 rw\n").unwrap();
        assert_eq!(lines(&state), ["b 8:* rwm", "c 1:3 rw"]);
        assert!(State::parse("a *:* rwm\n").unwrap().allow);
        assert!(State::parse("rubbish").is_none());
    }
}
