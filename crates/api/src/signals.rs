//! Signals as users name them.

use crate::error::Refusal;

const NAMES: &[&str] = &[
    "ABRT", "ALRM", "BUS", "CHLD", "CLD", "CONT", "FPE", "HUP", "ILL", "INT", "IO", "IOT", "KILL",
    "PIPE", "POLL", "PROF", "PWR", "QUIT", "SEGV", "STKFLT", "STOP", "SYS", "TERM", "TRAP", "TSTP",
    "TTIN", "TTOU", "URG", "USR1", "USR2", "VTALRM", "WINCH", "XCPU", "XFSZ", "RTMIN", "RTMAX",
];

/// Refuses what is neither a number of a signal nor a name, with or without `SIG`.
pub(crate) fn check(signal: &str) -> Result<(), Refusal> {
    if is_valid(signal) {
        return Ok(());
    }
    Err(Refusal::bad(format!("invalid signal: {signal}")))
}

fn is_valid(signal: &str) -> bool {
    if let Ok(number) = signal.parse::<u8>() {
        return (1..=64).contains(&number);
    }
    let upper = signal.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let real_time = |prefix| {
        let offset = name.strip_prefix(prefix).and_then(|n| n.parse::<u8>().ok());
        offset.is_some_and(|n| (1..=15).contains(&n))
    };
    NAMES.contains(&name) || real_time("RTMIN+") || real_time("RTMAX-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        for good in [
            "9",
            "64",
            "KILL",
            "sigterm",
            "SIGRTMIN+3",
            "rtmax-1",
            "SIGRTMAX",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "0",
            "65",
            "-1",
            "",
            "SIG",
            "SIGSIGKILL",
            "RTMIN+99",
            "RTMIN-1",
            "FOO",
            "9 ",
        ] {
            assert_eq!(
                check(bad).unwrap_err().message,
                format!("invalid signal: {bad}")
            );
        }
    }
}
