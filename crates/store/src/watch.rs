//! Hearing of changes.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use swarm_api::Object;
use tokio::sync::Notify;

/// What a watcher may be behind before it is told to look at everything again.
const BACKLOG: usize = 100_000;

/// A change that was made.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// How the object was; none of a new one.
    pub old: Option<Object>,
    /// How it is; none of one that is gone.
    pub new: Option<Object>,
}

/// What a watcher hears.
#[derive(Debug, PartialEq)]
pub enum Heard {
    /// These changes, in their order, without a gap.
    Events(Vec<Event>),
    /// It was too far behind, or the tables came from a snapshot: look at all of it.
    Everything,
}

/// Hears of every change from the state that it was made with.
#[derive(Debug)]
pub struct Watch(Arc<Queue>);

#[derive(Debug, Default)]
struct Queue {
    state: Mutex<Backlog>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Backlog {
    events: VecDeque<Event>,
    lost: bool,
    closed: bool,
}

impl Queue {
    fn state(&self) -> MutexGuard<'_, Backlog> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Watch {
    /// What happened since the last call; empty where nothing did.
    #[must_use]
    pub fn take(&self) -> Heard {
        let mut state = self.0.state();
        if std::mem::take(&mut state.lost) {
            state.events.clear();
            return Heard::Everything;
        }
        Heard::Events(state.events.drain(..).collect())
    }

    /// Waits until something happened.
    pub async fn changed(&self) {
        loop {
            let wake = self.0.wake.notified();
            {
                let state = self.0.state();
                if state.lost || !state.events.is_empty() {
                    return;
                }
            }
            wake.await;
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut state = self.0.state();
        state.closed = true;
        state.events.clear();
    }
}

/// All watchers of a store.
#[derive(Debug, Default)]
pub(crate) struct Watchers(Vec<Arc<Queue>>);

impl Watchers {
    pub(crate) fn add(&mut self) -> Watch {
        let queue = Arc::<Queue>::default();
        self.0.push(queue.clone());
        Watch(queue)
    }

    /// Tells all of them of changes; of everything where there are none.
    pub(crate) fn tell(&mut self, events: Option<&[Event]>) {
        self.0.retain(|queue| {
            let mut state = queue.state();
            if state.closed {
                return false;
            }
            match events {
                Some(events) if !state.lost && state.events.len() + events.len() <= BACKLOG => {
                    state.events.extend(events.iter().cloned());
                }
                _ => {
                    state.lost = true;
                    state.events.clear();
                }
            }
            drop(state);
            queue.wake.notify_one();
            true
        });
    }
}
