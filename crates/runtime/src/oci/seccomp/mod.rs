//! From a seccomp profile to the BPF program that the kernel runs at each system call.

mod cache;
mod check;
mod program;
mod rules;
mod table;
#[cfg(test)]
mod tests;

use std::path::PathBuf;

use oci_spec::runtime::{LinuxSeccomp, LinuxSeccompFilterFlag as Flag};
use sys::seccomp::Instruction;

use super::{Error, Result};
use table::{Machine, Table};

pub use cache::Cache;
pub(crate) use check::check;

/// A filter, ready for [`sys::seccomp::install`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    /// The program.
    pub program: Vec<Instruction>,
    /// Flags for the kernel (`sys::seccomp::FLAG_…`).
    pub flags: u32,
    /// Who decides about the calls that the profile does not, if there is such a rule.
    pub notify: Option<Notify>,
}

/// Where the listener of a filter goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notify {
    /// The Unix socket that gets the descriptor, with the container's process state.
    pub listener_path: PathBuf,
    /// Text passed on with it.
    pub metadata: Option<String>,
}

/// Makes the program for a profile.
///
/// What the profile does not speak of: see the modules `rules` (precedence; calls newer than the
/// profile do not exist) and `table` (numbers).
pub fn compile(seccomp: &LinuxSeccomp) -> Result<Filter> {
    let table = Table::new();
    check::check_with(seccomp, &table)?;
    let machines: Vec<_> = table::FAMILY
        .into_iter()
        .enumerate()
        .filter(|(i, machine)| *i == 0 || lists(seccomp, *machine))
        .map(|(_, machine)| (machine, rules::ranges(seccomp, machine, &table)))
        .collect();
    let program = program::program(&machines);
    if program.len() > sys::seccomp::MAX_INSTRUCTIONS {
        return Err(Error::config(
            "linux.seccomp.syscalls",
            format!(
                "{} instructions come of these rules, and the kernel takes {}",
                program.len(),
                sys::seccomp::MAX_INSTRUCTIONS
            ),
        ));
    }
    let notify = check::notifies(seccomp).then(|| Notify {
        listener_path: seccomp.listener_path().clone().unwrap_or_default(),
        metadata: seccomp.listener_metadata().clone(),
    });
    let mut flags = flags(seccomp);
    if notify.is_some() {
        flags |= sys::seccomp::FLAG_NEW_LISTENER;
    }
    Ok(Filter {
        program,
        flags,
        notify,
    })
}

/// Whether the profile takes in an architecture beside this program's own, which every profile has.
/// Those whose programs this machine cannot run at all need no rules.
fn lists(seccomp: &LinuxSeccomp, machine: Machine) -> bool {
    let mut listed = seccomp.architectures().iter().flatten();
    listed.any(|a| *a == machine.arch)
}

/// Flags for the kernel. Without any word about flags there is no slowing down against speculation,
/// as in runc; an empty list is a word.
fn flags(seccomp: &LinuxSeccomp) -> u32 {
    let Some(flags) = seccomp.flags() else {
        return sys::seccomp::FLAG_SPEC_ALLOW;
    };
    flags.iter().fold(0, |all, flag| {
        all | match flag {
            Flag::SeccompFilterFlagLog => sys::seccomp::FLAG_LOG,
            Flag::SeccompFilterFlagTsync => sys::seccomp::FLAG_TSYNC,
            Flag::SeccompFilterFlagSpecAllow => sys::seccomp::FLAG_SPEC_ALLOW,
            Flag::SeccompFilterFlagWaitKillableRecv => sys::seccomp::FLAG_WAIT_KILLABLE_RECV,
        }
    })
}

impl Filter {
    /// The filter as bytes, for a cache or another program on this machine.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(16 + self.program.len() * 8);
        bytes.extend_from_slice(MAGIC);
        bytes.extend_from_slice(&self.flags.to_le_bytes());
        bytes.extend_from_slice(&(self.program.len() as u32).to_le_bytes());
        for i in &self.program {
            bytes.extend_from_slice(&i.code.to_le_bytes());
            bytes.extend_from_slice(&[i.jt, i.jf]);
            bytes.extend_from_slice(&i.k.to_le_bytes());
        }
        if let Some(notify) = &self.notify {
            use std::os::unix::ffi::OsStrExt;
            let path = notify.listener_path.as_os_str().as_bytes();
            bytes.extend_from_slice(&(path.len() as u32).to_le_bytes());
            bytes.extend_from_slice(path);
            if let Some(metadata) = &notify.metadata {
                bytes.push(1);
                bytes.extend_from_slice(metadata.as_bytes());
            }
        }
        bytes
    }

    /// The filter that [`Filter::to_bytes`] wrote; `None` if these bytes are something else.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let flags = u32::from_le_bytes(*take(&mut rest)?);
        let len = u32::from_le_bytes(*take(&mut rest)?) as usize;
        if len > sys::seccomp::MAX_INSTRUCTIONS {
            return None;
        }
        let mut program = Vec::with_capacity(len);
        for _ in 0..len {
            let code = u16::from_le_bytes(*take(&mut rest)?);
            let &[jt, jf] = take(&mut rest)?;
            let k = u32::from_le_bytes(*take(&mut rest)?);
            program.push(Instruction { code, jt, jf, k });
        }
        let notify = if rest.is_empty() {
            None
        } else {
            let len = u32::from_le_bytes(*take(&mut rest)?) as usize;
            let (path, metadata) = rest.split_at_checked(len)?;
            let metadata = match metadata {
                [] => None,
                [1, text @ ..] => Some(String::from_utf8(text.to_vec()).ok()?),
                _ => return None,
            };
            Some(Notify {
                listener_path: OsStr::from_bytes(path).into(),
                metadata,
            })
        };
        Some(Self {
            program,
            flags,
            notify,
        })
    }
}

/// Says what the bytes are, and in which version.
const MAGIC: &[u8; 8] = b"wharfsf1";

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(first)
}
