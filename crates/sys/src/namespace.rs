//! Namespaces of processes, and mounts that pass between mount namespaces as descriptors.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Gid, Mode, OFlags, Uid};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, OpenTreeFlags};
use rustix::thread::{LinkNameSpaceType, UnshareFlags};

use crate::netns::in_thread;

/// A kind of namespace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Interfaces, addresses, ports.
    Network,
    /// Processes.
    Pid,
    /// System V and POSIX queues and memory.
    Ipc,
    /// Users and groups.
    User,
    /// The mount tree.
    Mount,
}

/// A process, held so that its number cannot come to mean another one.
#[derive(Debug)]
pub struct Process(OwnedFd);

impl Process {
    /// Opens a process.
    ///
    /// # Errors
    /// When it does not exist.
    pub fn open(pid: u32) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(
            format!("/proc/{pid}"),
            flags,
            Mode::empty(),
        )?))
    }

    /// One of its namespaces.
    ///
    /// # Errors
    /// When it has ended.
    pub fn namespace(&self, kind: Kind) -> io::Result<OwnedFd> {
        let name = match kind {
            Kind::Network => "ns/net",
            Kind::Pid => "ns/pid",
            Kind::Ipc => "ns/ipc",
            Kind::User => "ns/user",
            Kind::Mount => "ns/mnt",
        };
        Ok(rustix::fs::openat(
            &self.0,
            name,
            OFlags::RDONLY | OFlags::CLOEXEC,
            Mode::empty(),
        )?)
    }

    /// The cgroups that it is in, as `/proc` writes them.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cgroups(&self) -> io::Result<String> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&self.0, "cgroup", flags, Mode::empty())?;
        let mut text = String::new();
        File::from(file).read_to_string(&mut text)?;
        Ok(text)
    }
}

/// A temporary file system for `/dev/shm`, attached nowhere.
///
/// # Errors
/// When the kernel refuses.
pub fn detached_shm(size: u64, owner: (u32, u32)) -> io::Result<OwnedFd> {
    let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "source", "shm")?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "mode", "1777")?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "size", size.to_string())?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "uid", owner.0.to_string())?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "gid", owner.1.to_string())?;
    detached(&fs)
}

fn detached(fs: &OwnedFd) -> io::Result<OwnedFd> {
    rustix::mount::fsconfig_create(fs.as_fd())?;
    Ok(rustix::mount::fsmount(
        fs.as_fd(),
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::MOUNT_ATTR_NOSUID
            | MountAttrFlags::MOUNT_ATTR_NODEV
            | MountAttrFlags::MOUNT_ATTR_NOEXEC,
    )?)
}

/// A file system in memory with one file in it, attached nowhere: for what shall be on no disk. Where
/// the kernel can (6.4), it is kept out of swap, too.
///
/// # Errors
/// When the kernel refuses.
pub fn detached_file(
    name: &str,
    bytes: &[u8],
    mode: u32,
    (uid, gid): (u32, u32),
) -> io::Result<OwnedFd> {
    let fs = rustix::mount::fsopen("tmpfs", FsOpenFlags::FSOPEN_CLOEXEC)?;
    let size = (bytes.len() as u64).max(1) + (64 << 10);
    rustix::mount::fsconfig_set_string(fs.as_fd(), "size", size.to_string())?;
    rustix::mount::fsconfig_set_string(fs.as_fd(), "mode", "755")?;
    // An older kernel knows no such option.
    let _ = rustix::mount::fsconfig_set_flag(fs.as_fd(), "noswap");
    let mount = detached(&fs)?;
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::openat(&mount, name, flags, Mode::from(0o600))?;
    let mut file = File::from(file);
    file.write_all(bytes)?;
    let owner = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::fchown(&file, owner.0, owner.1)?;
    rustix::fs::fchmod(&file, Mode::from(mode & 0o7777))?;
    Ok(mount)
}

/// A copy, attached nowhere, of what is mounted at `path` in another mount namespace.
///
/// # Errors
/// When the namespace cannot be entered, or nothing is at `path` there.
pub fn clone_mount_of(mounts: BorrowedFd<'_>, path: &Path) -> io::Result<OwnedFd> {
    in_thread(|| {
        // A mount namespace can be entered only by who shares root and working directory with
        // nobody.
        // SAFETY: CLONE_FS changes nothing but this short-lived thread's own root and directory.
        unsafe { rustix::thread::unshare_unsafe(UnshareFlags::FS) }?;
        rustix::thread::move_into_link_name_space(mounts, Some(LinkNameSpaceType::Mount))?;
        clone_mount(path)
    })?
}

/// A copy, attached nowhere, of the mount tree at `path`: in the same peer group, where that is
/// shared.
///
/// # Errors
/// When nothing is there.
pub fn clone_mount(path: &Path) -> io::Result<OwnedFd> {
    Ok(rustix::mount::open_tree(
        CWD,
        path,
        OpenTreeFlags::OPEN_TREE_CLONE
            | OpenTreeFlags::OPEN_TREE_CLOEXEC
            | OpenTreeFlags::AT_RECURSIVE,
    )?)
}

/// The argument of mount_setattr(2).
#[repr(C)]
struct MountAttr {
    set: u64,
    clear: u64,
    propagation: u64,
    users: u64,
}

/// Shows the owners in a detached mount as `users`, a user namespace, maps them.
///
/// # Errors
/// When the kernel is older than 5.12, or the file system cannot.
pub fn map_owners(mount: BorrowedFd<'_>, users: BorrowedFd<'_>) -> io::Result<()> {
    const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
    let attr = MountAttr {
        set: MOUNT_ATTR_IDMAP,
        clear: 0,
        propagation: 0,
        users: u64::from(users.as_raw_fd().unsigned_abs()),
    };
    // SAFETY: the empty path is a string with its end; `attr` lives through the call, and its size
    // goes with it.
    let done = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            std::ptr::from_ref(&attr),
            size_of::<MountAttr>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// A user namespace, and a network namespace that belongs to it.
#[derive(Debug)]
pub struct UserAndNetwork {
    /// The user namespace.
    pub user: OwnedFd,
    /// The network namespace, its loopback down.
    pub network: OwnedFd,
}

/// A range of identifiers: the first one inside, the first one outside, how many.
pub type IdRange = (u32, u32, u32);

/// Makes a user namespace with these mappings, and a network namespace that belongs to it, as
/// mounting its `/sys` demands.
///
/// # Errors
/// When the kernel refuses.
pub fn user_and_network(uids: &[IdRange], gids: &[IdRange]) -> io::Result<UserAndNetwork> {
    let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
    let flags = libc::CLONE_NEWUSER | libc::CLONE_NEWNET | libc::SIGCHLD;
    let null = std::ptr::null_mut::<libc::c_void>();
    // SAFETY: as fork, with a copy of memory; the child makes only system calls and ends by _exit,
    // so that no lock of another thread and no destructor is touched.
    let pid = unsafe { libc::syscall(libc::SYS_clone, flags, null, null, null, null) };
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    if pid == 0 {
        // SAFETY: plain system calls on descriptors of this process. It waits for the parent's byte
        // and not for the pipe's end: another child made at the same time may hold that open. With
        // the thread that made it, it ends too.
        unsafe {
            libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
            libc::close(write.as_raw_fd());
            let mut byte = 0_u8;
            libc::read(read.as_raw_fd(), std::ptr::from_mut(&mut byte).cast(), 1);
            libc::_exit(0);
        }
    }
    let made = (|| {
        let map = |ranges: &[IdRange]| {
            let line = |(inside, outside, size): &IdRange| format!("{inside} {outside} {size}\n");
            ranges.iter().map(line).collect::<String>()
        };
        std::fs::write(format!("/proc/{pid}/uid_map"), map(uids))?;
        std::fs::write(format!("/proc/{pid}/gid_map"), map(gids))?;
        let process = Process::open(u32::try_from(pid).map_err(io::Error::other)?)?;
        Ok(UserAndNetwork {
            user: process.namespace(Kind::User)?,
            network: process.namespace(Kind::Network)?,
        })
    })();
    // It cannot fail: the pipe is empty, and its reader lives until it has read this.
    let _ = rustix::io::write(&write, &[0]);
    let child = i32::try_from(pid)
        .ok()
        .and_then(rustix::process::Pid::from_raw);
    let _ = rustix::process::waitpid(child, rustix::process::WaitOptions::empty());
    made
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_what_it_is() {
        let own = Process::open(std::process::id()).unwrap();
        for kind in [Kind::Network, Kind::Pid, Kind::Ipc, Kind::User, Kind::Mount] {
            own.namespace(kind).unwrap();
        }
        assert!(own.cgroups().unwrap().contains(':'));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let held = Process::open(child.id()).unwrap();
        child.wait().unwrap();
        assert!(held.namespace(Kind::Network).is_err());
    }

    #[test]
    fn shared_memory_can_be_cloned_out_of_nowhere() {
        let shm = detached_shm(1 << 20, (5, 6)).unwrap();
        let stat = rustix::fs::fstat(&shm).unwrap();
        assert_eq!(
            (stat.st_uid, stat.st_gid, stat.st_mode & 0o7777),
            (5, 6, 0o1777)
        );
        let root = Process::open(std::process::id()).unwrap();
        let mounts = root.namespace(Kind::Mount).unwrap();
        assert!(clone_mount_of(mounts.as_fd(), Path::new("/proc")).is_ok());
        assert!(clone_mount_of(mounts.as_fd(), Path::new("/nowhere")).is_err());
    }

    #[test]
    fn a_user_namespace_with_a_network() {
        let made = user_and_network(&[(0, 100_000, 65536)], &[(0, 200_000, 65536)]).unwrap();
        let own = Process::open(std::process::id()).unwrap();
        let ours = own.namespace(Kind::User).unwrap();
        assert!(!crate::netns::same(&made.user, &ours).unwrap());
        assert!(!crate::netns::same(&made.network, own.namespace(Kind::Network).unwrap()).unwrap());
        crate::netns::inside(made.network.as_fd(), || ()).unwrap();
    }
}
