//! Very many requests to networks at once: each has its right answer, and nothing is left of them.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use serde_json::{Value, json};
use testkit::{Daemon, Engine, Opts, rss_of};

const CLIENTS: u64 = 64;
/// Of each.
const REQUESTS: usize = 157;
/// The first ones run.
const RUNNING: usize = 6;
const CONTAINERS: usize = 40;
const NETWORKS: usize = 4;

/// The daemon's threads and KiB of memory, the most that was seen.
#[derive(Default)]
struct Most {
    threads: AtomicU64,
    memory: AtomicU64,
}

impl Most {
    fn look(&self, pid: u32) {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        let threads = tasks.map_or(0, |t| t.count() as u64);
        self.threads.fetch_max(threads, Ordering::Relaxed);
        self.memory.fetch_max(rss_of(pid), Ordering::Relaxed);
    }
}

fn members(d: &Daemon, network: &str) -> Vec<String> {
    let shown = d
        .api()
        .get(&format!("/networks/{network}"))
        .expect(200)
        .json();
    let all = shown["Containers"]
        .as_object()
        .expect("containers")
        .values();
    let mut names: Vec<String> = all
        .map(|c| c["Name"].as_str().expect("a name").to_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn ten_thousand_connects_and_disconnects() {
    let d = Daemon::fresh();
    if !Engine::under_test().is_wharf() {
        return;
    }
    let cli = d.docker();
    for n in 0..NETWORKS {
        cli.ok(&format!("network create net{n}"));
    }
    for n in 0..CONTAINERS {
        let verb = if n < RUNNING { "run -d" } else { "create" };
        cli.ok(&format!("{verb} --name box{n} busybox sleep 1000"));
    }
    let (most, over, worked) = (Most::default(), AtomicBool::new(false), AtomicUsize::new(0));
    let pid = d.pid();
    most.look(pid);
    let before = most.memory.load(Ordering::Relaxed);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !over.load(Ordering::Relaxed) {
                most.look(pid);
                std::thread::sleep(std::time::Duration::from_millis(20));
            }
        });
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let (d, worked) = (&d, &worked);
                scope.spawn(move || {
                    let mut rng = StdRng::seed_from_u64(n);
                    let api = d.api();
                    for _ in 0..REQUESTS {
                        // A change of one that runs costs the kernel milliseconds.
                        let running = rng.random_range(0..10) == 0;
                        let range = if running {
                            0..RUNNING
                        } else {
                            RUNNING..CONTAINERS
                        };
                        let body = json!({"Container": format!("box{}", rng.random_range(range))});
                        let network = rng.random_range(0..NETWORKS);
                        let verb = ["connect", "disconnect"][rng.random_range(0..2)];
                        let answer =
                            api.post(&format!("/networks/net{network}/{verb}"), Some(&body));
                        match (answer.status, verb) {
                            (200, _) => _ = worked.fetch_add(1, Ordering::Relaxed),
                            (403, "connect") => {
                                let text = answer.message();
                                assert!(text.contains("already exists in network"), "{text}");
                            }
                            (403, _) => {
                                let text = answer.message();
                                assert!(text.contains("is not connected to"), "{text}");
                            }
                            (other, _) => panic!("{verb}: {other}: {}", answer.text()),
                        }
                    }
                })
            })
            .collect();
        let ended: Vec<_> = clients.into_iter().map(|c| c.join()).collect();
        over.store(true, Ordering::Relaxed);
        assert!(ended.iter().all(Result::is_ok), "wrong answers");
    });
    let worked = worked.load(Ordering::Relaxed);
    assert!(worked > 1000, "only {worked} had an effect");
    let (threads, memory) = (
        most.threads.load(Ordering::Relaxed),
        most.memory.load(Ordering::Relaxed),
    );
    println!("{worked} had an effect; {threads} threads, {memory} KiB after {before} KiB");
    assert!(threads < 150, "{threads} threads");
    assert!(memory < before + 64 * 1024, "{memory} KiB after {before}");
    // Networks, containers and the kernel say the same.
    for n in 0..NETWORKS {
        let inside = |b: &usize| {
            d.inspect(&format!("box{b}"))["NetworkSettings"]["Networks"][format!("net{n}")]
                .is_object()
        };
        let wanted: Vec<String> = (0..RUNNING)
            .filter(inside)
            .map(|b| format!("box{b}"))
            .collect();
        assert_eq!(members(&d, &format!("net{n}")), wanted);
    }
    for n in 0..RUNNING {
        let name = format!("box{n}");
        let ends = d.inspect(&name)["NetworkSettings"]["Networks"].clone();
        let links = cli.ok(&format!("exec {name} ls /sys/class/net"));
        let ends = ends.as_object().map_or(0, serde_json::Map::len);
        assert_eq!(links.split_whitespace().count(), ends + 1, "{links}");
    }
    let all: Vec<String> = (0..CONTAINERS).map(|n| format!("box{n}")).collect();
    cli.ok(&format!("rm -f {}", all.join(" ")));
    cli.ok("network prune -f");
    d.assert_no_leaks();
}

/// Runs `work` so many times at once; its answers.
fn at_once<T: Send>(times: usize, work: impl Fn(usize) -> T + Sync) -> Vec<T> {
    let work = &work;
    std::thread::scope(|scope| {
        let all: Vec<_> = (0..times).map(|n| scope.spawn(move || work(n))).collect();
        all.into_iter()
            .map(|t| t.join().expect("no panic"))
            .collect()
    })
}

#[test]
fn when_addresses_and_subnets_are_exhausted_at_once() {
    // Five subnets besides the default network's.
    let d = Daemon::with(Opts::args(&[
        "--bip=10.89.0.1/24",
        "--default-address-pool=base=10.88.0.0/22,size=24",
        "--default-address-pool=base=10.90.0.0/24,size=24",
    ]));
    if !Engine::under_test().is_wharf() {
        return;
    }
    let cli = d.docker();
    for round in 0..2 {
        let made = at_once(24, |n| {
            let body = json!({"Name": format!("net{round}-{n}")});
            d.api().post("/networks/create", Some(&body))
        });
        for answer in made.iter().filter(|a| a.status != 201) {
            assert_eq!(answer.status, 400, "{}", answer.text());
            let text = answer.message();
            assert!(
                text.contains("all predefined address pools have been fully subnetted"),
                "{text}"
            );
        }
        let good = made.iter().filter(|a| a.status == 201).count();
        assert_eq!(good, 5);
        let names = cli.ok("network ls --filter type=custom --format '{{.Name}}'");
        let names: Vec<&str> = names.lines().collect();
        assert_eq!(names.len(), 5);
        // What is free again is free at once.
        let gone = at_once(names.len(), |n| {
            d.api().delete(&format!("/networks/{}", names[n])).status
        });
        assert!(gone.iter().all(|s| *s == 204), "{gone:?}");
    }
    // Five addresses.
    cli.ok("network create --subnet 10.87.0.0/29 small");
    for n in 0..9 {
        cli.ok(&format!(
            "run -d --name box{n} --network none busybox sleep 1000"
        ));
        cli.ok(&format!("network disconnect none box{n}"));
    }
    for _ in 0..3 {
        let joined = at_once(9, |n| {
            let body = json!({"Container": format!("box{n}")});
            d.api().post("/networks/small/connect", Some(&body))
        });
        for answer in joined.iter().filter(|a| a.status != 200) {
            assert_eq!(answer.status, 503, "{}", answer.text());
            let text = answer.message();
            assert!(
                text.contains("no free address left in 10.87.0.0/29"),
                "{text}"
            );
        }
        assert_eq!(joined.iter().filter(|a| a.status == 200).count(), 5);
        assert_eq!(members(&d, "small").len(), 5);
        let addresses: std::collections::BTreeSet<String> = (0..9)
            .map(|n| {
                d.inspect(&format!("box{n}"))["NetworkSettings"]["Networks"]["small"]["IPAddress"]
                    .clone()
            })
            .filter_map(|ip: Value| ip.as_str().map(str::to_owned))
            .collect();
        assert_eq!(addresses.len(), 5, "{addresses:?}");
        at_once(9, |n| {
            let body = json!({"Container": format!("box{n}")});
            d.api()
                .post("/networks/small/disconnect", Some(&body))
                .status
        });
        assert!(members(&d, "small").is_empty());
    }
    let all: Vec<String> = (0..9).map(|n| format!("box{n}")).collect();
    cli.ok(&format!("rm -f {}", all.join(" ")));
    cli.ok("network rm small");
    d.assert_no_leaks();
}

/// A container ends while it is connected and disconnected: whatever comes first, nothing is left, and its
/// next start has what was asked for.
#[test]
fn ends_between_connects() {
    let d = Daemon::fresh();
    if !Engine::under_test().is_wharf() {
        return;
    }
    let cli = d.docker();
    cli.ok("network create mine");
    cli.ok("create --name box -p 8080:80 busybox sleep 1000");
    for round in 0..25 {
        d.api().post("/containers/box/start", None).expect(204);
        let body = json!({"Container": "box"});
        let verb = ["connect", "disconnect"][round % 2];
        let answers = at_once(2, |n| match n {
            0 => d.api().post(&format!("/networks/mine/{verb}"), Some(&body)),
            _ => d.api().post("/containers/box/kill", None),
        });
        answers[0].clone().expect(200);
        answers[1].clone().expect(204);
        d.until("box", "exited");
        let networks = d.inspect("box")["NetworkSettings"]["Networks"].clone();
        assert_eq!(networks["mine"].is_object(), verb == "connect");
        assert!(members(&d, "mine").is_empty());
        assert_eq!(networks["bridge"]["IPAddress"], "");
    }
    cli.ok("start box");
    assert!(cli.ok("exec box ls /sys/class/net").contains("eth0"));
    cli.ok("rm -f box");
    cli.ok("network rm mine");
    d.assert_no_leaks();
}
