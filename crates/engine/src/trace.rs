//! Where each millisecond of a start goes: with `WHARF_TRACE=<file>` every start appends one
//! line of JSON to that file.

use std::{
    fs::OpenOptions,
    io::Write as _,
    sync::OnceLock,
    time::{Duration, Instant},
};

/// The steps of one start and what each took.
pub(crate) struct Trace {
    begun: Instant,
    last: Instant,
    steps: Vec<(&'static str, Duration)>,
}

impl Trace {
    pub(crate) fn begin() -> Self {
        let now = Instant::now();
        Self {
            begun: now,
            last: now,
            steps: Vec::new(),
        }
    }

    /// The time since the last step was for `step`.
    pub(crate) fn step(&mut self, step: &'static str) {
        let now = Instant::now();
        self.steps.push((step, now - self.last));
        self.last = now;
    }

    /// Writes the line, where one is wanted.
    pub(crate) fn end(self, container: &str) {
        static FILE: OnceLock<Option<std::ffi::OsString>> = OnceLock::new();
        let Some(path) = FILE.get_or_init(|| std::env::var_os("WHARF_TRACE")) else {
            return;
        };
        let micros = |d: Duration| u64::try_from(d.as_micros()).unwrap_or(u64::MAX);
        let steps: serde_json::Map<_, _> = self
            .steps
            .iter()
            .map(|(name, d)| ((*name).into(), micros(*d).into()))
            .collect();
        let line = serde_json::json!({
            "container": container,
            "total_us": micros(self.begun.elapsed()),
            "steps_us": steps,
        });
        let written = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .and_then(|mut file| file.write_all(format!("{line}\n").as_bytes()));
        if let Err(error) = written {
            tracing::warn!(%error, "WHARF_TRACE cannot be written");
        }
    }
}
