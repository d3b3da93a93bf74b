//! What the project checks about itself, and how its tests are run: `cargo xtask test`,
//! `check-deps`, `check-status`, `check-text`. For development only.

mod deps;
mod status;
mod suite;
mod text;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

const USAGE: &str = "usage: cargo xtask COMMAND
  test [ARGS…]    install what tests use, build the release binary and pass all tests;
                  ARGS go to `cargo nextest run`
  check-deps      crates depend only on what the layers allow
  check-status [--check]
                  every promise that works has tests which passed in the last `cargo xtask test`;
                  writes docs/compatibility.md, or with --check fails if it would change
  compatibility   writes docs/compatibility.md without looking at test results
  check-text      no file is too long, no machine's paths or hosts are in the repository";

fn main() -> ExitCode {
    let args: Vec<_> = std::env::args().skip(1).collect();
    let words: Vec<_> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["test", rest @ ..] => suite::run(rest),
        ["check-deps"] => deps::check(),
        ["check-status"] => status::check(false),
        ["check-status", "--check"] => status::check(true),
        ["compatibility"] => status::write_page(),
        ["check-text"] => text::check(),
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace's root.
fn root() -> PathBuf {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2);
    root.unwrap_or(Path::new(".")).to_owned()
}

/// Fails with all of `wrong`, one a line.
fn verdict(what: &str, wrong: &[String]) -> Result<()> {
    if wrong.is_empty() {
        return Ok(());
    }
    bail!("{what}:\n  {}", wrong.join("\n  "))
}
