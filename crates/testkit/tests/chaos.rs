//! Death at every durable step, and at random moments of a random workload.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use testkit::{Auth, Cli, Daemon, Host, Lan, Opts, Registry, eventually, images};

/// Every place where the daemon ends itself when `WHARF_FAILPOINT` names it. Each stands right
/// before or after something durable.
const FAILPOINTS: [&str; 0] = [];

/// Something of everything; steps fail when the daemon has died, and that is no matter here.
fn workload(cli: &Cli, image: &str) {
    for line in [
        format!("pull -q {image}"),
        format!("tag {image} again:1"),
        "create --name made busybox true".into(),
        "run -d --name web -p 8080:80 -v data:/data busybox sleep 1000".into(),
        "exec web true".into(),
        "run -d --name tries --restart on-failure:1 busybox sh -c 'exit 1'".into(),
        "run --rm busybox true".into(),
        "restart -t 0 web".into(),
        "stop -t 0 web".into(),
        "start web".into(),
        "kill web".into(),
        "rm made".into(),
        "rm -f web".into(),
        "rm -f tries".into(),
        "rmi again:1".into(),
        format!("rmi {image}"),
    ] {
        cli.run(&line);
    }
}

/// What must hold of a daemon that came back: each container is in a state that is true, and all
/// can be removed, leaving nothing.
#[track_caller]
fn sound(d: &Daemon) {
    let cli = d.docker();
    let ids = cli.ok("ps -aq --no-trunc");
    for id in ids.lines() {
        let inspect = d.inspect(id);
        let pid = inspect["State"]["Pid"].as_u64().expect("a number");
        match inspect["State"]["Status"].as_str().expect("a state") {
            "running" => {
                let pid = u32::try_from(pid).expect("a pid");
                assert!(testkit::alive(pid), "said to run: {inspect:#}");
            }
            "created" | "exited" => assert_eq!(pid, 0, "{inspect:#}"),
            "restarting" => {}
            other => panic!("it is {other}: {inspect:#}"),
        }
    }
    for id in ids.lines() {
        let gone = cli.run(&format!("rm -f {id}"));
        assert!(
            gone.code == 0 || gone.stderr.contains("No such container"),
            "{gone}"
        );
    }
    eventually("the last to be gone", || cli.ok("ps -aq").is_empty());
    d.assert_no_leaks();
}

#[test]
fn failpoints() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    registry.push(host.outside(), &images::busybox_tar(), "box:1");
    let image = registry.reference("box:1");
    for name in FAILPOINTS {
        let host = host.lan().host();
        let mut d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
        d.load(&images::busybox_tar());
        assert_eq!(d.sigterm(), 0);
        d.set_env(&[("WHARF_FAILPOINT", name)]);
        // Some are reached before the daemon answers.
        if d.try_restart().is_ok() {
            workload(&d.docker(), &image);
            assert!(
                !d.running(),
                "the workload never comes by the failpoint {name}"
            );
        }
        d.set_env(&[]);
        d.restart();
        println!("{name}: came back");
        sound(&d);
        workload(&d.docker(), &image);
        assert_eq!(d.docker().code("run --rm busybox true"), 0, "after {name}");
        sound(&d);
    }
}

/// How often the daemon is killed; `CHAOS_KILLS` for more.
fn kills() -> u32 {
    std::env::var("CHAOS_KILLS")
        .ok()
        .and_then(|n| n.parse().ok())
        .unwrap_or(200)
}

#[test]
fn random_kills() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let seed = std::env::var("CHAOS_SEED")
        .ok()
        .and_then(|s| s.parse().ok());
    let seed = seed.unwrap_or_else(|| rand::rng().random::<u64>());
    println!("CHAOS_SEED={seed}");
    eprintln!("CHAOS_SEED={seed}");
    let mut rng = StdRng::seed_from_u64(seed);
    let mut d = Daemon::fresh();
    for round in 0..kills() {
        // A few commands at once, killed somewhere in between.
        let running: Vec<_> = (0..rng.random_range(1..4))
            .map(|_| d.docker().start(&step(&mut rng)))
            .collect();
        std::thread::sleep(std::time::Duration::from_micros(
            rng.random_range(0..60_000),
        ));
        if rng.random_ratio(1, 6) {
            kill_a_shim(&d, &mut rng);
        }
        d.kill9();
        drop(running);
        if let Err(code) = d.try_restart() {
            panic!("round {round}: the daemon ended with {code}\n{}", d.log());
        }
        if round % 50 == 49 {
            sound(&d);
        }
    }
    sound(&d);
}

/// One command of the workload.
fn step(rng: &mut StdRng) -> String {
    let name = format!("c{}", rng.random_range(0..6));
    let port = 8000 + rng.random_range(0..4);
    match rng.random_range(0..12) {
        0 => format!("run -d --name {name} busybox sleep 1000"),
        1 => format!("run -d --name {name} -p {port}:80 busybox sleep 1000"),
        2 => format!("run -d --rm --name {name} busybox sleep 0.05"),
        3 => format!("run -d --restart always --name {name} busybox sleep 0.2"),
        4 => format!("create --name {name} -v vol:/v --tmpfs /t busybox sleep 1000"),
        5 => format!("start {name}"),
        6 => format!("stop -t 0 {name}"),
        7 => format!("kill {name}"),
        8 => format!("restart -t 0 {name}"),
        9 => format!("exec {name} true"),
        _ => format!("rm -f {name}"),
    }
}

/// Ends the shim of some running container.
fn kill_a_shim(d: &Daemon, rng: &mut StdRng) {
    let ids = d.docker().run("ps -q").stdout;
    let ids: Vec<_> = ids.lines().collect();
    if ids.is_empty() {
        return;
    }
    let id = ids[rng.random_range(0..ids.len())];
    let pid = d
        .docker()
        .run(&format!("inspect -f '{{{{.State.Pid}}}}' {id}"))
        .stdout;
    let Some(pid) = pid.trim().parse().ok().filter(|pid| *pid > 1) else {
        return;
    };
    if let Some(shim) = testkit::parent_of(pid).filter(|shim| *shim > 1 && *shim != d.pid()) {
        testkit::kill(shim);
    }
}
