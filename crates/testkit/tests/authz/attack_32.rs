//! Attack 32: a request that the plugin sees in another way than the endpoint does, or not at all
//! (CVE-2024-41110, CVE-2026-34040 and their relatives). The plugin forbids privileged containers
//! by the body alone; whatever is tried, there must be no container in the end.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use testkit::{Daemon, Plugin, Verdict};

use crate::{asking, containers, no_privileged};

const BODY: &str = r#"{"Image":"busybox","HostConfig":{"Privileged":true}}"#;
const CREATE: &str =
    "POST /v1.51/containers/create HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n";
const JSON: &str = "Content-Type: application/json\r\n";

/// These bytes on a connection of their own, and all that comes back.
fn raw(d: &Daemon, bytes: &[u8]) -> String {
    let mut socket = UnixStream::connect(d.dir().join("d.sock")).expect("the socket");
    socket
        .set_read_timeout(Some(testkit::PATIENCE))
        .expect("a socket");
    // A daemon that has refused need not read to the end.
    let _ = socket.write_all(bytes);
    let mut all = Vec::new();
    let _ = socket.read_to_end(&mut all);
    String::from_utf8_lossy(&all).into_owned()
}

/// Whether each of these leaves no container, and is refused with one of the statuses.
fn nothing_comes_of(d: &Daemon, attempts: &[(String, &[u16])]) {
    for (attempt, statuses) in attempts {
        let answer = raw(d, attempt.as_bytes());
        let status = answer.split(' ').nth(1).and_then(|s| s.parse().ok());
        let shown: String = attempt.chars().take(300).collect();
        assert!(
            status.is_some_and(|s: u16| statuses.contains(&s)),
            "{statuses:?} expected for {shown:?}: {answer}"
        );
        assert_eq!(containers(d), 0, "{shown:?} made a container: {answer}");
    }
}

fn chunked(body: &str) -> String {
    let (one, two) = body.split_at(body.len() / 2);
    format!(
        "{:x}\r\n{one}\r\n{:x}\r\n{two}\r\n0\r\n\r\n",
        one.len(),
        two.len()
    )
}

#[test]
fn attack_32_the_plain_request_is_denied() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    let length = BODY.len();
    nothing_comes_of(
        &d,
        &[(
            format!("{CREATE}{JSON}Content-Length: {length}\r\n\r\n{BODY}"),
            &[403],
        )],
    );
    let harmless = BODY.replace("true", "false");
    let request = format!(
        "{CREATE}{JSON}Content-Length: {}\r\n\r\n{harmless}",
        length + 1
    );
    assert!(
        raw(&d, request.as_bytes()).starts_with("HTTP/1.1 201"),
        "the way is open at all"
    );
}

#[test]
fn attack_32_content_length_zero_cve_2024_41110() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    let length = BODY.len();
    nothing_comes_of(
        &d,
        &[
            // What follows is no body, to nobody.
            (
                format!("{CREATE}{JSON}Content-Length: 0\r\n\r\n{BODY}"),
                &[400],
            ),
            (format!("{CREATE}{JSON}\r\n{BODY}"), &[400]),
            (format!("{CREATE}Content-Length: 0\r\n\r\n{BODY}"), &[400]),
            // With chunks they count, and the plugin sees them, or nobody does.
            (
                format!(
                    "{CREATE}{JSON}Content-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n{}",
                    chunked(BODY)
                ),
                &[400, 403],
            ),
            (
                format!(
                    "{CREATE}{JSON}Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n{}",
                    chunked(BODY)
                ),
                &[400, 403],
            ),
            (
                format!(
                    "{CREATE}{JSON}Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{BODY}"
                ),
                &[400],
            ),
            (
                format!("{CREATE}{JSON}Content-Length: -1\r\n\r\n{BODY}"),
                &[400],
            ),
            (
                format!("{CREATE}{JSON}Content-Length: +{length}\r\n\r\n{BODY}"),
                &[400],
            ),
            (
                format!("{CREATE}{JSON}Content-Length: 0, {length}\r\n\r\n{BODY}"),
                &[400],
            ),
            (
                format!("{CREATE}{JSON}Content-Length : {length}\r\n\r\n{BODY}"),
                &[400],
            ),
        ],
    );
}

#[test]
fn attack_32_oversized_body_cve_2026_34040() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    // Docker looked at one megabyte and passed on what was larger.
    for (size, status) in [
        (1_100_000, 403),
        (3_900_000, 403),
        (4_300_000, 413),
        (20_000_000, 413),
    ] {
        for at_front in [false, true] {
            let pad = " ".repeat(size);
            let body = match at_front {
                true => format!("{pad}{BODY}"),
                false => BODY.replace('{', &format!("{{{pad}")).replacen(&pad, "", 1),
            };
            let plain = format!("{CREATE}{JSON}Content-Length: {}\r\n\r\n{body}", body.len());
            let chunks = format!(
                "{CREATE}{JSON}Transfer-Encoding: chunked\r\n\r\n{}",
                chunked(&body)
            );
            nothing_comes_of(&d, &[(plain, &[status]), (chunks, &[status])]);
        }
    }
}

#[test]
fn attack_32_chunked() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    let with = |coding: &str| {
        format!(
            "{CREATE}{JSON}Transfer-Encoding: {coding}\r\n\r\n{}",
            chunked(BODY)
        )
    };
    nothing_comes_of(
        &d,
        &[
            (with("chunked"), &[403]),
            (with("Chunked"), &[403]),
            (with("xchunked"), &[400, 501]),
            (with("identity"), &[400, 501]),
            (with("chunked, identity"), &[400, 501]),
            (with("gzip, chunked"), &[400, 403, 501]),
            (with("\x0bchunked"), &[400, 501]),
            // Without a type: shown all the same.
            (
                format!(
                    "{CREATE}Transfer-Encoding: chunked\r\n\r\n{}",
                    chunked(BODY)
                ),
                &[400, 403],
            ),
        ],
    );
    // A body whose end never comes is not acted upon.
    let cut = format!(
        "{CREATE}{JSON}Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{BODY}",
        BODY.len() + 9
    );
    let mut socket = UnixStream::connect(d.dir().join("d.sock")).expect("the socket");
    socket.write_all(cut.as_bytes()).expect("the daemon reads");
    drop(socket);
    assert_eq!(containers(&d), 0);
}

#[test]
fn attack_32_duplicate_headers_and_types() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    let length = BODY.len();
    let with = |headers: &str| format!("{CREATE}{headers}Content-Length: {length}\r\n\r\n{BODY}");
    nothing_comes_of(
        &d,
        &[
            (
                with("Content-Type: text/plain\r\nContent-Type: application/json\r\n"),
                &[400],
            ),
            (
                with("Content-Type: application/json\r\ncontent-type: text/plain\r\n"),
                &[400],
            ),
            (with("Content-Type: text/plain\r\n"), &[400, 403]),
            (
                with("Content-Type: application/json; charset=utf-16\r\n"),
                &[403],
            ),
            (with("Content-Type: APPLICATION/JSON\r\n"), &[403]),
            (with(""), &[400, 403]),
            (with(&format!("{JSON}Content-Length: 5\r\n")), &[400]),
            (with(&format!("{JSON}Host: other\r\n")), &[400]),
            (
                with(&format!("{JSON}Transfer-Encoding: chunked\r\n")),
                &[400],
            ),
            (
                with(&format!("{JSON}Content-Encoding: gzip\r\n")),
                &[400, 403],
            ),
            (
                with(&format!("{JSON}X-HTTP-Method-Override: GET\r\n")),
                &[403],
            ),
            (with(&format!("{JSON}X-Original-URL: /_ping\r\n")), &[403]),
            (
                with(&format!("{JSON}Expect: 100-continue\r\n")),
                &[100, 403],
            ),
            (with(" Content-Type: application/json\r\n"), &[400]),
        ],
    );
}

#[test]
fn attack_32_http_2_is_not_spoken() {
    let plugin = Plugin::start(|_| Verdict::deny_if(true));
    let d = asking_late(&plugin);
    let preface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let answer = raw(&d, preface.as_bytes());
    assert!(!answer.contains("\0\0"), "frames came back: {answer:?}");
    let upgrade = "GET /v1.51/info HTTP/1.1\r\nHost: d\r\nConnection: Upgrade, HTTP2-Settings, close\r\n\
                   Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n";
    let answer = raw(&d, upgrade.as_bytes());
    assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    // Each request of a connection is asked about, however they come.
    let two = "GET /_ping HTTP/1.1\r\nHost: d\r\n\r\nGET /v1.51/info HTTP/1.1\r\nHost: d\r\n\
               Connection: close\r\n\r\n";
    let answer = raw(&d, two.as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 403").count(), 2, "{answer}");
    let old = raw(&d, b"GET /v1.51/info HTTP/1.0\r\n\r\n");
    assert!(old.contains(" 403 "), "{old}");
}

/// A daemon whose plugin denies everything answers nobody's ping: it is added when it runs.
fn asking_late(plugin: &Plugin) -> Daemon {
    let opts = testkit::Opts {
        config: Some("{}".into()),
        ..Default::default()
    };
    let d = Daemon::start(&testkit::Host::new(), opts);
    d.configure(&format!(
        r#"{{"authorization-plugins": ["{}"]}}"#,
        plugin.name()
    ));
    d.sighup();
    testkit::eventually("the plugin to be asked", || {
        d.api().get("/_ping").status == 403
    });
    d
}

#[test]
fn attack_32_versions_and_paths_written_otherwise() {
    // This one goes by the path alone: what it does not know, it lets pass.
    let plugin = Plugin::start(|q| {
        let path = q.uri().split('?').next().unwrap_or_default();
        let known = path.ends_with("/containers/create");
        Verdict::deny_if(q.method() == "POST" && known)
    });
    let d = asking(&[&plugin]);
    let length = BODY.len();
    let to = |path: &str| {
        format!(
            "POST {path} HTTP/1.1\r\nHost: d\r\nConnection: close\r\n{JSON}\
             Content-Length: {length}\r\n\r\n{BODY}"
        )
    };
    let nowhere: &[u16] = &[400, 403, 404];
    let paths = [
        "/containers/create",
        "/v1.24/containers/create",
        "/v1.51/containers/create",
        "/v1.51/containers/cre%61te",
        "/v1.51/%63ontainers/create",
        "/v1.51/containers%2fcreate",
        "/v1.51%2Fcontainers%2Fcreate",
        "/%761.51/containers/create",
        "/v1%2e51/containers/create",
        "/v1.51/containers/create?name=a",
        "/v1.51/containers/create?",
        "/v1.51/containers/create#x",
        "/v1.51/containers/create/",
        "/v1.51/containers/create%2f",
        "/v1.51/containers//create",
        "//v1.51/containers/create",
        "//containers/create",
        "/v1.51/./containers/create",
        "/v1.51/x/../containers/create",
        "/v1.51/x/%2e%2e/containers/create",
        "/v1.51/containers/create;x=y",
        "/v1.51/containers/create%00",
        "/v1.51/containers/create%20",
        "/v1.51/containers/create%23",
        "/v1.51/containers/create%3Fx",
        "/v1.51/containers/%2563reate",
        "/v1.51/containers\\create",
        "/V1.51/containers/create",
        "/v01.51/containers/create",
        "/v1.051/containers/create",
        "/v1/containers/create",
        "/v1.51.0/containers/create",
        "/v1.52/containers/create",
        "/v99/containers/create",
        "/v1.51/v1.51/containers/create",
        "http://docker/v1.51/containers/create",
        "http://docker:80/containers/create?x=%zz",
        "*",
    ];
    let attempts: Vec<(String, &[u16])> = paths.iter().map(|p| (to(p), nowhere)).collect();
    nothing_comes_of(&d, &attempts);
    for method in ["post", "POST ", "POSTX", "PUT", "GET"] {
        let attempt = to("/v1.51/containers/create").replacen("POST", method, 1);
        nothing_comes_of(&d, &[(attempt, &[400, 403, 404, 405])]);
    }
    // It was shown the one form that has the meaning.
    for question in plugin.asked() {
        let path = question
            .uri()
            .split('?')
            .next()
            .unwrap_or_default()
            .to_owned();
        assert!(!path.contains("%61") && !path.contains("%2f"), "{path}");
    }
}

#[test]
fn attack_32_bodies_that_say_two_things() {
    let plugin = Plugin::start(no_privileged);
    let d = asking(&[&plugin]);
    let bodies = [
        r#"{"Image":"busybox","HostConfig":{"Privileged":true},"HostConfig":{}}"#,
        r#"{"Image":"busybox","HostConfig":{},"hostconfig":{"Privileged":true}}"#,
        r#"{"Image":"busybox","HostConfig":{"privileged":true,"Privileged":false}}"#,
        r#"{"Image":"busybox","HostConfig":{"Privileged":true}}{"HostConfig":{}}"#,
        r#"{"Image":"busybox"}{"HostConfig":{"Privileged":true}}"#,
        "\u{feff}{\"Image\":\"busybox\",\"HostConfig\":{\"Privileged\":true}}",
    ];
    let attempts: Vec<(String, &[u16])> = bodies
        .iter()
        .map(|body| {
            let request = format!("{CREATE}{JSON}Content-Length: {}\r\n\r\n{body}", body.len());
            (request, &[400, 403][..])
        })
        .collect();
    nothing_comes_of(&d, &attempts);
}
