//! The environment, and the one variable that only the container's own files can tell.

use std::{
    ffi::CString,
    fs::File,
    io::{BufRead, BufReader, Read},
};

use rustix::fs::{FileType, Mode, OFlags, fstat, open};

use crate::oci::{Error, Result};

/// More of `/etc/passwd` is not read. It is the image's, and may be anything.
const MAX_PASSWD: u64 = 4 << 20;

/// The last of several values of a variable counts.
pub(super) fn prepare(env: &[String]) -> Result<Vec<CString>> {
    let mut kept: Vec<(&str, &str)> = Vec::with_capacity(env.len());
    for (i, entry) in env.iter().enumerate() {
        let field = || format!("process.env[{i}]");
        let name = match entry.split_once('=') {
            Some((name, _)) if !name.is_empty() => name,
            _ => {
                return Err(Error::config(
                    field(),
                    format!("invalid environment variable {entry:?}: must be NAME=value"),
                ));
            }
        };
        if entry.contains('\0') {
            return Err(Error::config(field(), "must not contain a zero byte"));
        }
        match kept.iter_mut().find(|(n, _)| *n == name) {
            Some(known) => known.1 = entry,
            None => kept.push((name, entry)),
        }
    }
    let strings = kept.into_iter().filter_map(|(_, e)| CString::new(e).ok());
    Ok(strings.collect())
}

/// The value of a variable.
pub(super) fn get<'a>(env: &'a [CString], name: &str) -> Option<&'a [u8]> {
    env.iter().find_map(|entry| {
        entry
            .to_bytes()
            .strip_prefix(name.as_bytes())?
            .strip_prefix(b"=")
    })
}

/// Adds `HOME`, if it is not there, from the container's `/etc/passwd`. To be called inside.
pub(super) fn add_home(env: &mut Vec<CString>, uid: u32) {
    if get(env, "HOME").is_some_and(|home| !home.is_empty()) {
        return;
    }
    env.retain(|entry| !entry.to_bytes().starts_with(b"HOME="));
    let home = home(uid).unwrap_or_else(|| "/".to_owned());
    env.extend(CString::new(format!("HOME={home}")));
}

fn home(uid: u32) -> Option<String> {
    // A pipe or a device is not waited for, and not read.
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let fd = open("/etc/passwd", flags, Mode::empty()).ok()?;
    if FileType::from_raw_mode(fstat(&fd).ok()?.st_mode) != FileType::RegularFile {
        return None;
    }
    for line in BufReader::new(File::from(fd).take(MAX_PASSWD)).lines() {
        let line = line.ok()?;
        let fields: Vec<&str> = line.split(':').collect();
        if fields.len() >= 6 && fields[2].parse() == Ok(uid) {
            return Some(fields[5].to_owned()).filter(|home| !home.is_empty());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn last_value_counts() {
        let list = |env: &[&str]| prepare(&env.iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        let env = list(&["A=1", "B=2", "A=3=4"]).unwrap();
        assert_eq!(env, [c"A=3=4".to_owned(), c"B=2".to_owned()]);
        assert_eq!(get(&env, "A"), Some(&b"3=4"[..]));
        assert_eq!(get(&env, "C"), None);
        for bad in ["A", "=1", "A=\0"] {
            let error = list(&["X=1", bad]).unwrap_err().to_string();
            assert!(error.contains("process.env[1]"), "{error}");
        }
    }
}
