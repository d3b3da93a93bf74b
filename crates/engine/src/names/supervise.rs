//! A thread that starts the name server again where it was killed.

use std::{
    io,
    os::fd::OwnedFd,
    sync::{Arc, Mutex, Weak},
    time::Duration,
};

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use super::State;
use crate::sync::lock;

/// The first pause before another attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Wakes the thread: there is another process to watch, or nothing any more.
#[derive(Clone)]
pub(super) struct Bell(Arc<OwnedFd>);

impl Bell {
    pub(super) fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    pub(super) fn ring(&self) {
        // It is refused only where it has been rung for ever.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

/// Watches until the state is gone.
pub(super) fn watch(state: Weak<Mutex<State>>, bell: &Bell) -> io::Result<()> {
    let bell = bell.clone();
    std::thread::Builder::new()
        .name("names".into())
        .stack_size(256 * 1024)
        .spawn(move || {
            let mut pause = None;
            while let Some(process) = look(&state, &mut pause) {
                wait(&bell, process.as_ref(), pause);
            }
        })?;
    Ok(())
}

/// Puts right what is not right; the process to watch. Nothing at the end.
fn look(state: &Weak<Mutex<State>>, pause: &mut Option<Duration>) -> Option<Option<OwnedFd>> {
    let state = state.upgrade()?;
    let mut state = lock(&state);
    if state.server.reap() {
        state.told = None;
        if !state.held.is_empty() {
            tracing::warn!(
                "the name server is gone; it is started again (what it said is in names.log of the \
                 exec root)"
            );
        }
    }
    if state.told.is_some() || state.held.is_empty() {
        *pause = None;
    } else if let Err(error) = state.tell_all() {
        tracing::error!(%error, "containers find no names: the name server cannot be started");
        let next = pause.map_or(FIRST_PAUSE, |p| (p * 2).min(LONGEST_PAUSE));
        *pause = Some(next);
    } else {
        *pause = None;
    }
    Some(state.server.pidfd().and_then(Result::ok))
}

fn wait(bell: &Bell, process: Option<&OwnedFd>, pause: Option<Duration>) {
    let mut fds = vec![PollFd::new(&*bell.0, PollFlags::IN)];
    fds.extend(process.map(|fd| PollFd::new(fd, PollFlags::IN)));
    let pause = pause.map(|pause| Timespec {
        tv_sec: i64::try_from(pause.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: pause.subsec_nanos().into(),
    });
    // Whatever woke us: everything is looked at again.
    let _ = poll(&mut fds, pause.as_ref());
    bell.hush();
}
