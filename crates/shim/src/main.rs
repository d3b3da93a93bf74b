//! The program that stands beside each container: it starts it through the OCI runtime, holds its
//! standard input and output or its terminal, appends what it says to the log, serves attach and
//! exec, and records its end. It outlives the daemon, so it is small: one thread, one poll loop,
//! no runtime, no more memory than what is under way.
//!
//! It takes no arguments. Everything it must know comes over its standard input, a socket, as
//! [`runtime::protocol`] describes.

mod command;
mod conn;
mod log;
mod own;
mod prepare;
mod process;
mod record;
mod requests;
mod server;
mod stdio;
mod wait;

use std::process::ExitCode;

fn main() -> ExitCode {
    match prepare::prepare() {
        Ok(shim) => {
            shim.serve();
            ExitCode::SUCCESS
        }
        Err(error) => {
            // Whoever started us has been told over the socket, if there is one; this is for
            // those who try the program by hand.
            eprintln!("wharf-shim: {error}");
            ExitCode::FAILURE
        }
    }
}
