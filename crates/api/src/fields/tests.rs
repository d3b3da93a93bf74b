use std::collections::BTreeSet;

use serde_json::json;
use types::{ErrorKind, container::ContainerConfig};

use super::*;

const DESCRIPTIONS: [&str; 2] = [
    include_str!("../../../../spec/docker-engine-api-1.41.yaml"),
    include_str!("../../../../spec/docker-engine-api-1.51.yaml"),
];

/// Names of the properties under a definition, by indentation: the descriptions are regular.
fn properties(description: &str, definition: &str) -> BTreeSet<String> {
    let indent = |line: &str| line.len() - line.trim_start().len();
    let mut lines = description
        .lines()
        .skip_while(|line| *line != format!("  {definition}:"))
        .skip(1)
        .take_while(|line| {
            line.is_empty() || line.trim_start().starts_with('#') || indent(line) > 2
        });
    let properties = lines
        .by_ref()
        .find(|line| line.trim_start() == "properties:")
        .unwrap();
    let level = indent(properties) + 2;
    lines
        .filter(|line| !line.trim_start().starts_with('#') && indent(line) == level)
        .filter_map(|line| line.trim().split_once(':'))
        .map(|(name, _)| name.to_owned())
        .collect()
}

/// Members that the typed configuration has.
fn typed() -> BTreeSet<String> {
    let host = HostConfig {
        tmpfs: [("/t".to_owned(), String::new())].into(),
        init: Some(true),
        storage_opt: [("size".to_owned(), String::new())].into(),
        sysctls: [("a".to_owned(), String::new())].into(),
        annotations: [("a".to_owned(), String::new())].into(),
        kernel_memory: 1,
        kernel_memory_tcp: 1,
        mounts: vec![types::container::MountSpec::default()],
        ..Default::default()
    };
    let Value::Object(map) = serde_json::to_value(host).unwrap() else {
        panic!("not an object")
    };
    map.into_iter().map(|(name, _)| name).collect()
}

fn tabled() -> BTreeSet<String> {
    HOST.iter().map(|f| f.name.to_owned()).collect()
}

#[test]
fn every_described_member_is_supported_or_in_the_table() {
    assert_eq!(typed().intersection(&tabled()).count(), 0);
    let listed: BTreeSet<String> = SUPPORTED.iter().map(|name| (*name).to_owned()).collect();
    assert_eq!(listed, typed());
    let ours = &typed() | &tabled();
    for description in DESCRIPTIONS {
        let described =
            &properties(description, "HostConfig") | &properties(description, "Resources");
        assert!(described.len() >= 69, "{}", described.len());
        assert_eq!(described.difference(&ours).next(), None);
    }
}

#[test]
fn every_described_member_of_config_is_typed() {
    let config = json!({"ExposedPorts": {"80/tcp": {}}, "Healthcheck": {}, "ArgsEscaped": true,
        "Volumes": {"/v": {}}, "NetworkDisabled": true, "MacAddress": "m", "OnBuild": ["x"],
        "StopSignal": "s", "StopTimeout": 1, "Shell": ["sh"]});
    let config: ContainerConfig = serde_json::from_value(config).unwrap();
    let ours = serde_json::to_value(config).unwrap();
    for description in DESCRIPTIONS {
        for name in properties(description, "ContainerConfig") {
            assert!(ours.get(&name).is_some(), "{name}");
        }
    }
}

fn request(host: Value) -> CreateRequest {
    serde_json::from_value(json!({"Image": "i", "HostConfig": host})).unwrap()
}

/// A value for `name` of the shape that it has, set to something.
fn something(field: &Field) -> Value {
    match field.name {
        _ if field.shown.starts_with('"') => json!("something"),
        "Capabilities" => json!(["a"]),
        _ if field.shown == "[]" => json!(["a"]),
        _ => json!(7),
    }
}

#[test]
fn each_is_refused_by_name_and_accepted_with_its_defaults() {
    for field in HOST {
        let failure = check(&request(json!({field.name: something(field)}))).unwrap_err();
        assert_eq!(failure.kind, ErrorKind::NotImplemented);
        let wanted = format!(
            "HostConfig.{} is not supported by wharf yet: leave it out",
            field.name
        );
        assert_eq!(failure.message, wanted);
        for zero in [
            json!(null),
            json!(0),
            json!(""),
            json!([]),
            json!({}),
            json!(false),
        ] {
            check(&request(json!({field.name: zero}))).unwrap();
        }
        for also in field.also {
            let number = also.parse::<i64>().map(Value::from);
            let value = number.unwrap_or_else(|_| json!(also));
            check(&request(json!({field.name: value}))).unwrap();
        }
    }
    check(&request(json!({"FromTheFuture": 1}))).unwrap();
}

#[test]
fn parts_of_supported_members_are_refused_by_name() {
    let refused = |body: Value| {
        let request: CreateRequest = serde_json::from_value(body).unwrap();
        check(&request).unwrap_err().message
    };
    for (body, name) in [
        (json!({"NetworkDisabled": true}), "Config.NetworkDisabled"),
        (
            json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Aliases": ["a"]}}}}),
            "invalid config for network bridge: invalid endpoint settings:\nnetwork-scoped alias is",
        ),
        (
            json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {
                "IPAMConfig": {"IPv4Address": "1.2.3.4"}, "MacAddress": "zz"}}}}),
            "invalid config for network bridge: invalid endpoint settings:\n* user specified IP \
             address is supported on user defined networks only\n* invalid MAC address zz",
        ),
        (
            json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"DriverOpts": {"a": "b"}}}}}),
            "the driver option a of an endpoint is not supported",
        ),
        (
            json!({"NetworkingConfig": {"EndpointsConfig": {"bridge": {"Links": ["a"]}}}}),
            "Links in the network bridge is not supported",
        ),
        (
            json!({"HostConfig": {"NetworkMode": "host"},
                "NetworkingConfig": {"EndpointsConfig": {"bridge": {}}}}),
            "container sharing network namespace with another container or host cannot be \
             connected to any other network",
        ),
        (
            json!({"HostConfig": {"NetworkMode": "none"},
                "NetworkingConfig": {"EndpointsConfig": {"mine": {}}}}),
            "container cannot be connected to multiple networks with one of the networks in \
             private (none) mode",
        ),
    ] {
        let message = refused(body);
        assert!(message.starts_with(name), "{message}");
    }
    for good in [
        json!({"Healthcheck": {"Test": ["NONE"]}}),
        json!({"Healthcheck": {"Test": ["CMD", "true"], "Interval": 1_000_000}}),
        json!({"Healthcheck": {}}),
        json!({"HostConfig": {"LogConfig": {"Type": "none", "Config": {}}}}),
        json!({"HostConfig": {"SecurityOpt": ["no-new-privileges", "seccomp=unconfined"]}}),
        json!({"HostConfig": {"NetworkMode": "bridge"},
            "NetworkingConfig": {"EndpointsConfig": {"default": {"IPPrefixLen": 0}}}}),
        json!({"HostConfig": {"NetworkMode": "mine"}, "NetworkingConfig": {"EndpointsConfig":
            {"mine": {"Aliases": ["a"]}, "other": {"GwPriority": 1}}}}),
        json!({"NetworkingConfig": {"EndpointsConfig": {"mine": {}}}}),
        json!({"HostConfig": {"Links": ["a"]},
            "NetworkingConfig": {"EndpointsConfig": {"default": {"Links": ["a"]}}}}),
    ] {
        check(&serde_json::from_value(good).unwrap()).unwrap();
    }
}

#[test]
fn inspect_shows_what_docker_shows() {
    let mut host = HostConfig::default();
    host.other.insert("FromTheFuture".into(), json!(1));
    fill_host_config(&mut host);
    assert_eq!(host.masked_paths.as_ref().unwrap()[0], "/proc/asound");
    assert!(!host.other.contains_key("FromTheFuture"));
    let once = host.clone();
    fill_host_config(&mut host);
    assert_eq!(host, once);
}
