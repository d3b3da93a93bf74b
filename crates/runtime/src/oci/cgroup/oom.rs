//! Being told when a container runs out of memory.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::{
    event::{EventfdFlags, eventfd},
    fs::{
        CWD, Mode, OFlags,
        inotify::{self, CreateFlags, WatchFlags},
        openat,
    },
    io::Errno,
};

use super::{
    super::error::{Context, Result},
    limits::knob::{Controllers, read_all},
};

/// What has happened since the last time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oom {
    /// Nothing yet.
    Nothing,
    /// There was no memory left.
    Happened,
    /// The cgroup is gone or empty: nothing will happen any more.
    Over,
}

/// Readable when something may have happened; [`OomEvents::check`] says what.
#[derive(Debug)]
pub struct OomEvents {
    told: OwnedFd,
    how: How,
}

#[derive(Debug)]
enum How {
    /// The kernel counts into an event descriptor, also once when the cgroup is removed.
    V1 { control: OwnedFd },
    /// The counters change, and so does whether there is a process.
    V2 {
        memory: OwnedFd,
        cgroup: OwnedFd,
        seen: u64,
        /// Before the first process comes it is empty too, and nothing changes.
        begun: bool,
    },
}

impl OomEvents {
    pub(super) fn new(have: &Controllers<'_>) -> Result<Self> {
        let what = "be told of out of memory";
        drop(have.need("memory", "memory", what)?);
        let Some((v2, dir)) = have.find("memory", "memory") else {
            unreachable!("it was found just now");
        };
        let open = |file: &str, flags| {
            openat(CWD, dir.join(file), flags | OFlags::CLOEXEC, Mode::empty())
                .context(|| format!("{what}: open {}/{file}", dir.display()))
        };
        if v2 {
            let told = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)
                .context(|| "make an inotify descriptor")?;
            for file in ["memory.events", "cgroup.events"] {
                inotify::add_watch(&told, dir.join(file), WatchFlags::MODIFY)
                    .context(|| format!("watch {}/{file}", dir.display()))?;
            }
            let memory = open("memory.events", OFlags::RDONLY)?;
            let cgroup = open("cgroup.events", OFlags::RDONLY)?;
            let seen = kills(&read_all(&memory).context(|| what)?);
            return Ok(Self {
                told,
                how: How::V2 {
                    memory,
                    cgroup,
                    seen,
                    begun: false,
                },
            });
        }
        use std::os::fd::AsRawFd as _;
        let told = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)
            .context(|| "make an event descriptor")?;
        let control = open("memory.oom_control", OFlags::RDONLY)?;
        let request = format!("{} {}", told.as_raw_fd(), control.as_raw_fd());
        rustix::io::write(
            &open("cgroup.event_control", OFlags::WRONLY)?,
            request.as_bytes(),
        )
        .context(|| format!("{what}: write {}/cgroup.event_control", dir.display()))?;
        Ok(Self {
            told,
            how: How::V1 { control },
        })
    }

    /// What has happened since the last call. Never waits. To be called until it says that there is
    /// nothing (more), and then again when this is readable.
    ///
    /// # Errors
    /// Not to be expected; whatever the kernel says.
    pub fn check(&mut self) -> Result<Oom> {
        let mut buffer = [0; 4096];
        let told = match rustix::io::read(&self.told, &mut buffer) {
            Ok(n) => n > 0,
            Err(Errno::AGAIN | Errno::INTR) => false,
            Err(e) => return Err(e).context(|| "read events of out of memory"),
        };
        let what = || "read a cgroup's events";
        match &mut self.how {
            How::V1 { control } => Ok(match (told, read_all(control)) {
                (_, Err(Errno::NODEV | Errno::NOENT)) => Oom::Over,
                (_, Err(e)) => return Err(e).context(what),
                (true, Ok(_)) => Oom::Happened,
                (false, Ok(_)) => Oom::Nothing,
            }),
            How::V2 {
                memory,
                cgroup,
                seen,
                begun,
            } => {
                *begun |= told;
                let now = match read_all(memory) {
                    Ok(text) => kills(&text),
                    Err(Errno::NODEV | Errno::NOENT) => return Ok(Oom::Over),
                    Err(e) => return Err(e).context(what),
                };
                if now > *seen {
                    *seen = now;
                    return Ok(Oom::Happened);
                }
                match read_all(cgroup) {
                    Ok(text) if text.lines().any(|l| l == "populated 0") && *begun => Ok(Oom::Over),
                    Ok(_) => Ok(Oom::Nothing),
                    Err(Errno::NODEV | Errno::NOENT) => Ok(Oom::Over),
                    Err(e) => Err(e).context(what),
                }
            }
        }
    }
}

impl AsFd for OomEvents {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.told.as_fd()
    }
}

/// How many processes were killed for it.
fn kills(events: &str) -> u64 {
    let mut lines = events.lines();
    lines
        .find_map(|l| l.strip_prefix("oom_kill ")?.trim().parse().ok())
        .unwrap_or(0)
}
