//! Questions over TCP.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};

use domain::base::iana::Rtype;

use crate::lab::{Container, Said, Server, asker, crowd, endpoint, network, query, until};
use crate::upstream::Fake;

fn send(stream: &mut TcpStream, message: &[u8]) {
    let len = u16::try_from(message.len()).unwrap().to_be_bytes();
    stream.write_all(&[&len[..], message].concat()).unwrap();
}

fn receive(stream: &mut TcpStream) -> Said {
    let mut len = [0; 2];
    stream.read_exact(&mut len).unwrap();
    let mut message = vec![0; u16::from_be_bytes(len).into()];
    stream.read_exact(&mut message).unwrap();
    Said::new(&message)
}

#[test]
fn long_answers_come_whole() {
    let (server, fake) = (Server::new(), Fake::new(1));
    server.client().set_network(&crowd("app")).unwrap();
    let container = Container::new(&server, &asker("c", &["front"], &[fake.address]));
    let mut stream = container.tcp();
    send(&mut stream, &query(1, "app", Rtype::A, None));
    assert_eq!(receive(&mut stream).records.len(), 250);
    // Of others' names, too: what is cut is asked again by the client, and then all the way.
    assert!(container.ask("long.example", Rtype::A).tc);
    send(&mut stream, &query(2, "long.example", Rtype::A, None));
    let said = receive(&mut stream);
    assert_eq!((said.id, said.records.len(), said.tc), (2, 200, false));
    assert_eq!(fake.asked(), (1, 1));
}

#[test]
fn many_questions_on_one_connection() {
    let (server, fake) = (Server::new(), Fake::new(1));
    let db = endpoint(&["db"], &["10.1.0.2"]);
    server
        .client()
        .set_network(&network("front", 1, &[("c", db)]))
        .unwrap();
    let container = Container::new(&server, &asker("c", &["front"], &[fake.address]));
    let mut stream = container.tcp();
    let mut all = Vec::new();
    for id in 0..200_u16 {
        let name = if id % 2 == 0 { "db" } else { "www.example" };
        let message = query(id, name, Rtype::A, None);
        all.extend(u16::try_from(message.len()).unwrap().to_be_bytes());
        all.extend(message);
    }
    // In pieces of odd sizes; and the client says that it will say no more.
    for piece in all.chunks(777) {
        stream.write_all(piece).unwrap();
    }
    stream.shutdown(Shutdown::Write).unwrap();
    let mut ids: Vec<_> = (0..200).map(|_| receive(&mut stream).id).collect();
    ids.sort_unstable();
    assert!(ids.into_iter().eq(0..200));
    assert_eq!(stream.read(&mut [0; 2]).unwrap(), 0);
}

#[test]
fn connections_have_a_limit_and_an_end() {
    let server = Server::new();
    let container = Container::new(&server, &asker("c", &[], &[]));
    let mut client = server.client();
    let held: Vec<_> = (0..100).map(|_| container.tcp()).collect();
    until("the connections to be taken", || {
        client.status().unwrap().connections == 32
    });
    drop(held);
    until("the connections to be closed", || {
        client.status().unwrap().connections == 0
    });
    // One that only begins to ask is closed in the end.
    let mut slow = container.tcp();
    slow.write_all(&[0]).unwrap();
    assert_eq!(slow.read(&mut [0; 2]).unwrap(), 0);
    // And all go with their asker.
    let mut last = container.tcp();
    until("the connection to be taken", || {
        client.status().unwrap().connections == 1
    });
    client.remove_asker("c").unwrap();
    assert!(matches!(last.read(&mut [0; 2]), Ok(0) | Err(_)));
    assert_eq!(client.status().unwrap().connections, 0);
}
