//! Managers that come and go.

use std::collections::BTreeSet;
use std::time::Duration;

use raft::{Error, Settings};

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn managers_come_and_go_while_there_are_writes() {
    let mut cluster = Cluster::new(3).await;
    let mut written = cluster.write(5).await;
    let mut numbers: BTreeSet<u64> = cluster.ids().into_iter().collect();
    for _ in 0..3 {
        let new = cluster.join().await;
        assert!(numbers.insert(new), "{new} was given before");
        written.extend(cluster.write(5).await);
        let leader = cluster.leader().await;
        let gone = cluster
            .ids()
            .into_iter()
            .find(|id| *id != leader.id())
            .unwrap();
        leader.remove(gone).await.unwrap();
        cluster.kill(gone).await;
        written.extend(cluster.write(5).await);
    }
    // A number that nobody used is not given again, either.
    let leader = cluster.leader().await;
    let (a, b) = (
        leader.new_id().await.unwrap(),
        leader.new_id().await.unwrap(),
    );
    assert!(a != b && !numbers.contains(&a) && !numbers.contains(&b));
    assert_eq!(leader.members().len(), 3);
    cluster.agree(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_leader_can_be_demoted_and_promoted() {
    let cluster = Cluster::new(3).await;
    let mut written = cluster.write(5).await;
    let old = cluster.leader().await;
    old.demote(old.id()).await.unwrap();
    let others: Vec<u64> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != old.id())
        .collect();
    let leader = cluster.leader_of(&others).await;
    written.extend(cluster.write(5).await);
    let voters = leader.members().iter().filter(|m| m.voter).count();
    assert_eq!((voters, leader.members().len()), (2, 3));
    leader.promote(old.id()).await.unwrap();
    cluster
        .until("it counts again", || old.status().voter)
        .await;
    cluster.agree(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_would_lose_the_quorum_is_refused() {
    let settings = Settings {
        catch_up: Duration::from_millis(700),
        ..Settings::default()
    };
    let mut cluster = Cluster::with(3, settings).await;
    let written = cluster.write(3).await;
    let leader = cluster.leader().await;
    let others: Vec<u64> = cluster
        .ids()
        .into_iter()
        .filter(|id| *id != leader.id())
        .collect();
    cluster.kill(others[0]).await;
    // Of the two that would be left one answers.
    let error = leader.remove(others[1]).await.unwrap_err();
    assert!(
        matches!(
            error,
            Error::LosesQuorum {
                reachable: 1,
                left: 2,
                needed: 2
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().contains("may result in loss of quorum"),
        "{error}"
    );
    assert!(matches!(leader.remove(99).await, Err(Error::Unknown(99))));
    // One that is not there does not come to count.
    let id = leader.new_id().await.unwrap();
    let error = leader.add(id, "nowhere").await.unwrap_err();
    assert!(matches!(error, Error::Behind { .. }), "{error}");
    assert_eq!(leader.members().len(), 3);
    // The one that is gone may be removed; then the other; and the last may not.
    leader.remove(others[0]).await.unwrap();
    leader.remove(others[1]).await.unwrap();
    cluster.kill(others[1]).await;
    assert!(matches!(
        leader.remove(leader.id()).await,
        Err(Error::LastManager)
    ));
    cluster.agree(&written).await;
}
