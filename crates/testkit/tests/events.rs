//! `events`.

use testkit::{Daemon, eventually};

fn now(d: &Daemon) -> String {
    d.docker().ok("info -f '{{.SystemTime}}'")
}

#[test]
fn of_a_life() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let since = now(&d);
        assert_eq!(
            cli.code("run --name ev --label team=red busybox sh -c 'exit 3'"),
            3
        );
        cli.ok("rm ev");
        let until = now(&d);
        let range = format!("--since {since} --until {until}");
        let actions = cli.ok(&format!(
            "events {range} --filter container=ev --format '{{{{.Action}}}}'"
        ));
        let actions: Vec<_> = actions.lines().filter(|a| *a != "attach").collect();
        assert_eq!(actions, ["create", "start", "die", "destroy"]);
        let only = |filter: &str| {
            cli.ok(&format!(
                "events {range} {filter} --format '{{{{.Type}}}} {{{{.Action}}}}'"
            ))
        };
        assert_eq!(only("--filter event=die"), "container die");
        assert_eq!(
            only("--filter label=team=red --filter event=start"),
            "container start"
        );
        assert_eq!(only("--filter label=team=blue"), "");
        assert_eq!(
            only("--filter image=busybox --filter event=create"),
            "container create"
        );
        assert!(only("--filter type=network").contains("network connect"));
        let die = cli.ok(&format!(
            "events {range} --filter event=die --format '{{{{json .}}}}'"
        ));
        let die: serde_json::Value = serde_json::from_str(&die).expect("one JSON line");
        assert_eq!(die["Actor"]["Attributes"]["exitCode"], "3");
        assert_eq!(die["Actor"]["Attributes"]["name"], "ev");
        assert_eq!(die["Actor"]["Attributes"]["image"], "busybox");
        assert!(die["timeNano"].as_u64() > Some(1_600_000_000_000_000_000));
        let text = cli.ok(&format!("events {range} --filter event=die"));
        assert!(
            text.contains(" container die ") && text.contains("exitCode=3"),
            "{text}"
        );
    }
}

#[test]
fn as_they_happen() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let watch = cli.start("events --filter type=container --filter event=start --format '{{.Actor.Attributes.name}}'");
        let mut n = 0;
        eventually("a start is told", || {
            n += 1;
            cli.ok(&format!("run --rm --name w{n}-{} busybox true", cli.name()));
            watch.stdout().contains(&format!("w{n}-{}", cli.name()))
        });
    }
}

#[test]
fn of_images() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let since = now(&d);
        cli.ok("tag busybox other:1");
        cli.ok("rmi other:1");
        let range = format!("--since {since} --until {}", now(&d));
        let actions = cli.ok(&format!(
            "events {range} --filter type=image --format '{{{{.Action}}}}'"
        ));
        assert_eq!(actions, "tag\nuntag");
    }
}

#[test]
fn wrong_times_and_filters_are_refused() {
    let d = Daemon::fresh();
    for wrong in ["since=nonsense&until=1", "filters=nonsense&until=1"] {
        let status = d.api().get(&format!("/events?{wrong}")).status;
        assert!(
            status == 400 || !d.engine().is_wharf() && status == 500,
            "{wrong}: {status}"
        );
    }
    let none = d.api().get("/events?since=1&until=2").expect(200);
    assert_eq!(none.text(), "");
}
