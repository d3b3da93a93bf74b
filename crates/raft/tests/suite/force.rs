//! A new cluster from what one disk has.

use std::time::Duration;

use raft::{Disk, Settings};

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn two_of_three_lost_and_nothing_acknowledged_is() {
    let settings = Settings {
        write: Duration::from_secs(1),
        ..Settings::default()
    };
    let mut cluster = Cluster::with(3, settings).await;
    let mut written = cluster.write(25).await;
    let leader = cluster.leader().await.id();
    let left = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    // It has to have the last ones: a majority does, and it is the one that is left of it.
    let last = written.last().unwrap().clone();
    let node = cluster.node(left);
    let has = || node.status().last >= node.store().view().index();
    cluster
        .until("it has all", || {
            has() && crate::cluster::tables(&node).contains_key(&last)
        })
        .await;
    for id in cluster.ids() {
        if id != left {
            cluster.kill(id).await;
        }
    }
    let (_, change) = cluster.value();
    let error = node.store().commit(vec![change]).await.unwrap_err();
    assert!(
        matches!(
            error,
            store::Error::NoQuorum | store::Error::NotLeader { .. }
        ),
        "{error}"
    );
    drop(node);
    cluster.kill(left).await;

    let path = cluster.path(left);
    let mut disk = Disk::open(&path, raft::disk::Options::default());
    while let Err(raft::Error::Io { .. }) = disk {
        tokio::time::sleep(Duration::from_millis(10)).await;
        disk = Disk::open(&path, raft::disk::Options::default());
    }
    disk.unwrap().force_new_cluster("addr-new").unwrap();
    cluster.start(left).await;
    written.extend(cluster.write(5).await);
    let node = cluster.leader().await;
    assert_eq!(node.members().len(), 1);
    // Others join it, with numbers of their own.
    let new = cluster.join().await;
    assert!(![1, 2, 3].contains(&new), "{new}");
    cluster.join().await;
    cluster.agree(&written).await;
}
