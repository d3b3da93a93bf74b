//! Prints how long connecting and disconnecting take, one at a time and from several threads.
//! Needs root; works in namespaces of its own.

use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use network::{Config, Network, PortRequest, Proto, Request};
use sys::netns;

fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let host = netns::create()?;
    netns::inside(host.as_fd(), run)?
}

fn run() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let net = Network::open(&Config::default())?;
    let began = Instant::now();
    let spaces: Vec<OwnedFd> = (0..200)
        .map(|_| netns::create())
        .collect::<Result<_, _>>()?;
    println!("namespace: {:?} each", began.elapsed() / 200);
    for (what, port) in [("no port", None), ("a port", Some(20_000))] {
        let (mut on, mut off) = (Vec::new(), Vec::new());
        for (i, ns) in spaces.iter().enumerate() {
            let id = format!("{what} {i}");
            let began = Instant::now();
            let connected = net.connect(&id, ns.as_fd(), &request(port))?;
            on.push(began.elapsed());
            drop(connected);
            let began = Instant::now();
            net.disconnect(&id)?;
            off.push(began.elapsed());
        }
        println!("{what}: connect {}; disconnect {}", spread(on), spread(off));
    }
    let began = Instant::now();
    let times = std::thread::scope(|scope| {
        let threads: Vec<_> = spaces
            .chunks(spaces.len().div_ceil(8))
            .enumerate()
            .map(|(t, part)| {
                let net = &net;
                scope.spawn(move || {
                    let one = |(i, ns): (usize, &OwnedFd)| {
                        let began = Instant::now();
                        let port = Some(21_000 + (t * 100 + i) as u16);
                        net.connect(&format!("{t}-{i}"), ns.as_fd(), &request(port))
                            .map(drop)?;
                        Ok(began.elapsed())
                    };
                    part.iter()
                        .enumerate()
                        .map(one)
                        .collect::<network::Result<Vec<_>>>()
                })
            })
            .collect();
        threads
            .into_iter()
            .flat_map(|t| t.join())
            .collect::<network::Result<Vec<_>>>()
    })?;
    let all: Vec<Duration> = times.into_iter().flatten().collect();
    println!(
        "8 threads: {} connects in {:?}; each {}",
        all.len(),
        began.elapsed(),
        spread(all)
    );
    net.teardown()?;
    Ok(())
}

fn request(port: Option<u16>) -> Request {
    let ports = port.map(|p| PortRequest {
        proto: Proto::Tcp,
        host_ip: None,
        host_port: Some(p..=p),
        container_port: 80,
    });
    Request {
        ports: ports.into_iter().collect(),
        ..Request::default()
    }
}

fn spread(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[(times.len() - 1) * percent / 100];
    format!("p50 {:?}, p95 {:?}, max {:?}", at(50), at(95), at(100))
}
