//! A name server that runs, and what it was told.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use resolver::{AskerFds, Client, Endpoint, Network};

use super::{
    known::{self, Held, Zone},
    sockets,
};

/// Why something could not be told.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The name server is gone, or refuses: it is to be told everything.
    #[error(transparent)]
    Server(#[from] resolver::Error),
    /// The container has no sockets to ask by.
    #[error(transparent)]
    Sockets(io::Error),
}

/// A connection to a name server.
pub(super) struct Told {
    client: Client,
    networks: BTreeSet<String>,
    serving: BTreeSet<String>,
}

impl Told {
    /// One that serves these containers already.
    pub(super) fn new(client: Client, serving: Vec<String>) -> Self {
        Self {
            client,
            networks: BTreeSet::new(),
            serving: serving.into_iter().collect(),
        }
    }

    pub(super) fn serves(&self, id: &str) -> bool {
        self.serving.contains(id)
    }

    /// Everything. `inherited` are sockets of containers that another process served. A container
    /// without sockets does not keep the others from theirs.
    pub(super) fn all(
        &mut self,
        all: &BTreeMap<String, Held>,
        mut inherited: BTreeMap<String, AskerFds>,
    ) -> Result<(), resolver::Error> {
        for network in known::networks(all) {
            self.client.set_network(&network)?;
            self.networks.insert(network.id);
        }
        for (id, held) in all {
            let done = match inherited.remove(id) {
                Some(fds) => self.hand_over(id, held, &fds).map_err(Failure::from),
                None if self.serves(id) => self.keep(id, held),
                None => self.serve(id, held, true),
            };
            match done {
                Err(Failure::Server(error @ resolver::Error::Gone(_))) => return Err(error),
                Err(error) => tracing::warn!(container = %id, %error, "it has no name server"),
                Ok(()) => {}
            }
        }
        let askers: Vec<_> = all.keys().cloned().collect();
        let networks: Vec<_> = self.networks.iter().cloned().collect();
        self.client.retain(&askers, &networks)?;
        self.serving.retain(|id| all.contains_key(id));
        Ok(())
    }

    /// A container starts: names first, so that it finds its own.
    pub(super) fn start(&mut self, id: &str, all: &BTreeMap<String, Held>) -> Result<(), Failure> {
        if let Some(held) = all.get(id) {
            self.endpoints(id, held)?;
            self.serve(id, held, false)?;
        }
        Ok(())
    }

    /// A container's networks, names or addresses are others.
    pub(super) fn change(&mut self, id: &str, all: &BTreeMap<String, Held>) -> Result<(), Failure> {
        if let Some(held) = all.get(id) {
            self.endpoints(id, held)?;
            self.client.change_asker(&held.asker(id))?;
        }
        Ok(())
    }

    /// A container is not in a network any more.
    pub(super) fn left(
        &mut self,
        id: &str,
        network: &str,
        all: &BTreeMap<String, Held>,
    ) -> Result<(), Failure> {
        self.client.remove_endpoint(network, id)?;
        self.sweep([network], all)
    }

    /// A container is over.
    pub(super) fn end(
        &mut self,
        id: &str,
        gone: &Held,
        all: &BTreeMap<String, Held>,
    ) -> Result<(), Failure> {
        let networks: Vec<_> = gone.endpoints().map(|(network, ..)| network).collect();
        for network in &networks {
            self.client.remove_endpoint(network, id)?;
        }
        self.client.remove_asker(id)?;
        self.serving.remove(id);
        self.sweep(networks, all)
    }

    fn endpoints(&mut self, id: &str, held: &Held) -> Result<(), resolver::Error> {
        for (network, zone, endpoint) in held.endpoints() {
            self.endpoint(network, zone, id, endpoint)?;
        }
        Ok(())
    }

    fn endpoint(
        &mut self,
        network: &str,
        zone: &Zone,
        id: &str,
        endpoint: Endpoint,
    ) -> Result<(), resolver::Error> {
        if self.networks.contains(network) {
            return self.client.set_endpoint(network, id, &endpoint);
        }
        self.client.set_network(&Network {
            id: network.to_owned(),
            name: zone.name.clone(),
            subnets: zone.subnets.clone(),
            endpoints: BTreeMap::from([(id.to_owned(), endpoint)]),
        })?;
        self.networks.insert(network.to_owned());
        Ok(())
    }

    /// With new sockets.
    fn serve(&mut self, id: &str, held: &Held, again: bool) -> Result<(), Failure> {
        let fds = sockets::open(&held.life, again).map_err(Failure::Sockets)?;
        Ok(self.hand_over(id, held, &fds)?)
    }

    /// With the sockets that it has; with new ones, if it has none after all.
    fn keep(&mut self, id: &str, held: &Held) -> Result<(), Failure> {
        match self.client.change_asker(&held.asker(id)) {
            Err(resolver::Error::Refused(_)) => self.serve(id, held, true),
            other => Ok(other?),
        }
    }

    fn hand_over(&mut self, id: &str, held: &Held, fds: &AskerFds) -> Result<(), resolver::Error> {
        self.serving.remove(id);
        self.client.set_asker(&held.asker(id), fds)?;
        self.serving.insert(id.to_owned());
        Ok(())
    }

    /// Forgets networks that nobody is in.
    fn sweep<'a>(
        &mut self,
        networks: impl IntoIterator<Item = &'a str>,
        all: &BTreeMap<String, Held>,
    ) -> Result<(), Failure> {
        for network in known::empty(networks, all) {
            self.client.remove_network(network)?;
            self.networks.remove(network);
        }
        Ok(())
    }
}
