//! `wharf daemon`: reads its options, opens its state, serves the API until it is told to end.

mod info;
mod instance;
mod listen;
mod notify;
mod reload;
mod run;
mod settings;
mod tls;

use std::{ffi::OsString, process::ExitCode};

pub(crate) use info::Host;
pub(crate) use settings::Name;

/// The daemon's entry; `args` without the verb.
pub(crate) fn main(name: Name, args: Vec<OsString>) -> ExitCode {
    // Before any thread: it changes the environment.
    let activation = sys::activation::take();
    let program = name.program();
    let settings = match settings::read(name, &args) {
        Ok(settings) => settings,
        Err(settings::Stop::Shown(code)) => return code,
        Err(settings::Stop::Wrong(message)) => {
            eprintln!("{program}: {message}");
            return ExitCode::FAILURE;
        }
    };
    let log = run::log_to_stderr(&settings);
    let start = run::Start {
        settings,
        args,
        activation,
        log,
    };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .max_blocking_threads(64)
        .thread_keep_alive(std::time::Duration::from_secs(2))
        .enable_all()
        .build();
    let served = match runtime {
        Ok(runtime) => {
            let served = runtime.block_on(run::serve(start));
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
            eprintln!("{program}: {error:#}");
            ExitCode::FAILURE
        }
    }
}
