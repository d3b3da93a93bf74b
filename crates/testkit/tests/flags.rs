//! The daemon's own flags and its configuration file.

use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use testkit::{Daemon, Host, Opts, cgroups_of, http::Client, run, wharf_bin};

#[test]
fn socket_pidfile_and_cgroup_parent() {
    let d = Daemon::fresh();
    let mode = std::fs::metadata(d.dir().join("d.sock"))
        .expect("the socket")
        .permissions()
        .mode();
    assert_eq!(mode & 0o777, 0o660);
    let pid = std::fs::read_to_string(d.dir().join("pid")).expect("the pid file");
    assert_eq!(pid.trim(), d.pid().to_string());
    d.docker().ok("run -d --name box busybox sleep 1000");
    let groups = cgroups_of(d.pid_of("box"));
    assert!(
        groups.contains(&format!("/{}/", d.cgroup_parent())),
        "{groups}"
    );
    let own = format!("/{}/own", d.cgroup_parent());
    d.docker().ok(&format!(
        "run -d --name own --cgroup-parent {own} busybox sleep 1000"
    ));
    let groups = cgroups_of(d.pid_of("own"));
    assert!(groups.contains(&format!("{own}/")), "{groups}");
    d.docker().ok("rm -f own");
}

#[test]
fn the_data_root_is_private() {
    let d = Daemon::fresh();
    // CVE-2021-41091: nobody but root walks into it.
    let mode = std::fs::metadata(d.dir().join("data"))
        .expect("the root")
        .permissions()
        .mode();
    assert_eq!(mode & 0o007, 0, "{mode:o}");
}

#[test]
fn several_hosts_and_tcp() {
    if !testkit::Engine::under_test().is_wharf() {
        return; // --insecure-tcp is ours
    }
    let host = Host::new();
    let address = SocketAddr::new(host.address(), 2375);
    let tcp = format!("--host=tcp://{address}");
    let d = Daemon::start(&host, Opts::args(&[&tcp, "--insecure-tcp"]));
    let ping = host.outside().within(|| Client::tcp(address).get("/_ping"));
    assert_eq!((ping.status, ping.text().as_str()), (200, "OK"));
    assert_eq!(d.api().get("/_ping").status, 200);
    for cli in d.clis() {
        let mut command = cli.at(&format!("tcp://{address}")).command("version");
        host.outside().run(&mut command).ok();
    }
    let out = Daemon::refused(
        &host.lan().host(),
        Opts::args(&["--host=tcp://127.0.0.1:2375"]),
    );
    assert!(
        out.stderr.contains("--insecure-tcp"),
        "says what to do: {out}"
    );
    let out = Daemon::refused(&host.lan().host(), Opts::args(&["--host=ftp://x"]));
    assert!(out.stderr.contains("ftp://x"), "{out}");
}

#[test]
fn configuration_file() {
    let text =
        r#"{"bip": "10.98.1.1/24", "debug": true, "insecure-registries": ["192.0.2.9:5000"]}"#;
    let d = Daemon::with(Opts {
        config: Some(text.into()),
        ..Opts::default()
    });
    let address = d.docker().ok("run --rm busybox ip -4 addr show eth0");
    assert!(address.contains("inet 10.98.1.2/24"), "{address}");
    let info = d.api().get("/info").expect(200).json();
    let registries = info["RegistryConfig"]["IndexConfigs"]["192.0.2.9:5000"]["Secure"].clone();
    assert_eq!(registries, false);
}

#[test]
fn what_the_configuration_file_must_not_say() {
    let refused = |text: &str, args: &[&str]| {
        let opts = Opts {
            config: Some(text.into()),
            ..Opts::args(args)
        };
        Daemon::refused(&Host::new(), opts)
    };
    let out = refused(r#"{"no-such-key": 1}"#, &[]);
    assert!(out.stderr.contains("no-such-key"), "{out}");
    let out = refused("{not JSON", &[]);
    assert!(out.stderr.contains("daemon.json"), "{out}");
    let out = refused(r#"{"bip": "10.0.0.1/24"}"#, &["--bip=10.0.1.1/24"]);
    assert!(
        out.stderr.contains("bip"),
        "both as a flag and in the file: {out}"
    );
    let out = Daemon::refused(&Host::new(), Opts::args(&["--log-level=shouting"]));
    assert!(out.stderr.contains("shouting"), "{out}");
    let out = Daemon::refused(&Host::new(), Opts::args(&["--no-such-flag"]));
    assert!(out.stderr.contains("--no-such-flag"), "{out}");
}

/// In a mount namespace of its own, so that this machine's `/run` is left alone.
#[test]
fn default_socket() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let host = Host::new();
    let roots = tempfile::tempdir().expect("/tmp");
    let script = format!(
        "mount -t tmpfs none /run && mkdir /run/docker-config || exit 9
        {wharf} daemon --data-root {roots}/data --exec-root {roots}/exec --config-file /dev/null \
            --pidfile /run/pid >/run/log 2>&1 &
        n=0; until [ -S /run/wharf/wharf.sock ]; do n=$((n+1)); [ $n -gt 500 ] && {{ cat /run/log; exit 8; }}; sleep 0.02; done
        stat -c %a /run/wharf/wharf.sock
        env -u DOCKER_HOST {wharf} version --format '{{{{.Server.Os}}}}'
        kill -TERM $!; wait $!; echo ended $?; umount -R {roots}/exec {roots}/data 2>/dev/null; true",
        wharf = wharf_bin().display(),
        roots = roots.path().display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    assert_eq!(host.run(&mut command).ok(), "660\nlinux\nended 0");
}

#[test]
fn called_docker_it_is_the_same_program() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return;
    }
    let link = d.dir().join("docker");
    std::os::unix::fs::symlink(wharf_bin(), &link).expect("our own folder");
    let mut command = Command::new(link);
    command.args(["run", "--rm", "busybox", "echo", "same"]);
    command.env(
        "DOCKER_HOST",
        format!("unix://{}/d.sock", d.dir().display()),
    );
    assert_eq!(run(&mut command).ok(), "same");
}

#[test]
fn help_is_complete() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let help = |args: &[&str]| run(Command::new(wharf_bin()).args(args)).ok();
    let daemon = help(&["daemon", "--help"]);
    for flag in [
        "--host",
        "--data-root",
        "--exec-root",
        "--pidfile",
        "--bip",
        "--cgroup-parent",
        "--insecure-registry",
        "--log-level",
        "--config-file",
        "--insecure-tcp",
    ] {
        assert!(daemon.contains(flag), "no {flag} in {daemon}");
    }
    let all = help(&["--help"]);
    for verb in [
        "run", "create", "start", "stop", "kill", "restart", "wait", "rm", "ps", "inspect", "logs",
        "attach", "exec", "images", "pull", "load", "import", "tag", "rmi", "events", "info",
        "version", "port",
    ] {
        assert!(all.contains(&format!("  {verb} ")), "no {verb} in {all}");
    }
    let run_help = help(&["run", "--help"]);
    for flag in [
        "--user",
        "--read-only",
        "--tmpfs",
        "--memory",
        "--cpus",
        "--pids-limit",
        "--env",
        "--hostname",
        "--workdir",
        "--entrypoint",
        "--init",
        "--rm",
        "--restart",
        "--interactive",
        "--tty",
        "--volume",
        "--cap-add",
        "--cap-drop",
        "--privileged",
        "--ulimit",
        "--publish",
        "--network",
        "--name",
        "--detach",
        "--label",
        "--detach-keys",
    ] {
        assert!(run_help.contains(flag), "no {flag} in {run_help}");
    }
}
