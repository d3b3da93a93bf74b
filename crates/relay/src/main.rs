//! `wharf-relay --control SOCKET`: the relay of a host's published ports. The daemon starts it, and it
//! outlives the daemon.

use std::path::PathBuf;
use std::process::ExitCode;

use companion::prepare::{ended, prepare};
use relay::{Limits, serve};
use rustix::thread::CapabilitySet;

fn main() -> ExitCode {
    let words: Vec<_> = std::env::args_os().skip(1).collect();
    let [option, control] = &words[..] else {
        return usage();
    };
    if option != "--control" {
        return usage();
    }
    // It binds nothing, and connects to whom it is told.
    prepare(c"wharf-relay", CapabilitySet::empty());
    ended("wharf-relay", serve(&PathBuf::from(control), Limits::new()))
}

fn usage() -> ExitCode {
    eprintln!("Usage: wharf-relay --control SOCKET");
    ExitCode::from(2)
}
