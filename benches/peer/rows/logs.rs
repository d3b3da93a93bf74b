//! Logs: written, read, followed.

use crate::{Bench, table::Row};

/// A long log written and read, and a hundred followed.
pub(crate) fn logs(bench: &Bench) -> Vec<Row> {
    let bytes = bench.size as u64 * 1_000_000;
    let mut rows = [
        Row::new(
            &format!("a container writes {} MB in lines of 100 bytes", bench.size),
            "50 s a GB",
        ),
        Row::new(
            &format!("`logs` of these {} MB by the API", bench.size),
            "1 s a GB, a third",
        ),
        Row::new(
            "processor time of the daemon in 20 s, with 100 followed logs of a line a second",
            "a third",
        ),
    ];
    for peer in &bench.peers {
        rows[0].times(&[peer.write_lines("long", bytes)]);
        let read: Vec<_> = (0..bench.rounds)
            .map(|_| {
                let (took, came) = peer.read_log("long");
                // With the frames' heads there are some more.
                assert!(came >= bytes, "{came}");
                took
            })
            .collect();
        rows[1].times(&read);
        peer.daemon.docker().ok("rm -f long");
        rows[2].times(&[peer.follow_many(100, 20)]);
    }
    rows.into()
}
