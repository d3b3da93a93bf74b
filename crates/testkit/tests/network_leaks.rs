//! After hundreds of operations on networks and volumes, in any order and many at once, the host is as it was.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use testkit::{Cli, Daemon, Engine, Host, Opts, churn, images};

const CLIENTS: u64 = 4;
const STEPS: usize = 165;

fn step(rng: &mut StdRng) -> String {
    // No hexadecimal digits, or it would also mean whose identifier begins like this.
    let name = format!("some{}", rng.random_range(0..6));
    let network = format!("net{}", rng.random_range(0..4));
    let port = 8000 + rng.random_range(0..4);
    if rng.random_ratio(1, 4) {
        return churn::volume_step(rng, &name);
    }
    match rng.random_range(0..16) {
        0 | 1 => format!("network create {network}"),
        2 => format!("network create --ipv6 {network}"),
        3 => format!("network create --internal {network}"),
        4 => format!(
            "network create --subnet 10.{0}.0.0/24 {network}",
            rng.random_range(1..4)
        ),
        5 | 6 => format!("run -d --name {name} --network {network} busybox sleep 1000"),
        7 => format!("run -d --name {name} --network {network} -p {port}:80 busybox sleep 1000"),
        8 => format!("run -d --name {name} -p {port}:80/udp busybox sleep 1000"),
        9 | 10 => format!("network connect {network} {name}"),
        11 => format!("network disconnect {network} {name}"),
        12 => format!("network rm {network}"),
        13 => format!("restart -t 0 {name}"),
        14 => "network prune -f".to_owned(),
        _ => format!("rm -f {name}"),
    }
}

/// How many commands had an effect.
fn client(mut rng: StdRng, docker: &Cli, wharf: &Cli) -> usize {
    (0..STEPS)
        .filter(|_| churn::had_effect(docker, wharf, &step(&mut rng)))
        .count()
}

#[test]
fn five_hundred_operations_leave_nothing() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let seed = std::env::var("LEAK_SEED").ok().and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random::<u64>());
    println!("LEAK_SEED={seed}");
    let host = Host::new();
    let d = Daemon::start(&host, Opts::default());
    d.load(&images::busybox_tar());
    let (cli, wharf) = (d.docker(), d.wharf());
    let worked: usize = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (cli, wharf) = (&cli, &wharf);
                scope.spawn(move || client(StdRng::seed_from_u64(seed ^ (n + 1)), cli, wharf))
            })
            .collect();
        clients
            .into_iter()
            .map(|c| c.join().expect("a client"))
            .sum()
    });
    assert!(worked > 100, "only {worked} commands had an effect");
    for id in cli.ok("ps -aq").lines() {
        cli.ok(&format!("rm -f {id}"));
    }
    cli.ok("network prune -f");
    assert_eq!(cli.ok("network ls -q --filter type=custom"), "");
    cli.ok("volume prune -af");
    d.assert_no_leaks();
    let volumes = std::fs::read_dir(d.dir().join("data/volumes")).expect("the volumes");
    let left: Vec<_> = volumes.flatten().map(|entry| entry.path()).collect();
    assert!(left.is_empty(), "volumes that nobody has: {left:?}");
}
