//! Who is meant by `--user`: looked up in the image's own `/etc/passwd` and `/etc/group`.
//!
//! These files are the image's, so they are hostile: they are opened within the image's root
//! whatever links say, must be regular files, and may not be larger than makes sense
//! (CVE-2024-9676, GO-2026-5475). Numbers out of range are refused instead of wrapping around to
//! root (CVE-2024-40635).

use std::{
    fs::File,
    io::{self, Read},
    os::fd::BorrowedFd,
};

use rustix::{
    fs::{FileType, Mode, OFlags, ResolveFlags, fstat, openat2},
    io::Errno,
};

use crate::{Error, spec};

/// Larger files are refused. The largest real ones have thousands of lines.
const MAX_FILE: u64 = 4 << 20;
/// The kernel's limit of groups.
const MAX_GROUPS: usize = 65_536;
/// Docker's bounds of ids.
const MAX_ID: u64 = i32::MAX as u64;

/// A user that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resolved {
    /// For the process.
    pub user: spec::User,
    /// Home directory, `/` if none is known.
    pub home: String,
    /// The name, if the user is in `/etc/passwd`.
    pub name: Option<String>,
}

struct PasswdEntry<'a> {
    name: &'a str,
    uid: u64,
    gid: u64,
    home: &'a str,
}

/// Finds `user` (`name`, `name:group`, `uid`, `uid:gid`; root if empty) and the groups of
/// `--group-add` in the image whose root is `rootfs`.
pub fn resolve(
    rootfs: BorrowedFd<'_>,
    user: &str,
    group_add: &[String],
) -> Result<Resolved, Error> {
    let passwd = read(rootfs, "etc/passwd")?;
    let group = read(rootfs, "etc/group")?;
    find(&passwd, &group, user, group_add)
}

/// A file's content; empty if it is not there.
fn read(rootfs: BorrowedFd<'_>, path: &str) -> Result<String, Error> {
    let refuse = |why: String| Error::Image(format!("/{path} of the image is refused: {why}"));
    // O_NONBLOCK: a fifo must not make us wait before we can see that it is one.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let fd = match openat2(rootfs, path, flags, Mode::empty(), resolve) {
        Ok(fd) => fd,
        Err(Errno::NOENT | Errno::NOTDIR) => return Ok(String::new()),
        Err(e) => return Err(refuse(io::Error::from(e).to_string())),
    };
    let stat = fstat(&fd).map_err(|e| refuse(io::Error::from(e).to_string()))?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(refuse("it is not a regular file".to_owned()));
    }
    let mut bytes = Vec::new();
    File::from(fd)
        .take(MAX_FILE + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| refuse(e.to_string()))?;
    if bytes.len() as u64 > MAX_FILE {
        return Err(refuse(format!("it is larger than {MAX_FILE} bytes")));
    }
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn find(passwd: &str, group: &str, spec: &str, add: &[String]) -> Result<Resolved, Error> {
    let (wanted, wanted_group) = spec.split_once(':').unwrap_or((spec, ""));
    let number: Option<u64> = if wanted.is_empty() {
        Some(0)
    } else {
        wanted.parse().ok()
    };
    let entry = entries(passwd).find(|e| match number {
        Some(uid) => e.uid == uid,
        None => e.name == wanted,
    });
    let (uid, mut gid, home, name) = match (&entry, number) {
        (Some(e), _) => (id(e.uid)?, id(e.gid)?, e.home, Some(e.name)),
        (None, Some(uid)) => (id(uid)?, 0, "", None),
        (None, None) => {
            return Err(Error::Invalid(format!(
                "unable to find user {wanted}: no matching entries in passwd file"
            )));
        }
    };
    let mut further = Vec::new();
    if !wanted_group.is_empty() {
        gid = find_group(group, wanted_group).unwrap_or_else(|| {
            Err(Error::Invalid(format!(
                "unable to find group {wanted_group}: no matching entries in group file"
            )))
        })?;
    } else if let Some(name) = name {
        for (_, number, members) in groups(group) {
            if members.split(',').any(|m| m == name) {
                further.push(id(number)?);
            }
        }
    }
    // Its own group first: it must count wherever groups are compared (CVE-2022-36109).
    let mut gids = vec![gid];
    for text in add {
        let found = find_group(group, text)
            .unwrap_or_else(|| Err(Error::Invalid(format!("Unable to find group {text}"))))?;
        further.push(found);
    }
    let mut seen: std::collections::HashSet<u32> = gids.iter().copied().collect();
    gids.extend(further.into_iter().filter(|g| seen.insert(*g)));
    if gids.len() > MAX_GROUPS {
        return Err(Error::Image(format!(
            "the user is in more than {MAX_GROUPS} groups"
        )));
    }
    Ok(Resolved {
        user: spec::User {
            uid,
            gid,
            additional_gids: gids,
        },
        home: if home.is_empty() {
            "/".to_owned()
        } else {
            home.to_owned()
        },
        name: name.map(str::to_owned),
    })
}

fn id(number: u64) -> Result<u32, Error> {
    if number > MAX_ID {
        return Err(Error::Invalid(format!(
            "uids and gids must be in range 0-{MAX_ID}"
        )));
    }
    Ok(number as u32)
}

fn entries(passwd: &str) -> impl Iterator<Item = PasswdEntry<'_>> {
    passwd.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields
            .next()
            .filter(|n| !n.is_empty() && !n.starts_with('#'))?;
        let (uid, gid) = (fields.nth(1)?.parse().ok()?, fields.next()?.parse().ok()?);
        Some(PasswdEntry {
            name,
            uid,
            gid,
            home: fields.nth(1).unwrap_or_default(),
        })
    })
}

/// Name, number and members of each group.
fn groups(group: &str) -> impl Iterator<Item = (&str, u64, &str)> {
    group.lines().filter_map(|line| {
        let mut fields = line.split(':');
        let name = fields
            .next()
            .filter(|n| !n.is_empty() && !n.starts_with('#'))?;
        let number = fields.nth(1)?.parse().ok()?;
        Some((name, number, fields.next().unwrap_or_default().trim_end()))
    })
}

/// A group by number or name; a number need not be in the file.
fn find_group(group: &str, wanted: &str) -> Option<Result<u32, Error>> {
    match wanted.parse::<u64>() {
        Ok(number) => Some(id(number)),
        Err(_) => groups(group)
            .find(|(name, ..)| *name == wanted)
            .map(|(_, n, _)| id(n)),
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, os::fd::AsFd, os::unix::fs::symlink, path::Path};

    use super::*;

    const PASSWD: &str = "root:x:0:0:root:/root:/bin/sh\n# comment\nbroken\n\
                          www:x:33:33:www:/var/www:\nbig:x:4294967295:0::/:\nnohome:x:5:5:::\n";
    const GROUP: &str = "root:x:0:\nadm:x:4:www,root\nwww:x:33:\nlog:x:44:www\nbig:x:9999999999:\n";

    fn ok(user: &str, add: &[&str]) -> Resolved {
        let add: Vec<String> = add.iter().map(|a| (*a).to_owned()).collect();
        find(PASSWD, GROUP, user, &add).unwrap()
    }

    fn ids(r: &Resolved) -> (u32, u32, &[u32]) {
        (r.user.uid, r.user.gid, &r.user.additional_gids)
    }

    #[test]
    fn names_and_numbers() {
        let r = ok("", &[]);
        assert_eq!((ids(&r), r.home.as_str()), ((0, 0, &[0, 4][..]), "/root"));
        let r = ok("www", &["44", "adm", "7"]);
        assert_eq!(
            (ids(&r), r.home.as_str()),
            ((33, 33, &[33, 4, 44, 7][..]), "/var/www")
        );
        assert_eq!(ids(&ok("33", &[])), (33, 33, &[33, 4, 44][..]));
        let r = ok("1000", &[]);
        assert_eq!(
            (ids(&r), r.home.as_str(), &r.name),
            ((1000, 0, &[0][..]), "/", &None)
        );
        assert_eq!(ids(&ok("1000:2000", &[])), (1000, 2000, &[2000][..]));
        assert_eq!(ids(&ok("www:log", &[])), (33, 44, &[44][..]));
        assert_eq!(ids(&ok(":www", &[])), (0, 33, &[33][..]));
        assert_eq!(ok("nohome", &[]).home, "/");
    }

    #[test]
    fn refusals_in_dockers_words() {
        for (user, add, words) in [
            (
                "nobody",
                &[][..],
                "unable to find user nobody: no matching entries in passwd file",
            ),
            (
                "www:x",
                &[],
                "unable to find group x: no matching entries in group file",
            ),
            ("www", &["x"], "Unable to find group x"),
            (
                "2147483648",
                &[],
                "uids and gids must be in range 0-2147483647",
            ),
            (
                "4294967296",
                &[],
                "uids and gids must be in range 0-2147483647",
            ),
            (
                "1:4294967296",
                &[],
                "uids and gids must be in range 0-2147483647",
            ),
            ("big", &[], "uids and gids must be in range 0-2147483647"),
            (
                "www",
                &["big"],
                "uids and gids must be in range 0-2147483647",
            ),
            ("99999999999999999999999", &[], "unable to find user"),
            ("-1", &[], "unable to find user -1"),
        ] {
            let add: Vec<String> = add.iter().map(|a| (*a).to_owned()).collect();
            let error = find(PASSWD, GROUP, user, &add).unwrap_err().to_string();
            assert!(error.contains(words), "{user}: {error}");
        }
    }

    fn in_root(make: impl Fn(&Path)) -> Result<Resolved, Error> {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("etc")).unwrap();
        make(dir.path());
        let root = File::open(dir.path()).unwrap();
        resolve(root.as_fd(), "evil", &[])
    }

    #[test]
    fn hostile_files() {
        let line = "evil:x:7:7::/:\n";
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("passwd"), line).unwrap();
        let target = outside.path().join("passwd");

        assert_eq!(
            in_root(|r| fs::write(r.join("etc/passwd"), line).unwrap())
                .unwrap()
                .user
                .uid,
            7
        );
        // Links lead nowhere but into the image.
        assert!(in_root(|r| symlink(&target, r.join("etc/passwd")).unwrap()).is_err());
        let up = format!("../../../../../../../../{}", target.display());
        assert!(in_root(|r| symlink(&up, r.join("etc/passwd")).unwrap()).is_err());
        assert!(
            in_root(|r| {
                fs::remove_dir(r.join("etc")).unwrap();
                symlink(outside.path(), r.join("etc")).unwrap();
            })
            .is_err()
        );
        let found = in_root(|r| {
            fs::write(r.join("users"), line).unwrap();
            symlink("/users", r.join("etc/passwd")).unwrap();
        });
        assert_eq!(found.unwrap().user.uid, 7);
        // Not files at all, or too large.
        let fifo = in_root(|r| {
            rustix::fs::mknodat(
                rustix::fs::CWD,
                r.join("etc/passwd"),
                FileType::Fifo,
                Mode::RUSR,
                0,
            )
            .unwrap();
        });
        assert!(fifo.unwrap_err().to_string().contains("regular file"));
        assert!(in_root(|r| fs::create_dir(r.join("etc/passwd")).unwrap()).is_err());
        let huge = in_root(|r| {
            File::create(r.join("etc/passwd"))
                .unwrap()
                .set_len(1 << 40)
                .unwrap();
        });
        assert!(huge.unwrap_err().to_string().contains("larger"));
        let huge = in_root(|r| {
            fs::write(r.join("etc/passwd"), line).unwrap();
            File::create(r.join("etc/group"))
                .unwrap()
                .set_len(1 << 40)
                .unwrap();
        });
        assert!(huge.is_err());
        assert!(
            in_root(|_| ())
                .unwrap_err()
                .to_string()
                .contains("no matching entries")
        );
    }
}
