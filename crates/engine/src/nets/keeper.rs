//! A container's shim keeps the sockets of its published ports; the relay has copies.

use std::{net::SocketAddr, os::fd::OwnedFd};

use network::{Keeper, PublishedPort};
use runtime::protocol::{BoundTo, ErrorReason};

use crate::{Engine, container::Container, sync::lock};

/// The shim of a container that runs.
pub(super) struct ByShim<'a>(pub &'a Engine, pub &'a Container);

impl Keeper for ByShim<'_> {
    fn keep(&self, sockets: &[OwnedFd]) -> Result<(), String> {
        self.hold(sockets, Vec::new())
    }

    fn release(&self, ports: &[PublishedPort]) -> Result<(), String> {
        if ports.iter().any(|p| p.host_ip.is_ipv6()) {
            let mut left = lock(&self.1.place).published.clone();
            left.ports.retain(|p| !ports.contains(p));
            self.0.relays.changed(&self.1.id, &left, &self.1.run_dir);
        }
        let bound = ports.iter().map(|p| BoundTo {
            protocol: p.proto.number(),
            address: SocketAddr::new(p.host_ip, p.host_port),
        });
        self.hold(&[], bound.collect())
    }
}

impl ByShim<'_> {
    fn hold(&self, sockets: &[OwnedFd], release: Vec<BoundTo>) -> Result<(), String> {
        let held = runtime::client::connect(&self.1.run_dir)
            .and_then(|mut shim| shim.hold(sockets, release));
        held.map_err(|error| match error {
            runtime::Error::Refused {
                reason: ErrorReason::Message,
                ..
            } => "an older version of wharf started it; restart the container".to_owned(),
            error => error.to_string(),
        })
    }
}
