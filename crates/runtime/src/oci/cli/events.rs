//! `events`: what a container uses, again and again, and when memory ran out.

use std::{
    os::fd::AsFd,
    time::{Duration, Instant},
};

use rustix::{
    event::{PollFd, PollFlags, Timespec, poll},
    io::Errno,
};
use serde_json::{Value, json};

use super::{Global, args::Given, group::Group, id, print};
use crate::oci::{Context, Error, Result, cgroup::Oom};

const INTERVAL: Duration = Duration::from_secs(5);

pub(super) fn events(global: &Global, given: &Given) -> Result<u8> {
    let interval = match given.text("interval").map_err(Error::State)? {
        None => INTERVAL,
        Some(text) => duration(text).filter(|d| !d.is_zero()).ok_or_else(|| {
            Error::State(format!(
                "invalid value {text:?} for flag -interval: a duration as 500ms, 5s or 1m30s"
            ))
        })?,
    };
    let container = global.store.open(&id(given)?)?;
    let state = container.finished_state()?;
    let stopped = || Error::State(format!("container with id {} is not running", state.id));
    let init = state.init.ok_or_else(stopped)?;
    let held = init.open().map_err(|_| stopped())?;
    let group = Group::of(&state)?;
    let cgroup = group.cgroup()?;
    let line = |kind: &str, data: Option<Value>| {
        let mut event = json!({ "type": kind, "id": state.id });
        if let Some(data) = data {
            event["data"] = data;
        }
        print(&format!("{event}\n"))
    };
    let stats = || -> Result<Value> {
        serde_json::to_value(cgroup.stats()).map_err(|e| Error::State(e.to_string()))
    };
    if given.on("stats") {
        return Ok(line("stats", Some(stats()?)));
    }
    let mut oom = cgroup.oom_events()?;
    let mut next = Instant::now();
    loop {
        if Instant::now() >= next {
            if line("stats", Some(stats()?)) != 0 {
                return Ok(0);
            }
            next = Instant::now() + interval;
        }
        let left = next.saturating_duration_since(Instant::now());
        let left = Timespec {
            tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: left.subsec_nanos().into(),
        };
        let mut fds = [
            PollFd::new(&held, PollFlags::IN),
            PollFd::from_borrowed_fd(oom.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, Some(&left)) {
            Ok(0) | Err(Errno::INTR) => continue,
            Ok(_) => {}
            Err(e) => return Err(e).context(|| "poll"),
        }
        let ended = !fds[0].revents().is_empty();
        // Also when it has ended: that may be why.
        match oom.check()? {
            Oom::Happened => drop(line("oom", None)),
            Oom::Over => return Ok(0),
            Oom::Nothing => {}
        }
        if ended {
            return Ok(0);
        }
    }
}

/// A duration as Go writes it.
fn duration(text: &str) -> Option<Duration> {
    let mut total = 0.0;
    let mut rest = text;
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..end].parse().ok()?;
        rest = &rest[end..];
        let (unit, seconds) = [
            ("ms", 1e-3),
            ("us", 1e-6),
            ("µs", 1e-6),
            ("ns", 1e-9),
            ("h", 3600.0),
            ("m", 60.0),
            ("s", 1.0),
        ]
        .into_iter()
        .find(|(unit, _)| rest.starts_with(unit))?;
        total += number * seconds;
        rest = &rest[unit.len()..];
    }
    (!text.is_empty()).then_some(())?;
    Duration::try_from_secs_f64(total).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        assert_eq!(duration("5s"), Some(Duration::from_secs(5)));
        assert_eq!(duration("1m30s"), Some(Duration::from_secs(90)));
        assert_eq!(duration("500ms"), Some(Duration::from_millis(500)));
        for text in ["", "5", "s", "-1s", "5x"] {
            assert_eq!(duration(text), None, "{text}");
        }
    }
}
