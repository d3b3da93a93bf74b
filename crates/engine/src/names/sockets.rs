//! A container's end of the name server: sockets on 127.0.0.11 and any free port, and a table that
//! leads what is sent to port 53 of that address there. Port 53 itself stays free for a name server
//! of the container's own.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use resolver::AskerFds;
use sys::{
    netlink::Socket,
    netns,
    nft::{Base, Family, Hook, PortOf, Rule, Transaction, Transport},
};

use super::Life;

/// Where a container finds its name server.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
pub(super) const PORT: u16 = 53;

/// The table in the container's namespace.
const TABLE: &str = "wharf_names";
const ASKED: &str = "asked";
const ANSWERED: &str = "answered";
/// The kernel's own place for noting connections is -200.
const BEFORE_TRACKING: i32 = -300;
const AFTER_TRACKING: i32 = -150;
/// A port that is free for UDP may be taken for TCP.
const ATTEMPTS: usize = 64;

/// Makes sockets inside a container's namespace and leads its questions there. Where it had others
/// (`again`), these take their place, also for a client that keeps its socket.
pub(super) fn open(life: &Life, again: bool) -> io::Result<AskerFds> {
    let (udp, tcp, mut socket) = netns::inside(life.namespace.as_fd(), || {
        let (udp, tcp) = bind()?;
        let socket = Socket::netfilter().map_err(io::Error::other)?;
        Ok::<_, io::Error>((udp, tcp, socket))
    })??;
    redirect(&mut socket, udp.local_addr()?.port(), again).map_err(|error| {
        io::Error::other(format!(
            "questions for {ADDRESS} cannot be redirected: {error}"
        ))
    })?;
    Ok(AskerFds {
        udp: Some(udp.into()),
        tcp: Some(tcp.into()),
        namespace: Some(life.namespace.try_clone()?),
        life: Some(life.process.try_clone()?),
    })
}

/// In the calling thread's namespace.
fn bind() -> io::Result<(UdpSocket, TcpListener)> {
    for _ in 0..ATTEMPTS {
        let udp = UdpSocket::bind((ADDRESS, 0))?;
        match TcpListener::bind(udp.local_addr()?) {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            Err(error) => return Err(error),
        }
    }
    Err(io::ErrorKind::AddrInUse.into())
}

/// Writes `port` into what the container sends to port 53 of the address, and 53 into the answers.
/// Not by translation: a chain for that would have the kernel note each connection of the container,
/// which costs all of them more than a tenth of their speed (docs/network.md). Where the container has
/// rules of its own that note connections, both are noted with port 53, as one.
fn redirect(socket: &mut Socket, port: u16, again: bool) -> Result<(), sys::netlink::Error> {
    let mut t = Transaction::new(Family::Ip, TABLE);
    t.add_table();
    if again {
        t.delete_table();
        t.add_table();
    }
    for (chain, priority) in [(ASKED, AFTER_TRACKING), (ANSWERED, BEFORE_TRACKING)] {
        t.add_chain(
            chain,
            Some(Base {
                kind: "filter",
                hook: Hook::Output,
                priority,
            }),
        );
    }
    let address = IpAddr::V4(ADDRESS);
    for of in [Transport::Udp, Transport::Tcp] {
        let asked = Rule::new().to_subnet(address, 32, true).write_port(
            of,
            PortOf::Destination,
            PORT,
            port,
        );
        t.add_rule(ASKED, &asked);
        let answered =
            Rule::new()
                .from_subnet(address, 32)
                .write_port(of, PortOf::Source, port, PORT);
        t.add_rule(ANSWERED, &answered);
    }
    t.commit(socket)
}

#[cfg(test)]
mod tests {
    use std::{os::fd::OwnedFd, time::Duration};

    use sys::nft::{Status, Verdict};

    use super::*;

    fn life() -> Life {
        Life {
            namespace: netns::create().unwrap(),
            process: std::fs::File::open("/dev/null").unwrap().into(),
        }
    }

    fn asks(life: &Life, from: &UdpSocket, server: &OwnedFd) {
        from.send_to(b"?", (ADDRESS, PORT)).unwrap();
        let server = UdpSocket::from(server.try_clone().unwrap());
        let patience = Some(Duration::from_secs(20));
        server.set_read_timeout(patience).unwrap();
        let mut buffer = [0; 8];
        let (_, who) = server.recv_from(&mut buffer).unwrap();
        server.send_to(b"!", who).unwrap();
        from.set_read_timeout(patience).unwrap();
        let (_, answered) = from.recv_from(&mut buffer).unwrap();
        assert_eq!(answered, (ADDRESS, PORT).into());
        // The port itself is free.
        netns::inside(life.namespace.as_fd(), || {
            UdpSocket::bind(("0.0.0.0", PORT)).unwrap();
            TcpListener::bind(("0.0.0.0", PORT)).unwrap();
        })
        .unwrap();
    }

    #[test]
    fn questions_are_led_to_another_port_and_answered_from_53() {
        let life = life();
        let client = netns::inside(life.namespace.as_fd(), || {
            UdpSocket::bind("127.0.0.1:0").unwrap()
        })
        .unwrap();
        let first = open(&life, false).unwrap();
        asks(&life, &client, first.udp.as_ref().unwrap());
        let listener = TcpListener::from(first.tcp.unwrap());
        netns::inside(life.namespace.as_fd(), || {
            std::net::TcpStream::connect((ADDRESS, PORT)).unwrap()
        })
        .unwrap();
        listener.accept().unwrap();
        // Others in their place: also for a client that goes on with its socket.
        drop(first.udp);
        let second = open(&life, true).unwrap();
        asks(&life, &client, second.udp.as_ref().unwrap());
    }

    /// A firewall inside the container takes only answers from the name server: they are answers.
    #[test]
    fn answers_belong_to_their_questions_where_connections_are_noted() {
        let life = life();
        let (client, mut socket) = netns::inside(life.namespace.as_fd(), || {
            let client = UdpSocket::bind("127.0.0.1:0").unwrap();
            (client, Socket::netfilter().unwrap())
        })
        .unwrap();
        let mut t = Transaction::new(Family::Ip, "own");
        t.add_table();
        let base = Base {
            kind: "filter",
            hook: Hook::Input,
            priority: 0,
        };
        t.add_chain("input", Some(base));
        let known = Rule::new().connection(Status::Known);
        t.add_rule("input", &known.verdict(Verdict::Accept));
        let other = Rule::new().from_subnet(IpAddr::V4(ADDRESS), 32);
        t.add_rule("input", &other.verdict(Verdict::Drop));
        t.commit(&mut socket).unwrap();
        let fds = open(&life, false).unwrap();
        asks(&life, &client, fds.udp.as_ref().unwrap());
        let listener = TcpListener::from(fds.tcp.unwrap());
        netns::inside(life.namespace.as_fd(), || {
            std::net::TcpStream::connect((ADDRESS, PORT)).unwrap()
        })
        .unwrap();
        listener.accept().unwrap();
    }
}
