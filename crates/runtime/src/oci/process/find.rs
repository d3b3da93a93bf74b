//! Finding the program inside the container, with runc's words when it is not there.

use std::{
    ffi::{CStr, CString},
    io,
};

use rustix::{
    fs::{Access, AtFlags, CWD, FileType, accessat, stat},
    io::Errno,
};

use super::{environment, lossy, starting};
use crate::oci::{Error, Result};

/// The path of what `name` means to this process, with the `PATH` of `env`.
pub(super) fn program(name: &CString, env: &[CString]) -> Result<CString> {
    let shown = lossy(name);
    let fail = |why: String, errno: Errno| Error::Inside {
        message: starting(format!("exec: {shown:?}: {why}")),
        errno: errno.raw_os_error(),
    };
    if name.to_bytes().contains(&b'/') {
        return match check(name) {
            Ok(()) => Ok(name.clone()),
            Err(Errno::NOENT) => Err(fail(
                format!("stat {shown}: no such file or directory"),
                Errno::NOENT,
            )),
            Err(Errno::ACCESS) => Err(fail("permission denied".to_owned(), Errno::ACCESS)),
            Err(e) => Err(fail(words(e), e)),
        };
    }
    let path = environment::get(env, "PATH").unwrap_or_default();
    for directory in path.split(|b| *b == b':') {
        let mut candidate = directory.to_vec();
        if !directory.is_empty() {
            candidate.push(b'/');
        }
        candidate.extend_from_slice(name.to_bytes());
        let Ok(candidate) = CString::new(candidate) else {
            continue;
        };
        if check(&candidate).is_ok() && !name.is_empty() {
            if directory.first() != Some(&b'/') {
                let why = "cannot run executable found relative to current directory";
                return Err(fail(why.to_owned(), Errno::NOENT));
            }
            return Ok(candidate);
        }
    }
    Err(fail(
        "executable file not found in $PATH".to_owned(),
        Errno::NOENT,
    ))
}

fn check(path: &CStr) -> Result<(), Errno> {
    if FileType::from_raw_mode(stat(path)?.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    match accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS) {
        // The real user is the effective one, and older kernels and filters do not know the flag.
        Err(Errno::NOSYS | Errno::PERM) => accessat(CWD, path, Access::EXEC_OK, AtFlags::empty()),
        other => other,
    }
}

/// The kernel's reason as C and Go put it: in lower case, without a number.
fn words(errno: Errno) -> String {
    match errno {
        Errno::ISDIR => "is a directory".to_owned(),
        Errno::NOTDIR => "not a directory".to_owned(),
        Errno::LOOP => "too many levels of symbolic links".to_owned(),
        other => io::Error::from(other).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn find(name: &str) -> Result<CString, String> {
        let env = [c"PATH=/nowhere:/etc:/bin".to_owned()];
        program(&CString::new(name).unwrap(), &env).map_err(|e| e.to_string())
    }

    #[test]
    fn as_runc_says_it() {
        assert_eq!(find("sh").unwrap(), c"/bin/sh".to_owned());
        assert_eq!(find("/bin/sh").unwrap(), c"/bin/sh".to_owned());
        for (name, why) in [
            ("nope", "exec: \"nope\": executable file not found in $PATH"),
            ("", "exec: \"\": executable file not found in $PATH"),
            (
                "/nope",
                "exec: \"/nope\": stat /nope: no such file or directory",
            ),
            ("/etc", "exec: \"/etc\": is a directory"),
            ("/etc/passwd", "exec: \"/etc/passwd\": permission denied"),
            (
                "group",
                "exec: \"group\": executable file not found in $PATH",
            ),
        ] {
            let error = find(name).unwrap_err();
            assert_eq!(error, format!("unable to start container process: {why}"));
        }
    }
}
