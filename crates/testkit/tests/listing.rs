//! `ps` and `inspect`: filters, templates, columns.

use testkit::Daemon;

#[test]
fn ps_filters_and_formats() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("create --name made --label team=red busybox true");
    cli.ok("run -d --name runs --label team=blue --label x busybox sleep 1000");
    assert_eq!(cli.code("run --name done busybox sh -c 'exit 3'"), 3);
    for cli in d.clis() {
        let names = |flags: &str| {
            let out = cli.ok(&format!("ps {flags} --format '{{{{.Names}}}}'"));
            out.lines().map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(names(""), ["runs"]);
        assert_eq!(names("-a"), ["done", "runs", "made"], "newest first");
        assert_eq!(names("-l"), ["done"]);
        assert_eq!(names("-n 2"), ["done", "runs"]);
        assert_eq!(names("-a -f status=created"), ["made"]);
        assert_eq!(names("-a -f status=exited"), ["done"]);
        assert_eq!(names("-a -f exited=3"), ["done"]);
        assert_eq!(names("-a -f label=team"), ["runs", "made"]);
        assert_eq!(names("-a -f label=team=red"), ["made"]);
        assert_eq!(names("-a -f label=team=blue -f label=x"), ["runs"]);
        assert_eq!(names("-a -f name=^/r"), ["runs"]);
        assert_eq!(names("-a -f name=made -f name=done"), ["done", "made"]);
        assert_eq!(names("-a -f ancestor=busybox").len(), 3);
        assert_eq!(names("-a -f before=runs"), ["made"]);
        assert_eq!(names("-a -f since=runs"), ["done"]);
        let id = cli.ok("inspect -f '{{.Id}}' runs");
        assert_eq!(names(&format!("-f id={}", &id[..12])), ["runs"]);
        assert_eq!(cli.ok("ps -q"), id[..12]);
        assert_eq!(cli.ok("ps -q --no-trunc"), id);
        cli.refused("ps -f nonsense=1", &["nonsense"]);
        let table = cli.ok("ps -a");
        let head = "CONTAINER ID   IMAGE     COMMAND";
        assert!(table.starts_with(head), "{table}");
        assert!(
            table.contains("Exited (3) ") && table.contains("Up ") && table.contains("Created"),
            "{table}"
        );
        let own = cli.ok("ps --format 'table {{.Names}}\\t{{.Label \"team\"}}\\t{{.State}}'");
        assert_eq!(
            own,
            "NAMES     team      STATE\nruns      blue      running"
        );
        let json = cli.ok("ps --format json");
        let json: serde_json::Value = serde_json::from_str(&json).expect("one JSON line");
        assert_eq!(json["Names"], "runs");
    }
}

#[test]
fn raw_is_what_dockers_is() {
    let d = Daemon::fresh();
    d.docker()
        .ok("create --name made --label team=red busybox true");
    for line in [
        "ps -a --format raw",
        "ps -a -q --format raw",
        "ps -a --size --format raw",
        "images --format raw",
        "images --digests --format raw",
        "images -q --format raw",
    ] {
        let texts: Vec<_> = d.clis().iter().map(|cli| cli.ok(line)).collect();
        assert!(texts[0].contains("_id: "), "{}", texts[0]);
        assert!(texts.iter().all(|text| *text == texts[0]), "{texts:#?}");
    }
}

#[test]
fn inspect_templates() {
    let d = Daemon::fresh();
    d.docker()
        .ok("run -d --name web -e A=1 -p 8080:80 busybox sleep 1000");
    for cli in d.clis() {
        let show = |template: &str| cli.ok(&format!("inspect --format '{template}' web"));
        assert!(show("{{ .NetworkSettings.Networks.bridge.IPAddress }}").starts_with("172.17.0."));
        assert_eq!(
            show("{{ .NetworkSettings.IPAddress }}"),
            show("{{ .NetworkSettings.Networks.bridge.IPAddress }}")
        );
        assert_eq!(
            show("{{(index (index .NetworkSettings.Ports \"80/tcp\") 0).HostPort}}"),
            "8080"
        );
        assert_eq!(
            show(
                "{{range $k, $v := .HostConfig.PortBindings}}{{$k}}={{(index $v 0).HostPort}};{{end}}"
            ),
            "80/tcp=8080;"
        );
        assert_eq!(show("{{json .Config.Cmd}}"), "[\"sleep\",\"1000\"]");
        assert_eq!(
            show("{{join .Config.Cmd \",\"}} {{upper .Name}} {{len .Config.Env}}"),
            "sleep,1000 /WEB 2"
        );
        assert_eq!(show("{{if .State.Running}}up{{else}}down{{end}}"), "up");
        assert_eq!(
            show("{{.Config.Image}} {{.Path}} {{.Args}}"),
            "busybox sleep [1000]"
        );
        // What the API leaves out is nothing to docker's types.
        assert_eq!(
            show(
                "{{if .State.Health}}{{.State.Health.Status}}{{else}}none{{end}} {{json .HostConfig.Init}}"
            ),
            "none null"
        );
        let list: serde_json::Value =
            serde_json::from_str(&show("json")).expect("JSON in one line");
        assert_eq!(list[0]["Name"], "/web");
        let steps = cli.ok("history busybox");
        assert!(
            steps.contains("CREATED ") && steps.contains("MB"),
            "{steps}"
        );
        let all = cli.ok("inspect web busybox");
        let all: serde_json::Value = serde_json::from_str(&all).expect("JSON");
        assert_eq!(
            all.as_array().map(Vec::len),
            Some(2),
            "a container and an image"
        );
        cli.refused("inspect nobody", &["No such object: nobody"]);
        cli.refused("inspect -f '{{.Nope.X}}' web", &["Nope"]);
        cli.refused("inspect -f '{{.Name' web", &["emplate"]);
        assert_eq!(
            cli.run("inspect web nobody")
                .stdout
                .matches("\"Name\": \"/web\"")
                .count(),
            1
        );
    }
}

#[test]
fn info_and_version() {
    let d = Daemon::fresh();
    d.docker().ok("create --name one busybox true");
    for cli in d.clis() {
        assert_eq!(
            cli.ok("info -f '{{.Containers}} {{.ContainersStopped}} {{.Images}}'"),
            "1 1 1"
        );
        assert_eq!(
            cli.ok("info -f '{{.OSType}} {{.NCPU}}'"),
            format!("linux {}", cpus())
        );
        assert_eq!(cli.ok("version -f '{{.Server.Os}}'"), "linux");
        let text = cli.ok("version");
        assert!(
            text.contains("Client:") && text.contains("Server:") && text.contains("API version"),
            "{text}"
        );
        assert_eq!(
            cli.ok("version -f '{{.Server.APIVersion}}'"),
            d.api_version()
        );
        cli.ok("container ls -a");
        cli.ok("container inspect one");
    }
}

fn cpus() -> usize {
    std::thread::available_parallelism().expect("cores").get()
}
