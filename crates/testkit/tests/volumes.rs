//! Volumes as objects: `volume create ls inspect rm prune update`.

use serde_json::{Value, json};
use testkit::Daemon;

#[test]
fn a_volume_is_made_shown_and_removed() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        assert_eq!(cli.ok("volume create --label a=b --label c one"), "one");
        // Again is no error, and changes nothing.
        assert_eq!(cli.ok("volume create one"), "one");
        let anonymous = cli.ok("volume create");
        assert_eq!(anonymous.len(), 64);
        let list = cli.ok("volume ls --format '{{.Driver}} {{.Name}} {{.Labels}} {{.Scope}}'");
        assert!(
            list.contains("local one ") && list.contains("a=b"),
            "{list}"
        );
        assert_eq!(cli.ok("volume ls -q --filter label=a=b"), "one");
        assert_eq!(cli.ok("volume ls -q -f name=on"), "one");
        assert_eq!(cli.ok("volume ls -q -f driver=other"), "");
        let shown: Value = serde_json::from_str(&cli.ok("volume inspect one")).expect("JSON");
        let shown = &shown[0];
        assert_eq!(shown["Driver"], "local");
        assert_eq!(shown["Labels"], json!({"a": "b", "c": ""}));
        assert_eq!(shown["Options"], Value::Null);
        let place = d.dir().join("data/volumes/one/_data");
        assert_eq!(shown["Mountpoint"], place.display().to_string());
        assert!(place.is_dir());
        assert_eq!(cli.ok("inspect --type volume -f '{{.Name}}' one"), "one");
        assert_eq!(cli.ok("inspect -f '{{.Name}}' one"), "one");

        cli.ok(&format!(
            "create --name user-{} -v one:/data busybox true",
            cli.name()
        ));
        assert_eq!(cli.ok("volume ls -q -f dangling=true"), anonymous);
        assert_eq!(cli.ok("volume ls -q -f dangling=0"), "one");
        let id = cli.ok(&format!("inspect -f '{{{{.Id}}}}' user-{}", cli.name()));
        let words = format!("remove one: volume is in use - [{id}]");
        cli.refused("volume rm one", &[&words]);
        cli.refused("volume rm -f one", &[&words]);
        cli.ok(&format!("rm user-{}", cli.name()));
        assert_eq!(cli.ok("volume rm one"), "one");
        assert!(!place.exists());
        cli.refused("volume rm one", &["get one: no such volume"]);
        assert_eq!(cli.ok("volume rm -f one"), "one");
        cli.refused("volume inspect one", &["get one: no such volume"]);
        cli.ok(&format!("volume rm {anonymous}"));
    }
    d.assert_no_leaks();
}

#[test]
fn names_and_wishes_that_make_no_sense_are_refused() {
    let d = Daemon::fresh();
    let api = d.api();
    let create = |body: Value| api.post("/volumes/create", Some(&body));
    for name in ["x", "."] {
        let message = create(json!({"Name": name})).expect(400).message();
        let words =
            "volume name is too short, names should be at least two alphanumeric characters";
        assert_eq!(message, format!("create {name}: {words}"));
    }
    for name in ["../x", "a/b", "-a", "a b", "ä", "a\u{0}b"] {
        let message = create(json!({"Name": name})).expect(400).message();
        assert!(message.contains("includes invalid characters"), "{message}");
    }
    for (body, status, words) in [
        (
            json!({"Name": "vv", "Driver": "nope"}),
            400,
            "plugin \"nope\" not found",
        ),
        (
            json!({"Name": "vv", "DriverOpts": {"nope": "1"}}),
            400,
            "create vv: invalid option: \"nope\"",
        ),
        (
            json!({"Name": "vv", "DriverOpts": {"type": "tmpfs"}}),
            400,
            "missing required option: \"device\"",
        ),
        (
            json!({"Name": "vv", "DriverOpts": {"size": "1G"}}),
            400,
            "quota size requested but no quota support",
        ),
        (
            json!({"Name": "vv", "ClusterVolumeSpec": {}}),
            503,
            "swarm is unavailable",
        ),
    ] {
        let message = create(body).expect(status).message();
        assert!(message.contains(words), "{message}");
    }
    api.get("/volumes/nope").expect(404);
    api.delete("/volumes/nope").expect(404);
    api.delete("/volumes/nope?force=1").expect(204);
    let filters = "/volumes?filters=%7B%22sand%22%3A%5B%22x%22%5D%7D";
    assert!(api.get(filters).expect(400).message().contains("sand"));
    let filters = "/volumes?filters=%7B%22dangling%22%3A%5B%22perhaps%22%5D%7D";
    api.get(filters).expect(400);
    let list = api.get("/volumes").expect(200).json();
    assert_eq!(list, json!({"Volumes": [], "Warnings": null}));
    create(json!({"Name": "there"})).expect(201);
    api.send("PUT", "/volumes/there?version=1", Some(&json!({})))
        .expect(503);
    for cli in d.clis() {
        cli.ok("volume create --name by-flag");
        cli.ok("volume rm by-flag");
        cli.refused(
            "volume create --name one two",
            &["cannot specify a volume-name through both --name and as a positional arg"],
        );
        cli.refused("create -v x:/x busybox true", &["volume name is too short"]);
        for twice in [
            "-v one:/x -v two:/x",
            "-v one:/x -v two:/x/",
            "-v one:/x --tmpfs /x",
            "-v one:/x --mount src=two,dst=/x",
        ] {
            cli.refused(
                &format!("create {twice} busybox true"),
                &["Duplicate mount point: /x"],
            );
        }
        cli.refused("volume update there", &["can only update cluster volumes"]);
        cli.refused(
            "volume create --driver nope other",
            &["plugin \"nope\" not found"],
        );
    }
}

#[test]
fn prune_takes_what_nobody_named() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let anonymous = cli.ok("volume create");
        cli.ok("volume create named");
        cli.ok("volume create --label keep kept");
        cli.ok("run --name user -v used:/data -v /own busybox sh -c 'echo 12345 > /data/f'");
        let gone = cli.ok("volume prune -f");
        assert_eq!(
            gone,
            format!("Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B")
        );
        let gone = cli.ok("volume prune -f -a --filter label!=keep");
        assert!(
            gone.contains("\nnamed\n") && !gone.contains("kept"),
            "{gone}"
        );
        cli.ok("rm user");
        let gone = cli.ok("volume prune -f -a --filter label!=keep");
        assert!(
            gone.contains("used") && gone.ends_with("space: 6B"),
            "{gone}"
        );
        assert_eq!(cli.ok("volume ls -q"), "kept");
        cli.ok("volume rm kept");
    }
    d.assert_no_leaks();
}

#[test]
fn what_happens_to_volumes_is_told() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("volume create told");
    cli.ok("run --rm --name box -v told:/data:ro busybox true");
    cli.ok("volume rm told");
    let until = cli.ok("info -f '{{.SystemTime}}'");
    let range = format!("--since 1 --until {until} --filter type=volume");
    let events = cli.ok(&format!(
        "events {range} --format '{{{{.Action}}}} {{{{.Actor.ID}}}} {{{{.Actor.Attributes.driver}}}}'"
    ));
    let wanted = ["create", "mount", "unmount", "destroy"].map(|a| format!("{a} told local"));
    let seen: Vec<&str> = events.lines().collect();
    assert_eq!(seen, wanted);
    let mount = cli.ok(&format!(
        "events {range} --filter event=mount \
         --format '{{{{index .Actor.Attributes \"read/write\"}}}} {{{{.Actor.Attributes.destination}}}}'"
    ));
    assert_eq!(mount, "false /data");
}

#[test]
fn both_command_lines_show_the_same() {
    let d = Daemon::fresh();
    let (docker, wharf) = (d.docker(), d.wharf());
    if !docker.ok("--version").contains(" version 28.") {
        return;
    }
    for name in ["v10", "v9", "Zed"] {
        docker.ok(&format!("volume create --label x=1 {name}"));
    }
    for line in [
        "volume ls",
        "volume ls -q",
        "volume ls --format json",
        "volume ls --format '{{json .}}'",
        "volume ls --format 'table {{.Name}}\t{{.Labels}}\t{{.Mountpoint}}'",
        "volume inspect v9",
        "volume inspect v9 nope",
        "volume inspect -f '{{.Labels.x}}' v9 v10",
        "volume rm nope",
        "volume prune --help",
        "volume update v9",
        "system df -v",
    ] {
        let (theirs, ours) = (docker.run(line), wharf.run(line));
        if line.ends_with("--help") {
            assert_eq!(ours.code, theirs.code);
            continue;
        }
        assert_eq!(ours.stdout, theirs.stdout, "{line}");
        assert_eq!(ours.code, theirs.code, "{line}: {ours}\n{theirs}");
    }
}

#[test]
fn a_deep_tree_in_a_volume_can_be_removed() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("run --rm -v deep:/data busybox sh -c \
         'cd /data; i=0; while [ $i -lt 1500 ]; do mkdir d && cd d || exit 1; i=$((i+1)); done'");
    cli.ok("volume rm deep");
    assert!(!d.dir().join("data/volumes/deep").exists());
    d.assert_no_leaks();
}

/// Each of several that share one and go at once must not leave it to the others.
#[test]
fn an_anonymous_volume_goes_with_the_last_of_those_that_go_at_once() {
    let d = Daemon::fresh();
    let cli = d.wharf();
    for _ in 0..8 {
        cli.ok("run -d --name one -v /anonymous busybox sleep 1000");
        cli.ok("run -d --name two --volumes-from one busybox sleep 1000");
        std::thread::scope(|scope| {
            for name in ["one", "two"] {
                let cli = &cli;
                scope.spawn(move || cli.ok(&format!("rm -fv {name}")));
            }
        });
        assert_eq!(cli.ok("volume ls -q"), "");
    }
    // Who leaves its volumes keeps it for the other.
    cli.ok("run -d --name one -v /anonymous busybox sleep 1000");
    cli.ok("run -d --name two --volumes-from one busybox sleep 1000");
    cli.ok("rm -fv one");
    assert_ne!(cli.ok("volume ls -q"), "");
    cli.ok("rm -f two");
    assert_ne!(cli.ok("volume ls -q"), "");
}
