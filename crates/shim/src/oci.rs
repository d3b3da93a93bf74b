//! What `wharf runtime …` becomes: the OCI runtime, static and small, run from a sealed memory file
//! so that nothing in a container can reach a program of the host through it.

use std::process::ExitCode;

fn main() -> ExitCode {
    runtime::oci::cli::main()
}
