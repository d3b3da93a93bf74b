//! Progress on a terminal: a row for each step, drawn again in place.
//!
//! A frame is written in one piece over the one before it, line by line, and what is longer is cleared
//! behind each line: nothing is ever blank in between, so nothing flickers.

use std::{fmt::Write, time::Instant};

use unicode_segmentation::UnicodeSegmentation;
use unicode_width::UnicodeWidthStr;

use super::{
    ending,
    plain::transfer,
    trace::{Step, Trace},
};
use crate::format::ellipsis;

/// Last lines that a running step shows.
const SHOWN: usize = 6;
/// Transfers that a running step shows.
const TRANSFERS: usize = 4;

const BLUE: &str = "\x1b[34m";
const RED: &str = "\x1b[31m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// The picture on the screen.
pub(super) struct Live {
    began: Instant,
    colours: bool,
    /// Columns of each line that is on the screen.
    drawn: Vec<usize>,
}

/// How a build stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Running,
    Finished,
    Failed,
}

impl Live {
    pub(super) fn new(colours: bool) -> Self {
        Self {
            began: Instant::now(),
            colours,
            drawn: Vec::new(),
        }
    }

    /// The bytes that bring the screen of `size` (rows and columns) up to date.
    pub(super) fn draw(&mut self, trace: &Trace, state: State, size: (u16, u16)) -> String {
        let (rows, columns) = (usize::from(size.0).max(4), usize::from(size.1).max(20));
        let lines = self.lines(trace, state, rows, columns);
        // The cursor stands below the last frame; where the window became narrower, its lines were
        // broken into more.
        let up: usize = self.drawn.iter().map(|w| w.div_ceil(columns).max(1)).sum();
        let mut out = String::from("\x1b[?25l");
        if up > 0 {
            let _ = write!(out, "\x1b[{}A", up.min(rows));
        }
        out.push('\r');
        for (text, _) in &lines {
            out.push_str(text);
            out.push_str("\x1b[K\n");
        }
        // What is left of a longer frame.
        out.push_str("\x1b[J\x1b[?25h");
        self.drawn = lines.into_iter().map(|(_, width)| width).collect();
        out
    }

    /// The frame's lines, and their widths.
    fn lines(
        &self,
        trace: &Trace,
        state: State,
        rows: usize,
        columns: usize,
    ) -> Vec<(String, usize)> {
        // The last column stays free: terminals differ in what they do behind it.
        let width = columns - 1;
        let mut lines = vec![self.header(trace, state, width)];
        let begun: Vec<&Step> = trace
            .steps
            .iter()
            .filter(|s| s.vertex.started.is_some() || s.is_done())
            .collect();
        if state != State::Running {
            for step in begun {
                lines.push(self.row(step, width));
            }
            return lines;
        }
        let mut blocks: Vec<Vec<(String, usize)>> = begun
            .iter()
            .map(|step| {
                let mut block = vec![self.row(step, width)];
                if step.is_running() {
                    details(step, width, &mut block);
                }
                block
            })
            .collect();
        // The cursor's own line is the last one.
        let room = rows - 2;
        let mut used: usize = blocks.iter().map(Vec::len).sum();
        // What is over gives way first, the oldest of it first; then details; then the oldest rows.
        let mut keep: Vec<bool> = vec![true; blocks.len()];
        for (at, step) in begun.iter().enumerate() {
            if used <= room {
                break;
            }
            if step.is_done() {
                keep[at] = false;
                used -= blocks[at].len();
            }
        }
        for block in &mut blocks {
            if used > room && block.len() > 1 {
                used -= block.len() - 1;
                block.truncate(1);
            }
        }
        let mut shown: Vec<(String, usize)> = blocks
            .into_iter()
            .zip(keep)
            .filter(|(_, keep)| *keep)
            .flat_map(|(block, _)| block)
            .collect();
        if shown.len() > room {
            shown.drain(..shown.len() - room);
        }
        lines.extend(shown);
        lines
    }

    fn header(&self, trace: &Trace, state: State, width: usize) -> (String, usize) {
        let done = trace.steps.iter().filter(|s| s.is_done()).count();
        let all = trace.steps.len();
        let seconds = self.began.elapsed().as_secs_f64();
        let end = match state {
            State::Running => "",
            State::Finished => " FINISHED",
            State::Failed => " FAILED",
        };
        let left = format!("[+] Building {seconds:.1}s ({done}/{all}){end}");
        let right = if state == State::Running {
            "wharf:default".to_owned()
        } else {
            ending::summary(trace)
        };
        let (text, columns) = spread(&left, &right, width);
        // A frame that ends the build stays, so it says so in colour.
        match state {
            State::Running => (text, columns),
            State::Finished => (self.coloured(BLUE, &text), columns),
            State::Failed => (self.coloured(RED, &text), columns),
        }
    }

    fn row(&self, step: &Step, width: usize) -> (String, usize) {
        let (prefix, colour) = if step.is_canceled() {
            ("CANCELED ", YELLOW)
        } else if !step.vertex.error.is_empty() {
            ("ERROR ", RED)
        } else if step.vertex.cached {
            ("CACHED ", BLUE)
        } else if step.is_done() {
            ("", BLUE)
        } else {
            ("", "")
        };
        let left = format!(" => {prefix}{}", clear(&step.vertex.name));
        let right = format!("{:.1}s", step.seconds());
        let (text, columns) = spread(&left, &right, width);
        (self.coloured(colour, &text), columns)
    }

    fn coloured(&self, colour: &str, text: &str) -> String {
        if self.colours && !colour.is_empty() {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }
}

/// A running step's transfers and last lines.
fn details(step: &Step, width: usize, block: &mut Vec<(String, usize)>) {
    let open = step.statuses.iter().filter(|s| s.completed.is_none());
    for status in open.take(TRANSFERS) {
        block.push(spread(
            &format!(" => => {}", clear(&transfer(status))),
            "",
            width,
        ));
    }
    let skipped = step.last.len().saturating_sub(SHOWN);
    for line in step.last.iter().skip(skipped) {
        let text = ellipsis(&clear(&line.text), width.saturating_sub(9));
        let columns = text.width() + 9;
        block.push((format!(" => => # {text}"), columns));
    }
}

/// `left` and, at the right edge, `right`; and the columns of both.
fn spread(left: &str, right: &str, width: usize) -> (String, usize) {
    let right = ellipsis(right, width / 2);
    let left = ellipsis(left, width.saturating_sub(right.width() + 1));
    let gap = width.saturating_sub(left.width() + right.width());
    if right.is_empty() {
        let columns = left.width();
        return (left, columns);
    }
    (format!("{left}{}{right}", " ".repeat(gap)), width)
}

/// `text` without what moves a cursor or colours a screen.
fn clear(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.graphemes(true).peekable();
    while let Some(piece) = rest.next() {
        match piece {
            "\x1b" => match rest.next() {
                // Until the letter that ends it.
                Some("[") => {
                    for piece in rest.by_ref() {
                        if piece.bytes().all(|b| (0x40..=0x7e).contains(&b)) {
                            break;
                        }
                    }
                }
                Some("]") => {
                    for piece in rest.by_ref() {
                        if piece == "\x07" || piece == "\\" {
                            break;
                        }
                    }
                }
                _ => {}
            },
            "\t" => out.push_str("    "),
            "\n" | "\r\n" => out.push(' '),
            piece if piece.chars().any(char::is_control) => {}
            piece => out.push_str(piece),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{
        super::trace::tests::{log, vertex},
        *,
    };

    fn trace(steps: usize) -> Trace {
        let mut trace = Trace::default();
        for n in 0..steps {
            trace.take(&vertex(json!({
                "digest": n.to_string(), "name": format!("[{n}/9] RUN step {n}"), "cached": n == 0,
                "started": "2026-01-01T00:00:00Z", "completed": "2026-01-01T00:00:02Z",
            })));
        }
        trace.take(&vertex(json!({
            "digest": "run", "name": "[9/9] RUN make", "started": "2026-01-01T00:00:00Z",
        })));
        for n in 0..9 {
            trace.take(&log(
                "run",
                "2026-01-01T00:00:01Z",
                &format!("line {n}\x1b[31m!\x1b[0m\n"),
            ));
        }
        trace
    }

    fn texts(live: &Live, trace: &Trace, state: State, rows: usize) -> Vec<String> {
        let lines = live.lines(trace, state, rows, 60);
        lines.into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn rows_show_steps_times_and_last_lines() {
        let live = Live::new(false);
        let lines = texts(&live, &trace(2), State::Running, 24);
        assert!(lines[0].starts_with("[+] Building 0.0s (2/3)"), "{lines:?}");
        assert!(
            lines[1].starts_with(" => CACHED [0/9] RUN step 0 ") && lines[1].ends_with(" 2.0s")
        );
        assert_eq!(lines[1].width(), 59);
        assert_eq!(lines[4], " => => # line 3!");
        assert_eq!(lines.len(), 4 + SHOWN);
        let lines = texts(&live, &trace(2), State::Finished, 24);
        assert_eq!(lines.len(), 4);
        assert!(lines[0].ends_with("cached: 1 of 3 steps"), "{lines:?}");
    }

    #[test]
    fn what_is_over_gives_way_where_the_screen_is_small() {
        let live = Live::new(false);
        let lines = texts(&live, &trace(40), State::Running, 12);
        assert!(lines.len() <= 11, "{lines:?}");
        assert!(lines.iter().any(|l| l.contains("RUN make")));
        assert!(lines.iter().any(|l| l.contains("step 39")));
        assert!(!lines.iter().any(|l| l.contains("step 0 ")));
    }

    #[test]
    fn frames_go_over_one_another_also_after_a_resize() {
        let mut live = Live::new(false);
        let first = live.draw(&trace(1), State::Running, (24, 60));
        assert!(!first.contains("\x1b[9A"));
        let lines = live.drawn.len();
        let second = live.draw(&trace(1), State::Running, (24, 60));
        assert!(second.contains(&format!("\x1b[{lines}A")), "{second:?}");
        // Full lines of 59 columns take two of 40.
        let full = live.drawn.iter().filter(|w| **w > 40).count();
        let third = live.draw(&trace(1), State::Running, (24, 40));
        assert!(
            third.contains(&format!("\x1b[{}A", lines + full)),
            "{third:?}"
        );
    }

    #[test]
    fn a_steps_output_cannot_move_the_cursor() {
        assert_eq!(clear("a\x1b[2Jb\x1b]0;title\x07c\td\x08"), "abc    d");
    }
}
