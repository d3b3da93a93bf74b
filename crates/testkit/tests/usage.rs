//! How much disk everything takes, and what goes when nothing uses it.

use serde_json::Value;
use testkit::{Daemon, images};

/// Both command lines must say the same, to the letter.
fn same(d: &Daemon, lines: &[&str]) {
    let (docker, wharf) = (d.docker(), d.wharf());
    if !docker.ok("--version").contains(" version 28.") {
        // Another one has words of its own.
        return;
    }
    for line in lines {
        let (mut theirs, mut ours) = (docker.run(line), wharf.run(line));
        for _ in 0..5 {
            // A second may end between the two.
            if ours.stdout != theirs.stdout {
                (theirs, ours) = (docker.run(line), wharf.run(line));
            }
        }
        assert_eq!(ours.stdout, theirs.stdout, "{line}");
        assert_eq!(ours.code, theirs.code, "{line}: {ours}");
    }
}

fn fill(path: &str, megabytes: u32) -> String {
    format!("dd if=/dev/zero of={path} bs=1M count={megabytes} 2>/dev/null")
}

#[test]
fn sizes_of_everything() {
    let d = Daemon::fresh();
    let cli = d.docker();
    d.load(&images::variant(
        "second",
        |layer| layer.file("more", 0o644, vec![7; 2 << 20]),
        &serde_json::json!({}),
    ));
    let (five, seven) = (fill("/five", 5), fill("/data/seven", 7));
    cli.ok(&format!(
        "run -d --name runs -v data:/data busybox sh -c '{five}; {seven}; touch /ready; sleep 1000'"
    ));
    let three = fill("/three", 3);
    cli.ok(&format!(
        "run --name done -v /anonymous busybox sh -c '{three}'"
    ));
    cli.ok("create --name third -v /other busybox true");
    cli.ok("rm third");
    testkit::eventually("the files", || cli.code("exec runs test -e /ready") == 0);
    let api = d.api();
    let df: Value = api.get("/system/df").expect(200).json();
    let find = |list: &str, name: &str, value: &str| -> Value {
        let list = df[list].as_array().expect("a list");
        let named = |v: &&Value| match &v[name] {
            Value::Array(names) => names.iter().any(|n| n == value),
            one => one == value,
        };
        list.iter()
            .find(named)
            .unwrap_or_else(|| panic!("no {value} in {list:?}"))
            .clone()
    };
    let (busybox, second) = (
        find("Images", "RepoTags", "busybox:latest"),
        find("Images", "RepoTags", "second:latest"),
    );
    let size = |image: &Value, name: &str| image[name].as_i64().expect("a number");
    assert_eq!(size(&busybox, "Containers"), 2);
    assert_eq!(size(&second, "Containers"), 0);
    let shared = size(&second, "SharedSize");
    assert!((0..=size(&busybox, "Size")).contains(&shared), "{df}");
    let apart = size(&second, "Size") - shared;
    let layers = size(&df, "LayersSize");
    assert_eq!(layers, size(&busybox, "Size") + apart, "{df}");
    assert!(apart >= 2 << 20, "{df}");
    let near =
        |bytes: i64, megabytes: i64| (megabytes << 20..(megabytes << 20) + 65536).contains(&bytes);
    for (name, megabytes) in [("/runs", 5), ("/done", 3)] {
        let container = find("Containers", "Names", name);
        assert!(near(size(&container, "SizeRw"), megabytes), "{container}");
        let all = size(&container, "SizeRw") + size(&busybox, "Size");
        assert_eq!(size(&container, "SizeRootFs"), all);
    }
    let data = find("Volumes", "Name", "data");
    assert_eq!(
        data["UsageData"],
        serde_json::json!({"Size": 7 << 20, "RefCount": 1})
    );
    assert_eq!(df["Volumes"].as_array().map(Vec::len), Some(3));
    assert_eq!(df["BuildCache"], serde_json::json!([]));

    for (query, members) in [
        ("?type=volume", &["Volumes"][..]),
        (
            "?type=container&type=build-cache",
            &["Containers", "BuildCache"],
        ),
        ("?type=image", &["LayersSize", "Images"]),
    ] {
        let part: Value = api.get(&format!("/system/df{query}")).expect(200).json();
        let names: Vec<&String> = part.as_object().expect("an object").keys().collect();
        assert_eq!(names, members, "{query}");
    }
    let message = api.get("/system/df?type=sand").expect(400).message();
    assert!(message.contains("sand"), "{message}");
    let older: Value = api
        .version("/v1.41")
        .get("/system/df?type=image")
        .expect(200)
        .json();
    assert_eq!(older["BuilderSize"], 0, "before 1.42 there were no types");
    assert!(older["Volumes"].is_array());

    same(
        &d,
        &[
            "system df",
            "system df -v",
            "system df --format json",
            "system df -v --format json",
            "system df -v --format '{{json .}}'",
            "system df --format '{{.Type}}={{.Size}} {{.Reclaimable}}'",
            "system df --format 'table {{.Type}}\\t{{.Active}}'",
            "system df -v --format '{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}};{{end}}'",
            "system df -v --format '{{range .Images}}{{.Repository}} {{.UniqueSize}};{{end}}'",
            "system df more",
            "ps -as",
            "ps -a --format '{{.Names}} {{.Size}}'",
        ],
    );
    let table = cli.ok("system df");
    assert!(
        table.contains("Local Volumes   3         2         7.34MB    0B (0%)"),
        "{table}"
    );
    cli.ok("rm -fv runs done");
    d.assert_no_leaks();
}

/// What vanishes while it is measured is no failure.
#[test]
fn measured_while_it_goes() {
    let d = Daemon::fresh();
    let stop = std::sync::atomic::AtomicBool::new(false);
    let rounds = std::thread::scope(|s| {
        let workers: Vec<_> = (0..2)
            .map(|n| {
                let (cli, stop) = (d.wharf(), &stop);
                s.spawn(move || {
                    let mut rounds = 0;
                    while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                        let files = "mkdir -p /a/b/c /v/x; for i in 1 2 3 4 5 6 7 8 9; do echo > /a/b/c/$i; echo > /v/x/$i; done";
                        cli.ok(&format!("run --name w{n} -v /v busybox sh -c '{files}'"));
                        cli.ok(&format!("rm -v w{n}"));
                        rounds += 1;
                    }
                    rounds
                })
            })
            .collect();
        let api = d.api();
        for _ in 0..200 {
            api.get("/system/df").expect(200);
            api.get("/containers/json?all=1&size=1").expect(200);
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        workers
            .into_iter()
            .map(|w| w.join().expect("a worker"))
            .sum::<u32>()
    });
    assert!(rounds > 0, "nothing went");
    d.assert_no_leaks();
}

#[test]
fn what_nothing_uses_goes() {
    let d = Daemon::fresh();
    let (docker, wharf) = (d.docker(), d.wharf());
    for line in [
        "system prune",
        "system prune -a",
        "system prune --volumes -a --filter label=b --filter label=a",
        "system prune --filter until=24h",
        "container prune",
        "image prune",
        "image prune -a --filter label=x",
    ] {
        let (theirs, ours) = (
            docker.with_input(line, "n\n"),
            wharf.with_input(line, "n\n"),
        );
        assert_eq!(ours.stdout, theirs.stdout, "{line}");
        assert_eq!(
            (ours.code, &ours.stderr),
            (theirs.code, &theirs.stderr),
            "{line}"
        );
        let (theirs, ours) = (docker.with_input(line, ""), wharf.with_input(line, ""));
        assert_eq!(
            (ours.code, ours.stdout),
            (theirs.code, theirs.stdout),
            "{line} without an answer"
        );
    }
    for cli in [&docker, &wharf] {
        cli.refused(
            "system prune -f --volumes --filter until=1h",
            &["The \"until\" filter is not supported with \"--volumes\""],
        );
        cli.ok("run -d --name keeps -v named:/n busybox sleep 1000");
        cli.ok("create --name old -v /anonymous --label old busybox true");
        cli.ok("create --name new busybox true");
        let anonymous = cli.ok("inspect -f '{{(index .Mounts 0).Name}}' old");
        cli.ok("run --name done busybox sh -c 'dd if=/dev/zero of=/f bs=1M count=3 2>/dev/null'");
        let out = cli.ok("system prune -f --filter label=old");
        assert!(
            out.starts_with("Deleted Containers:\n") && out.ends_with("Total reclaimed space: 0B"),
            "{out}"
        );
        assert_eq!(cli.ok("ps -a --format '{{.Names}}'"), "done\nnew\nkeeps");
        let out = cli.ok("system prune -f");
        assert!(out.ends_with("Total reclaimed space: 3.146MB"), "{out}");
        assert_eq!(cli.ok("ps -a --format '{{.Names}}'"), "keeps");
        let volumes = || {
            let out = cli.ok("system df -v --format '{{range .Volumes}}{{.Name}} {{end}}'");
            out.split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        assert_eq!(volumes().len(), 2);
        let out = cli.ok("system prune -f --volumes");
        assert_eq!(
            out,
            format!("Deleted Volumes:\n{anonymous}\n\nTotal reclaimed space: 0B")
        );
        assert_eq!(volumes(), ["named"]);
        cli.ok("rm -f keeps");
        let out = cli.ok("system prune -af");
        assert!(
            out.starts_with("Deleted Images:\nuntagged: busybox:latest\ndeleted: sha256:"),
            "{out}"
        );
        assert_eq!(volumes(), ["named"], "it has a name");
        let api = d.api();
        api.send(
            "POST",
            "/volumes/prune?filters=%7B%22sand%22:%5B%221%22%5D%7D",
            None,
        )
        .expect(400);
        let pruned: Value = api
            .send(
                "POST",
                "/volumes/prune?filters=%7B%22all%22:%5B%22true%22%5D%7D",
                None,
            )
            .expect(200)
            .json();
        assert_eq!(pruned["VolumesDeleted"], serde_json::json!(["named"]));
        d.load(&images::busybox_tar());
    }
    d.assert_no_leaks();
}
