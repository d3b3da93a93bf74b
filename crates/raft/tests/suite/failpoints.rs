//! A process that is killed at a durable step, for real.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use raft::disk::Options;
use raft::{Disk, Node, Peer, Settings, Transport};

use crate::cluster::{LONG, tables, value};

const DIR: &str = "WHARF_TEST_RAFT_DIR";

struct Nobody;

#[async_trait]
impl Transport for Nobody {
    async fn call(&self, _: &Peer, _: Vec<u8>) -> io::Result<Vec<u8>> {
        Err(io::ErrorKind::ConnectionRefused.into())
    }
}

async fn lead(path: &Path) -> Node {
    let settings = Settings {
        snapshot_every: 20,
        keep: 2,
        ..Settings::default()
    };
    let options = Options {
        segment: 4 << 10,
        ..Options::default()
    };
    let disk = Disk::open(path, options).unwrap();
    let node = Node::found(disk, "here", Arc::new(Nobody), settings)
        .await
        .unwrap();
    let begin = Instant::now();
    while !node.status().leading {
        assert!(begin.elapsed() < LONG);
        node.changed().await;
    }
    node
}

/// In the process that is killed: says what was acknowledged.
async fn write(path: &Path) {
    let node = lead(path).await;
    for number in 0..120 {
        let name = format!("value-{number}");
        node.store().commit(vec![value(&name)]).await.unwrap();
        println!("acknowledged {name}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_any_step_nothing_acknowledged_is_lost() {
    if let Some(path) = std::env::var_os(DIR) {
        return write(Path::new(&path)).await;
    }
    for point in [
        "raft.append.written=9",
        "raft.append.synced=9",
        "raft.vote.written",
        "raft.vote.renamed",
        "raft.segment.renamed=3",
        "raft.snapshot.written=2",
        "raft.snapshot.renamed=2",
        "raft.snapshot.removed",
        "raft.purge.noted",
        "raft.purge.removed",
    ] {
        let dir = tempfile::tempdir().unwrap();
        let child = Command::new(std::env::current_exe().unwrap())
            .args([
                "--exact",
                "failpoints::killed_at_any_step_nothing_acknowledged_is_lost",
            ])
            .arg("--nocapture")
            .env(DIR, dir.path())
            .env("WHARF_FAILPOINT", point)
            .output()
            .unwrap();
        assert_eq!(child.status.signal(), Some(9), "{point}: it was not killed");
        let said = String::from_utf8(child.stdout).unwrap();
        let acknowledged = said
            .lines()
            .filter_map(|line| line.strip_prefix("acknowledged "));
        let node = lead(dir.path()).await;
        node.barrier().await.unwrap();
        let there = tables(&node);
        for name in acknowledged {
            assert!(there.contains_key(name), "{point}: {name} is lost");
        }
        node.store().commit(vec![value("after")]).await.unwrap();
        node.shutdown().await;
    }
}
