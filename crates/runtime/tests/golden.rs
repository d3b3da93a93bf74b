//! The whole configuration, compared with what it was. `WHARF_BLESS=1` writes what it is now.
// In tests a panic is the message.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use runtime::{
    Host,
    caps::CapSet,
    spec::{BindMount, ContainerSpec, Namespace, Resources, Seccomp, User, build},
};
use serde_json::Value;

fn host() -> Host {
    Host {
        caps: CapSet::all(),
        oom_score_adj: 0,
        kernel: (6, 1),
        cgroup2: false,
        swap_limit: true,
        controls: runtime::controls::Controls::default(),
    }
}

/// Sets have no order.
fn sort(value: &mut Value) {
    match value {
        Value::Object(map) => {
            map.sort_keys();
            map.values_mut().for_each(sort);
        }
        Value::Array(list) => {
            list.iter_mut().for_each(sort);
            if list
                .iter()
                .all(|v| v.as_str().is_some_and(|s| s.starts_with("CAP_")))
            {
                list.sort_by_key(Value::to_string);
            }
        }
        _ => {}
    }
}

fn compare(name: &str, spec: &ContainerSpec) {
    let mut value = serde_json::to_value(build(spec, &host()).unwrap().spec).unwrap();
    sort(&mut value);
    let text = serde_json::to_string_pretty(&value).unwrap() + "\n";
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/golden")
        .join(name);
    if std::env::var_os("WHARF_BLESS").is_some() {
        std::fs::write(&path, &text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert!(text == expected, "{} differs:\n{text}", path.display());
}

fn plain() -> ContainerSpec {
    ContainerSpec {
        args: vec!["sh".to_owned()],
        env: vec!["PATH=/bin".to_owned()],
        cwd: "/".to_owned(),
        hostname: "0123456789ab".to_owned(),
        cgroup: "/wharf/0123456789ab".to_owned(),
        network: Namespace::Path("/run/bundle/netns".to_owned()),
        host_cgroupns: true,
        ..ContainerSpec::default()
    }
}

#[test]
fn a_plain_container() {
    // The filter has its own tests and is long.
    compare(
        "plain.json",
        &ContainerSpec {
            seccomp: Seccomp::Unconfined,
            ..plain()
        },
    );
}

#[test]
fn much_at_once() {
    compare(
        "much.json",
        &ContainerSpec {
            seccomp: Seccomp::Unconfined,
            user: User {
                uid: 1000,
                gid: 1000,
                additional_gids: vec![1000, 4],
            },
            tty: true,
            domainname: "example.org".to_owned(),
            readonly_rootfs: true,
            mounts: vec![
                BindMount {
                    source: "/srv/a".to_owned(),
                    destination: "/data/deep/a".to_owned(),
                    readonly: true,
                    readonly_below: false,
                    recursive: true,
                    propagation: "rslave".to_owned(),
                },
                BindMount {
                    source: "/srv/b".to_owned(),
                    destination: "/data".to_owned(),
                    readonly: false,
                    readonly_below: false,
                    recursive: false,
                    propagation: String::new(),
                },
            ],
            cap_add: vec!["net_admin".to_owned()],
            cap_drop: vec!["ALL".to_owned()],
            no_new_privileges: true,
            pid: Namespace::Host,
            ipc: Namespace::Host,
            uts: Namespace::Host,
            network: Namespace::Host,
            init: Some("/run/wharf/init".to_owned()),
            resources: Resources {
                memory: 512 << 20,
                nano_cpus: 500_000_000,
                pids_limit: Some(100),
                cpuset_cpus: "0-1".to_owned(),
                ..Resources::default()
            },
            ..plain()
        },
    );
}

#[test]
fn mounts_lie_in_order_and_replace_defaults() {
    let bind = |destination: &str| BindMount {
        source: "/srv".to_owned(),
        destination: destination.to_owned(),
        readonly: false,
        readonly_below: false,
        recursive: true,
        propagation: String::new(),
    };
    let spec = ContainerSpec {
        mounts: vec![bind("/a/b/c"), bind("/a"), bind("/dev"), bind("/a/b")],
        ..plain()
    };
    let built = build(&spec, &host()).unwrap().spec;
    let all: Vec<String> = built
        .mounts()
        .iter()
        .flatten()
        .map(|m| m.destination().display().to_string())
        .collect();
    assert_eq!(
        all,
        [
            "/proc",
            "/sys",
            "/sys/fs/cgroup",
            "/a",
            "/dev",
            "/a/b",
            "/dev/shm",
            "/a/b/c"
        ]
    );
    let relative = ContainerSpec {
        mounts: vec![bind("a")],
        ..plain()
    };
    assert!(build(&relative, &host()).is_err());
    assert!(
        build(
            &ContainerSpec {
                args: vec![],
                ..plain()
            },
            &host()
        )
        .is_err()
    );
}

#[test]
fn what_the_host_lacks_is_left_out_with_a_warning() {
    let host = Host {
        caps: CapSet::docker(),
        oom_score_adj: 100,
        ..host()
    };
    let spec = ContainerSpec {
        privileged: true,
        oom_score_adj: -500,
        ..plain()
    };
    let built = build(&spec, &host).unwrap();
    assert_eq!(built.warnings.len(), 2, "{:?}", built.warnings);
    assert!(built.warnings[0].contains("CAP_SYS_ADMIN"));
    let process = built.spec.process().as_ref().unwrap();
    assert_eq!(process.oom_score_adj(), Some(100));
    let caps = process.capabilities().as_ref().unwrap();
    assert_eq!(caps.bounding().as_ref().unwrap().len(), 14);
    assert!(caps.inheritable().is_none() && caps.ambient().is_none());
}
