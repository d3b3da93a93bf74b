//! `wharf daemon`: reads its options, opens its state, serves the API until it is told to end.

mod config_file;
mod info;
mod instance;
mod listen;
mod options;
mod run;

use std::{ffi::OsString, process::ExitCode};

pub(crate) use info::Host;

/// The daemon's entry; `args` without the verb.
pub(crate) fn main(args: &[OsString]) -> ExitCode {
    let settings = match options::read(args) {
        Ok(settings) => settings,
        Err(options::Stop::Shown(code)) => return code,
        Err(options::Stop::Wrong(message)) => {
            eprintln!("wharf daemon: {message}");
            return ExitCode::FAILURE;
        }
    };
    run::log_to_stderr(&settings.log_level);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build();
    let served = match runtime {
        Ok(runtime) => {
            let served = runtime.block_on(run::serve(settings));
            // Not shut down: tasks that still run would panic in a runtime that is going away, and
            // nothing depends on their end.
            std::mem::forget(runtime);
            served
        }
        Err(error) => Err(error.into()),
    };
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wharf daemon: {error:#}");
            ExitCode::FAILURE
        }
    }
}
