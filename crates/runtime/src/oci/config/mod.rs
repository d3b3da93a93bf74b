//! Reading `config.json`: everything that can be judged before anything is made is judged here.
//!
//! Whatever is wrong is refused with the member's name. What the specification has and wharf does not
//! do is refused as well, never left out in silence; what the specification tells runtimes to leave
//! out (members it does not know), or runc is known to (capabilities that nobody knows), is left out.

mod linux;
mod locate;
mod mappings;
mod mounts;
mod process;
mod resources;
mod sysctl;
#[cfg(test)]
mod tests;

use std::{fs, io, path::Path};

use oci_spec::runtime::{Capability, Process, Spec};
use serde::de::DeserializeOwned;

use super::{Context, Error, Result};

pub use sysctl::path as sysctl_path;

/// Texts longer than this are no configuration: nobody's is a tenth of it.
const MAX_TEXT: u64 = 16 << 20;

/// A configuration that was found good.
#[derive(Debug, Clone)]
pub struct Config {
    /// What it says.
    pub spec: Spec,
    /// What was left out or looks wrong, yet does not keep the container from starting; for the log.
    pub warnings: Vec<String>,
}

impl Config {
    /// Reads and checks the `config.json` of a bundle, and what it needs of the host: that its root
    /// file system is there, and that the network whose sysctls it sets is not the host's.
    pub fn load(bundle: &Path) -> Result<Self> {
        let path = bundle.join("config.json");
        let what = || format!("open {}", path.display());
        let size = fs::metadata(&path).context(what)?.len();
        if size > MAX_TEXT {
            return Err(Error::config(
                "json",
                format!("{} has {size} bytes", path.display()),
            ));
        }
        let text = fs::read(&path).context(what)?;
        let config = Self::parse(&text)?;
        mounts::root_exists(&config.spec, bundle)?;
        sysctl::not_of_host_network(&config.spec)?;
        Ok(config)
    }

    /// Checks a configuration without looking at the bundle or the host.
    pub fn parse(text: &[u8]) -> Result<Self> {
        let mut warnings = Vec::new();
        let spec: Spec = read(text, "", &mut warnings)?;
        check(&spec, &mut warnings)?;
        Ok(Self { spec, warnings })
    }
}

/// Reads and checks what `exec --process` is given.
pub fn parse_process(text: &[u8]) -> Result<Process> {
    // There is no log at hand: what is left out here was left out of the container as well.
    let mut warnings = Vec::new();
    let process = read(text, "process", &mut warnings)?;
    check_process(&process)?;
    Ok(process)
}

/// Checks a process, of a container or for `exec`.
pub fn check_process(process: &Process) -> Result<()> {
    process::check(process, &mut Vec::new())
}

fn check(spec: &Spec, warnings: &mut Vec<String>) -> Result<()> {
    version(spec.version())?;
    for (name, there) in [
        ("solaris", spec.solaris().is_some()),
        ("windows", spec.windows().is_some()),
        ("vm", spec.vm().is_some()),
        ("zos", spec.zos().is_some()),
    ] {
        if there {
            return Err(Error::config(
                name,
                "is not supported: this runtime makes Linux containers",
            ));
        }
    }
    for (name, there) in [
        ("uidMappings", spec.uid_mappings().is_some()),
        ("gidMappings", spec.gid_mappings().is_some()),
    ] {
        if there {
            return Err(Error::config(
                name,
                format!("has no meaning here: it belongs in linux.{name} or a mount"),
            ));
        }
    }
    let Some(process) = spec.process() else {
        return Err(Error::config("process", "property must not be empty"));
    };
    process::check(process, warnings)?;
    mounts::check(spec, warnings)?;
    linux::check(spec, warnings)?;
    for key in spec.annotations().iter().flatten().map(|(key, _)| key) {
        if key.is_empty() {
            return Err(Error::config("annotations", "a key must not be empty"));
        }
    }
    Ok(())
}

/// Versions 1.x go on being readable by the specification's promise.
fn version(version: &str) -> Result<()> {
    if version.is_empty() {
        return Err(Error::config("ociVersion", "is missing"));
    }
    let core = version.split(['-', '+']).next().unwrap_or_default();
    let numbers: Option<Vec<u64>> = core.split('.').map(|n| n.parse().ok()).collect();
    match numbers.as_deref() {
        Some([1, _, _]) => Ok(()),
        Some([_, _, _]) => Err(Error::config(
            "ociVersion",
            format!("{version:?} is not supported: versions 1.0.0 to 1.x are"),
        )),
        _ => Err(Error::config(
            "ociVersion",
            format!("{version:?} is no version such as \"1.2.0\""),
        )),
    }
}

/// Reads a type; `within` is the path of the whole, if the text is only a part of `config.json`.
fn read<T: DeserializeOwned>(text: &[u8], within: &str, warnings: &mut Vec<String>) -> Result<T> {
    let full = |path: &str| match (within, path) {
        (within, "") => within.to_owned(),
        ("", path) => path.to_owned(),
        (within, path) => format!("{within}.{path}"),
    };
    let refuse = |text: &[u8], error: &serde_json::Error| {
        let place = locate::place(text, error.line(), error.column());
        refusal(&full(&place.path), error)
    };
    let read = match serde_json::from_slice(text) {
        Ok(read) => read,
        Err(error) => match without_unknown_capabilities(text, &full, warnings) {
            Some(rest) => serde_json::from_slice(&rest).map_err(|e| refuse(&rest, &e))?,
            None => return Err(refuse(text, &error)),
        },
    };
    if let Some(place) = locate::list_for_object(text) {
        let line = place.line(text);
        let path = full(&place.path);
        let field = if path.is_empty() { "json" } else { &path };
        return Err(Error::config(
            field,
            format!("invalid type: list, expected an object (line {line})"),
        ));
    }
    Ok(read)
}

/// A sentence about the member that the reader stopped at.
fn refusal(path: &str, error: &serde_json::Error) -> Error {
    let whole = error.to_string();
    let words = match whole.rfind(" at line ") {
        Some(end) => &whole[..end],
        None => &whole,
    };
    let line = error.line();
    let missing = words
        .strip_prefix("missing field `")
        .and_then(|rest| rest.strip_suffix('`'));
    match (missing, path) {
        (Some(name), "") => Error::config(name, format!("is missing (line {line})")),
        (Some(name), _) => Error::config(
            format!("{path}.{name}"),
            format!("is missing (line {line})"),
        ),
        (None, "") => Error::config("json", format!("{words} (line {line})")),
        (None, _) => Error::config(path, format!("{words} (line {line})")),
    }
}

/// The text without the capabilities that the reader does not know, if there are any. As runc does
/// since 1.1: a configuration for newer kernels starts, with less rights than it asked for.
fn without_unknown_capabilities(
    text: &[u8],
    full: &dyn Fn(&str) -> String,
    warnings: &mut Vec<String>,
) -> Option<Vec<u8>> {
    let in_set = |path: &str| {
        let full = full(path);
        let set = full.strip_prefix("process.capabilities.");
        let name = set.and_then(|s| s.split('[').next()).unwrap_or_default();
        matches!(
            name,
            "bounding" | "effective" | "inheritable" | "permitted" | "ambient"
        )
    };
    let mut rest = None;
    for (path, at) in locate::texts(text, in_set) {
        let name = text.get(at.clone())?;
        if serde_json::from_slice::<Capability>(name).is_ok() {
            continue;
        }
        let name = String::from_utf8_lossy(name);
        let path = full(&path);
        warnings.push(format!("{path}: ignoring unknown capability {name}"));
        let rest = rest.get_or_insert_with(|| text.to_vec());
        rest.get_mut(at.clone())?.fill(b' ');
        // One comma goes with it: the one behind, or for the last the one before.
        let solid = |b: &u8| !b.is_ascii_whitespace();
        let behind = at.end + rest.get(at.end..)?.iter().position(solid)?;
        let before = rest.get(..at.start)?.iter().rposition(solid)?;
        if rest.get(behind) == Some(&b',') {
            *rest.get_mut(behind)? = b' ';
        } else if rest.get(before) == Some(&b',') {
            *rest.get_mut(before)? = b' ';
        }
    }
    rest
}

/// Refuses text that the kernel would read only half of.
fn no_nul(field: impl FnOnce() -> String, text: &[u8]) -> Result<()> {
    if text.contains(&0) {
        return Err(Error::config(field(), "has a zero byte in it"));
    }
    Ok(())
}

/// Refuses a path that depends on where one stands.
fn absolute(field: impl Fn() -> String, path: &Path) -> Result<()> {
    no_nul(&field, path.as_os_str().as_encoded_bytes())?;
    if !path.is_absolute() {
        return Err(Error::config(
            field(),
            format!("{:?} is not an absolute path", path.display().to_string()),
        ));
    }
    Ok(())
}

/// Refuses what is no list of numbers as `0-3,7`.
fn number_list(field: impl Fn() -> String, list: &str) -> Result<()> {
    let one = |text: &str| text.trim().parse::<u32>().ok();
    let good = |part: &str| match part.split_once('-') {
        Some((first, last)) => one(first).zip(one(last)).is_some_and(|(a, b)| a <= b),
        None => one(part).is_some(),
    };
    // The kernel takes an empty list for all of them.
    if !list.trim().is_empty() && !list.trim().split(',').all(good) {
        return Err(Error::config(
            field(),
            format!("{list:?} is no list such as \"0-3,7\""),
        ));
    }
    Ok(())
}

/// A refusal because of the host.
fn host_error(what: String, source: io::Error) -> Error {
    Error::System { what, source }
}
