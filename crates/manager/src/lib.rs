//! What the managers of a cluster decide.
//!
//! Each idea is a loop of its own ([`plan::Loop`]): it reads the store's tables and answers with changes of
//! them, and with the time when it wants to be asked again. Loops do not know one another, no clock, no
//! network and no randomness but what they are given, so that the same ones run in a manager and in a
//! simulation of a thousand nodes. Whoever runs them makes the changes ([`store::Store::commit_each`]); what
//! somebody else changed meanwhile is refused there, and heard of by the loop at its next turn.

pub mod allocator;
pub mod constraint;
pub mod dispatch;
pub mod enforcer;
pub mod nodes;
pub mod orchestrator;
pub mod plan;
mod room;
pub mod scheduler;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod workbench;

pub use plan::{Loop, Plan, Turn};
