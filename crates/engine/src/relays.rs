//! What the relay of published ports (`wharf-relay`, crate `relay`) is told.
//!
//! A container's shim keeps the sockets of its ports; the relay has copies, which it is given by the
//! daemon that bound them, or by a later one, which asks the shim. So whoever of the three is killed,
//! the ports stay the container's, and what is not lost with the relay itself goes on.
//!
//! A start does not wait for the relay: its sockets listen already, so that who comes early waits. A
//! thread hands them over. What takes a port away is done at once, as somebody else may want it next.

mod sockets;
mod told;

use std::{
    collections::HashSet,
    io,
    os::fd::OwnedFd,
    path::{Path, PathBuf},
    process::Child,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
};

use companion::{
    process::Process,
    supervise::{self, Bell, Errand, Supervised},
};
use network::Published;
use relay::Door;
use sockets::Sockets;
use told::{Relay, Wanted};

use crate::{
    error::{Error, Result},
    sync::lock,
};

/// The published ports of one daemon's containers that are carried by hand.
pub(crate) struct Relays {
    state: Arc<Mutex<State>>,
    queue: Queue,
    bell: Bell,
    watched: AtomicBool,
    /// The containers of which the relay knows, or is to know.
    carried: Mutex<HashSet<String>>,
}

/// What the thread has not seen yet.
type Queue = Arc<Mutex<Vec<(String, Wanted)>>>;

struct State {
    relay: Relay,
    queue: Queue,
}

impl Relays {
    /// Those of a daemon with this exec root; `program` is the relay.
    ///
    /// # Errors
    /// When there is no memory for the program.
    pub(crate) fn new(exec_root: &Path, program: &[u8]) -> Result<Self> {
        let what = Error::io("put the relay of published ports into memory");
        let process = Process::new("wharf-relay", program, exec_root.join("relay.sock"));
        let process = process.map_err(what)?;
        let bell = Bell::new().map_err(Error::io("watch the relay of published ports"))?;
        let queue = Queue::default();
        let state = State {
            relay: Relay::new(process),
            queue: Arc::clone(&queue),
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
            queue,
            bell,
            watched: AtomicBool::new(false),
            carried: Mutex::default(),
        })
    }

    /// After the daemon's start: these containers live, and no others.
    pub(crate) fn restore(&self, live: impl Iterator<Item = (String, Published, PathBuf)>) {
        let wanted = live.filter_map(|(id, published, dir)| {
            let wanted = Wanted::new(&published, &dir)?;
            Some((id, wanted))
        });
        self.later(wanted.collect());
    }

    /// A container is about to start: what comes to its ports is carried to it, in a moment.
    pub(crate) fn started(
        &self,
        id: &str,
        published: &Published,
        run_dir: &Path,
        held: &[OwnedFd],
        shim: &Child,
    ) {
        let Some(mut wanted) = Wanted::new(published, run_dir) else {
            return;
        };
        // Without, the shim is asked.
        wanted.sockets = Sockets::copy(&wanted.doors, held, shim).ok();
        self.later(vec![(id.to_owned(), wanted)]);
    }

    /// A running container's ports are others, or lead elsewhere.
    pub(crate) fn changed(&self, id: &str, published: &Published, run_dir: &Path) {
        let wanted = Wanted::new(published, run_dir);
        if wanted.is_some() {
            lock(&self.carried).insert(id.to_owned());
        } else if !lock(&self.carried).remove(id) {
            return;
        }
        let mut state = lock(&self.state);
        state.read_queue();
        match wanted {
            Some(wanted) => {
                state.relay.want(id.to_owned(), wanted);
                self.watch();
                state.tell();
                // There may be another process to watch, or another attempt to make.
                self.bell.ring();
            }
            None => {
                state.relay.forget(id);
                self.bell.ring();
            }
        }
    }

    /// A container is over: its ports are nobody's.
    pub(crate) fn ended(&self, id: &str) {
        // Those without such ports do not wait for a relay that is slow.
        if !lock(&self.carried).remove(id) {
            return;
        }
        let mut state = lock(&self.state);
        state.read_queue();
        state.relay.forget(id);
        drop(state);
        // There may be another process to start.
        self.bell.ring();
    }

    fn later(&self, wanted: Vec<(String, Wanted)>) {
        if wanted.is_empty() {
            return;
        }
        let ids = wanted.iter().map(|(id, _)| id.clone());
        lock(&self.carried).extend(ids);
        lock(&self.queue).extend(wanted);
        self.watch();
        self.bell.ring();
    }

    fn watch(&self) {
        if self.watched.swap(true, Ordering::Relaxed) {
            return;
        }
        if let Err(error) = supervise::watch("relays", Arc::downgrade(&self.state), &self.bell) {
            tracing::error!(%error, "published ports are not reached by [::1]: no thread");
            self.watched.store(false, Ordering::Relaxed);
        }
    }
}

impl Drop for Relays {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

impl State {
    fn read_queue(&mut self) {
        let new = std::mem::take(&mut *lock(&self.queue));
        for (id, wanted) in new {
            self.relay.want(id, wanted);
        }
    }

    /// Tells what is not told; false where it is to be tried again.
    fn tell(&mut self) -> bool {
        match self.relay.tell() {
            Ok(all) => all,
            Err(error) => {
                warn(&error);
                false
            }
        }
    }
}

fn warn(error: &io::Error) {
    tracing::error!(
        %error, "what comes to published ports in IPv6 is not carried: the relay cannot be told"
    );
}

impl Supervised for State {
    fn process(&mut self) -> &mut Process {
        &mut self.relay.process
    }

    fn gone(&mut self, complaints: Option<String>) {
        if let Some(complaints) = complaints {
            tracing::warn!("the relay of published ports complained: {complaints}");
        }
        if self.relay.lost() {
            tracing::warn!("the relay of published ports is gone; it is started again");
        }
    }

    fn is_right(&self) -> bool {
        lock(&self.queue).is_empty() && self.relay.is_right()
    }

    fn put_right(&mut self) -> bool {
        self.read_queue();
        self.tell()
    }

    fn errand(&mut self) -> Option<Errand<Self>> {
        let lacking = self.relay.lacking();
        if lacking.is_empty() {
            return None;
        }
        Some(Box::new(move || {
            let ask = |(id, doors, dir): (String, Vec<Door>, PathBuf)| {
                let sockets = Sockets::of_shim(&doors, &dir);
                (id, doors, sockets)
            };
            let found: Vec<_> = lacking.into_iter().map(ask).collect();
            Box::new(move |state: &mut Self| {
                for (id, doors, sockets) in found {
                    state.relay.found(&id, &doors, sockets);
                }
            })
        }))
    }
}
