//! The orchestrators: loops that keep as many tasks of each service as are wished.
//!
//! [`Replicated`], [`Global`] and [`Jobs`] each keep the services of their mode; [`Removal`] ends tasks of
//! services that go, and [`Reaper`] removes tasks that ended. What they share:
//!
//! | module | idea |
//! |---|---|
//! | `dirty` | which services a turn looks at |
//! | `work` | one service in one turn: what is wished of its tasks, and the changes so far |
//! | `slot` | a service's tasks by their places |
//! | `fate` | what a task's node means for it |
//! | `restart` | the restart policy |
//! | `upkeep` | a place's tasks: ended ones are told so, empty places are filled, waiting tasks may run |
//! | `scale` | which places go when there are too many |
//! | `rollout` | updates |
//!
//! All of them are functions of the tables and the time; a loop only remembers when to look at a service
//! again. What must outlive tasks that are removed (restarts that were counted, an update's failures) is
//! handed from a task to the next in its place, in `Task::past`.
//!
//! A task is replaced in two steps: it is told to shut down, and, once the store has that, the next turn
//! finds its place empty and fills it. So an agent's report that comes between, and has a change refused,
//! never leaves two wanted tasks in a place. A new task is made at once but waits as `ready` (its image is
//! there, nothing runs) while the old one still stops, and while the restart policy has it wait.

mod dirty;
mod fate;
mod global;
mod jobs;
mod reaper;
mod removal;
mod replicated;
mod restart;
mod rollout;
mod scale;
mod slot;
#[cfg(test)]
mod tests;
mod upkeep;
mod work;

pub use global::Global;
pub use jobs::Jobs;
pub use reaper::Reaper;
pub use removal::Removal;
pub use replicated::Replicated;
