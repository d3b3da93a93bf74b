//! What is answered from our own knowledge.

use domain::base::iana::{Rcode, Rtype};
use resolver::Asker;

use crate::lab::{Container, Server, asker, crowd, endpoint, network, query};
use crate::upstream::Fake;

fn two_networks(server: &Server) {
    let mut client = server.client();
    let web = endpoint(&["web", "app", "0123456789ab"], &["10.1.0.2"]);
    let other = endpoint(&["Web2", "app"], &["10.1.0.3", "fd01::3"]);
    let six = endpoint(&["six"], &["fd01::6"]);
    let front = [("c1", web), ("c2", other), ("c6", six)];
    client.set_network(&network("front", 1, &front)).unwrap();
    let db = endpoint(&["db", "my.data"], &["10.2.0.2"]);
    client
        .set_network(&network("back", 2, &[("c3", db)]))
        .unwrap();
}

#[test]
fn names_of_shared_networks_only() {
    let (server, fake) = (Server::new(), Fake::new(1));
    two_networks(&server);
    let front = Container::new(&server, &asker("c1", &["front"], &[fake.address]));
    let both = Container::new(&server, &asker("c3", &["back", "front"], &[fake.address]));
    for name in ["web", "WEB", "wEb.", "0123456789ab", "web.front_default"] {
        assert_eq!(front.a(name), ["10.1.0.2"], "{name}");
    }
    assert_eq!(front.a("web2"), ["10.1.0.3"]);
    assert_eq!(front.a("app"), ["10.1.0.2", "10.1.0.3"]);
    assert_eq!(front.ask("app", Rtype::AAAA).records, ["fd01::3"]);
    assert_eq!(both.a("db"), ["10.2.0.2"]);
    assert_eq!(both.a("my.data.back_default"), ["10.2.0.2"]);
    assert_eq!(fake.asked(), (0, 0));
    // What is not shared is not known: others are asked, as for any other name.
    for name in ["db", "db.back_default", "web.back_default"] {
        assert_eq!(front.a(name), ["192.0.2.1"], "{name}");
    }
}

#[test]
fn the_answers_order_changes() {
    let server = Server::new();
    two_networks(&server);
    let container = Container::new(&server, &asker("c1", &["front"], &[]));
    let mut firsts = std::collections::BTreeSet::new();
    for _ in 0..100 {
        let said = container.ask("app", Rtype::A);
        assert_eq!(said.records.len(), 2);
        firsts.insert(said.records[0].clone());
    }
    assert_eq!(firsts.len(), 2);
}

#[test]
fn a_known_name_always_exists() {
    let server = Server::new();
    two_networks(&server);
    let container = Container::new(&server, &asker("c1", &["front"], &[]));
    let mx = (Rtype::MX, "web");
    for (kind, name) in [
        (Rtype::AAAA, "web"),
        (Rtype::A, "six"),
        mx,
        (Rtype::HTTPS, "web"),
    ] {
        let said = container.ask(name, kind);
        assert_eq!(
            (said.rcode, said.records.len()),
            (Rcode::NOERROR, 0),
            "{kind} {name}"
        );
    }
    assert_eq!(container.ask("six", Rtype::AAAA).records, ["fd01::6"]);
}

#[test]
fn addresses_have_names() {
    let (server, fake) = (Server::new(), Fake::new(1));
    two_networks(&server);
    let container = Container::new(&server, &asker("c1", &["front"], &[fake.address]));
    let ptr = |name: &str| container.ask(name, Rtype::PTR);
    assert_eq!(ptr("3.0.1.10.in-addr.arpa").records, ["Web2.front_default"]);
    let v6 = format!("6.{}1.0.d.f.ip6.arpa", "0.".repeat(27));
    assert_eq!(ptr(&v6).records, ["six.front_default"]);
    assert_eq!(ptr("99.0.1.10.in-addr.arpa").rcode, Rcode::NXDOMAIN);
    assert_eq!(fake.asked(), (0, 0));
    ptr("2.0.2.10.in-addr.arpa");
    assert_eq!(fake.asked(), (1, 0));
}

#[test]
fn a_change_is_seen_at_once() {
    let server = Server::new();
    two_networks(&server);
    let container = Container::new(&server, &asker("c1", &["front"], &[]));
    let mut client = server.client();
    for last in 10..60 {
        let address = format!("10.1.0.{last}");
        let moved = endpoint(&["web"], &[&address]);
        client.set_endpoint("front", "c1", &moved).unwrap();
        assert_eq!(container.a("web"), [address]);
    }
    assert!(
        client
            .set_endpoint("nothere", "c1", &endpoint(&[], &[]))
            .is_err()
    );
    client.remove_endpoint("front", "c1").unwrap();
    client.remove_endpoint("front", "c1").unwrap();
    assert_eq!(container.ask("web", Rtype::A).rcode, Rcode::SERVFAIL);
    // It is connected to another network, live, and keeps its sockets.
    client
        .change_asker(&asker("c1", &["front", "back"], &[]))
        .unwrap();
    assert_eq!(container.a("db"), ["10.2.0.2"]);
    client.remove_network("back").unwrap();
    assert_eq!(container.ask("db", Rtype::A).rcode, Rcode::SERVFAIL);
}

#[test]
fn internal_networks_tell_nobody() {
    let (server, fake) = (Server::new(), Fake::new(1));
    two_networks(&server);
    let internal = Asker {
        forward: false,
        ..asker("c1", &["front"], &[fake.address])
    };
    let container = Container::new(&server, &internal);
    for name in [
        "secret.attacker.example",
        "db",
        "x",
        "8.8.8.8.in-addr.arpa",
        "version.bind",
    ] {
        for kind in [Rtype::A, Rtype::TXT, Rtype::PTR, Rtype::NS] {
            assert_eq!(container.ask(name, kind).rcode, Rcode::NXDOMAIN, "{name}");
        }
    }
    assert_eq!(container.a("web"), ["10.1.0.2"]);
    assert_eq!(fake.asked(), (0, 0));
}

#[test]
fn long_answers_are_cut_and_sizes_are_kept_to() {
    let server = Server::new();
    server.client().set_network(&crowd("app")).unwrap();
    let container = Container::new(&server, &asker("c", &["front"], &[]));
    for (size, most) in [
        (None, 512),
        (Some(10), 512),
        (Some(1232), 1232),
        (Some(4096), 4096),
    ] {
        let said = container.ask_message(&query(9, "app", Rtype::A, size));
        assert_eq!(said.edns.is_some(), size.is_some());
        assert!(said.bytes.len() <= most, "{size:?}: {}", said.bytes.len());
        assert_eq!(said.tc, most < 4096);
        assert!(
            said.records.len() * 16 + 64 > most.min(4000),
            "{}",
            said.records.len()
        );
    }
}

#[test]
fn links_are_the_askers_own() {
    let server = Server::new();
    two_networks(&server);
    let linked = Asker {
        links: [("database".to_owned(), "web".to_owned())].into(),
        ..asker("c2", &["front"], &[])
    };
    let container = Container::new(&server, &linked);
    assert_eq!(container.a("DataBase"), ["10.1.0.2"]);
    let other = Container::new(&server, &asker("c1", &["front"], &[]));
    assert_eq!(other.ask("database", Rtype::A).rcode, Rcode::SERVFAIL);
}
