//! The daemon under dockerd's name, with dockerd's flags and its configuration file.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::json;
use testkit::{Daemon, Engine, Host, Lan, Opts, Output, run, wharf_bin, workspace};

/// `dockerd --validate` with these flags.
fn validate(flags: &[&str]) -> Output {
    let dir = tempfile::tempdir().expect("/tmp");
    let dockerd = dir.path().join("dockerd");
    std::os::unix::fs::symlink(wharf_bin(), &dockerd).expect("our own folder");
    let mut command = Command::new(dockerd);
    if !flags.iter().any(|f| f.starts_with("--config-file")) {
        command.arg("--config-file=/dev/null");
    }
    run(command
        .arg("--validate")
        .args(flags)
        .env_remove("DOCKER_TLS_VERIFY"))
}

/// `docs/daemon.md`: an example of a flag, and what becomes of it.
fn documented() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(workspace().join("docs/daemon.md")).expect("the page");
    let rows = text.lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `--")?.split(" | ");
        let flag = cells.next()?.trim_end_matches('`');
        Some((format!("--{flag}"), cells.next()?.to_owned()))
    });
    rows.filter(|(_, fate)| !fate.starts_with('`')).collect()
}

#[test]
fn the_table_of_the_docs_is_what_the_daemon_does() {
    if !Engine::under_test().is_wharf() {
        return;
    }
    let mut written = BTreeSet::new();
    for (flag, fate) in documented() {
        let name = flag
            .trim_start_matches('-')
            .split('=')
            .next()
            .unwrap_or("")
            .to_owned();
        written.insert(name.clone());
        // With another one, where it means something only then.
        let all: Vec<&str> = flag.split(' ').collect();
        let output = validate(&all);
        let idle = output.stderr.contains("has no effect: ");
        let refused = output.stderr.contains("\" is refused: ");
        let unknown = output.stderr.contains("unexpected argument");
        let done = match fate.as_str() {
            // Needs a user of the host.
            "works" if name == "userns-remap" => !unknown && !idle && !refused,
            "works" => output.code == 0 && !idle && !refused,
            "no effect" => output.code == 0 && idle && !refused,
            "refused" => output.code != 0 && refused,
            other => panic!("{flag}: {other:?} is no fate"),
        };
        assert!(done, "{flag} is documented as {fate}: {output}");
    }
    let mut command = Command::new(wharf_bin());
    let help = run(command.args(["daemon", "--help"])).ok();
    let known: BTreeSet<String> = help
        .lines()
        .filter_map(|line| {
            let word = line.split_whitespace().find(|w| w.starts_with("--"))?;
            let first = line.trim_start().starts_with('-');
            let name = word.trim_start_matches('-');
            let end = name.find(['=', '[', ' ', ',']).unwrap_or(name.len());
            first.then(|| name[..end].to_owned())
        })
        .filter(|name| name != "help")
        .collect();
    assert_eq!(written, known, "docs/daemon.md against --help");
}

#[test]
fn it_takes_what_provisioning_gives_to_dockerd() {
    let flags = [
        "--userland-proxy=false",
        "--userland-proxy=true",
        "--containerd=/run/containerd/containerd.sock",
        "--containerd-namespace=moby",
        "--iptables=true",
        "--ip6tables",
        "--storage-driver=overlay2",
        "--live-restore",
        "-D",
        "--label=role=test",
        "--label=place=here",
        "--dns=192.0.2.53",
        "--dns-search=example.com",
        "--dns-opt=ndots:2",
        "--log-driver=local",
        "--log-opt=max-size=1m",
        "--default-ulimit=nofile=1000:2000",
        "--icc=true",
        "--init",
        "--no-new-privileges",
        "--default-shm-size=32m",
        "--mtu=1400",
        "--experimental",
        "--default-ipc-mode=private",
        "--default-runtime=wharf",
    ];
    let opts = Opts {
        as_dockerd: true,
        ..Opts::args(&flags)
    };
    let d = Daemon::with(opts);
    let info = d.api().get("/info").expect(200).json();
    assert_eq!(info["Labels"], json!(["place=here", "role=test"]));
    assert_eq!(info["LoggingDriver"], "local");
    assert_eq!(info["Debug"], true);
    assert_eq!(info["LiveRestoreEnabled"], true);
    for cli in d.clis() {
        let ok = |line: &str| cli.ok(&format!("run --rm busybox {line}"));
        assert_eq!(ok("sh -c 'ulimit -Sn; ulimit -Hn'"), "1000\n2000");
        let resolv = ok("cat /etc/resolv.conf");
        for line in [
            "nameserver 192.0.2.53",
            "search example.com",
            "options ndots:2",
        ] {
            assert!(resolv.contains(line), "{resolv}");
        }
        let status = ok("grep NoNewPrivs /proc/self/status");
        assert_eq!(status.split_whitespace().last(), Some("1"));
        let shm = ok("df -k /dev/shm");
        assert!(shm.contains(" 32768 "), "{shm}");
        assert_eq!(ok("cat /sys/class/net/eth0/mtu"), "1400");
        let first = ok("sh -c 'tr \"\\0\" \" \" < /proc/1/cmdline'");
        assert!(!first.starts_with("sh "), "no init: {first}");
        // What a container says itself is what it gets.
        let own = cli.ok(
            "run --rm --ulimit nofile=5:6 --shm-size 1m --dns 192.0.2.54 --init=false \
             --security-opt no-new-privileges=false busybox sh -c \
             'ulimit -n; df -k /dev/shm; cat /etc/resolv.conf; grep NoNew /proc/self/status'",
        );
        for part in ["5\n", " 1024 ", "192.0.2.54", "NoNewPrivs:\t0"] {
            assert!(own.contains(part), "{part:?}: {own}");
        }
    }
    let log = d.log();
    for name in [
        "containerd ",
        "containerd-namespace ",
        "ip6tables ",
        "experimental ",
    ] {
        assert!(
            log.contains(&format!("{name}has no effect: ")),
            "{name}: {log}"
        );
    }
    assert!(
        !log.contains("iptables has no effect") && !log.contains("icc has"),
        "{log}"
    );
}

#[test]
fn what_cannot_be_had_is_refused_by_name() {
    for (flag, name) in [
        ("--iptables=false", "iptables"),
        ("--allow-direct-routing", "allow-direct-routing"),
        ("--storage-driver=zfs", "storage-driver"),
    ] {
        let opts = Opts {
            as_dockerd: true,
            ..Opts::args(&[flag])
        };
        Daemon::refused(&Host::new(), opts).refused(&["dockerd: ", name, " is refused: "]);
    }
    validate(&["--log-driver=syslog"]).refused(&["syslog"]);
    validate(&["--log-opt=colour=red"]).refused(&["colour"]);
    validate(&["--no-such-flag"]).refused(&["--no-such-flag"]);
    validate(&["--debug=perhaps"]).refused(&["perhaps"]);
    validate(&["--default-ulimit=nofile=9:1"]).refused(&["invalid ulimit argument: nofile=9:1"]);
    validate(&["--host=tcp://127.0.0.1:1"]).refused(&["without TLS"]);
    validate(&["--bip=1.2.3"]).refused(&["'1.2.3' is not a bridge address"]);
    validate(&["--registry-mirror=m.example"]).refused(&["invalid mirror: "]);
    validate(&["--registry-mirror=https://m.example/v2"]).refused(&["invalid mirror: path"]);
    validate(&["--insecure-registry=http://r.example"]).refused(&["insecure registry"]);
    validate(&["--label=a"]).refused(&["bad attribute format: a"]);
    validate(&["--label=a=1", "--label=a=2"]).refused(&["conflict labels for a"]);
    validate(&["--log-level=loud"]).refused(&["invalid logging level"]);
}

#[test]
fn the_file_has_dockerds_keys() {
    let dir = tempfile::tempdir().expect("/tmp");
    let path = dir.path().join("daemon.json");
    let with = |text: &str, flags: &[&str]| {
        std::fs::write(&path, text).expect("our own folder");
        let file = format!("--config-file={}", path.display());
        validate(&[&[file.as_str()], flags].concat())
    };
    let all = r#"{
        "hosts": ["unix:///run/x.sock"], "debug": true, "labels": ["a=b"],
        "log-driver": "json-file", "log-opts": {"max-size": "1m", "max-file": "2"},
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}},
        "runtimes": {"other": {"path": "/usr/bin/runc"}}, "dns": ["192.0.2.1"],
        "insecure-registries": ["r.example.com"], "iptables": true, "icc": true,
        "exec-opts": ["native.cgroupdriver=cgroupfs"], "storage-driver": "overlay2",
        "live-restore": true, "userland-proxy": false, "default-shm-size": "64M"
    }"#;
    let output = with(all, &[]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(output.stderr.trim(), "configuration OK");
    let output = with(
        r#"{"containerd": "/run/c.sock", "features": {"buildkit": true}}"#,
        &[],
    );
    assert_eq!(output.code, 0, "{output}");
    for name in ["containerd has no effect: ", "features has no effect: "] {
        assert!(output.stderr.contains(name), "{output}");
    }
    let file = format!(
        "unable to configure the Docker daemon with file {}",
        path.display()
    );
    with(r#"{"colour": 1}"#, &[]).refused(&[
        &file,
        "the following directives don't match any configuration option: colour",
    ]);
    with(r#"{"debug": true}"#, &["--debug"]).refused(&[
        &file,
        "specified both as a flag and in the configuration file: debug: (from flag: true, from file: true)",
    ]);
    with(r#"{"debug": "yes"}"#, &[]).refused(&["debug"]);
    with(r#"{"debug": true"#, &[]).refused(&[&file]);
    with(r#"{"iptables": false}"#, &[]).refused(&["iptables \"false\" is refused: "]);
    with(r#"{"log-opts": {"colour": "red"}}"#, &[]).refused(&["colour"]);
    with("", &[]).ok();
    validate(&["--config-file=/nowhere/daemon.json"]).refused(&["/nowhere/daemon.json"]);
}

#[test]
fn sighup_reads_the_file_again() {
    let opts = Opts {
        config: Some(r#"{"labels": ["a=1"]}"#.into()),
        ..Opts::default()
    };
    let d = Daemon::with(opts);
    let labels = || d.api().get("/info").expect(200).json()["Labels"].clone();
    assert_eq!(labels(), json!(["a=1"]));
    let mut events = d.docker().start("events --filter type=daemon");
    d.docker().ok("run -d --name one busybox sleep 300");
    d.configure(r#"{"labels": ["a=2", "b=3"], "mtu": 1300}"#);
    // An event that came before the subscription would not be seen.
    testkit::eventually("the event of a reload", || {
        d.sighup();
        std::thread::sleep(std::time::Duration::from_millis(50));
        events.stdout().contains("reload")
    });
    assert_eq!(labels(), json!(["a=2", "b=3"]));
    let said = events.stdout();
    assert!(
        said.contains("daemon reload") && said.contains("b=3"),
        "{said}"
    );
    assert!(
        d.log()
            .contains("need a restart of the daemon: what the default network is like"),
        "{}",
        d.log()
    );
    events.running();
    d.configure("{");
    d.sighup();
    testkit::eventually("the complaint", || {
        d.log().contains("the configuration is as it was")
    });
    assert_eq!(labels(), json!(["a=2", "b=3"]));
    d.until("one", "running");
}

#[test]
fn the_bridge_gets_its_addresses_from_the_pools() {
    let host = Host::new();
    // The first subnet is the host's already.
    host.ns().ip("address add 10.77.0.9/24 dev lo");
    let pool = "--default-address-pool=base=10.77.0.0/16,size=24";
    {
        let d = Daemon::start(&host, Opts::args(&[pool]));
        d.load(&testkit::images::busybox_tar());
        d.docker().ok("run -d --name one busybox sleep 300");
        assert_eq!(d.address_of("one").to_string(), "10.77.1.2");
    }
    let file = r#"{"default-address-pools": [{"base": "10.77.0.0/24", "size": 28}]}"#;
    let opts = Opts {
        config: Some(file.into()),
        ..Opts::args(&["--bridge=wharf7"])
    };
    Daemon::refused(&host, opts).refused(&["default address pools"]);
    for wrong in [
        "base=10.0.0.0/8",
        "base=10.0.0.0/8,size=4",
        "base=x,size=24",
        "colour=red",
    ] {
        validate(&[&format!("--default-address-pool={wrong}")]).refused(&["address"]);
    }
}

/// A VPN that takes all traffic does so by two routes, each of half of all addresses.
#[test]
fn a_way_out_in_two_halves_takes_no_addresses() {
    let host = Host::new();
    for half in ["0.0.0.0/1", "128.0.0.0/1"] {
        host.ns()
            .ip(&format!("route add {half} via {}", Lan::OUTSIDE));
    }
    let d = Daemon::start(&host, Opts::default());
    let docker = d.docker();
    docker.ok("network create more");
    let subnet = docker.ok("network inspect -f '{{(index .IPAM.Config 0).Subnet}}' more");
    assert!(subnet.starts_with("172."), "{subnet}");
}

#[test]
fn containers_are_kept_apart_without_icc() {
    kept_apart(&Host::new());
}

#[test]
fn containers_are_kept_apart_where_ip_filters_see_no_frames() {
    let host = Host::new();
    let mut off = Command::new("sh");
    off.args([
        "-c",
        "f=/proc/sys/net/bridge/bridge-nf-call-iptables; [ ! -e $f ] || echo 0 > $f",
    ]);
    host.ns().run(&mut off).ok();
    kept_apart(&host);
}

fn kept_apart(host: &Host) {
    let mut d = Daemon::start(host, Opts::args(&["--icc=false"]));
    d.load(&testkit::images::busybox_tar());
    let docker = d.docker();
    let serve = "sh -c 'mkdir /w; echo hi > /w/index.html; httpd -f -h /w'";
    docker.ok(&format!("run -d --name one -p 8080:80 busybox {serve}"));
    let one = d.address_of("one");
    let apart = |d: &Daemon| {
        let docker = d.docker();
        let get = |more: &str, url: &str| {
            docker.run(&format!(
                "run --rm --init {more} busybox timeout 3 wget -q -O - {url}"
            ))
        };
        assert_ne!(get("", &format!("http://{one}/")).code, 0, "frames pass");
        // Nor by the bridge, which would send it on.
        let way = format!(
            "run --rm --init --cap-add NET_ADMIN busybox sh -c \
             'ip route add {one}/32 via 172.17.0.1; timeout 3 wget -q -O - http://{one}/'"
        );
        assert_ne!(docker.code(&way), 0, "packets pass");
        // Published ports do, and the outside does.
        let published = format!("http://{}:8080/", d.host().address());
        assert_eq!(get("", &published).ok(), "hi");
        docker.ok("run --rm busybox ping -c 1 -W 5 192.0.2.1");
    };
    testkit::eventually("the published port", || {
        let url = "http://172.17.0.1:8080/";
        docker.code(&format!(
            "run --rm --init busybox timeout 3 wget -q -O - {url}"
        )) == 0
    });
    apart(&d);
    docker.refused("run --rm --link one busybox true", &["--icc=false"]);
    let inspect = d.api().get("/networks/bridge").expect(200).json();
    assert_eq!(
        inspect["Options"]["com.docker.network.bridge.enable_icc"],
        "false"
    );
    // A daemon that finds it running keeps it so.
    d.kill9();
    d.restart();
    apart(&d);
}

#[test]
fn it_says_its_name_and_version() {
    let version = validate(&["--version"]);
    assert!(version.stdout.starts_with("Docker version "), "{version}");
    let help = validate(&["--help"]).ok();
    assert!(help.contains("Usage: dockerd [OPTIONS]"), "{help}");
}
