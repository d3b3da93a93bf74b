//! The table of docs/performance.md.

use std::{fs, time::Duration};

use testkit::workspace;

const BEGIN: &str = "<!-- made by benches/run -->";
const END: &str = "<!-- end -->";

/// A line: what was measured, the goal, and a cell for each peer, ours first.
pub(crate) struct Row {
    what: String,
    goal: String,
    /// The number for the ratio, and how it reads.
    cells: Vec<(f64, String)>,
}

impl Row {
    pub(crate) fn new(what: &str, goal: &str) -> Self {
        Self {
            what: what.to_owned(),
            goal: goal.to_owned(),
            cells: Vec::new(),
        }
    }

    /// Adds a peer's median and its spread.
    pub(crate) fn times(&mut self, times: &[Duration]) {
        self.spread(times, 1e3, "ms");
    }

    /// The same of what takes far less than a millisecond.
    pub(crate) fn micros(&mut self, times: &[Duration]) {
        self.spread(times, 1e6, "µs");
    }

    fn spread(&mut self, times: &[Duration], units_a_second: f64, unit: &str) {
        let mut sorted = times.to_vec();
        sorted.sort();
        let of = |at: usize| {
            sorted
                .get(at)
                .map_or(0.0, |t| t.as_secs_f64() * units_a_second)
        };
        let middle = of(sorted.len() / 2);
        let digits = usize::from(middle < 20.0);
        let (low, high) = (of(sorted.len() / 10), of(sorted.len() * 9 / 10));
        let text = format!("{middle:.digits$} {unit} ({low:.digits$}–{high:.digits$})");
        self.cells.push((middle, text));
    }

    /// Adds a peer's size.
    pub(crate) fn kibibytes(&mut self, kib: u64) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let mib = kib as f64 / 1024.0;
        let digits = if mib < 10.0 { 2 } else { 1 };
        self.cells.push((mib, format!("{mib:.digits$} MiB")));
    }

    fn ratio(&self) -> String {
        match &self.cells[..] {
            [(own, _), (peer, _)] if *own > 0.0 && *peer > 0.0 => format!("{:.2}", own / peer),
            _ => "–".to_owned(),
        }
    }

    /// The row as Markdown.
    pub(crate) fn line(&self) -> String {
        let cells: Vec<_> = self.cells.iter().map(|(_, text)| text.as_str()).collect();
        let (what, goal, cells) = (&self.what, &self.goal, cells.join(" | "));
        format!("| {what} | {goal} | {cells} | {} |", self.ratio())
    }
}

const HEAD: &str = "|  | wharf at most | wharf | dockerd 20.10 | ratio |\n\
                    | --- | --- | --- | --- | --- |\n";

/// Puts the rows into the table between the markers of docs/performance.md, each in the place of
/// the one that had its name; others stay.
pub(crate) fn write(rows: &[Row], runs: usize, rounds: usize) {
    let path = workspace().join("docs/performance.md");
    let page = fs::read_to_string(&path).expect("docs/performance.md is there");
    let (head, rest) = page.split_once(BEGIN).expect("it has the first marker");
    let (old, tail) = rest.split_once(END).expect("it has the second marker");
    let mut lines: Vec<String> = old
        .lines()
        .filter(|l| l.starts_with("| ") && !l.starts_with("| ---") && !l.starts_with("|  |"))
        .map(str::to_owned)
        .collect();
    for row in rows {
        let name = format!("| {} |", row.what);
        match lines.iter_mut().find(|l| l.starts_with(&name)) {
            Some(line) => *line = row.line(),
            None => lines.push(row.line()),
        }
    }
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let note = format!(
        "Medians (10th to 90th percentile) of {runs} runs, and of {rounds} of what takes seconds, \
         alternating, on {cpus} cores, Linux {kernel}. Method: benches/peer."
    );
    let table = lines.join("\n");
    fs::write(
        &path,
        format!("{head}{BEGIN}\n{HEAD}{table}\n\n{note}\n{END}{tail}"),
    )
    .expect("docs/ is writable");
}
