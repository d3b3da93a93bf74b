//! eBPF as far as cgroups of version 2 need it: the program that says which devices may be used.

use std::{
    ffi::c_long,
    io,
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd},
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

const PROG_LOAD: c_long = 5;
const PROG_ATTACH: c_long = 8;
const PROG_DETACH: c_long = 9;
const PROG_GET_FD_BY_ID: c_long = 13;
const PROG_QUERY: c_long = 16;

const TYPE_CGROUP_DEVICE: u32 = 15;
const AT_CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 2;
const REPLACE: u32 = 4;

/// One instruction, as the kernel has it.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Instruction {
    /// What to do.
    pub code: u8,
    /// Destination in the low four bits, source in the high ones.
    pub registers: u8,
    /// Where to jump, relative to the next instruction, or where to load from.
    pub offset: i16,
    /// A constant.
    pub immediate: i32,
}

#[repr(C)]
#[derive(Default)]
struct Load {
    kind: u32,
    count: u32,
    instructions: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log: u64,
    kernel_version: u32,
    flags: u32,
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target: u32,
    program: u32,
    kind: u32,
    flags: u32,
    replaced: u32,
    // The kernel's structure is read in words of eight.
    _pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target: u32,
    kind: u32,
    flags: u32,
    attach_flags: u32,
    ids: u64,
    count: u32,
    _pad: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    id: u32,
    next: u32,
    flags: u32,
    _pad: u32,
}

/// # Safety
/// `attributes` is the structure that `command` takes, and every address in it is of memory that
/// is as long as it says, and lives until the call returns.
unsafe fn bpf<T>(command: c_long, attributes: &mut T) -> io::Result<c_long> {
    // SAFETY: the caller's promise; the kernel is told the structure's size and stays within it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            std::ptr::from_mut(attributes),
            size_of::<T>(),
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(done)
}

fn descriptor(fd: c_long) -> io::Result<OwnedFd> {
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    // SAFETY: a new descriptor of the kernel's (closed on exec, as all of bpf's), owned by nobody.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn number(fd: BorrowedFd<'_>) -> u32 {
    fd.as_raw_fd().cast_unsigned()
}

/// Loads a program of type `CGROUP_DEVICE`.
pub fn load_device(program: &[Instruction]) -> io::Result<OwnedFd> {
    match try_load(program) {
        // Before Linux 5.11 programs counted as locked memory, of which there is little.
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
            let old = getrlimit(Resource::Memlock);
            let all = Rlimit {
                current: None,
                maximum: None,
            };
            if setrlimit(Resource::Memlock, all).is_err() {
                return Err(e);
            }
            let loaded = try_load(program);
            setrlimit(Resource::Memlock, old)?;
            loaded
        }
        other => other,
    }
}

fn try_load(program: &[Instruction]) -> io::Result<OwnedFd> {
    let mut load = Load {
        kind: TYPE_CGROUP_DEVICE,
        count: u32::try_from(program.len()).map_err(io::Error::other)?,
        instructions: program.as_ptr() as u64,
        license: c"Apache".as_ptr() as u64,
        ..Load::default()
    };
    // SAFETY: the structure is PROG_LOAD's; the instructions are as many as `count` says, the
    // license ends with a zero, and both outlive the call.
    descriptor(unsafe { bpf(PROG_LOAD, &mut load) }?)
}

/// Attaches a program to a cgroup, beside others (all must allow what one asks for), or in one
/// step in the place of another. It stays until the cgroup is removed.
pub fn attach_device(
    cgroup: BorrowedFd<'_>,
    program: BorrowedFd<'_>,
    instead_of: Option<BorrowedFd<'_>>,
) -> io::Result<()> {
    let mut attach = Attach {
        target: number(cgroup),
        program: number(program),
        kind: AT_CGROUP_DEVICE,
        flags: ALLOW_MULTI | instead_of.map_or(0, |_| REPLACE),
        replaced: instead_of.map_or(0, number),
        ..Attach::default()
    };
    // SAFETY: the structure is PROG_ATTACH's and has no addresses.
    unsafe { bpf(PROG_ATTACH, &mut attach) }.map(drop)
}

/// Takes a program off a cgroup.
pub fn detach_device(cgroup: BorrowedFd<'_>, program: BorrowedFd<'_>) -> io::Result<()> {
    let mut detach = Attach {
        target: number(cgroup),
        program: number(program),
        kind: AT_CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: the structure is PROG_DETACH's and has no addresses.
    unsafe { bpf(PROG_DETACH, &mut detach) }.map(drop)
}

/// The programs on a cgroup itself, not on those above it.
pub fn device_programs(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    // The kernel allows 64 on one cgroup.
    let mut ids = [0u32; 64];
    let mut query = Query {
        target: number(cgroup),
        kind: AT_CGROUP_DEVICE,
        ids: ids.as_mut_ptr() as u64,
        count: 64,
        ..Query::default()
    };
    // SAFETY: the structure is PROG_QUERY's; `ids` has room for as many as `count` says, and
    // outlives the call.
    unsafe { bpf(PROG_QUERY, &mut query) }?;
    let mut programs = Vec::new();
    for id in ids.iter().take(query.count as usize) {
        let mut by_id = ById {
            id: *id,
            ..ById::default()
        };
        // SAFETY: the structure is PROG_GET_FD_BY_ID's and has no addresses.
        programs.push(descriptor(unsafe { bpf(PROG_GET_FD_BY_ID, &mut by_id) }?)?);
    }
    Ok(programs)
}
