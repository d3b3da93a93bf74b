//! From being born to being ready: the launch message, a mount namespace, the socket.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::{UnixListener, UnixStream},
    },
};

use runtime::protocol::{
    Decoder, ErrorReason, FdRole, Frame, IPCNS, Launch, NETNS, PIDNS, ROOTFS, Request, Response,
    SHM, SOCKET, USERNS, VERSION, mount_name,
};
use rustix::{
    fs::{FileType, Mode},
    mount::{MoveMountFlags, move_mount},
    process::{Pid, getpid, set_child_subreaper, setsid, umask},
};
use sys::process::SignalFd;

use crate::{conn::Conn, log::Log, process::Process, record, server::Shim};

/// Becomes a shim. What goes wrong is also told to whoever launched.
pub(crate) fn prepare() -> io::Result<Shim> {
    let socket = sys::process::take_stdin()?;
    sys::process::close_inherited(&socket)?;
    let signals = SignalFd::block_all()?;
    sys::process::frugal_heap();
    // A daemon's session and terminal are not ours to die with. Fails if we lead one already.
    let _ = setsid();
    let _ = rustix::thread::set_name(c"wharf-shim");
    // Containers inherit it.
    umask(Mode::from_raw_mode(0o022));
    set_child_subreaper(Some(getpid()))?;
    // The kernel should sooner end a container than what keeps its records. Not everyone may.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-999");

    let mut born = Born {
        socket,
        decoder: Decoder::default(),
        fds: Vec::new(),
    };
    let launch = born.launch()?;
    match ready(&launch, &mut born.fds) {
        Ok(made) => {
            let answer = Frame::Response(Response::Ready { pid: own_pid() });
            sys::scm::send_with_fds(&born.socket, &answer.to_bytes(), &[])?;
            let mut conn = Conn::new(UnixStream::from(born.socket))?;
            conn.decoder = born.decoder;
            Ok(Shim::new(launch, signals, conn, made))
        }
        Err(e) => Err(born.refuse(ErrorReason::System, e)),
    }
}

/// Our own process's number.
pub(crate) fn own_pid() -> i32 {
    getpid().as_raw_nonzero().get()
}

/// What [`prepare`] makes besides the [`Launch`] itself.
pub(crate) struct Made {
    pub(crate) listener: UnixListener,
    pub(crate) main: Process,
    pub(crate) log: Option<Log>,
    pub(crate) exit_record: record::ExitRecord,
    /// Network namespace and ports: dropped when the container has ended.
    pub(crate) held: Vec<OwnedFd>,
    /// The compiled filter of system calls, for our own runtime.
    pub(crate) filter: Option<OwnedFd>,
}

struct Born {
    socket: OwnedFd,
    decoder: Decoder,
    fds: Vec<OwnedFd>,
}

impl Born {
    fn launch(&mut self) -> io::Result<Launch> {
        let mut buf = [0; 4096];
        loop {
            match self.decoder.next_frame() {
                Ok(Some(Frame::Fds)) => continue,
                Ok(Some(Frame::Request(Request::Launch(launch)))) => {
                    if launch.version != VERSION {
                        let e = version_error(launch.version);
                        return Err(self.refuse(ErrorReason::Version, e));
                    }
                    if launch.fds.len() != self.fds.len() {
                        let e = format!(
                            "{} descriptors were announced and {} came",
                            launch.fds.len(),
                            self.fds.len()
                        );
                        return Err(self.refuse(ErrorReason::Message, io::Error::other(e)));
                    }
                    return Ok(*launch);
                }
                Ok(Some(_)) => {
                    let e = io::Error::other("the first message to a new shim must be the launch");
                    return Err(self.refuse(ErrorReason::Message, e));
                }
                Ok(None) => {}
                Err(e) => {
                    return Err(self.refuse(ErrorReason::Message, io::Error::other(e.to_string())));
                }
            }
            match sys::scm::recv_with_fds(&self.socket, &mut buf, &mut self.fds)? {
                0 => {
                    return Err(io::Error::other(
                        "nobody launched: standard input was closed",
                    ));
                }
                n => self.decoder.push(&buf[..n]),
            }
        }
    }

    fn refuse(&self, reason: ErrorReason, error: io::Error) -> io::Error {
        let answer = Frame::Response(Response::Error {
            reason,
            message: error.to_string(),
        });
        let _ = sys::scm::send_with_fds(&self.socket, &answer.to_bytes(), &[]);
        error
    }
}

/// The words in which another version is refused.
pub(crate) fn version_error(theirs: u32) -> io::Error {
    io::Error::other(format!(
        "this shim speaks version {VERSION} of the protocol and not version {theirs}"
    ))
}

fn ready(launch: &Launch, fds: &mut Vec<OwnedFd>) -> io::Result<Made> {
    // All names in the bundle are short from here on: a socket's address has room for 107 bytes.
    rustix::process::chdir(launch.bundle.as_str())
        .map_err(|e| about(e, format_args!("cannot enter the bundle {}", launch.bundle)))?;
    complain_to_file();
    sys::process::private_mounts()
        .map_err(|e| about(e, format_args!("cannot make a mount namespace")))?;
    let (mut held, mut filter) = (Vec::new(), None);
    for (fd, role) in fds.drain(..).zip(&launch.fds) {
        match role {
            FdRole::Rootfs => attach(&fd, ROOTFS)?,
            FdRole::Shm => attach(&fd, SHM)?,
            FdRole::Mount { index } => attach(&fd, &mount_name(*index))?,
            FdRole::Netns | FdRole::Pidns | FdRole::Ipcns | FdRole::Userns => {
                link(&fd, namespace_link(*role))?;
                held.push(fd);
            }
            FdRole::Held => held.push(fd),
            FdRole::Seccomp => filter = Some(fd),
        }
    }
    let log = match &launch.log {
        Some(path) => Some(
            Log::open(path, &launch.log_options)
                .map_err(|e| about(e, format_args!("cannot open the log {path}")))?,
        ),
        None => None,
    };
    let exit_record = record::ExitRecord::reserve().map_err(|e| {
        about(
            e,
            format_args!("cannot write in the bundle {}", launch.bundle),
        )
    })?;
    let main = Process::container(launch)?;
    let listener = listen(SOCKET).map_err(|e| {
        about(
            e,
            format_args!("cannot listen in the bundle {}", launch.bundle),
        )
    })?;
    Ok(Made {
        listener,
        main,
        log,
        exit_record,
        held,
        filter,
    })
}

fn about(error: impl Into<io::Error>, what: std::fmt::Arguments<'_>) -> io::Error {
    let error = error.into();
    io::Error::new(error.kind(), format!("{what}: {error}"))
}

/// What no connection waits to hear goes to a file beside the socket.
fn complain_to_file() {
    if let Ok(file) = File::options().append(true).create(true).open("shim.err") {
        let _ = rustix::stdio::dup2_stderr(&file);
    }
}

/// Attaches a mount at a name in the bundle, in this mount namespace only.
fn attach(fd: &OwnedFd, name: &str) -> io::Result<()> {
    let directory = FileType::from_raw_mode(rustix::fs::fstat(fd)?.st_mode).is_dir();
    let made = if directory {
        std::fs::create_dir(name)
    } else {
        File::options()
            .write(true)
            .create_new(true)
            .open(name)
            .map(drop)
    };
    match made {
        Err(e) if e.kind() != io::ErrorKind::AlreadyExists => return Err(e),
        _ => {}
    }
    move_mount(
        fd,
        "",
        rustix::fs::CWD,
        name,
        MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH,
    )
    .map_err(|e| about(e, format_args!("cannot mount the container's {name}")))
}

/// The name in the bundle under which a namespace is joined.
fn namespace_link(role: FdRole) -> &'static str {
    match role {
        FdRole::Pidns => PIDNS,
        FdRole::Ipcns => IPCNS,
        FdRole::Userns => USERNS,
        _ => NETNS,
    }
}

/// The runtime takes a namespace by path, and this one has none: our own descriptor gives it one.
fn link(fd: &OwnedFd, name: &str) -> io::Result<()> {
    let _ = std::fs::remove_file(name);
    let target = format!("/proc/{}/fd/{}", own_pid(), fd.as_fd().as_raw_fd());
    std::os::unix::fs::symlink(target, name)
        .map_err(|e| about(e, format_args!("cannot link the namespace {name}")))
}

/// Listens at a name in the bundle, for ourselves only.
pub(crate) fn listen(name: &str) -> io::Result<UnixListener> {
    let _ = std::fs::remove_file(name);
    let before = umask(Mode::from_raw_mode(0o177));
    let listener = UnixListener::bind(name);
    umask(before);
    let listener = listener?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

/// A process's number as the kernel's calls want it.
pub(crate) fn to_pid(raw: i32) -> io::Result<Pid> {
    Pid::from_raw(raw).ok_or_else(|| io::Error::other(format!("{raw} is no process")))
}
