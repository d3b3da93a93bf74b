//! The rules as they are written.

use oci_spec::runtime::{LinuxDeviceCgroup, LinuxDeviceType};

use super::super::super::error::{Error, Result};

/// Making a node, as eBPF numbers it.
pub(super) const MKNOD: u8 = 1;
/// Reading.
pub(super) const READ: u8 = 2;
/// Writing.
pub(super) const WRITE: u8 = 4;
/// All three.
pub(super) const ALL: u8 = MKNOD | READ | WRITE;

/// What kind of device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Block devices.
    Block,
    /// Character devices.
    Char,
}

/// One rule; what is `None` matches everything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rule {
    pub(super) allow: bool,
    pub(super) kind: Option<Kind>,
    pub(super) major: Option<u32>,
    pub(super) minor: Option<u32>,
    pub(super) access: u8,
}

impl Rule {
    /// Does it speak of every device and every use?
    pub(super) fn is_total(&self) -> bool {
        self.kind.is_none() && self.major.is_none() && self.minor.is_none() && self.access == ALL
    }
}

const fn char_device(major: Option<u32>, minor: Option<u32>, access: u8) -> Rule {
    Rule {
        allow: true,
        kind: Some(Kind::Char),
        major,
        minor,
        access,
    }
}

/// What every container has, as with runc: any node may be made, and null, zero, full, random,
/// urandom, tty, ptmx, the terminals of a devpts, and tun (of use to whom may configure networks)
/// may be used.
const EVERYBODYS: [Rule; 11] = [
    char_device(None, None, MKNOD),
    Rule {
        kind: Some(Kind::Block),
        ..char_device(None, None, MKNOD)
    },
    char_device(Some(1), Some(3), ALL),
    char_device(Some(1), Some(5), ALL),
    char_device(Some(1), Some(7), ALL),
    char_device(Some(1), Some(8), ALL),
    char_device(Some(1), Some(9), ALL),
    char_device(Some(5), Some(0), ALL),
    char_device(Some(5), Some(2), ALL),
    char_device(Some(136), None, ALL),
    char_device(Some(10), Some(200), ALL),
];

/// The configuration's rules and then everybody's.
pub(super) fn parse(wanted: &[LinuxDeviceCgroup]) -> Result<Vec<Rule>> {
    let mut rules = Vec::with_capacity(wanted.len() + EVERYBODYS.len());
    for (i, r) in wanted.iter().enumerate() {
        let name = || format!("{}[{i}]", super::NAME);
        let number = |n: Option<i64>, what: &str| match n {
            None | Some(-1) => Ok(None),
            Some(n) => match u32::try_from(n) {
                Ok(n) if i32::try_from(n).is_ok() => Ok(Some(n)),
                _ => Err(Error::config(
                    format!("{}.{what}", name()),
                    format!("{n} is no number of a device"),
                )),
            },
        };
        let kind = match r.typ() {
            None | Some(LinuxDeviceType::A) => None,
            Some(LinuxDeviceType::B) => Some(Kind::Block),
            Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(Kind::Char),
            Some(LinuxDeviceType::P) => {
                return Err(Error::config(
                    format!("{}.type", name()),
                    "a named pipe is no device; a, b or c",
                ));
            }
        };
        rules.push(Rule {
            allow: r.allow(),
            kind,
            major: number(r.major(), "major")?,
            minor: number(r.minor(), "minor")?,
            access: access(r.access().as_deref().unwrap_or_default()).ok_or_else(|| {
                Error::config(
                    format!("{}.access", name()),
                    format!("{:?} is not made of r, w and m", r.access()),
                )
            })?,
        });
    }
    rules.extend(EVERYBODYS);
    Ok(rules)
}

fn access(text: &str) -> Option<u8> {
    if text.is_empty() {
        return Some(ALL);
    }
    text.bytes().try_fold(0, |all, b| {
        Some(
            all | match b {
                b'r' => READ,
                b'w' => WRITE,
                b'm' => MKNOD,
                _ => return None,
            },
        )
    })
}

/// Is nothing denied?
pub(super) fn allow_all(rules: &[Rule]) -> bool {
    let last = rules.iter().rposition(Rule::is_total);
    last.is_some_and(|i| rules[i..].iter().all(|r| r.allow))
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `-c 1:3 rw`, `+a`, `+c 1:* r`
    pub(crate) fn rule(text: &str) -> Rule {
        let mut words = text[1..].split(' ');
        let kind = match words.next() {
            Some("c") => Some(Kind::Char),
            Some("b") => Some(Kind::Block),
            _ => None,
        };
        let (major, minor) = words.next().unwrap_or("*:*").split_once(':').unwrap();
        Rule {
            allow: text.starts_with('+'),
            kind,
            major: major.parse().ok(),
            minor: minor.parse().ok(),
            access: access(words.next().unwrap_or("rwm")).unwrap(),
        }
    }

    pub(crate) fn rules(all: &[&str]) -> Vec<Rule> {
        all.iter().map(|t| rule(t)).collect()
    }

    /// What the rules mean, word for word.
    pub(crate) fn allowed(rules: &[Rule], kind: Kind, major: u32, minor: u32, access: u8) -> bool {
        [MKNOD, READ, WRITE]
            .iter()
            .filter(|bit| access & **bit != 0)
            .all(|bit| {
                let matches = |r: &&Rule| {
                    r.kind.is_none_or(|k| k == kind)
                        && r.major.is_none_or(|n| n == major)
                        && r.minor.is_none_or(|n| n == minor)
                        && r.access & bit != 0
                };
                rules.iter().rev().find(matches).is_some_and(|r| r.allow)
            })
    }

    #[test]
    fn mistakes_are_named() {
        for (json, field) in [
            (r#"{"allow":true,"type":"p"}"#, "devices[0].type"),
            (
                r#"{"allow":true,"type":"c","major":-2}"#,
                "devices[0].major",
            ),
            (
                r#"{"allow":true,"type":"c","minor":4294967296}"#,
                "devices[0].minor",
            ),
            (r#"{"allow":true,"access":"rx"}"#, "devices[0].access"),
        ] {
            let rule: LinuxDeviceCgroup = serde_json::from_str(json).unwrap();
            let e = parse(&[rule]).unwrap_err().to_string();
            assert!(e.contains(field), "{e}");
        }
    }

    #[test]
    fn everybody_has_null_and_nobody_a_disk() {
        let rules = parse(&[]).unwrap();
        assert!(allowed(&rules, Kind::Char, 1, 3, READ | WRITE));
        assert!(allowed(&rules, Kind::Char, 136, 17, READ | WRITE));
        assert!(!allowed(&rules, Kind::Block, 8, 0, READ));
        assert!(!allowed(&rules, Kind::Char, 1, 1, READ));
        assert!(allowed(&rules, Kind::Block, 8, 0, MKNOD));
        assert!(!allow_all(&rules));
        let all = serde_json::from_str(r#"{"allow":true,"access":"rwm"}"#).unwrap();
        assert!(allow_all(&parse(&[all]).unwrap()));
    }
}
