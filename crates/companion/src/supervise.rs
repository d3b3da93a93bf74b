//! A thread of the daemon's that starts a program again where it was killed.

use std::io;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};

use crate::process::Process;

/// The first pause before another attempt; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What is told to a program, by who tells it.
pub trait Supervised: Send + 'static {
    /// The program's process.
    fn process(&mut self) -> &mut Process;

    /// The process is gone: nobody knows anything any more. `complaints` are its last words.
    fn gone(&mut self, complaints: Option<String>);

    /// Is there a process that knows everything, or is none needed?
    fn is_right(&self) -> bool;

    /// Makes it so; false if it could not be done, and is to be tried again.
    fn put_right(&mut self) -> bool;

    /// What is missing for that and may take long to get: it is done while others have the state.
    fn errand(&mut self) -> Option<Errand<Self>> {
        None
    }
}

/// Gets something; what that returns brings it in.
pub type Errand<S> = Box<dyn FnOnce() -> Box<dyn FnOnce(&mut S)>>;

/// Wakes the thread: there is another process to watch, or something to do, or nothing any more.
#[derive(Debug, Clone)]
pub struct Bell(Arc<OwnedFd>);

impl Bell {
    /// A new one.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        let flags = EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK;
        Ok(Self(Arc::new(eventfd(0, flags)?)))
    }

    /// Wakes the thread.
    pub fn ring(&self) {
        // It is refused only where it has been rung for ever.
        let _ = rustix::io::write(&*self.0, &1_u64.to_ne_bytes());
    }

    fn hush(&self) {
        let _ = rustix::io::read(&*self.0, &mut [0; 8]);
    }
}

/// Watches until the state is gone.
///
/// # Errors
/// When there can be no thread.
pub fn watch<S: Supervised>(name: &str, state: Weak<Mutex<S>>, bell: &Bell) -> io::Result<()> {
    let bell = bell.clone();
    std::thread::Builder::new()
        .name(name.into())
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
fn look<S: Supervised>(
    state: &Weak<Mutex<S>>,
    pause: &mut Option<Duration>,
) -> Option<Option<OwnedFd>> {
    let (mut right, errand) = with(state, |state| {
        if state.process().reap() {
            let complaints = state.process().complaints();
            state.gone(complaints);
        }
        let right = state.is_right() || state.put_right();
        (right, (!right).then(|| state.errand()).flatten())
    })?;
    if let Some(errand) = errand {
        let bring = errand();
        right = with(state, |state| {
            bring(state);
            state.put_right()
        })?;
    }
    if right {
        *pause = None;
    } else {
        let next = pause.map_or(FIRST_PAUSE, |p| (p * 2).min(LONGEST_PAUSE));
        *pause = Some(next);
    }
    with(state, |state| state.process().pidfd())
}

/// Has the state for a moment; nothing, if there is none any more.
fn with<S, R>(state: &Weak<Mutex<S>>, act: impl FnOnce(&mut S) -> R) -> Option<R> {
    let state = state.upgrade()?;
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    Some(act(&mut state))
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
