//! Connections that become a process's streams are asked about, too, and nothing runs before.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;
use testkit::{Daemon, Plugin, Verdict};

use crate::asking;

fn running(d: &Daemon) {
    d.docker().ok("run -d --name c busybox sleep 300");
}

#[test]
fn exec_is_denied_before_and_by_its_answer() {
    for answer in [false, true] {
        let plugin = Plugin::start(move |q| {
            let start = q.uri().contains("/exec/") && q.uri().ends_with("/start");
            Verdict::deny_if(q.about_answer == answer && start)
        });
        let d = asking(&[&plugin]);
        running(&d);
        for cli in d.clis() {
            cli.refused("exec c touch /ran", &["authorization denied by plugin"]);
            cli.refused("exec -d c touch /ran", &["authorization denied by plugin"]);
        }
        if !answer {
            // Whatever the endpoint said: nothing has run.
            let diff = d.docker().ok("diff c");
            assert!(!diff.contains("/ran"), "{diff}");
        }
    }
}

#[test]
fn exec_is_denied_by_its_body() {
    let plugin = Plugin::start(|q| {
        Verdict::deny_if(!q.about_answer && q.body().contains("\"Privileged\":true"))
    });
    let d = asking(&[&plugin]);
    running(&d);
    for cli in d.clis() {
        cli.refused(
            "exec --privileged c true",
            &["authorization denied by plugin"],
        );
        cli.ok("exec c true");
    }
}

#[test]
fn attach_is_denied_before_and_by_its_answer() {
    for answer in [false, true] {
        let plugin = Plugin::start(move |q| {
            Verdict::deny_if(q.about_answer == answer && q.uri().contains("/attach"))
        });
        let d = asking(&[&plugin]);
        for cli in d.clis() {
            cli.refused(
                "run --name x busybox echo secret",
                &["authorization denied by plugin"],
            );
            cli.run("rm -f x");
        }
        running(&d);
        let raw = |path: &str, more: &str| {
            let mut socket = UnixStream::connect(d.dir().join("d.sock")).expect("the socket");
            let request = format!(
                "{path} HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\n{more}\
                 Content-Length: 0\r\n\r\n"
            );
            socket
                .write_all(request.as_bytes())
                .expect("the daemon reads");
            let mut head = [0; 12];
            socket.read_exact(&mut head).expect("an answer");
            String::from_utf8_lossy(&head).into_owned()
        };
        let attach = "POST /containers/c/attach?stream=1&stdout=1";
        assert_eq!(raw(attach, "Upgrade: tcp\r\n"), "HTTP/1.1 403");
        assert_eq!(raw(attach, ""), "HTTP/1.1 403");
        let websocket = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let ws = "GET /containers/c/attach/ws?stream=1&stdout=1";
        assert_eq!(raw(ws, websocket), "HTTP/1.1 403");
    }
}

#[test]
fn what_is_allowed_flows_both_ways() {
    let plugin = Plugin::start(|_| Verdict::Allow);
    let d = asking(&[&plugin]);
    running(&d);
    for cli in d.clis() {
        let output = cli.with_input("exec -i c cat", "there and back\n");
        assert_eq!(output.ok(), "there and back");
        let output = cli.with_input("run --rm -i busybox cat", "there and back\n");
        assert_eq!(output.ok(), "there and back");
    }
    // A client that sent all it has, and the end, before the plugin answered.
    let id = d.api().post(
        "/containers/c/exec",
        Some(&json!({
            "Cmd": ["cat"], "AttachStdin": true, "AttachStdout": true
        })),
    );
    let id = id.expect(201).json()["Id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let mut socket = UnixStream::connect(d.dir().join("d.sock")).expect("the socket");
    let body = r#"{"Detach":false}"#;
    write!(
        socket,
        "POST /exec/{id}/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}early words",
        body.len()
    )
    .expect("the daemon reads");
    socket
        .shutdown(std::net::Shutdown::Write)
        .expect("a socket");
    let mut all = String::new();
    socket.read_to_string(&mut all).expect("text");
    assert!(
        all.starts_with("HTTP/1.1 101") && all.ends_with("early words"),
        "{all}"
    );
}
