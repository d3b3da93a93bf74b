//! What is no question, or hardly one.

use std::io::Write;

use domain::base::iana::{Rcode, Rtype};
use proptest::prelude::*;
use resolver::reply_to;

use crate::lab::{Container, Said, Server, asker, crowd, query};

proptest! {
    /// Bytes out of nowhere, and questions with some bytes changed, cut or added.
    #[test]
    fn never_crashes(
        noise in prop::collection::vec(any::<u8>(), 0..80),
        changes in prop::collection::vec((any::<u16>(), any::<u8>()), 0..12),
        cut in any::<u16>(),
        tcp in any::<bool>(),
        size in any::<u16>(),
    ) {
        let networks = [crowd("app")];
        let asker = asker("c", &["front"], &[]);
        let mut asked = query(1, "app.front_default", Rtype::A, Some(size));
        for (at, byte) in changes {
            let at = usize::from(at) % asked.len();
            asked[at] = byte;
        }
        asked.truncate(usize::from(cut) % (asked.len() * 4) + 1);
        for message in [noise.clone(), [&asked[..], &noise].concat(), asked] {
            if let Some(reply) = reply_to(&asker, &networks, &message, tcp) {
                let most = if tcp { 65_535 } else { 4096 };
                prop_assert!(reply.len() <= most);
                prop_assert_eq!(&reply[..2], &message[..2]);
                prop_assert!(reply[2] & 0x80 != 0);
            }
        }
    }
}

#[test]
fn nonsense_is_told_so() {
    let server = Server::new();
    let container = Container::new(&server, &asker("c", &[], &[]));
    let good = query(9, "x.example", Rtype::A, None);
    let with = |at: usize, byte: u8| {
        let mut message = good.clone();
        message[at] = byte;
        container.ask_message(&message).rcode
    };
    assert_eq!(with(2, 0x28), Rcode::NOTIMP);
    assert_eq!(with(5, 0), Rcode::FORMERR);
    assert_eq!(with(5, 2), Rcode::FORMERR);
    // A name that points at itself, and one that points out.
    let mut looping = good[..12].to_vec();
    looping.extend([0xc0, 12, 0, 1, 0, 1]);
    assert_eq!(container.ask_message(&looping).rcode, Rcode::FORMERR);
    looping[13] = 0xff;
    assert_eq!(container.ask_message(&looping).rcode, Rcode::FORMERR);
    assert_eq!(
        container.ask("x.example", Rtype::AXFR).rcode,
        Rcode::REFUSED
    );
    let mut newer = query(9, "x.example", Rtype::A, Some(1232));
    let version = newer.len() - 5;
    newer[version] = 1;
    let said = container.ask_message(&newer);
    assert_eq!((said.rcode, said.edns), (Rcode::NOERROR, Some(1232)));
    assert_eq!(
        said.bytes[said.bytes.len() - 6],
        1,
        "the upper bits of BADVERS"
    );
}

#[test]
fn what_is_no_question_is_passed_over() {
    let server = Server::new();
    let container = Container::new(&server, &asker("c", &[], &[]));
    let socket = container.udp();
    let mut answer = query(1, "x.example", Rtype::A, None);
    answer[2] |= 0x80;
    for message in [&answer[..], &[], &[0; 11], &[0xff; 600]] {
        socket.send(message).unwrap();
    }
    // The first thing that is said is said to the first question.
    socket.send(&query(2, "x.example", Rtype::A, None)).unwrap();
    let mut buf = [0; 512];
    let len = socket.recv(&mut buf).unwrap();
    assert_eq!(Said::new(&buf[..len]).id, 2);
    assert_eq!(server.client().status().unwrap().ignored, 4);
    let mut stream = container.tcp();
    stream
        .write_all(&[0, 3, 1, 2, 3, 0, 0, 0xff, 0xff])
        .unwrap();
    drop(stream);
    assert_eq!(container.ask("x.example", Rtype::A).rcode, Rcode::SERVFAIL);
}
