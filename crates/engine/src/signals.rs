//! Signals by name or number.

use crate::error::{Error, Result};

/// SIGKILL.
pub(crate) const KILL: i32 = 9;
/// SIGTERM.
pub(crate) const TERM: i32 = 15;

/// The number of the signal `text`: `15`, `TERM`, `SIGTERM`, `RTMIN+3`; case does not matter.
pub(crate) fn parse(text: &str) -> Result<i32> {
    types::signal::parse(text).ok_or_else(|| Error::Invalid(format!("invalid signal: {text}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers() {
        assert_eq!(parse("sigterm").unwrap(), TERM);
        assert_eq!(parse("KILL").unwrap(), KILL);
        assert_eq!(parse("SIGRTMIN+3").unwrap(), 37);
        assert!(parse("0").is_err() && parse("65").is_err() && parse("SIGNOPE").is_err());
    }
}
