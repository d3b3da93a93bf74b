//! Who the managers are, and changes of that.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use openraft::error::{ChangeMembershipError, ClientWriteError, RaftError};
use openraft::{BasicNode, ChangeMembers, RaftMetrics, ServerState};

use crate::error::{Error, Result};
use crate::message::Request;
use crate::network::{Asked, Peer, ask};
use crate::node::Node;
use crate::proposer::not_leading;
use crate::types::{Answer, Body, Membership, Proposal};

/// A manager, as the cluster sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Who and where.
    pub peer: Peer,
    /// It counts in the quorum.
    pub voter: bool,
    /// It leads.
    pub leader: bool,
}

impl Node {
    fn membership(&self) -> Membership {
        let metrics = self.metrics();
        let metrics = metrics.borrow();
        metrics.membership_config.membership().clone()
    }

    /// All managers, as far as this one knows.
    #[must_use]
    pub fn members(&self) -> Vec<Member> {
        let members = self.membership();
        let voters: BTreeSet<u64> = members.voter_ids().collect();
        let leader = self.status().leader.map(|peer| peer.id);
        let all = members.nodes().map(|(id, node)| Member {
            peer: Peer {
                id: *id,
                addr: node.addr.clone(),
            },
            voter: voters.contains(id),
            leader: leader == Some(*id),
        });
        all.collect()
    }

    /// Whether a manager answers.
    pub async fn reachable(&self, peer: &Peer) -> bool {
        let within = self.settings.election.end;
        let answer = ask::<u64>(&*self.transport, peer, &Request::Ping, within).await;
        // Whoever else is at its address now is not it.
        answer.is_ok_and(|id| id == peer.id)
    }

    /// A number for a new manager. It is given to no other one, whatever becomes of this.
    ///
    /// # Errors
    /// When this manager does not lead, or no majority answers.
    pub async fn new_id(&self) -> Result<u64> {
        let proposal = Proposal {
            term: 0,
            body: Body::Member,
        };
        match self.proposer.write(proposal).await? {
            (_, Answer::Member(id)) => Ok(id),
            (_, other) => Err(Error::Failed(format!("{other:?} in place of a number"))),
        }
    }

    /// Adds the manager with a number of [`Node::new_id`], which runs at `addr`: it is sent everything
    /// first, and counts in the quorum when it has it.
    ///
    /// # Errors
    /// When it does not catch up; it is no manager then.
    pub async fn add(&self, id: u64, addr: &str) -> Result<()> {
        let _changing = self.changing.lock().await;
        self.learn(id, addr).await?;
        self.vote(id, addr).await
    }

    /// Sends everything to a manager that does not count in the quorum.
    async fn learn(&self, id: u64, addr: &str) -> Result<()> {
        let nodes = BTreeMap::from([(id, BasicNode::new(addr))]);
        // Also where it has moved; nobody else has its number.
        let voter = self.membership().voter_ids().any(|voter| voter == id);
        let change = match voter {
            true => ChangeMembers::SetNodes(nodes),
            false => ChangeMembers::AddNodes(nodes),
        };
        self.change(change, true).await
    }

    async fn vote(&self, id: u64, addr: &str) -> Result<()> {
        let caught_up = async {
            let mut metrics = self.metrics();
            loop {
                let lag = {
                    let metrics = metrics.borrow_and_update();
                    let Some(replication) = &metrics.replication else {
                        return Err(not_leading(&metrics).into());
                    };
                    let has = replication.get(&id).copied().flatten();
                    let last = metrics.last_log_index.unwrap_or(0);
                    has.map(|has| last.saturating_sub(has.index))
                };
                if lag.is_some_and(|lag| lag <= self.settings.keep) {
                    return Ok::<_, Error>(());
                }
                if metrics.changed().await.is_err() {
                    return Err(store::Error::Log("the log is closed".into()).into());
                }
            }
        };
        let caught_up = tokio::time::timeout(self.settings.catch_up, caught_up).await;
        match caught_up {
            Ok(done) => done?,
            Err(_) => {
                let gone = ChangeMembers::RemoveNodes([id].into());
                self.change(gone, false).await?;
                let addr = addr.to_owned();
                return Err(Error::Behind { id, addr });
            }
        }
        self.change(ChangeMembers::AddVoterIds([id].into()), true)
            .await
    }

    /// Lets a manager that was demoted count in the quorum again.
    ///
    /// # Errors
    /// When there is none, or it does not catch up.
    pub async fn promote(&self, id: u64) -> Result<()> {
        let _changing = self.changing.lock().await;
        let members = self.membership();
        let node = members.get_node(&id).ok_or(Error::Unknown(id))?;
        if members.voter_ids().any(|voter| voter == id) {
            return Ok(());
        }
        self.vote(id, &node.addr).await
    }

    /// Takes a manager out of the quorum; it is still told everything.
    ///
    /// # Errors
    /// When there is none, or the quorum would be lost.
    pub async fn demote(&self, id: u64) -> Result<()> {
        self.leave(id, true).await
    }

    /// Removes a manager. Its number is never given again.
    ///
    /// # Errors
    /// When there is none, or the quorum would be lost.
    pub async fn remove(&self, id: u64) -> Result<()> {
        self.leave(id, false).await
    }

    pub(crate) async fn leave(&self, id: u64, retain: bool) -> Result<()> {
        let _changing = self.changing.lock().await;
        let members = self.membership();
        let _there = members.get_node(&id).ok_or(Error::Unknown(id))?;
        if !members.voter_ids().any(|voter| voter == id) {
            if retain {
                return Ok(());
            }
            return self
                .change(ChangeMembers::RemoveNodes([id].into()), false)
                .await;
        }
        let left: Vec<Peer> = self.left_without(&members, id);
        if left.is_empty() {
            return Err(Error::LastManager);
        }
        let needed = left.len() / 2 + 1;
        let mut reachable = Vec::new();
        for peer in &left {
            if peer.id == self.id || self.reachable(peer).await {
                reachable.push(peer.clone());
            }
        }
        if reachable.len() < needed {
            return Err(Error::LosesQuorum {
                reachable: reachable.len(),
                left: left.len(),
                needed,
            });
        }
        if id != self.id {
            return self
                .change(ChangeMembers::RemoveVoters([id].into()), retain)
                .await;
        }
        let leader = self.hand_over(&reachable).await?;
        let (request, within) = (Request::Leave { id, retain }, 2 * self.settings.write);
        match ask::<()>(&*self.transport, &leader, &request, within).await {
            Ok(()) => Ok(()),
            Err(Asked::Refused(why)) => Err(Error::Refused(why.text())),
            Err(Asked::TimedOut | Asked::Unreachable(_)) => Err(store::Error::NoQuorum.into()),
        }
    }

    fn left_without(&self, members: &Membership, id: u64) -> Vec<Peer> {
        let voters: BTreeSet<u64> = members.voter_ids().filter(|voter| *voter != id).collect();
        let nodes = members.nodes().filter(|(id, _)| voters.contains(id));
        let peers = nodes.map(|(id, node)| Peer {
            id: *id,
            addr: node.addr.clone(),
        });
        peers.collect()
    }

    /// Lets the one of these managers that has most lead in place of this one, and answers who leads then.
    ///
    /// This one takes no proposals and says nothing until the others may follow another, and then asks
    /// that one to stand for election.
    async fn hand_over(&self, to: &[Peer]) -> Result<Peer> {
        let to: Vec<Peer> = to
            .iter()
            .filter(|peer| peer.id != self.id)
            .cloned()
            .collect();
        self.proposer.pause(true);
        let handed = self.hand_over_to(&to).await;
        self.silent.store(false, Ordering::SeqCst);
        self.proposer.pause(false);
        handed
    }

    async fn hand_over_to(&self, to: &[Peer]) -> Result<Peer> {
        let lease = self.settings.election.end;
        let nobody = || Error::from(store::Error::NoQuorum);
        let mut metrics = self.metrics();
        let has_all = |metrics: &RaftMetrics<u64, BasicNode>| {
            let replication = metrics.replication.as_ref()?;
            let has = |peer: &&Peer| {
                let has = replication.get(&peer.id).copied().flatten();
                has.map(|id| id.index) >= metrics.last_log_index
            };
            to.iter().find(has).cloned()
        };
        let wait = metrics.wait_for(|metrics| has_all(metrics).is_some());
        let best = match tokio::time::timeout(lease, wait).await {
            Ok(Ok(metrics)) => has_all(&metrics),
            _ => None,
        };
        let best = best.ok_or_else(nobody)?;
        self.silent.store(true, Ordering::SeqCst);
        tokio::time::sleep(lease + self.settings.heartbeat).await;
        // Where the answer is lost it may have stood all the same.
        let _ = ask::<()>(&*self.transport, &best, &Request::Elect, lease).await;
        let follows = metrics.wait_for(|metrics| {
            let leader = metrics.current_leader;
            leader.is_some_and(|leader| leader != self.id)
        });
        match tokio::time::timeout(2 * lease, follows).await {
            Ok(Ok(_)) => {}
            _ => return Err(nobody()),
        }
        self.status().leader.ok_or_else(nobody)
    }

    async fn change(&self, change: ChangeMembers<u64, BasicNode>, retain: bool) -> Result<()> {
        {
            let metrics = self.metrics();
            let metrics = metrics.borrow();
            if metrics.state != ServerState::Leader {
                return Err(not_leading(&metrics).into());
            }
        }
        let changed = self.raft.change_membership(change, retain);
        let Ok(changed) = tokio::time::timeout(self.settings.write, changed).await else {
            return Err(store::Error::NoQuorum.into());
        };
        match changed {
            Ok(_) => Ok(()),
            Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                Err(not_leading(&self.metrics().borrow()).into())
            }
            Err(RaftError::APIError(ClientWriteError::ChangeMembershipError(error))) => {
                Err(match error {
                    ChangeMembershipError::InProgress(_) => Error::Changing,
                    ChangeMembershipError::EmptyMembership(_) => Error::LastManager,
                    ChangeMembershipError::LearnerNotFound(missing) => {
                        Error::Unknown(missing.node_id)
                    }
                })
            }
            Err(RaftError::Fatal(error)) => Err(store::Error::Log(error.to_string()).into()),
        }
    }
}
