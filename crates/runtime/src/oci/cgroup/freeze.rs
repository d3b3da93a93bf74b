//! Stopping everything in a cgroup where it stands, and letting it go on.

use std::time::{Duration, Instant};

use super::{
    super::error::{Error, Result},
    PATIENCE,
    limits::knob::{Controller, Controllers},
};

const NAME: &str = "freeze the container";

fn freezer(have: &Controllers<'_>) -> Result<Controller> {
    // On version 2 freezing belongs to no controller.
    have.need("freezer", "", NAME)
}

/// Freezes or thaws, and returns when all have stopped, or may go on.
pub(super) fn set(have: &Controllers<'_>, frozen: bool) -> Result<()> {
    let at = freezer(have)?;
    let (file, value) = match (at.v2, frozen) {
        (true, true) => ("cgroup.freeze", "1"),
        (true, false) => ("cgroup.freeze", "0"),
        (false, true) => ("freezer.state", "FROZEN"),
        (false, false) => ("freezer.state", "THAWED"),
    };
    let what = if frozen { NAME } else { "thaw the container" };
    at.write(what, file, value)?;
    let end = Instant::now() + PATIENCE;
    let mut pause = Duration::from_micros(50);
    loop {
        match state(&at)? {
            State::Frozen if frozen => return Ok(()),
            State::Thawed if !frozen => return Ok(()),
            _ => {}
        }
        if Instant::now() > end {
            let _ = at.write(what, file, if at.v2 { "0" } else { "THAWED" });
            return Err(Error::State(format!(
                "{what}: a process does not stop within {} seconds",
                PATIENCE.as_secs()
            )));
        }
        std::thread::sleep(pause);
        pause = (pause * 2).min(Duration::from_millis(10));
        // On version 1 a process that was forked meanwhile is only seen by asking again.
        if frozen && !at.v2 {
            at.write(what, file, value)?;
        }
    }
}

enum State {
    Frozen,
    Between,
    Thawed,
}

fn state(at: &Controller) -> Result<State> {
    if !at.v2 {
        return Ok(match at.read("freezer.state")?.trim() {
            "FROZEN" => State::Frozen,
            "FREEZING" => State::Between,
            _ => State::Thawed,
        });
    }
    let frozen = at
        .read("cgroup.events")?
        .lines()
        .any(|l| l.trim() == "frozen 1");
    Ok(match (frozen, at.read("cgroup.freeze")?.trim()) {
        (true, _) => State::Frozen,
        (false, "1") => State::Between,
        (false, _) => State::Thawed,
    })
}

/// Is everything in it stopped, or being stopped?
pub(super) fn is_frozen(have: &Controllers<'_>) -> Result<bool> {
    Ok(!matches!(state(&freezer(have)?)?, State::Thawed))
}
