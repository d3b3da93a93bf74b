//! Many containers, and many clients.

use crate::{Bench, table::Row};

/// Lists and inspection with many containers, and a hundred clients that ask at once.
pub(crate) fn lists(bench: &Bench) -> Vec<Row> {
    let count = bench.count;
    for peer in &bench.peers {
        peer.create_many(count);
    }
    let rows = vec![
        bench.compare(
            Row::new(
                &format!("`ps -a` with {count} containers, own CLI"),
                "a third",
            ),
            bench.runs,
            |peer| assert!(peer.cli().ok("ps -a").lines().count() >= count),
        ),
        bench.compare(
            Row::new(&format!("list of {count} containers by the API"), "a third"),
            bench.runs,
            |peer| {
                let list = peer.daemon.api().get("/containers/json?all=1").expect(200);
                assert!(list.body.len() > count);
            },
        ),
        bench.compare(
            Row::new(&format!("`inspect` of one of {count}, own CLI"), "a third"),
            bench.runs,
            |peer| drop(peer.cli().ok("inspect many-7")),
        ),
        bench.compare(
            Row::new(&format!("`inspect` of all {count}, own CLI"), "a third"),
            bench.rounds,
            |peer| {
                drop(
                    peer.cli()
                        .ok(&format!("inspect {}", crate::measure::many(count))),
                )
            },
        ),
        bench.compare(
            Row::new("100 API clients at once, 10 inspections each", "a third"),
            bench.rounds,
            |peer| peer.ask_at_once(100, 10, count),
        ),
    ];
    for peer in &bench.peers {
        peer.remove_many(count);
    }
    rows
}
