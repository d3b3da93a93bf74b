//! The test bed: managers, their disks, and the links between them.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use raft::disk::{Hook, Options};
use raft::{Disk, Node, Peer, Settings, Transport};
use swarm_api::{Change, Config, Id};
use types::swarm::cluster::ConfigSpec;

/// Nothing that is waited for takes longer.
pub(crate) const LONG: Duration = Duration::from_secs(20);

/// All links.
#[derive(Default)]
pub(crate) struct Net {
    nodes: Mutex<BTreeMap<u64, Node>>,
    /// What is sent from the first to the second is lost.
    cut: Mutex<BTreeSet<(u64, u64)>>,
    /// Messages are late by up to so many milliseconds, so that they pass one another, and some come twice.
    pub(crate) unruly: AtomicU64,
    dice: AtomicU64,
}

impl Net {
    fn lost(&self, from: u64, to: u64) -> bool {
        self.cut.lock().unwrap().contains(&(from, to))
    }

    /// Cuts one direction.
    pub(crate) fn cut(&self, from: u64, to: u64) {
        self.cut.lock().unwrap().insert((from, to));
    }

    /// Cuts both directions between two sides.
    pub(crate) fn part(&self, one: &[u64], other: &[u64]) {
        for a in one {
            for b in other {
                self.cut(*a, *b);
                self.cut(*b, *a);
            }
        }
    }

    pub(crate) fn heal(&self) {
        self.cut.lock().unwrap().clear();
    }

    fn roll(&self, below: u64) -> u64 {
        let x = self
            .dice
            .fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        let x = (x ^ (x >> 31)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        (x ^ (x >> 29)) % below
    }
}

struct Port {
    from: u64,
    net: Arc<Net>,
}

#[async_trait]
impl Transport for Port {
    async fn call(&self, to: &Peer, request: Vec<u8>) -> io::Result<Vec<u8>> {
        let unruly = self.net.unruly.load(Ordering::Relaxed);
        if unruly > 0 {
            tokio::time::sleep(Duration::from_millis(self.net.roll(unruly))).await;
        }
        if self.net.lost(self.from, to.id) {
            std::future::pending::<()>().await;
        }
        let node = self.net.nodes.lock().unwrap().get(&to.id).cloned();
        let node = node.ok_or(io::ErrorKind::ConnectionRefused)?;
        if unruly > 0 && self.net.roll(10) == 0 {
            let (node, request, late) = (node.clone(), request.clone(), self.net.roll(unruly * 3));
            tokio::spawn(async move {
                tokio::time::sleep(Duration::from_millis(late)).await;
                node.handle(&request).await;
            });
        }
        let answer = node.handle(&request).await;
        drop(node);
        if self.net.lost(to.id, self.from) {
            std::future::pending::<()>().await;
        }
        Ok(answer)
    }
}

/// A cluster.
pub(crate) struct Cluster {
    pub(crate) net: Arc<Net>,
    dir: tempfile::TempDir,
    /// Each manager's disk fails when its flag is set, as in a sudden end.
    dead: BTreeMap<u64, Arc<AtomicBool>>,
    pub(crate) settings: Settings,
    count: AtomicU64,
}

impl Cluster {
    /// With so many managers.
    pub(crate) async fn new(managers: u64) -> Self {
        Self::with(managers, Settings::default()).await
    }

    pub(crate) async fn with(managers: u64, settings: Settings) -> Self {
        let mut cluster = Self {
            net: Arc::default(),
            dir: tempfile::tempdir().unwrap(),
            dead: BTreeMap::new(),
            settings,
            count: AtomicU64::new(0),
        };
        let disk = cluster.disk(1).await;
        let node = Node::found(disk, "addr-1", cluster.port(1), cluster.settings.clone()).await;
        cluster.net.nodes.lock().unwrap().insert(1, node.unwrap());
        for _ in 1..managers {
            cluster.join().await;
        }
        cluster
    }

    fn port(&self, id: u64) -> Arc<dyn Transport> {
        Arc::new(Port {
            from: id,
            net: self.net.clone(),
        })
    }

    pub(crate) fn path(&self, id: u64) -> PathBuf {
        self.dir.path().join(format!("{id}"))
    }

    async fn disk(&mut self, id: u64) -> Disk {
        let dead = Arc::new(AtomicBool::new(false));
        self.dead.insert(id, dead.clone());
        let hook: Hook = Arc::new(move |_| match dead.load(Ordering::SeqCst) {
            true => Err(io::Error::other("it is dead")),
            false => Ok(()),
        });
        let path = self.path(id);
        let begin = Instant::now();
        loop {
            let options = Options {
                segment: 64 << 10,
                hook: Some(hook.clone()),
                ..Options::default()
            };
            match Disk::open(&path, options) {
                Ok(disk) => return disk,
                // The one before still holds it.
                Err(raft::Error::Io { source, .. })
                    if source.kind() == io::ErrorKind::WouldBlock && begin.elapsed() < LONG =>
                {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub(crate) fn node(&self, id: u64) -> Node {
        self.net.nodes.lock().unwrap()[&id].clone()
    }

    pub(crate) fn ids(&self) -> Vec<u64> {
        self.net.nodes.lock().unwrap().keys().copied().collect()
    }

    /// Starts a manager from its disk.
    pub(crate) async fn start(&mut self, id: u64) {
        let disk = self.disk(id).await;
        let node = Node::start(id, disk, self.port(id), self.settings.clone()).await;
        self.net.nodes.lock().unwrap().insert(id, node.unwrap());
    }

    /// Ends a manager at once: nothing more of it comes to its disk, or out of it.
    pub(crate) async fn kill(&mut self, id: u64) {
        self.dead[&id].store(true, Ordering::SeqCst);
        let node = self.net.nodes.lock().unwrap().remove(&id);
        if let Some(node) = node {
            node.shutdown().await;
        }
    }

    /// From now on a manager's disk refuses everything.
    pub(crate) fn fail_disk(&self, id: u64) {
        self.dead[&id].store(true, Ordering::SeqCst);
    }

    /// Adds a manager.
    pub(crate) async fn join(&mut self) -> u64 {
        let leader = self.leader().await;
        let id = leader.new_id().await.unwrap();
        self.start(id).await;
        leader.add(id, &format!("addr-{id}")).await.unwrap();
        id
    }

    /// The one that leads, and says so of itself with a majority.
    pub(crate) async fn leader(&self) -> Node {
        let ids = self.ids();
        self.leader_of(&ids).await
    }

    pub(crate) async fn leader_of(&self, among: &[u64]) -> Node {
        let begin = Instant::now();
        while begin.elapsed() < LONG {
            for id in among {
                let node = self.net.nodes.lock().unwrap().get(id).cloned();
                if let Some(node) = node
                    && node.status().leading
                    && node.barrier().await.is_ok()
                {
                    return node;
                }
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let all: Vec<_> = self
            .ids()
            .iter()
            .map(|id| self.node(*id).status())
            .collect();
        panic!("nobody leads: {all:#?}");
    }

    /// A value that was not written before.
    pub(crate) fn value(&self) -> (String, Change) {
        let name = format!("value-{}", self.count.fetch_add(1, Ordering::Relaxed));
        let change = value(&name);
        (name, change)
    }

    /// Writes so many values, each as an entry of its own, wherever that can be done.
    pub(crate) async fn write(&self, count: usize) -> Vec<String> {
        let mut written = Vec::new();
        while written.len() < count {
            let leader = self.leader().await;
            let (name, change) = self.value();
            if leader.store().commit(vec![change]).await.is_ok() {
                written.push(name);
            }
        }
        written
    }

    /// Waits until something holds.
    pub(crate) async fn until(&self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            assert!(begin.elapsed() < LONG, "not in time: {what}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sees that all managers come to the same tables, which have all of these values.
    pub(crate) async fn agree(&self, written: &[String]) {
        let last = self.write(1).await;
        let ids = self.ids();
        let has = |id: u64| tables(&self.node(id));
        self.until("all have the last value", || {
            ids.iter().all(|id| has(*id).contains_key(&last[0]))
        })
        .await;
        let first = has(ids[0]);
        for id in &ids {
            assert!(
                has(*id) == first,
                "manager {id} has other tables than {}",
                ids[0]
            );
        }
        let lost: Vec<_> = written.iter().filter(|v| !first.contains_key(*v)).collect();
        assert!(lost.is_empty(), "lost: {lost:?}");
        // In the order in which they were acknowledged.
        let order: Vec<u64> = written.iter().map(|v| first[v]).collect();
        assert!(order.is_sorted(), "{order:?}");
    }
}

/// Writes a value.
pub(crate) fn value(name: &str) -> Change {
    let spec = ConfigSpec {
        name: name.to_owned(),
        ..ConfigSpec::default()
    };
    Change::put(Config {
        id: Id::from(name),
        spec: Arc::new(spec),
        ..Config::default()
    })
}

/// Each value with its place in the log.
pub(crate) fn tables(node: &Node) -> BTreeMap<String, u64> {
    let view = node.store().view();
    let values = view
        .configs()
        .map(|c| (c.spec.name.clone(), c.meta.version));
    values.collect()
}
