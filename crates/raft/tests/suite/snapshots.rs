//! Managers that are far behind.

use raft::Settings;

use crate::cluster::{Cluster, tables};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_manager_far_behind_gets_a_snapshot() {
    let settings = Settings {
        snapshot_every: 50,
        keep: 5,
        ..Settings::default()
    };
    let mut cluster = Cluster::with(3, settings).await;
    let mut written = cluster.write(10).await;
    let leader = cluster.leader().await.id();
    let behind = cluster.ids().into_iter().find(|id| *id != leader).unwrap();
    cluster.kill(behind).await;
    written.extend(cluster.write(150).await);
    let leader = cluster.leader().await;
    leader.compact().await.unwrap();
    cluster.start(behind).await;
    cluster.agree(&written).await;
    // It is on its own disk then, too; and a new manager gets one as well.
    cluster.kill(behind).await;
    cluster.start(behind).await;
    let new = cluster.join().await;
    cluster.agree(&written).await;
    assert_eq!(tables(&cluster.node(new)).len(), tables(&leader).len());
    let view = cluster.node(new);
    assert_eq!(view.store().view().index(), leader.store().view().index());
}
