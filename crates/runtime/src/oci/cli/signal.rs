//! Signals by name.

/// The one that cannot be refused.
pub(super) const KILL: i32 = 9;

/// Names and numbers of the standard signals, as on x86-64 and arm64.
const NAMES: [(&str, i32); 37] = [
    ("HUP", 1),
    ("INT", 2),
    ("QUIT", 3),
    ("ILL", 4),
    ("TRAP", 5),
    ("ABRT", 6),
    ("IOT", 6),
    ("BUS", 7),
    ("FPE", 8),
    ("KILL", 9),
    ("USR1", 10),
    ("SEGV", 11),
    ("USR2", 12),
    ("PIPE", 13),
    ("ALRM", 14),
    ("TERM", 15),
    ("STKFLT", 16),
    ("CHLD", 17),
    ("CLD", 17),
    ("CONT", 18),
    ("STOP", 19),
    ("TSTP", 20),
    ("TTIN", 21),
    ("TTOU", 22),
    ("URG", 23),
    ("XCPU", 24),
    ("XFSZ", 25),
    ("VTALRM", 26),
    ("PROF", 27),
    ("WINCH", 28),
    ("IO", 29),
    ("POLL", 29),
    ("PWR", 30),
    ("SYS", 31),
    ("UNUSED", 31),
    ("RTMIN", 34),
    ("RTMAX", 64),
];

/// The highest number.
const LAST: i32 = 64;

/// The number of a signal given as one, or by name: `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`.
pub(super) fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        // 0 only asks whether there is somebody.
        return (0..=LAST).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    let by_name = |name: &str| NAMES.iter().find(|(n, _)| *n == name).map(|(_, n)| *n);
    by_name(name).or_else(|| {
        let (base, distance) = match name.strip_prefix("RTMIN+") {
            Some(up) => (34, up.parse::<i32>().ok()?),
            None => (LAST, -name.strip_prefix("RTMAX-")?.parse::<i32>().ok()?),
        };
        let number = base.checked_add(distance)?;
        (34..=LAST).contains(&number).then_some(number)
    })
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_and_numbers() {
        for text in ["9", "KILL", "SIGKILL", "sigkill", "kill"] {
            assert_eq!(parse(text), Some(9), "{text}");
        }
        assert_eq!(parse("RTMIN+3"), Some(37));
        assert_eq!(parse("SIGRTMAX-1"), Some(63));
        assert_eq!(parse("0"), Some(0));
        for text in [
            "", "65", "-1", "NOPE", "SIG", "RTMIN+31", "RTMAX--1", "RTMAX-99",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
