//! The API as bytes: versions, statuses, forms of errors, fields.

use serde_json::{Value, json};
use testkit::Daemon;

#[test]
fn ping() {
    let d = Daemon::fresh();
    for method in ["GET", "HEAD"] {
        let ping = d.api().version("").send(method, "/_ping", None).expect(200);
        assert_eq!(ping.header("api-version"), Some(d.api_version()));
        assert_eq!(ping.header("ostype"), Some("linux"));
        assert_eq!(ping.header("docker-experimental"), Some("false"));
        assert!(
            ping.header("cache-control")
                .is_some_and(|c| c.contains("no-cache"))
        );
        assert!(ping.header("server").is_some(), "{:?}", ping.headers);
        assert_eq!(ping.text(), if method == "GET" { "OK" } else { "" });
    }
}

#[test]
fn version_negotiation() {
    let d = Daemon::fresh();
    let ask = |version: &str| d.api().version(version).get("/version");
    let newest = d.api_version();
    let answer = ask("").expect(200).json();
    assert_eq!(answer["ApiVersion"], newest);
    assert_eq!(ask(&format!("/v{newest}")).status, 200);
    let minor: u32 = newest
        .split('.')
        .nth(1)
        .expect("1.x")
        .parse()
        .expect("a number");
    let new = format!("1.{}", minor + 1);
    let message = ask(&format!("/v{new}")).expect(400).message();
    assert_eq!(
        message,
        format!("client version {new} is too new. Maximum supported API version is {newest}")
    );
    if d.engine().is_wharf() {
        assert_eq!(answer["MinAPIVersion"], "1.24");
        for minor in 24..=51 {
            assert_eq!(ask(&format!("/v1.{minor}")).status, 200, "1.{minor}");
        }
        let message = ask("/v1.23").expect(400).message();
        assert_eq!(
            message,
            "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
        );
    }
    let old = d.docker();
    let mut command = old.command("version --format '{{.Client.APIVersion}}'");
    command.env("DOCKER_API_VERSION", "1.40");
    assert_eq!(testkit::run(&mut command).ok(), "1.40");
}

#[test]
fn old_clients_get_what_they_expect() {
    let d = Daemon::fresh();
    let images = |version: &str| {
        d.api()
            .version(version)
            .get("/images/json")
            .expect(200)
            .json()
    };
    assert!(
        images("/v1.41")[0]["VirtualSize"].as_u64() > Some(1000),
        "until 1.43"
    );
    if d.engine().is_wharf() {
        assert_eq!(
            images("/v1.51")[0].get("VirtualSize"),
            None,
            "gone since 1.44"
        );
    }
    let body = json!({"Image": "busybox", "Cmd": "sleep 1000", "Entrypoint": null});
    // A command as one string is what the oldest send.
    d.api()
        .version("/v1.24")
        .post("/containers/create?name=old", Some(&body))
        .expect(201);
    assert_eq!(d.inspect("old")["Config"]["Cmd"], json!(["sleep 1000"]));
}

#[test]
fn what_is_not_there() {
    let d = Daemon::fresh();
    let api = d.api();
    for client in [api.clone(), api.version("")] {
        let answer = client.get("/no/such/page").expect(404);
        assert_eq!(answer.header("content-type"), Some("application/json"));
        assert_eq!(answer.json(), json!({"message": "page not found"}));
    }
    assert_eq!(
        api.get("/containers/nobody/json").expect(404).message(),
        "No such container: nobody"
    );
    let message = api.get("/images/no/such:1/json").expect(404).message();
    assert!(message.contains("No such image: no/such:1"), "{message}");
    if d.engine().is_wharf() {
        for (method, path) in [
            ("GET", "/swarm"),
            ("GET", "/services"),
            ("GET", "/nodes"),
            ("GET", "/secrets"),
            ("GET", "/configs"),
            ("GET", "/tasks"),
            ("GET", "/plugins"),
            ("POST", "/session"),
        ] {
            let answer = api.send(method, path, None).expect(501);
            let message = answer.message();
            assert!(
                message.contains(path),
                "{method} {path} is named in: {message}"
            );
        }
    }
}

#[test]
fn statuses() {
    let d = Daemon::fresh();
    let api = d.api();
    let post = |path: &str, body: &Value| api.post(path, Some(body)).status;
    let sleeper = json!({"Image": "busybox", "Cmd": ["sleep", "1000"]});
    assert_eq!(post("/containers/create?name=box", &sleeper), 201);
    assert_eq!(post("/containers/create?name=box", &sleeper), 409);
    assert_eq!(post("/containers/create?name=a%20b", &sleeper), 400);
    assert_eq!(
        post("/containers/create", &json!({"Image": "nothing:1"})),
        404
    );
    assert_eq!(post("/containers/create", &Value::Null), 400);
    assert_eq!(api.post("/containers/box/start", None).status, 204);
    assert_eq!(api.post("/containers/box/start", None).status, 304);
    assert_eq!(api.delete("/containers/box").status, 409);
    assert_eq!(api.delete("/images/busybox").status, 409);
    assert_eq!(
        api.post("/containers/box/kill?signal=NOSUCH", None).status,
        400
    );
    assert_eq!(api.post("/containers/box/kill", None).status, 204);
    d.until("box", "exited");
    assert_eq!(api.post("/containers/box/kill", None).status, 409);
    assert_eq!(api.post("/containers/box/stop", None).status, 304);
    assert_eq!(api.delete("/containers/box").status, 204);
    for path in [
        "start",
        "stop",
        "kill",
        "restart",
        "wait",
        "attach",
        "resize?h=1&w=1",
    ] {
        assert_eq!(
            api.post(&format!("/containers/box/{path}"), None).status,
            404,
            "{path}"
        );
    }
    assert_eq!(api.delete("/containers/box").status, 404);
    assert_eq!(
        api.post("/images/busybox/tag?repo=x&tag=1", None).status,
        201
    );
    assert_eq!(
        api.post("/images/nothing/tag?repo=x&tag=1", None).status,
        404
    );
    assert_eq!(api.delete("/images/nothing").status, 404);
    d.assert_no_leaks();
}

#[test]
fn malformed_requests() {
    let d = Daemon::fresh();
    let api = d.api();
    let refused = |headers: &[(&str, &str)], body: &[u8]| {
        let answer = api
            .try_send("POST", "/containers/create", headers, body)
            .expect("an answer");
        let status = answer.status;
        // Docker 20.10 calls some of these its own fault.
        assert!(
            status == 400 || !d.engine().is_wharf() && status == 500,
            "{status}: {body:?}"
        );
    };
    let json_type = ("Content-Type", "application/json");
    refused(&[json_type], b"{\"Image\": ");
    refused(&[json_type], b"{\"Image\": 5}");
    refused(&[json_type], b"");
    refused(&[("Content-Type", "text/plain")], b"{}");
    for query in [
        "filters=nonsense",
        "filters=%5B%5D",
        "filters=%7B%22status%22:%5B%22odd%22%5D%7D",
        "limit=x",
    ] {
        let status = api.get(&format!("/containers/json?{query}")).status;
        // Docker 20.10 calls some of these its own fault.
        assert!(
            status == 400 || !d.engine().is_wharf() && status == 500,
            "{query}: {status}"
        );
    }
    assert_eq!(api.get("/_ping").status, 200, "the daemon is well");
}

#[test]
fn fields_unknown_and_unsupported() {
    let d = Daemon::fresh();
    let create = |body: Value| d.api().post("/containers/create", Some(&body));
    // Docker ignores what it does not know.
    create(json!({"Image": "busybox", "NoSuchField": 1, "HostConfig": {"NorThis": [1]}}))
        .expect(201);
    // Clients send all of them; at their defaults they mean nothing.
    create(json!({"Image": "busybox", "HostConfig": {
        "BlkioWeight": 0, "Links": [], "StorageOpt": null, "DeviceRequests": null, "Isolation": "",
        "VolumeDriver": "", "CpuRealtimeRuntime": 0, "LogConfig": {"Type": "", "Config": {}},
        "ConsoleSize": [0, 0], "MemorySwappiness": -1, "OomKillDisable": false, "Runtime": "",
    }}))
    .expect(201);
    if !d.engine().is_wharf() {
        return;
    }
    for (name, value) in [
        ("CpuCount", json!(1)),
        ("StorageOpt", json!({"size": "1G"})),
        ("Isolation", json!("hyperv")),
    ] {
        let answer = create(json!({"Image": "busybox", "HostConfig": {name: value}}));
        assert!(
            matches!(answer.status, 400 | 501),
            "{name}: {}",
            answer.text()
        );
        let message = answer.message();
        assert!(message.contains(name), "{name} is named in: {message}");
    }
}

#[test]
fn odd_paths_are_no_way_around() {
    let d = Daemon::fresh();
    let api = d.api().version("");
    for path in [
        "//_ping",
        "/v1.41//containers/json",
        "/v1.41/../containers/json",
        "/v1/containers/json",
        "/v1.41x/info",
    ] {
        let status = api.get(path).status;
        assert!((300..500).contains(&status), "{path}: {status}");
    }
    d.docker().ok("create --name box busybox true");
    let by_encoded = api.get("/containers/%62ox/json");
    assert_eq!(by_encoded.status, 200, "percent-encoding is decoded once");
}
