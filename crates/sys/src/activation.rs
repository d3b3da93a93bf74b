//! What a service manager hands over at the start: sockets that it listens on, and where it wants
//! to be told how things are.

use std::{
    env,
    ffi::OsString,
    os::fd::{FromRawFd, OwnedFd, RawFd},
    time::Duration,
};

use crate::fds::is_inherited;

/// The number of the first socket.
const FIRST: RawFd = 3;
const VARIABLES: [&str; 7] = [
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// A socket that was handed over.
#[derive(Debug)]
pub struct Handed {
    /// Its number at the start.
    pub number: RawFd,
    /// Its name; systemd's default is that of the unit.
    pub name: String,
    /// The socket.
    pub socket: OwnedFd,
}

/// Everything that was handed over.
#[derive(Debug, Default)]
pub struct Activation {
    /// Sockets, in their order.
    pub sockets: Vec<Handed>,
    /// Where to tell.
    pub notify: Option<OsString>,
    /// How often a sign of life is wanted at least.
    pub watchdog: Option<Duration>,
}

/// Takes it out of the environment, so that no child finds what is not meant for it. To be called
/// once, before there is any other thread; with one, nothing is taken.
#[must_use]
pub fn take() -> Activation {
    let alone = std::fs::read_dir("/proc/self/task").is_ok_and(|threads| threads.count() == 1);
    if !alone {
        return Activation::default();
    }
    let text = |name| env::var(name).ok();
    let mine = |name| text(name).is_some_and(|pid| pid == std::process::id().to_string());
    let count: RawFd = match mine("LISTEN_PID") {
        true => text("LISTEN_FDS").and_then(|n| n.parse().ok()).unwrap_or(0),
        false => 0,
    };
    let names = text("LISTEN_FDNAMES").unwrap_or_default();
    let mut names = names.split(':').filter(|n| !n.is_empty());
    // A number too large is somebody's mistake; there are never so many.
    let sockets = (FIRST..FIRST + count.clamp(0, 1024))
        .map(|number| (number, names.next().unwrap_or("unknown").to_owned()))
        .filter(|(number, _)| is_inherited(*number))
        .map(|(number, name)| {
            // SAFETY: the descriptor is open, came through exec, and by the protocol it is ours
            // alone; this is called once, before anything else could have taken it.
            let socket = unsafe { OwnedFd::from_raw_fd(number) };
            // A failure would only mean that children see it, too.
            let _ = rustix::io::fcntl_setfd(&socket, rustix::io::FdFlags::CLOEXEC);
            Handed {
                number,
                name,
                socket,
            }
        })
        .collect();
    let watched = text("WATCHDOG_PID").is_none() || mine("WATCHDOG_PID");
    let watchdog = text("WATCHDOG_USEC").filter(|_| watched);
    let watchdog = watchdog.and_then(|n| n.parse().ok());
    let activation = Activation {
        sockets,
        notify: env::var_os("NOTIFY_SOCKET").filter(|path| !path.is_empty()),
        watchdog: watchdog.filter(|n| *n > 0).map(Duration::from_micros),
    };
    for name in VARIABLES {
        #[expect(clippy::disallowed_methods, reason = "there is no other thread")]
        // SAFETY: this is the only thread, as was looked at above, so nobody reads meanwhile.
        unsafe {
            env::remove_var(name);
        }
    }
    activation
}
