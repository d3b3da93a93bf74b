//! Figures, not assertions: `cargo nextest run -p shim --run-ignored only --no-capture`.

use std::{
    fs,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use crate::support::*;

const ROUNDS: usize = 40;

fn median(mut times: Vec<Duration>) -> String {
    times.sort();
    format!("{:.1} ms", times[times.len() / 2].as_secs_f64() * 1e3)
}

fn runc_run(c: &Container, bundle: &std::path::Path) -> Duration {
    let start = Instant::now();
    let status = Command::new(&c.launch.runtime)
        .args(["--root", &c.launch.runtime_root, "run", "--bundle"])
        .arg(bundle)
        .args(["--detach", "--pid-file"])
        .arg(bundle.join("pid"))
        .arg(&c.launch.id)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .unwrap();
    assert!(status.success());
    start.elapsed()
}

#[test]
#[ignore = "it measures, and asserts nothing"]
fn start_times() {
    program();
    let (mut bare, mut spawned, mut started, mut ended, mut cleaned) =
        (vec![], vec![], vec![], vec![], vec![]);
    for _ in 0..ROUNDS {
        let mut c = Container::new(&["true"]);
        c.config["root"]["path"] = c.rootfs().to_str().unwrap().into();
        c.write_config();
        bare.push(runc_run(&c, c.bundle()));
        drop(c);

        let mut c = Container::new(&["true"]);
        let start = Instant::now();
        c.launch_with(&[]);
        spawned.push(start.elapsed());
        c.start();
        started.push(start.elapsed());
        let mut watch = c.shim.take().unwrap();
        let _ = watch.child.wait().unwrap();
        ended.push(start.elapsed());
        c.cleanup();
        cleaned.push(start.elapsed());
    }
    println!("bare runc run --detach      {}", median(bare));
    println!("shim: ready                 {}", median(spawned));
    println!("shim: container started     {}", median(started));
    println!("shim: true has ended        {}", median(ended));
    println!("shim: cleaned up            {}", median(cleaned));
}

#[test]
#[ignore = "it measures, and asserts nothing"]
fn memory() {
    for count in [1, 10] {
        let all: Vec<Container> = (0..count)
            .map(|_| Container::new(&["sleep", "1000"]).started())
            .collect();
        // Memory is given back when nothing has happened for a while.
        std::thread::sleep(Duration::from_secs(2));
        for c in all.iter().take(2) {
            let text = fs::read_to_string(format!("/proc/{}/smaps_rollup", c.shim_pid())).unwrap();
            if std::env::var_os("WHARF_MEASURE_MAPS").is_some() {
                println!(
                    "{}",
                    fs::read_to_string(format!("/proc/{}/smaps", c.shim_pid())).unwrap()
                );
            }
            let of = |name: &str| {
                let line = text.lines().find(|l| l.starts_with(name)).unwrap();
                line.split_whitespace().nth(1).unwrap().to_owned()
            };
            println!(
                "{count} shims: Pss {} kB, Rss {} kB, private dirty {} kB",
                of("Pss:"),
                of("Rss:"),
                of("Private_Dirty:")
            );
        }
    }
}

#[test]
#[ignore = "it measures, and asserts nothing"]
fn log_rate() {
    const LINES: u32 = 3_000_000;
    let mut c = Container::new(&["seq", "1", &LINES.to_string()]).launched();
    let start = Instant::now();
    c.start();
    c.exit();
    let time = start.elapsed().as_secs_f64();
    println!(
        "{:.0} lines/s, {} MB",
        f64::from(LINES) / time,
        fs::metadata(c.launch.log.as_ref().unwrap()).unwrap().len() >> 20
    );
}
