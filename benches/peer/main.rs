//! Speed and memory of wharf and of Debian's `dockerd`, in one run, each in a network namespace of
//! its own, alternately, as medians; and of `wharf runtime` beside Debian's `runc`. Nothing is asserted
//! here: docs/performance.md gets a table.

mod measure;
mod table;

use std::time::Duration;

use measure::{Peer, oci};
use table::Row;
use testkit::{Auth, Daemon, Engine, Lan, Opts, Registry, images};

const USAGE: &str = "benches/run [--runs N] [--pulls N] [--dry]
  --runs N   rounds of each command (default 21)
  --pulls N  rounds of the pull and of fifty containers (default 3; 0 leaves them out)
  --log N    megabytes of the log that is written and read (default 1000; 0 leaves logs out)
  --dry      prints the table and leaves docs/performance.md alone";

fn main() {
    let args: Vec<_> = std::env::args()
        .skip(1)
        .filter(|a| a != "--bench")
        .collect();
    if args.iter().any(|a| a == "--help") {
        println!("{USAGE}");
        return;
    }
    let number = |name: &str, default: usize| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|at| args.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let (runs, pulls) = (number("--runs", 21), number("--pulls", 3));
    let lan = Lan::new();
    let registry = Registry::start(lan.outside(), Lan::OUTSIDE, Auth::None);
    let mut peers = Vec::new();
    for engine in [Engine::Wharf, Engine::Dockerd] {
        let opts = Opts {
            engine: Some(engine),
            insecure: vec![registry.address().to_string()],
            ..Opts::default()
        };
        peers.push(Peer::new(Daemon::start(&lan.host(), opts)));
    }
    let mut rows = memory(&mut peers);
    rows.splice(0..0, commands(&peers, runs));
    if pulls > 0 {
        rows.extend(fifty(&peers, pulls));
        registry.push(lan.outside(), &images::ten_layers_tar(), "ten:1");
        rows.extend(pull(&peers, &registry.reference("ten:1"), pulls));
    }
    let log = number("--log", 1000);
    if log > 0 {
        rows.extend(logs(&peers, log as u64, pulls.max(1)));
    }
    drop(peers);
    rows.push(runtimes(runs));
    let text = table::render(&rows, runs, pulls);
    println!("{text}");
    if !args.iter().any(|a| a == "--dry") {
        table::write(&text);
    }
}

/// What each takes while it does nothing.
fn memory(peers: &mut [Peer]) -> Vec<Row> {
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
    for peer in peers {
        rows[0].kibibytes(peer.idle());
        peer.daemon.load(&images::busybox_tar());
        rows[1].kibibytes(peer.container("-p 8080:80"));
        rows[2].kibibytes(peer.container("--network none"));
    }
    rows.into()
}

/// Commands of the two CLIs, from fork to exit, alternately. dockerd has no CLI but docker's.
fn commands(peers: &[Peer], runs: usize) -> Vec<Row> {
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
        let mut second = Row::new("the same by the `docker` CLI", "");
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
fn fifty(peers: &[Peer], rounds: usize) -> Vec<Row> {
    let mut rows = [
        Row::new("50 containers at once, one API client", "1 s"),
        Row::new("`docker rm -f` of these 50", "0.8 s"),
    ];
    let mut times = vec![[Vec::new(), Vec::new()]; peers.len()];
    for _ in 0..rounds {
        for (at, peer) in peers.iter().enumerate() {
            times[at][0].push(measure::time(|| peer.start_many(50)));
            times[at][1].push(measure::time(|| peer.remove_many(50)));
        }
    }
    for [start, remove] in &times {
        rows[0].times(start);
        rows[1].times(remove);
    }
    rows.into()
}

fn pull(peers: &[Peer], reference: &str, rounds: usize) -> Vec<Row> {
    let mut rows = [
        Row::new("pull of 10 layers, 523 MB, local registry", "3.5 s"),
        Row::new("highest memory in these pulls (RSS)", "flat"),
    ];
    let mut all: Vec<(Vec<Duration>, u64)> = vec![(Vec::new(), 0); peers.len()];
    for _ in 0..rounds {
        for (peer, (times, peak)) in peers.iter().zip(&mut all) {
            let docker = peer.daemon.docker();
            times.push(measure::time(|| {
                drop(docker.ok(&format!("pull -q {reference}")))
            }));
            *peak = (*peak).max(peer.peak());
            docker.ok(&format!("rmi {reference}"));
        }
    }
    for (times, peak) in all {
        rows[0].times(&times);
        rows[1].kibibytes(peak);
    }
    rows.into()
}

/// A long log written and read, and a hundred followed.
fn logs(peers: &[Peer], megabytes: u64, rounds: usize) -> Vec<Row> {
    let mut rows = [
        Row::new(
            &format!("a container writes {megabytes} MB in lines of 100 bytes"),
            "5 s a GB",
        ),
        Row::new(
            &format!("`logs` of these {megabytes} MB by the API"),
            "1 s a GB",
        ),
        Row::new(
            "processor time of the daemon in 20 s, with 100 followed logs of a line a second",
            "",
        ),
    ];
    for peer in peers {
        rows[0].times(&[peer.write_lines("long", megabytes * 1_000_000)]);
        let read: Vec<_> = (0..rounds)
            .map(|_| {
                let (took, bytes) = peer.read_log("long");
                // With the frames' heads there are some more.
                assert!(bytes >= megabytes * 1_000_000, "{bytes}");
                took
            })
            .collect();
        rows[1].times(&read);
        peer.daemon.docker().ok("rm -f long");
        rows[2].times(&[peer.follow_many(100, 20)]);
    }
    rows.into()
}

/// `wharf runtime run` beside `runc run`, each of the same bundle.
fn runtimes(runs: usize) -> Row {
    let mut row = Row::new(
        "`wharf runtime run` of `true`; beside it `runc run`",
        "half of runc",
    );
    let bundle = oci::Bundle::new();
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..runs {
        times[0].push(measure::time(|| bundle.run(&oci::wharf())));
        times[1].push(measure::time(|| bundle.run(&oci::runc())));
    }
    for times in &times {
        row.times(times);
    }
    row
}
