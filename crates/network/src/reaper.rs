//! Deleting links where nobody waits for it.
//!
//! The kernel takes 10 to 20 ms to delete a link, nearly all of it waiting for other processors
//! to be done with it. A container's address and ports are free before that; and no link's name
//! is used twice, so one that is still going away is in nobody's way. What a killed daemon leaves
//! is found by the next one ([`crate::Network::restore`]).

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use sys::netlink::{Socket, delete_links};

enum Task {
    Delete(String),
    /// Tell when all before it is done.
    Tell(Sender<()>),
}

/// The thread that deletes links, and the way to it. It ends after the last task when dropped.
#[derive(Debug)]
pub(crate) struct Reaper(Sender<Task>);

impl Reaper {
    pub(crate) fn start(socket: Socket) -> io::Result<Self> {
        let (sender, tasks) = channel();
        let thread = thread::Builder::new()
            .name("link-reaper".into())
            .stack_size(256 * 1024);
        thread.spawn(move || run(&tasks, socket))?;
        Ok(Self(sender))
    }

    pub(crate) fn delete(&self, link: &str) {
        // The other end lives as long as this one.
        let _ = self.0.send(Task::Delete(link.to_owned()));
    }

    /// Returns when all links given so far are gone.
    pub(crate) fn settle(&self) {
        let (done, wait) = channel();
        let _ = self.0.send(Task::Tell(done));
        let _ = wait.recv();
    }
}

fn run(tasks: &Receiver<Task>, mut socket: Socket) {
    // Whatever has come in meanwhile is done in one go.
    while let Ok(first) = tasks.recv() {
        let (mut links, mut waiting) = (Vec::new(), Vec::new());
        for task in std::iter::once(first).chain(tasks.try_iter()) {
            match task {
                Task::Delete(link) => links.push(link),
                Task::Tell(done) => waiting.push(done),
            }
        }
        let names: Vec<&str> = links.iter().map(String::as_str).collect();
        if let Err(e) = delete_links(&mut socket, &names) {
            tracing::error!("{e}; the next start of the daemon tries again");
        }
        for done in waiting {
            let _ = done.send(());
        }
    }
}
