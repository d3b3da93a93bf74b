//! `wharf-dns --control SOCKET --state FILE`: the name server of a host's containers. The daemon
//! starts it, and it outlives the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use resolver::{Options, serve};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit, setsid};
use rustix::thread::{CapabilitySet, CapabilitySets};

fn main() -> ExitCode {
    let Some(options) = options(std::env::args_os().skip(1)) else {
        eprintln!("Usage: wharf-dns --control SOCKET --state FILE");
        return ExitCode::from(2);
    };
    prepare();
    match serve(&options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            resolver::say(&error.to_string());
            ExitCode::from(3)
        }
        Err(error) => {
            resolver::say(&error.to_string());
            ExitCode::FAILURE
        }
    }
}

fn options(mut words: impl Iterator<Item = OsString>) -> Option<Options> {
    let (mut control, mut state) = (None, None);
    while let Some(word) = words.next() {
        let place = match word.to_str()? {
            "--control" => &mut control,
            "--state" => &mut state,
            _ => return None,
        };
        *place = Some(PathBuf::from(words.next()?));
    }
    Some(Options {
        control: control?,
        state: state?,
    })
}

/// Each of these is a precaution, so that where one is refused we serve all the same.
fn prepare() {
    // The terminal's signals are for the daemon.
    let _ = setsid();
    let most = getrlimit(Resource::Nofile).maximum;
    let limit = Rlimit {
        current: most,
        maximum: most,
    };
    let _ = setrlimit(Resource::Nofile, limit);
    let _ = rustix::thread::set_no_new_privs(true);
    // It reads what containers send. All that it must be able to do is to enter their networks.
    if let Ok(held) = rustix::thread::capabilities(None) {
        let kept = held.permitted & CapabilitySet::SYS_ADMIN;
        let sets = CapabilitySets {
            effective: kept,
            permitted: kept,
            inheritable: CapabilitySet::empty(),
        };
        let _ = rustix::thread::set_capabilities(None, sets);
    }
}
