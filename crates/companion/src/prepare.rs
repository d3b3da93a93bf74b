//! What a program does before anything else.

use std::ffi::CStr;
use std::io;
use std::process::ExitCode;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Is called `name`, takes what there is of descriptors, and lets go of all capabilities but `kept`.
/// Each of these is a precaution, so that where one is refused the program serves all the same.
pub fn prepare(name: &CStr, kept: CapabilitySet) {
    // The kernel calls it by the number of the descriptor that it was run from.
    let _ = rustix::thread::set_name(name);
    // The terminal's signals are for the daemon.
    let _ = setsid();
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    let _ = setrlimit(Resource::Nofile, limit);
    let _ = rustix::thread::set_no_new_privs(true);
    if let Ok(held) = rustix::thread::capabilities(None) {
        let kept = held.permitted & kept;
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        };
        let _ = rustix::thread::set_capabilities(None, sets);
    }
}

/// How a program ends, by what its serving came to.
#[must_use]
pub fn ended(name: &str, served: io::Result<()>) -> ExitCode {
    match served {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {error}");
            if error.kind() == io::ErrorKind::AddrInUse {
                ExitCode::from(3)
            } else {
                ExitCode::FAILURE
            }
        }
    }
}
