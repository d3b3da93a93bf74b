//! The builder, and the cache that it keeps.

mod du;
mod list;
mod prune;

pub(crate) use du::{DU, du};
pub(crate) use list::{INSPECT, LS, inspect, ls, version};
pub(crate) use prune::{PRUNE, prune};

use crate::{
    error::{Error, Result},
    flags::{Flag, text},
    format::time,
};

/// `--builder`: there is one.
pub(crate) const WHICH: &[Flag] =
    &[text("builder", "The builder; there is one: default").only(&["", "default"])];

/// Kinds of records that a step of a later build may still change.
const MUTABLE: &[&str] = &["exec.cachemount", "source.local", "source.git.checkout"];

/// Refuses names of builders that there are not.
fn only_default(names: &[String]) -> Result {
    match names.iter().find(|name| *name != "default") {
        Some(name) => Err(Error::msg(format!("ERROR: no builder \"{name}\" found"))),
        None => Ok(()),
    }
}

/// Seconds since the last use that `until=` asks for: a duration, or a point in time.
fn unused_for(text: &str) -> Result<i64> {
    let bad = || {
        Error::msg(format!(
            "ERROR: invalid filter until={text}: it is neither a duration (24h) nor a point in time"
        ))
    };
    if let Some(nanos) = time::duration(text) {
        return i64::try_from(nanos / 1_000_000_000).map_err(|_| bad());
    }
    let then = time::seconds(text).ok_or_else(bad)?;
    Ok((time::now() - then).max(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_one_builder_and_ages_are_durations() {
        assert!(only_default(&["default".to_owned()]).is_ok());
        assert_eq!(
            only_default(&["x".to_owned()]).unwrap_err().to_string(),
            "ERROR: no builder \"x\" found"
        );
        assert_eq!(unused_for("24h").unwrap(), 86_400);
        assert!(unused_for("2001-01-01T00:00:00Z").unwrap() > 86_400);
        assert!(unused_for("x").is_err());
    }
}
