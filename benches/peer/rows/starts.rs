//! Starting containers, and what they take while they do nothing.

use testkit::Engine;

use crate::{
    Bench,
    measure::{self, oci},
    table::Row,
};

/// What each takes while it does nothing.
pub(crate) fn memory(bench: &Bench) -> Vec<Row> {
    let daemon = Row::new("idle daemon with its helpers (RSS)", "25 MB");
    let published = Row::new(
        "idle container with a published port, all its processes (PSS)",
        "1 MB",
    );
    let idle = Row::new(
        "helper and shim of an idle container (PSS)",
        "1 MB, then 0.5",
    );
    let mut rows = [daemon, published, idle];
    for peer in &bench.peers {
        rows[0].kibibytes(peer.idle());
        rows[1].kibibytes(peer.container("-p 8080:80"));
        rows[2].kibibytes(peer.container("--network none"));
    }
    rows.into()
}

/// Commands of the two CLIs, from fork to exit, alternately. dockerd has no CLI but docker's.
pub(crate) fn commands(bench: &Bench) -> Vec<Row> {
    let (peers, runs) = (&bench.peers, bench.runs);
    const COMMANDS: [(&str, &str, &str); 3] = [
        (
            "`run --rm busybox true`, bridge",
            "run --rm busybox true",
            "50 ms, then 25",
        ),
        (
            "`run --rm --network none busybox true`",
            "run --rm --network none busybox true",
            "40 ms, then 20",
        ),
        ("`exec … true`", "exec bench-exec true", "20 ms, then 10"),
    ];
    for peer in peers {
        peer.daemon
            .docker()
            .ok("run -d --name bench-exec busybox sleep 100000");
    }
    let mut rows = Vec::new();
    for (what, line, goal) in COMMANDS {
        let mut own = vec![Vec::new(); peers.len()];
        let mut docker = own.clone();
        for _ in 0..runs {
            for (at, peer) in peers.iter().enumerate() {
                docker[at].push(measure::time(|| drop(peer.daemon.docker().ok(line))));
                if peer.daemon.engine() == Engine::Wharf {
                    own[at].push(measure::time(|| drop(peer.daemon.wharf().ok(line))));
                }
            }
        }
        let mut first = Row::new(&format!("{what}, own CLI"), goal);
        let mut second = Row::new(&format!("{what}, `docker` CLI"), "");
        for (own, docker) in own.iter().zip(&docker) {
            first.times(if own.is_empty() { docker } else { own });
            second.times(docker);
        }
        rows.extend([first, second]);
    }
    for peer in peers {
        peer.daemon.docker().ok("rm -f bench-exec");
    }
    rows
}

/// Fifty containers at once from one client, and their forced removal.
pub(crate) fn fifty(bench: &Bench) -> Vec<Row> {
    let mut rows = [
        Row::new("50 containers at once, one API client", "1 s"),
        Row::new("`docker rm -f` of these 50", "0.8 s"),
    ];
    let mut times = vec![[Vec::new(), Vec::new()]; bench.peers.len()];
    for _ in 0..bench.rounds {
        for (peer, times) in bench.peers.iter().zip(&mut times) {
            times[0].push(measure::time(|| peer.start_range(0..50)));
            times[1].push(measure::time(|| peer.remove_many(50)));
        }
    }
    for [start, remove] in &times {
        rows[0].times(start);
        rows[1].times(remove);
    }
    rows.into()
}

/// `wharf runtime run` beside `runc run`, each of the same bundle.
pub(crate) fn runtimes(bench: &Bench) -> Vec<Row> {
    let mut row = Row::new(
        "`wharf runtime run` of `true`; beside it `runc run`",
        "half of runc",
    );
    let bundle = oci::Bundle::new();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..bench.runs {
        times[0].push(measure::time(|| bundle.run(&oci::wharf())));
        times[1].push(measure::time(|| bundle.run(&oci::runc())));
    }
    for times in &times {
        row.times(times);
    }
    vec![row]
}
