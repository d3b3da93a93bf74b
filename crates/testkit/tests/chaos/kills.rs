//! Everything is killed at random while several clients are at work.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testkit::{
    Auth, Cli, Daemon, Host, Lan, Opts, PATIENCE, Registry, alive, churn, eventually, images, kill,
    parent_of,
};

use crate::sound;

/// How many clients work at the same time.
const CLIENTS: u64 = 3;

/// How much is killed; `CHAOS_KILLS` for more.
fn kills() -> u32 {
    let asked = std::env::var("CHAOS_KILLS").ok();
    asked.and_then(|n| n.parse().ok()).unwrap_or(200)
}

/// What is killed next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Victim {
    Daemon,
    /// The daemon, asked to end.
    Politely,
    /// A shim while a daemon is there.
    Shim,
    /// A shim, and the daemon right before it.
    ShimAlone,
    /// A container's first process.
    Container,
    /// The OCI runtime while it starts something.
    Runtime,
}

impl Victim {
    fn any(rng: &mut StdRng) -> Self {
        match rng.random_range(0..20) {
            0..6 => Self::Daemon,
            6 => Self::Politely,
            7..12 => Self::Shim,
            12..14 => Self::ShimAlone,
            14..18 => Self::Container,
            _ => Self::Runtime,
        }
    }
}

/// Counts without end, so that a gap in the log shows.
const TICKS: &str = "sh -c 'n=0; while :; do n=$((n+1)); echo tick $n; sleep 0.05; done'";

pub(crate) fn random() {
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random::<u64>());
    println!("CHAOS_SEED={seed}");
    eprintln!("CHAOS_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    let settings = serde_json::json!({});
    let pulled = images::variant("pulled", |l| l.file("pulled", 0o644, "1"), &settings);
    registry.push(host.outside(), &pulled, "pulled:1");
    let image = registry.reference("pulled:1");
    let mut d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    d.load(&images::busybox_tar());
    let survivors = Survivors::start(&d);

    let (over, cli, wharf) = (AtomicBool::new(false), d.docker(), d.wharf());
    let mut done = Vec::new();
    std::thread::scope(|scope| {
        // Also when this thread panics, or the scope would wait for ever.
        let _end = SetOnDrop(&over);
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (over, cli, wharf, image) = (&over, &cli, &wharf, &image);
                let rng = StdRng::seed_from_u64(seed ^ (n + 1));
                scope.spawn(move || client(rng, cli, wharf, image, over))
            })
            .collect();
        for _ in 0..kills() {
            // Short and long pauses: what takes a while shall come to its end too.
            let most = if rng.random_ratio(1, 4) {
                600_000
            } else {
                60_000
            };
            std::thread::sleep(Duration::from_micros(rng.random_range(0..most)));
            let victim = Victim::any(&mut rng);
            done.push(strike(&mut d, victim, &survivors, &mut rng));
        }
        over.store(true, Ordering::Relaxed);
        for client in clients {
            let failed: Vec<String> = client.join().expect("a client");
            println!("{} commands had an effect", failed.len());
        }
    });
    for victim in [
        Victim::Daemon,
        Victim::Politely,
        Victim::Shim,
        Victim::ShimAlone,
        Victim::Container,
        Victim::Runtime,
    ] {
        let count = done.iter().filter(|v| **v == victim).count();
        println!("{victim:?}: {count} killed");
    }
    if let Some(folder) = std::env::var_os("CHAOS_LOG") {
        let file = std::path::PathBuf::from(folder).join(format!("{seed}.log"));
        fs::write(file, d.log()).expect("CHAOS_LOG is a folder");
    }
    // Nothing breaks but tasks that an orderly end takes the clock from.
    let log = d.log();
    let count = |words: &str| log.matches(words).count();
    let (panics, late) = (count("panicked at"), count("it is being shutdown"));
    assert_eq!(panics, late, "{log}");
    survivors.check(&d);
    sound::states(&d);
    policies(&d);
    d.docker().run(&format!("rmi -f {image}"));
    sound::removable(&d);
    sound::no_volumes(&d);
    // And it can still do everything.
    assert_eq!(d.docker().code("run --rm -p 8000:80 busybox true"), 0);
    d.docker().ok(&format!("pull -q {image}"));
    assert_eq!(d.docker().code(&format!("run --rm {image} cat /pulled")), 0);
    sound::removable(&d);
}

struct SetOnDrop<'a>(&'a AtomicBool);

impl Drop for SetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Kills something; what it was in the end.
fn strike(d: &mut Daemon, victim: Victim, survivors: &Survivors, rng: &mut StdRng) -> Victim {
    let struck = match victim {
        Victim::Daemon | Victim::Politely => None,
        Victim::Shim | Victim::ShimAlone => any_container(d, survivors, rng)
            .and_then(parent_of)
            .filter(|shim| name(*shim) == "wharf-shim"),
        Victim::Container => any_container(d, survivors, rng),
        Victim::Runtime => runtime(d),
    };
    match (victim, struck) {
        (Victim::Shim | Victim::Container | Victim::Runtime, Some(pid)) => {
            kill(pid);
            victim
        }
        (Victim::ShimAlone, Some(pid)) => {
            d.kill9();
            kill(pid);
            restart(d);
            victim
        }
        (Victim::Politely, _) => {
            assert_eq!(d.sigterm(), 0, "{}", d.log());
            restart(d);
            victim
        }
        // There was none of the kind.
        _ => {
            d.kill9();
            restart(d);
            Victim::Daemon
        }
    }
}

fn restart(d: &mut Daemon) {
    if let Err(code) = d.try_restart() {
        panic!("the daemon ended with {code}\n{}", d.log());
    }
}

/// The first process of some container that is none of the survivors; a shim's child.
fn any_container(d: &Daemon, survivors: &Survivors, rng: &mut StdRng) -> Option<u32> {
    let firsts: Vec<_> = d
        .processes()
        .into_iter()
        .filter(|pid| name(*pid) != "runc" && !survivors.pids.contains(pid))
        .filter(|pid| parent_of(*pid).is_some_and(|p| name(p) == "wharf-shim"))
        .collect();
    (!firsts.is_empty()).then(|| firsts[rng.random_range(0..firsts.len())])
}

/// A runtime at work, waited for a while.
fn runtime(d: &Daemon) -> Option<u32> {
    let end = Instant::now() + Duration::from_millis(150);
    while Instant::now() < end {
        let found = d.processes().into_iter().find(|pid| name(*pid) == "runc");
        if found.is_some() {
            return found;
        }
    }
    None
}

fn name(pid: u32) -> String {
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    name.trim().to_owned()
}

/// One client at work until it is `over`; the commands that succeeded.
fn client(
    mut rng: StdRng,
    docker: &Cli,
    wharf: &Cli,
    image: &str,
    over: &AtomicBool,
) -> Vec<String> {
    let mut worked = Vec::new();
    while !over.load(Ordering::Relaxed) {
        let line = step(&mut rng, image);
        // It must come to an end, whatever dies meanwhile: `run` panics otherwise.
        if churn::had_effect(docker, wharf, &line) {
            worked.push(line);
        } else {
            // No daemon, perhaps: not in its way.
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    worked
}

/// One command of the workload.
fn step(rng: &mut StdRng, image: &str) -> String {
    // No hexadecimal digits, or it would also mean whose identifier begins like this.
    let name = format!("some{}", rng.random_range(0..6));
    let port = 8000 + rng.random_range(0..4);
    let network = format!("net{}", rng.random_range(0..3));
    if rng.random_ratio(1, 4) {
        return churn::volume_step(rng, &name);
    }
    match rng.random_range(0..32) {
        0 | 1 => format!("run -d --name {name} busybox sleep 1000"),
        2 | 3 => format!("run -d --name {name} -p {port}:80 -p {port}:80/udp busybox sleep 1000"),
        4 => format!("run -d --rm --name {name} -v /nameless busybox sleep 0.05"),
        5 => format!("run --rm --name {name} -v /nameless busybox echo hello"),
        6 => "run --rm busybox true".to_owned(),
        7 => format!("run -d --restart always --name {name} -p {port}:80 busybox sleep 0.2"),
        8 => format!("run -d --restart on-failure:3 --name {name} busybox sh -c 'exit 1'"),
        9 => format!("create --name {name} -v vol:/v --tmpfs /t busybox sleep 1000"),
        10 => format!("run --network none --name {name} busybox nonsense"),
        11 => format!("run -d --network container:{name} busybox sleep 0.3"),
        12 | 13 => format!("start {name}"),
        14 => format!("stop -t 0 {name}"),
        15 => format!("kill {name}"),
        16 => format!("restart -t 0 {name}"),
        17 => format!("exec {name} true"),
        18 => format!("logs {name}"),
        19 => format!("pull -q {image}"),
        20 => format!("rmi -f {image}"),
        21 => format!("run --rm {image} cat /pulled"),
        22 => "run -d --restart unless-stopped busybox sleep 0.5".to_owned(),
        23 => "ps -a".to_owned(),
        24 => format!("network create {network}"),
        25 => format!("network rm {network}"),
        26 => format!("run -d --name {name} --network {network} -p {port}:80 busybox sleep 1000"),
        27 => format!("network connect {network} {name}"),
        28 => format!("network disconnect {network} {name}"),
        _ => format!("rm -f -v {name}"),
    }
}

/// Those that nobody stops and that ever ran are running, or about to.
#[track_caller]
fn policies(d: &Daemon) {
    for id in d.docker().ok("ps -aq --no-trunc").lines() {
        let inspect = || d.api().get(&format!("/containers/{id}/json")).json();
        // One with `--rm` may just have gone, which has no policy.
        let first = inspect();
        let unstopped = first["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped";
        if !unstopped || first["State"]["StartedAt"].as_str().unwrap_or_default() < "2001" {
            continue;
        }
        eventually(&format!("{id} to be started again:\n{}", d.log()), || {
            let state = inspect();
            state["State"]["Status"] == "running" || state["State"]["Status"] == "restarting"
        });
    }
}

/// Containers that nobody touches: all must be as they were.
struct Survivors {
    pids: Vec<u32>,
    before: Vec<(String, serde_json::Value)>,
}

impl Survivors {
    fn start(d: &Daemon) -> Self {
        let cli = d.docker();
        cli.ok(&format!("run -d --name keep-ticks busybox {TICKS}"));
        cli.ok("run -d --name keep-web -p 9000:80 busybox sh -c 'mkdir /w; echo hello > /w/index.html; exec httpd -f -h /w'");
        cli.ok("run -d --name keep-rm --rm -v keep:/keep busybox sleep 1000");
        cli.ok("run -d --name keep-ended busybox sh -c 'exit 3'");
        assert_eq!(cli.ok("wait keep-ended"), "3");
        cli.ok("create --name keep-made busybox sleep 1000");
        let names = [
            "keep-ticks",
            "keep-web",
            "keep-rm",
            "keep-ended",
            "keep-made",
        ];
        let before: Vec<_> = names.map(|n| (n.to_owned(), d.inspect(n))).into();
        let pids = names
            .iter()
            .map(|n| d.pid_of(n))
            .filter(|p| *p != 0)
            .collect();
        Self { pids, before }
    }

    #[track_caller]
    fn check(&self, d: &Daemon) {
        for pid in &self.pids {
            assert!(alive(*pid), "{pid} of {:?}", self.pids);
        }
        for (name, before) in &self.before {
            let after = d.inspect(name);
            for field in [
                "/Id",
                "/Name",
                "/Created",
                "/State",
                "/RestartCount",
                "/HostConfig",
                "/Config",
                "/NetworkSettings",
                "/Mounts",
            ] {
                assert_eq!(
                    before.pointer(field),
                    after.pointer(field),
                    "{field} of {name}"
                );
            }
        }
        let log = d.docker().ok("logs keep-ticks");
        for (n, line) in log.lines().enumerate() {
            assert_eq!(
                line,
                format!("tick {}", n + 1),
                "the log lost or doubled a line"
            );
        }
        assert!(log.lines().count() > 20, "{log}");
        let to = format!("http://{}:9000/index.html", d.host().address());
        let mut fetch = std::process::Command::new("/bin/busybox");
        fetch.args(["wget", "-q", "-O", "-", &to]);
        let end = Instant::now() + PATIENCE;
        assert_eq!(d.host().outside().run(&mut fetch).ok(), "hello");
        assert!(Instant::now() < end);
        assert_eq!(d.docker().code("exec keep-web true"), 0);
        eventually("a tick", || {
            d.docker().ok("logs keep-ticks").len() > log.len()
        });
    }
}
