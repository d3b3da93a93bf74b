//! What a fuzzer throws at the name server: messages as containers and other servers send them.

use std::collections::BTreeMap;
use std::net::IpAddr;

use domain::base::Message;
use domain::base::iana::Rcode;

use crate::model::{Asker, Endpoint, Network, SingleLabels, Subnet};
use crate::question::{Answer, can_be_forwarded, compare, id, set_id};
use crate::reply_to;

/// As much as a packet may hold.
const UDP: usize = 4096;
const TCP: usize = 65535;

/// A message, after a byte of settings. What is said to it is an answer to it, of the size allowed; and no
/// part of a message makes another one's answer of it.
///
/// # Panics
/// When something of that is not so.
pub fn message(bytes: &[u8]) {
    let Some((settings, message)) = bytes.split_first() else {
        return;
    };
    let (tcp, forward, unknown) = (settings & 1 > 0, settings & 2 > 0, settings & 4 > 0);
    let asker = Asker {
        networks: vec!["n".into()],
        links: [("linked".to_owned(), "db".to_owned())].into(),
        forward,
        single_labels: if unknown {
            SingleLabels::Unknown
        } else {
            SingleLabels::Forward
        },
        ..asker()
    };
    let forwarded = can_be_forwarded(message);
    let Some(reply) = reply_to(&asker, &[network()], message, tcp) else {
        return;
    };
    assert!(
        reply.len() <= if tcp { TCP } else { UDP },
        "{}",
        reply.len()
    );
    assert_eq!(id(&reply), id(message), "another question's");
    let read = Message::from_octets(reply.as_slice()).expect("a whole message");
    assert!(read.header().qr(), "a question");
    let good = [Rcode::NOERROR, Rcode::NXDOMAIN].contains(&read.header().rcode());
    if forwarded && good {
        // As another server's it would be taken for what it is, and for nothing with another id.
        assert_ne!(compare(message, id(message), &reply), Answer::Foreign);
        let mut other = reply.clone();
        set_id(&mut other, id(message).wrapping_add(1));
        assert_eq!(compare(message, id(message), &other), Answer::Foreign);
    }
    // What a server sends may be anything, too.
    let _ = compare(&reply, id(message), message);
}

fn asker() -> Asker {
    Asker {
        id: "a".into(),
        networks: Vec::new(),
        links: BTreeMap::new(),
        forward: false,
        upstreams: Vec::new(),
        single_labels: SingleLabels::Forward,
    }
}

/// One with names of one address, of many, and of IPv6 alone.
fn network() -> Network {
    let end = |names: &[&str], addresses: &[&str]| Endpoint {
        names: names.iter().map(|n| (*n).to_owned()).collect(),
        addresses: addresses
            .iter()
            .filter_map(|a| a.parse::<IpAddr>().ok())
            .collect(),
    };
    let many: Vec<String> = (1..250).map(|n| format!("10.0.1.{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    Network {
        id: "n".into(),
        name: "net".into(),
        subnets: vec![Subnet {
            address: IpAddr::from([10, 0, 0, 0]),
            prefix: 16,
        }],
        endpoints: [
            (
                "1".to_owned(),
                end(&["db", "all"], &["10.0.0.2", "fd00::2"]),
            ),
            ("2".to_owned(), end(&["crowd"], &many)),
            ("3".to_owned(), end(&["six"], &["fd00::3"])),
        ]
        .into(),
    }
}
