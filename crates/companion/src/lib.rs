//! What the small programs beside the daemon have in common (`wharf-dns`, `wharf-relay`): one thread
//! and one loop, a socket on which the daemon tells them what to do, and how the daemon finds, starts
//! and replaces them.
//!
//! Each of them is one process for an exec root, run from a sealed memory file. It outlives the
//! daemon, and ends by itself when it is of no use any more.
//!
//! | module | purpose |
//! |---|---|
//! | `poll` | what the loop waits for |
//! | `message`, `control` | the daemon's connections, as the program sees them |
//! | `client` | a connection, as the daemon sees it |
//! | `process`, `supervise` | the daemon's side: the process and who watches it |
//! | `prepare` | what a program does before anything else |

pub mod client;
pub mod control;
pub mod message;
pub mod poll;
pub mod prepare;
pub mod process;
pub mod supervise;

/// Without a use and a daemon's connection a program ends after so long.
pub const NEEDED: std::time::Duration = std::time::Duration::from_secs(3);
