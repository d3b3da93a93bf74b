//! One manager's log, running.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use openraft::error::{CheckIsLeaderError, Fatal, InitializeError, RaftError};
use openraft::{BasicNode, Config, RaftMetrics, ServerState, SnapshotPolicy};
use store::Store;
use tokio::sync::watch;

use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::logstore::LogStore;
use crate::machine::{FIRST, Image, Machine};
use crate::message::{Refusal, Request, answer};
use crate::network::{Links, Peer, Transport};
use crate::proposer::{Raft, RaftProposer, not_leading};
use crate::quorum;

/// A snapshot that is sent may be this long.
const LONGEST_SNAPSHOT: u64 = 2 << 30;

/// How a manager's log runs. The defaults have a new leader that accepts writes within 1.3 s of the old
/// one's sudden end: followers wait until its lease is over (`election.end`), then each a random time of
/// `election`, looked at every 1.5 heartbeats.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How often the leader says that it is there; also how long one message of entries may take.
    pub heartbeat: Duration,
    /// How long a follower waits for a leader before it stands for election.
    pub election: std::ops::Range<Duration>,
    /// How long a write waits for a majority.
    pub write: Duration,
    /// How long a new manager may take to catch up.
    pub catch_up: Duration,
    /// A snapshot is made every so many entries.
    pub snapshot_every: u64,
    /// How many entries that are in the snapshot are kept, for managers that are a little behind.
    pub keep: u64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            heartbeat: Duration::from_millis(100),
            election: Duration::from_millis(300)..Duration::from_millis(500),
            write: Duration::from_secs(5),
            catch_up: Duration::from_secs(30),
            snapshot_every: 10_000,
            keep: 500,
        }
    }
}

fn millis(of: Duration) -> u64 {
    u64::try_from(of.as_millis()).unwrap_or(u64::MAX)
}

impl Settings {
    fn config(&self) -> Result<Config> {
        let config = Config {
            cluster_name: "wharf".into(),
            heartbeat_interval: millis(self.heartbeat),
            election_timeout_min: millis(self.election.start),
            election_timeout_max: millis(self.election.end),
            install_snapshot_timeout: 10_000,
            snapshot_max_chunk_size: 1 << 20,
            max_payload_entries: 300,
            replication_lag_threshold: self.keep.max(1),
            snapshot_policy: SnapshotPolicy::LogsSinceLast(self.snapshot_every.max(1)),
            max_in_snapshot_log_to_keep: self.keep,
            ..Config::default()
        };
        config.validate().map_err(|e| Error::Failed(e.to_string()))
    }
}

/// What others see of a manager's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Its number.
    pub id: u64,
    /// It leads.
    pub leading: bool,
    /// Who leads, as far as it knows.
    pub leader: Option<Peer>,
    /// It counts in the quorum.
    pub voter: bool,
    /// The term.
    pub term: u64,
    /// The last entry that its tables have.
    pub applied: u64,
    /// The last entry in its log.
    pub last: u64,
    /// It has ended: its log cannot be written.
    pub failed: Option<String>,
}

/// One manager's log, running.
#[derive(Clone)]
pub struct Node {
    pub(crate) id: u64,
    pub(crate) raft: Raft,
    pub(crate) settings: Settings,
    pub(crate) transport: Arc<dyn Transport>,
    pub(crate) proposer: Arc<RaftProposer>,
    /// While it is set, this manager says nothing as a leader.
    pub(crate) silent: Arc<AtomicBool>,
    store: Arc<Store>,
    disk: Disk,
    /// One change of the managers after the other.
    pub(crate) changing: Arc<tokio::sync::Mutex<()>>,
}

impl Node {
    /// Runs the log of the manager `id` on `disk`: a new one of a cluster that is there, or one that was
    /// running before.
    ///
    /// # Errors
    /// When the disk is another manager's, or cannot be read.
    pub async fn start(
        id: u64,
        disk: Disk,
        transport: Arc<dyn Transport>,
        settings: Settings,
    ) -> Result<Self> {
        disk.claim(id)?;
        let proposer = Arc::new(RaftProposer::new(settings.write));
        let mut image = Image::read(&disk)?;
        let tables = std::mem::take(&mut image.tables);
        let store = Arc::new(Store::new(tables, proposer.clone()));
        let machine = Machine::new(disk.clone(), store.clone(), &image);
        let silent: Arc<AtomicBool> = Arc::default();
        let links = Links {
            id,
            silent: Arc::clone(&silent),
            transport: transport.clone(),
        };
        let config = Arc::new(settings.config()?);
        let log = LogStore(disk.clone());
        let raft = Raft::new(id, config, links, log, machine).await;
        let raft = raft.map_err(|e| Error::Failed(e.to_string()))?;
        proposer.connect(raft.clone());
        let (heartbeat, election) = (settings.heartbeat, settings.election.end);
        tokio::spawn(quorum::watch(
            raft.metrics(),
            silent.clone(),
            heartbeat,
            election,
        ));
        Ok(Self {
            id,
            raft,
            settings,
            transport,
            proposer,
            silent,
            store,
            disk,
            changing: Arc::default(),
        })
    }

    /// Runs the first manager of a new cluster, which others reach at `addr`.
    ///
    /// # Errors
    /// When the disk has a cluster's state already, or cannot be written.
    pub async fn found(
        disk: Disk,
        addr: &str,
        transport: Arc<dyn Transport>,
        settings: Settings,
    ) -> Result<Self> {
        let node = Self::start(FIRST, disk, transport, settings).await?;
        let members = std::collections::BTreeMap::from([(FIRST, BasicNode::new(addr))]);
        match node.raft.initialize(members).await {
            // It died after it was made, and before anybody heard of it.
            Ok(()) | Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Ok(node),
            Err(error) => Err(Error::Failed(error.to_string())),
        }
    }

    /// The store that this manager's log changes.
    #[must_use]
    pub fn store(&self) -> &Arc<Store> {
        &self.store
    }

    /// Its number.
    #[must_use]
    pub fn id(&self) -> u64 {
        self.id
    }

    /// Its disk.
    #[must_use]
    pub fn disk(&self) -> &Disk {
        &self.disk
    }

    /// What makes changes safe; the store has it already.
    #[must_use]
    pub fn proposer(&self) -> &Arc<RaftProposer> {
        &self.proposer
    }

    pub(crate) fn metrics(&self) -> watch::Receiver<RaftMetrics<u64, BasicNode>> {
        self.raft.metrics()
    }

    /// How it is.
    #[must_use]
    pub fn status(&self) -> Status {
        let metrics = self.metrics();
        let metrics = metrics.borrow();
        let members = metrics.membership_config.membership();
        let leader = metrics.current_leader.and_then(|id| {
            let node = members.get_node(&id)?;
            let addr = node.addr.clone();
            Some(Peer { id, addr })
        });
        let lost = quorum::lost(&metrics, self.settings.election.end);
        Status {
            id: self.id,
            leading: metrics.state == ServerState::Leader && !lost,
            leader,
            voter: members.voter_ids().any(|id| id == self.id),
            term: metrics.current_term,
            applied: metrics.last_applied.map_or(0, |id| id.index),
            last: metrics.last_log_index.unwrap_or(0),
            failed: metrics
                .running_state
                .as_ref()
                .err()
                .map(ToString::to_string),
        }
    }

    /// Waits until [`Node::status`] may have changed: for one election at most, as some of it does by time
    /// alone.
    pub async fn changed(&self) {
        let mut metrics = self.metrics();
        metrics.mark_unchanged();
        let most = self.settings.election.end;
        if let Ok(Err(_)) = tokio::time::timeout(most, metrics.changed()).await {
            // It has ended: do not turn in a circle.
            tokio::time::sleep(most).await;
        }
    }

    /// Returns when the tables have everything that was agreed on anywhere before the call: what is read
    /// then is not stale, also if this manager was stopped for a while and another leads now.
    ///
    /// # Errors
    /// When this manager does not lead, or no majority says that it does.
    pub async fn barrier(&self) -> Result<()> {
        let sure = tokio::time::timeout(self.settings.write, self.raft.ensure_linearizable()).await;
        let Ok(sure) = sure else {
            return Err(store::Error::NoQuorum.into());
        };
        match sure {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(CheckIsLeaderError::ForwardToLeader(_))) => {
                let metrics = self.metrics();
                let metrics = metrics.borrow();
                Err(not_leading(&metrics).into())
            }
            Err(RaftError::APIError(CheckIsLeaderError::QuorumNotEnough(_))) => {
                Err(store::Error::NoQuorum.into())
            }
            Err(RaftError::Fatal(error)) => Err(store::Error::Log(error.to_string()).into()),
        }
    }

    /// Answers another manager. Who asks was checked by the transport.
    pub async fn handle(&self, request: &[u8]) -> Vec<u8> {
        let request = match Request::read(request) {
            Ok(request) => request,
            Err(error) => return refuse(error),
        };
        match request {
            Request::Append(request) => {
                answer(self.raft.append_entries(request).await.map_err(other))
            }
            Request::Vote(request) => answer(self.raft.vote(request).await.map_err(other)),
            Request::Snapshot(request) => {
                if request.offset.saturating_add(request.data.len() as u64) > LONGEST_SNAPSHOT {
                    return refuse("the snapshot is too long");
                }
                let installed = self.raft.install_snapshot(request).await;
                answer(installed.map_err(|error| match error {
                    RaftError::APIError(error) => Refusal::Snapshot(error),
                    RaftError::Fatal(error) => Refusal::Other(error.to_string()),
                }))
            }
            // One that cannot write its log is no good for a quorum.
            Request::Ping => match &self.metrics().borrow().running_state {
                Ok(()) => answer(Ok(self.id)),
                Err(error) => refuse(error),
            },
            Request::Leave { id, retain } => {
                let left = Box::pin(self.leave(id, retain)).await;
                answer(left.map_err(|e| Refusal::Other(e.to_string())))
            }
            Request::Elect => answer(self.raft.trigger().elect().await.map_err(fatal)),
        }
    }

    /// Makes a snapshot now, and removes the entries that it has.
    ///
    /// # Errors
    /// When the log is closed.
    pub async fn compact(&self) -> Result<()> {
        let made = self.raft.trigger().snapshot().await;
        made.map_err(|e| store::Error::Log(e.to_string()).into())
    }

    /// Ends in an orderly way; the disk is closed when all copies of this are gone.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "the cluster's log did not end in order");
        }
        if let Err(error) = self.disk.log().flush() {
            tracing::debug!(%error, "the last agreement was not written");
        }
    }
}

fn other<E: std::error::Error>(error: RaftError<u64, E>) -> Refusal {
    Refusal::Other(error.to_string())
}

fn fatal(error: Fatal<u64>) -> Refusal {
    Refusal::Other(error.to_string())
}

fn refuse(why: impl std::fmt::Display) -> Vec<u8> {
    let refused: std::result::Result<(), _> = Err(Refusal::Other(why.to_string()));
    answer(refused)
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}
