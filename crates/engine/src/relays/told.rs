//! A relay that runs, and what it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};

use companion::process::Process;
use network::{Proto, Published};
use relay::{Client, Door};

use super::sockets::Sockets;

/// What is to be carried for a container.
pub(super) struct Wanted {
    pub(super) doors: Vec<Door>,
    /// Its address.
    to: Option<IpAddr>,
    /// Where its shim is.
    run_dir: PathBuf,
    /// The sockets, where they are at hand.
    pub(super) sockets: Option<Sockets>,
}

impl Wanted {
    /// Nothing, where there is nothing to carry.
    pub(super) fn new(published: &Published, run_dir: &Path) -> Option<Self> {
        let (ports, to) = published.carried();
        let door = |port: &network::PublishedPort| {
            let proto = match port.proto {
                Proto::Tcp => relay::Proto::Tcp,
                Proto::Udp => relay::Proto::Udp,
                Proto::Sctp => return None,
            };
            Some(Door {
                proto,
                at: SocketAddr::new(port.host_ip, port.host_port),
                port: port.container_port,
            })
        };
        let mut doors: Vec<_> = ports.iter().filter_map(door).collect();
        doors.sort_unstable();
        (!doors.is_empty()).then(|| Self {
            doors,
            to,
            run_dir: run_dir.to_owned(),
            sockets: None,
        })
    }
}

/// The relay of one exec root.
pub(super) struct Relay {
    pub(super) process: Process,
    /// The containers, by id.
    wanted: BTreeMap<String, Wanted>,
    /// Those of which the relay has not been told, or not everything.
    untold: BTreeSet<String>,
    /// Those among them whose shims are to be asked for their sockets.
    lacking: BTreeSet<String>,
    /// Those among them of which something went wrong, which is said once.
    failing: BTreeSet<String>,
    /// Those whose doors it has.
    serving: BTreeMap<String, Vec<Door>>,
    client: Option<Client>,
    /// It did not answer: it may hold ports that are not its own any more, so it has to go.
    hangs: bool,
}

impl Relay {
    pub(super) fn new(process: Process) -> Self {
        Self {
            process,
            wanted: BTreeMap::new(),
            untold: BTreeSet::new(),
            lacking: BTreeSet::new(),
            failing: BTreeSet::new(),
            serving: BTreeMap::new(),
            client: None,
            hangs: false,
        }
    }

    /// Notes what is to be carried for a container.
    pub(super) fn want(&mut self, id: String, wanted: Wanted) {
        self.untold.insert(id.clone());
        self.wanted.insert(id, wanted);
    }

    /// The process is gone; true if it is needed.
    pub(super) fn lost(&mut self) -> bool {
        self.client = None;
        self.hangs = false;
        !self.wanted.is_empty()
    }

    /// Is everything told?
    pub(super) fn is_right(&self) -> bool {
        let told = self.client.is_some() && self.untold.is_empty();
        !self.hangs && (self.wanted.is_empty() || told)
    }

    /// Nothing is carried for a container any more. A relay that cannot be told is killed, as it would
    /// keep the ports from who has them next; another one is started where it is needed.
    pub(super) fn forget(&mut self, id: &str) {
        if self.wanted.remove(id).is_none() {
            return;
        }
        self.untold.remove(id);
        self.lacking.remove(id);
        self.failing.remove(id);
        self.serving.remove(id);
        if let Some(client) = &mut self.client
            && let Err(error) = client.remove(id)
        {
            tracing::warn!(container = %id, %error, "the relay could not be told of its end");
            self.client = None;
            self.hangs = true;
            // Is it refused, it is tried again.
            let _ = self.replace();
        }
        if self.wanted.is_empty() {
            // Without containers and without us it ends by itself, after a while in which the next
            // container would find it.
            self.client = None;
        }
    }

    /// Makes room for another process where this one hangs.
    fn replace(&mut self) -> io::Result<()> {
        if self.hangs {
            self.process.kill()?;
            self.hangs = false;
        }
        Ok(())
    }

    /// Tells everything that is not told; false where some of it is to be tried again.
    pub(super) fn tell(&mut self) -> io::Result<bool> {
        self.replace()?;
        if self.wanted.is_empty() {
            return Ok(true);
        }
        let known = self.client.is_some();
        match self.try_tell() {
            // It may have ended by itself just now, or have been killed.
            Err(_) if known => self.try_tell(),
            other => other,
        }
    }

    fn try_tell(&mut self) -> io::Result<bool> {
        let mut client = match self.client.take() {
            Some(client) => client,
            None => self.reach()?,
        };
        for id in self.untold.clone() {
            match self.tell_of(&mut client, &id) {
                Err(Failure::Relay(relay::Error::Gone(error))) => return Err(error),
                Err(Failure::Relay(error)) => self.failed(&id, &error),
                Err(Failure::Lacking) => _ = self.lacking.insert(id),
                Err(error @ Failure::Lost(_)) => {
                    tracing::warn!(
                        container = %id, %error,
                        "what comes to its ports in IPv6 is not carried; restart it"
                    );
                    self.told(&id);
                }
                Ok(()) => self.told(&id),
            }
        }
        self.client = Some(client);
        Ok(self.untold.is_empty())
    }

    fn told(&mut self, id: &str) {
        self.untold.remove(id);
        self.lacking.remove(id);
        self.failing.remove(id);
    }

    fn failed(&mut self, id: &str, error: &dyn std::error::Error) {
        if self.failing.insert(id.to_owned()) {
            tracing::warn!(
                container = %id, %error,
                "what comes to its ports in IPv6 is not carried yet; it is tried again"
            );
        }
    }

    /// Whom to ask for sockets: containers, their doors, and where their shims are.
    pub(super) fn lacking(&mut self) -> Vec<(String, Vec<Door>, PathBuf)> {
        let ids = std::mem::take(&mut self.lacking).into_iter();
        ids.filter_map(|id| {
            let wanted = self.wanted.get(&id)?;
            Some((id, wanted.doors.clone(), wanted.run_dir.clone()))
        })
        .collect()
    }

    /// A shim has answered, or not.
    pub(super) fn found(&mut self, id: &str, doors: &[Door], sockets: io::Result<Sockets>) {
        // It may want others by now.
        let wanted = self.wanted.get_mut(id).filter(|w| w.doors == doors);
        match (wanted, sockets) {
            (Some(wanted), Ok(sockets)) => wanted.sockets = Some(sockets),
            (Some(_), Err(error)) => self.failed(id, &error),
            (None, _) => {}
        }
    }

    fn tell_of(&mut self, client: &mut Client, id: &str) -> Result<(), Failure> {
        let Some(wanted) = self.wanted.get_mut(id) else {
            return Ok(());
        };
        if let Some(doors) = self.serving.get_mut(id)
            && wanted.doors.iter().all(|d| doors.contains(d))
        {
            wanted.sockets = None;
            if *doors != wanted.doors {
                client.keep(id, &wanted.doors)?;
                doors.clone_from(&wanted.doors);
            }
            return Ok(client.lead(id, wanted.to)?);
        }
        let sockets = wanted.sockets.take().ok_or(Failure::Lacking)?;
        // Those that it has no more first: others may want them.
        client.keep(id, &wanted.doors)?;
        self.serving.remove(id);
        client.serve(id, wanted.to, &sockets.doors(), sockets.life())?;
        if sockets.len() < wanted.doors.len() {
            let missing = wanted.doors.len() - sockets.len();
            return Err(Failure::Lost(missing));
        }
        self.serving.insert(id.to_owned(), wanted.doors.clone());
        Ok(())
    }

    /// A connection to a relay of our program, and what that serves already.
    fn reach(&mut self) -> io::Result<Client> {
        self.serving.clear();
        self.untold = self.wanted.keys().cloned().collect();
        if let Ok(mut client) = Client::connect(self.process.control()) {
            let pid = client.process()?;
            let ours = self.process.adopt(pid)?;
            match client.status() {
                Ok(status) if ours => {
                    let ids: Vec<_> = self.wanted.keys().cloned().collect();
                    client.retain(&ids)?;
                    for (id, doors) in status.serving {
                        let wanted = self.wanted.get(&id).map(|w| &w.doors);
                        if let Some(wanted) = wanted.filter(|w| **w == doors) {
                            self.serving.insert(id, wanted.clone());
                        }
                    }
                    return Ok(client);
                }
                Ok(_) => {
                    tracing::info!(pid, "the relay is of another version: it is replaced");
                    // It goes on with the connections that there are.
                    match client.retire() {
                        Ok(()) => self.process.let_go(),
                        Err(_) => self.process.end()?,
                    }
                }
                Err(error) => {
                    tracing::warn!(pid, %error, "the relay does not answer: it is replaced");
                    self.process.end()?;
                }
            }
        }
        self.process.start(&[]).map(Client::over)
    }
}

/// Why something could not be told.
#[derive(Debug, thiserror::Error)]
enum Failure {
    /// The relay is gone, or refuses.
    #[error(transparent)]
    Relay(#[from] relay::Error),
    /// Its sockets are not at hand.
    #[error("its sockets are not known yet")]
    Lacking,
    /// So many of its sockets are nowhere.
    #[error("its shim has lost the sockets of {0} ports")]
    Lost(usize),
}
