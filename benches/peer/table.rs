//! The table of docs/performance.md.

use std::{fmt::Write as _, fs, time::Duration};

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
        let mut sorted = times.to_vec();
        sorted.sort();
        let ms = |at: usize| sorted.get(at).map_or(0.0, |t| t.as_secs_f64() * 1e3);
        let middle = ms(sorted.len() / 2);
        let digits = usize::from(middle < 20.0);
        let (low, high) = (ms(sorted.len() / 10), ms(sorted.len() * 9 / 10));
        let text = format!("{middle:.digits$} ms ({low:.digits$}–{high:.digits$})");
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
}

/// The table as Markdown, with the line that says how it came about.
pub(crate) fn render(rows: &[Row], runs: usize, rounds: usize) -> String {
    let mut text = String::from("|  | wharf at most | wharf | dockerd 20.10 | ratio |\n");
    text.push_str("| --- | --- | --- | --- | --- |\n");
    for row in rows {
        let cells: Vec<_> = row.cells.iter().map(|(_, text)| text.as_str()).collect();
        let (what, goal, cells) = (&row.what, &row.goal, cells.join(" | "));
        let _ = writeln!(text, "| {what} | {goal} | {cells} | {} |", row.ratio());
    }
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let kernel = kernel.trim().split('-').next().unwrap_or_default();
    let _ = write!(
        text,
        "\nMedians (10th to 90th percentile) of {runs} runs, and of {rounds} pulls and fifties, \
         alternating, on {cpus} cores, Linux {kernel}. Method: benches/peer.\n",
    );
    text
}

/// Puts the table between the markers of docs/performance.md.
pub(crate) fn write(table: &str) {
    let path = workspace().join("docs/performance.md");
    let page = fs::read_to_string(&path).expect("docs/performance.md is there");
    let (head, rest) = page.split_once(BEGIN).expect("it has the first marker");
    let (_, tail) = rest.split_once(END).expect("it has the second marker");
    fs::write(&path, format!("{head}{BEGIN}\n{table}{END}{tail}")).expect("docs/ is writable");
}
