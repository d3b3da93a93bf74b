//! What plugins are told, and what their words do.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::json;
use testkit::{Certificates, Daemon, Host, Opts, Plugin, Verdict};

use crate::{asking, asking_with, containers, is, no_privileged};

#[test]
fn every_request_and_answer_is_shown() {
    let plugin = Plugin::start(|_| Verdict::Allow);
    let d = asking(&[&plugin]);
    for cli in d.clis() {
        cli.ok("run --rm --label a=b busybox true");
        let asked = plugin.asked();
        let about = |answer: bool, end: &str| {
            let found = asked.iter().find(|q| {
                q.about_answer == answer && q.uri().split('?').next().unwrap_or("").ends_with(end)
            });
            found.unwrap_or_else(|| panic!("nothing about {end}: {asked:?}"))
        };
        let create = about(false, "/containers/create");
        assert_eq!(create.method(), "POST");
        assert!(create.uri().starts_with("/v1."), "{}", create.uri());
        let body: serde_json::Value = serde_json::from_str(&create.body()).expect("JSON");
        assert_eq!(body["Labels"]["a"], "b");
        let headers = &create.value["RequestHeaders"];
        assert_eq!(headers["Content-Type"], "application/json");
        assert_eq!(create.value.get("ResponseStatusCode"), None);
        let created = about(true, "/containers/create");
        assert_eq!(created.value["ResponseStatusCode"], 201);
        assert!(created.answer().contains("\"Id\""), "{}", created.answer());
        // The answer is shown together with its request.
        assert_eq!(created.body(), create.body());
        about(true, "/start");
        about(true, "/attach");
        assert!(
            asked.iter().all(|q| q.user().is_empty()),
            "a name by a Unix socket"
        );
    }
}

#[test]
fn credentials_are_not_shown() {
    let plugin = Plugin::start(|_| Verdict::Allow);
    let d = asking(&[&plugin]);
    let secret = [
        ("X-Registry-Auth", "c2VjcmV0"),
        ("X-Registry-Config", "c2VjcmV0"),
        ("Content-Type", "application/json"),
    ];
    let body = br#"{"username": "u", "password": "verysecret", "serveraddress": "127.0.0.1:1"}"#;
    let _ = d.api().try_send("POST", "/auth", &secret, body);
    let _ = d.api().try_send(
        "POST",
        "/images/create?fromImage=127.0.0.1:1/x",
        &secret,
        b"",
    );
    let asked = plugin.asked();
    assert!(asked.iter().any(|q| is(q, "POST", "/auth")));
    for question in asked {
        assert_eq!(question.body(), "");
        let all = question.value.to_string();
        assert!(
            !all.contains("c2VjcmV0") && !all.contains("Registry-"),
            "{all}"
        );
    }
}

#[test]
fn what_is_denied_is_not_done_and_told_in_dockers_words() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    for cli in d.clis() {
        let said = format!("authorization denied by plugin {}: not here", plugin.name());
        let output = cli.refused("run --privileged busybox true", &[&said]);
        assert_eq!(output.code, 125, "{output}");
        cli.ok("run --rm busybox true");
    }
    let body = json!({"Image": "busybox", "HostConfig": {"Privileged": true}});
    let answer = d.api().post("/containers/create", Some(&body)).expect(403);
    assert!(
        answer
            .message()
            .starts_with("authorization denied by plugin ")
    );
    assert_eq!(containers(&d), 0);
}

#[test]
fn an_answer_that_is_denied_is_not_sent() {
    let plugin = Plugin::start(|q| {
        Verdict::deny_if(q.about_answer && q.uri().contains("/json") && q.answer().contains("kept"))
    });
    let d = asking(&[&plugin]);
    let docker = d.docker();
    docker.ok("create --name kept busybox true");
    docker.refused("inspect kept", &["authorization denied by plugin"]);
    let answer = d.api().get("/containers/json?all=1").expect(403);
    assert!(!answer.text().contains("kept"), "{}", answer.text());
    // A stream is asked about before its head is sent.
    let streams =
        Plugin::start(|q| Verdict::deny_if(q.about_answer && q.uri().contains("/events")));
    let d = asking(&[&streams]);
    d.api().get("/events?until=1").expect(403);
}

#[test]
fn all_are_asked_in_order_until_one_denies() {
    let first = Plugin::start(no_privileged);
    let second = Plugin::start(|_| Verdict::Allow);
    let d = asking(&[&first, &second]);
    d.docker()
        .refused("run --privileged busybox true", &[first.name()]);
    let create = |plugin: &Plugin| {
        let asked = plugin.asked();
        asked.iter().any(|q| is(q, "POST", "/containers/create"))
    };
    assert!(create(&first) && !create(&second));
    d.docker().ok("run --rm busybox true");
    assert!(create(&first) && create(&second));
}

#[test]
fn one_that_cannot_answer_has_refused() {
    type Say = fn() -> Verdict;
    let words: [(Say, &str); 6] = [
        (
            || Verdict::Fail("the database is away".into()),
            "the database is away",
        ),
        (|| Verdict::Garbage(b""), "failed with error"),
        (
            || Verdict::Garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
            "failed with error",
        ),
        (
            || Verdict::Garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n{\"All"),
            "failed",
        ),
        (
            || Verdict::Garbage(b"HTTP/1.1 500 x\r\nContent-Length: 14\r\n\r\n{\"Allow\":true}"),
            "failed with error",
        ),
        // Nothing was said of allowing it.
        (
            || Verdict::Garbage(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"),
            "authorization denied",
        ),
    ];
    let now = Arc::new(AtomicUsize::new(0));
    let which = now.clone();
    let verdicts = words.map(|(verdict, _)| verdict);
    let plugin = Plugin::start(move |q| match is(q, "POST", "/containers/create") {
        true => verdicts[which.load(Ordering::Relaxed)](),
        false => Verdict::Allow,
    });
    let d = asking(&[&plugin]);
    for (number, (_, said)) in words.into_iter().enumerate() {
        now.store(number, Ordering::Relaxed);
        d.docker().refused("create busybox", &[plugin.name(), said]);
        assert_eq!(containers(&d), 0, "{said}");
    }
    // And one that is gone; it is asked again when it comes back.
    let mut plugin = Plugin::start(|_| Verdict::Allow);
    let d = asking(&[&plugin]);
    plugin.end();
    let said = format!(
        "plugin {} failed with error: AuthZPlugin.AuthZReq",
        plugin.name()
    );
    for cli in d.clis() {
        cli.refused("create busybox", &[&said]);
    }
    let answer = d.api().get("/containers/json").expect(500);
    assert!(
        answer.message().contains(plugin.name()),
        "{}",
        answer.text()
    );
}

#[test]
fn a_daemon_does_not_start_without_its_plugin() {
    let opts = Opts::args(&["--authorization-plugin=tk-not-there"]);
    Daemon::refused(&Host::new(), opts).refused(&[
        "error validating authorization plugin",
        "\"tk-not-there\" not found",
    ]);
    for name in ["../x", "a/b", ".x", ""] {
        let opts = Opts::args(&[&format!("--authorization-plugin={name}")]);
        Daemon::refused(&Host::new(), opts).refused(&["invalid name of a plugin"]);
    }
}

#[test]
fn names_of_certificates_are_told() {
    let host = Host::new();
    let certificates = Certificates::new("127.0.0.1");
    let plugin = Plugin::start(|q| Verdict::deny_if(q.user() == "mallory"));
    let mut args = certificates.flags();
    args.push("--host=tcp://127.0.0.1:2376".into());
    let d = asking_with(&host, &[&plugin], args);
    for name in ["anna", "mallory"] {
        let flags = Certificates::client_flags(&certificates.client(name));
        for cli in d.clis() {
            let cli = cli.at("tcp://127.0.0.1:2376");
            let output = host.ns().run(&mut cli.command(&format!("{flags} ps -q")));
            if name == "anna" {
                output.ok();
            } else {
                output.refused(&["authorization denied by plugin"]);
            }
        }
        let asked = plugin.asked();
        let question = asked.iter().find(|q| q.user() == name).expect("its name");
        assert_eq!(question.value["UserAuthNMethod"], "TLS");
        let shown = &question.value["RequestPeerCertificates"];
        assert_eq!(shown.as_array().map(Vec::len), Some(1), "{shown}");
    }
}

#[test]
fn sighup_changes_who_is_asked_and_keeps_them_when_one_is_missing() {
    let plugin = Plugin::start(no_privileged);
    let opts = Opts {
        config: Some("{}".into()),
        ..Opts::default()
    };
    let d = Daemon::start(&Host::new(), opts);
    let list = |names: &str| {
        d.configure(&format!(r#"{{"authorization-plugins": [{names}]}}"#));
        d.sighup();
    };
    d.load(&testkit::images::busybox_tar());
    d.docker().ok("create --privileged busybox");
    list(&format!("\"{}\"", plugin.name()));
    testkit::eventually("the plugin to be asked", || {
        d.docker().code("create --privileged busybox") != 0
    });
    let info = d.api().get("/info").expect(200).json();
    assert_eq!(info["Plugins"]["Authorization"], json!([plugin.name()]));
    list("\"tk-not-there\"");
    testkit::eventually("the reload to fail", || {
        d.log().contains("the configuration is as it was")
    });
    d.docker()
        .refused("create --privileged busybox", &["authorization denied"]);
    list("");
    testkit::eventually("nobody to be asked", || {
        d.docker().code("create --privileged busybox") == 0
    });
}
