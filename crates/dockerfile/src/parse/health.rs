//! `HEALTHCHECK`.

use std::time::Duration;

use super::flags::Flags;
use super::{numbers, run, words};
use crate::Healthcheck;
use crate::text::{Fault, Text};

const FLAGS: [&str; 5] = [
    "interval",
    "timeout",
    "start-period",
    "start-interval",
    "retries",
];

pub(super) fn parse(flags: &Flags<'_>, text: Text<'_>) -> Result<Healthcheck, Fault> {
    flags.known(&FLAGS, &[])?;
    let (kind, rest) = text.split_word();
    if kind.text.is_empty() {
        return Err(
            Fault::new(text, "HEALTHCHECK requires at least one argument")
                .hint("write HEALTHCHECK CMD command, or HEALTHCHECK NONE"),
        );
    }
    match kind.text.to_uppercase().as_str() {
        "NONE" if rest.text.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(Fault::new(rest, "HEALTHCHECK NONE takes no arguments")),
        "CMD" => {
            let (test, _) = run::command(rest)?;
            let empty = match &test {
                crate::Command::Shell(text) => text.is_empty(),
                crate::Command::Exec(list) => list.is_empty(),
            };
            if empty {
                return Err(Fault::new(kind, "Missing command after HEALTHCHECK CMD"));
            }
            Ok(Healthcheck::Test {
                test,
                interval: time(flags, "interval")?,
                timeout: time(flags, "timeout")?,
                start_period: time(flags, "start-period")?,
                start_interval: time(flags, "start-interval")?,
                retries: retries(flags)?,
            })
        }
        other => Err(Fault::new(
            kind,
            format!(
                "Unknown type {} in HEALTHCHECK (try CMD)",
                words::expand_quote(other)
            ),
        )),
    }
}

/// A time; none is none, as it is in Docker.
fn time(flags: &Flags<'_>, name: &str) -> Result<Option<Duration>, Fault> {
    let Some((value, place)) = flags.placed(name)? else {
        return Ok(None);
    };
    if value.is_empty() {
        return Ok(None);
    }
    let Some(time) = numbers::duration(&value) else {
        let quoted = words::expand_quote(&value);
        let number = value.bytes().all(|b| b.is_ascii_digit() || b == b'.');
        let message = if number {
            format!("time: missing unit in duration {quoted}")
        } else {
            format!("time: invalid duration {quoted}")
        };
        return Err(Fault::new(place, message).hint("write it like 30s, 1m30s or 500ms"));
    };
    if time.is_zero() {
        return Ok(None);
    }
    if time < Duration::from_millis(1) {
        return Err(Fault::new(
            place,
            format!("Interval {name:?} cannot be less than 1ms"),
        ));
    }
    Ok(Some(time))
}

fn retries(flags: &Flags<'_>) -> Result<Option<u32>, Fault> {
    let Some((value, place)) = flags.placed("retries")? else {
        return Ok(None);
    };
    if value.is_empty() {
        return Ok(None);
    }
    match value.parse::<i32>() {
        Ok(0) => Ok(None),
        Ok(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| Fault::new(place, format!("--retries cannot be negative ({number})"))),
        Err(_) => Err(Fault::new(
            place,
            format!(
                "strconv.ParseInt: parsing {}: invalid syntax",
                words::expand_quote(&value)
            ),
        )
        .hint("--retries is a number")),
    }
}
