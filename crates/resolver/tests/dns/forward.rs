//! Questions that are passed on.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};

use domain::base::iana::{Rcode, Rtype};
use resolver::{Asker, Origin, SingleLabels, Upstream};

use crate::lab::{Container, Server, asker, query, until, within};
use crate::upstream::Fake;

/// An address at which nobody listens.
fn nobody() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

#[test]
fn answers_pass_as_they_came() {
    let (server, fake) = (Server::new(), Fake::new(1));
    let container = Container::new(&server, &asker("c", &[], &[fake.address]));
    let said = container.ask_message(&query(4711, "www.Example.COM", Rtype::A, Some(1400)));
    assert_eq!((said.id, said.rcode), (4711, Rcode::NOERROR));
    assert_eq!(said.records, ["192.0.2.1"]);
    assert!(said.bytes.windows(7).any(|w| w == b"Example"));
    assert_eq!(
        container.ask("odd.example", Rtype::A).records,
        ["type 65280"]
    );
    assert_eq!(
        container.ask("nothere.example", Rtype::A).rcode,
        Rcode::NXDOMAIN
    );
    // A name without a dot goes out, too, unless the container says otherwise.
    assert_eq!(container.a("single"), ["192.0.2.1"]);
    let before = fake.asked();
    let own = Asker {
        single_labels: SingleLabels::Unknown,
        ..asker("c", &[], &[fake.address])
    };
    server.client().change_asker(&own).unwrap();
    assert_eq!(container.ask("single", Rtype::A).rcode, Rcode::NXDOMAIN);
    assert_eq!(fake.asked(), before);
}

#[test]
fn ids_and_ports_are_not_the_clients() {
    let (server, fake) = (Server::new(), Fake::new(1));
    let container = Container::new(&server, &asker("c", &[], &[fake.address]));
    for _ in 0..50 {
        container.ask("www.example", Rtype::A);
    }
    let seen = fake.seen.lock().unwrap();
    let ports: BTreeSet<_> = seen.iter().map(|(port, _)| port).collect();
    let ids: BTreeSet<_> = seen.iter().map(|(_, id)| id).collect();
    assert!(ports.len() > 40 && ids.len() > 40, "{ports:?} {ids:?}");
}

#[test]
fn what_others_forge_is_not_believed() {
    let (server, fake) = (Server::new(), Fake::new(1));
    let container = Container::new(&server, &asker("c", &[], &[fake.address]));
    assert_eq!(container.a("forged.example"), ["192.0.2.1"]);
}

#[test]
fn the_next_server_is_asked() {
    let server = Server::new();
    let (first, second) = (Fake::new(1), Fake::new(2));
    let servers = [nobody(), first.address, second.address];
    let container = Container::new(&server, &asker("c", &[], &servers));
    assert_eq!(container.a("www.example"), ["192.0.2.1"]);
    assert_eq!(container.a("refuse.example"), ["192.0.2.2"]);
    // If none can, the client hears what they said.
    assert_eq!(
        container.ask("fail.example", Rtype::A).rcode,
        Rcode::SERVFAIL
    );
    let alone = Container::new(&server, &asker("d", &[], &[nobody()]));
    assert_eq!(alone.ask("www.example", Rtype::A).rcode, Rcode::SERVFAIL);
    let silent = alone.ask_message(&query(1, "x.example", Rtype::A, Some(4096)));
    assert_eq!(silent.edns, Some(1232));
}

#[test]
fn a_silent_server_is_remembered() {
    let (server, fake) = (Server::new(), Fake::new(2));
    // It takes what comes and says nothing.
    let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
    silent.set_nonblocking(true).unwrap();
    let servers = [silent.local_addr().unwrap(), fake.address];
    let container = Container::new(&server, &asker("c", &[], &servers));
    assert_eq!(container.a("www.example"), ["192.0.2.2"]);
    assert!(silent.recv(&mut [0; 512]).is_ok());
    for _ in 0..20 {
        assert_eq!(container.a("www.example"), ["192.0.2.2"]);
    }
    assert!(silent.recv(&mut [0; 512]).is_err());
}

#[test]
fn a_question_without_an_answer_has_an_end() {
    let (server, fake) = (Server::new(), Fake::new(1));
    let container = Container::new(&server, &asker("c", &[], &[fake.address]));
    assert_eq!(
        container.ask("silent.example", Rtype::A).rcode,
        Rcode::SERVFAIL
    );
    // It was asked more than once: a packet may be lost.
    assert!(fake.asked().0 > 1);
    assert_eq!(server.client().status().unwrap().in_flight, 0);
}

#[test]
fn from_the_containers_namespace() {
    let server = Server::new();
    let here = Fake::new(1);
    let mut settings = asker("c", &[], &[here.address]);
    let container = Container::new(&server, &settings);
    let inside = within(&container.namespace, || Fake::new(2));
    let upstream = |address, origin| Upstream { address, origin };
    settings.upstreams = vec![
        upstream("127.0.0.11:53".parse().unwrap(), Origin::Container),
        upstream(inside.address, Origin::Container),
    ];
    server.client().change_asker(&settings).unwrap();
    assert_eq!(container.a("www.example"), ["192.0.2.2"]);
    assert_eq!(here.asked(), (0, 0));
    settings.upstreams = vec![upstream(here.address, Origin::Host)];
    server.client().change_asker(&settings).unwrap();
    assert_eq!(container.a("www.example"), ["192.0.2.1"]);
}

#[test]
fn many_questions_have_a_limit_and_go_with_their_asker() {
    let (server, fake) = (Server::new(), Fake::new(1));
    let container = Container::new(&server, &asker("c", &[], &[fake.address]));
    let other = Container::new(&server, &asker("d", &[], &[fake.address]));
    let socket = container.udp();
    let mut client = server.client();
    for id in 0..300 {
        let message = query(id, "silent.example", Rtype::A, None);
        socket.send(&message).unwrap();
        if id % 32 == 0 {
            // Not faster than they are taken: packets would be lost.
            until("the questions to be taken", || {
                let status = client.status().unwrap();
                status.in_flight as u64 + status.failed > id.into()
            });
        }
    }
    // Those too many are told so at once.
    let mut buf = [0; 512];
    let len = socket.recv(&mut buf).unwrap();
    assert_eq!(crate::lab::Said::new(&buf[..len]).rcode, Rcode::SERVFAIL);
    let status = client.status().unwrap();
    assert!((1..=256).contains(&status.in_flight), "{status:?}");
    // Others are served.
    assert_eq!(other.a("www.example"), ["192.0.2.1"]);
    client.remove_asker("c").unwrap();
    client.remove_asker("c").unwrap();
    until("the questions to be gone", || {
        client.status().unwrap().in_flight == 0
    });
}
