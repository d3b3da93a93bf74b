//! The clients: the real `docker`, and our own `wharf`.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cmd::{Output, Running, run};
use crate::tty::Tty;

/// A command line client pointed at one daemon, with an empty configuration of its own.
#[derive(Debug, Clone)]
pub struct Cli {
    program: PathBuf,
    host: String,
    config: PathBuf,
}

impl Cli {
    pub(crate) fn new(program: impl Into<PathBuf>, socket: &Path, config: &Path) -> Self {
        let host = format!("unix://{}", socket.display());
        Self {
            program: program.into(),
            host,
            config: config.to_owned(),
        }
    }

    /// The same client pointed elsewhere, as `-H` or `DOCKER_HOST` would.
    #[must_use]
    pub fn at(&self, host: &str) -> Self {
        Self {
            host: host.to_owned(),
            ..self.clone()
        }
    }

    /// The client's name: `docker` or `wharf`.
    pub fn name(&self) -> String {
        self.program
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    }

    /// The folder of its configuration.
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// The command for a line such as `run --rm busybox sh -c 'exit 7'`, split by [`words`].
    pub fn command(&self, line: &str) -> Command {
        let mut command = Command::new(&self.program);
        command
            .args(words(line))
            .env("DOCKER_HOST", &self.host)
            .env("DOCKER_CONFIG", &self.config)
            .env("TERM", "xterm")
            .env_remove("DOCKER_CONTEXT")
            .env_remove("DOCKER_API_VERSION");
        command
    }

    /// Runs a line to its end.
    #[track_caller]
    pub fn run(&self, line: &str) -> Output {
        run(&mut self.command(line))
    }

    /// Runs a line that must succeed; gives its standard output without the last newline.
    #[track_caller]
    pub fn ok(&self, line: &str) -> String {
        self.run(line).ok()
    }

    /// Runs a line and gives its exit code.
    #[track_caller]
    pub fn code(&self, line: &str) -> i32 {
        self.run(line).code
    }

    /// Runs a line that must fail and say each of `parts`.
    #[track_caller]
    pub fn refused(&self, line: &str, parts: &[&str]) -> Output {
        self.run(line).refused(parts)
    }

    /// Runs a line with `input` on standard input.
    #[track_caller]
    pub fn with_input(&self, line: &str, input: &str) -> Output {
        let mut running = self.start(line);
        running.send(input);
        running.close_stdin();
        running.wait()
    }

    /// Starts a line with its standard input open.
    #[track_caller]
    pub fn start(&self, line: &str) -> Running {
        Running::start(self.command(line).stdin(Stdio::piped()))
    }

    /// Starts a line on a terminal.
    pub fn tty(&self, line: &str) -> Tty {
        Tty::start(&self.command(line))
    }
}

/// Splits a line at blanks; single and double quotes hold words together and nest in one another.
pub fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for c in line.chars() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, ' ' | '\n') => words.extend(word.take()),
            (_, c) => word.get_or_insert_default().push(c),
        }
    }
    assert!(quote.is_none(), "a quote stays open in {line:?}");
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::words;

    #[test]
    fn splits_like_a_simple_shell() {
        assert_eq!(
            words("a  b 'c d' \"e 'f'\" ''"),
            ["a", "b", "c d", "e 'f'", ""]
        );
        assert_eq!(words("--format '{{ .X }}'"), ["--format", "{{ .X }}"]);
    }
}
