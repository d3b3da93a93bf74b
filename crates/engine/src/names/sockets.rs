//! A container's end of the name server: sockets on 127.0.0.11 and any free port, and a table that
//! leads what is sent to port 53 of that address there. Port 53 itself stays free for a name server
//! of the container's own.

use std::{
    io,
    net::{Ipv4Addr, TcpListener, UdpSocket},
    os::fd::AsFd,
};

use resolver::AskerFds;
use sys::{
    netlink::{Socket, forget_udp},
    netns,
    nft::{Base, Data, Family, Hook, Key, Map, Rule, Transaction},
};

use super::Life;

/// Where a container finds its name server.
pub(super) const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 11);
pub(super) const PORT: u16 = 53;

/// The table in the container's namespace.
const TABLE: &str = "wharf_names";
const SERVERS: &str = "servers";
const CHAIN: &str = "asked";
const TYPE_ADDRESS: u32 = 7;
const TYPE_PROTOCOL: u32 = 12;
const TYPE_PORT: u32 = 13;
const DESTINATION_NAT: i32 = -100;
const TCP: u8 = 6;
const UDP: u8 = 17;
/// A port that is free for UDP may be taken for TCP.
const ATTEMPTS: usize = 64;

/// Makes sockets inside a container's namespace and leads its questions there. Where it had others
/// (`again`), what the kernel remembers of them is forgotten, too.
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
    if again {
        // A client that keeps its socket would go on to the old port.
        forget_udp(&mut socket, true, PORT, |flow| flow.sent_to == ADDRESS)
            .map_err(io::Error::other)?;
    }
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

/// What the container sends to port 53 of the address goes to `port`; answers then seem to come
/// from port 53, as the kernel translates them back.
fn redirect(socket: &mut Socket, port: u16, again: bool) -> Result<(), sys::netlink::Error> {
    let mut t = Transaction::new(Family::Ip, TABLE);
    t.add_table();
    if again {
        t.delete_table();
        t.add_table();
    }
    t.add_map(Map {
        name: SERVERS,
        key_type: TYPE_PROTOCOL << 12 | TYPE_ADDRESS << 6 | TYPE_PORT,
        key_len: 12,
        data: Data::Value(TYPE_ADDRESS << 6 | TYPE_PORT, 8),
        intervals: false,
        links: false,
    });
    t.add_chain(
        CHAIN,
        Some(Base {
            kind: "nat",
            hook: Hook::Output,
            priority: DESTINATION_NAT,
        }),
    );
    let parts = [Key::Protocol, Key::Destination(Family::Ip), Key::Port];
    t.add_rule(
        CHAIN,
        &Rule::new().translate_by(Family::Ip, SERVERS, &parts),
    );
    let target = [&ADDRESS.octets()[..], &port_bytes(port)].concat();
    let entry = |protocol: u8| {
        let key = [
            &[protocol, 0, 0, 0][..],
            &ADDRESS.octets(),
            &port_bytes(PORT),
        ]
        .concat();
        (key, target.clone())
    };
    t.add_elements(SERVERS, &[entry(UDP), entry(TCP)]);
    t.commit(socket)
}

/// A port as a register of four bytes.
fn port_bytes(port: u16) -> [u8; 4] {
    let [high, low] = port.to_be_bytes();
    [high, low, 0, 0]
}

#[cfg(test)]
mod tests {
    use std::{os::fd::OwnedFd, time::Duration};

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
}
