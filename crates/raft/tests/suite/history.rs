//! Everything at once: what was acknowledged is kept, everywhere, in the same order.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use raft::Settings;
use tokio::sync::Mutex;

use crate::cluster::{Cluster, tables};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn acknowledged_writes_are_kept_through_kills_cuts_and_late_messages() {
    let settings = Settings {
        write: Duration::from_millis(800),
        snapshot_every: 60,
        keep: 10,
        ..Settings::default()
    };
    let cluster = Cluster::with(5, settings).await;
    cluster.net.unruly.store(15, Ordering::Relaxed);
    let cluster = Arc::new(Mutex::new(cluster));
    let done = Arc::new(AtomicBool::new(false));
    let mut writers = Vec::new();
    for _ in 0..3 {
        let (cluster, done) = (cluster.clone(), done.clone());
        writers.push(tokio::spawn(async move {
            let mut acknowledged = BTreeMap::new();
            while !done.load(Ordering::Relaxed) {
                let (nodes, (name, change)) = {
                    let cluster = cluster.lock().await;
                    let nodes: Vec<_> = cluster.ids().iter().map(|id| cluster.node(*id)).collect();
                    (nodes, cluster.value())
                };
                let leading = nodes.into_iter().find(|node| node.status().leading);
                let Some(node) = leading else {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    continue;
                };
                if let Ok(index) = node.store().commit(vec![change]).await {
                    acknowledged.insert(name, index);
                }
            }
            acknowledged
        }));
    }
    for round in 0_u64..8 {
        let leader = cluster.lock().await.leader().await.id();
        let pick = if round % 2 == 0 {
            leader
        } else {
            1 + (leader + round) % 5
        };
        match round % 4 {
            0 | 1 => {
                cluster.lock().await.kill(pick).await;
                tokio::time::sleep(Duration::from_millis(300)).await;
                cluster.lock().await.start(pick).await;
            }
            2 => {
                let others: Vec<u64> = (1..=5).filter(|id| *id != pick).collect();
                cluster.lock().await.net.part(&[pick], &others);
                tokio::time::sleep(Duration::from_millis(1200)).await;
                cluster.lock().await.net.heal();
            }
            _ => {
                let net = cluster.lock().await.net.clone();
                net.cut(pick, 1 + pick % 5);
                net.cut(1 + (pick + 1) % 5, pick);
                tokio::time::sleep(Duration::from_millis(800)).await;
                net.heal();
            }
        }
    }
    done.store(true, Ordering::Relaxed);
    let mut acknowledged = BTreeMap::new();
    for writer in writers {
        acknowledged.extend(writer.await.unwrap());
    }
    let cluster = cluster.lock().await;
    cluster.net.unruly.store(0, Ordering::Relaxed);
    cluster.agree(&[]).await;
    let there = tables(&cluster.leader().await);
    println!("{} acknowledged, {} there", acknowledged.len(), there.len());
    assert!(acknowledged.len() > 20, "{}", acknowledged.len());
    for (name, index) in &acknowledged {
        assert_eq!(there.get(name), Some(index), "{name}");
    }
}
