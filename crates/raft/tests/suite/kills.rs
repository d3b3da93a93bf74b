//! Managers that end at once and come back from their disks.

use std::time::{Duration, Instant};

use crate::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_new_leader_writes_soon_after_the_old_one_ended() {
    let mut cluster = Cluster::new(3).await;
    let mut written = cluster.write(20).await;
    for _ in 0..3 {
        let leader = cluster.leader().await.id();
        cluster.kill(leader).await;
        let begin = Instant::now();
        written.extend(cluster.write(1).await);
        // No wall-clock time is asserted: this is for whoever reads the output.
        println!("a write {:?} after the leader's end", begin.elapsed());
        assert!(begin.elapsed() < Duration::from_secs(15));
        cluster.start(leader).await;
        written.extend(cluster.write(10).await);
    }
    cluster.agree(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn all_ending_at_once_lose_nothing() {
    let mut cluster = Cluster::new(3).await;
    let written = cluster.write(30).await;
    for id in cluster.ids() {
        cluster.kill(id).await;
    }
    for id in [1, 2, 3] {
        cluster.start(id).await;
    }
    cluster.agree(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_manager_alone_comes_back_with_everything() {
    let mut cluster = Cluster::new(1).await;
    let written = cluster.write(10).await;
    cluster.kill(1).await;
    cluster.start(1).await;
    cluster.agree(&written).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_leader_that_cannot_write_leads_no_more() {
    let mut cluster = Cluster::new(3).await;
    let mut written = cluster.write(5).await;
    let leader = cluster.leader().await;
    cluster.fail_disk(leader.id());
    let (_, change) = cluster.value();
    let error = leader.store().commit(vec![change]).await.unwrap_err();
    assert!(matches!(error, store::Error::Log(_)), "{error}");
    assert!(leader.status().failed.is_some());
    assert!(!leader.status().leading);
    written.extend(cluster.write(5).await);
    let id = leader.id();
    drop(leader);
    cluster.kill(id).await;
    cluster.start(id).await;
    cluster.agree(&written).await;
}
