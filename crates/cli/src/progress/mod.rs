//! What a pull, load or import reports, as it goes on: on a terminal a line for each layer,
//! drawn again in place; elsewhere the steps without the bars.

mod bar;
pub(crate) mod build;
mod meter;

use std::{collections::HashMap, fmt::Write as _, io::Write};

pub(crate) use meter::Meter;

use types::image::ProgressLine;

use crate::{
    client::Answer,
    error::{Error, Result},
    tty::{self},
    verbs::Show,
};

/// Shows everything that `answer` reports; its error becomes ours.
pub(crate) async fn follow(mut answer: Answer<'_>, show: Show) -> Result {
    let (terminal, width) = match show {
        Show::Nothing => (false, 0),
        Show::OnStdout => (tty::is_terminal(std::io::stdout()), columns()),
        Show::OnStderr => (tty::is_terminal(std::io::stderr()), columns()),
    };
    let mut board = Board::new(terminal, width);
    while let Some(line) = answer.next::<ProgressLine>().await? {
        if let Some(text) = failure(&line) {
            return Err(Error::msg(text));
        }
        if line.aux.is_some() && line.status.is_none() {
            continue; // for programs
        }
        let text = board.draw(&line);
        let written = match show {
            Show::Nothing => Ok(()),
            Show::OnStdout => put(&mut std::io::stdout().lock(), &text),
            Show::OnStderr => put(&mut std::io::stderr().lock(), &text),
        };
        written.map_err(|e| Error::stdio(&e))?;
    }
    Ok(())
}

fn put(to: &mut impl Write, text: &str) -> std::io::Result<()> {
    to.write_all(text.as_bytes())?;
    to.flush()
}

fn columns() -> usize {
    tty::size().map_or(200, |(_, columns)| usize::from(columns))
}

fn failure(line: &ProgressLine) -> Option<String> {
    let detail = line.error_detail.as_ref().map(|d| d.message.clone());
    detail
        .filter(|m| !m.is_empty())
        .or_else(|| line.error.clone())
}

/// The lines that are on the screen.
struct Board {
    terminal: bool,
    width: usize,
    rows: HashMap<String, usize>,
}

impl Board {
    fn new(terminal: bool, width: usize) -> Self {
        Self {
            terminal,
            width,
            rows: HashMap::new(),
        }
    }

    /// What to write for `line`.
    fn draw(&mut self, line: &ProgressLine) -> String {
        let id = line.id.as_deref().unwrap_or_default();
        let bar = line
            .detail
            .as_ref()
            .map(|detail| bar::draw(detail, self.width));
        let mut out = String::new();
        let mut up = 0;
        if !id.is_empty() && (bar.is_some() || line.progress.is_some()) {
            let row = self.rows.get(id).copied().unwrap_or_else(|| {
                if self.terminal {
                    out.push('\n');
                }
                self.rows.insert(id.to_owned(), self.rows.len());
                self.rows.len() - 1
            });
            up = self.rows.len() - row;
            if self.terminal {
                let _ = write!(out, "\x1b[{up}A");
            }
        } else {
            // The lines above are no longer counted, so they cannot be found again.
            self.rows.clear();
        }
        self.text(line, id, bar.as_deref(), &mut out);
        if self.terminal && up > 0 {
            let _ = write!(out, "\x1b[{up}B");
        }
        out
    }

    fn text(&self, line: &ProgressLine, id: &str, bar: Option<&str>, out: &mut String) {
        let status = line.status.as_deref().unwrap_or_default();
        if let Some(stream) = &line.stream {
            out.push_str(stream);
            return;
        }
        let prefix = if id.is_empty() {
            String::new()
        } else {
            format!("{id}: ")
        };
        match bar {
            Some(bar) if self.terminal => {
                let _ = write!(out, "\x1b[2K\r{prefix}{status} {bar}\r");
            }
            // Bars are for terminals: what remains is the steps.
            Some(bar) if !bar.is_empty() => {}
            _ => {
                let _ = writeln!(out, "{prefix}{status}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(json: &str) -> ProgressLine {
        serde_json::from_str(json).unwrap()
    }

    const STEPS: &[&str] = &[
        r#"{"status":"Pulling from library/x","id":"latest"}"#,
        r#"{"status":"Pulling fs layer","progressDetail":{},"id":"aa"}"#,
        r#"{"status":"Downloading","progressDetail":{"current":1,"total":2},"id":"aa"}"#,
        r#"{"status":"Digest: sha256:00"}"#,
    ];

    #[test]
    fn without_a_terminal_only_steps_are_shown() {
        let mut board = Board::new(false, 200);
        let text: String = STEPS.iter().map(|s| board.draw(&line(s))).collect();
        assert_eq!(
            text,
            "latest: Pulling from library/x\naa: Pulling fs layer\nDigest: sha256:00\n"
        );
    }

    #[test]
    fn on_a_terminal_lines_are_drawn_again_in_place() {
        let mut board = Board::new(true, 200);
        let text: Vec<String> = STEPS.iter().map(|s| board.draw(&line(s))).collect();
        assert_eq!(text[1], "\n\x1b[1A\x1b[2K\raa: Pulling fs layer \r\x1b[1B");
        assert!(
            text[2].starts_with("\x1b[1A\x1b[2K\raa: Downloading ["),
            "{}",
            text[2]
        );
        let mut board = Board::new(true, 200);
        board.draw(&line(STEPS[1]));
        let second = line(r#"{"status":"Waiting","progressDetail":{},"id":"bb"}"#);
        assert!(board.draw(&second).starts_with("\n\x1b[1A"));
        assert!(board.draw(&line(STEPS[1])).starts_with("\x1b[2A"));
    }
}
