//! Every limit of `run`, read back from the cgroup or from `/proc`.

use testkit::{Daemon, cgroup_value};

/// A device that every machine has, and its numbers.
fn disk() -> (String, String) {
    let name = std::fs::read_dir("/sys/block")
        .expect("/sys is mounted")
        .flatten()
        .filter_map(|e| e.file_name().into_string().ok())
        .find(|n| std::fs::exists(format!("/dev/{n}")).unwrap_or(false))
        .expect("a block device");
    let numbers = std::fs::read_to_string(format!("/sys/block/{name}/dev")).expect("its numbers");
    (format!("/dev/{name}"), numbers.trim().to_owned())
}

fn v1() -> bool {
    !std::fs::exists("/sys/fs/cgroup/cgroup.controllers").unwrap_or(false)
}

#[test]
fn processors() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name boxc --cpu-shares 512 --cpu-period 50000 --cpu-quota 20000 --cpuset-cpus 0 --cpuset-mems 0 busybox sleep 1000");
        let pid = d.pid_of("boxc");
        let value = |c, v1, v2| cgroup_value(pid, c, v1, v2);
        if v1() {
            assert_eq!(value("cpu", "cpu.shares", ""), "512");
            assert_eq!(value("cpu", "cpu.cfs_period_us", ""), "50000");
        }
        let quota = value("cpu", "cpu.cfs_quota_us", "cpu.max");
        assert!(quota == "20000" || quota == "20000 50000", "{quota}");
        assert_eq!(value("cpuset", "cpuset.cpus", "cpuset.cpus"), "0");
        assert_eq!(value("cpuset", "cpuset.mems", "cpuset.mems"), "0");
        let shown = "{{.HostConfig.CpuShares}} {{.HostConfig.CpuPeriod}} {{.HostConfig.CpuQuota}} {{.HostConfig.CpusetCpus}}";
        assert_eq!(
            cli.ok(&format!("inspect -f '{shown}' boxc")),
            "512 50000 20000 0"
        );
        cli.ok("rm -f boxc");
        for (flags, words) in [
            (
                "--cpus 0.5 --cpu-period 5000",
                "Nano CPUs and CPU Period cannot both be set",
            ),
            (
                "--cpus 0.5 --cpu-quota 5000",
                "Nano CPUs and CPU Quota cannot both be set",
            ),
            ("--cpus 10000", "ange of CPUs is from 0.01 to"),
            ("--cpu-period 10", "CPU cfs period can not be less than 1ms"),
            ("--cpu-quota 10", "CPU cfs quota can not be less than 1ms"),
            (
                "--cpuset-cpus 4095",
                "Requested CPUs are not available - requested 4095",
            ),
            (
                "--cpuset-mems 1000",
                "Requested memory nodes are not available",
            ),
            ("--cpuset-cpus x", "nvalid value x for cpuset cpus"),
            ("--cpu-rt-period 10 --cpu-rt-runtime 20", "eal-time"),
        ] {
            cli.refused(&format!("run --rm {flags} busybox true"), &[words]);
        }
    }
}

#[test]
fn memory() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name boxm --memory 64m --memory-swap 96m --memory-reservation 32m --shm-size 5m busybox sleep 1000");
        let pid = d.pid_of("boxm");
        let value = |v1, v2| cgroup_value(pid, "memory", v1, v2);
        assert_eq!(
            value("memory.soft_limit_in_bytes", "memory.low"),
            "33554432"
        );
        let swap = value("memory.memsw.limit_in_bytes", "memory.swap.max");
        assert!(swap == "100663296" || swap == "33554432", "{swap}");
        assert!(cli.ok("exec boxm df -k /dev/shm").contains("5120"));
        cli.ok("rm -f boxm");
        for (flags, words) in [
            ("-m 5m", "inimum memory limit allowed is 6MB"),
            (
                "-m 64m --memory-swap 32m",
                "inimum memoryswap limit should be larger than memory limit",
            ),
            (
                "--memory-swap 64m",
                "ou should always set the Memory limit when using Memoryswap limit",
            ),
            (
                "-m 64m --memory-reservation 96m",
                "inimum memory limit can not be less than memory reservation limit",
            ),
            (
                "--memory-reservation 1m",
                "inimum memory reservation allowed is 6MB",
            ),
            ("--memory-swappiness 101", "nvalid value: 101"),
            (
                "--oom-score-adj 2000",
                "nvalid value 2000, range for oom score adj is [-1000, 1000]",
            ),
        ] {
            cli.refused(&format!("run --rm {flags} busybox true"), &[words]);
        }
        let score = cli.ok("run --rm --oom-score-adj 500 busybox cat /proc/self/oom_score_adj");
        assert_eq!(score, "500");
        if v1() {
            let line = "run -d --name boxs -m 64m --memory-swappiness 30 --oom-kill-disable busybox sleep 1000";
            cli.ok(line);
            let value = |v1| cgroup_value(d.pid_of("boxs"), "memory", v1, "");
            assert_eq!(value("memory.swappiness"), "30");
            assert!(value("memory.oom_control").contains("oom_kill_disable 1"));
            cli.ok("rm -f boxs");
        }
    }
}

#[test]
fn block_io() {
    let d = Daemon::fresh();
    let (disk, numbers) = disk();
    for cli in d.clis() {
        let out = cli.run(&format!(
            "run -d --name boxb --device-read-bps {disk}:1mb --device-write-bps {disk}:2mb --device-read-iops {disk}:100 --device-write-iops {disk}:200 busybox sleep 1000"
        ));
        assert_eq!(out.code, 0, "{out}");
        let pid = d.pid_of("boxb");
        for (v1, wanted) in [
            ("blkio.throttle.read_bps_device", "1048576"),
            ("blkio.throttle.write_bps_device", "2097152"),
            ("blkio.throttle.read_iops_device", "100"),
            ("blkio.throttle.write_iops_device", "200"),
        ] {
            let value = cgroup_value(pid, "blkio", v1, "io.max");
            assert!(
                value.starts_with(&numbers) && value.contains(wanted),
                "{v1}: {value}"
            );
        }
        assert_eq!(
            cli.ok("inspect -f '{{(index .HostConfig.BlkioDeviceReadIOps 0).Rate}}' boxb"),
            "100"
        );
        cli.ok("rm -f boxb");
        cli.refused(
            "run --rm --blkio-weight 5 busybox true",
            &["lkio weight is from 10 to 1000"],
        );
        cli.refused(
            "run --rm --device-read-bps /dev/nothing:1 busybox true",
            &["/dev/nothing"],
        );
        // Either it is there, or its absence is told.
        let out = cli.run("run --rm --blkio-weight 300 busybox true");
        let able = std::fs::exists("/sys/fs/cgroup/blkio/blkio.weight").unwrap_or(false) || !v1();
        assert!(
            out.code == 0 && (able || out.stderr.contains("Block I/O weight")),
            "{out}"
        );
    }
}

#[test]
fn process_limits_of_the_daemon() {
    let flags = ["--default-ulimit", "core=1024:2048"];
    let d = Daemon::with(testkit::Opts::args(&flags));
    let core = |limits: &str| {
        let line = limits.lines().find(|l| l.starts_with("Max core file size"));
        let words: Vec<_> = line.expect("a line").split_whitespace().collect();
        words[4..6].join(":")
    };
    for cli in d.clis() {
        let limit =
            |flags: &str| core(&cli.ok(&format!("run --rm {flags} busybox cat /proc/self/limits")));
        assert_eq!(limit(""), "1024:2048");
        assert_eq!(limit("--ulimit core=0:1000"), "0:1000");
        cli.ok("run -d --name boxx busybox sleep 1000");
        let exec = cli.ok("exec boxx cat /proc/self/limits");
        assert_eq!(core(&exec), "1024:2048", "an exec has them too");
        cli.ok("rm -f boxx");
    }
}

#[test]
fn kernel_settings() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let line = "run --rm --sysctl net.core.somaxconn=77 --sysctl kernel.msgmax=9000 busybox cat /proc/sys/net/core/somaxconn /proc/sys/kernel/msgmax";
        assert_eq!(cli.ok(line), "77\n9000");
        assert_ne!(
            cli.code("run --rm --sysctl vm.swappiness=1 busybox true"),
            0
        );
        cli.refused(
            "run --rm --network host --sysctl net.core.somaxconn=77 busybox true",
            &["net.core.somaxconn", "host network namespace"],
        );
        cli.refused(
            "run --rm --ipc host --sysctl kernel.msgmax=9000 busybox true",
            &["kernel.msgmax", "ipc namespace"],
        );
    }
    let api = d.api();
    let body =
        serde_json::json!({"Image": "busybox", "HostConfig": {"Sysctls": {"vm.swappiness": "1"}}});
    let answer = api.post("/containers/create", Some(&body));
    assert_eq!(answer.status, 400, "{}", answer.text());
    assert!(
        answer.text().contains("not in a separate kernel namespace"),
        "{}",
        answer.text()
    );
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.refused("run --rm --storage-opt size=1g busybox true", &["size"]);
        cli.refused("run --rm --isolation hyperv busybox true", &["solation"]);
        cli.refused(
            "run --rm --gpus all busybox true",
            &["could not select device driver", "[[gpu]]"],
        );
        cli.refused("run --rm --runtime nothing busybox true", &["nothing"]);
        cli.ok("run --rm --isolation default busybox true");
        let shown = "{{index .HostConfig.Annotations \"a.b\"}}";
        if cli.name() == "wharf" {
            cli.ok("create --name boxn --annotation a.b=c busybox true");
            assert_eq!(cli.ok(&format!("inspect -f '{shown}' boxn")), "c");
            cli.ok("rm boxn");
        }
    }
}
