//! Compressing rotated files, in a copy of the shim of the lowest priority: the poll loop goes on.
//!
//! The copy writes a temporary file. When it has ended well, the shim gives that file its name and
//! then removes the plain one; whoever dies in between leaves both, and the plain one counts.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{fd::OwnedFd, unix::fs::OpenOptionsExt},
};

use flate2::{Compression, write::GzEncoder};
use runtime::logfile::{compressed, compressing, rotated};
use rustix::process::Pid;
use sys::clone::{Clone, Fork, clone, exit_now};

/// Compresses one file after the other.
pub(super) struct Compressor {
    path: String,
    /// Who is at work, and the number of the file by now.
    work: Option<(Pid, u32)>,
}

impl Compressor {
    pub(super) fn new(path: &str) -> Self {
        // Of a predecessor that did not finish.
        let _ = fs::remove_file(compressing(path));
        Self {
            path: path.to_owned(),
            work: None,
        }
    }

    /// Every file's number has become one higher.
    pub(super) fn shifted(&mut self) {
        if let Some((_, number)) = &mut self.work {
            *number += 1;
        }
    }

    /// Begins with a file that is not compressed yet, if there is one and nobody is at work.
    pub(super) fn start(&mut self, max_file: u32) {
        if self.work.is_some() {
            return;
        }
        let plain = |number: &u32| fs::metadata(rotated(&self.path, *number)).is_ok();
        let Some(number) = (1..max_file).rev().find(plain) else {
            return;
        };
        match fork(&self.path, number) {
            Ok(pid) => self.work = Some((pid, number)),
            Err(e) => eprintln!("wharf-shim: cannot compress the log: {e}"),
        }
    }

    /// A child has ended; true when it was ours.
    pub(super) fn ended(&mut self, pid: Pid, code: i32, max_file: u32) -> bool {
        let Some((_, number)) = self.work.take_if(|(ours, _)| *ours == pid) else {
            return false;
        };
        let made = compressing(&self.path);
        let kept = code == 0
            && number < max_file
            && fs::rename(&made, compressed(&self.path, number)).is_ok();
        let _ = fs::remove_file(if kept {
            rotated(&self.path, number)
        } else {
            made
        });
        true
    }
}

fn fork(path: &str, number: u32) -> io::Result<Pid> {
    let source = File::open(rotated(path, number))?;
    match clone(Clone::default())? {
        Fork::Parent { pid, .. } => Ok(pid),
        Fork::Child => exit_now(i32::from(compress(source, &compressing(path)).is_err())),
    }
}

/// In the copy.
fn compress(source: File, target: &str) -> io::Result<()> {
    let source = OwnedFd::from(source);
    // Clients would take a connection that is open here for one that goes on.
    sys::process::close_inherited(&source)?;
    let kill = rustix::process::Signal::KILL;
    rustix::process::set_parent_process_death_signal(Some(kill))?;
    // Slower is all that it is without.
    let _ = rustix::process::nice(19);
    let target = File::options()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o640)
        .open(target)?;
    let mut encoder = GzEncoder::new(target, Compression::fast());
    io::copy(&mut File::from(source), &mut encoder)?;
    let mut target = encoder.finish()?;
    target.flush()?;
    // The plain file goes as soon as this one has its name.
    target.sync_data()
}
