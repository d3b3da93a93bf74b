//! Networks of the user's own: what goes through them, and what it takes to change them.

use std::net::SocketAddr;
use std::time::Duration;

use testkit::images;

use crate::{
    Bench,
    measure::{
        self, Peer,
        traffic::{Kind, Place},
    },
    table::Row,
};

/// Traffic between two containers on a bridge, and to a published port.
pub(crate) fn traffic(bench: &Bench) -> Vec<Row> {
    for peer in &bench.peers {
        peer.daemon.load(&images::traffic_tar());
        let docker = peer.daemon.docker();
        docker.ok("network create talk");
        docker.ok("run -d --name server --network talk -p 8000:8000 traffic");
        docker.ok("run -d --name client --network talk traffic");
    }
    let paths = [
        ("two containers on one bridge", Place::Container, "as fast"),
        (
            "published port, from another network namespace",
            Place::Outside,
            "as fast",
        ),
        ("published port, 127.0.0.1", Place::Host, "a third"),
    ];
    let mut rows = Vec::new();
    for (path, from, goal) in paths {
        for (what, kind) in [
            ("1 GB", Kind::Stream),
            ("a round trip", Kind::Trips),
            ("1,000 connections", Kind::Connects),
        ] {
            // The proxy that we are compared with on 127.0.0.1 is slow in what it copies.
            let goal = match kind {
                Kind::Stream => goal,
                _ => "as fast",
            };
            let mut row = Row::new(&format!("{what}: {path}"), goal);
            let mut times = vec![Vec::new(); bench.peers.len()];
            for _ in 0..bench.runs {
                for (peer, times) in bench.peers.iter().zip(&mut times) {
                    times.push(peer.traffic(bench.lan.outside(), &from, kind, server(peer, &from)));
                }
            }
            for times in &times {
                match kind {
                    Kind::Trips => row.micros(times),
                    _ => row.times(times),
                }
            }
            rows.push(row);
        }
    }
    for peer in &bench.peers {
        peer.daemon.docker().ok("rm -f server client");
        peer.daemon.docker().ok("network rm talk");
    }
    rows
}

/// Where the server is found from there.
fn server(peer: &Peer, from: &Place) -> SocketAddr {
    let address = match from {
        Place::Container => {
            let server = peer.daemon.inspect("server");
            let ip = server["NetworkSettings"]["Networks"]["talk"]["IPAddress"].as_str();
            ip.and_then(|ip| ip.parse().ok())
                .expect("the server has an address")
        }
        Place::Outside => peer.daemon.host().address(),
        Place::Host => [127, 0, 0, 1].into(),
    };
    SocketAddr::new(address, 8000)
}

/// Many networks, and many containers on one.
pub(crate) fn changes(bench: &Bench) -> Vec<Row> {
    let networks = bench.count / 10;
    let containers = bench.count / 5;
    let mut rows = [
        Row::new(&format!("{networks} networks created, one API client"), ""),
        Row::new(&format!("`docker network rm` of these {networks}"), ""),
        Row::new(
            &format!("{containers} running containers connected to one network, one API client"),
            "",
        ),
    ];
    let mut times = vec![[(); 3].map(|()| Vec::new()); bench.peers.len()];
    for peer in &bench.peers {
        for batch in (0..containers).step_by(50) {
            peer.start_range(batch..(batch + 50).min(containers));
        }
    }
    for _ in 0..bench.rounds {
        for (peer, times) in bench.peers.iter().zip(&mut times) {
            times[0].push(measure::time(|| peer.create_networks(networks)));
            times[1].push(measure::time(|| peer.remove_networks(networks)));
            peer.create_wide_network();
            times[2].push(measure::time(|| peer.connect_many(containers)));
            peer.disconnect_many(containers);
            peer.daemon.docker().ok("network rm wide");
        }
    }
    for (times, peer) in times.iter().zip(&bench.peers) {
        rows.iter_mut()
            .zip(times)
            .for_each(|(row, times)| row.times(times));
        peer.remove_many(containers);
    }
    rows.into()
}

/// A container with one port, and with a range of a thousand.
pub(crate) fn ports(bench: &Bench) -> Vec<Row> {
    let ranges = [
        (
            "`run -d` with one published port, own CLI",
            "20000:20000",
            "",
        ),
        (
            "`run -d` with 1,000 published ports (a range), own CLI",
            "20000-20999:20000-20999",
            "50 ms more than with one",
        ),
    ];
    let mut times = vec![[(); 2].map(|()| Vec::<Duration>::new()); bench.peers.len()];
    for _ in 0..bench.rounds {
        for (peer, times) in bench.peers.iter().zip(&mut times) {
            for ((_, range, _), times) in ranges.iter().zip(times) {
                let line = format!("run -d --name ports -p {range} busybox sleep 100000");
                times.push(measure::time(|| measure::patiently(&peer.cli(), &line)));
                measure::patiently(&peer.daemon.docker(), "rm -f ports");
            }
        }
    }
    let rows = ranges.iter().enumerate().map(|(at, (what, _, goal))| {
        let mut row = Row::new(what, goal);
        times.iter().for_each(|times| row.times(&times[at]));
        row
    });
    rows.collect()
}
