//! The orchestrators together, in a small cluster.

mod global;
mod jobs;
mod random;
mod reaper;
mod replicated;
mod update;

use super::{Global, Jobs, Reaper, Removal, Replicated};
use crate::plan::Loop;
use crate::testing::World;

fn all() -> Vec<Box<dyn Loop>> {
    vec![
        Box::new(Replicated::new()),
        Box::new(Global::new()),
        Box::new(Jobs::new()),
        Box::new(Removal::new()),
        Box::new(Reaper::new()),
    ]
}

fn world(nodes: usize) -> World {
    World::new(all, nodes)
}
