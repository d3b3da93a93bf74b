//! What goes through an engine's networks, and changes of many of them.

use std::{net::SocketAddr, process::Command, time::Duration};

use serde_json::json;
use testkit::{Ns, images};

use super::Peer;

/// Where the client is.
pub(crate) enum Place {
    /// In the container `client`.
    Container,
    Outside,
    /// On the engine's own host.
    Host,
}

/// What it does.
#[derive(Clone, Copy)]
pub(crate) enum Kind {
    Stream,
    Trips,
    Connects,
}

/// How long a client goes on, in milliseconds.
const TIME: u32 = 500;

impl Peer {
    /// How long a gigabyte takes, a round trip of one byte (the median), a thousand connections.
    pub(crate) fn traffic(
        &self,
        outside: &Ns,
        from: &Place,
        kind: Kind,
        to: SocketAddr,
    ) -> Duration {
        let what = match kind {
            Kind::Stream => "stream",
            Kind::Trips => "trips",
            Kind::Connects => "connects",
        };
        let line = format!("{what} {to} {TIME}");
        let mut client = Command::new(images::traffic());
        client.args(line.split(' '));
        let told = match from {
            Place::Container => {
                let docker = self.daemon.docker();
                docker.ok(&format!("exec client traffic {line}"))
            }
            Place::Outside => outside.run(&mut client).ok(),
            Place::Host => self.daemon.host().run(&mut client).ok(),
        };
        let first = told.split_whitespace().next();
        let number: f64 = first
            .and_then(|n| n.parse().ok())
            .unwrap_or_else(|| panic!("a number: {told}"));
        Duration::from_secs_f64(match kind {
            // From gigabits a second.
            Kind::Stream => 8.0 / number,
            Kind::Trips => number / 1e6,
            Kind::Connects => 1e3 / number,
        })
    }

    /// Creates so many networks, each with a range that no engine's pools have.
    pub(crate) fn create_networks(&self, count: usize) {
        let api = self.daemon.api();
        for n in 0..count {
            let subnet = format!("10.200.{n}.0/24");
            let body = json!({
                "Name": format!("many-{n}"),
                "Driver": "bridge",
                "IPAM": {"Config": [{"Subnet": subnet}]},
            });
            api.post("/networks/create", Some(&body)).expect(201);
        }
    }

    pub(crate) fn remove_networks(&self, count: usize) {
        let line = format!("network rm {}", super::many(count));
        super::patiently(&self.daemon.docker(), &line);
    }

    /// A network with room for many containers.
    pub(crate) fn create_wide_network(&self) {
        self.daemon
            .docker()
            .ok("network create --subnet 10.201.0.0/16 wide");
    }

    /// Connects the first `count` numbered containers to it.
    pub(crate) fn connect_many(&self, count: usize) {
        let api = self.daemon.api();
        for n in 0..count {
            let body = json!({"Container": format!("many-{n}")});
            api.post("/networks/wide/connect", Some(&body)).expect(200);
        }
    }

    pub(crate) fn disconnect_many(&self, count: usize) {
        let api = self.daemon.api();
        for n in 0..count {
            let body = json!({"Container": format!("many-{n}"), "Force": true});
            let path = "/networks/wide/disconnect";
            api.post(path, Some(&body)).expect(200);
        }
    }
}
