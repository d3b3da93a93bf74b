//! A node's side of the cluster: runs the tasks that the managers give it, and says how they are.
//!
//! The agent knows neither the managers' transport nor the engine. What it is told is a set of
//! [`swarm_api::Task`]s ([`Agent::assign`]); what it runs them by is an [`Executor`]; what it says is read
//! by [`Agent::reports`]. Each task is moved by one [`step`], a function of how the task should be and
//! how it is, which does at most one thing.
//!
//! An agent that is started anew remembers nothing: the managers tell it its tasks, and the executor knows
//! which of their containers are there ([`Controller::status`]). So nothing is lost by kill -9, and nothing that
//! runs is touched.

mod agent;
mod executor;
mod step;

pub use agent::{Agent, Report};
pub use executor::{Controller, Executor, Exit, Found, TaskError};
pub use step::{Act, next};
