//! Connections that become streams, and what happens when a client or the server goes.

use std::{sync::atomic::Ordering, time::Duration};

use crate::common::{Running, eventually, read_head, within};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::UnixStream,
};

const UPGRADE: &str = "Connection: Upgrade\r\nUpgrade: tcp\r\n";

async fn attach(s: &Running, path: &str, headers: &str, body: &str) -> UnixStream {
    let mut socket = s.connect().await;
    let request = format!("POST {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n{body}");
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

async fn rest(socket: &mut UnixStream) -> String {
    let mut out = String::new();
    within(socket.read_to_string(&mut out)).await.unwrap();
    out
}

const ALL: &str = "?stream=1&stdin=1&stdout=1&stderr=1";

#[tokio::test]
async fn attach_upgrades_and_keeps_output_after_half_close() {
    let s = Running::start();
    let mut socket = attach(&s, &format!("/containers/a/attach{ALL}"), UPGRADE, "").await;
    let head = read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
    assert!(head.contains("Content-Type: application/vnd.docker.multiplexed-stream\r\n"));
    assert!(head.contains("Upgrade: tcp\r\n") && head.contains("Api-Version: 1.51\r\n"));
    socket.write_all(b"hello").await.unwrap();
    let mut frame = [0; 13];
    within(socket.read_exact(&mut frame)).await.unwrap();
    assert_eq!(&frame, b"\x01\0\0\0\0\0\0\x05hello");
    socket.shutdown().await.unwrap();
    assert_eq!(rest(&mut socket).await, "\x02\0\0\0\0\0\0\x03bye");
}

#[tokio::test]
async fn attach_without_upgrade_takes_what_came_with_the_request() {
    let s = Running::start();
    let path = format!("/v1.41/containers/a/attach{ALL}");
    for (headers, early) in [("", ""), ("", "x"), ("Content-Length: 0\r\n", "x")] {
        let mut socket = attach(&s, &path, headers, early).await;
        // The end of standard input is there before the answer.
        socket.shutdown().await.unwrap();
        let head = read_head(&mut socket).await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n"), "{head}");
        assert!(head.contains("Content-Type: application/vnd.docker.raw-stream\r\n"));
        assert!(!head.to_lowercase().contains("transfer-encoding"), "{head}");
        let echoed = if early.is_empty() {
            ""
        } else {
            "\x01\0\0\0\0\0\0\x01x"
        };
        assert_eq!(
            rest(&mut socket).await,
            format!("{echoed}\x02\0\0\0\0\0\0\x03bye")
        );
    }
}

#[tokio::test]
async fn media_types_follow_version_and_terminal() {
    let s = Running::start();
    for (path, media) in [
        ("/v1.41/containers/a/attach", "raw"),
        ("/v1.42/containers/a/attach", "multiplexed"),
        ("/containers/tty/attach", "raw"),
    ] {
        let mut socket = attach(&s, path, UPGRADE, "").await;
        let head = read_head(&mut socket).await;
        assert!(
            head.contains(&format!("vnd.docker.{media}-stream")),
            "{head}"
        );
    }
}

#[tokio::test]
async fn a_terminal_is_raw_and_detaches_by_its_keys() {
    let s = Running::start();
    let mut socket = attach(&s, &format!("/containers/tty/attach{ALL}"), UPGRADE, "").await;
    read_head(&mut socket).await;
    socket.write_all(b"a\x10").await.unwrap();
    let mut byte = [0; 1];
    within(socket.read_exact(&mut byte)).await.unwrap();
    socket.write_all(b"\x11never").await.unwrap();
    assert_eq!(rest(&mut socket).await, "");
    drop(socket);
    eventually(|| s.fake.drops() == 1).await;
    let path = "/containers/tty/attach?detachKeys=x,y&stream=1";
    let mut socket = attach(&s, path, UPGRADE, "").await;
    read_head(&mut socket).await;
    socket.write_all(b"xy").await.unwrap();
    assert_eq!(rest(&mut socket).await, "");
    let bad = s.post("/containers/a/attach?detachKeys=nope").await;
    assert_eq!(bad.message(), "Invalid detach keys (nope) provided");
}

#[tokio::test]
async fn exec_takes_its_body_and_then_the_connection() {
    let s = Running::start();
    let body = r#"{"Detach":false,"Tty":false}"#;
    for (upgrade, line) in [(UPGRADE, "101 UPGRADED"), ("", "200 OK")] {
        let headers = format!(
            "{upgrade}Content-Type: application/json\r\nContent-Length: {}\r\n",
            body.len()
        );
        let mut socket = attach(&s, "/exec/e0/start", &headers, &format!("{body}in")).await;
        socket.shutdown().await.unwrap();
        let head = read_head(&mut socket).await;
        assert!(head.starts_with(&format!("HTTP/1.1 {line}\r\n")), "{head}");
        let out = rest(&mut socket).await;
        assert_eq!(out, "\x01\0\0\0\0\0\0\x02in\x02\0\0\0\0\0\0\x03bye");
    }
}

#[tokio::test]
async fn exec_starts_after_its_head_was_sent() {
    let s = Running::start();
    let headers = format!("{UPGRADE}Content-Type: application/json\r\nContent-Length: 2\r\n");
    let mut socket = attach(&s, "/exec/held/start", &headers, "{}").await;
    let head = read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 101 UPGRADED\r\n"), "{head}");
    s.fake.go.notify_one();
    // What is found out only now is told in the stream.
    let out = rest(&mut socket).await;
    assert_eq!(out, "\x01\0\0\0\0\0\0\x11no such program\r\n");
    for (id, body, status) in [("missing", "{}", 404), ("ended", "{}", 409)] {
        let path = format!("/exec/{id}/start");
        let reply = s.request("POST", &path, Some(body)).await;
        assert_eq!(reply.status, status, "{id}");
    }
}

#[tokio::test]
async fn errors_of_attach_are_answers() {
    let s = Running::start();
    let reply = s
        .with("POST", "/containers/missing/attach", "Upgrade: tcp\r\n", "")
        .await;
    assert_eq!(
        (reply.status, reply.message().as_str()),
        (404, "No such container: missing")
    );
    let mut socket = attach(&s, "/containers/missing/attach", "", "").await;
    let head = read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
}

#[tokio::test]
async fn a_client_that_goes_ends_its_work() {
    let s = Running::start();
    let paths = [
        ("GET", "/containers/a/logs?stdout=1&follow=1"),
        ("GET", "/events"),
        ("POST", "/images/create?fromImage=endless:x"),
        ("POST", "/containers/forever/wait"),
        ("POST", "/v1.24/containers/forever/wait"),
        ("POST", "/containers/a/attach?stream=1"),
    ];
    for (n, (method, path)) in paths.into_iter().enumerate() {
        let before = s.fake.calls.lock().unwrap().len();
        let mut socket = s.connect().await;
        let request = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n\r\n");
        socket.write_all(request.as_bytes()).await.unwrap();
        eventually(|| s.fake.calls.lock().unwrap().len() > before).await;
        assert_eq!(s.fake.drops(), n, "{path}");
        if !path.contains("v1.24") {
            assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 200"));
        }
        drop(socket);
        eventually(|| s.fake.drops() == n + 1).await;
    }
}

#[tokio::test]
async fn a_client_that_stops_writing_and_then_goes_is_noticed() {
    let s = Running::start();
    let mut socket = attach(&s, &format!("/containers/tty/attach{ALL}"), UPGRADE, "").await;
    read_head(&mut socket).await;
    // Nothing is written to it and nothing read from it any more: only the hang-up tells.
    socket.write_all(b"ab").await.unwrap();
    let mut two = [0; 2];
    within(socket.read_exact(&mut two)).await.unwrap();
    drop(socket);
    eventually(|| s.fake.drops() == 1).await;
}

#[tokio::test]
async fn changes_are_done_to_their_end() {
    let s = Running::start();
    let mut socket = s.connect().await;
    socket
        .write_all(b"POST /containers/slow/start HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    eventually(|| s.fake.last() == "start slow").await;
    drop(socket);
    // Another request shows that the server went on meanwhile.
    assert_eq!(s.get("/_ping").await.status, 200);
    s.fake.go.notify_one();
    eventually(|| s.fake.finished.load(Ordering::SeqCst) == 1).await;
}

#[tokio::test]
async fn heads_of_streams_come_at_once() {
    let s = Running::start();
    let mut socket = s.connect().await;
    let request =
        "GET /events?filters=%7B%22image%22%3A%5B%22x%22%5D%7D HTTP/1.1\r\nHost: x\r\n\r\n";
    socket.write_all(request.as_bytes()).await.unwrap();
    assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 200"));
    let mut socket = s.connect().await;
    socket
        .write_all(b"POST /containers/forever/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 200"));
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let s = Running::start();
    let mut socket = s.connect().await;
    for _ in 0..3 {
        socket
            .write_all(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
            .await
            .unwrap();
        assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 200"));
    }
    let path = format!("POST /containers/a/attach{ALL} HTTP/1.1\r\nHost: x\r\n{UPGRADE}\r\n");
    socket.write_all(path.as_bytes()).await.unwrap();
    assert!(read_head(&mut socket).await.starts_with("HTTP/1.1 101"));
    socket.shutdown().await.unwrap();
    assert_eq!(rest(&mut socket).await, "\x02\0\0\0\0\0\0\x03bye");
}

#[tokio::test]
async fn the_server_ends_although_streams_do_not() {
    let mut s = Running::start();
    let mut logs = s.connect().await;
    logs.write_all(b"GET /containers/a/logs?stdout=1&follow=1 HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut logs).await;
    let mut attached = attach(&s, &format!("/containers/a/attach{ALL}"), UPGRADE, "").await;
    read_head(&mut attached).await;
    let mut idle = s.connect().await;
    idle.write_all(b"HEAD /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    read_head(&mut idle).await;
    s.stop.take().unwrap().send(()).unwrap();
    assert!(rest(&mut logs).await.ends_with("0\r\n\r\n"));
    assert_eq!(rest(&mut attached).await, "");
    assert_eq!(rest(&mut idle).await, "");
    drop(attached);
    within(&mut s.task).await.unwrap();
    assert!(UnixStream::connect(&s.path).await.is_err());
}

#[tokio::test]
async fn a_request_that_never_ends_is_cut_off_at_shutdown() {
    let mut s = Running::start();
    let mut socket = s.connect().await;
    socket
        .write_all(b"POST /v1.24/containers/forever/wait HTTP/1.1\r\nHost: x\r\n\r\n")
        .await
        .unwrap();
    eventually(|| s.fake.last().starts_with("wait")).await;
    s.stop.take().unwrap().send(()).unwrap();
    let bound = api::GRACE + Duration::from_secs(20);
    tokio::time::timeout(bound, &mut s.task)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(s.fake.drops(), 1);
}
