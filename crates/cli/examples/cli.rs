//! The CLI alone, for its tests: under the name that `CLI_PROGRAM` says, or `docker`.

use std::process::ExitCode;

fn main() -> ExitCode {
    let program = std::env::var("CLI_PROGRAM").unwrap_or_else(|_| "docker".to_owned());
    cli::main(&program, std::env::args_os().skip(1).collect())
}
