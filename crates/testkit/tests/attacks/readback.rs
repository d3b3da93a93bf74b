//! The walls are really there, around the first process and around every exec: read back from `/proc`.

use std::fs;

use serde_json::json;
use testkit::{Bundle, Cli, Daemon};

/// What must be the same for the first process and for an exec.
#[derive(Debug, PartialEq, Eq)]
struct Walls {
    status: Vec<String>,
    files: Vec<String>,
}

impl Walls {
    fn of(pid: u32) -> Self {
        let dir = format!("/proc/{pid}");
        let read = |name: &str| fs::read_to_string(format!("{dir}/{name}")).unwrap_or_default();
        const KEPT: [&str; 12] = [
            "Uid",
            "Gid",
            "Groups",
            "CapInh",
            "CapPrm",
            "CapEff",
            "CapBnd",
            "CapAmb",
            "NoNewPrivs",
            "Seccomp",
            "Seccomp_filters",
            "Umask",
        ];
        let status = read("status");
        let kept = |l: &&str| KEPT.contains(&l.split(':').next().unwrap_or_default());
        let links = ["pid", "ipc", "uts", "net", "user", "mnt", "cgroup"].map(|kind| {
            let target = fs::read_link(format!("{dir}/ns/{kind}")).unwrap_or_default();
            target.display().to_string()
        });
        let mut files: Vec<_> = [
            "cgroup",
            "uid_map",
            "gid_map",
            "limits",
            "oom_score_adj",
            "attr/current",
        ]
        .map(read)
        .into();
        files.extend(links);
        Self {
            status: status.lines().filter(kept).map(str::to_owned).collect(),
            files,
        }
    }

    fn field(&self, name: &str) -> &str {
        let line = self
            .status
            .iter()
            .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap_or_else(|| panic!("no {name} in {self:?}"))
            .trim()
    }
}

/// The number on the host of a process of `parent`'s cgroup that sleeps for `seconds`.
fn sleeper(seconds: u32) -> u32 {
    let wanted = format!("sleep\0{seconds}\0");
    testkit::poll(testkit::PATIENCE, "the exec's process", || {
        let entries = fs::read_dir("/proc").ok()?;
        let pids = entries
            .flatten()
            .filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
        pids.into_iter().find(|pid| {
            fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line == wanted.as_bytes())
        })
    })
}

/// A number of seconds that no other test sleeps.
fn unique(n: u32) -> u32 {
    1_000_000 + std::process::id() % 100_000 * 100 + n
}

fn same_by_the_daemon(d: &Daemon, cli: &Cli, flags: &str, n: u32) -> Walls {
    cli.ok(&format!("run -d --name walls {flags} busybox sleep 1000"));
    let seconds = unique(n);
    cli.ok(&format!("exec -d walls sleep {seconds}"));
    let (init, exec) = (Walls::of(d.pid_of("walls")), Walls::of(sleeper(seconds)));
    assert_eq!(init, exec, "{flags}");
    cli.ok("rm -f walls");
    init
}

#[test]
fn attack_17_the_walls_are_there_and_the_same_for_exec() {
    let d = Daemon::fresh();
    let docker = d.docker();
    let walls = same_by_the_daemon(&d, &docker, "", 0);
    assert_eq!(walls.field("Seccomp"), "2");
    assert_eq!(walls.field("NoNewPrivs"), "0");
    assert_eq!(walls.field("CapBnd"), "00000000a80425fb");
    let walls = same_by_the_daemon(
        &d,
        &docker,
        "--security-opt no-new-privileges --cap-drop ALL --cap-add NET_RAW -u 1000 --ulimit nofile=77:88 \
         --memory 64m --pids-limit 20",
        1,
    );
    assert_eq!(walls.field("NoNewPrivs"), "1");
    assert_eq!(walls.field("CapEff"), "0000000000000000");
    assert_eq!(walls.field("CapBnd"), "0000000000002000");
    let walls = same_by_the_daemon(&d, &docker, "--security-opt seccomp=unconfined", 2);
    assert_eq!(walls.field("Seccomp"), "0");
    same_by_the_daemon(&d, &docker, "--network host", 3);
    // What the filter refuses is refused, in both.
    docker.ok("run -d --name target busybox sleep 1000");
    for line in [
        "run --rm busybox unshare -m true",
        "exec target unshare -m true",
    ] {
        docker.refused(line, &["not permitted"]);
    }
    docker.refused(
        "run --rm --security-opt no-new-privileges --network none busybox unshare -m true",
        &[],
    );
}

/// Docker's `exec` in a privileged container is privileged; and so is ours.
#[test]
fn attack_17_privileged_is_the_same_for_exec() {
    let d = Daemon::fresh();
    let walls = same_by_the_daemon(&d, &d.docker(), "--privileged", 4);
    assert_eq!(walls.field("Seccomp"), "0");
}

fn same_by_itself(bundle: &Bundle, n: u32) -> Walls {
    let init = bundle.start();
    let seconds = unique(n);
    let out = bundle.exec_with(&["--detach"], &["sleep", &seconds.to_string()]);
    // An exec that is given no process of its own runs with the container's.
    out.ok();
    let (init, exec) = (Walls::of(init), Walls::of(sleeper(seconds)));
    assert_eq!(init, exec);
    bundle.delete();
    init
}

#[test]
fn attack_17_the_walls_by_the_runtime_itself() {
    let mut bundle = Bundle::new().args(&["sleep", "1000"]);
    bundle.at("/process")["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 77, "hard": 88}]);
    let walls = same_by_itself(&bundle, 5);
    assert_eq!(walls.field("Seccomp"), "2");
    assert_eq!(walls.field("CapBnd"), "00000000a80425fb");
    // With a user namespace: an exec that stayed outside would be root of the host.
    bundle.remap();
    let walls = same_by_itself(&bundle, 6);
    assert!(walls.field("Uid").starts_with("100000"), "{walls:?}");
    bundle.at("/process")["noNewPrivileges"] = json!(true);
    let walls = same_by_itself(&bundle, 7);
    assert_eq!(walls.field("NoNewPrivs"), "1");
}
