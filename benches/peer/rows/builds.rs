//! Building: ours by our own CLI, dockerd's by docker's with its classic builder, the same files; and
//! by buildah where it is installed.

use std::{cell::Cell, fs, path::Path, process::Command};

use testkit::{Engine, images};

use crate::{
    Bench,
    measure::{Peer, copies, time},
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

/// Debian's buildah, with a store of its own that has the same base.
struct Buildah(tempfile::TempDir);

impl Buildah {
    fn new() -> Option<Self> {
        let there = Command::new("buildah").arg("--version").output().is_ok();
        let own = there.then(|| Self(tempfile::tempdir().expect("/tmp is writable")))?;
        own.run(&format!(
            "pull -q docker-archive:{}",
            images::busybox_tar().display()
        ));
        Some(own)
    }

    fn run(&self, line: &str) {
        let at = |name| self.0.path().join(name);
        let out = Command::new("buildah")
            .args(["--storage-driver", "overlay", "--root"])
            .arg(at("root"))
            .arg("--runroot")
            .arg(at("run"))
            .args(line.split_whitespace())
            .output()
            .expect("buildah");
        let said = String::from_utf8_lossy(&out.stderr);
        assert!(out.status.success(), "buildah {line}: {said}");
    }

    fn build(&self, more: &str, folder: &Path) {
        self.run(&format!(
            "build -q --layers --jobs 4 --pull-never --network host -t bench {more} {}",
            folder.display()
        ));
    }

    /// Ours, then its own, alternately.
    fn beside(&self, bench: &Bench, what: &str, rounds: usize, more: &str, folder: &Path) -> Row {
        let mut row = Row::new(
            &format!("{what}; beside buildah 1.28 in dockerd's place"),
            "",
        );
        let mut times = [Vec::new(), Vec::new()];
        for _ in 0..rounds {
            times[0].push(time(|| build(&bench.peers[0], more, folder)));
            times[1].push(time(|| self.build(more, folder)));
        }
        times.iter().for_each(|times| row.times(times));
        row
    }
}

impl Drop for Buildah {
    fn drop(&mut self) {
        // Its mount of its store would hold the folder.
        let root = self.0.path().join("root/overlay");
        let _ = Command::new("umount").arg("-l").arg(root).output();
    }
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
    let mut rows = vec![
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
    ];
    if let Some(buildah) = Buildah::new() {
        buildah.build("", &steps);
        for (what, rounds, more, folder) in [
            ("20 steps, all cached", bench.runs, "", &steps),
            (
                "19 plain `RUN` steps, nothing cached",
                bench.rounds,
                "--no-cache",
                &steps,
            ),
            (
                "4 stages, nothing cached",
                bench.rounds,
                "--no-cache",
                &stages,
            ),
            (
                "a `RUN` that writes 20,000 small files",
                bench.rounds,
                "--no-cache",
                &small,
            ),
            (
                "`COPY` of 20,000 small files",
                bench.rounds,
                "--no-cache",
                &copied,
            ),
        ] {
            rows.push(buildah.beside(bench, what, rounds, more, folder));
        }
    }
    rows
}
