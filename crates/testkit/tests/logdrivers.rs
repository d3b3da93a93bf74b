//! Log drivers: files that are rotated, what is in them, and who may read them.

use std::{fs, path::PathBuf};

use serde_json::Value;
use testkit::{Daemon, Opts, eventually};

/// The files of a container's log, newest first, without those that are only in the making.
fn files(d: &Daemon, name: &str) -> Vec<PathBuf> {
    let id = d.docker().ok(&format!("inspect -f '{{{{.Id}}}}' {name}"));
    let dir = d.dir().join("data/containers").join(id.trim());
    let mut all: Vec<_> = fs::read_dir(dir)
        .expect("the container's directory")
        .map(|e| e.expect("an entry").path())
        .filter(|p| {
            let name = p.to_string_lossy();
            name.contains(".log") && !name.ends_with(".tmp")
        })
        .collect();
    all.sort();
    all
}

fn expect_numbers(text: &str, last: u32) -> u32 {
    let numbers: Vec<u32> = text
        .lines()
        .map(|l| l.split(' ').next().unwrap_or(l).parse().expect("a number"))
        .collect();
    let first = *numbers.first().expect("a line");
    assert!(
        numbers.iter().copied().eq(first..=last),
        "{first} to {last}"
    );
    first
}

#[test]
fn rotated_files_are_read_as_one() {
    let d = Daemon::fresh();
    for driver in ["json-file", "local"] {
        for compress in [false, true] {
            let name = format!("rot-{driver}-{compress}");
            d.docker().ok(&format!(
                "run --name {name} --log-driver {driver} --log-opt max-size=20k --log-opt max-file=4 \
                 --log-opt compress={compress} busybox sh -c \"seq 1 5000\""
            ));
            let files = files(&d, &name);
            assert_eq!(files.len(), 4, "{files:?}");
            for cli in d.clis() {
                let first = expect_numbers(&cli.ok(&format!("logs {name}")), 5000);
                assert!(first > 1, "the oldest lines are gone");
                for tail in [1, 10, 500] {
                    let text = cli.ok(&format!("logs --tail {tail} {name}"));
                    assert_eq!(expect_numbers(&text, 5000), 5001 - tail, "{name}");
                }
                assert_eq!(
                    cli.ok(&format!("logs --tail bad {name}")).lines().count() as u32,
                    5001 - first
                );
            }
        }
    }
}

#[test]
fn a_reader_follows_over_rotations() {
    let d = Daemon::fresh();
    for driver in ["json-file", "local"] {
        d.docker().ok(&format!(
            "run -d -i --name fol --log-driver {driver} --log-opt max-size=50k --log-opt max-file=10 \
             busybox sh -c 'seq 1 100; read x; for i in 1 2 3 4 5 6 7 8; do seq $((i*1000)) $((i*1000+999)); sleep 0.1; done; read x'"
        ));
        let follow = d.docker().start("logs -f fol");
        follow.expect("\n100\n");
        let mut attached = d.docker().start("attach fol");
        attached.send("go\n");
        follow.expect("\n8999\n");
        attached.send("end\n");
        let ended = follow.wait();
        assert_eq!(ended.code, 0);
        let text = ended.stdout;
        let numbers: Vec<u32> = text.lines().map(|l| l.parse().expect("a number")).collect();
        assert!(
            numbers.iter().copied().eq((1..=100).chain(1000..=8999)),
            "each line once and in order: {}",
            numbers.len()
        );
        d.docker().ok("rm -f fol");
    }
}

#[test]
fn the_default_has_a_bound() {
    let d = Daemon::fresh();
    // 300,000 lines of 100 bytes are some 50 MB of log.
    d.docker().ok(&format!(
        "run --name big busybox sh -c \"yes {} | head -n 300000\"",
        "y".repeat(99)
    ));
    let files = files(&d, "big");
    let size: u64 = files
        .iter()
        .map(|f| fs::metadata(f).expect("it").len())
        .sum();
    assert_eq!(files.len(), 3, "{files:?}");
    assert!(size < 31_000_000 && size > 20_000_000, "{size}");
    assert_eq!(
        d.docker()
            .ok("inspect -f '{{.HostConfig.LogConfig}}' big")
            .trim(),
        "{json-file map[]}"
    );
}

#[test]
fn what_is_logged_beside_the_line() {
    let d = Daemon::fresh();
    d.docker().ok(
        "run --name tagged --label a=1 --label b=2 -e X=y -e XY=z --log-opt labels=a,none \
         --log-opt env-regex='^XY$' --log-opt tag='{{.Name}}/{{.ID}} {{.ImageName}}' busybox echo hi",
    );
    let log = files(&d, "tagged");
    let line = fs::read_to_string(&log[0]).expect("the log");
    let line: Value = serde_json::from_str(line.trim()).expect("JSON");
    let id = d.docker().ok("inspect -f '{{.Id}}' tagged");
    let tag = format!("tagged/{} busybox", &id[..12]);
    assert_eq!(
        line["attrs"],
        serde_json::json!({"XY": "z", "a": "1", "tag": tag})
    );
    for cli in d.clis() {
        assert_eq!(cli.ok("logs tagged"), "hi");
        let details = cli.ok("logs --details tagged");
        assert_eq!(
            details,
            format!("XY=z,a=1,tag=tagged%2F{}+busybox hi", &id[..12])
        );
    }
}

#[test]
fn drivers_and_options_that_are_refused() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        for (flags, message) in [
            (
                "--log-driver syslog",
                "logger: no log driver named 'syslog' is registered",
            ),
            (
                "--log-opt x=1",
                "unknown log opt 'x' for json-file log driver",
            ),
            ("--log-opt max-size=much", "invalid size: 'much'"),
            (
                "--log-opt mode=fast",
                "logger: logging mode not supported: fast",
            ),
        ] {
            cli.refused(&format!("create {flags} busybox true"), &[message]);
        }
        cli.ok("run --name quiet --log-driver none busybox echo hi");
        cli.refused(
            "logs quiet",
            &["configured logging driver does not support reading"],
        );
        assert_eq!(cli.ok("inspect -f '{{.LogPath}}' quiet").trim(), "");
        cli.ok("rm quiet");
    }
}

#[test]
fn the_daemon_has_a_driver_and_options() {
    let config = r#"{"log-driver": "local", "log-opts": {"max-size": "5k"}}"#;
    let d = Daemon::with(Opts {
        config: Some(config.into()),
        ..Opts::default()
    });
    assert_eq!(
        d.docker().ok("info -f '{{.LoggingDriver}}'").trim(),
        "local"
    );
    d.docker().ok("run --name one busybox echo hi");
    assert_eq!(
        d.docker()
            .ok("inspect -f '{{json .HostConfig.LogConfig}}' one")
            .trim(),
        r#"{"Type":"local","Config":{"max-size":"5k"}}"#
    );
    assert_eq!(d.docker().ok("logs one"), "hi");
    d.docker()
        .ok("run --name two --log-driver json-file busybox echo hi");
    assert_eq!(
        d.docker()
            .ok("inspect -f '{{json .HostConfig.LogConfig}}' two")
            .trim(),
        r#"{"Type":"json-file","Config":{}}"#
    );
}

#[test]
fn logs_then_stream_without_a_gap() {
    let d = Daemon::fresh();
    // It writes all the time, also lines that have not ended when somebody attaches.
    d.docker().ok(
        "run -d --name gap busybox sh -c 'i=0; while [ $i -lt 3000 ]; do i=$((i+1)); printf %s $i; echo; done; sleep 2'",
    );
    let mut stream = d.api().hijack(
        "/containers/gap/attach?logs=1&stream=1&stdout=1&stderr=1",
        None,
    );
    let text = stream.demultiplexed().0;
    assert_eq!(expect_numbers(&text, 3000), 1);
    eventually("the end", || {
        d.docker().ok("inspect -f '{{.State.Running}}' gap").trim() == "false"
    });
}
