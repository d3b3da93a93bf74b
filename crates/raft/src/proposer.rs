//! Making changes safe: [`store::Proposer`] on the log.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::{ClientWriteError, RaftError};
use openraft::{BasicNode, RaftMetrics, ServerState};
use store::{Error, Result};
use swarm_api::Change;

use crate::types::{Answer, Body, LogId, Proposal, Types};

pub(crate) type Raft = openraft::Raft<Types>;
type Metrics = RaftMetrics<u64, BasicNode>;

/// Proposes changes to the cluster, as long as this manager leads it.
///
/// The store checks changes against its tables before it proposes them. That is right only if the tables
/// have all that was decided before, so [`store::Proposer::ready`] first sees that they do: once in each
/// term, and again after a proposal whose end is not known. What it has seen is of one term, and is noted
/// in each entry; one that comes into the log in another term changes nothing (`Answer::Refused`).
#[derive(Default)]
pub struct RaftProposer {
    raft: OnceLock<Raft>,
    /// The term in which the tables were seen to have everything.
    ready: Mutex<Option<u64>>,
    /// The end of some proposal since is not known.
    unsure: AtomicBool,
    /// Another manager is about to lead: it must have all there is.
    paused: AtomicBool,
    within: Duration,
}

/// Until it is defused, a proposal's end is not known; also if whoever waits for it gives up.
struct Unsure<'a>(Option<&'a AtomicBool>);

impl Drop for Unsure<'_> {
    fn drop(&mut self) {
        if let Some(unsure) = self.0 {
            unsure.store(true, Ordering::SeqCst);
        }
    }
}

fn no_log(error: impl std::fmt::Display) -> Error {
    Error::Log(error.to_string())
}

/// Why a manager that does not lead cannot decide.
pub(crate) fn not_leading(metrics: &Metrics) -> Error {
    if let Err(fatal) = &metrics.running_state {
        return no_log(fatal);
    }
    let leader = metrics
        .current_leader
        .filter(|leader| *leader != metrics.id);
    let Some(leader) = leader else {
        return Error::NoQuorum;
    };
    let members = metrics.membership_config.membership();
    let addr = members.get_node(&leader).map(|node| node.addr.clone());
    Error::NotLeader { leader: addr }
}

impl RaftProposer {
    pub(crate) fn new(within: Duration) -> Self {
        Self {
            within,
            ..Self::default()
        }
    }

    pub(crate) fn connect(&self, raft: Raft) {
        // It is connected once, where it is made.
        let _ = self.raft.set(raft);
    }

    pub(crate) fn raft(&self) -> Result<&Raft> {
        self.raft.get().ok_or_else(|| no_log("it is not open yet"))
    }

    /// Takes no proposals until `false`.
    pub(crate) fn pause(&self, paused: bool) {
        self.paused.store(paused, Ordering::SeqCst);
    }

    fn ready_term(&self) -> Option<u64> {
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes an entry, and answers when it is applied here.
    pub(crate) async fn write(&self, proposal: Proposal) -> Result<(LogId, Answer)> {
        let raft = self.raft()?;
        if self.paused.load(Ordering::SeqCst) {
            return Err(Error::NoQuorum);
        }
        {
            let metrics = raft.metrics();
            let metrics = metrics.borrow();
            if metrics.state != ServerState::Leader {
                return Err(not_leading(&metrics));
            }
        }
        match tokio::time::timeout(self.within, raft.client_write(proposal)).await {
            Err(_) => Err(Error::NoQuorum),
            Ok(Ok(written)) => Ok((written.log_id, written.data)),
            Ok(Err(RaftError::APIError(ClientWriteError::ForwardToLeader(to)))) => {
                Err(match (to.leader_id, to.leader_node) {
                    (Some(_), node) => Error::NotLeader {
                        leader: node.map(|node| node.addr),
                    },
                    (None, _) => not_leading(&raft.metrics().borrow()),
                })
            }
            Ok(Err(error)) => Err(no_log(error)),
        }
    }

    async fn become_ready(&self) -> Result<u64> {
        let metrics = {
            let metrics = self.raft()?.metrics();
            let metrics = metrics.borrow();
            (metrics.state, metrics.current_term)
        };
        let known = self.ready_term();
        if metrics.0 == ServerState::Leader
            && known == Some(metrics.1)
            && !self.unsure.load(Ordering::SeqCst)
        {
            return Ok(metrics.1);
        }
        self.unsure.store(false, Ordering::SeqCst);
        let mut guard = Unsure(Some(&self.unsure));
        let nothing = Proposal {
            term: 0,
            body: Body::Nothing,
        };
        // Applied here, and so is all that this manager's log had before.
        let (id, _) = self.write(nothing).await?;
        guard.0 = None;
        let term = id.leader_id.term;
        *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = Some(term);
        Ok(term)
    }
}

#[async_trait]
impl store::Proposer for RaftProposer {
    async fn ready(&self) -> Result<()> {
        self.become_ready().await.map(drop)
    }

    async fn propose(&self, changes: &[Change]) -> Result<u64> {
        let term = match self.ready_term() {
            Some(term) => term,
            None => self.become_ready().await?,
        };
        let proposal = Proposal {
            term,
            body: Body::Changes(Arc::new(changes.to_vec())),
        };
        let mut guard = Unsure(Some(&self.unsure));
        let written = self.write(proposal).await;
        match written {
            Ok((id, Answer::Made)) => {
                guard.0 = None;
                Ok(id.index)
            }
            Ok(_) => {
                // Nothing was changed: another manager led in between.
                guard.0 = None;
                *self.ready.lock().unwrap_or_else(PoisonError::into_inner) = None;
                let metrics = self.raft()?.metrics();
                let metrics = metrics.borrow();
                Err(match metrics.state {
                    ServerState::Leader => Error::NotLeader { leader: None },
                    _ => not_leading(&metrics),
                })
            }
            Err(error) => Err(error),
        }
    }
}

impl std::fmt::Debug for RaftProposer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RaftProposer")
            .field("ready", &self.ready_term())
            .finish_non_exhaustive()
    }
}
