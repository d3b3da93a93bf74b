//! `--userns-remap`: whose users a container's are on the host.

use std::fs;

use runtime::spec::IdMapping;
use types::container::HostConfig;

/// Docker's own user, for `default`.
const DEFAULT: &str = "dockremap";

/// Users and groups of containers, and what they are on the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remap {
    /// `user:group`, as the daemon was told.
    pub name: String,
    /// Users.
    pub uids: Vec<IdMapping>,
    /// Groups.
    pub gids: Vec<IdMapping>,
}

impl Remap {
    /// Reads `default`, `user`, `user:group` (names or numbers) against the host's files.
    ///
    /// # Errors
    /// A sentence: who is unknown, or has no subordinate identifiers.
    pub fn read(text: &str) -> Result<Self, String> {
        let file = |path: &str| fs::read_to_string(path).unwrap_or_default();
        let files = Files {
            passwd: file("/etc/passwd"),
            group: file("/etc/group"),
            subuid: file("/etc/subuid"),
            subgid: file("/etc/subgid"),
        };
        parse(text, &files)
    }

    /// The user and group on the host that are root in a container.
    #[must_use]
    pub fn root(&self) -> (u32, u32) {
        let first = |all: &[IdMapping]| all.first().map_or(0, |m| m.host);
        (first(&self.uids), first(&self.gids))
    }

    /// Whether it applies to a container.
    pub(crate) fn applies(&self, host: &HostConfig) -> bool {
        host.userns_mode != "host"
    }
}

struct Files {
    passwd: String,
    group: String,
    subuid: String,
    subgid: String,
}

fn parse(text: &str, files: &Files) -> Result<Remap, String> {
    let text = if text == "default" { DEFAULT } else { text };
    let mut parts = text.splitn(3, ':');
    let user = parts.next().unwrap_or_default();
    let group = parts.next();
    if user.is_empty() || group == Some("") || parts.next().is_some() {
        return Err(format!(
            "invalid user/group specification in --userns-remap: {text:?}"
        ));
    }
    let (user, uid) = entry(&files.passwd, user).ok_or_else(|| {
        format!("--userns-remap: no user {user:?} on this host: make one, with subordinate ranges")
    })?;
    let (group, gid) = match group {
        Some(group) => entry(&files.group, group)
            .ok_or_else(|| format!("--userns-remap: no group {group:?} on this host"))?,
        None => entry(&files.group, &user).unwrap_or((user.clone(), uid.clone())),
    };
    Ok(Remap {
        uids: ranges(&files.subuid, &user, &uid)
            .ok_or_else(|| format!("no subuid ranges found for user {user:?} in /etc/subuid"))?,
        gids: ranges(&files.subgid, &group, &gid)
            .ok_or_else(|| format!("no subgid ranges found for group {group:?} in /etc/subgid"))?,
        name: format!("{user}:{group}"),
    })
}

/// Name and number of the entry with this name or number.
fn entry(file: &str, wanted: &str) -> Option<(String, String)> {
    let mut lines = file.lines().map(|l| l.split(':').collect::<Vec<_>>());
    lines
        .find(|f| f.len() > 2 && (f[0] == wanted || f[2] == wanted))
        .map(|f| (f[0].to_owned(), f[2].to_owned()))
}

/// Somebody's subordinate ranges, one after the other from 0 inside.
fn ranges(file: &str, name: &str, number: &str) -> Option<Vec<IdMapping>> {
    let mut all = Vec::new();
    let mut next = 0_u32;
    let mine = file.lines().map(|l| l.split(':').collect::<Vec<_>>());
    for fields in mine.filter(|f| f.len() == 3 && (f[0] == name || f[0] == number)) {
        let (host, size): (u32, u32) = (fields[1].parse().ok()?, fields[2].trim().parse().ok()?);
        // Neither may wrap around to the host's root.
        host.checked_add(size).filter(|_| size > 0 && host > 0)?;
        all.push(IdMapping {
            container: next,
            host,
            size,
        });
        next = next.checked_add(size)?;
    }
    (!all.is_empty()).then_some(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Remap, String> {
        let files = Files {
            passwd: "root:x:0:0::/:\ndockremap:x:110:111::/:\napp:x:1000:1000::/:\n".into(),
            group: "dockremap:x:111:\napp:x:1000:\nother:x:7:\n".into(),
            subuid: "dockremap:100000:65536\n1000:300000:10\n1000:400000:20\n".into(),
            subgid: "dockremap:200000:65536\napp:300000:10\n".into(),
        };
        parse(text, &files)
    }

    #[test]
    fn users_groups_and_ranges() {
        let found = of("default").unwrap();
        assert_eq!(
            (found.root(), found.name.as_str()),
            ((100_000, 200_000), "dockremap:dockremap")
        );
        let app = of("1000").unwrap();
        let second = IdMapping {
            container: 10,
            host: 400_000,
            size: 20,
        };
        assert_eq!((app.uids.len(), app.uids[1]), (2, second));
        assert_eq!(of("dockremap:app").unwrap().root(), (100_000, 300_000));
        for (bad, words) in [
            ("nobody", "no user \"nobody\""),
            ("app:nobody", "no group \"nobody\""),
            ("app:other", "no subgid ranges found for group \"other\""),
            ("root", "no subuid ranges found for user \"root\""),
            ("a:b:c", "invalid user/group specification"),
            (":", "invalid user/group specification"),
        ] {
            let error = of(bad).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }
}
