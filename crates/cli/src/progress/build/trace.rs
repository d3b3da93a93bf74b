//! What is known of a build's steps.

use std::{
    collections::{HashMap, VecDeque},
    time::Instant,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jiff::Timestamp;
use types::build::{BuildEvent, BuildLog, BuildWarning, Status, Vertex};

/// Lines that are kept of a step, for when it fails.
const KEPT: usize = 10;
/// A line that never ends is cut.
const LONGEST: usize = 16 << 10;

/// A line that a step wrote, with the seconds since its start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) at: String,
    pub(super) text: String,
}

/// One step.
#[derive(Debug)]
pub(super) struct Step {
    pub(super) vertex: Vertex,
    /// When its start was heard of.
    pub(super) heard: Option<Instant>,
    /// Transfers, in the order in which they began.
    pub(super) statuses: Vec<Status>,
    /// The last lines.
    pub(super) last: VecDeque<Line>,
    /// What was written since the last line's end.
    partial: Vec<u8>,
}

impl Step {
    /// Seconds that it took, or takes until now.
    pub(super) fn seconds(&self) -> f64 {
        match (&self.vertex.started, &self.vertex.completed) {
            (Some(started), Some(completed)) => between(started, completed),
            (Some(_), None) => self.heard.map_or(0.0, |h| h.elapsed().as_secs_f64()),
            _ => 0.0,
        }
    }

    pub(super) fn is_running(&self) -> bool {
        self.vertex.started.is_some() && self.vertex.completed.is_none()
    }

    pub(super) fn is_done(&self) -> bool {
        self.vertex.completed.is_some()
    }

    /// It ended only because the build was called off.
    pub(super) fn is_canceled(&self) -> bool {
        self.vertex.error.ends_with("canceled")
    }

    /// Of the Dockerfile, not of the builder's own.
    pub(super) fn is_of_the_file(&self) -> bool {
        let name = &self.vertex.name;
        name.starts_with('[') && !name.starts_with("[internal]") && !name.starts_with("[auth]")
    }

    fn line(&mut self, bytes: &[u8], timestamp: &str) -> Line {
        let text = String::from_utf8_lossy(bytes).into_owned();
        let started = self.vertex.started.as_deref().unwrap_or(timestamp);
        let at = seconds_in_five(between(started, timestamp));
        let line = Line { at, text };
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back(line.clone());
        line
    }

    /// Takes in what was written; the lines that are whole now.
    fn log(&mut self, log: &BuildLog) -> Vec<Line> {
        let Ok(data) = STANDARD.decode(&log.data) else {
            return Vec::new();
        };
        let mut lines = Vec::new();
        for piece in data.split_inclusive(|&b| b == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() > LONGEST {
                let whole = std::mem::take(&mut self.partial);
                lines.push(self.line(trimmed(&whole), &log.timestamp));
            }
        }
        lines
    }

    /// What was written after the last line's end, as a line.
    fn rest(&mut self, timestamp: &str) -> Option<Line> {
        let rest = std::mem::take(&mut self.partial);
        (!rest.is_empty()).then(|| self.line(trimmed(&rest), timestamp))
    }
}

/// Without its end, and without what a carriage return wrote over.
fn trimmed(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\n").unwrap_or(line);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let start = line
        .iter()
        .rposition(|&b| b == b'\r')
        .map_or(0, |at| at + 1);
    &line[start..]
}

/// Seconds from one RFC 3339 time to another; never less than none.
pub(super) fn between(from: &str, to: &str) -> f64 {
    let parse = |text: &str| text.parse::<Timestamp>().ok();
    match (parse(from), parse(to)) {
        (Some(from), Some(to)) => to.duration_since(from).as_secs_f64().max(0.0),
        _ => 0.0,
    }
}

/// `0.312`, `12.34`, `123.4`: always five characters, as BuildKit's.
fn seconds_in_five(seconds: f64) -> String {
    let mut text = format!("{seconds:.3}");
    text.truncate(5);
    text
}

/// What an event changed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Change {
    /// A step, by its place, began, ended or moved on.
    Step(usize),
    /// A step wrote lines.
    Lines(usize, Vec<Line>),
    /// Nothing that is shown while the build runs.
    Nothing,
}

/// All steps.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub(super) steps: Vec<Step>,
    places: HashMap<String, usize>,
    pub(super) warnings: Vec<BuildWarning>,
}

impl Trace {
    /// The step called `digest`, which is made where it is new.
    fn place(&mut self, digest: &str) -> usize {
        if let Some(&place) = self.places.get(digest) {
            return place;
        }
        self.steps.push(Step {
            vertex: Vertex {
                digest: digest.to_owned(),
                ..Vertex::default()
            },
            heard: None,
            statuses: Vec::new(),
            last: VecDeque::new(),
            partial: Vec::new(),
        });
        self.places.insert(digest.to_owned(), self.steps.len() - 1);
        self.steps.len() - 1
    }

    /// Takes an event in. A step's end may also end its last line, hence several changes.
    pub(super) fn take(&mut self, event: &BuildEvent) -> Vec<Change> {
        match event {
            BuildEvent::Vertex(vertex) => {
                let place = self.place(&vertex.digest);
                let step = &mut self.steps[place];
                if step.vertex.started.is_none() && vertex.started.is_some() {
                    step.heard = Some(Instant::now());
                }
                let ended = vertex.completed.as_deref();
                let rest = ended.and_then(|at| step.rest(at));
                step.vertex = vertex.clone();
                let mut changes: Vec<Change> = rest
                    .map(|line| Change::Lines(place, vec![line]))
                    .into_iter()
                    .collect();
                changes.push(Change::Step(place));
                changes
            }
            BuildEvent::Status(status) => {
                let place = self.place(&status.vertex);
                let all = &mut self.steps[place].statuses;
                match all.iter_mut().find(|s| s.id == status.id) {
                    Some(known) => *known = status.clone(),
                    None => all.push(status.clone()),
                }
                vec![Change::Step(place)]
            }
            BuildEvent::Log(log) => {
                let place = self.place(&log.vertex);
                let lines = self.steps[place].log(log);
                vec![Change::Lines(place, lines)]
            }
            BuildEvent::Warning(warning) => {
                self.warnings.push(warning.clone());
                vec![Change::Nothing]
            }
            BuildEvent::Agent(_)
            | BuildEvent::Built(_)
            | BuildEvent::Cache(_)
            | BuildEvent::Error(_) => {
                vec![Change::Nothing]
            }
        }
    }

    /// How many steps of the Dockerfile there were, and how many of them were in the cache. Bases
    /// are made elsewhere, and do not count.
    pub(super) fn cached(&self) -> (usize, usize) {
        let counts = |s: &&Step| s.is_of_the_file() && !s.vertex.name.contains("] FROM ");
        let all = || self.steps.iter().filter(counts);
        let cached = all().filter(|s| s.vertex.cached).count();
        (all().count(), cached)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in super::super) fn vertex(json: serde_json::Value) -> BuildEvent {
        BuildEvent::Vertex(serde_json::from_value(json).unwrap())
    }

    pub(in super::super) fn log(vertex: &str, at: &str, text: &str) -> BuildEvent {
        BuildEvent::Log(BuildLog {
            vertex: vertex.to_owned(),
            stream: 1,
            data: STANDARD.encode(text),
            timestamp: at.to_owned(),
        })
    }

    #[test]
    fn lines_are_put_together_and_told_with_their_time() {
        let mut trace = Trace::default();
        trace.take(&vertex(serde_json::json!({
            "digest": "a", "name": "[1/2] RUN x", "started": "2026-01-01T00:00:00Z",
        })));
        assert_eq!(
            trace.take(&log("a", "2026-01-01T00:00:00.1Z", "hal")),
            [Change::Lines(0, vec![])]
        );
        let line = |at: &str, text: &str| Line {
            at: at.to_owned(),
            text: text.to_owned(),
        };
        assert_eq!(
            trace.take(&log(
                "a",
                "2026-01-01T00:00:12.345Z",
                "f\n 10%\r100%\r\nrest"
            )),
            [Change::Lines(
                0,
                vec![line("12.34", "half"), line("12.34", "100%")]
            )]
        );
        let end = vertex(serde_json::json!({
            "digest": "a", "name": "[1/2] RUN x", "started": "2026-01-01T00:00:00Z",
            "completed": "2026-01-01T00:02:03.45Z",
        }));
        assert_eq!(
            trace.take(&end),
            [
                Change::Lines(0, vec![line("123.4", "rest")]),
                Change::Step(0)
            ]
        );
        assert_eq!(trace.steps[0].last.len(), 3);
        assert_eq!(trace.cached(), (1, 0));
    }
}
