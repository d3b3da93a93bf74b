//! New volumes take over what the image has: all of it or nothing.

use std::fs;

use serde_json::json;
use testkit::{Daemon, images};

/// How many files the image `full` has in `/data`.
const FILES: usize = 3000;
const COUNT: &str = "sh -c 'ls /data | wc -l'";

fn with_image() -> Daemon {
    let d = Daemon::fresh();
    d.load(&images::variant(
        "full",
        |layer| {
            (0..FILES).fold(layer.folder("data", 0o751), |layer, n| {
                layer.file(&format!("data/{n}"), 0o640, "text")
            })
        },
        &json!({}),
    ));
    d
}

/// What is beside the volumes, and no volume.
fn left_beside(d: &Daemon) -> Vec<String> {
    let all = fs::read_dir(d.dir().join("data/volumes")).expect("volumes");
    let names = all
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok());
    names.filter(|name| name.starts_with('.')).collect()
}

#[test]
fn those_that_start_at_once_see_it_whole() {
    let d = with_image();
    for cli in d.clis() {
        for (round, before) in [(0, false), (1, true), (2, false)] {
            let volume = format!("{}-{round}", cli.name());
            if before {
                // One has it already, whose image has nothing there.
                cli.ok(&format!(
                    "run -d --name other -v {volume}:/other busybox sleep 1000"
                ));
            }
            let line = format!("run --rm -v {volume}:/data full {COUNT}");
            let all: Vec<_> = (0..4).map(|_| cli.start(&line)).collect();
            for one in all {
                assert_eq!(one.wait().ok().trim(), FILES.to_string());
            }
            if before {
                let seen = cli.ok("exec other sh -c 'ls -a /other | wc -l'");
                assert_eq!(seen, (FILES + 2).to_string(), "with . and ..");
                cli.ok("rm -f other");
            }
            let mode = cli.ok(&format!(
                "run --rm -v {volume}:/v busybox stat -c %a /v /v/7"
            ));
            assert_eq!(mode, "751\n640");
        }
    }
    assert_eq!(left_beside(&d), [""; 0]);
    d.assert_no_leaks();
}

#[test]
fn a_crash_half_way_leaves_no_half() {
    for (point, shared) in [
        ("engine.volume.filled", false),
        ("engine.volume.moving", true),
    ] {
        let mut d = with_image();
        if shared {
            d.docker()
                .ok("run -d --name other -v vol:/data busybox sleep 1000");
        }
        d.sigterm();
        d.set_env(&[("WHARF_FAILPOINT", point)]);
        d.restart();
        let line = format!("run --rm -v vol:/data full {COUNT}");
        assert_ne!(d.docker().code(&line), 0, "{point}");
        d.wait();
        d.set_env(&[]);
        d.restart();
        let cli = d.docker();
        let place = d.dir().join("data/volumes/vol/_data");
        let visible = || {
            let all = fs::read_dir(&place).expect("the volume").flatten();
            all.filter(|e| !e.file_name().as_encoded_bytes().starts_with(b"."))
                .count()
        };
        assert_eq!(visible(), 0, "{point}: nothing was put in its place yet");
        if shared {
            // It was whole: whoever comes next finishes it, also who would not fill it.
            let line = format!("run --rm -v vol:/data:nocopy busybox {COUNT}");
            assert_eq!(cli.ok(&line), FILES.to_string(), "{point}");
            assert_eq!(cli.ok(&format!("exec other {COUNT}")), FILES.to_string());
            cli.ok("rm -f other");
        }
        assert_eq!(cli.ok(&line), FILES.to_string(), "{point}");
        assert_eq!(left_beside(&d), [""; 0], "{point}");
        assert_eq!(fs::read_dir(&place).expect("the volume").count(), FILES);
        d.assert_no_leaks();
    }
}
