//! `/networks`: what reaches the backend, and what does not.

use crate::common::{Running, eventually};
use serde_json::json;

#[tokio::test]
async fn each_has_its_status_and_reaches_its_backend() {
    let s = Running::start();
    for (method, path, body, status, note) in [
        (
            "POST",
            "/networks/create",
            Some(r#"{"Name": "mine"}"#),
            201,
            "network create NetworkCreate { name: \"mine\"",
        ),
        (
            "POST",
            "/networks/create",
            Some(r#"{"Name": "busy"}"#),
            409,
            "network create",
        ),
        ("DELETE", "/networks/mine", None, 204, "network remove mine"),
        (
            "DELETE",
            "/networks/missing",
            None,
            404,
            "network remove missing",
        ),
        (
            "DELETE",
            "/networks/secret",
            None,
            403,
            "network remove secret",
        ),
        (
            "POST",
            "/networks/a%2Fb/connect",
            Some(r#"{"Container": "c"}"#),
            200,
            "network connect a/b NetworkConnect { container: \"c\", endpoint_config: None }",
        ),
        (
            "POST",
            "/networks/missing/connect",
            Some(r#"{"Container": "c"}"#),
            404,
            "network connect",
        ),
        (
            "POST",
            "/networks/mine/disconnect",
            Some(r#"{"Container": "c", "Force": true}"#),
            200,
            "network disconnect mine NetworkDisconnect { container: \"c\", force: true }",
        ),
        (
            "POST",
            "/networks/prune",
            None,
            200,
            "networks prune {} None",
        ),
        ("GET", "/networks", None, 200, "networks {}"),
        ("GET", "/networks/mine", None, 200, "network mine"),
        (
            "GET",
            "/networks/mine?verbose=true&scope=local",
            None,
            200,
            "network mine",
        ),
        (
            "GET",
            "/networks/mine?scope=swarm",
            None,
            404,
            "network mine",
        ),
    ] {
        let reply = s.request(method, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        let last = s.fake.last();
        assert!(last.starts_with(note), "{last}");
        if matches!(status, 204) || path.ends_with("connect") && status == 200 {
            assert_eq!(reply.text(), "", "{path}");
        }
    }
    let made = s
        .request("POST", "/networks/create", Some(r#"{"Name": "m"}"#))
        .await;
    assert_eq!(made.json(), json!({"Id": "n", "Warning": ""}));
    let pruned = s.request("POST", "/networks/prune", None).await;
    assert_eq!(pruned.json(), json!({"NetworksDeleted": ["old"]}));
}

#[tokio::test]
async fn what_cannot_be_meant_reaches_no_backend() {
    let s = Running::start();
    for (method, path, body, status, message) in [
        (
            "POST",
            "/networks/create",
            None,
            400,
            "invalid JSON: got EOF while reading request body",
        ),
        (
            "POST",
            "/networks/create",
            Some("{}"),
            400,
            "invalid name: ",
        ),
        (
            "POST",
            "/networks/create",
            Some(r#"{"Name": "bridge"}"#),
            403,
            "operation is not permitted on predefined bridge network ",
        ),
        (
            "POST",
            "/networks/create",
            Some(r#"{"Name": "a", "name": "b"}"#),
            400,
            "invalid JSON: the member \"NetworkCreate.Name\" is there twice",
        ),
        (
            "POST",
            "/networks/create",
            Some(r#"{"Name": "a", "IPAM": {"Config": [{"Subnet": "x"}]}}"#),
            400,
            "invalid network config:\ninvalid subnet x: invalid CIDR block notation",
        ),
        (
            "POST",
            "/networks/create",
            Some(r#"{"Name": "a", "Internal": "x"}"#),
            400,
            "invalid JSON: json: cannot unmarshal string into Go struct field NetworkCreate.Internal of type bool",
        ),
        (
            "POST",
            "/networks/m/connect",
            Some("{}"),
            400,
            "invalid name or ID supplied: \"\"",
        ),
        (
            "POST",
            "/networks/m/disconnect",
            Some("{}"),
            400,
            "invalid name or ID supplied: \"\"",
        ),
        (
            "POST",
            "/networks/m/connect",
            Some(r#"{"Container": "c", "EndpointConfig": {"IPAMConfig": {"IPv4Address": "x"}}}"#),
            400,
            "invalid endpoint settings:\ninvalid IPv4 address: x",
        ),
        (
            "POST",
            "/networks/bridge/connect",
            Some(r#"{"Container": "c", "EndpointConfig": {"Aliases": ["x"]}}"#),
            400,
            "invalid endpoint settings:\nnetwork-scoped alias is supported only",
        ),
        (
            "GET",
            "/networks?filters={%22x%22:[%22y%22]}",
            None,
            400,
            "invalid filter 'x'",
        ),
        (
            "POST",
            "/networks/prune?filters={%22name%22:[%22y%22]}",
            None,
            400,
            "invalid filter 'name'",
        ),
        (
            "POST",
            "/networks/prune?filters={%22until%22:[%22y%22]}",
            None,
            400,
            "invalid filter 'until=y'",
        ),
        (
            "GET",
            "/networks/a?verbose=maybe",
            None,
            400,
            "invalid value for verbose: maybe: strconv.ParseBool: parsing \"maybe\": invalid syntax",
        ),
    ] {
        let reply = s.request(method, path, body).await;
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        assert!(reply.message().starts_with(message), "{}", reply.message());
    }
    assert_eq!(s.fake.last(), "", "no backend was asked");
}

#[tokio::test]
async fn bodies_are_read_as_go_reads_them_and_as_their_version_means_them() {
    let s = Running::start();
    let body = r#"{"name": "mine", "CheckDuplicate": true, "enableIPv4": false, "ENABLEIPV6": true,
        "ipam": {"config": [{"subnet": "fd00::/64", "ipRange": "", "AUXILIARYADDRESSES": null}],
        "Options": null}, "Labels": null, "ConfigFrom": null, "FromTheFuture": 1}"#;
    for (version, v4) in [("1.47", "None"), ("1.48", "Some(false)")] {
        let path = format!("/v{version}/networks/create");
        let reply = s.request("POST", &path, Some(body)).await;
        assert_eq!(reply.status, 201, "{}", reply.text());
        let last = s.fake.last();
        let wanted = format!("enable_ipv4: {v4}, enable_ipv6: Some(true)");
        assert!(
            last.contains(&wanted) && last.contains("fd00::/64"),
            "{last}"
        );
    }
    let body = r#"{"container": "c", "endpointconfig": {"gwpriority": 4, "ipamconfig":
        {"ipv4address": "10.0.0.2"}, "MacAddress": "02:42:00:00:00:01", "Gateway": "10.0.0.1"}}"#;
    for (version, priority, mac) in [
        ("1.43", "gw_priority: 0", "mac_address: \"\""),
        ("1.47", "gw_priority: 0", "mac_address: \"02"),
        ("1.48", "gw_priority: 4", "mac_address: \"02"),
    ] {
        let path = format!("/v{version}/networks/mine/connect");
        assert_eq!(s.request("POST", &path, Some(body)).await.status, 200);
        let last = s.fake.last();
        for part in [priority, mac, "ipv4_address: \"10.0.0.2\"", "gateway: \"\""] {
            assert!(last.contains(part), "{version}: {last}");
        }
    }
    let containers = async |version: &str| {
        let list = s.get(&format!("/v{version}/networks")).await.json();
        list[0]["Containers"].as_object().map_or(0, |c| c.len())
    };
    assert_eq!((containers("1.27").await, containers("1.28").await), (1, 0));
}

#[tokio::test]
async fn moments_are_settled_when_they_arrive() {
    let s = Running::start();
    s.request(
        "POST",
        "/networks/prune?filters={%22until%22:[%221700000000.5%22],%22label!%22:[%22a%22]}",
        None,
    )
    .await;
    assert_eq!(
        s.fake.last(),
        "networks prune {\"label!\": [\"a\"]} Some(1700000000500000000)"
    );
}

#[tokio::test]
async fn a_client_that_goes_away_leaves_nothing_half_done() {
    use tokio::io::AsyncWriteExt;
    let s = Running::start();
    let mut socket = s.connect().await;
    let body = r#"{"Container": "c"}"#;
    let head = format!(
        "POST /networks/slow/connect HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    socket.write_all(head.as_bytes()).await.unwrap();
    eventually(|| s.fake.last().starts_with("network connect slow")).await;
    drop(socket);
    s.fake.go.notify_one();
    eventually(|| s.fake.finished.load(std::sync::atomic::Ordering::SeqCst) == 1).await;
}
