//! Progress as lines, one after another, as BuildKit writes them: each begins with its step's number.
//! Lines of one step stay together as long as that does not hold back others for long.

use std::{
    collections::{HashMap, VecDeque},
    fmt::Write,
    time::{Duration, Instant},
};

use types::build::Status;

use super::trace::{Change, Line, Step, Trace, between};
use crate::format::size;

/// So long a step's lines may wait for another one's end.
const PATIENCE: Duration = Duration::from_millis(500);
/// Names of steps are cut after so many letters, if that is asked for.
const NAME: usize = 72;
/// Transfers are told no more often than this.
const EVERY: Duration = Duration::from_secs(1);
/// Lines that wait in memory before they are written out of turn.
const WAITING: usize = 2000;

/// What a step still has to tell.
#[derive(Debug, Default)]
struct Pending {
    lines: VecDeque<Line>,
    /// Since when something waits.
    since: Option<Instant>,
    /// Transfers whose ends were told.
    told: Vec<String>,
    /// When a transfer was last told.
    moved: Option<Instant>,
    ended: bool,
}

/// The lines' state.
#[derive(Debug, Default)]
pub(super) struct Plain {
    numbers: HashMap<usize, usize>,
    current: Option<usize>,
    began: bool,
    pending: HashMap<usize, Pending>,
    order: VecDeque<usize>,
}

impl Plain {
    /// What to write after `change`.
    pub(super) fn change(&mut self, trace: &Trace, change: Change) -> String {
        let place = match change {
            Change::Nothing => return String::new(),
            Change::Step(place) => place,
            Change::Lines(place, lines) => {
                self.pending.entry(place).or_default().lines.extend(lines);
                place
            }
        };
        let step = &trace.steps[place];
        if step.vertex.started.is_none() && !step.vertex.cached && !step.is_done() {
            // Known, and not begun.
            return String::new();
        }
        let pending = self.pending.entry(place).or_default();
        if pending.ended {
            return String::new();
        }
        pending.since.get_or_insert_with(Instant::now);
        if !self.order.contains(&place) {
            self.order.push_back(place);
        }
        self.advance(trace)
    }

    /// Writes what has its turn.
    pub(super) fn advance(&mut self, trace: &Trace) -> String {
        let mut out = String::new();
        loop {
            if let Some(current) = self.current {
                self.write(trace, current, &mut out);
                if self.current.is_some() {
                    if let Some(next) = self.overdue() {
                        self.write(trace, next, &mut out);
                        continue;
                    }
                    return out;
                }
            }
            // Steps that ended first: each is told in one piece.
            let ended = |place: &&usize| trace.steps[**place].is_done();
            // One that goes on and was told already has no turn until it has more to tell.
            let fresh = |place: &&usize| {
                let pending = self.pending.get(*place);
                pending.is_some_and(|p| p.since.is_some() || !p.lines.is_empty())
            };
            let mut order = self.order.iter();
            let next = order.find(ended).or(self.order.iter().find(fresh)).copied();
            let Some(next) = next else { return out };
            self.write(trace, next, &mut out);
            if self.current == Some(next) {
                // It goes on, and had its say for now.
                return out;
            }
        }
    }

    /// A step that waited for too long, or with too much.
    fn overdue(&self) -> Option<usize> {
        self.order.iter().copied().find(|place| {
            let pending = self.pending.get(place);
            Some(*place) != self.current
                && pending.is_some_and(|p| {
                    p.since.is_some_and(|s| s.elapsed() > PATIENCE) || p.lines.len() > WAITING
                })
        })
    }

    /// Everything that the step at `place` has to tell.
    fn write(&mut self, trace: &Trace, place: usize, out: &mut String) {
        let step = &trace.steps[place];
        let next = self.numbers.len() + 1;
        let number = *self.numbers.entry(place).or_insert(next);
        let mut body = String::new();
        let pending = self.pending.entry(place).or_default();
        let fresh = pending.since.take().is_some();
        body.push_str(&transfers(number, step, pending));
        for line in pending.lines.drain(..) {
            let _ = writeln!(body, "#{number} {} {}", line.at, line.text);
        }
        if step.is_done() && !pending.ended {
            pending.ended = true;
            let _ = writeln!(body, "#{number} {}", ending(step));
        }
        let over = pending.ended;
        if over {
            self.order.retain(|p| *p != place);
        }
        if body.is_empty() && !(fresh && self.current != Some(place)) {
            return;
        }
        if self.current != Some(place) {
            if let Some(old) = self.current.take()
                && let Some(number) = self.numbers.get(&old)
            {
                let _ = writeln!(out, "#{number} ...");
            }
            if self.began {
                out.push('\n');
            }
            self.began = true;
            let _ = writeln!(out, "#{number} {}", cut(&step.vertex.name));
        }
        out.push_str(&body);
        self.current = (!over).then_some(place);
    }

    /// What is left to be said where the build was called off.
    pub(super) fn cancel(&mut self, trace: &Trace) -> String {
        let mut out = self.advance(trace);
        let running = |place: &&usize| trace.steps[**place].is_running();
        for place in self.order.iter().filter(running) {
            if let Some(number) = self.numbers.get(place) {
                let _ = writeln!(out, "#{number} CANCELED");
            }
        }
        out
    }

    /// The number of the step at `place`, where it has one.
    #[cfg(test)]
    pub(super) fn number(&self, place: usize) -> Option<usize> {
        self.numbers.get(&place).copied()
    }
}

fn cut(name: &str) -> String {
    // A name of several lines is told by its first.
    let name = name.replace('\n', " ");
    let whole = std::env::var("PROGRESS_NO_TRUNC");
    let cuts = whole.is_ok_and(|v| matches!(v.as_str(), "0" | "false"));
    if !cuts || name.chars().count() <= NAME {
        return name;
    }
    let mut short: String = name.chars().take(NAME - 1).collect();
    short.push('…');
    short
}

fn ending(step: &Step) -> String {
    if step.is_canceled() {
        "CANCELED".to_owned()
    } else if !step.vertex.error.is_empty() {
        // What is drawn below it comes again at the end.
        format!(
            "ERROR: {}",
            step.vertex.error.lines().next().unwrap_or_default()
        )
    } else if step.vertex.cached {
        "CACHED".to_owned()
    } else {
        format!("DONE {:.1}s", step.seconds())
    }
}

/// Transfers that ended, and now and then those that go on.
fn transfers(number: usize, step: &Step, pending: &mut Pending) -> String {
    let mut out = String::new();
    // One that is over soon is told once.
    let due = pending.moved.get_or_insert_with(Instant::now).elapsed() > EVERY;
    for status in &step.statuses {
        if pending.told.contains(&status.id) {
            continue;
        }
        let done = status.completed.is_some();
        if done {
            pending.told.push(status.id.clone());
        } else if !due || status.current == 0 {
            continue;
        } else {
            pending.moved = Some(Instant::now());
        }
        let _ = writeln!(out, "#{number} {}", transfer(status));
    }
    out
}

/// `sha256:… downloading 1.2MB / 3.4MB 0.3s done`.
pub(super) fn transfer(status: &Status) -> String {
    let mut text = status.id.clone();
    if !status.name.is_empty() {
        let _ = write!(text, " {}", status.name);
    }
    if status.total > 0 {
        let _ = write!(
            text,
            " {} / {}",
            size::human3(status.current),
            size::human3(status.total)
        );
    } else if status.current > 0 {
        let _ = write!(text, " {}", size::human3(status.current));
    }
    let now = status.completed.as_deref().unwrap_or(&status.timestamp);
    let seconds = status.started.as_deref().map_or(0.0, |s| between(s, now));
    if seconds > 0.01 {
        let _ = write!(text, " {seconds:.1}s");
    }
    if status.completed.is_some() {
        text.push_str(" done");
    }
    text
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use types::build::BuildEvent;

    use super::{
        super::trace::tests::{log, vertex},
        *,
    };

    fn all(plain: &mut Plain, trace: &mut Trace, events: &[BuildEvent]) -> String {
        let mut out = String::new();
        for event in events {
            for change in trace.take(event) {
                out.push_str(&plain.change(trace, change));
            }
        }
        out
    }

    #[test]
    fn steps_are_told_as_buildkit_does() {
        let (mut plain, mut trace) = (Plain::default(), Trace::default());
        let text = all(
            &mut plain,
            &mut trace,
            &[
                vertex(json!({"digest": "a", "name": "[1/3] FROM x",
                    "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:00Z",
                    "cached": true})),
                vertex(json!({"digest": "b", "name": "[2/3] RUN a",
                    "started": "2026-01-01T00:00:00Z"})),
                vertex(json!({"digest": "c", "name": "[3/3] RUN b",
                    "started": "2026-01-01T00:00:01Z"})),
                log("c", "2026-01-01T00:00:01.5Z", "of the other\n"),
                log("b", "2026-01-01T00:00:01.5Z", "one\ntwo\n"),
                vertex(json!({"digest": "b", "name": "[2/3] RUN a",
                    "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:02Z"})),
                vertex(json!({"digest": "c", "name": "[3/3] RUN b",
                    "started": "2026-01-01T00:00:01Z", "completed": "2026-01-01T00:00:03Z",
                    "error": "process \"x\" did not complete successfully: exit code: 1"})),
            ],
        );
        assert_eq!(
            text,
            "#1 [1/3] FROM x\n#1 CACHED\n\n#2 [2/3] RUN a\n#2 1.500 one\n#2 1.500 two\n#2 DONE 2.0s\n\n#3 [3/3] RUN b\n#3 0.500 of the other\n#3 ERROR: process \"x\" did not complete successfully: exit code: 1\n"
        );
        assert_eq!(plain.number(2), Some(3));
    }

    #[test]
    fn who_waited_long_comes_in_between() {
        let (mut plain, mut trace) = (Plain::default(), Trace::default());
        let start = |digest: &str| {
            vertex(json!({"digest": digest, "name": digest, "started": "2026-01-01T00:00:00Z"}))
        };
        let mut text = all(
            &mut plain,
            &mut trace,
            &[
                start("a"),
                start("b"),
                log("b", "2026-01-01T00:00:01Z", "x\n"),
            ],
        );
        assert_eq!(text, "#1 a\n");
        let long_ago = Instant::now().checked_sub(PATIENCE * 2).unwrap();
        plain.pending.get_mut(&1).unwrap().since = Some(long_ago);
        text.push_str(&plain.advance(&trace));
        assert_eq!(text, "#1 a\n#1 ...\n\n#2 b\n#2 1.000 x\n");
        text = all(
            &mut plain,
            &mut trace,
            &[log("a", "2026-01-01T00:00:02Z", "y\n")],
        );
        assert_eq!(text, "");
    }

    #[test]
    fn who_has_no_more_to_tell_is_not_asked_again_when_another_ends() {
        let (mut plain, mut trace) = (Plain::default(), Trace::default());
        let start = |digest: &str| {
            vertex(json!({"digest": digest, "name": digest, "started": "2026-01-01T00:00:00Z"}))
        };
        let end = |digest: &str| {
            vertex(
                json!({"digest": digest, "name": digest, "started": "2026-01-01T00:00:00Z",
                "completed": "2026-01-01T00:00:02Z"}),
            )
        };
        all(&mut plain, &mut trace, &[start("a"), start("b")]);
        let long_ago = Instant::now().checked_sub(PATIENCE * 2).unwrap();
        plain.pending.get_mut(&1).unwrap().since = Some(long_ago);
        assert_eq!(plain.advance(&trace), "#1 ...\n\n#2 b\n");
        // The first is not over, and says nothing.
        let text = all(&mut plain, &mut trace, &[end("b")]);
        assert_eq!(text, "#2 DONE 2.0s\n");
        assert_eq!(plain.advance(&trace), "");
        let text = all(&mut plain, &mut trace, &[end("a")]);
        assert_eq!(text, "\n#1 a\n#1 DONE 2.0s\n");
    }

    #[test]
    fn transfers_have_amounts_and_times() {
        let status: Status = serde_json::from_value(json!({
            "id": "transferring context:", "current": 2_100_000,
            "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:00.25Z",
        }))
        .unwrap();
        assert_eq!(transfer(&status), "transferring context: 2.1MB 0.2s done");
    }
}
