//! Speed and memory of wharf and of Debian's `dockerd`, in one run, each in a network namespace of
//! its own, alternately, as medians. Nothing is asserted here: docs/performance.md gets a table.

use std::fmt::Write as _;
use std::fs;
use std::time::{Duration, Instant};

use testkit::{
    Auth, Cli, Daemon, Engine, Lan, Opts, Registry, images, poll, pss_of, rss_of, workspace,
};

const USAGE: &str = "benches/run [--runs N] [--pulls N] [--dry]
  --runs N   rounds of `run --rm busybox true` (default 21)
  --pulls N  rounds of the pull (default 3; 0 leaves it out)
  --dry      prints the table and leaves docs/performance.md alone";

/// An engine, its daemon and what was measured.
struct Peer {
    name: &'static str,
    daemon: Daemon,
    idle_kib: u64,
    own_cli: Vec<Duration>,
    docker_cli: Vec<Duration>,
    pulls: Vec<Duration>,
    pull_peak_kib: u64,
    container_kib: u64,
}

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
    for (name, engine) in [("wharf", Engine::Wharf), ("dockerd 20.10", Engine::Dockerd)] {
        let insecure = vec![registry.address().to_string()];
        let opts = Opts {
            engine: Some(engine),
            insecure,
            ..Opts::default()
        };
        let daemon = Daemon::start(&lan.host(), opts);
        peers.push(Peer {
            name,
            idle_kib: settled(|| daemon.processes().into_iter().map(rss_of).sum()),
            daemon,
            own_cli: Vec::new(),
            docker_cli: Vec::new(),
            pulls: Vec::new(),
            pull_peak_kib: 0,
            container_kib: 0,
        });
    }
    for peer in &mut peers {
        peer.daemon.load(&images::busybox_tar());
        peer.container_kib = idle_container(&peer.daemon);
    }
    for _ in 0..runs {
        for peer in &mut peers {
            peer.docker_cli.push(run(&peer.daemon.docker()));
            if peer.daemon.engine() == Engine::Wharf {
                peer.own_cli.push(run(&peer.daemon.wharf()));
            }
        }
    }
    if pulls > 0 {
        registry.push(lan.outside(), &images::ten_layers_tar(), "ten:1");
        let reference = registry.reference("ten:1");
        for _ in 0..pulls {
            for peer in &mut peers {
                let start = Instant::now();
                peer.daemon.docker().ok(&format!("pull -q {reference}"));
                peer.pulls.push(start.elapsed());
                peer.pull_peak_kib = peer.pull_peak_kib.max(peak(&peer.daemon));
                peer.daemon.docker().ok(&format!("rmi {reference}"));
            }
        }
    }
    let table = table(&peers, runs, pulls);
    println!("{table}");
    if !args.iter().any(|a| a == "--dry") {
        write(&table);
    }
}

fn run(cli: &Cli) -> Duration {
    let start = Instant::now();
    cli.ok("run --rm busybox true");
    start.elapsed()
}

/// PSS of all that an engine adds for one idle container with one published port: everything that
/// was not there before, but the container's own process.
fn idle_container(daemon: &Daemon) -> u64 {
    let before = daemon.processes();
    daemon
        .docker()
        .ok("run -d --name idle -p 8080:80 busybox sleep 100000");
    let own = daemon.pid_of("idle");
    let pss = settled(|| {
        let added = daemon
            .processes()
            .into_iter()
            .filter(|p| !before.contains(p) && *p != own);
        added.map(pss_of).sum()
    });
    daemon.docker().ok("rm -f idle");
    pss
}

/// The highest resident size that any of the daemon's processes has had, together.
fn peak(daemon: &Daemon) -> u64 {
    let peak = |pid: u32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"));
        line.and_then(|l| l.split_whitespace().next()?.parse::<u64>().ok())
            .unwrap_or(0)
    };
    daemon.processes().into_iter().map(peak).sum()
}

/// A size once it stays the same for a moment.
fn settled(measure: impl Fn() -> u64) -> u64 {
    let mut last = (0, Instant::now());
    poll(Duration::from_secs(60), "memory to settle", || {
        let now = measure();
        if now.abs_diff(last.0) > 64 {
            last = (now, Instant::now());
        }
        (last.1.elapsed() > Duration::from_secs(2)).then_some(now)
    })
}

fn median(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort();
    times.get(times.len() / 2).copied()
}

/// The median, and how it reads with the spread.
fn milliseconds(times: &[Duration]) -> (f64, String) {
    let mut sorted = times.to_vec();
    sorted.sort();
    let at = |n: usize| sorted.get(n).map_or(0, Duration::as_millis);
    let Some(middle) = median(times.to_vec()) else {
        return (0.0, "–".into());
    };
    let (low, high) = (at(sorted.len() / 10), at(sorted.len() * 9 / 10));
    let text = format!("{} ms ({low}–{high})", middle.as_millis());
    (middle.as_secs_f64(), text)
}

fn table(peers: &[Peer], runs: usize, pulls: usize) -> String {
    let mut text = String::new();
    let mut row = |what: &str, goal: &str, cell: &dyn Fn(&Peer) -> (f64, String)| {
        let cells: Vec<_> = peers.iter().map(cell).collect();
        let ratio = match &cells[..] {
            [(own, _), (peer, _)] if *own > 0.0 && *peer > 0.0 => format!("{:.2}", own / peer),
            // The table's head and the line below it.
            _ if what.is_empty() => "ratio".to_owned(),
            _ if what == "---" => "---".to_owned(),
            _ => "–".to_owned(),
        };
        let texts: Vec<_> = cells.iter().map(|(_, text)| text.as_str()).collect();
        let _ = writeln!(
            text,
            "| {what} | {goal} | {} | {ratio} |",
            texts.join(" | ")
        );
    };
    row("", "wharf at most", &|p| (0.0, p.name.to_owned()));
    row("---", "---", &|_| (0.0, "---".to_owned()));
    row("`run --rm busybox true`, bridge, own CLI", "100 ms", &|p| {
        let own = if p.own_cli.is_empty() {
            &p.docker_cli
        } else {
            &p.own_cli
        };
        milliseconds(own)
    });
    row("the same by the `docker` CLI", "", &|p| {
        milliseconds(&p.docker_cli)
    });
    row("pull of 10 layers, 523 MB, local registry", "3.5 s", &|p| {
        median(p.pulls.clone()).map_or((0.0, "–".into()), |t| {
            (t.as_secs_f64(), format!("{:.1} s", t.as_secs_f64()))
        })
    });
    row("highest memory in these pulls (RSS)", "flat", &|p| {
        mebibytes(p.pull_peak_kib)
    });
    row(
        "idle container with a published port, all its processes (PSS)",
        "1 MB",
        &|p| mebibytes(p.container_kib),
    );
    row("idle daemon with its helpers (RSS)", "25 MB", &|p| {
        mebibytes(p.idle_kib)
    });
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let _ = write!(
        text,
        "\nMedians (10th to 90th percentile) of {runs} runs and {pulls} pulls, alternating, on {cpus} \
         cores, Linux {}. Method: benches/peer.rs.\n",
        kernel.trim().split('-').next().unwrap_or_default()
    );
    text
}

fn mebibytes(kib: u64) -> (f64, String) {
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
    let mib = kib as f64 / 1024.0;
    if kib == 0 {
        return (0.0, "–".into());
    }
    (mib, format!("{mib:.1} MiB"))
}

const BEGIN: &str = "<!-- made by benches/run -->";
const END: &str = "<!-- end -->";

/// Puts the table between the markers of docs/performance.md, which is made if it is not there.
fn write(table: &str) {
    let path = workspace().join("docs/performance.md");
    let page =
        fs::read_to_string(&path).unwrap_or_else(|_| format!("# How fast\n\n{BEGIN}\n{END}\n"));
    let (head, rest) = page
        .split_once(BEGIN)
        .expect("docs/performance.md has the first marker");
    let (_, tail) = rest
        .split_once(END)
        .expect("docs/performance.md has the second marker");
    fs::write(&path, format!("{head}{BEGIN}\n{table}{END}{tail}")).expect("docs/ is writable");
}
