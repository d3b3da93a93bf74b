//! Names: what the name server of a host's containers (`wharf-dns`, crate `resolver`) is told.
//!
//! The name server is a process of its own that goes on answering while no daemon is there. What
//! it knows about a container is a function of what is held here ([`known`]); it is told changes as
//! they happen, and everything where that cannot be relied on: after a start of the daemon, and
//! when the process had to be started again because it died. It runs only while a container is in
//! a network of the user's own.
//!
//! All methods block for as long as the name server takes, which is less than a millisecond.

mod conf;
mod known;
mod process;
mod sockets;
mod told;

use std::{
    collections::BTreeMap,
    io,
    path::Path,
    sync::{Arc, Mutex},
};

use companion::process::Process;
use companion::supervise::{self, Bell, Supervised};
pub(crate) use conf::conf;
use known::Held;
pub(crate) use known::{Held as Named, Life, Member, Settings, Zone};
use process::Server;
use told::{Failure, Told};

use crate::{
    error::{Error, Result},
    sync::lock,
};

/// All names of one daemon's containers.
pub(crate) struct Names {
    state: Arc<Mutex<State>>,
    bell: Bell,
}

/// What is to be known, and who is told.
struct State {
    server: Server,
    /// The containers with a network of the user's own, by id.
    held: BTreeMap<String, Held>,
    /// The name server, where it runs and knows all of `held`.
    told: Option<Told>,
    /// Wakes the thread that watches the process.
    bell: Bell,
    /// There is such a thread.
    watched: bool,
}

impl Names {
    /// The names of a daemon with this exec root; `program` is the name server.
    ///
    /// # Errors
    /// When there is no memory for the program.
    pub(crate) fn new(exec_root: &Path, program: &[u8]) -> Result<Self> {
        let server = Server::new(exec_root, program)
            .map_err(Error::io("put the name server into memory"))?;
        let bell = Bell::new().map_err(Error::io("watch the name server"))?;
        let state = State {
            server,
            held: BTreeMap::new(),
            told: None,
            bell: bell.clone(),
            watched: false,
        };
        Ok(Self {
            state: Arc::new(Mutex::new(state)),
            bell,
        })
    }

    /// After the daemon's start: these containers live, and no others. A name server that went on
    /// meanwhile is told so; one of another version of the program hands its sockets over to ours.
    pub(crate) fn restore(&self, live: Vec<(String, Named)>) -> Result<()> {
        let mut state = lock(&self.state);
        state.held.extend(live);
        if state.held.is_empty() {
            return state.server.stop_other().map_err(failed);
        }
        // Before it is told: where that fails it is tried again.
        self.watch(&mut state)?;
        state.tell_all()
    }

    /// A container is about to start: its names are known, and 127.0.0.11 answers it.
    pub(crate) fn started(&self, id: &str, named: Named) -> Result<()> {
        let mut state = lock(&self.state);
        state.held.insert(id.to_owned(), named);
        let done = state.change(|told, all| told.start(id, all));
        let done = done.and_then(|()| match &state.told {
            Some(told) if told.serves(id) => self.watch(&mut state),
            _ => Err(failed(io::Error::other("it has no sockets"))),
        });
        if done.is_err() {
            state.forget(id);
        }
        done
    }

    /// A running container was connected to a network, or has other names or addresses there.
    pub(crate) fn joined(
        &self,
        id: &str,
        member: Member,
        links: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        let Some(held) = state.held.get_mut(id) else {
            return Ok(());
        };
        held.join(member, links);
        state.change(|told, all| told.change(id, all))
    }

    /// A running container was disconnected from a network.
    pub(crate) fn left(
        &self,
        id: &str,
        network: &str,
        links: BTreeMap<String, String>,
    ) -> Result<()> {
        let mut state = lock(&self.state);
        let Some(held) = state.held.get_mut(id) else {
            return Ok(());
        };
        held.leave(network, links);
        state.change(|told, all| {
            told.change(id, all)?;
            told.left(id, network, all)
        })
    }

    /// A container is over. This never fails: that its name server cannot be told keeps nothing
    /// from its end, and one that is started in its place is told everything.
    pub(crate) fn ended(&self, id: &str) {
        lock(&self.state).forget(id);
    }

    /// Does 127.0.0.11 answer this container?
    pub(crate) fn serves(&self, id: &str) -> bool {
        lock(&self.state).held.contains_key(id)
    }

    fn watch(&self, state: &mut State) -> Result<()> {
        if !state.watched {
            supervise::watch("names", Arc::downgrade(&self.state), &self.bell)
                .map_err(Error::io("watch the name server"))?;
            state.watched = true;
        }
        Ok(())
    }
}

impl Drop for Names {
    fn drop(&mut self) {
        self.bell.ring();
    }
}

impl State {
    /// Tells a change, which `held` has already; everything, where that is not enough.
    fn change(
        &mut self,
        change: impl Fn(&mut Told, &BTreeMap<String, Held>) -> std::result::Result<(), Failure>,
    ) -> Result<()> {
        if let Some(told) = &mut self.told {
            match change(told, &self.held) {
                Ok(()) => return Ok(()),
                Err(Failure::Sockets(error)) => return Err(failed(error)),
                Err(Failure::Server(error)) => {
                    tracing::warn!(%error, "the name server is told everything again");
                }
            }
        }
        self.tell_all()
    }

    /// Connects to the name server, or starts it, and tells it everything.
    fn tell_all(&mut self) -> Result<()> {
        self.told = None;
        let told = self.server.reach(&self.held);
        // There is another process to watch, or another attempt to make.
        self.bell.ring();
        self.told = Some(told.map_err(failed)?);
        Ok(())
    }

    fn forget(&mut self, id: &str) {
        let Some(gone) = self.held.remove(id) else {
            return;
        };
        if let Some(told) = &mut self.told
            && let Err(error) = told.end(id, &gone, &self.held)
        {
            tracing::warn!(container = id, %error, "its names could not be withdrawn");
            self.told = None;
            self.bell.ring();
        }
        if self.held.is_empty() {
            // Without containers and without us it ends by itself, after a while in which the next
            // container would find it.
            self.told = None;
        }
    }
}

impl Supervised for State {
    fn process(&mut self) -> &mut Process {
        &mut self.server.process
    }

    fn gone(&mut self, complaints: Option<String>) {
        self.told = None;
        if let Some(complaints) = complaints {
            tracing::warn!("the name server complained: {complaints}");
        }
        if !self.held.is_empty() {
            tracing::warn!("the name server is gone; it is started again");
        }
    }

    fn is_right(&self) -> bool {
        self.told.is_some() || self.held.is_empty()
    }

    fn put_right(&mut self) -> bool {
        let done = self.tell_all();
        if let Err(error) = &done {
            tracing::error!(%error, "containers find no names: the name server cannot be started");
        }
        done.is_ok()
    }
}

fn failed(source: io::Error) -> Error {
    Error::Io {
        what: "set up the name server of containers".into(),
        source,
    }
}
