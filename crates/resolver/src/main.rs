//! `wharf-dns --control SOCKET --state FILE`: the name server of a host's containers. The daemon
//! starts it, and it outlives the daemon.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use companion::prepare::{ended, prepare};
use resolver::{Options, serve};
use rustix::thread::CapabilitySet;

fn main() -> ExitCode {
    let Some(options) = options(std::env::args_os().skip(1)) else {
        eprintln!("Usage: wharf-dns --control SOCKET --state FILE");
        return ExitCode::from(2);
    };
    // It reads what containers send. All that it must be able to do is to enter their networks.
    prepare(c"wharf-dns", CapabilitySet::SYS_ADMIN);
    ended("wharf-dns", serve(&options))
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
