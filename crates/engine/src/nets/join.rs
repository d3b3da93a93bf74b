//! Putting a container into a network and taking it out, now if it runs and at each start.

use std::{
    os::fd::{AsFd, OwnedFd},
    sync::Arc,
};

use types::network::{NetworkConnect, NetworkDisconnect};

use super::{Attachment, NetworkRecord, Place, choose, keeper::ByShim, wire};
use crate::{
    Engine, blocking,
    container::Container,
    error::{Error, Result},
    files,
    network_mode::NetworkMode,
    ports, start,
    sync::lock,
};

impl Engine {
    /// Puts a container into a network.
    ///
    /// # Errors
    /// When it is in it, cannot be, or the network cannot give what is asked for; then nothing has
    /// changed.
    pub async fn connect_network(
        self: &Arc<Self>,
        name: &str,
        wanted: NetworkConnect,
    ) -> Result<()> {
        let network = self.networks.find(name)?;
        let container = self.find(&wanted.container)?;
        let settings = wanted.endpoint_config.unwrap_or_default();
        if network.config_only {
            return Err(Error::Forbidden(format!(
                "configuration network {} cannot be joined by containers",
                network.name
            )));
        }
        self.check_settings(&network, &settings)?;
        let _op = container.op.lock().await;
        if container.state().removed {
            return Err(Error::NoSuchContainer(wanted.container));
        }
        if container.with_record(|r| r.networks.contains_key(&network.id)) {
            return Err(Error::Forbidden(format!(
                "endpoint with name {} already exists in network {}",
                container.name(),
                network.name
            )));
        }
        joinable(&container, &network)?;
        let attachment = Attachment {
            name: network.name.clone(),
            settings,
        };
        let run = container.state().exits;
        let wired = container.wired.lock().await;
        let running = *wired;
        self.save(&container, |r| {
            if !running {
                // A network that was made again under its name takes the place of the one that is gone.
                r.networks
                    .retain(|id, a| a.name != network.name || self.networks.get(id).is_some());
            }
            r.networks.insert(network.id.clone(), attachment);
        })
        .await?;
        if !*wired {
            // Its start connects it, and tells.
            return Ok(());
        }
        let joined = self.join_now(&container, &network).await;
        drop(wired);
        if let Err(error) = joined {
            if self.is_ending(&container, run).await {
                return Ok(());
            }
            self.save(&container, |r| _ = r.networks.remove(&network.id))
                .await?;
            return Err(error);
        }
        self.tell_of_network(&network, "connect", Some(&container.id));
        Ok(())
    }

    /// Whether the run that began after `exits` ends is over, although its end has not been seen to:
    /// what could not be done to it then is done by its end, or by its next start.
    async fn is_ending(&self, container: &Container, exits: u64) -> bool {
        self.netns_of(container).is_err() && container.ends_now(exits).await
    }

    /// The part of [`Engine::connect_network`] that concerns a container that runs, whose `wired` lock
    /// the caller holds.
    async fn join_now(
        self: &Arc<Self>,
        container: &Arc<Container>,
        network: &Arc<NetworkRecord>,
    ) -> Result<()> {
        if network.is_linkless() {
            return Ok(());
        }
        let netns = self.netns_of(container)?;
        let (engine, container, network) =
            (Arc::clone(self), Arc::clone(container), Arc::clone(network));
        blocking(move || {
            let record = container.record();
            let mode = NetworkMode::of(&record.host_config)?;
            let all = engine.joined(&record.networks, &mode)?;
            let before = lock(&container.place).clone();
            let mut place = before.clone();
            let mut names = place.endpoints.values().map(|e| e.inside.clone()).collect();
            let one = all.iter().find(|j| j.network.id == network.id);
            let one = one.ok_or_else(|| Error::NoSuchNetwork(network.name.clone()))?;
            let endpoint = engine.plug(&record, one, netns.as_fd(), &mut names, [false; 2])?;
            sys::failpoint!("engine.network.plugged");
            place.endpoints.insert(network.id.clone(), endpoint.clone());
            let settled = engine.settle_place(&container, &all, place, &netns);
            let settled = settled.and_then(|()| engine.name_joined(&container, &network));
            if settled.is_err() {
                // What can be taken back is; what cannot is said once. Ports and ways out first: the
                // address may be another's in a moment.
                let _ = engine.settle_place(&container, &all, before, &netns);
                let _ = engine.name_left(&container, &network);
                let _ = engine.unplug(&container.id, &network, &netns, &endpoint);
            }
            settled
        })
        .await
    }

    /// Makes the networks of a container that runs those of its record, which a daemon's death in the
    /// middle of a change may have kept apart.
    pub(crate) async fn reconcile_networks(self: &Arc<Self>, container: &Arc<Container>) {
        let shared = container.with_record(|r| {
            let mode = NetworkMode::of(&r.host_config);
            matches!(
                mode,
                Err(_) | Ok(NetworkMode::Host | NetworkMode::Container(_))
            )
        });
        if shared {
            return;
        }
        let _wired = container.wired.lock().await;
        let wanted: Vec<String> = container.with_record(|r| r.networks.keys().cloned().collect());
        let present: Vec<String> = lock(&container.place).endpoints.keys().cloned().collect();
        for id in wanted.iter().filter(|id| !present.contains(id)) {
            let Some(network) = self.networks.get(id) else {
                continue;
            };
            let joined = self.join_now(container, &network).await;
            crate::end::log_failure(container, "it is not in one of its networks", joined);
        }
        for id in present.iter().filter(|id| !wanted.contains(id)) {
            let Some(network) = self.networks.get(id) else {
                continue;
            };
            let left = self.leave_now(container, &network).await;
            crate::end::log_failure(container, "it is still in a network", left);
        }
    }

    /// Takes a container out of a network.
    ///
    /// # Errors
    /// When it is not in it, or cannot leave it.
    pub async fn disconnect_network(
        self: &Arc<Self>,
        name: &str,
        wanted: NetworkDisconnect,
    ) -> Result<()> {
        let found = self.networks.find(name);
        let container = match self.find(&wanted.container) {
            Ok(container) => container,
            // A container that is gone is in no network any more.
            Err(_) if wanted.force && found.is_ok() => return Ok(()),
            Err(error) => return Err(found.err().unwrap_or(error)),
        };
        let _op = container.op.lock().await;
        if self
            .forget_attachment(&container, name, found.as_ref().ok())
            .await?
        {
            return Ok(());
        }
        let network = found?;
        if !container.with_record(|r| r.networks.contains_key(&network.id)) {
            return Err(Error::Forbidden(format!(
                "container {} is not connected to network {}",
                container.id, network.name
            )));
        }
        if network.name == "host" {
            return Err(Error::Invalid(
                "cannot disconnect container from host network - container was created in host \
                 network mode"
                    .into(),
            ));
        }
        let attachment = container.with_record(|r| r.networks.get(&network.id).cloned());
        let run = container.state().exits;
        let wired = container.wired.lock().await;
        self.save(&container, |r| _ = r.networks.remove(&network.id))
            .await?;
        let left = if *wired {
            self.leave_now(&container, &network).await
        } else {
            Ok(())
        };
        let live = *wired;
        drop(wired);
        if live && left.is_ok() {
            // The link is gone for the container, too, when this returns.
            let fabric = Arc::clone(&self.network);
            blocking(move || {
                fabric.settle();
                Ok(())
            })
            .await?;
        }
        if let Err(error) = left
            && !self.is_ending(&container, run).await
        {
            // It is in it still, and can leave it again.
            self.save(&container, |r| {
                let kept = attachment.map(|a| (network.id.clone(), a));
                r.networks.extend(kept);
            })
            .await?;
            return Err(error);
        }
        self.tell_of_network(&network, "disconnect", Some(&container.id));
        Ok(())
    }

    /// Takes a network that is gone out of the record of a container that does not run; whether there
    /// was such a one.
    async fn forget_attachment(
        self: &Arc<Self>,
        container: &Arc<Container>,
        name: &str,
        found: Option<&Arc<NetworkRecord>>,
    ) -> Result<bool> {
        let gone = container.with_record(|r| {
            let mut all = r.networks.iter();
            let known = found.is_some_and(|n| r.networks.contains_key(&n.id));
            let ours = |(id, a): &(&String, &Attachment)| {
                !known && (a.name == name || *id == name) && self.networks.get(id).is_none()
            };
            all.find(ours).map(|(id, _)| id.clone())
        });
        let Some(id) = gone.filter(|_| !container.state().is_running()) else {
            return Ok(false);
        };
        self.save(container, |r| _ = r.networks.remove(&id)).await?;
        Ok(true)
    }

    /// The part of [`Engine::disconnect_network`] that concerns a container that runs, whose `wired`
    /// lock the caller holds.
    async fn leave_now(
        self: &Arc<Self>,
        container: &Arc<Container>,
        network: &Arc<NetworkRecord>,
    ) -> Result<()> {
        let netns = self.netns_of(container)?;
        let (engine, container, network) =
            (Arc::clone(self), Arc::clone(container), Arc::clone(network));
        blocking(move || {
            let record = container.record();
            let all = engine.joined(&record.networks, &NetworkMode::of(&record.host_config)?)?;
            let mut place = lock(&container.place).clone();
            let Some(endpoint) = place.endpoints.remove(&network.id) else {
                return Ok(());
            };
            let before = lock(&container.place).clone();
            // Ports and ways out first: the address may be another's in a moment.
            if let Err(error) = engine.settle_place(&container, &all, place, &netns) {
                let _ = engine.settle_place(&container, &all, before, &netns);
                return Err(error);
            }
            engine.name_left(&container, &network)?;
            engine.unplug(&container.id, &network, &netns, &endpoint)?;
            sys::failpoint!("engine.network.unplugged");
            Ok(())
        })
        .await
    }

    /// Takes a container's end out of its namespace, and then frees its addresses.
    fn unplug(
        &self,
        id: &str,
        network: &NetworkRecord,
        netns: &OwnedFd,
        endpoint: &network::Endpoint,
    ) -> Result<()> {
        let unplugged = self.network.unplug(id, netns.as_fd(), endpoint);
        self.network.disconnect(&network.id, id)?;
        Ok(unplugged?)
    }

    /// Makes the ways out, published ports, names and notes of a container that runs those of its new
    /// place.
    fn settle_place(
        &self,
        container: &Container,
        joined: &[choose::Joined],
        mut place: Place,
        netns: &OwnedFd,
    ) -> Result<()> {
        let present: Vec<choose::Joined> = joined
            .iter()
            .filter(|j| place.endpoints.contains_key(&j.network.id))
            .cloned()
            .collect();
        let gateways = choose::gateways(&present);
        // First of all: ports may be refused.
        let record = container.record();
        let requests = ports::requests(&record.config, &record.host_config)?;
        let ways = wire::ways(&present, gateways)?;
        self.network
            .change_ports(&container.id, &ways, &requests, &ByShim(self, container))
            .map_err(|e| self.with_names(e))?;
        let out =
            gateways.map(|at| at.and_then(|at| place.endpoints.get(&present.get(at)?.network.id)));
        self.network.route_by(&container.id, netns.as_fd(), out)?;
        let target = wire::target(&present, gateways, &place.endpoints)?;
        place.published = self.network.publish(&container.id, target)?;
        self.relays
            .changed(&container.id, &place.published, &container.run_dir);
        let (hostname, domain) = (record.hostname().to_owned(), &record.config.domainname);
        let before = lock(&container.place).addresses();
        // Its user may have taken the file away.
        let written =
            files::readdress_own(container, &before, &place.addresses(), &hostname, domain);
        crate::end::log_failure(container, "the hosts file stays", written);
        start::change_run(container, |run| {
            run.endpoints.clone_from(&place.endpoints);
            run.published = place.published.clone();
        })?;
        *lock(&container.place) = place;
        Ok(())
    }

    /// The network namespace of a container that runs.
    fn netns_of(&self, container: &Container) -> Result<OwnedFd> {
        self.open_namespace(&container.id, sys::namespace::Kind::Network, "network")
    }
}

/// Whether a container can be in networks of this kind at all, beside those that it is in.
fn joinable(container: &Container, network: &NetworkRecord) -> Result<()> {
    let (mode, others): (_, Vec<String>) = container.with_record(|r| {
        let names = r.networks.values().map(|a| a.name.clone());
        (NetworkMode::of(&r.host_config), names.collect())
    });
    let mode = mode?;
    let only = |text: &str| Err(Error::Invalid(text.to_owned()));
    if mode != NetworkMode::Host && network.name == "host" {
        return only(
            "cannot connect container to host network - container must be created in host network \
             mode",
        );
    }
    if matches!(mode, NetworkMode::Host | NetworkMode::Container(_)) {
        return only(
            "container sharing network namespace with another container or host cannot be \
             connected to any other network",
        );
    }
    if !others.is_empty() && (network.name == "none" || others.iter().any(|o| o == "none")) {
        return only(
            "container cannot be connected to multiple networks with one of the networks in \
             private (none) mode",
        );
    }
    Ok(())
}
