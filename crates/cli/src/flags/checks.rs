//! Forms of flags' values, with Go's error texts.

use types::{boolean, sysctl};

use crate::format::quote;

/// Everything is well formed.
pub(crate) fn any(_: &str) -> Result<(), String> {
    Ok(())
}

/// Go's booleans.
pub(crate) fn boolean(value: &str) -> Result<(), String> {
    match boolean::parse(value) {
        Some(_) => Ok(()),
        None => Err(format!(
            "strconv.ParseBool: parsing {}: invalid syntax",
            quote(value)
        )),
    }
}

/// A whole number in Go's notations: decimal, `0x`, `0o`, `0b`.
pub(crate) fn parse_int(value: &str) -> Option<i64> {
    let (sign, digits) = match value.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, value.strip_prefix('+').unwrap_or(value)),
    };
    let (radix, digits) = match digits.get(..2) {
        Some("0x" | "0X") => (16, &digits[2..]),
        Some("0o" | "0O") => (8, &digits[2..]),
        Some("0b" | "0B") => (2, &digits[2..]),
        _ if digits.len() > 1 && digits.starts_with('0') => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.starts_with(['+', '-']) {
        return None;
    }
    i64::from_str_radix(digits, radix).ok().map(|n| sign * n)
}

/// See [`parse_int`].
pub(crate) fn int(value: &str) -> Result<(), String> {
    match parse_int(value) {
        Some(_) => Ok(()),
        None => {
            let digits = value.strip_prefix(['-', '+']).unwrap_or(value);
            let numeric = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
            let why = if numeric {
                "value out of range"
            } else {
                "invalid syntax"
            };
            Err(format!("strconv.ParseInt: parsing {}: {why}", quote(value)))
        }
    }
}

/// `64m`, `1.5g`: see [`crate::format::size::parse`].
pub(crate) fn bytes(value: &str) -> Result<(), String> {
    crate::format::size::parse(value).map(drop)
}

/// [`bytes`], or -1 for no bound.
pub(crate) fn swap(value: &str) -> Result<(), String> {
    if value == "-1" { Ok(()) } else { bytes(value) }
}

/// `0.5`: see [`nano_cpus`].
pub(crate) fn cpus(value: &str) -> Result<(), String> {
    nano_cpus(value).map(drop)
}

/// Processors as billionths.
pub(crate) fn nano_cpus(value: &str) -> Result<i64, String> {
    let broken = || format!("failed to parse {value} as a rational number");
    let (whole, part) = value.split_once('.').unwrap_or((value, ""));
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !(digits(whole.strip_prefix(['+', '-']).unwrap_or(whole)) && digits(part))
        || (whole.is_empty() && part.is_empty())
    {
        return Err(broken());
    }
    if part.trim_end_matches('0').len() > 9 {
        return Err("value is too precise".to_owned());
    }
    let part = format!("{part:0<9}");
    let nanos: i64 = part[..9].parse().map_err(|_| broken())?;
    let negative = whole.starts_with('-');
    let whole: i64 = match whole {
        "" | "+" | "-" => 0,
        _ => whole.parse().map_err(|_| broken())?,
    };
    let nanos = if negative { -nanos } else { nanos };
    whole
        .checked_mul(1_000_000_000)
        .and_then(|n| n.checked_add(nanos))
        .ok_or_else(broken)
}

/// `NAME` or `NAME=value`.
pub(crate) fn env(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid environment variable: {value}"));
    }
    Ok(())
}

/// `name` or `name=value`.
pub(crate) fn label(value: &str) -> Result<(), String> {
    if value.is_empty() || value.starts_with('=') {
        return Err(format!("invalid label '{value}': empty name"));
    }
    Ok(())
}

/// `name=value`.
pub(crate) fn filter(value: &str) -> Result<(), String> {
    if value.is_empty() || value.contains('=') {
        Ok(())
    } else {
        Err("bad format of filter (expected name=value)".to_owned())
    }
}

/// `STDIN`, `STDOUT`, `STDERR`.
pub(crate) fn stream(value: &str) -> Result<(), String> {
    match value.to_lowercase().as_str() {
        "stdin" | "stdout" | "stderr" => Ok(()),
        _ => Err("valid streams are STDIN, STDOUT and STDERR".to_owned()),
    }
}

/// `host` or `private`.
pub(crate) fn cgroupns(value: &str) -> Result<(), String> {
    match value {
        "" | "host" | "private" => Ok(()),
        _ => Err("--cgroupns: invalid CGROUP mode".to_owned()),
    }
}

/// `name=value` of a setting that a namespace can have.
pub(crate) fn sysctl(value: &str) -> Result<(), String> {
    let refused = || Err(format!("sysctl '{value}' is not allowed"));
    let Some((name, _)) = value.split_once('=') else {
        return refused();
    };
    // The other way of writing it is the daemon's to judge.
    let name = name.replace('/', ".");
    if sysctl::is_ipc(&name) || sysctl::is_network(&name) {
        Ok(())
    } else {
        refused()
    }
}

/// `name=soft[:hard]`.
pub(crate) fn ulimit(value: &str) -> Result<(), String> {
    crate::verbs::spec::ulimit::parse(value).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processors_are_exact_decimals() {
        assert_eq!(nano_cpus("0.5"), Ok(500_000_000));
        assert_eq!(nano_cpus("1.25"), Ok(1_250_000_000));
        assert_eq!(nano_cpus("2"), Ok(2_000_000_000));
        assert_eq!(nano_cpus("-0.5"), Ok(-500_000_000));
        assert_eq!(
            nano_cpus("x").unwrap_err(),
            "failed to parse x as a rational number"
        );
        assert_eq!(
            nano_cpus("0.0000000001").unwrap_err(),
            "value is too precise"
        );
    }

    #[test]
    fn integers_are_gos() {
        assert_eq!(parse_int("0x10"), Some(16));
        assert_eq!(parse_int("-1"), Some(-1));
        assert_eq!(parse_int("--1"), None);
        assert!(
            int("99999999999999999999")
                .unwrap_err()
                .ends_with("value out of range")
        );
    }
}
