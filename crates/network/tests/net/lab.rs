//! A host, an outside behind it, and containers: namespaces that vanish with their descriptors.

use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use network::{
    AddressSpace, Bridge, Definition, Driver, Endpoint, Fabric, Living, Pool, PortRequest, Proto,
    Published, PublishedPort, Request, Target, Way,
};
use sys::netlink::{self, Address, Batch, LinkChange, Socket};
use sys::netns;

/// The host's address towards the outside.
pub(crate) const HOST: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// The outside's address.
pub(crate) const OUTSIDE: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 2);
pub(crate) const LOCALHOST: Ipv4Addr = Ipv4Addr::LOCALHOST;

/// How long something that must not pass is waited for.
const BLOCKED: Duration = Duration::from_millis(400);
/// How long something that must pass is waited for at most.
const PASSES: Duration = Duration::from_secs(10);

pub(crate) struct Lab {
    pub(crate) host: OwnedFd,
    pub(crate) outside: OwnedFd,
}

impl Lab {
    pub(crate) fn new() -> Self {
        let lab = Self {
            host: netns::create().unwrap(),
            outside: netns::create().unwrap(),
        };
        let (name, mac) = ("up0", [2, 0, 0, 0, 0, 2]);
        within(&lab.host, || {
            let mut batch = Batch::new();
            netlink::create_veth(&mut batch, name, name, lab.outside.as_fd(), mac, None);
            Socket::route().unwrap().all(&mut batch).unwrap();
        });
        for (ns, ip) in [(&lab.outside, OUTSIDE), (&lab.host, HOST)] {
            within(ns, || {
                let mut socket = Socket::route().unwrap();
                let link = netlink::get_link(&mut socket, name).unwrap().unwrap().index;
                let mut batch = Batch::new();
                netlink::new_address(
                    &mut batch,
                    Address {
                        link,
                        ip: ip.into(),
                        prefix: 24,
                    },
                );
                let up = LinkChange {
                    up: true,
                    ..LinkChange::default()
                };
                netlink::change_link(&mut batch, name, up);
                socket.all(&mut batch).unwrap();
            });
        }
        for ns in [&lab.outside, &lab.host] {
            until("the uplink to come up", || {
                within(ns, || {
                    let mut socket = Socket::route().unwrap();
                    netlink::get_link(&mut socket, name).unwrap().unwrap().ready
                })
            });
        }
        lab
    }

    pub(crate) fn open(&self, config: &Config) -> Network {
        within(&self.host, || Network::open(config)).unwrap()
    }

    /// A container with these ports published.
    pub(crate) fn container(&self, net: &Network, id: &str, ports: &[PortRequest]) -> Container {
        self.try_container(net, id, ports, &Request::default())
            .unwrap()
    }

    pub(crate) fn try_container(
        &self,
        net: &Network,
        id: &str,
        ports: &[PortRequest],
        request: &Request,
    ) -> network::Result<Container> {
        let ns = netns::create().unwrap();
        let connected = within(&self.host, || net.connect(id, ns.as_fd(), ports, request))?;
        Ok(Container {
            id: id.to_owned(),
            ns,
            connected,
        })
    }

    pub(crate) fn nft(&self, command: &str) -> String {
        run(&self.host, &format!("nft {command}"))
    }
}

/// How a network is set up.
#[derive(Default)]
pub(crate) struct Config {
    pub(crate) bip: Option<String>,
    pub(crate) bridge: Option<String>,
    pub(crate) pools: Vec<Pool>,
    pub(crate) no_icc: bool,
    pub(crate) integrate: bool,
    pub(crate) mtu: Option<u32>,
}

/// A daemon's networks, of which most tests need the default one.
pub(crate) struct Network {
    pub(crate) fabric: std::sync::Arc<Fabric>,
    pub(crate) definition: Definition,
}

/// The default network's identifier.
pub(crate) const ID: &str = "default";

impl Network {
    /// As a daemon does it that starts, up to [`Network::restore`].
    pub(crate) fn open(config: &Config) -> network::Result<Self> {
        let link = config.bridge.as_deref().unwrap_or("wharf0");
        let fabric = Fabric::open(&network::Config {
            table: network::Config::table_of(link),
            pools: config.pools.clone(),
            integrate: config.integrate,
            leaves_forwarding: false,
        })?;
        let subnet = fabric.default_subnet(
            link,
            &network::DefaultSubnet {
                ipv4: true,
                address: config.bip.as_deref(),
                range: None,
                seed: 0,
            },
            &[],
        )?;
        let bridge = Bridge {
            icc: !config.no_icc,
            ..Bridge::new(link)
        };
        let definition = Definition {
            id: ID.to_owned(),
            name: "bridge".to_owned(),
            driver: Driver::Bridge(bridge),
            spaces: vec![AddressSpace::of(subnet)],
            internal: false,
            mtu: config.mtu,
        };
        fabric.add(&definition)?;
        Ok(Self {
            fabric: fabric.into(),
            definition,
        })
    }

    pub(crate) fn connect(
        &self,
        id: &str,
        netns: std::os::fd::BorrowedFd<'_>,
        ports: &[PortRequest],
        request: &Request,
    ) -> network::Result<Connected> {
        let (ports, held) = self
            .fabric
            .reserve_ports(id, &[Some(Way::ANY), None], ports)?;
        let request = Request {
            default_route: [true; 2],
            ..request.clone()
        };
        let connect = || {
            let endpoint = self.fabric.connect(ID, id, netns, &request)?;
            let target = Target {
                ip: endpoint.ip,
                ..Target::default()
            };
            self.fabric.publish(id, target)?;
            Ok(endpoint)
        };
        match connect() {
            Ok(endpoint) => Ok(Connected {
                endpoint,
                ports,
                _held: held,
            }),
            Err(e) => {
                self.fabric.forget(id)?;
                Err(e)
            }
        }
    }

    pub(crate) fn subnet(&self) -> network::Subnet {
        self.definition.spaces[0].subnet
    }

    pub(crate) fn disconnect(&self, id: &str) -> network::Result<()> {
        self.fabric.forget(id)
    }

    pub(crate) fn restore(&self, live: &[&Container]) -> network::Result<()> {
        let live: Vec<Living> = live.iter().map(|c| living(c)).collect();
        self.fabric.restore(&live)
    }
}

/// A container as its daemon would find it again.
pub(crate) fn living(c: &Container) -> Living {
    Living {
        id: c.id.clone(),
        endpoints: vec![(ID.to_owned(), c.connected.endpoint.clone())],
        published: Published {
            ports: c.connected.ports.clone(),
            target: Target {
                ip: c.connected.endpoint.ip,
                ..Target::default()
            },
        },
    }
}

impl std::ops::Deref for Network {
    type Target = std::sync::Arc<Fabric>;

    fn deref(&self) -> &Self::Target {
        &self.fabric
    }
}

/// What a container got.
pub(crate) struct Connected {
    pub(crate) endpoint: Endpoint,
    pub(crate) ports: Vec<PublishedPort>,
    /// Kept open for the ports.
    _held: Vec<OwnedFd>,
}

pub(crate) struct Container {
    pub(crate) id: String,
    pub(crate) ns: OwnedFd,
    pub(crate) connected: Connected,
}

impl Container {
    pub(crate) fn ip(&self) -> Ipv4Addr {
        self.connected.endpoint.ip.unwrap()
    }

    /// The host's port of its first publication.
    pub(crate) fn port(&self) -> u16 {
        self.connected.ports[0].host_port
    }
}

pub(crate) fn publish(proto: Proto, host_ip: Option<&str>, host: u16, inside: u16) -> PortRequest {
    PortRequest {
        proto,
        host_ip: host_ip.map(|ip| ip.parse().unwrap()),
        host_port: (host != 0).then_some(host..=host),
        container_port: inside,
    }
}

pub(crate) fn tcp(host: u16, inside: u16) -> PortRequest {
    publish(Proto::Tcp, None, host, inside)
}

pub(crate) fn udp(host: u16, inside: u16) -> PortRequest {
    publish(Proto::Udp, None, host, inside)
}

pub(crate) fn within<T: Send>(ns: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    netns::inside(ns.as_fd(), work).unwrap()
}

/// Runs a shell command in the namespace; its output.
pub(crate) fn run(ns: &OwnedFd, command: &str) -> String {
    let out = within(ns, || {
        Command::new("sh").args(["-c", command]).output().unwrap()
    });
    assert!(
        out.status.success(),
        "{command}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).unwrap()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PASSES, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// A TCP server in the namespace that tells each client `name` and the client's address as it
/// sees it, then echoes.
pub(crate) fn serve_tcp(ns: &OwnedFd, address: &str, name: &'static str) {
    let listener = within(ns, || TcpListener::bind(address)).unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { break };
            thread::spawn(move || -> io::Result<()> {
                writeln!(stream, "{name} {}", stream.peer_addr()?.ip())?;
                let mut buf = [0; 512];
                loop {
                    let n = stream.read(&mut buf)?;
                    if n == 0 {
                        return Ok(());
                    }
                    stream.write_all(&buf[..n])?;
                }
            });
        }
    });
}

/// The same for UDP: each packet is answered with `name` and its sender's address.
pub(crate) fn serve_udp(ns: &OwnedFd, address: &str, name: &'static str) {
    let socket = within(ns, || UdpSocket::bind(address)).unwrap();
    thread::spawn(move || {
        let mut buf = [0; 512];
        while let Ok((_, from)) = socket.recv_from(&mut buf) {
            let _ = socket.send_to(format!("{name} {}", from.ip()).as_bytes(), from);
        }
    });
}

fn connect(ns: &OwnedFd, to: SocketAddr, timeout: Duration) -> io::Result<TcpStream> {
    let stream = within(ns, || TcpStream::connect_timeout(&to, timeout))?;
    stream.set_read_timeout(Some(timeout))?;
    Ok(stream)
}

fn line(stream: &mut TcpStream) -> io::Result<String> {
    let mut text = String::new();
    let mut byte = [0];
    while stream.read(&mut byte)? == 1 && byte[0] != b'\n' {
        text.push(char::from(byte[0]));
    }
    Ok(text)
}

/// A connection that must come about, and what the server said: name and client's address.
pub(crate) fn dial(ns: &OwnedFd, ip: Ipv4Addr, port: u16) -> (TcpStream, String) {
    let mut stream = connect(ns, (ip, port).into(), PASSES)
        .unwrap_or_else(|e| panic!("connecting to {ip}:{port}: {e}"));
    let said = line(&mut stream).unwrap_or_else(|e| panic!("reading from {ip}:{port}: {e}"));
    (stream, said)
}

pub(crate) fn says(ns: &OwnedFd, ip: Ipv4Addr, port: u16) -> String {
    dial(ns, ip, port).1
}

pub(crate) fn echoes(stream: &mut TcpStream) {
    stream.write_all(b"still here\n").unwrap();
    assert_eq!(line(stream).unwrap(), "still here");
}

/// Whether a TCP connection is refused or goes unanswered.
pub(crate) fn is_blocked(ns: &OwnedFd, ip: Ipv4Addr, port: u16) -> bool {
    match connect(ns, (ip, port).into(), BLOCKED) {
        // A held port could answer before it reads; only an answer of a server counts.
        Ok(mut stream) => line(&mut stream).unwrap_or_default().is_empty(),
        Err(_) => true,
    }
}

fn ask(ns: &OwnedFd, ip: Ipv4Addr, port: u16, timeout: Duration) -> Option<String> {
    let socket = within(ns, || UdpSocket::bind("0.0.0.0:0")).unwrap();
    ask_from(&socket, ip, port, timeout)
}

pub(crate) fn ask_from(
    socket: &UdpSocket,
    ip: Ipv4Addr,
    port: u16,
    timeout: Duration,
) -> Option<String> {
    socket.set_read_timeout(Some(timeout)).unwrap();
    let mut buf = [0; 512];
    socket.send_to(b"?", (ip, port)).ok()?;
    let (n, from) = socket.recv_from(&mut buf).ok()?;
    assert_eq!(from, (ip, port).into(), "the answer came from elsewhere");
    Some(String::from_utf8_lossy(&buf[..n]).into_owned())
}

pub(crate) fn udp_says(ns: &OwnedFd, ip: Ipv4Addr, port: u16) -> String {
    ask(ns, ip, port, PASSES).unwrap_or_else(|| panic!("no answer from {ip}:{port}/udp"))
}

pub(crate) fn udp_is_blocked(ns: &OwnedFd, ip: Ipv4Addr, port: u16) -> bool {
    ask(ns, ip, port, BLOCKED).is_none()
}

/// What belongs to a network in the host's namespace: its links by name.
pub(crate) fn links(lab: &Lab) -> HashMap<String, netlink::Link> {
    let all = within(&lab.host, || netlink::links(&mut Socket::route().unwrap())).unwrap();
    all.into_iter().map(|l| (l.name.clone(), l)).collect()
}
