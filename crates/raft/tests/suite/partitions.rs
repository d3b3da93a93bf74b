//! Links that are cut.

use std::time::Duration;

use raft::Settings;
use store::Error;

use crate::cluster::{Cluster, tables};

fn hasty() -> Settings {
    Settings {
        write: Duration::from_millis(1500),
        ..Settings::default()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_majority_goes_on_and_the_minority_refuses_and_catches_up() {
    let cluster = Cluster::with(5, hasty()).await;
    let mut written = cluster.write(10).await;
    let old = cluster.leader().await;
    let ids = cluster.ids();
    let other = *ids.iter().find(|id| **id != old.id()).unwrap();
    let few = [old.id(), other];
    let many: Vec<u64> = ids.into_iter().filter(|id| !few.contains(id)).collect();
    cluster.net.part(&few, &many);

    let (lost, change) = cluster.value();
    let error = old.store().commit(vec![change]).await.unwrap_err();
    assert!(
        matches!(error, Error::NoQuorum | Error::NotLeader { .. }),
        "{error}"
    );
    // Nor does it read what may be old.
    assert!(old.barrier().await.is_err());
    let leader = cluster.leader_of(&many).await;
    for _ in 0..10 {
        let (name, change) = cluster.value();
        leader.store().commit(vec![change]).await.unwrap();
        written.push(name);
    }
    assert!(!tables(&old).contains_key(written.last().unwrap()));
    cluster
        .until("the old leader sees that it lost", || !old.status().leading)
        .await;

    cluster.net.heal();
    cluster.agree(&written).await;
    assert!(
        !tables(&old).contains_key(&lost),
        "what was refused is there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leader_that_hears_nobody_is_replaced() {
    let cluster = Cluster::with(3, hasty()).await;
    let mut written = cluster.write(5).await;
    let old = cluster.leader().await.id();
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != old).collect();
    // It is heard, and hears nothing: its messages keep the others from looking for another leader.
    for other in &others {
        cluster.net.cut(*other, old);
    }
    let node = cluster.node(old);
    let (_, change) = cluster.value();
    assert!(node.store().commit(vec![change]).await.is_err());
    assert!(node.barrier().await.is_err());
    cluster.leader_of(&others).await;
    cluster.net.heal();
    written.extend(cluster.write(3).await);
    let old = cluster.leader().await.id();
    let others: Vec<u64> = cluster.ids().into_iter().filter(|id| *id != old).collect();
    // It hears, and is not heard.
    for other in &others {
        cluster.net.cut(old, *other);
    }
    let leader = cluster.leader_of(&others).await;
    let (name, change) = cluster.value();
    leader.store().commit(vec![change]).await.unwrap();
    written.push(name);
    cluster.net.heal();
    cluster.agree(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_follower_says_who_leads() {
    let cluster = Cluster::with(3, hasty()).await;
    let leader = cluster.leader().await.id();
    let follower = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    let node = cluster.node(follower);
    cluster
        .until("it knows the leader", || node.status().leader.is_some())
        .await;
    let (_, change) = cluster.value();
    let error = node.store().commit(vec![change]).await.unwrap_err();
    let leader = Some(format!("addr-{leader}"));
    assert_eq!(error, Error::NotLeader { leader });
}

/// A leader that was stopped for a while does not know that another one leads: what it reads is old,
/// and what it decides from that must change nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_was_decided_from_old_tables_changes_nothing() {
    let cluster = Cluster::with(3, hasty()).await;
    let (name, change) = cluster.value();
    let old = cluster.leader().await;
    old.store().commit(vec![change]).await.unwrap();
    let others: Vec<u64> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != old.id())
        .collect();
    cluster.net.part(&[old.id()], &others);
    let new = cluster.leader_of(&others).await;
    let edit = |node: &raft::Node, text: &str| {
        let view = node.store().view();
        let config = view.config(&name).unwrap();
        let mut config = (**config).clone();
        let mut spec = (*config.spec).clone();
        spec.data = text.to_owned();
        config.spec = spec.into();
        swarm_api::Change::put(config)
    };
    let stale = edit(&old, "stale");
    new.store().commit(vec![edit(&new, "new")]).await.unwrap();
    assert!(old.store().commit(vec![stale.clone()]).await.is_err());
    cluster.net.heal();
    // Also once it hears the others again, or leads again.
    for _ in 0..20 {
        assert!(old.store().commit(vec![stale.clone()]).await.is_err());
    }
    let written = cluster.write(1).await;
    cluster.agree(&written).await;
    for id in cluster.ids() {
        let node = cluster.node(id);
        let view = node.store().view();
        assert_eq!(view.config(&name).unwrap().spec.data, "new");
    }
}
