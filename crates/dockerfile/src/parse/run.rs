//! `RUN`, and commands in general.

use super::flags::Flags;
use super::{mount, words};
use crate::text::{Fault, Text};
use crate::{Command, Run};

/// A JSON list, or text for the shell; and whether it is JSON.
pub(super) fn command(text: Text<'_>) -> Result<(Command, bool), Fault> {
    Ok(match words::json(text)? {
        Some(list) => (Command::Exec(list), true),
        None => (Command::Shell(text.text.to_owned()), false),
    })
}

pub(super) fn parse(flags: &Flags<'_>, text: Text<'_>, escape: char) -> Result<(Run, bool), Fault> {
    flags.known(&["network", "security"], &["mount", "device"])?;
    if let Some((_, place)) = flags.all("device")?.into_iter().next() {
        return Err(Fault::new(
            place,
            "RUN --device is not supported by wharf: no devices are given to builds",
        ));
    }
    let (command, json) = command(text)?;
    let empty = match &command {
        Command::Shell(text) => text.is_empty(),
        Command::Exec(list) => list.is_empty(),
    };
    if empty {
        return Err(Fault::new(text, "RUN requires at least one argument"));
    }
    let mut mounts = Vec::new();
    for (value, place) in flags.all("mount")? {
        mounts.push(mount::parse(&value, place, escape)?);
    }
    let run = Run {
        command,
        heredocs: Vec::new(),
        mounts,
        network: choice(flags, "network", &["default", "none", "host"], |value| {
            format!("invalid network mode {value}")
        })?,
        security: choice(flags, "security", &["sandbox", "insecure"], |value| {
            format!("security {value} is not valid")
        })?,
    };
    Ok((run, json))
}

/// A flag with few values.
fn choice(
    flags: &Flags<'_>,
    name: &str,
    values: &[&str],
    message: impl Fn(&str) -> String,
) -> Result<Option<String>, Fault> {
    let Some((value, place)) = flags.placed(name)? else {
        return Ok(None);
    };
    if !values.contains(&value.as_str()) {
        let fault = Fault::new(place, message(&words::expand_quote(&value)));
        return Err(fault.hint(format!("it is one of {}", values.join(", "))));
    }
    Ok(Some(value))
}
