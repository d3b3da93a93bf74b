//! Death at every durable step, and at random moments of a random workload.

mod failpoints;
mod kills;
mod sound;

use testkit::Engine;

/// Every place in the source where the daemon can be made to die is in the list of the test
/// below, and the other way round.
#[test]
fn every_failpoint_is_tested() {
    failpoints::all_are_listed();
}

/// At each of them the daemon dies in the middle of an operation, and the next one goes on.
#[test]
fn failpoints() {
    if Engine::under_test().is_wharf() {
        failpoints::die_at_each();
    }
}

/// Daemon, shims, containers and runtimes are killed while several clients are at work.
#[test]
fn random_kills() {
    if Engine::under_test().is_wharf() {
        kills::random();
    }
}
