//! What takes its time, done where nobody waits for it: deleting links, and forgetting tracked flows.
//!
//! The kernel takes 10 to 20 ms to delete a link, nearly all of it waiting for other processors
//! to be done with it, and no longer for many. A container's address is free before that; the name of
//! its link is used only once, so one that is still going away is in nobody's way. A bridge loses its
//! addresses before it comes here; its name may be wanted again, and who wants it waits
//! ([`Reaper::wait_for`]). What a killed daemon leaves is found by the next one
//! ([`crate::Fabric::restore`]).
//!
//! The kernel takes 10 ms to find flows, too. A container's UDP ports are not free before those are
//! forgotten: who wants one of them waits ([`Reaper::settle`]).

use std::collections::HashSet;
use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use sys::netlink::{Socket, delete_links};

use crate::endpoint::PublishedPort;
use crate::fabric::State;
use crate::flows::Stale;

enum Task {
    Delete(String),
    Forget(Stale),
    /// A container's ports are free.
    Free(String, Vec<PublishedPort>),
    /// Tell when all before it is done.
    Tell(Sender<()>),
}

/// The names of links that are going away.
#[derive(Debug, Default)]
struct Going {
    names: Mutex<HashSet<String>>,
    fewer: Condvar,
}

impl Going {
    fn lock(&self) -> MutexGuard<'_, HashSet<String>> {
        self.names.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that does it, and the way to it. It ends after the last task when dropped.
#[derive(Debug)]
pub(crate) struct Reaper {
    tasks: Sender<Task>,
    going: Arc<Going>,
}

/// What the thread works with.
pub(crate) struct Tools {
    pub(crate) route: Socket,
    pub(crate) tracking: Socket,
    pub(crate) state: Arc<Mutex<State>>,
}

impl Reaper {
    pub(crate) fn start(tools: Tools) -> io::Result<Self> {
        let (sender, tasks) = channel();
        let going = Arc::new(Going::default());
        let thread = thread::Builder::new()
            .name("link-reaper".into())
            .stack_size(256 * 1024);
        let theirs = Arc::clone(&going);
        thread.spawn(move || run(&tasks, &theirs, tools))?;
        Ok(Self {
            tasks: sender,
            going,
        })
    }

    fn give(&self, task: Task) {
        // The other end lives as long as this one.
        let _ = self.tasks.send(task);
    }

    pub(crate) fn delete(&self, link: &str) {
        self.going.lock().insert(link.to_owned());
        self.give(Task::Delete(link.to_owned()));
    }

    /// Returns when the link of this name, if it is going away, is gone, or cannot be deleted.
    pub(crate) fn wait_for(&self, link: &str) {
        let mut names = self.going.lock();
        while names.contains(link) {
            let waited = self.going.fewer.wait(names);
            names = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    pub(crate) fn forget(&self, stale: Option<Stale>) {
        if let Some(stale) = stale {
            self.give(Task::Forget(stale));
        }
    }

    /// Frees a container's ports after what was to be forgotten before.
    pub(crate) fn free(&self, id: &str, ports: Vec<PublishedPort>) {
        self.give(Task::Free(id.to_owned(), ports));
    }

    /// Returns when all links given so far are gone, and all flows forgotten.
    pub(crate) fn settle(&self) {
        let (done, wait) = channel();
        self.give(Task::Tell(done));
        let _ = wait.recv();
    }
}

fn run(tasks: &Receiver<Task>, going: &Going, mut tools: Tools) {
    // Whatever has come in meanwhile is done in one go, flows first: for those somebody may wait.
    while let Ok(first) = tasks.recv() {
        let (mut links, mut waiting) = (Vec::new(), Vec::new());
        for task in std::iter::once(first).chain(tasks.try_iter()) {
            match task {
                Task::Delete(link) => links.push(link),
                Task::Forget(stale) => stale.forget(&mut tools.tracking, &mut tools.route),
                Task::Free(id, ports) => {
                    let mut state = tools.state.lock().unwrap_or_else(PoisonError::into_inner);
                    state.leaving -= 1;
                    state.table.remove_all(&id, &ports);
                }
                Task::Tell(done) => waiting.push(done),
            }
        }
        let names: Vec<&str> = links.iter().map(String::as_str).collect();
        if !names.is_empty() {
            sys::failpoint!("network.reaper.deleting");
            if let Err(e) = delete_links(&mut tools.route, &names) {
                tracing::error!("{e}; the next start of the daemon tries again");
            }
        }
        let mut names = going.lock();
        links.iter().for_each(|link| _ = names.remove(link));
        going.fewer.notify_all();
        drop(names);
        for done in waiting {
            let _ = done.send(());
        }
    }
}
