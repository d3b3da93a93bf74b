//! What the one thread waits for: descriptors, each with a number of its own, and points in time.

use std::collections::{BTreeSet, HashMap};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};

pub(crate) use rustix::event::epoll::EventFlags as Ready;

/// What a descriptor is. The numbers are those of askers; whatever else there is has the number
/// that it is waited for by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Source {
    /// Where the daemon connects.
    Listener,
    /// A connection of the daemon's.
    Control,
    /// An asker's questions.
    Udp(u64),
    /// An asker's connections to come.
    Accept(u64),
    /// Tells that an asker is gone.
    Life(u64),
    /// An asker's connection.
    Conn,
    /// A question that was passed on.
    Try,
}

/// What is due at a point in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Due {
    /// Something more is to be done about a question that was passed on.
    Query(u64),
    /// A connection may have been idle too long.
    Conn(u64),
    /// What is known is to be written down.
    Save,
    /// Nobody may have needed this process for a while.
    Idle,
}

/// One descriptor that is ready.
pub(crate) struct Event {
    pub(crate) number: u64,
    pub(crate) source: Source,
    pub(crate) ready: Ready,
}

/// All that is waited for.
pub(crate) struct Poll {
    epoll: OwnedFd,
    last: u64,
    sources: HashMap<u64, Source>,
    due: BTreeSet<(Instant, Due)>,
    found: Vec<epoll::Event>,
}

impl Poll {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            last: 0,
            sources: HashMap::new(),
            due: BTreeSet::new(),
            found: Vec::with_capacity(128),
        })
    }

    /// A number that was never given before: an event of something that is gone finds nothing.
    pub(crate) fn number(&mut self) -> u64 {
        self.last += 1;
        self.last
    }

    /// Waits for a descriptor, too; returns its number.
    pub(crate) fn add(&mut self, fd: impl AsFd, source: Source, ready: Ready) -> io::Result<u64> {
        let number = self.number();
        epoll::add(&self.epoll, fd, epoll::EventData::new_u64(number), ready)?;
        self.sources.insert(number, source);
        Ok(number)
    }

    /// Waits for something else of it.
    pub(crate) fn change(&self, fd: impl AsFd, number: u64, ready: Ready) -> io::Result<()> {
        Ok(epoll::modify(
            &self.epoll,
            fd,
            epoll::EventData::new_u64(number),
            ready,
        )?)
    }

    /// Waits for it no more. Closing alone is not enough where another process has a copy.
    pub(crate) fn remove(&mut self, fd: impl AsFd, number: u64) {
        self.sources.remove(&number);
        let _ = epoll::delete(&self.epoll, fd);
    }

    pub(crate) fn at(&mut self, when: Instant, due: Due) {
        self.due.insert((when, due));
    }

    pub(crate) fn not_at(&mut self, when: Instant, due: Due) {
        self.due.remove(&(when, due));
    }

    /// What is due by now, one after another.
    pub(crate) fn due(&mut self, now: Instant) -> Option<Due> {
        let first = self.due.first().filter(|(when, _)| *when <= now)?.1;
        self.due.pop_first();
        Some(first)
    }

    /// Waits until something is ready or due.
    pub(crate) fn wait(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
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
    pub(crate) fn has(&self, number: u64) -> bool {
        self.sources.contains_key(&number)
    }
}
