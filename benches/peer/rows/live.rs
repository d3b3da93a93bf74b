//! What is told as it happens.

use crate::{Bench, table::Row};

/// Statistics of many containers, and how soon an event is told.
pub(crate) fn live(bench: &Bench) -> Vec<Row> {
    const SECONDS: u32 = 20;
    let count = bench.count / 5;
    let mut statistics = Row::new(
        &format!("processor time of the daemon in {SECONDS} s of `stats` of {count} containers"),
        "1 s (5 % of a core)",
    );
    let mut events = Row::new("event to a subscriber", "1 ms");
    for peer in &bench.peers {
        events.times(&peer.event_delays(bench.runs));
        for batch in (0..count).step_by(50) {
            peer.start_range(batch..(batch + 50).min(count));
        }
        statistics.times(&[peer.read_statistics(count, SECONDS)]);
        peer.remove_many(count);
    }
    vec![events, statistics]
}
