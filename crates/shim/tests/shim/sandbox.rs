//! The configuration's promises, read back in a real container.

use std::fs;

use runtime::{
    Host,
    protocol::ExecRequest,
    spec::{
        BindMount, ContainerSpec, ExecSpec, Resources, Rlimit, Seccomp, Tmpfs, User, exec_process,
    },
};

use crate::support::*;

fn container(args: &[&str], change: impl FnOnce(&mut ContainerSpec)) -> Container {
    let mut c = Container::new(args);
    let mut spec = spec(&c.launch, args);
    change(&mut spec);
    c.config = to_config(&spec);
    c
}

fn run(script: &str, change: impl FnOnce(&mut ContainerSpec)) -> (String, i32) {
    let mut c = container(&["sh", "-c", script], change).launched();
    let mut stream = c.attach(false);
    c.start();
    let (out, err, event) = collect(&mut stream);
    (out + &err, code(event))
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    status
        .lines()
        .find_map(|l| l.strip_prefix(name))
        .unwrap_or_else(|| panic!("{status}"))
        .trim()
}

#[test]
fn dockers_restrictions_are_real() {
    let (out, _) = run("cat /proc/self/status", |_| ());
    assert_eq!(field(&out, "CapEff:"), "00000000a80425fb");
    assert_eq!(field(&out, "CapBnd:"), "00000000a80425fb");
    assert_eq!(field(&out, "CapInh:"), "0000000000000000");
    assert_eq!(field(&out, "CapAmb:"), "0000000000000000");
    assert_eq!(field(&out, "Seccomp:"), "2");
    assert_eq!(field(&out, "NoNewPrivs:"), "0");
    let (out, code) = run(
        "cat /proc/kcore | head -c 1 | wc -c; ls /proc/acpi /sys/firmware; echo 1 > \
         /proc/sys/kernel/domainname; echo x > /sys/x; mkdir /sys/fs/cgroup/pids/x; echo code $?",
        |_| (),
    );
    assert_eq!(code, 0);
    assert!(
        out.contains("Read-only file system") && out.contains("code 1"),
        "{out}"
    );
}

#[test]
fn an_exec_is_as_restricted_as_its_container() {
    let c = container(&["sleep", "1000"], |s| s.no_new_privileges = true).started();
    let spec = ContainerSpec {
        no_new_privileges: true,
        ..spec(&c.launch, &["sleep"])
    };
    let exec = |id: &str, privileged: bool, uid: u32| {
        let exec = ExecSpec {
            args: vec!["cat".to_owned(), "/proc/self/status".to_owned()],
            env: vec!["PATH=/bin".to_owned()],
            cwd: "/".to_owned(),
            user: User {
                uid,
                gid: uid,
                additional_gids: vec![uid, 44],
            },
            privileged,
            ..ExecSpec::default()
        };
        let (process, _) = exec_process(&spec, &exec, &Host::detect()).unwrap();
        let process = serde_json::to_string(&process).unwrap();
        c.run_exec(
            ExecRequest {
                process,
                ..c.exec(id, &["x"])
            },
            b"",
        )
        .0
    };
    let out = exec("plain", false, 0);
    assert_eq!(field(&out, "CapEff:"), "00000000a80425fb");
    assert_eq!(field(&out, "Seccomp:"), "2");
    assert_eq!(field(&out, "NoNewPrivs:"), "1");
    let out = exec("user", false, 1000);
    assert_eq!(field(&out, "CapEff:"), "0000000000000000");
    assert_eq!(field(&out, "CapBnd:"), "00000000a80425fb");
    assert_eq!(field(&out, "Groups:"), "44 1000");
    let out = exec("mighty", true, 0);
    assert_ne!(field(&out, "CapEff:"), "00000000a80425fb");
}

#[test]
fn privileged_as_far_as_the_host_goes() {
    let mut warnings = Vec::new();
    let (out, code) = run(
        "cat /proc/self/status; ls /dev/null && mkdir /sys/fs/cgroup/systemd/t 2>&1; ls \
         /proc/acpi >/dev/null",
        |s| {
            s.privileged = true;
            warnings = runtime::spec::build(s, &Host::detect()).unwrap().warnings;
        },
    );
    let _ = fs::remove_dir("/sys/fs/cgroup/systemd/t");
    assert_eq!(code, 0, "{out}");
    assert_eq!(field(&out, "Seccomp:"), "0");
    let held = fs::read_to_string("/proc/self/status").unwrap();
    assert_eq!(field(&out, "CapEff:"), field(&held, "CapEff:"));
    assert_eq!(
        warnings.is_empty(),
        Host::detect().may_raise(),
        "{warnings:?}"
    );
}

#[test]
fn users_mounts_and_limits() {
    let shared = tempfile::tempdir().unwrap();
    fs::write(shared.path().join("file"), "from the host\n").unwrap();
    let source = shared.path().to_str().unwrap().to_owned();
    let (out, _) = run(
        "id; cat /data/file; echo x > /data/y; echo x > /y; echo x > /scratch/y && echo wrote; \
         cat /proc/mounts; ulimit -n; ulimit -Hn; cat /proc/sys/net/ipv4/ip_unprivileged_port_start",
        |s| {
            s.user = User {
                uid: 1000,
                gid: 1000,
                additional_gids: vec![1000, 7],
            };
            s.readonly_rootfs = true;
            s.mounts = vec![BindMount {
                source,
                destination: "/data".to_owned(),
                readonly: true,
                readonly_below: false,
                recursive: true,
                propagation: String::new(),
            }];
            s.tmpfs = vec![Tmpfs {
                destination: "/scratch".to_owned(),
                options: "size=1m,mode=1777".to_owned(),
            }];
            s.rlimits = vec![Rlimit {
                name: "nofile".to_owned(),
                soft: 100,
                hard: -1,
            }];
        },
    );
    for words in [
        "uid=1000 gid=1000 groups=7,1000",
        "from the host",
        "can't create /data/y",
        "can't create /y: Read-only file system",
        "wrote",
        "/scratch tmpfs rw,nosuid,nodev,noexec,relatime,size=1024k",
        "/dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k",
        "\n100\n",
        "\n0\n",
    ] {
        assert!(out.contains(words), "{words:?} is missing in {out}");
    }
}

#[test]
fn out_of_memory_is_told() {
    let mut c = container(&["dd", "if=/dev/zero", "of=/dev/null", "bs=64M"], |s| {
        s.resources = Resources {
            memory: 16 << 20,
            ..Resources::default()
        };
    })
    .launched();
    c.start();
    let exit = c.exit();
    assert_eq!((exit.code, exit.oom_killed), (137, true));
}

#[test]
fn a_profile_of_the_users() {
    let profile = r#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[
        {"names":["mkdir","mkdirat"],"action":"SCMP_ACT_ERRNO","errnoRet":13}]}"#;
    let (out, code) = run("mkdir /tmp/x", |s| {
        s.seccomp = Seccomp::Profile(profile.to_owned())
    });
    assert!(code == 1 && out.contains("Permission denied"), "{out}");
    let (_, code) = run("mkdir /tmp/x", |s| s.seccomp = Seccomp::Unconfined);
    assert_eq!(code, 0);
}

#[test]
fn init_reaps_forwards_and_reports() {
    let init = program_path("wharf-init").to_str().unwrap().to_owned();
    let (out, code) = run(
        "cat /proc/1/comm; (sleep 0.01 &); sleep 0.2; ls /proc; exit 42",
        |s| {
            s.init = Some(init.clone());
        },
    );
    assert_eq!(code, 42);
    assert!(out.starts_with("docker-init\n"), "{out}");
    let numbers = out.lines().filter(|l| l.parse::<u32>().is_ok()).count();
    assert!(numbers <= 3, "a zombie is left: {out}");

    let script = "trap 'exit 9' TERM; echo ready; while true; do sleep 0.02; done";
    let mut c = container(&["sh", "-c", script], |s| s.init = Some(init.clone())).launched();
    let mut stream = c.attach(false);
    c.start();
    read_until(&mut stream, "ready\n");
    c.control()
        .request(&runtime::protocol::Request::Signal {
            exec: None,
            signal: 15,
        })
        .unwrap();
    assert_eq!(c.exit().code, 9);

    let mut c = container(&["nope"], |s| s.init = Some(init)).launched();
    c.start();
    assert_eq!(c.exit().code, 127);
}

/// CVE-2024-21626: a working directory that is a descriptor somebody forgot to close.
#[test]
fn a_working_directory_is_inside_or_refused() {
    for n in 3..12 {
        let mut c = container(&["ls", "."], |s| s.cwd = format!("/proc/self/fd/{n}")).launched();
        let mut stream = c.attach(false);
        match c.try_start() {
            runtime::protocol::Response::StartFailed { .. } => {}
            other => panic!("{n}: {other:?}, {:?}", collect(&mut stream)),
        }
    }
    let mut c = container(&["sleep", "1000"], |_| ()).started();
    for n in 3..12 {
        let mut request = c.exec(&format!("e{n}"), &["ls", "."]);
        let cwd = format!("\"cwd\":\"/proc/self/fd/{n}\"");
        request.process = request.process.replace("\"cwd\":\"/\"", &cwd);
        let request = runtime::protocol::Request::Exec(Box::new(request));
        let response = c.control().request(&request).unwrap();
        let failed = matches!(response, runtime::protocol::Response::ExecFailed { .. });
        assert!(failed, "{n}: {response:?}");
        // A failed exec ends its connection.
        c.shim.as_mut().unwrap().control = c.connect();
    }
}
