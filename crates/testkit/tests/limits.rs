//! Limits, capabilities and the other walls around a container, read back from the kernel.

use testkit::{Cli, Daemon, cgroup_value, eventually};

fn field(status: &str, name: &str) -> String {
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
        .to_owned()
}

fn caps(cli: &Cli, flags: &str) -> u64 {
    let status = cli.ok(&format!("run --rm {flags} busybox cat /proc/self/status"));
    u64::from_str_radix(&field(&status, "CapEff"), 16).expect("hexadecimal")
}

/// The capabilities that we could give at all.
fn ours() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    u64::from_str_radix(&field(&status, "CapBnd"), 16).expect("hexadecimal")
}

#[test]
fn memory_cpu_pids() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name mm --memory 64m --cpus 0.5 --pids-limit 42 busybox sleep 1000");
        let pid = d.pid_of("mm");
        let value = |c, v1, v2| cgroup_value(pid, c, v1, v2);
        assert_eq!(
            value("memory", "memory.limit_in_bytes", "memory.max"),
            "67108864"
        );
        assert_eq!(value("pids", "pids.max", "pids.max"), "42");
        let quota = value("cpu", "cpu.cfs_quota_us", "cpu.max");
        assert!(quota == "50000" || quota == "50000 100000", "{quota}");
        assert_eq!(
            cli.ok("inspect -f '{{.HostConfig.Memory}} {{.HostConfig.NanoCpus}}' mm"),
            "67108864 500000000"
        );
        cli.ok("rm -f mm");
        cli.refused("run --rm --memory 1m busybox true", &["emory"]);
    }
}

#[test]
fn out_of_memory_is_told() {
    let d = Daemon::fresh();
    let cli = d.docker();
    let eat = "x=$(head -c 200000000 /dev/zero | tr \\\\0 x); echo survived";
    let out = cli.run(&format!(
        "run --name eater --memory 32m --memory-swap 32m busybox sh -c '{eat}'"
    ));
    assert_eq!(out.code, 137, "{out}");
    eventually("the reason", || {
        cli.ok("inspect -f '{{.State.OOMKilled}}' eater") == "true"
    });
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' eater"), "exited");
}

#[test]
fn capabilities() {
    let d = Daemon::fresh();
    const DEFAULT: u64 = 0xa804_25fb;
    for cli in d.clis() {
        assert_eq!(caps(&cli, ""), DEFAULT);
        assert_eq!(caps(&cli, "--cap-drop ALL"), 0);
        assert_eq!(
            caps(&cli, "--cap-drop all --cap-add NET_BIND_SERVICE"),
            1 << 10
        );
        assert_eq!(caps(&cli, "--cap-add net_admin"), DEFAULT | 1 << 12);
        assert_eq!(
            caps(&cli, "--cap-add CAP_SYS_TIME --cap-drop CHOWN"),
            (DEFAULT | 1 << 25) & !1
        );
        assert_eq!(caps(&cli, "-u app"), 0, "who is not root has none");
        assert_eq!(cli.code("run --rm --cap-add NO_SUCH_CAP busybox true"), 125);
    }
}

#[test]
fn privileged() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // dockerd gives up where the host itself lacks a capability
    }
    for cli in d.clis() {
        assert_eq!(caps(&cli, "--privileged"), ours());
        let status = cli.ok("run --rm --privileged busybox cat /proc/self/status");
        assert_eq!(field(&status, "Seccomp"), "0");
        cli.ok("run --rm --privileged busybox sh -c 'mount -t tmpfs none /mnt 2>/dev/null || mkdir /mnt && mount -t tmpfs none /mnt'");
    }
}

#[test]
fn walls() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let status = cli.ok("run --rm busybox cat /proc/self/status");
        assert_eq!(field(&status, "Seccomp"), "2");
        assert_eq!(field(&status, "CapInh"), "0000000000000000", "GO-2022-0390");
        let nnp = cli.ok("run --rm --security-opt no-new-privileges busybox cat /proc/self/status");
        assert_eq!(field(&nnp, "NoNewPrivs"), "1");
        for (path, masked) in [
            ("/proc/kcore", true),
            ("/proc/timer_list", true),
            ("/proc/keys", true),
        ] {
            let size = cli.ok(&format!(
                "run --rm busybox sh -c 'head -c 1 {path} | wc -c'"
            ));
            assert_eq!(size.trim() == "0", masked, "{path}");
        }
        for path in [
            "/proc/sys/kernel/hostname",
            "/proc/sysrq-trigger",
            "/sys/kernel/uevent_helper",
        ] {
            let out = cli.run(&format!("run --rm busybox sh -c 'echo x > {path}'"));
            assert_ne!(out.code, 0, "{path} is writable");
        }
        assert_ne!(cli.code("run --rm busybox mount -t tmpfs none /tmp"), 0);
        assert_ne!(cli.code("run --rm busybox unshare -m true"), 0);
        let links = cli.ok("run --rm busybox sh -c 'for n in ipc mnt net pid uts; do readlink /proc/1/ns/$n; done'");
        for own in links.lines() {
            let kind = own.split(':').next().expect("a kind");
            let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
            assert_ne!(own, host.to_str().expect("text"), "shared with the host");
        }
    }
}

#[test]
fn descriptors_do_not_leak_into_containers() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        // CVE-2024-21626: nothing but standard streams and the listing's own descriptor.
        let fds = cli.ok("run --rm busybox ls /proc/self/fd");
        assert_eq!(
            fds.split_whitespace().collect::<Vec<_>>(),
            ["0", "1", "2", "3"]
        );
        assert_ne!(cli.code("run --rm -w /proc/self/fd/7 busybox ls ."), 0);
        assert_ne!(cli.code("run --rm -w /proc/self/fd/8 busybox ls ."), 0);
    }
}

#[test]
fn ulimits() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let limits = cli
            .ok("run --rm --ulimit nofile=100:200 --ulimit core=0 busybox cat /proc/self/limits");
        let line = limits
            .lines()
            .find(|l| l.starts_with("Max open files"))
            .expect("a line");
        let words: Vec<_> = line.split_whitespace().collect();
        assert_eq!(words[3..5], ["100", "200"], "{limits}");
        assert_ne!(cli.code("run --rm --ulimit nofile=300:200 busybox true"), 0);
        assert_ne!(cli.code("run --rm --ulimit nonsense=1 busybox true"), 0);
    }
}

#[test]
fn ulimits_beyond_the_host_are_clamped_with_a_warning() {
    let d = Daemon::fresh();
    let eff = u64::from_str_radix(
        &field(
            &std::fs::read_to_string("/proc/self/status").expect("/proc"),
            "CapEff",
        ),
        16,
    );
    if !d.engine().is_wharf() || eff.expect("hexadecimal") & 1 << 24 != 0 {
        return; // who has CAP_SYS_RESOURCE can raise them
    }
    for cli in d.clis() {
        let out = cli.run("run --rm --ulimit memlock=9000000000000000 busybox sh -c 'ulimit -l'");
        assert_eq!(out.code, 0, "{out}");
        assert!(
            out.stderr.contains("memlock"),
            "a warning that names it: {out}"
        );
    }
}
