//! Volumes that a program keeps: Docker's plugin protocol.

use std::fs;

use serde_json::Value;
use testkit::{Daemon, Manner, Opts, VolumePlugin, eventually};

struct Kept {
    d: Daemon,
    plugin: VolumePlugin,
    _dir: tempfile::TempDir,
}

fn start() -> Kept {
    patient(2)
}

/// With a daemon that waits so many seconds for an answer.
fn patient(seconds: u32) -> Kept {
    let dir = tempfile::tempdir().expect("our own folder");
    let (sockets, folder) = (dir.path().join("s"), dir.path().join("v"));
    for path in [&sockets, &folder] {
        fs::create_dir(path).expect("our own folder");
    }
    let plugin = VolumePlugin::start("keeper", &sockets, &folder);
    let d = Daemon::with(Opts::args(&[
        &format!("--plugin-socket-dir={}", sockets.display()),
        &format!("--plugin-spec-dir={}", dir.path().display()),
        &format!("--plugin-timeout={seconds}"),
    ]));
    Kept {
        d,
        plugin,
        _dir: dir,
    }
}

#[test]
fn a_program_keeps_volumes() {
    let Kept { d, plugin, _dir } = start();
    for cli in d.clis() {
        let name = format!("theirs-{}", cli.name());
        cli.ok(&format!(
            "volume create -d keeper -o size=3 --label a=b {name}"
        ));
        let create = plugin.calls("Create").pop().expect("a call");
        assert_eq!(create["Name"], name);
        assert_eq!(create["Opts"]["size"], "3");
        let shown: Value =
            serde_json::from_str(&cli.ok(&format!("volume inspect {name}"))).expect("JSON");
        assert_eq!(shown[0]["Driver"], "keeper");
        assert_eq!(shown[0]["Status"]["kept"], "well");
        assert_eq!(
            shown[0]["Mountpoint"],
            plugin.place(&name).display().to_string()
        );
        cli.ok(&format!(
            "run --rm -v {name}:/x busybox sh -c 'echo data > /x/f'"
        ));
        let text = fs::read_to_string(plugin.place(&name).join("f")).expect("written there");
        assert_eq!(text, "data\n");
        eventually("it to be unmounted", || {
            plugin.calls("Unmount").len() == plugin.calls("Mount").len()
        });
        let (mount, unmount) = (plugin.calls("Mount").pop(), plugin.calls("Unmount").pop());
        assert_eq!(mount.expect("a call")["ID"], unmount.expect("a call")["ID"]);
        let own = format!("own-{}", cli.name());
        cli.ok(&format!(
            "run --rm --volume-driver keeper -v {own}:/x busybox touch /x/here"
        ));
        assert!(plugin.place(&own).join("here").exists());
        let by_mount = format!("m-{}", cli.name());
        cli.ok(&format!(
            "run --rm --mount src={by_mount},dst=/x,volume-driver=keeper,volume-opt=k=v busybox true"
        ));
        assert_eq!(
            plugin.calls("Create").pop().expect("a call")["Opts"]["k"],
            "v"
        );
        let list = cli.ok("volume ls --format '{{.Driver}} {{.Name}}'");
        assert!(list.contains(&format!("keeper {name}")), "{list}");
        cli.refused(
            &format!("volume create -d local {name}"),
            &[
                "driver 'keeper' already has volume",
                "volume name must be unique",
            ],
        );
        cli.ok(&format!("volume rm {name} {own} {by_mount}"));
        assert!(!plugin.place(&name).exists());
    }
    let known = d.docker().ok("info -f '{{json .Plugins.Volume}}'");
    assert!(known.contains("keeper"), "{known}");
    d.assert_no_leaks();
}

#[test]
fn volumes_that_only_their_plugin_knows_are_used_by_their_names() {
    let Kept { d, plugin, _dir } = start();
    for cli in d.clis() {
        for name in ["stranger", "seen", "doomed"] {
            fs::create_dir(plugin.place(name)).expect("our own folder");
            fs::write(plugin.place(name).join("f"), name).expect("our own file");
        }
        let list = cli.ok("volume ls -q -f driver=keeper");
        assert!(list.contains("stranger"), "{list}");
        let shown = cli.ok("volume inspect -f '{{.Driver}} {{.Status.kept}}' seen");
        assert_eq!(shown, "keeper well");
        assert_eq!(
            cli.ok("run --rm -v stranger:/x busybox cat /x/f"),
            "stranger"
        );
        assert_eq!(
            cli.ok("run --rm --mount src=seen,dst=/x busybox cat /x/f"),
            "seen"
        );
        for name in ["stranger", "seen"] {
            assert!(!d.dir().join("data/volumes").join(name).exists(), "{name}");
        }
        // Nothing new was told to the plugin.
        assert_eq!(plugin.calls("Create").len(), 0);
        cli.ok("volume rm doomed stranger seen");
        assert!(!plugin.place("doomed").exists());
        cli.refused("volume inspect doomed", &["get doomed: no such volume"]);
    }
    // One that says nothing does not keep others from making theirs.
    let cli = d.docker();
    plugin.manner("Get", Some(Manner::Silent));
    for name in ["first", "second"] {
        cli.ok(&format!("run --rm -v {name}:/x busybox true"));
        assert_eq!(
            cli.ok(&format!("volume inspect -f '{{{{.Driver}}}}' {name}")),
            "local"
        );
    }
    cli.ok("volume rm first second");
    plugin.manner("Get", None);
    drop(plugin);
    d.assert_no_leaks();
}

#[test]
fn what_comes_too_late_is_told_to_go() {
    let Kept { d, plugin, _dir } = start();
    let cli = d.docker();
    cli.ok("volume create -d keeper one");
    plugin.manner("Mount", Some(Manner::Later));
    cli.refused("run --rm -v one:/x busybox true", &["no answer within 2s"]);
    assert_eq!(plugin.calls("Unmount").len(), 0, "it may still mount");
    plugin.manner("Mount", None);
    eventually("it to be unmounted", || plugin.calls("Unmount").len() == 1);
    let (mount, unmount) = (plugin.calls("Mount").pop(), plugin.calls("Unmount").pop());
    assert_eq!(mount.expect("a call")["ID"], unmount.expect("a call")["ID"]);
    // Who has got it since keeps it.
    cli.ok("create --name box -v one:/x busybox sleep 1000");
    plugin.manner("Mount", Some(Manner::Later));
    cli.refused("start box", &["no answer within 2s"]);
    plugin.manner("Mount", None);
    cli.ok("start box");
    cli.ok("exec box true");
    cli.ok("rm -f box");
    cli.ok("volume rm one");
    drop(plugin);
    d.assert_no_leaks();
}

#[test]
fn an_end_waits_for_no_plugin() {
    let Kept { d, plugin, _dir } = patient(600);
    let cli = d.docker();
    cli.ok("run -d --name box --volume-driver keeper -v one:/x busybox sleep 1000");
    plugin.manner("Unmount", Some(Manner::Silent));
    cli.ok("kill box");
    assert_eq!(cli.ok("wait box"), "137");
    assert_eq!(cli.ok("inspect -f '{{.State.Status}}' box"), "exited");
    // It comes back to life when its driver does.
    let starting = cli.start("start box");
    plugin.manner("Unmount", None);
    starting.wait().ok();
    assert_eq!(
        cli.ok("exec box sh -c 'echo there > /x/f; cat /x/f'"),
        "there"
    );
    cli.ok("rm -f box");
    cli.ok("volume rm one");
    drop(plugin);
    d.assert_no_leaks();
}

#[test]
fn a_create_that_fails_leaves_no_volume() {
    let Kept { d, plugin, _dir } = start();
    for cli in d.clis() {
        cli.ok("volume create kept");
        plugin.manner("Create", Some(Manner::Error("no room")));
        cli.refused(
            "create --name box -v /a -v kept:/k -v named:/n \
             --mount src=theirs,dst=/z,volume-driver=keeper busybox true",
            &["keeper: no room"],
        );
        plugin.manner("Create", None);
        assert_eq!(cli.ok("volume ls -q"), "kept");
        assert_eq!(cli.ok("ps -aq"), "");
        cli.ok("volume rm kept");
    }
    drop(plugin);
    d.assert_no_leaks();
}

#[test]
fn one_that_hangs_or_talks_nonsense_blocks_nobody() {
    let Kept { d, plugin, _dir } = start();
    let cli = d.docker();
    cli.ok("volume create -d keeper one");
    for (method, manner, words) in [
        ("Mount", Manner::Silent, "no answer within 2s"),
        (
            "Mount",
            Manner::Garbage("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n[]"),
            "keeper: ",
        ),
        ("Mount", Manner::Garbage("no http at all"), "keeper: "),
        (
            "Mount",
            Manner::Error("the disk is out"),
            "keeper: the disk is out",
        ),
    ] {
        plugin.manner(method, Some(manner.clone()));
        let waiting = cli.start("run --rm -v one:/x busybox true");
        // Everybody else goes on meanwhile.
        cli.ok("run --rm -v mine:/x busybox true");
        cli.ok("volume ls");
        let ended = waiting.wait();
        assert_ne!(ended.code, 0, "{manner:?}");
        assert!(ended.stderr.contains(words), "{manner:?}: {ended}");
    }
    plugin.manner("Mount", None);
    plugin.manner("List", Some(Manner::Silent));
    assert!(cli.ok("volume ls -q").contains("one"));
    plugin.manner("List", None);
    // Somewhere that is not here.
    plugin.manner(
        "Mount",
        Some(Manner::Garbage(
            "HTTP/1.1 200 OK\r\nContent-Length: 30\r\n\r\n{\"Mountpoint\":\"../../etc\"}     ",
        )),
    );
    cli.refused("run --rm -v one:/x busybox true", &["keeper: "]);
    plugin.manner("Mount", None);
    plugin.manner("Remove", Some(Manner::Error("still wanted")));
    cli.refused("volume rm one", &["remove one: keeper: still wanted"]);
    // By force it is forgotten.
    cli.ok("volume rm -f one");
    drop(plugin);
    let gone = d.api().get("/volumes/one");
    assert_eq!(gone.status, 404);
    cli.refused(
        "volume create -d keeper two",
        &["plugin \"keeper\" not found"],
    );
    cli.ok("volume rm mine");
    d.assert_no_leaks();
}

#[test]
fn a_crash_of_the_daemon_forgets_no_mount() {
    let Kept {
        mut d,
        plugin,
        _dir,
    } = start();
    d.docker()
        .ok("run -d --name box -v vol:/v --volume-driver keeper busybox sleep 1000");
    d.kill9();
    d.restart();
    assert_eq!(plugin.calls("Unmount").len(), 0);
    d.docker().ok("rm -f box");
    eventually("it to be unmounted", || plugin.calls("Unmount").len() == 1);
    d.docker().ok("volume rm vol");
    drop(plugin);
    d.assert_no_leaks();
}
