//! `POST /containers/create`: bodies good, bad and hostile.

use crate::common::Running;
use serde_json::json;

#[tokio::test]
async fn what_the_docker_cli_sends_is_accepted() {
    let s = Running::start();
    for body in [
        include_str!("fixtures/docker-28.2.2-create-plain.json"),
        include_str!("fixtures/docker-28.2.2-create-everything.json"),
        include_str!("fixtures/docker-28.2.2-create-no-network.json"),
    ] {
        let reply = s
            .request("POST", "/v1.50/containers/create?name=web", Some(body))
            .await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        assert_eq!(reply.json(), json!({"Id": "c0ffee", "Warnings": []}));
        assert_eq!(s.fake.last(), "create Some(\"web\") None");
    }
    let body = include_str!("fixtures/docker-28.2.2-create-everything.json");
    s.request("POST", "/containers/create", Some(body)).await;
    let request = s.fake.created.lock().unwrap().take().unwrap();
    assert_eq!(request.host_config.memory, 64 << 20);
    assert_eq!(request.host_config.binds, ["/a:/b", "vol:/c"]);
    assert_eq!(request.config.hostname, "foo");
    assert!(request.host_config.auto_remove);
    s.request("POST", "/v1.24/containers/create", Some(body))
        .await;
    let request = s.fake.created.lock().unwrap().take().unwrap();
    assert!(!request.host_config.auto_remove);
}

#[tokio::test]
async fn bad_bodies_are_refused_in_words() {
    let s = Running::start();
    for (body, status, message) in [
        ("", 400, "invalid JSON: got EOF while reading request body"),
        (
            "  ",
            400,
            "invalid JSON: got EOF while reading request body",
        ),
        ("{", 400, "invalid JSON: "),
        ("{\"Image\": 1}", 400, "invalid JSON: "),
        ("{\"Image\": \"a\"} x", 400, "unexpected content after JSON"),
        ("[]", 400, "invalid JSON: "),
        (
            "null",
            400,
            "config cannot be empty in order to create a container",
        ),
        (
            "{\"HostConfig\": {}}",
            400,
            "config cannot be empty in order to create a container",
        ),
        ("{\"Cmd\": []}", 400, "no image specified"),
        (
            "{\"Image\": \"a\", \"HostConfig\": {\"CpuCount\": 5}}",
            400,
            "HostConfig.CpuCount is not supported by wharf yet: leave it out",
        ),
        (
            "{\"Image\": \"a\", \"HostConfig\": {\"Memory\": 5}}",
            400,
            "Minimum memory limit allowed is 6MB",
        ),
    ] {
        let reply = s.request("POST", "/containers/create", Some(body)).await;
        assert_eq!(reply.status, status, "{body}");
        assert!(reply.message().starts_with(message), "{}", reply.message());
    }
    let deep = "[".repeat(100_000);
    assert_eq!(
        s.request("POST", "/containers/create", Some(&deep))
            .await
            .status,
        400
    );
    let name = s
        .request("POST", "/containers/create?name=-a", Some("{}"))
        .await;
    assert_eq!(
        name.message(),
        "Invalid container name (-a), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
    );
    assert_eq!(s.fake.last(), "", "no backend was asked");
}

#[tokio::test]
async fn bodies_are_read_as_go_reads_them() {
    let s = Running::start();
    let body = r#"{"image": "a", "LABELS": {"a": "1", "A": "2"}, "Cmd": null, "hostconfig": {
        "MEMORY": 67108864, "mounts": [{"type": "tmpfs", "target": "/t", "READONLY": true}],
        "restartpolicy": {"name": "always"}, "Binds": null}}"#;
    let reply = s.request("POST", "/containers/create", Some(body)).await;
    assert_eq!(reply.status, 201, "{}", reply.text());
    let request = s.fake.created.lock().unwrap().take().unwrap();
    let host = request.host_config;
    assert_eq!(
        (host.memory, host.restart_policy.name.as_str()),
        (64 << 20, "always")
    );
    assert!(host.mounts[0].read_only && host.mounts[0].target == "/t");
    assert_eq!(request.config.labels.len(), 2);
    for (body, message) in [
        (
            r#"{"Image": "a", "HostConfig": {"Privileged": false}, "hostConfig": {"Privileged": true}}"#,
            "invalid JSON: the member \"HostConfig\" is there twice",
        ),
        (
            r#"{"Image": "a", "HostConfig": {"Privileged": false, "privileged": true}}"#,
            "invalid JSON: the member \"Privileged\" is there twice",
        ),
        (
            r#"{"Image": "a", "Image": "b"}"#,
            "invalid JSON: the member \"Image\" is there twice",
        ),
        (
            r#"{"Image": "a", "HostConfig": {"Mounts": [{"Source": "/a", "source": "/b"}]}}"#,
            "invalid JSON: the member \"CreateRequest.HostConfig.Mounts.Source\" is there twice",
        ),
        (
            r#"{"Image": "a", "HostConfig": {"Memory": "1"}}"#,
            "invalid JSON: json: cannot unmarshal string into Go struct field \
             CreateRequest.HostConfig.Memory of type int64",
        ),
    ] {
        let reply = s.request("POST", "/containers/create", Some(body)).await;
        assert_eq!(reply.status, 400, "{body}");
        assert!(reply.message().starts_with(message), "{}", reply.message());
    }
}

#[tokio::test]
async fn bodies_must_say_that_they_are_json() {
    let s = Running::start();
    for (headers, message) in [
        (
            "Content-Length: 2\r\n",
            "unsupported Content-Type header (): must be 'application/json'",
        ),
        (
            "Content-Type: text/plain\r\nContent-Length: 2\r\n",
            "unsupported Content-Type header (text/plain): must be 'application/json'",
        ),
        (
            "Content-Length: 0\r\n",
            "invalid JSON: got EOF while reading request body",
        ),
    ] {
        let reply = s.with("POST", "/containers/create", headers, "{}").await;
        assert_eq!((reply.status, reply.message().as_str()), (400, message));
    }
    let headers = "Content-Type: Application/JSON; charset=utf-8\r\nContent-Length: 13\r\n";
    let reply = s
        .with("POST", "/containers/create", headers, "{\"Image\":\"a\"}")
        .await;
    assert_eq!(reply.status, 201);
}

#[tokio::test]
async fn bodies_are_bounded() {
    let s = Running::start();
    let body = format!("{{\"Image\": \"{}\"}}", "a".repeat(5 << 20));
    let mut socket = s.connect().await;
    let head = format!(
        "POST /containers/create HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    use tokio::io::AsyncWriteExt;
    socket.write_all(head.as_bytes()).await.unwrap();
    // The server answers and closes without reading all of it.
    let _ = socket.write_all(body.as_bytes()).await;
    let head = crate::common::read_head(&mut socket).await;
    assert!(head.starts_with("HTTP/1.1 413 "), "{head}");
}

#[tokio::test]
async fn hostile_requests_get_an_answer_or_a_closed_door() {
    let s = Running::start();
    for request in [
        "GET / HTTP/9.9\r\n\r\n",
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        "GET http://[ HTTP/1.1\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET http://x/_ping HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /%00 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /_ping?%zz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "POST /containers/create HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n{}",
        "POST /containers/create HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n{}",
        "POST /containers/a/start HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    ] {
        let answer = s.raw(request.as_bytes()).await;
        let text = String::from_utf8_lossy(&answer).into_owned();
        assert!(
            text.is_empty() || text.starts_with("HTTP/1.1 "),
            "{request}: {text}"
        );
    }
    let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(200_000));
    let mut socket = s.connect().await;
    use tokio::io::AsyncWriteExt;
    let _ = socket.write_all(long.as_bytes()).await;
    drop(socket);
    assert_eq!(s.get("/_ping").await.status, 200);
}
