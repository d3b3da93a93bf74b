//! Files into and out of containers.

use crate::{Bench, measure::copies, table::Row};

/// Many small files and a large one, both ways; and the small ones committed.
pub(crate) fn copies(bench: &Bench) -> Vec<Row> {
    const FILES: usize = 20_000;
    let dir = tempfile::tempdir().expect("/tmp is writable");
    let small = dir.path().join("small");
    copies::many_files(&small, FILES);
    let large = dir.path().join("large");
    copies::fill(&large, bench.size * 2);
    let out = |engine| dir.path().join(format!("out-{engine:?}"));
    let fresh = |peer: &crate::measure::Peer| {
        let docker = peer.daemon.docker();
        docker.run("rm -f box");
        docker.ok("run -d --name box busybox sleep 100000");
        let _ = std::fs::remove_dir_all(out(peer.daemon.engine()));
    };
    let (small, large) = (small.display(), large.display());
    let row = |text: String| Row::new(&text, "a third");
    let megabytes = bench.size * 2;
    let rows = vec![
        bench.compare_after(
            row(format!("`cp` of {FILES} small files into a container")),
            bench.rounds,
            fresh,
            |peer, ()| drop(peer.cli().ok(&format!("cp {small} box:/small"))),
        ),
        bench.compare_after(
            row(format!("`cp` of {FILES} small files out of a container")),
            bench.rounds,
            |peer| {
                let _ = std::fs::remove_dir_all(out(peer.daemon.engine()));
            },
            |peer, ()| {
                let to = out(peer.daemon.engine());
                peer.cli().ok(&format!("cp box:/small {}", to.display()));
            },
        ),
        bench.compare_after(
            row(format!("`commit` of {FILES} small files")),
            bench.rounds,
            |peer| drop(peer.daemon.docker().run("rmi small")),
            |peer, ()| drop(peer.cli().ok("commit box small")),
        ),
        bench.compare_after(
            row(format!(
                "`cp` of one file of {megabytes} MB into a container"
            )),
            bench.rounds,
            fresh,
            |peer, ()| drop(peer.cli().ok(&format!("cp {large} box:/large"))),
        ),
        bench.compare_after(
            row(format!(
                "`cp` of one file of {megabytes} MB out of a container"
            )),
            bench.rounds,
            |peer| {
                let _ = std::fs::remove_file(out(peer.daemon.engine()));
            },
            |peer, ()| {
                let to = out(peer.daemon.engine());
                peer.cli().ok(&format!("cp box:/large {}", to.display()));
            },
        ),
    ];
    for peer in &bench.peers {
        let docker = peer.daemon.docker();
        docker.ok("rm -f box");
        docker.ok("rmi small");
    }
    rows
}
