//! The AppArmor profile that containers get where the host has AppArmor.
//!
//! The kernel takes only compiled profiles, and the compiler is a program of the host's,
//! `apparmor_parser`. Where it is not installed the containers have no profile, and `info` says so.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
};

/// The profile's name.
pub const DEFAULT: &str = "wharf-default";

const TEXT: &str = include_str!("apparmor.profile");

/// How it is with AppArmor on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// The kernel does not have it, or it is off.
    Off,
    /// It is on and the default profile is loaded.
    Loaded,
    /// It is on, and the profile could not be loaded: why, and what to do.
    Missing(String),
}

/// Loads the default profile if the host has AppArmor; the first call does it, for all that follow.
pub fn prepare() -> &'static State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(|| Places::host().prepare())
}

/// The profile for a container that asks for none by name; none if it is not loaded.
pub fn default_profile() -> Option<&'static str> {
    (*prepare() == State::Loaded).then_some(DEFAULT)
}

/// Whether the kernel has a profile of this name.
pub fn is_loaded(name: &str) -> bool {
    Places::host().is_loaded(name)
}

/// Where things are; elsewhere in tests.
struct Places {
    sys: PathBuf,
    /// The label of this process.
    label: PathBuf,
    /// The first that exists is taken; a daemon's PATH often lacks these directories.
    parsers: Vec<PathBuf>,
}

impl Places {
    fn host() -> Self {
        Self {
            sys: "/sys".into(),
            label: "/proc/self/attr/current".into(),
            parsers: vec![
                "/usr/sbin/apparmor_parser".into(),
                "/sbin/apparmor_parser".into(),
                "/usr/bin/apparmor_parser".into(),
            ],
        }
    }

    fn prepare(&self) -> State {
        let enabled = self.sys.join("module/apparmor/parameters/enabled");
        if !fs::read_to_string(enabled).is_ok_and(|text| text.starts_with('Y')) {
            return State::Off;
        }
        // Also when it is there: it may be an older wharf's.
        match self.load() {
            Ok(()) => State::Loaded,
            // A daemon without the right to load takes what an administrator has loaded.
            Err(_) if self.is_loaded(DEFAULT) => State::Loaded,
            Err(problem) => State::Missing(problem),
        }
    }

    fn load(&self) -> Result<(), String> {
        let Some(parser) = self.parsers.iter().find(|p| p.exists()) else {
            return Err(format!(
                "apparmor_parser is not installed, so the AppArmor profile {DEFAULT} cannot be \
                 loaded: install the package apparmor"
            ));
        };
        let failed = |why: &str| format!("loading the AppArmor profile {DEFAULT}: {why}");
        run(parser, &self.text()).map_err(|why| failed(&why))
    }

    /// The profile; a daemon that is itself confined must be able to send signals all the same.
    fn text(&self) -> String {
        let label = fs::read_to_string(&self.label).unwrap_or_default();
        let label = label.trim_end_matches(['\0', '\n']);
        let label = label.split(" (").next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
        let rule = match label {
            "" | "unconfined" => String::new(),
            label if label.chars().all(plain) => format!("  signal (receive) peer={label},\n"),
            _ => String::new(),
        };
        TEXT.replace("@DAEMON@", &rule)
    }

    fn is_loaded(&self, name: &str) -> bool {
        let list = self.sys.join("kernel/security/apparmor/profiles");
        fs::read_to_string(list).is_ok_and(|list| {
            list.lines()
                .any(|line| line.rsplit_once(" (").is_some_and(|(n, _)| n == name))
        })
    }
}

/// Has a profile compiled and loaded in the place of an older one, past the cache of the host's own.
fn run(parser: &Path, profile: &str) -> Result<(), String> {
    let mut child = Command::new(parser)
        .arg("-Kr")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| format!("{}: {e}", parser.display()))?;
    // A parser that ends early says why; that counts, not the broken pipe.
    let written = match child.stdin.take() {
        Some(mut stdin) => stdin.write_all(profile.as_bytes()),
        None => Ok(()),
    };
    let output = child
        .wait_with_output()
        .map_err(|e| format!("{}: {e}", parser.display()))?;
    if !output.status.success() {
        let words = String::from_utf8_lossy(&output.stderr);
        return Err(format!("{} ({})", words.trim(), output.status));
    }
    written.map_err(|e| format!("{}: {e}", parser.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// A host in a directory, with a parser that does this.
    fn host(dir: &Path, enabled: &str, parser: Option<&str>) -> Places {
        let sys = dir.join("sys");
        let parameters = sys.join("module/apparmor/parameters");
        fs::create_dir_all(&parameters).unwrap();
        fs::create_dir_all(sys.join("kernel/security/apparmor")).unwrap();
        fs::write(parameters.join("enabled"), enabled).unwrap();
        fs::write(dir.join("label"), "unconfined\n").unwrap();
        let path = dir.join("apparmor_parser");
        if let Some(script) = parser {
            // Renamed into place, so that no other test's child holds it open for writing.
            let script = script.replace("DIR", &dir.display().to_string());
            let new = dir.join("new");
            fs::write(&new, format!("#!/bin/sh\n{script}\n")).unwrap();
            fs::set_permissions(&new, fs::Permissions::from_mode(0o755)).unwrap();
            fs::rename(&new, &path).unwrap();
        }
        Places {
            sys,
            label: dir.join("label"),
            parsers: vec![dir.join("no"), path],
        }
    }

    /// The writing process may just be forked elsewhere in this program: then the kernel says "busy".
    fn prepared(places: &Places) -> State {
        loop {
            match places.prepare() {
                State::Missing(why) if why.contains("Text file busy") => {}
                state => return state,
            }
        }
    }

    #[test]
    fn off() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(host(dir.path(), "N\n", None).prepare(), State::Off);
        let mut nowhere = host(dir.path(), "N\n", None);
        nowhere.sys = dir.path().join("nowhere");
        assert_eq!(nowhere.prepare(), State::Off);
    }

    #[test]
    fn loaded() {
        let dir = tempfile::tempdir().unwrap();
        let places = host(
            dir.path(),
            "Y\n",
            Some("echo \"$@\" > DIR/args; cat > DIR/got"),
        );
        assert_eq!(prepared(&places), State::Loaded);
        let read = |name| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("args"), "-Kr\n");
        let got = read("got");
        assert!(got.contains("profile wharf-default") && !got.contains('@'));
        assert!(got.contains("deny mount,") && got.ends_with("}\n"));
        // A confined daemon may send signals.
        fs::write(dir.path().join("label"), "wharfd (enforce)\n").unwrap();
        assert!(places.text().contains("  signal (receive) peer=wharfd,\n"));
        fs::write(dir.path().join("label"), "a, capability,\n").unwrap();
        assert!(!places.text().contains("peer=a"));
    }

    #[test]
    fn missing() {
        let dir = tempfile::tempdir().unwrap();
        let places = host(dir.path(), "Y\n", None);
        let State::Missing(why) = places.prepare() else {
            panic!("there is no parser");
        };
        assert!(why.contains("install the package apparmor"), "{why}");
        let places = host(dir.path(), "Y\n", Some("echo no right >&2; exit 4"));
        let State::Missing(why) = prepared(&places) else {
            panic!("the parser fails");
        };
        assert!(why.contains("no right"), "{why}");
        // What is loaded already will do.
        let list = places.sys.join("kernel/security/apparmor/profiles");
        fs::write(list, "other (enforce)\nwharf-default (enforce)\n").unwrap();
        assert_eq!(prepared(&places), State::Loaded);
        assert!(places.is_loaded("other") && !places.is_loaded("wharf"));
    }
}
