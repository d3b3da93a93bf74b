//! Between managers: requests go over a transport that is given, which has the certificates.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use openraft::error::{
    InstallSnapshotError, NetworkError, RPCError, RaftError, RemoteError, Timeout, Unreachable,
};
use openraft::network::{Backoff, RPCOption, RPCTypes, RaftNetwork, RaftNetworkFactory};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, InstallSnapshotRequest, InstallSnapshotResponse,
    VoteRequest, VoteResponse,
};
use openraft::{AnyError, BasicNode};
use serde::de::DeserializeOwned;

use crate::message::{Refusal, Request, answered};
use crate::types::Types;

/// Another manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Its number.
    pub id: u64,
    /// Where it is.
    pub addr: String,
}

/// Carries requests between managers. It may lose, delay, repeat and reorder them; it must not change
/// them, and must know who is at the other end. Whoever gets one hands it to [`crate::Node::handle`] of
/// the manager `to.id`, and brings back what that answers.
#[async_trait]
pub trait Transport: Send + Sync + 'static {
    /// Asks another manager. Whoever calls gives up by itself after a while: the future is dropped.
    async fn call(&self, to: &Peer, request: Vec<u8>) -> io::Result<Vec<u8>>;
}

/// Asks and reads the answer.
pub(crate) async fn ask<T: DeserializeOwned>(
    transport: &dyn Transport,
    to: &Peer,
    request: &Request,
    within: Duration,
) -> Result<T, Asked> {
    let request = request
        .write()
        .map_err(|e| Asked::Refused(Refusal::Other(e.to_string())))?;
    match tokio::time::timeout(within, transport.call(to, request)).await {
        Err(_) => Err(Asked::TimedOut),
        Ok(Err(error)) => Err(Asked::Unreachable(error)),
        Ok(Ok(answer)) => answered(&answer).map_err(Asked::Refused),
    }
}

/// Why there is no answer.
pub(crate) enum Asked {
    TimedOut,
    Unreachable(io::Error),
    Refused(Refusal),
}

/// Makes links.
pub(crate) struct Links {
    pub(crate) id: u64,
    /// It must say nothing as a leader.
    pub(crate) silent: Arc<AtomicBool>,
    pub(crate) transport: Arc<dyn Transport>,
}

/// To one other manager.
pub(crate) struct Link {
    id: u64,
    silent: Arc<AtomicBool>,
    to: Peer,
    transport: Arc<dyn Transport>,
}

impl RaftNetworkFactory<Types> for Links {
    type Network = Link;

    async fn new_client(&mut self, target: u64, node: &BasicNode) -> Link {
        Link {
            id: self.id,
            silent: self.silent.clone(),
            to: Peer {
                id: target,
                addr: node.addr.clone(),
            },
            transport: self.transport.clone(),
        }
    }
}

type Failed<E> = RPCError<u64, BasicNode, RaftError<u64, E>>;

impl Link {
    async fn ask<T: DeserializeOwned, E: std::error::Error>(
        &self,
        request: Request,
        action: RPCTypes,
        option: &RPCOption,
        refused: impl FnOnce(Refusal) -> Failed<E>,
    ) -> Result<T, Failed<E>> {
        let within = option.hard_ttl();
        if action != RPCTypes::Vote && self.silent.load(Ordering::SeqCst) {
            let silent = AnyError::error("no majority answers: waiting for another leader");
            return Err(Unreachable::new(&silent).into());
        }
        match ask(&*self.transport, &self.to, &request, within).await {
            Ok(answer) => Ok(answer),
            Err(Asked::TimedOut) => Err(Timeout {
                action,
                id: self.id,
                target: self.to.id,
                timeout: within,
            }
            .into()),
            Err(Asked::Unreachable(error)) => Err(Unreachable::new(&error).into()),
            Err(Asked::Refused(refusal)) => Err(refused(refusal)),
        }
    }
}

/// It is there, and cannot answer: its log is closed, or it is of another version.
fn refused<E: std::error::Error>(refusal: Refusal) -> Failed<E> {
    let text = refusal.text();
    Unreachable::new(&AnyError::error(text)).into()
}

impl RaftNetwork<Types> for Link {
    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<Types>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<u64>, Failed<openraft::error::Infallible>> {
        let request = Request::Append(request);
        self.ask(request, RPCTypes::AppendEntries, &option, refused)
            .await
    }

    async fn install_snapshot(
        &mut self,
        request: InstallSnapshotRequest<Types>,
        option: RPCOption,
    ) -> Result<InstallSnapshotResponse<u64>, Failed<InstallSnapshotError>> {
        let (id, request) = (self.to.id, Request::Snapshot(request));
        self.ask(
            request,
            RPCTypes::InstallSnapshot,
            &option,
            |refusal| match refusal {
                Refusal::Snapshot(error) => RemoteError::new(id, RaftError::APIError(error)).into(),
                Refusal::Other(text) => NetworkError::new(&AnyError::error(text)).into(),
            },
        )
        .await
    }

    async fn vote(
        &mut self,
        request: VoteRequest<u64>,
        option: RPCOption,
    ) -> Result<VoteResponse<u64>, Failed<openraft::error::Infallible>> {
        self.ask(Request::Vote(request), RPCTypes::Vote, &option, refused)
            .await
    }

    /// A manager that is gone is asked again often, so that it catches up soon when it is back.
    fn backoff(&self) -> Backoff {
        Backoff::new(std::iter::repeat(Duration::from_millis(200)))
    }
}
