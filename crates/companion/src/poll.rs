//! What the one thread waits for: descriptors, each with a number of its own, and points in time.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

/// What a descriptor is ready for, or waited for.
pub use rustix::event::epoll::EventFlags as Ready;

/// One descriptor that is ready.
pub struct Event<S> {
    /// The number that it is waited for by.
    pub number: u64,
    /// What it is.
    pub source: S,
    /// What it is ready for.
    pub ready: Ready,
}

/// All that is waited for: descriptors, each of which is an `S`, and points in time, at which a `D` is
/// due.
pub struct Poll<S, D> {
    epoll: OwnedFd,
    last: u64,
    sources: HashMap<u64, S>,
    due: BTreeSet<(Instant, D)>,
    found: Vec<epoll::Event>,
}

impl<S: Copy, D: Copy + Ord> Poll<S, D> {
    /// Waits for nothing yet.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            last: 0,
            sources: HashMap::new(),
            due: BTreeSet::new(),
            found: Vec::with_capacity(128),
        })
    }

    /// A number that was never given before: an event of something that is gone finds nothing.
    pub fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Waits for a descriptor, too; returns its number.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn add(&mut self, fd: impl AsFd, source: S, ready: Ready) -> io::Result<u64> {
        let number = self.number();
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(number), ready)?;
        self.sources.insert(number, source);
        Ok(number)
    }

    /// Waits for something else of it.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn change(&self, fd: impl AsFd, number: u64, ready: Ready) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(number),
            ready,
        )?)
    }

    /// Waits for it no more. Closing alone is not enough where another process has a copy.
    pub fn remove(&mut self, fd: impl AsFd, number: u64) {
        self.sources.remove(&number);
        let _ = epoll::delete(&self.epoll, fd);
    }

    /// Something is due at a point in time.
    pub fn at(&mut self, when: Instant, due: D) {
        self.due.insert((when, due));
    }

    /// It is not, after all.
    pub fn not_at(&mut self, when: Instant, due: D) {
        self.due.remove(&(when, due));
    }

    /// What is due by now, one after another.
    pub fn due(&mut self, now: Instant) -> Option<D> {
        let first = self.due.first().filter(|(when, _)| *when <= now)?.1;
        self.due.pop_first();
        Some(first)
    }

    /// Waits until something is ready or due.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn wait(&mut self, events: &mut Vec<Event<S>>) -> io::Result<()> {
        let timeout = self.due.first().map(|(when, _)| {
            let left = when.saturating_duration_since(Instant::now());
            // Rounded up, so that it is due when we wake.
            let left = left + Duration::from_millis(1);
            Timespec {
                tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                tv_nsec: left.subsec_nanos().into(),
            }
        });
        self.found.clear();
        match epoll::wait(
            &self.epoll,
            spare_capacity(&mut self.found),
            timeout.as_ref(),
        ) {
            Err(rustix::io::Errno::INTR) => return Ok(()),
            other => other?,
        };
        for found in &self.found {
            let number = found.data.u64();
            if let Some(source) = self.sources.get(&number) {
                events.push(Event {
                    number,
                    source: *source,
                    ready: found.flags,
                });
            }
        }
        Ok(())
    }

    /// Is it still waited for? Something before it in the same batch may have ended it.
    #[must_use]
    pub fn has(&self, number: u64) -> bool {
        self.sources.contains_key(&number)
    }
}
