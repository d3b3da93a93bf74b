//! A name server, containers that ask it, and what is asked and said.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::process::{Child, Command};
use std::thread;
use std::time::{Duration, Instant};

use domain::base::iana::{Rcode, Rtype};
use domain::base::message_builder::MessageBuilder;
use domain::base::{Message, Name};
use domain::rdata::{A, Aaaa, Ptr};
use resolver::{Asker, AskerFds, Client, Endpoint, Network, Origin, Subnet, Upstream};
use sys::netns;

/// How long something that must come is waited for at most.
pub(crate) const PASSES: Duration = Duration::from_secs(20);

/// A name server of the test's own.
pub(crate) struct Server {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) process: Child,
}

impl Server {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let process = start(dir.path().join("c"), dir.path().join("s"));
        let server = Self { dir, process };
        server.wait();
        server
    }

    fn wait(&self) {
        until("the name server to listen", || self.try_client().is_some());
    }

    fn try_client(&self) -> Option<Client> {
        Client::connect(&self.dir.path().join("c")).ok()
    }

    pub(crate) fn client(&self) -> Client {
        self.try_client().unwrap()
    }

    /// Kills it and starts another one.
    pub(crate) fn restart(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.process = start(self.dir.path().join("c"), self.dir.path().join("s"));
        let pid = self.process.id();
        until("another name server to listen", || {
            self.try_client()
                .is_some_and(|mut c| c.status().is_ok_and(|s| s.pid == pid))
        });
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn start(control: PathBuf, state: PathBuf) -> Child {
    Command::new(env!("CARGO_BIN_EXE_wharf-dns"))
        .arg("--control")
        .arg(control)
        .arg("--state")
        .arg(state)
        .spawn()
        .unwrap()
}

/// A container: a network namespace in which 127.0.0.11 answers.
pub(crate) struct Container {
    pub(crate) namespace: OwnedFd,
    pub(crate) address: SocketAddr,
}

impl Container {
    /// Makes one and hands its sockets over.
    pub(crate) fn new(server: &Server, asker: &Asker) -> Self {
        let namespace = netns::create().unwrap();
        let (fds, address) = sockets(&namespace);
        server.client().set_asker(asker, &fds).unwrap();
        Self { namespace, address }
    }

    pub(crate) fn udp(&self) -> UdpSocket {
        let socket = within(&self.namespace, || UdpSocket::bind("127.0.0.1:0").unwrap());
        socket.connect(self.address).unwrap();
        socket.set_read_timeout(Some(PASSES)).unwrap();
        socket
    }

    pub(crate) fn tcp(&self) -> TcpStream {
        let stream = within(&self.namespace, || {
            TcpStream::connect(self.address).unwrap()
        });
        stream.set_read_timeout(Some(PASSES)).unwrap();
        stream
    }

    /// Asks by UDP.
    pub(crate) fn ask(&self, name: &str, kind: Rtype) -> Said {
        self.ask_message(&query(7, name, kind, None))
    }

    pub(crate) fn ask_message(&self, message: &[u8]) -> Said {
        let socket = self.udp();
        socket.send(message).unwrap();
        let mut buf = vec![0; 65_536];
        let len = socket.recv(&mut buf).unwrap();
        Said::new(&buf[..len])
    }

    /// The IPv4 addresses of a name, sorted.
    pub(crate) fn a(&self, name: &str) -> Vec<String> {
        let mut all = self.ask(name, Rtype::A).records;
        all.sort();
        all
    }
}

/// Sockets for an asker, and where they listen.
pub(crate) fn sockets(namespace: &OwnedFd) -> (AskerFds, SocketAddr) {
    let here = (Ipv4Addr::new(127, 0, 0, 11), 0);
    within(namespace, || {
        loop {
            let udp = UdpSocket::bind(here).unwrap();
            let address = udp.local_addr().unwrap();
            let Ok(tcp) = TcpListener::bind(address) else {
                continue;
            };
            let fds = AskerFds {
                udp: Some(udp.into()),
                tcp: Some(tcp.into()),
                namespace: Some(netns::current().unwrap()),
                life: None,
            };
            return (fds, address);
        }
    })
}

/// What was said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) id: u16,
    pub(crate) rcode: Rcode,
    pub(crate) tc: bool,
    /// Addresses and names.
    pub(crate) records: Vec<String>,
    pub(crate) edns: Option<u16>,
    pub(crate) bytes: Vec<u8>,
}

impl Said {
    pub(crate) fn new(bytes: &[u8]) -> Self {
        let message = Message::from_octets(bytes).unwrap();
        assert!(message.header().qr());
        let mut records = Vec::new();
        for record in message.answer().unwrap() {
            let record = record.unwrap();
            if let Ok(Some(a)) = record.to_record::<A>() {
                records.push(a.data().addr().to_string());
            } else if let Ok(Some(aaaa)) = record.to_record::<Aaaa>() {
                records.push(aaaa.data().addr().to_string());
            } else if let Ok(Some(ptr)) = record.to_record::<Ptr<_>>() {
                records.push(ptr.data().ptrdname().to_string());
            } else {
                records.push(format!("type {}", record.rtype().to_int()));
            }
        }
        Self {
            id: message.header().id(),
            rcode: message.header().rcode(),
            tc: message.header().tc(),
            records,
            edns: message.opt().map(|opt| opt.udp_payload_size()),
            bytes: bytes.to_vec(),
        }
    }
}

pub(crate) fn query(id: u16, name: &str, kind: Rtype, edns: Option<u16>) -> Vec<u8> {
    let mut builder = MessageBuilder::new_vec();
    builder.header_mut().set_id(id);
    builder.header_mut().set_rd(true);
    let mut question = builder.question();
    let name = Name::<Vec<u8>>::vec_from_str(name).unwrap();
    question.push((name, kind)).unwrap();
    let mut additional = question.additional();
    if let Some(size) = edns {
        additional
            .opt(|opt| {
                opt.set_udp_payload_size(size);
                Ok(())
            })
            .unwrap();
    }
    additional.finish()
}

pub(crate) fn endpoint(names: &[&str], addresses: &[&str]) -> Endpoint {
    Endpoint {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
    }
}

/// A network 10.N.0.0/24.
pub(crate) fn network(id: &str, second: u8, endpoints: &[(&str, Endpoint)]) -> Network {
    Network {
        id: id.to_owned(),
        name: format!("{id}_default"),
        subnets: vec![Subnet {
            address: IpAddr::from([10, second, 0, 0]),
            prefix: 24,
        }],
        endpoints: endpoints
            .iter()
            .map(|(key, e)| ((*key).to_owned(), e.clone()))
            .collect(),
    }
}

/// A network of 250 containers that share a name; each has one of its own, too: `c0`, `c1` …
pub(crate) fn crowd(shared: &str) -> Network {
    let mut all = network("front", 1, &[]);
    for n in 0..250 {
        let (name, address) = (format!("c{n}"), format!("10.1.0.{n}"));
        let one = endpoint(&[&name, shared], &[&address]);
        all.endpoints.insert(name, one);
    }
    all
}

pub(crate) fn asker(id: &str, networks: &[&str], upstreams: &[SocketAddr]) -> Asker {
    Asker {
        id: id.to_owned(),
        networks: networks.iter().map(|n| (*n).to_owned()).collect(),
        forward: true,
        upstreams: upstreams
            .iter()
            .map(|address| Upstream {
                address: *address,
                origin: Origin::Host,
            })
            .collect(),
        ..Asker::default()
    }
}

pub(crate) fn within<T: Send>(ns: &OwnedFd, work: impl FnOnce() -> T + Send) -> T {
    netns::inside(ns.as_fd(), work).unwrap()
}

pub(crate) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let since = Instant::now();
    while !done() {
        assert!(since.elapsed() < PASSES, "waited in vain for {what}");
        thread::sleep(Duration::from_millis(2));
    }
}
