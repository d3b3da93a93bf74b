//! Real handshakes, in memory: who is let in by whom.

use std::sync::Arc;

use rustls::{ClientConnection, ServerConnection};
use swarm_api::{Id, Time};
use types::swarm::node::NodeRole;

use crate::{Credentials, Error, Identity, Peer, Request, Root, client, server};

const HOUR: i64 = 3_600_000_000_000;

fn now() -> Time {
    let since = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock");
    i64::try_from(since.as_nanos()).expect("before 2262")
}

fn credentials(root: &Root, node: &str, role: NodeRole, life: i64) -> Credentials {
    let request = Request::new().expect("a key");
    let cluster = Id::from("the-cluster");
    let certificate = root
        .sign(
            &request.request,
            &Id::from(node),
            role,
            &cluster,
            (now(), life),
        )
        .expect("a certificate");
    Credentials {
        certificate,
        key: request.key,
        roots: vec![root.certificate.clone()],
    }
}

/// Whom the server sees, or why one of both refuses.
fn shake(manager: &Credentials, node: &Credentials, to: NodeRole) -> Result<Peer, String> {
    let (config, name) = client(node, to).expect("a client");
    let mut client = ClientConnection::new(Arc::new(config), name).expect("a client");
    let config = server(manager).expect("a server");
    let mut server = ServerConnection::new(Arc::new(config)).expect("a server");
    for _ in 0..10 {
        let mut wire = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut wire).map_err(|e| e.to_string())?;
        }
        let mut read = &wire[..];
        while !read.is_empty() {
            server.read_tls(&mut read).map_err(|e| e.to_string())?;
            server
                .process_new_packets()
                .map_err(|e| format!("server: {e}"))?;
        }
        let mut wire = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut wire).map_err(|e| e.to_string())?;
        }
        let mut read = &wire[..];
        while !read.is_empty() {
            client.read_tls(&mut read).map_err(|e| e.to_string())?;
            client
                .process_new_packets()
                .map_err(|e| format!("client: {e}"))?;
        }
        if !client.is_handshaking() && !server.is_handshaking() {
            return Peer::of(server.peer_certificates()).map_err(|e| e.to_string());
        }
    }
    Err("no end".into())
}

#[test]
fn nodes_of_a_cluster_know_each_other() {
    let root = Root::new(now()).expect("a root");
    let manager = credentials(&root, "m1", NodeRole::Manager, HOUR);
    let worker = credentials(&root, "w1", NodeRole::Worker, HOUR);
    let Ok(Peer::Node(seen)) = shake(&manager, &worker, NodeRole::Manager) else {
        panic!("a node");
    };
    assert_eq!((seen.node.as_str(), seen.role), ("w1", NodeRole::Worker));
    let cluster = Id::from("the-cluster");
    assert!(seen.clone().in_cluster(&cluster).is_ok());
    assert!(matches!(
        seen.in_cluster(&Id::from("other")),
        Err(Error::OtherCluster { .. })
    ));
}

#[test]
fn a_worker_is_not_taken_for_a_manager() {
    let root = Root::new(now()).expect("a root");
    let pretender = credentials(&root, "w1", NodeRole::Worker, HOUR);
    let node = credentials(&root, "w2", NodeRole::Worker, HOUR);
    let refused = shake(&pretender, &node, NodeRole::Manager).expect_err("it is no manager");
    assert!(refused.contains("not valid for name"), "{refused}");
}

#[test]
fn another_clusters_certificates_are_refused_by_both_ends() {
    let (ours, theirs) = (
        Root::new(now()).expect("a root"),
        Root::new(now()).expect("a root"),
    );
    let manager = credentials(&ours, "m1", NodeRole::Manager, HOUR);
    let stranger = credentials(&theirs, "w1", NodeRole::Worker, HOUR);
    let refused = shake(&manager, &stranger, NodeRole::Manager).expect_err("another root");
    assert!(refused.starts_with("client"), "{refused}");
    let mut liar = stranger.clone();
    liar.roots = vec![ours.certificate.clone()];
    let refused = shake(&manager, &liar, NodeRole::Manager).expect_err("another root");
    assert!(refused.starts_with("server"), "{refused}");
}

#[test]
fn an_expired_certificate_is_refused() {
    let root = Root::new(now()).expect("a root");
    let manager = credentials(&root, "m1", NodeRole::Manager, HOUR);
    let late = credentials(&root, "w1", NodeRole::Worker, -HOUR / 2);
    let refused = shake(&manager, &late, NodeRole::Manager).expect_err("it is over");
    assert!(refused.contains("expired"), "{refused}");
}

#[test]
fn during_a_change_of_roots_both_are_believed() {
    let (old, new) = (
        Root::new(now()).expect("a root"),
        Root::new(now()).expect("a root"),
    );
    let both = vec![old.certificate.clone(), new.certificate.clone()];
    let manager = Credentials {
        roots: both.clone(),
        ..credentials(&new, "m1", NodeRole::Manager, HOUR)
    };
    let worker = Credentials {
        roots: both,
        ..credentials(&old, "w1", NodeRole::Worker, HOUR)
    };
    assert!(shake(&manager, &worker, NodeRole::Manager).is_ok());
}

#[test]
fn what_a_request_says_of_itself_is_not_believed() {
    let root = Root::new(now()).expect("a root");
    let key = rcgen::KeyPair::generate().expect("a key");
    let mut params = rcgen::CertificateParams::new(vec!["swarm-manager".into()]).expect("names");
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    params
        .distinguished_name
        .push(rcgen::DnType::CommonName, "m1");
    params
        .distinguished_name
        .push(rcgen::DnType::OrganizationalUnitName, "swarm-manager");
    params.is_ca = rcgen::IsCa::NoCa;
    let request = params
        .serialize_request(&key)
        .expect("a request")
        .pem()
        .expect("PEM");
    let (node, cluster) = (Id::from("w1"), Id::from("the-cluster"));
    let times = (now(), HOUR);
    let pem = root
        .sign(&request, &node, NodeRole::Worker, &cluster, times)
        .expect("signed");
    let der = crate::root::der(&pem).expect("DER");
    let identity = Identity::of(&der).expect("an identity");
    assert_eq!((identity.node, identity.role), (node, NodeRole::Worker));
    let text = String::from_utf8_lossy(&der);
    assert!(!text.contains("swarm-manager"));
}

#[test]
fn a_root_is_read_again_and_only_with_its_own_key() {
    let root = Root::new(now()).expect("a root");
    let again = Root::from_pem(&root.certificate, &root.key()).expect("the same");
    assert_eq!(again.digest(), root.digest());
    let other = Root::new(now()).expect("a root");
    assert!(Root::from_pem(&root.certificate, &other.key()).is_err());
    let node = credentials(&root, "m1", NodeRole::Manager, HOUR);
    assert!(Root::from_pem(&node.certificate, &node.key).is_err());
    let info = Root::info(&root.certificate).expect("readable");
    assert!(!info.cert_issuer_subject.is_empty() && !info.cert_issuer_public_key.is_empty());
}

#[test]
fn certificates_are_renewed_after_half_of_their_life_and_not_all_at_once() {
    let identity = Identity {
        node: Id::from("n"),
        role: NodeRole::Worker,
        cluster: Id::from("c"),
        from: 0,
        until: 1_000_000,
    };
    assert_eq!(identity.renew_at(0), 500_000);
    assert_eq!(identity.renew_at(999), 500_000 + 300 * 999);
}

#[test]
fn garbage_is_no_identity() {
    for bytes in [&b""[..], b"garbage", &[0x30, 0x82, 0xff, 0xff]] {
        assert!(matches!(Identity::of(bytes), Err(Error::BadCertificate(_))));
    }
    assert!(Root::from_pem("no", "no").is_err());
}
