//! The daemon dies at each durable step.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use testkit::{Auth, Cli, Daemon, Host, Lan, Opts, Registry, eventually, images, workspace};

use crate::sound;

/// An operation and what shows that it happened.
struct Act {
    /// Failpoints that it comes by; `name=2` is the second time.
    points: &'static [&'static str],
    /// Done before, by a daemon that does not die.
    before: &'static [&'static str],
    /// `IMAGE` is an image in the registry, `ARCHIVE` a docker-archive with the image `loaded`, `CONTEXT`
    /// the files of a build.
    operation: &'static str,
    /// A question and the answer to it when the operation has happened.
    happened: (&'static str, &'static str),
}

const STATUS: &str = "inspect -f '{{.State.Status}}' box";
const CODE: &str = "inspect -f '{{.State.Status}} {{.State.ExitCode}}' box";
const GONE: (&str, &str) = ("ps -aq --filter name=box", "");
const NETWORKS: &str = "inspect -f '{{len .NetworkSettings.Networks}}' box";
const VOLUMES: &str = "create --name box -v /nameless -v named:/named busybox true";
const RUNS: &str = "run -d --name box -p 8080:80 busybox sleep 1000";

const ACTS: [Act; 33] = [
    Act {
        points: &[
            "image.blob.sync",
            "image.blob.sync=2",
            "image.blob.rename",
            "image.blob.rename=2",
            "image.layer.stage",
            "image.layer.rename",
            "image.index.sync",
            "image.index.rename",
            "image.layer.syncfs",
            "image.layer.durable",
        ],
        before: &["rmi -f IMAGE"],
        operation: "pull -q IMAGE",
        happened: ("inspect -f there IMAGE", "there"),
    },
    Act {
        points: &["image.blob.link", "image.index.rename"],
        before: &["rmi -f loaded"],
        operation: "load -q -i ARCHIVE",
        happened: ("inspect -f there loaded", "there"),
    },
    Act {
        points: &[
            "image.layer.remove",
            "image.blob.remove",
            "image.index.rename",
        ],
        before: &["pull -q IMAGE"],
        operation: "rmi IMAGE",
        happened: ("images -q IMAGE", ""),
    },
    Act {
        points: &[
            "engine.create.layers",
            "engine.create.recorded",
            "engine.volume.directory",
            "engine.records.commit",
            "engine.records.commit=2",
            "image.container.meta",
            "image.container.rename",
        ],
        before: &[],
        operation: VOLUMES,
        happened: (STATUS, "created"),
    },
    Act {
        points: &[
            "engine.start.network",
            "engine.start.configured",
            "engine.start.shim",
            "engine.start.started",
            "engine.start.noted",
            "engine.records.commit",
        ],
        before: &["create --name box -p 8080:80 -v /nameless busybox sleep 1000"],
        operation: "start box",
        happened: (STATUS, "running"),
    },
    // It ends before anybody looks.
    Act {
        points: &["engine.start.started", "engine.start.noted"],
        before: &["create --name box busybox sh -c 'exit 3'"],
        operation: "start box",
        happened: (CODE, "exited 3"),
    },
    // A policy starts it again, once.
    Act {
        points: &["engine.end.cleared", "engine.records.commit"],
        before: &["create --name box --restart on-failure:1 busybox sh -c 'exit 3'"],
        operation: "start box",
        happened: ("wait box", "3"),
    },
    Act {
        points: &[
            "engine.stop.recorded",
            "engine.records.commit",
            "engine.end.recorded",
        ],
        before: &["run -d --restart always --name box busybox sleep 1000"],
        operation: "stop -t 0 box",
        happened: (CODE, "exited 137"),
    },
    Act {
        points: &[
            "engine.end.seen",
            "engine.end.cleared",
            "engine.end.recorded",
            "engine.records.commit",
        ],
        before: &[RUNS],
        operation: "kill box",
        happened: (CODE, "exited 137"),
    },
    // A policy starts it again.
    Act {
        points: &[
            "engine.end.seen",
            "engine.end.cleared",
            "engine.end.recorded",
        ],
        before: &[
            "run -d --restart always --name box busybox sh -c 'trap \"exit 3\" INT; while :; do sleep 0.02; done'",
        ],
        operation: "kill -s INT box",
        happened: (STATUS, "running"),
    },
    // It goes with its end.
    Act {
        points: &[
            "engine.end.seen",
            "engine.end.cleared",
            "engine.volume.removed",
            "engine.remove.volumes",
            "engine.remove.recorded",
            "engine.records.commit",
            "image.container.remove",
        ],
        before: &["run -d --rm --name box -v /nameless busybox sleep 1000"],
        operation: "kill box",
        happened: GONE,
    },
    Act {
        points: &[
            "engine.volume.removed",
            "engine.remove.volumes",
            "engine.remove.recorded",
            "engine.records.commit",
            "image.container.remove",
        ],
        before: &[VOLUMES],
        operation: "rm -v box",
        happened: GONE,
    },
    // Of a running one.
    Act {
        points: &[
            "engine.end.seen",
            "engine.end.recorded",
            "engine.remove.recorded",
        ],
        before: &[RUNS],
        operation: "rm -f box",
        happened: GONE,
    },
    // Of one that would go by itself.
    Act {
        points: &[
            "engine.end.seen",
            "engine.end.recorded",
            "engine.remove.recorded",
        ],
        before: &["run -d --rm --name box -v /nameless busybox sleep 1000"],
        operation: "rm -f box",
        happened: GONE,
    },
    Act {
        points: &[
            "engine.end.recorded",
            "engine.start.network",
            "engine.start.noted",
        ],
        before: &[RUNS],
        operation: "restart -t 0 box",
        happened: (STATUS, "running"),
    },
    Act {
        points: &[
            "engine.create.recorded",
            "engine.start.configured",
            "engine.start.started",
            "engine.end.cleared",
            "engine.remove.volumes",
        ],
        before: &[],
        operation: "run --rm --name box -v /nameless busybox true",
        happened: GONE,
    },
    Act {
        points: &["engine.start.shim", "engine.start.noted"],
        before: &[
            "run -d --name other busybox sleep 1000",
            "create --name box --network container:other busybox sleep 1000",
        ],
        operation: "start box",
        happened: (STATUS, "running"),
    },
    Act {
        points: &["engine.pause.frozen"],
        before: &[RUNS],
        operation: "pause box",
        happened: (STATUS, "paused"),
    },
    Act {
        points: &["engine.unpause.thawed"],
        before: &[RUNS, "pause box"],
        operation: "unpause box",
        happened: (STATUS, "running"),
    },
    Act {
        points: &[
            "engine.update.applied",
            "engine.update.recorded",
            "engine.records.commit",
        ],
        before: &[RUNS],
        operation: "update -m 64m --memory-swap 128m box",
        happened: ("inspect -f '{{.HostConfig.Memory}}' box", "67108864"),
    },
    Act {
        points: &["engine.rename.recorded", "engine.records.commit"],
        before: &["create --name old busybox true"],
        operation: "rename old box",
        happened: (STATUS, "created"),
    },
    // A check dies with the daemon; the next one goes on checking.
    Act {
        points: &["engine.health.noted"],
        before: &["create --name box --health-cmd true --health-interval 50ms busybox sleep 1000"],
        operation: "start box",
        happened: ("inspect -f '{{.State.Health.Status}}' box", "healthy"),
    },
    Act {
        points: &[
            "image.layer.adopt",
            "image.layer.rename",
            "image.cache.record",
            "image.layer.syncfs",
            "image.index.rename",
        ],
        before: &["rmi -f built", "builder prune -af"],
        operation: "build -q -t built CONTEXT",
        happened: ("inspect -f there built", "there"),
    },
    Act {
        points: &["engine.network.recorded", "engine.records.commit"],
        before: &[],
        operation: "network create mine",
        happened: ("network inspect -f there mine", "there"),
    },
    Act {
        points: &[
            "network.reaper.deleting",
            "engine.network.removed",
            "engine.records.commit",
        ],
        before: &["network create mine"],
        operation: "network rm mine",
        happened: ("network ls -q --filter name=mine", ""),
    },
    Act {
        points: &["engine.network.plugged", "engine.records.commit"],
        before: &["network create mine", RUNS],
        operation: "network connect mine box",
        happened: (NETWORKS, "2"),
    },
    Act {
        points: &["engine.network.unplugged", "engine.records.commit"],
        before: &["network create mine", RUNS, "network connect mine box"],
        operation: "network disconnect mine box",
        happened: (NETWORKS, "1"),
    },
    Act {
        points: &["engine.volume.mounted"],
        before: &[
            "volume create -o type=tmpfs -o device=tmpfs memory",
            "create --name box -v memory:/memory busybox sleep 1000",
        ],
        operation: "start box",
        happened: (STATUS, "running"),
    },
    // A new volume is filled from the image: one that nobody else has, and one that others have.
    Act {
        points: &["engine.volume.filled"],
        before: &["create --name box -v full:/etc busybox sleep 1000"],
        operation: "start box",
        happened: (STATUS, "running"),
    },
    Act {
        points: &["engine.volume.moving"],
        before: &[
            "run -d --name other -v shared:/nothing busybox sleep 1000",
            "create --name box -v shared:/etc busybox sleep 1000",
        ],
        operation: "start box",
        happened: (STATUS, "running"),
    },
    // What is ours alone is done by our own CLI.
    Act {
        points: &[
            "engine.volume.still",
            "engine.volume.copied",
            "engine.volume.renamed",
        ],
        before: &[
            "volume rm -f copy",
            "run -d --name box -v data:/data busybox sleep 1000",
        ],
        operation: "volume clone data copy",
        happened: ("volume inspect -f '{{.Name}}' copy", "copy"),
    },
    Act {
        points: &["engine.volume.unpacked"],
        before: &[],
        operation: "volume import unpacked ARCHIVE",
        happened: ("volume inspect -f '{{.Name}}' unpacked", "unpacked"),
    },
    // By the start of a daemon that finds a layer it cannot trust.
    Act {
        points: &["image.layer.discard"],
        before: &["pull -q IMAGE", "create --name box IMAGE true"],
        operation: "start -a box",
        happened: (CODE, "exited 0"),
    },
];

/// The names in the source, `failpoint!("…")`.
fn in_source(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in fs::read_dir(folder).expect("our own source").flatten() {
        let path = entry.path();
        if path.is_dir() {
            in_source(&path, names);
        } else if path.extension().is_some_and(|e| e == "rs") {
            let text = fs::read_to_string(&path).expect("our own source");
            let found = text.split("failpoint!(\"").skip(1);
            names.extend(found.filter_map(|t| Some(t.split_once('"')?.0.to_owned())));
        }
    }
}

pub(crate) fn all_are_listed() {
    let mut source = BTreeSet::new();
    // `sys` defines them, and its own tests' are none of the daemon's.
    for part in ["engine", "image", "network", "runtime", "wharf"] {
        in_source(
            &workspace().join("crates").join(part).join("src"),
            &mut source,
        );
    }
    assert!(
        source.len() > 20,
        "the source is not where it was: {source:?}"
    );
    // The runtime's own, where no daemon runs, are `attacks`' (a_runtime_that_is_killed_half_way).
    source.retain(|name| !name.starts_with("oci."));
    let points = ACTS.iter().flat_map(|act| act.points);
    let tested = points.map(|p| p.split('=').next().unwrap_or(p).to_owned());
    assert_eq!(source, tested.collect(), "in the source, and tested");
}

pub(crate) fn die_at_each() {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    let settings = serde_json::json!({});
    let pulled = images::variant("pulled", |l| l.file("pulled", 0o644, "1"), &settings);
    let archive = images::variant("loaded", |l| l.file("loaded", 0o644, "1"), &settings);
    registry.push(host.outside(), &pulled, "pulled:1");
    let context = tempfile::tempdir().expect("a folder");
    let text = "FROM busybox\nRUN echo built > /built\n";
    fs::write(context.path().join("Dockerfile"), text).expect("a Dockerfile");
    let fill = |line: &str| {
        line.replace("IMAGE", &registry.reference("pulled:1"))
            .replace("ARCHIVE", &archive.display().to_string())
            .replace("CONTEXT", &context.path().display().to_string())
    };
    let mut d = Daemon::start(&host, Opts::insecure(&registry.address().to_string()));
    d.load(&images::busybox_tar());
    let only = std::env::var("CHAOS_POINT").ok();
    for act in &ACTS {
        for point in act.points {
            if only
                .as_ref()
                .is_none_or(|only| point.contains(only.as_str()))
            {
                die_at(&mut d, act, point, &fill);
            }
        }
    }
}

fn die_at(d: &mut Daemon, act: &Act, point: &str, fill: &dyn Fn(&str) -> String) {
    let operation = fill(act.operation);
    let at = format!("{point} of `{operation}`");
    println!("{at}");
    for line in act.before {
        let line = fill(line);
        let out = d.docker().run(&line);
        assert!(out.code == 0 || line.starts_with("rmi"), "{at}: {out}");
    }
    d.kill9();
    if point == "image.layer.discard" {
        spoil_layers(d);
    }
    d.set_env(&[("WHARF_FAILPOINT", point)]);
    // Some are reached before the daemon answers.
    if d.try_restart().is_ok() {
        let out = by(d, &operation).run(&operation);
        eventually(&format!("the daemon's death at {at}: {out}"), || {
            !d.running()
        });
    }
    d.set_env(&[]);
    if let Err(code) = d.try_restart() {
        panic!("{at}: the next daemon ended with {code}:\n{}", d.log());
    }
    sound::states(d);
    let (question, answer) = act.happened;
    let question = fill(question);
    let happened = |d: &Daemon| {
        let out = d.docker().run(&question);
        (out.code == 0 || answer.is_empty()) && out.stdout.trim_end() == answer
    };
    // What was only decided when the daemon died is carried out a moment later.
    let end = std::time::Instant::now() + std::time::Duration::from_millis(300);
    while !happened(d) && std::time::Instant::now() < end {
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    if !happened(d) {
        let again = by(d, &operation).run(&operation);
        assert_eq!(again.code, 0, "{at}, again: {again}\n{}", d.log());
        eventually(&format!("{at} to have an effect, done again"), || {
            happened(d)
        });
    }
    sound::states(d);
    assert_eq!(d.docker().code("run --rm busybox true"), 0, "after {at}");
    sound::removable(d);
}

/// The command line that has the verb.
fn by(d: &Daemon, operation: &str) -> Cli {
    let ours = operation.starts_with("volume clone") || operation.starts_with("volume import");
    if ours { d.wharf() } else { d.docker() }
}

/// As after a power cut before the layers were known to be on the disk.
fn spoil_layers(d: &Daemon) {
    let layers = fs::read_dir(d.dir().join("data/image/layers")).expect("the layers");
    for layer in layers.flatten() {
        let meta = layer.path().join("meta.json");
        fs::write(&meta, "").expect("a layer's description");
    }
}
