//! Connections that become a process's streams are asked about, too, and nothing runs before.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::json;
use testkit::{Cli, Daemon, Plugin, Verdict};

use crate::asking;

/// A line that must fail because its connection was denied; docker's own CLI tells the status only.
fn denied(cli: &Cli, line: &str) {
    let output = cli.run(line);
    let told = output.stderr.contains("authorization denied by plugin")
        || output
            .stderr
            .contains("unable to upgrade to tcp, received 403");
    assert!(output.code != 0 && told, "{output}");
}

fn running(d: &Daemon) {
    d.docker().ok("run -d --name one busybox sleep 300");
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
            denied(&cli, "exec one touch /ran");
            denied(&cli, "exec -d one touch /ran");
        }
        if !answer {
            // Whatever the endpoint said: nothing has run.
            let diff = d.docker().ok("diff one");
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
            "exec --privileged one true",
            &["authorization denied by plugin"],
        );
        cli.ok("exec one true");
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
            denied(&cli, "run --name two busybox echo secret");
            cli.run("rm -f two");
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
        let attach = "POST /containers/one/attach?stream=1&stdout=1";
        assert_eq!(raw(attach, "Upgrade: tcp\r\n"), "HTTP/1.1 403");
        assert_eq!(raw(attach, ""), "HTTP/1.1 403");
        let websocket = "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
        let ws = "GET /containers/one/attach/ws?stream=1&stdout=1";
        assert_eq!(raw(ws, websocket), "HTTP/1.1 403");
    }
}

#[test]
fn what_is_allowed_flows_both_ways() {
    let plugin = Plugin::start(|_| Verdict::Allow);
    let d = asking(&[&plugin]);
    running(&d);
    for cli in d.clis() {
        let output = cli.with_input("exec -i one cat", "there and back\n");
        assert_eq!(output.ok(), "there and back");
        let output = cli.with_input("run --rm -i busybox cat", "there and back\n");
        assert_eq!(output.ok(), "there and back");
    }
    // A client that sent all it has, and the end, before the plugin answered.
    let id = d.api().post(
        "/containers/one/exec",
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
