//! Every filter of `ps` and `images`, as Docker understands it; and what a pipe gets.

use serde_json::Value;
use testkit::{Daemon, http::Client};

/// Names of the containers that match, oldest first; or what is said against it.
fn names(api: &Client, all: bool, filters: &str) -> Result<Vec<String>, String> {
    let escaped: String = filters.bytes().map(|b| format!("%{b:02X}")).collect();
    let answer = api.get(&format!("/containers/json?all={all}&filters={escaped}"));
    if answer.status != 200 {
        assert_eq!(answer.status, 400, "{filters}: {}", answer.text());
        return Err(answer.message());
    }
    let list: Value = answer.json();
    let name = |c: &Value| c["Names"][0].as_str().map(|n| n[1..].to_owned());
    let mut names: Vec<_> = list
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(name)
        .collect();
    names.reverse();
    Ok(names)
}

#[test]
fn of_containers() {
    let d = Daemon::fresh();
    let cli = d.docker();
    let host = d.dir().join("host");
    std::fs::create_dir(&host).unwrap();
    let host = host.display().to_string();
    cli.ok("tag busybox other:1");
    cli.ok("create --name made --label team=red --label x busybox true");
    cli.ok(&format!(
        "run -d --name web -p 8080:80 --expose 443 --expose 53/udp -v data:/data -v {host}:/host busybox sleep 1000"
    ));
    cli.ok("run -d --name sick --network none --health-cmd false --health-interval 100ms --health-retries 1 busybox sleep 1000");
    assert_eq!(cli.code("run --name done other:1 sh -c 'exit 3'"), 3);
    cli.ok("run -d --name rests busybox sleep 1000");
    cli.ok("pause rests");
    testkit::eventually("its health", || {
        cli.ok("inspect -f '{{.State.Health.Status}}' sick") == "unhealthy"
    });
    let id = cli.ok("inspect -f '{{.Id}}' web");
    let image = cli.ok("inspect -f '{{.Image}}' web");
    let network = cli.ok("network inspect -f '{{.Id}}' bridge");
    let api = d.api();
    let all = ["made", "web", "sick", "done", "rests"];
    for (filters, found) in [
        // Without a status, what does not run is asked for by `all`.
        (
            r#"{"status":["created","exited"]}"#.to_owned(),
            &["made", "done"][..],
        ),
        (r#"{"status":["paused"]}"#.into(), &["rests"]),
        (r#"{"name":["e"]}"#.into(), &["web", "rests"]),
        (r#"{"name":["^/web$","sick"]}"#.into(), &["web", "sick"]),
        (format!(r#"{{"id":["{}"]}}"#, &id[..12]), &["web"]),
        (r#"{"exited":["3"]}"#.into(), &[]),
        (r#"{"health":["unhealthy"]}"#.into(), &["sick"]),
        (r#"{"health":["none"]}"#.into(), &["web", "rests"]),
        (r#"{"publish":["8080"]}"#.into(), &["web"]),
        (r#"{"publish":["8000-8100/tcp"]}"#.into(), &["web"]),
        (r#"{"publish":["80"]}"#.into(), &[]),
        (r#"{"expose":["80"]}"#.into(), &["web"]),
        (r#"{"expose":["50-60/udp"]}"#.into(), &["web"]),
        (r#"{"expose":["53"]}"#.into(), &[]),
        (r#"{"expose":["1"],"publish":["8080"]}"#.into(), &["web"]),
        (r#"{"volume":["data"]}"#.into(), &["web"]),
        (r#"{"volume":["/data"]}"#.into(), &["web"]),
        (format!(r#"{{"volume":["{host}"]}}"#), &["web"]),
        (r#"{"network":["none"]}"#.into(), &["sick"]),
        (
            format!(r#"{{"network":["{}"]}}"#, &network[..12]),
            &["web", "rests"],
        ),
        (r#"{"is-task":["false"]}"#.into(), &["web", "sick", "rests"]),
        (r#"{"is-task":["true"]}"#.into(), &[]),
        (
            r#"{"isolation":["default"]}"#.into(),
            &["web", "sick", "rests"],
        ),
        (
            r#"{"isolation":["hyperv"]}"#.into(),
            &["web", "sick", "rests"],
        ),
        (r#"{"before":["sick"]}"#.into(), &["web"]),
        (r#"{"since":["web"]}"#.into(), &["sick", "rests"]),
        (r#"{"label":["team=red"]}"#.into(), &[]),
        (r#"{"label":{"team=red":true}}"#.into(), &[]),
    ] {
        assert_eq!(
            names(&api, false, &filters).as_deref(),
            Ok(&found.map_to()[..]),
            "{filters}"
        );
    }
    for (filters, found) in [
        ("{}".to_owned(), &all[..]),
        (r#"{"exited":["3","4"]}"#.into(), &["done"]),
        (r#"{"exited":["0"]}"#.into(), &[]),
        (r#"{"label":["team"]}"#.into(), &["made"]),
        (r#"{"label":["team=red","x"]}"#.into(), &["made"]),
        (r#"{"label":["team=blue"]}"#.into(), &[]),
        (r#"{"ancestor":["busybox"]}"#.into(), &all),
        (format!(r#"{{"ancestor":["{}"]}}"#, &image[7..19]), &all),
        (r#"{"ancestor":["nothing:1"]}"#.into(), &[]),
        (r#"{"before":["sick"]}"#.into(), &["made", "web"]),
        (
            r#"{"since":["sick"],"status":["exited"]}"#.into(),
            &["done"],
        ),
        (
            r#"{"name":["e"],"status":["running","paused"]}"#.into(),
            &["web", "rests"],
        ),
    ] {
        assert_eq!(
            names(&api, true, &filters).as_deref(),
            Ok(&found.map_to()[..]),
            "{filters}"
        );
    }
    for filters in [
        r#"{"sand":["1"]}"#,
        r#"{"status":["odd"]}"#,
        r#"{"health":["odd"]}"#,
        r#"{"exited":["x"]}"#,
        r#"{"is-task":["maybe"]}"#,
        r#"{"publish":["80:80"]}"#,
        r#"{"expose":["http"]}"#,
        r#"{"publish":["90-80"]}"#,
    ] {
        assert!(names(&api, true, filters).is_err(), "{filters}");
    }
    assert_eq!(
        api.get("/containers/json?filters=%7B%22before%22:%5B%22nobody%22%5D%7D")
            .status,
        404
    );
    cli.ok("unpause rests");
    cli.ok("rm -f made web sick done rests");
    d.assert_no_leaks();
}

trait MapTo {
    fn map_to(&self) -> Vec<String>;
}

impl MapTo for &[&str] {
    fn map_to(&self) -> Vec<String> {
        self.iter().map(|&name| name.to_owned()).collect()
    }
}

#[test]
fn of_images() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("create --name box busybox true");
    cli.ok("commit -c 'LABEL team=red' box red:1");
    cli.ok("commit -c 'LABEL team=blue' box blue/red:2");
    cli.ok("commit box");
    for cli in d.clis() {
        let find = |filters: &str| {
            let out = cli.ok(&format!(
                "images {filters} --format '{{{{.Repository}}}}:{{{{.Tag}}}}'"
            ));
            let mut names: Vec<String> = out.lines().map(str::to_owned).collect();
            names.sort();
            names
        };
        assert_eq!(find("-f label=team"), ["blue/red:2", "red:1"]);
        assert_eq!(find("-f label=team=red"), ["red:1"]);
        assert_eq!(find("-f label!=team"), ["<none>:<none>", "busybox:latest"]);
        assert_eq!(
            find("-f label!=team=red -f dangling=false"),
            ["blue/red:2", "busybox:latest"]
        );
        assert_eq!(find("-f dangling=true"), ["<none>:<none>"]);
        assert_eq!(find("-f reference=*red*"), ["red:1"]);
        assert_eq!(find("-f reference=*/*:2"), ["blue/red:2"]);
        assert_eq!(find("-f before=red:1"), ["busybox:latest"]);
        assert_eq!(find("-f since=blue/red:2"), ["<none>:<none>"]);
        assert_eq!(find("-f until=2025-01-01T00:00:00Z"), ["busybox:latest"]);
        cli.refused("images -f sand=1", &["invalid filter"]);
        cli.refused("images -f dangling=odd", &["invalid filter"]);
    }
    cli.ok("rm box");
    d.assert_no_leaks();
}

/// What a script reads is data: no progress, no colours, and on standard error nothing either.
#[test]
fn pipes_get_data_only() {
    let d = Daemon::fresh();
    let tar = d.dir().join("s.tar").display().to_string();
    for cli in d.clis() {
        let name = cli.name();
        let copy = d.dir().join(format!("copy-{name}")).display().to_string();
        for (line, said) in [
            ("create --name box busybox sleep 1000", None),
            ("start box", Some("box\n")),
            ("exec box echo said", Some("said\n")),
            ("pause box", Some("box\n")),
            ("unpause box", Some("box\n")),
            ("update --memory 64m --memory-swap 64m box", Some("box\n")),
            ("rename box crate", Some("")),
            (&format!("cp crate:/etc/passwd {copy}"), Some("")),
            (&format!("cp {copy} crate:/tmp"), Some("")),
            ("diff crate", Some("C /tmp\nA /tmp/copy-NAME\n")),
            ("commit crate made:1", None),
            ("tag made:1 made:2", Some("")),
            (&format!("save -o {tar} made:1"), Some("")),
            ("rmi made:2", Some("Untagged: made:2\n")),
            (&format!("load -i {tar}"), Some("Loaded image: made:1\n")),
            (&format!("load -q -i {tar}"), Some("Loaded image: made:1\n")),
            ("ps --format '{{.Names}}'", Some("crate\n")),
            (
                "stats --no-stream --format '{{.Name}}' crate",
                Some("crate\n"),
            ),
            ("top crate -o pid,args", None),
            ("port crate", Some("")),
            ("history -q made:1", None),
            ("system df", None),
            ("info", None),
            ("version", None),
            ("events --since 1m --until 0s", None),
            ("logs crate", Some("")),
            ("restart -t 0 crate", Some("crate\n")),
            ("kill crate", Some("crate\n")),
            ("wait crate", Some("137\n")),
            ("rm crate", Some("crate\n")),
            ("rmi made:1", None),
            ("container prune -f", Some("Total reclaimed space: 0B\n")),
        ] {
            let out = cli.run(line);
            // What this host lacks is said by `info`, and not as data.
            let lacks = |l: &str| line == "info" && l.starts_with("WARNING: ");
            let told = out.stderr.lines().find(|l| !lacks(l));
            assert_eq!((out.code, told), (0, None), "{out}");
            assert!(!out.stdout.contains(['\x1b', '\r']), "{out}");
            if let Some(said) = said {
                assert_eq!(out.stdout, said.replace("NAME", &name), "{out}");
            }
        }
    }
    d.assert_no_leaks();
}
