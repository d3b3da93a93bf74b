//! The managers' loops in a world where everything breaks: simulated nodes, time and users.
//!
//! What is simulated is decided by a seed alone, so a failure is replayed by its number, which is printed:
//! `SIM_SEED=17 cargo test -p manager --test simulation`. Without it a fixed set of seeds runs. More:
//!
//! | variable | what |
//! |---|---|
//! | `SIM_SECONDS` | new seeds for so many seconds |
//! | `SIM_NODES`, `SIM_TASKS` | how large the cluster is |
//! | `SIM_HOURS` | how long it lives, in its own time |
//!
//! A week of a thousand nodes: `SIM_SEED=1 SIM_NODES=1000 SIM_TASKS=20000 SIM_HOURS=168`, with `--release`.

mod agent;
mod chaos;
mod net;
mod rules;
mod users;
mod world;

use std::time::{Duration, Instant};

use chaos::Scale;
use world::World;

/// Seeds that always run; those that once failed are among them.
const SEEDS: std::ops::Range<u64> = 0..12;

fn number(name: &str) -> Option<u64> {
    std::env::var(name).ok()?.parse().ok()
}

fn run(seed: u64, scale: Scale) {
    let start = Instant::now();
    let mut world = World::new(seed, scale);
    let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        world.live();
        world.calm();
    }));
    let counts = world.counts;
    println!(
        "seed {seed}: {counts:?}, {:.1} s",
        start.elapsed().as_secs_f64()
    );
    if let Err(panic) = result {
        println!(
            "SIM_SEED={seed} failed at {} s with {scale:?}",
            world.time / world::SECOND
        );
        std::panic::resume_unwind(panic);
    }
}

#[test]
fn everything_breaks_and_services_live() {
    let scale = Scale {
        nodes: number("SIM_NODES").unwrap_or(8),
        tasks: number("SIM_TASKS").unwrap_or(40),
        hours: number("SIM_HOURS").unwrap_or(1),
    };
    if let Some(seed) = number("SIM_SEED") {
        return run(seed, scale);
    }
    if let Some(seconds) = number("SIM_SECONDS") {
        let start = Instant::now();
        let first = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut seed = first.expect("after 1970").as_secs() * 1_000;
        while start.elapsed() < Duration::from_secs(seconds) {
            run(seed, scale);
            seed += 1;
        }
        return;
    }
    for seed in SEEDS {
        run(seed, scale);
    }
}
