//! Building: ours by our own CLI, dockerd's by docker's with its classic builder, the same files.

use std::{cell::Cell, fs, path::Path};

use testkit::Engine;

use crate::{
    Bench,
    measure::{Peer, copies},
    table::Row,
};

/// Builds a folder; what comes before the folder goes to both.
fn build(peer: &Peer, more: &str, folder: &Path) {
    let d = &peer.daemon;
    let cli = match d.engine() {
        Engine::Wharf => d.wharf(),
        Engine::Dockerd => d.docker(),
    };
    let line = format!("build -q -t bench {more} {}", folder.display());
    let mut command = cli.command(&line);
    let out = command
        .env("DOCKER_BUILDKIT", "0")
        .output()
        .expect("a client");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "{line}: {said}");
}

/// Nineteen small commands.
fn nineteen() -> String {
    let runs = (0..19).map(|n| format!("RUN echo {n} > /f{n}\n"));
    format!("FROM busybox\n{}", runs.collect::<String>())
}

/// Three stages of some work each that do not depend on one another, and one that takes from all.
fn four_stages() -> String {
    let work = "RUN n=0; while [ $n -lt 60000 ]; do n=$((n+1)); done; echo $n > /out\n";
    let stages = ["a", "b", "c"].map(|s| format!("FROM busybox AS {s}\n{work}"));
    let copies = ["a", "b", "c"].map(|s| format!("COPY --from={s} /out /{s}\n"));
    format!("{}FROM busybox\n{}", stages.concat(), copies.concat())
}

/// Building.
pub(crate) fn builds(bench: &Bench) -> Vec<Row> {
    let folder = tempfile::tempdir().expect("/tmp is writable");
    let of = |name: &str, text: &str| {
        let dir = folder.path().join(name);
        fs::create_dir_all(&dir).expect("/tmp is writable");
        fs::write(dir.join("Dockerfile"), text).expect("/tmp is writable");
        dir
    };
    let (steps, stages) = (of("steps", &nineteen()), of("stages", &four_stages()));
    let small = of(
        "small",
        "FROM busybox\nRUN mkdir /d && i=0; while [ $i -lt 200 ]; do mkdir /d/$i; \
        j=0; while [ $j -lt 100 ]; do echo $i $j > /d/$i/$j; j=$((j+1)); done; i=$((i+1)); done\n",
    );
    let copied = of("copied", "FROM busybox\nCOPY files /files\n");
    copies::many_files(&copied.join("files"), 20_000);
    let large = of("large", "FROM busybox\nCOPY files/d0 /files\n");
    copies::many_files(&large.join("files"), 50_000);
    for peer in &bench.peers {
        build(peer, "", &steps);
        build(peer, "", &large);
    }
    let round = Cell::new(0);
    vec![
        bench.compare(
            Row::new("20 steps, all cached", "30 ms"),
            bench.runs,
            |peer| {
                build(peer, "", &steps);
            },
        ),
        bench.compare(
            Row::new("19 plain `RUN` steps, nothing cached", "1 s"),
            bench.rounds,
            |peer| {
                build(peer, "--no-cache", &steps);
            },
        ),
        bench.compare(
            Row::new(
                "4 stages, 3 of them independent, nothing cached",
                "1.5 times as fast",
            ),
            bench.rounds,
            |peer| build(peer, "--no-cache", &stages),
        ),
        bench.compare(
            Row::new("a `RUN` that writes 20,000 small files", "half"),
            bench.rounds,
            |peer| build(peer, "--no-cache", &small),
        ),
        bench.compare(
            Row::new("`COPY` of 20,000 small files", "half"),
            bench.rounds,
            |peer| build(peer, "--no-cache", &copied),
        ),
        bench.compare_after(
            Row::new("context of 50,000 files, one of them changed", ""),
            bench.rounds,
            |_| {
                round.set(round.get() + 1);
                let text = format!("changed {}", round.get());
                fs::write(large.join("files/d3/f301"), text).expect("/tmp is writable");
            },
            |peer, ()| build(peer, "", &large),
        ),
    ]
}
