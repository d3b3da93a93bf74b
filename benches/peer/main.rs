//! Speed and memory of wharf and of Debian's `dockerd`, in one run, each in a network namespace of
//! its own, alternately, as medians; and of `wharf runtime` beside Debian's `runc`. Nothing is asserted
//! here: docs/performance.md gets a table.

mod measure;
mod rows;
mod table;

use measure::Peer;
use table::Row;
use testkit::{Auth, Daemon, Engine, Lan, Opts, Registry, images};

const USAGE: &str = "benches/run [--runs N] [--rounds N] [--size N] [--count N] [--dry] [GROUP…]
  --runs N   rounds of each command (default 21)
  --rounds N rounds of what takes seconds (default 3)
  --size N   megabytes of logs, files and images (default 1000)
  --count N  containers in lists (default 1000; a fifth of them run for statistics and are connected to a
             network, a tenth as many networks are made)
  --dry      prints the table and leaves docs/performance.md alone
  GROUP      memory commands fifty runtimes pull logs lists live copies images builds
             traffic networks ports; all if none is given.
             Rows of other groups stay as they are in the table";

/// What is measured, on what, how often.
struct Bench {
    lan: Lan,
    registry: Registry,
    peers: Vec<Peer>,
    runs: usize,
    rounds: usize,
    /// Megabytes.
    size: usize,
    count: usize,
}

type Group = fn(&Bench) -> Vec<Row>;

/// Memory comes first, while the daemons are fresh.
const GROUPS: [(&str, Group); 14] = [
    ("memory", rows::starts::memory),
    ("commands", rows::starts::commands),
    ("fifty", rows::starts::fifty),
    ("runtimes", rows::starts::runtimes),
    ("pull", rows::images::pull),
    ("logs", rows::logs::logs),
    ("lists", rows::lists::lists),
    ("live", rows::live::live),
    ("copies", rows::copies::copies),
    ("images", rows::images::moved),
    ("builds", rows::builds::builds),
    ("traffic", rows::networks::traffic),
    ("networks", rows::networks::changes),
    ("ports", rows::networks::ports),
];

fn main() {
    let mut wanted = Vec::new();
    let mut dry = false;
    let (mut runs, mut rounds, mut size, mut count) = (21, 3, 1000, 1000);
    let mut args = std::env::args().skip(1).filter(|a| a != "--bench");
    while let Some(arg) = args.next() {
        let number = match arg.as_str() {
            "--runs" => &mut runs,
            "--rounds" => &mut rounds,
            "--size" => &mut size,
            "--count" => &mut count,
            "--dry" => {
                dry = true;
                continue;
            }
            group if GROUPS.iter().any(|(name, _)| *name == group) => {
                wanted.push(arg);
                continue;
            }
            _ => {
                println!("{USAGE}");
                return;
            }
        };
        let value = args.next().and_then(|v| v.parse().ok());
        *number = value.unwrap_or_else(|| panic!("{arg} needs a number"));
    }
    let bench = Bench::new(runs, rounds, size, count);
    let mut rows = Vec::new();
    for (name, group) in GROUPS {
        if wanted.is_empty() || wanted.iter().any(|w| w == name) {
            for row in group(&bench) {
                println!("{}", row.line());
                rows.push(row);
            }
        }
    }
    if !dry {
        table::write(&rows, runs, rounds);
    }
}

impl Bench {
    fn new(runs: usize, rounds: usize, size: usize, count: usize) -> Self {
        let lan = Lan::new();
        let registry = Registry::start(lan.outside(), Lan::OUTSIDE, Auth::None);
        let peers = [Engine::Wharf, Engine::Dockerd].map(|engine| {
            let opts = Opts {
                engine: Some(engine),
                // Every registry that a group starts at this address.
                insecure: vec![format!("{}/32", Lan::OUTSIDE)],
                ..Opts::default()
            };
            let peer = Peer::new(Daemon::start(&lan.host(), opts));
            peer.daemon.load(&images::busybox_tar());
            peer
        });
        Self {
            lan,
            registry,
            peers: peers.into(),
            runs,
            rounds,
            size,
            count,
        }
    }

    /// Measures `work` at each peer, alternately; a row of the medians.
    fn compare(&self, row: Row, rounds: usize, work: impl Fn(&Peer)) -> Row {
        self.compare_after(row, rounds, |_| (), |peer, ()| work(peer))
    }

    /// The same with something to be done before, which is not measured.
    fn compare_after<T>(
        &self,
        mut row: Row,
        rounds: usize,
        before: impl Fn(&Peer) -> T,
        work: impl Fn(&Peer, T),
    ) -> Row {
        let mut times = vec![Vec::new(); self.peers.len()];
        for _ in 0..rounds {
            for (peer, times) in self.peers.iter().zip(&mut times) {
                let ready = before(peer);
                times.push(measure::time(|| work(peer, ready)));
            }
        }
        times.iter().for_each(|times| row.times(times));
        row
    }
}
