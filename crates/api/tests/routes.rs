//! Every route over a real socket: statuses, headers, versions and what reaches the backends.

use crate::common::Running;
use serde_json::json;

#[tokio::test]
async fn ping_tells_what_clients_negotiate_by() {
    let s = Running::start();
    for (method, body) in [("GET", "OK"), ("HEAD", "")] {
        for path in ["/_ping", "/v1.24/_ping", "/v1.51/_ping"] {
            let reply = s.request(method, path, None).await;
            assert_eq!((reply.status, reply.text()), (200, body));
            for (name, value) in [
                ("api-version", "1.51"),
                ("docker-experimental", "false"),
                ("ostype", "linux"),
                ("builder-version", "1"),
                ("swarm", "inactive"),
                ("pragma", "no-cache"),
                ("cache-control", "no-cache, no-store, must-revalidate"),
            ] {
                assert_eq!(reply.headers[name], value);
            }
            assert!(reply.headers["server"].starts_with("Wharf/"));
        }
    }
}

#[tokio::test]
async fn versions_outside_are_refused() {
    let s = Running::start();
    let old = s.get("/v1.23/info").await;
    assert_eq!(old.status, 400);
    assert!(old.message().starts_with("client version 1.23 is too old."));
    let new = s.get("/v1.99/info").await;
    assert_eq!(
        new.message(),
        "client version 1.99 is too new. Maximum supported API version is 1.51"
    );
    assert_eq!(new.headers["api-version"], "1.51");
}

#[tokio::test]
async fn known_paths_name_themselves_and_unknown_ones_do_not() {
    let s = Running::start();
    for (method, path, named) in [
        ("GET", "/plugins/data/json", "GET /plugins/{name}/json"),
        ("POST", "/session", "POST /session"),
        ("POST", "/v1.51/grpc", "POST /grpc"),
        ("GET", "/swarm", "GET /swarm"),
    ] {
        let headers = "Upgrade: h2c\r\n";
        let reply = s.with(method, path, headers, "").await;
        assert_eq!(reply.status, 501, "{path}");
        assert_eq!(
            reply.message(),
            format!("{named} is not supported by wharf yet")
        );
    }
    for (method, path) in [
        ("GET", "/nothing"),
        ("DELETE", "/info"),
        ("GET", "/v1.51/v1.51/info"),
    ] {
        let reply = s.request(method, path, None).await;
        assert_eq!(
            (reply.status, reply.message().as_str()),
            (404, "page not found")
        );
    }
}

#[tokio::test]
async fn errors_have_one_form() {
    let s = Running::start();
    for (name, status) in [
        ("missing", 404),
        ("busy", 409),
        ("secret", 403),
        ("anonymous", 401),
        ("later", 503),
        ("gone", 499),
        ("broken", 500),
    ] {
        let reply = s.post(&format!("/containers/{name}/start")).await;
        assert_eq!(reply.status, status);
        assert_eq!(reply.headers["content-type"], "application/json");
        assert_eq!(
            reply.json(),
            json!({"message": format!("No such container: {name}")})
        );
    }
    let same = s.post("/containers/same/start").await;
    assert_eq!((same.status, same.text()), (304, ""));
    let kill = s.post("/containers/missing/kill").await;
    assert_eq!(
        kill.message(),
        "cannot kill container: missing: No such container: missing"
    );
}

#[tokio::test]
async fn containers_live() {
    let s = Running::start();
    for (method, path, status, call) in [
        ("POST", "/containers/a/start", 204, "start a"),
        ("POST", "/containers/a/stop", 204, "stop a None None"),
        (
            "POST",
            "/containers/a/stop?t=-1&signal=INT",
            204,
            "stop a Some(\"INT\") Some(-1)",
        ),
        (
            "POST",
            "/v1.41/containers/a/stop?signal=INT",
            204,
            "stop a None None",
        ),
        (
            "POST",
            "/containers/a/restart?t=3",
            204,
            "restart a None Some(3)",
        ),
        (
            "POST",
            "/containers/a/kill?signal=9",
            204,
            "kill a Some(\"9\")",
        ),
        ("POST", "/containers/a/resize?h=4&w=5", 200, "resize a 4 5"),
        ("POST", "/exec/e/resize?h=4&w=5", 200, "exec_resize e 4 5"),
        (
            "DELETE",
            "/containers/a?force=1&v=true",
            204,
            "remove a RemoveOptions { force: true, volumes: true, link: false }",
        ),
        (
            "GET",
            "/containers/json?all=1&limit=3&filters=%7B%22name%22%3A%7B%22x%22%3Atrue%7D%7D",
            200,
            "list ListOptions { all: true, limit: Some(3), size: false, \
             filters: {\"name\": [\"x\"]} }",
        ),
        (
            "GET",
            "/containers/a%2Fb/json?size=1",
            200,
            "inspect a/b true",
        ),
    ] {
        let reply = s.request(method, path, None).await;
        assert_eq!(
            (reply.status, s.fake.last().as_str()),
            (status, call),
            "{path}"
        );
        assert_eq!(reply.body.is_empty(), !path.contains("json"));
    }
    for (method, path, message) in [
        (
            "POST",
            "/containers/a/stop?t=x",
            "invalid value \"x\" for t: it must be a number",
        ),
        ("POST", "/containers/a/stop?signal=X", "invalid signal: X"),
        (
            "POST",
            "/containers/a/resize?h=1",
            "w is missing: give the terminal's h and w",
        ),
        (
            "GET",
            "/containers/json?limit=x",
            "invalid value \"x\" for limit: it must be a number",
        ),
        (
            "GET",
            "/containers/json?filters=%7B%22x%22%3A%5B%5D%7D",
            "invalid filter 'x'",
        ),
        (
            "GET",
            "/events?filters=%7B%22x%22%3A%5B%5D%7D",
            "invalid filter 'x'",
        ),
        (
            "GET",
            "/containers/json?filters=%7B%22status%22%3A%5B%22up%22%5D%7D",
            "invalid filter 'status=up'",
        ),
        ("GET", "/images/json?filters=x", "invalid filter"),
        (
            "GET",
            "/containers/a/logs",
            "Bad parameters: you must choose at least one stream",
        ),
        (
            "POST",
            "/containers/a/wait?condition=x",
            "invalid condition: \"x\"",
        ),
    ] {
        let reply = s.request(method, path, None).await;
        assert_eq!((reply.status, reply.message().as_str()), (400, message));
    }
    let body = s
        .request("POST", "/containers/a/start", Some("{\"Binds\": []}"))
        .await;
    assert_eq!(body.status, 400);
}

#[tokio::test]
async fn inspect_has_every_member_of_host_config() {
    let s = Running::start();
    let new = s.get("/containers/a/json").await.json();
    assert_eq!(new["HostConfig"]["CpuShares"], 0);
    assert_eq!(new["HostConfig"]["MaskedPaths"][0], "/proc/asound");
    assert_eq!(new["NetworkSettings"]["IPAddress"], "");
    assert!(new["HostConfig"].get("KernelMemory").is_none());
    let old = s.get("/v1.24/containers/a/json").await.json();
    assert_eq!(old["HostConfig"]["KernelMemory"], 0);
}

#[tokio::test]
async fn wait_answers_by_version() {
    let s = Running::start();
    let reply = s.post("/containers/a/wait?condition=removed").await;
    assert_eq!((reply.status, reply.text()), (200, "{\"StatusCode\":3}\n"));
    assert_eq!(s.fake.last(), "wait a Removed");
    let old = s.post("/v1.29/containers/a/wait?condition=removed").await;
    assert_eq!((old.status, old.text()), (200, "{\"StatusCode\":3}\n"));
    assert_eq!(s.fake.last(), "wait a NotRunning");
    let failing = s.post("/containers/failing/wait").await.json();
    assert_eq!(failing["Error"]["Message"], "no removal");
    let silent = s
        .post("/v1.30/containers/failing/wait?condition=removed")
        .await;
    assert_eq!((silent.status, silent.text()), (200, ""));
    assert_eq!(s.post("/containers/missing/wait").await.status, 404);
}

#[tokio::test]
async fn logs_are_framed_unless_there_is_a_terminal() {
    let s = Running::start();
    let framed = "\x01\0\0\0\0\0\0\x06hello\n\x02\0\0\0\0\0\0\x03oh\n";
    for (path, media, body) in [
        (
            "/containers/a/logs?stdout=1&stderr=1",
            "application/vnd.docker.multiplexed-stream",
            framed,
        ),
        (
            "/v1.41/containers/a/logs?stdout=1",
            "application/vnd.docker.raw-stream",
            framed,
        ),
        (
            "/containers/tty/logs?stdout=1",
            "application/vnd.docker.raw-stream",
            "hello\noh\n",
        ),
    ] {
        let reply = s.get(path).await;
        assert_eq!(
            (reply.headers["content-type"].as_str(), reply.text()),
            (media, body)
        );
    }
    s.get("/containers/a/logs?stdout=1&since=1.5&tail=7&until=0&timestamps=1")
        .await;
    assert_eq!(
        s.fake.last(),
        "logs a LogsOptions { stdout: true, stderr: false, follow: false, \
         since: Some(1500000000), until: None, tail: Some(7), timestamps: true, details: false }"
    );
    assert_eq!(s.get("/containers/missing/logs?stdout=1").await.status, 404);
}

#[tokio::test]
async fn execs_are_made_and_started() {
    let s = Running::start();
    let body = r#"{"Cmd":["a"],"Env":null,"Detach":true,"ConsoleSize":[1,2]}"#;
    let made = s.request("POST", "/containers/a/exec", Some(body)).await;
    assert_eq!((made.status, made.json()), (201, json!({"Id": "e0"})));
    let none = s.request("POST", "/containers/a/exec", Some("{}")).await;
    assert_eq!(
        (none.status, none.message().as_str()),
        (400, "No exec command specified")
    );
    let started = s
        .request("POST", "/exec/e0/start", Some(r#"{"Detach":true}"#))
        .await;
    assert_eq!((started.status, started.text()), (200, ""));
    let busy = s
        .request("POST", "/exec/busy/start", Some(r#"{"Detach":true}"#))
        .await;
    assert_eq!(busy.status, 409);
    assert_eq!(s.post("/exec/missing/start").await.status, 404);
    let shown = s.get("/exec/e0/json").await.json();
    assert_eq!(
        (shown["ID"].as_str(), shown["ExitCode"].as_i64()),
        (Some("e0"), Some(0))
    );
}

#[tokio::test]
async fn images_come_and_go() {
    let s = Running::start();
    for (method, path, status, call) in [
        (
            "POST",
            "/images/create?fromImage=a%2Fb&tag=c&platform=linux",
            200,
            "pull a/b:c Some(\"linux\") None",
        ),
        (
            "POST",
            "/images/create?fromImage=a&tag=sha256%3A00",
            200,
            "pull a@sha256:00 None None",
        ),
        ("GET", "/images/json?all=1", 200, "images true {}"),
        (
            "POST",
            "/images/a/b/c:x/push?tag=d&platform=%7B%22os%22%3A%22linux%22%7D",
            200,
            "push a/b/c:d Some(\"linux\") None",
        ),
        ("POST", "/images/a:5/b/push", 200, "push a:5/b None None"),
        ("GET", "/images/search?term=a&limit=3", 200, "search a 3 {}"),
        ("GET", "/distribution/a/b:1/json", 200, "distribution a/b:1"),
        (
            "GET",
            "/v1.40/images/json?filter=a",
            200,
            "images false {\"reference\": [\"a\"]}",
        ),
        ("GET", "/images/a/b:c/json", 200, "image a/b:c"),
        (
            "POST",
            "/images/a/b/tag?repo=c%2Fd&tag=e",
            201,
            "tag a/b c/d:e",
        ),
        (
            "DELETE",
            "/images/a/b:c?force=1",
            200,
            "rmi a/b:c true false",
        ),
    ] {
        let reply = s.request(method, path, None).await;
        assert_eq!((reply.status, s.fake.last().as_str()), (status, call));
    }
    let pull = s.post("/images/create?fromImage=a:b").await;
    assert_eq!(
        pull.text(),
        "{\"status\":\"done\"}\r\n{\"status\":\"done\"}\r\n"
    );
    assert_eq!(
        s.post("/images/create?fromImage=missing:x").await.status,
        404
    );
    assert_eq!(s.post("/images/create?fromImage=a").await.status, 200);
    assert_eq!(s.post("/images/create").await.status, 400);
    let path = "/images/create?fromSrc=x.example/y.tar";
    assert_eq!(s.post(path).await.status, 200);
    assert!(
        s.fake
            .last()
            .ends_with("from: \"http://x.example/y.tar\" }")
    );
    assert_eq!(s.post("/images/a/tag").await.status, 400);
    let auth = "X-Registry-Auth: eyJ1c2VybmFtZSI6ImEifQ\r\nContent-Length: 0\r\n";
    s.with("POST", "/images/create?fromImage=a:b", auth, "")
        .await;
    assert!(s.fake.last().contains("username: \"a\""));
    let sized = "Content-Type: application/x-tar\r\nContent-Length: 5\r\n";
    let load = s.with("POST", "/images/load?quiet=0", sized, "12345").await;
    assert_eq!((load.status, s.fake.last().as_str()), (200, "load 5 false"));
    let chunked = "Transfer-Encoding: chunked\r\n";
    let path = "/images/create?fromSrc=-&repo=a&tag=b&changes=X&changes=Y&message=m";
    s.with("POST", path, chunked, "3\r\nabc\r\n0\r\n\r\n").await;
    assert_eq!(
        s.fake.last(),
        "import 3 ImportOptions { reference: \"a:b\", message: \"m\", changes: [\"X\", \"Y\"], \
         platform: None, from: \"\" }"
    );
    assert!(
        s.get("/v1.43/images/a/json")
            .await
            .json()
            .get("VirtualSize")
            .is_some()
    );
    assert!(
        s.get("/v1.44/images/a/json")
            .await
            .json()
            .get("VirtualSize")
            .is_none()
    );
}

#[tokio::test]
async fn the_system_answers() {
    let s = Running::start();
    assert_eq!(s.get("/version").await.json()["ApiVersion"], "1.51");
    assert_eq!(s.get("/info").await.json()["NCPU"], 0);
    let events = s.get("/events?since=1&until=2").await;
    assert_eq!(events.headers["content-type"], "application/json");
    assert_eq!(events.json()["Action"], "start");
    assert_eq!(s.get("/events?since=3&until=2").await.status, 400);
    assert_eq!(s.get("/events?since=yesterday").await.status, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_done_in_registries() {
    let s = Running::start();
    for (method, path, body, status, noted) in [
        (
            "GET",
            "/wharf/manifests/reg:5000/a/b:1?deep=1",
            "",
            200,
            "manifest reg:5000/a/b:1 deep=true insecure=false",
        ),
        (
            "GET",
            "/v1.51/wharf/manifests/a?insecure=1",
            "",
            200,
            "manifest a deep=false insecure=true",
        ),
        (
            "PUT",
            "/wharf/manifests/a/b:1",
            r#"{"MediaType":"m","Raw":""}"#,
            201,
            "put a/b:1 m as a",
        ),
        (
            "DELETE",
            "/wharf/manifests/a/b:1?force=1",
            "",
            200,
            "remove a/b:1 force=true",
        ),
        ("GET", "/wharf/tags/a/b", "", 200, "tags a/b"),
    ] {
        let headers = format!(
            "X-Registry-Auth: eyJ1c2VybmFtZSI6ImEifQ\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\n",
            body.len()
        );
        let answer = s.with(method, path, &headers, body).await;
        assert_eq!((answer.status, s.fake.last().as_str()), (status, noted));
    }
    assert_eq!(s.get("/wharf/manifests").await.status, 404);
    assert_eq!(s.get("/wharf/tags/").await.status, 404);
}
