//! Writes per second through three managers, each with a disk that is synced: one change an entry, and
//! a hundred. `cargo bench -p raft`, with `WHARF_BENCH_DIR` for another place than the temporary folder.

use std::collections::BTreeMap;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use raft::disk::Options;
use raft::{Disk, Node, Peer, Settings, Transport};
use swarm_api::{Change, Id, Task};
use types::swarm::task::TaskSpec;

#[derive(Default)]
struct Net(Mutex<BTreeMap<u64, Node>>);

struct Port(Arc<Net>);

#[async_trait]
impl Transport for Port {
    async fn call(&self, to: &Peer, request: Vec<u8>) -> io::Result<Vec<u8>> {
        let node = self
            .0
            .0
            .lock()
            .ok()
            .and_then(|nodes| nodes.get(&to.id).cloned());
        let node = node.ok_or(io::ErrorKind::ConnectionRefused)?;
        Ok(node.handle(&request).await)
    }
}

fn changes(from: u64, count: u64, spec: &Arc<TaskSpec>) -> Vec<Change> {
    let task = |number: u64| Task {
        id: Id::from_bits(u128::from(number)),
        service: Id::from_bits(7),
        service_name: "web".into(),
        slot: number,
        spec: spec.clone(),
        ..Task::default()
    };
    (from..from + count)
        .map(|number| Change::put(task(number)))
        .collect()
}

async fn run() -> Result<(), Box<dyn std::error::Error>> {
    let dir = match std::env::var_os("WHARF_BENCH_DIR") {
        Some(dir) => tempfile::tempdir_in(dir)?,
        None => tempfile::tempdir()?,
    };
    let net = Arc::new(Net::default());
    let disk = |id: u64| Disk::open(&dir.path().join(id.to_string()), Options::default());
    let put = |node: &Node| {
        net.0
            .lock()
            .map(|mut nodes| nodes.insert(node.id(), node.clone()))
            .is_ok()
    };
    let port = || Arc::new(Port(net.clone()));
    let leader = Node::found(disk(1)?, "1", port(), Settings::default()).await?;
    put(&leader);
    while !leader.status().leading {
        leader.changed().await;
    }
    for _ in 0..2 {
        let id = leader.new_id().await?;
        let node = Node::start(id, disk(id)?, port(), Settings::default()).await?;
        put(&node);
        leader.add(id, &id.to_string()).await?;
    }
    let spec = Arc::new(TaskSpec::default());
    let mut next = 1;
    for (what, batch) in [("single", 1), ("100 changes a batch", 100)] {
        let (begin, mut entries) = (Instant::now(), 0_u64);
        while begin.elapsed() < Duration::from_secs(5) {
            leader.store().commit(changes(next, batch, &spec)).await?;
            next += batch;
            entries += 1;
        }
        let rate = |count: u64| count as f64 / begin.elapsed().as_secs_f64();
        println!(
            "{what}: {:.0} entries/s, {:.0} changes/s",
            rate(entries),
            rate(entries * batch)
        );
    }
    // Without the store, which decides one thing after the other: how far entries share a sync.
    let (begin, mut tasks) = (Instant::now(), Vec::new());
    for writer in 0..64_u64 {
        let (proposer, spec) = (leader.proposer().clone(), spec.clone());
        tasks.push(tokio::spawn(async move {
            let mut done = 0;
            let from = 1_000_000_000 + writer * 1_000_000;
            while begin.elapsed() < Duration::from_secs(5) {
                let changes = changes(from + done, 1, &spec);
                if store::Proposer::propose(&*proposer, &changes)
                    .await
                    .is_err()
                {
                    break;
                }
                done += 1;
            }
            done
        }));
    }
    let mut done = 0;
    for task in tasks {
        done += task.await?;
    }
    println!(
        "64 at once: {:.0} entries/s",
        done as f64 / begin.elapsed().as_secs_f64()
    );
    let size: u64 = std::fs::read_dir(dir.path().join("1"))?
        .filter_map(|file| file.ok()?.metadata().ok())
        .map(|file| file.len())
        .sum();
    println!(
        "{} bytes on each disk for {next} changes in batches and {done} alone",
        size
    );
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?
        .block_on(run())
}
