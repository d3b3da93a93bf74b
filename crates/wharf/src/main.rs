//! One program: the daemon, the command line that talks to it, and the OCI runtime. Which of them
//! this process is gets decided before any thread starts.

mod adapters;
mod authz;
mod daemon;
mod embedded;
mod hello;
mod oci;
mod plugins;

use std::{
    env,
    ffi::{OsStr, OsString},
    path::Path,
    process::ExitCode,
};

fn main() -> ExitCode {
    let mut args: Vec<OsString> = env::args_os().collect();
    let program = args
        .first()
        .map(Path::new)
        .and_then(Path::file_name)
        .unwrap_or(OsStr::new("wharf"));
    if program == oci::NAME {
        args.remove(0);
        return oci::main(args);
    }
    if program == "dockerd" {
        return daemon::main(daemon::Name::Dockerd, args);
    }
    let program = if program == "docker" {
        "docker"
    } else {
        "wharf"
    };
    if program == "wharf" && args.get(1).is_some_and(|verb| verb == "daemon") {
        args.remove(1);
        return daemon::main(daemon::Name::Wharf, args);
    }
    if program == "wharf" && args.get(1).is_some_and(|verb| verb == "runtime") {
        args.drain(..2);
        return oci::main(args);
    }
    args.drain(..1.min(args.len()));
    cli::main(program, args)
}
