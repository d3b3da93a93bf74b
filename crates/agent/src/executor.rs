//! What runs a node's tasks: the engine, and doubles of it in tests.

use std::sync::Arc;

use async_trait::async_trait;
use swarm_api::{ContainerStatus, Task};
use types::Failure;
use types::swarm::node::NodeDescription;
use types::swarm::service::PortConfig;

/// Runs the tasks of a node.
#[async_trait]
pub trait Executor: Send + Sync {
    /// What the node is and has.
    ///
    /// # Errors
    /// When the engine cannot say.
    async fn describe(&self) -> Result<NodeDescription, Failure>;

    /// What moves this task.
    fn controller(&self, task: &Task) -> Arc<dyn Controller>;

    /// Removes what is left of tasks that are not among `known`: the managers know nothing of them any
    /// more.
    async fn retain(&self, known: &[&str]);
}

/// Moves one task. Each act may be repeated: one that was done already is no error.
#[async_trait]
pub trait Controller: Send + Sync {
    /// How the task's container is, whatever this process knows of it.
    ///
    /// # Errors
    /// When the engine cannot say.
    async fn status(&self) -> Result<Found, TaskError>;

    /// Fetches what it needs and makes its container.
    ///
    /// # Errors
    /// [`TaskError::Fatal`] when this node cannot run it.
    async fn prepare(&self) -> Result<(), TaskError>;

    /// Starts it, and waits until it runs: until it is healthy, where it says how that is seen.
    ///
    /// # Errors
    /// When it cannot be started, or ended or turned unhealthy before.
    async fn start(&self) -> Result<(), TaskError>;

    /// Waits until its container ended, or is unhealthy.
    ///
    /// # Errors
    /// When the engine cannot say.
    async fn wait(&self) -> Result<Exit, TaskError>;

    /// Takes traffic from it: nobody new is led to it.
    ///
    /// # Errors
    /// When the engine refuses.
    async fn withdraw(&self) -> Result<(), TaskError>;

    /// Asks it to end, and waits, and ends it when its time is up.
    ///
    /// # Errors
    /// When the engine refuses.
    async fn shut_down(&self) -> Result<(), TaskError>;

    /// Removes its container.
    ///
    /// # Errors
    /// When the engine refuses.
    async fn remove(&self) -> Result<(), TaskError>;
}

/// A task's container as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Found {
    /// There is none.
    Nothing,
    /// It is made, and was never started.
    Made,
    /// It runs.
    Running(ContainerStatus, Vec<PortConfig>),
    /// It ended.
    Ended(Exit),
}

/// How a task's container ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Exit {
    /// The container.
    pub container: ContainerStatus,
    /// What went wrong, where something did.
    pub error: Option<String>,
}

/// Why a task was not moved.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TaskError {
    /// It will not go better next time.
    #[error("{0}")]
    Fatal(String),
    /// It may.
    #[error("{0}")]
    Again(String),
}
