//! Answers of every endpoint against Docker's own description of its API.

use serde_json::{Value, json};
use testkit::{Daemon, Spec};

struct Checked<'a> {
    d: &'a Daemon,
    spec: Spec,
}

impl Checked<'_> {
    #[track_caller]
    fn send(&self, method: &str, path: &str, body: Option<&Value>, status: u16) -> Value {
        let answer = self.d.api().send(method, path, body).expect(status);
        if answer.body.is_empty() {
            return Value::Null;
        }
        let json = answer.json();
        // Docker 20.10 is not always as its own description says.
        if self.d.engine().is_wharf() {
            self.spec.validate(method, path, status, &json);
        }
        json
    }
}

#[test]
fn of_containers() {
    let d = Daemon::fresh();
    let c = Checked {
        d: &d,
        spec: Spec::load(d.api_version()),
    };
    let body = json!({
        "Image": "busybox", "Cmd": ["sleep", "1000"], "Env": ["A=1"], "Labels": {"x": "y"},
        "ExposedPorts": {"80/tcp": {}},
        "HostConfig": {"PortBindings": {"80/tcp": [{"HostPort": "8080"}]}, "Binds": ["data:/data"],
            "Memory": 64 << 20, "RestartPolicy": {"Name": "on-failure", "MaximumRetryCount": 2}},
    });
    c.send("POST", "/containers/create?name=box", Some(&body), 201);
    c.send("GET", "/containers/box/json", None, 200);
    c.send("POST", "/containers/box/start", None, 204);
    let inspect = c.send("GET", "/containers/box/json?size=1", None, 200);
    for field in [
        "Id",
        "Created",
        "Path",
        "Args",
        "State",
        "Image",
        "ResolvConfPath",
        "HostnamePath",
        "HostsPath",
        "LogPath",
        "Name",
        "RestartCount",
        "Driver",
        "Platform",
        "MountLabel",
        "ProcessLabel",
        "AppArmorProfile",
        "ExecIDs",
        "HostConfig",
        "GraphDriver",
        "Mounts",
        "Config",
        "NetworkSettings",
    ] {
        assert!(inspect.get(field).is_some(), "Docker always sends {field}");
    }
    let state = &inspect["State"];
    for field in [
        "Status",
        "Running",
        "Paused",
        "Restarting",
        "OOMKilled",
        "Dead",
        "Pid",
        "ExitCode",
        "Error",
        "StartedAt",
        "FinishedAt",
    ] {
        assert!(
            state.get(field).is_some(),
            "Docker always sends State.{field}"
        );
    }
    assert_eq!(inspect["HostConfig"]["Memory"], 64 << 20);
    assert_eq!(
        inspect["HostConfig"]["RestartPolicy"]["MaximumRetryCount"],
        2
    );
    assert_eq!(
        inspect["NetworkSettings"]["Ports"]["80/tcp"][0]["HostPort"],
        "8080"
    );
    let list = c.send("GET", "/containers/json?all=1&size=1", None, 200);
    for field in [
        "Id",
        "Names",
        "Image",
        "ImageID",
        "Command",
        "Created",
        "Ports",
        "Labels",
        "State",
        "Status",
        "HostConfig",
        "NetworkSettings",
        "Mounts",
    ] {
        assert!(list[0].get(field).is_some(), "Docker always sends {field}");
    }
    let exec = c.send(
        "POST",
        "/containers/box/exec",
        Some(&json!({"Cmd": ["true"]})),
        201,
    );
    let id = exec["Id"].as_str().expect("an id");
    c.send("GET", &format!("/exec/{id}/json"), None, 200);
    c.send(
        "POST",
        &format!("/exec/{id}/start"),
        Some(&json!({"Detach": true})),
        200,
    );
    c.send("POST", "/containers/box/restart?t=0", None, 204);
    c.send("POST", "/containers/box/stop?t=0", None, 204);
    c.send("POST", "/containers/box/wait", None, 200);
    c.send("DELETE", "/containers/box", None, 204);
    c.send("GET", "/containers/box/json", None, 404);
}

#[test]
fn of_images() {
    let d = Daemon::fresh();
    let c = Checked {
        d: &d,
        spec: Spec::load(d.api_version()),
    };
    let list = c.send("GET", "/images/json", None, 200);
    for field in [
        "Id",
        "ParentId",
        "RepoTags",
        "RepoDigests",
        "Created",
        "Size",
        "SharedSize",
        "Labels",
        "Containers",
    ] {
        assert!(list[0].get(field).is_some(), "Docker always sends {field}");
    }
    let image = c.send("GET", "/images/busybox/json", None, 200);
    for field in [
        "Id",
        "RepoTags",
        "RepoDigests",
        "Created",
        "Config",
        "Architecture",
        "Os",
        "Size",
        "RootFS",
        "Metadata",
    ] {
        assert!(image.get(field).is_some(), "Docker always sends {field}");
    }
    c.send("POST", "/images/busybox/tag?repo=other&tag=1", None, 201);
    c.send("DELETE", "/images/other:1", None, 200);
    c.send("GET", "/images/nothing/json", None, 404);
}

#[test]
fn of_the_system() {
    let d = Daemon::fresh();
    let c = Checked {
        d: &d,
        spec: Spec::load(d.api_version()),
    };
    let info = c.send("GET", "/info", None, 200);
    for field in [
        "ID",
        "Containers",
        "ContainersRunning",
        "Images",
        "Driver",
        "DockerRootDir",
        "NCPU",
        "MemTotal",
        "Name",
        "ServerVersion",
        "OSType",
        "Architecture",
        "KernelVersion",
        "CgroupDriver",
        "CgroupVersion",
        "LoggingDriver",
        "Plugins",
        "Runtimes",
        "DefaultRuntime",
        "Swarm",
        "SecurityOptions",
        "RegistryConfig",
    ] {
        assert!(info.get(field).is_some(), "Docker always sends {field}");
    }
    assert_eq!(info["Swarm"]["LocalNodeState"], "inactive");
    let version = c.send("GET", "/version", None, 200);
    for field in [
        "Version",
        "ApiVersion",
        "MinAPIVersion",
        "Os",
        "Arch",
        "KernelVersion",
        "GoVersion",
        "Components",
    ] {
        assert!(version.get(field).is_some(), "Docker always sends {field}");
    }
    d.docker().ok("run --rm busybox true");
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .expect("a clock")
        .as_secs_f64();
    let events = d
        .api()
        .get(&format!("/events?since=1&until={now:.9}"))
        .expect(200)
        .text();
    assert!(events.lines().count() >= 4, "{events}");
    for line in events.lines().filter(|_| d.engine().is_wharf()) {
        let event: Value = serde_json::from_str(line).expect("JSON");
        let wrong = c.spec.check_definition("EventMessage", &event);
        assert!(wrong.is_empty(), "{wrong:?} in {line}");
    }
}
