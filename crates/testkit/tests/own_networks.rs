//! Networks of users' own: story 3 of issue 6, the verbs of `network`, and what they refuse.

use std::process::Command;

use serde_json::{Value, json};
use testkit::{Cli, Daemon, Host, Lan, Opts, python, run};

/// A container's address in a network.
fn address(cli: &Cli, container: &str, network: &str) -> String {
    cli.ok(&format!(
        "inspect -f '{{{{(index .NetworkSettings.Networks \"{network}\").IPAddress}}}}' {container}"
    ))
}

/// Whether a container reaches an address.
fn reaches(cli: &Cli, container: &str, address: &str) -> bool {
    cli.code(&format!("exec {container} ping -c 1 -W 2 {address}")) == 0
}

fn inspect(cli: &Cli, network: &str) -> Value {
    let text = cli.ok(&format!("network inspect {network}"));
    serde_json::from_str::<Value>(&text).expect("JSON")[0].clone()
}

fn names(text: &str) -> Vec<&str> {
    text.split_whitespace().collect()
}

#[test]
fn inside_works_across_does_not_until_connected() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        for network in ["nw_1", "nw_2"] {
            let id = cli.ok(&format!("network create {network}"));
            assert!(
                id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()),
                "{id}"
            );
        }
        for (name, network) in [
            ("cont_01", "nw_1"),
            ("cont_02", "nw_1"),
            ("cont_03", "nw_2"),
        ] {
            cli.ok(&format!(
                "run -d --name {name} --network {network} busybox sleep 1000"
            ));
        }
        let (first, second, third) = (
            address(&cli, "cont_01", "nw_1"),
            address(&cli, "cont_02", "nw_1"),
            address(&cli, "cont_03", "nw_2"),
        );
        assert!(reaches(&cli, "cont_01", &second) && reaches(&cli, "cont_02", &first));
        assert!(!reaches(&cli, "cont_01", &third) && !reaches(&cli, "cont_03", &first));
        cli.ok("network connect nw_1 cont_03");
        assert!(reaches(&cli, "cont_03", &first));
        let joined = address(&cli, "cont_03", "nw_1");
        assert!(reaches(&cli, "cont_01", &joined) && !reaches(&cli, "cont_01", &third));
        let both = cli
            .ok("inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' cont_03");
        assert_eq!(names(&both), ["nw_1", "nw_2"]);
        let listed = cli.ok("ps --filter name=cont_03 --format '{{.Networks}}'");
        // docker's come in any order.
        let mut listed: Vec<&str> = listed.split(',').collect();
        listed.sort_unstable();
        assert_eq!(listed, ["nw_1", "nw_2"]);
        for name in ["cont_01", "cont_03"] {
            assert!(reaches(&cli, name, &Lan::OUTSIDE.to_string()), "{name}");
        }
        let members = inspect(&cli, "nw_1")["Containers"].clone();
        assert_eq!(members.as_object().expect("containers").len(), 3);
        cli.ok("network disconnect nw_1 cont_03");
        assert!(!reaches(&cli, "cont_03", &first));
        assert!(reaches(&cli, "cont_03", &Lan::OUTSIDE.to_string()));
        cli.ok("rm -f cont_01 cont_02 cont_03");
        assert_eq!(cli.ok("network rm nw_1 nw_2"), "nw_1\nnw_2");
    }
    d.assert_no_leaks();
}

#[test]
fn what_is_asked_for_is_shown() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let id = cli.ok(
            "network create --subnet 10.91.0.0/24 --ip-range 10.91.0.128/25 --gateway 10.91.0.254 \
             --aux-address printer=10.91.0.200 --label a=b --label c --attachable --internal \
             -o com.docker.network.bridge.enable_icc=true shown",
        );
        let shown = inspect(&cli, "shown");
        assert_eq!(shown["Id"], json!(id));
        assert_eq!(
            shown["IPAM"],
            json!({"Driver": "default", "Options": {}, "Config": [{"Subnet": "10.91.0.0/24",
                "IPRange": "10.91.0.128/25", "Gateway": "10.91.0.254",
                "AuxiliaryAddresses": {"printer": "10.91.0.200"}}]})
        );
        assert_eq!(shown["Labels"], json!({"a": "b", "c": ""}));
        for (name, value) in [
            ("Driver", json!("bridge")),
            ("Scope", json!("local")),
            ("EnableIPv4", json!(true)),
            ("EnableIPv6", json!(false)),
            ("Internal", json!(true)),
            ("Attachable", json!(true)),
            ("Ingress", json!(false)),
            ("ConfigOnly", json!(false)),
            ("ConfigFrom", json!({"Network": ""})),
            ("Containers", json!({})),
            (
                "Options",
                json!({"com.docker.network.bridge.enable_icc": "true"}),
            ),
        ] {
            assert_eq!(shown[name], value, "{name}");
        }
        // By name, identifier and the beginning of one.
        for name in ["shown", &id, &id[..8]] {
            assert_eq!(
                cli.ok(&format!("network inspect -f '{{{{.Name}}}}' {name}")),
                "shown"
            );
            assert_eq!(
                cli.ok(&format!("inspect --type network -f '{{{{.Name}}}}' {name}")),
                "shown"
            );
        }
        cli.ok("run -d --name box --network shown busybox sleep 1000");
        let given: std::net::Ipv4Addr = address(&cli, "box", "shown").parse().expect("an address");
        assert!(given.octets()[3] >= 128, "{given}");
        assert_eq!(
            cli.ok("inspect -f '{{.HostConfig.NetworkMode}} {{.NetworkSettings.IPAddress}}' box"),
            "shown "
        );
        let end = &d.inspect("box")["NetworkSettings"]["Networks"]["shown"];
        assert_eq!(end["NetworkID"], json!(id));
        let dns = end["DNSNames"].as_array().expect("names");
        assert_eq!(dns[0], "box");
        cli.ok("rm -f box");
        cli.ok("network rm shown");
    }
    d.assert_no_leaks();
}

#[test]
fn lists_are_alike() {
    let d = Daemon::fresh();
    let docker = d.docker();
    docker.ok("network create --label team=red zoo");
    docker.ok("network create --label team=blue --ipv6 ape");
    docker.ok("network create --internal a10");
    docker.ok("network create a9");
    docker.ok("run -d --name box --network zoo busybox sleep 1000");
    for line in [
        "network ls",
        "network ls --no-trunc",
        "network ls -q",
        "network ls --format '{{.Name}} {{.CreatedAt}} {{.IPv4}} {{.IPv6}} {{.Internal}} {{.Labels}}'",
        "network ls --format '{{.Name}} {{.Label \"team\"}}'",
        "network ls --format 'table {{.Name}}\\t{{.Internal}}\\t{{.CreatedAt}}'",
        "network ls --format json -f name=zoo",
        "network ls --format raw",
        "network ls -q -f dangling=true",
        "network ls -f type=builtin",
        "network ls -f type=custom -f driver=bridge",
        "network ls -f label=team",
        "network ls -f label=team=red",
        "network ls -f scope=swarm",
        "network inspect zoo ape",
        "network inspect -v -f '{{range .IPAM.Config}}{{.Subnet}} {{.IPRange}} {{.Gateway}} {{.AuxAddress}}{{end}}' zoo",
        "ps --filter network=zoo --format '{{.Names}} {{.Networks}}'",
        "inspect -f '{{.NetworkSettings.Networks.zoo.Aliases}}' box",
        "inspect ape",
    ] {
        let outs: Vec<_> = d.clis().iter().map(|cli| cli.run(line)).collect();
        for out in &outs {
            assert_eq!(out.code, 0, "{out}");
            assert_eq!(out.stdout, outs[0].stdout, "{line}");
        }
    }
    let dangling = docker.ok("network ls -f dangling=true --format '{{.Name}}'");
    assert_eq!(names(&dangling), ["a9", "a10", "ape"]);
    docker.ok("rm -f box");
    docker.ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn ends_have_what_they_ask_for() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("network create --subnet 10.92.0.0/24 one");
        cli.ok("network create --subnet 10.93.0.0/24 two");
        cli.ok(
            "run -d --name box --network name=one,alias=a,ip=10.92.0.77,mac-address=02:42:0a:5c:00:4d \
             --network name=two,gw-priority=10,driver-opt=com.docker.network.endpoint.ifname=lan7 \
             busybox sleep 1000",
        );
        assert_eq!(address(&cli, "box", "one"), "10.92.0.77");
        let one = d.inspect("box")["NetworkSettings"]["Networks"]["one"].clone();
        assert_eq!(one["MacAddress"], "02:42:0a:5c:00:4d");
        assert_eq!(one["IPAMConfig"], json!({"IPv4Address": "10.92.0.77"}));
        assert_eq!(one["Aliases"], json!(["a"]));
        let links = cli.ok("exec box ls /sys/class/net");
        assert!(names(&links).contains(&"lan7"), "{links}");
        let route = cli.ok("exec box ip route");
        assert!(route.contains("default via 10.93.0.1 dev lan7"), "{route}");
        // The way out moves with the networks.
        cli.ok("network disconnect two box");
        let route = cli.ok("exec box ip route");
        assert!(route.contains("default via 10.92.0.1"), "{route}");
        cli.ok("network connect --ip 10.93.0.9 --alias x --alias y two box");
        assert_eq!(address(&cli, "box", "two"), "10.93.0.9");
        // What was asked for holds after a restart, too.
        cli.ok("restart -t 0 box");
        assert_eq!(address(&cli, "box", "one"), "10.92.0.77");
        assert_eq!(address(&cli, "box", "two"), "10.93.0.9");
        // A stopped one is connected at its next start.
        cli.ok("stop -t 0 box");
        cli.ok("network disconnect two box");
        cli.ok("network connect bridge box");
        cli.ok("start box");
        let all =
            cli.ok("inspect -f '{{range $k, $v := .NetworkSettings.Networks}}{{$k}} {{end}}' box");
        assert_eq!(names(&all), ["bridge", "one"]);
        cli.ok("rm -f box");
        cli.ok("network rm one two");
    }
    d.assert_no_leaks();
}

#[test]
fn unused_ones_are_pruned() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("network create --label keep used");
        cli.ok("network create --label keep unused");
        cli.ok("network create loose");
        cli.ok("create --name box --network used busybox true");
        assert_eq!(cli.ok("network prune -f --filter until=1h"), "");
        let gone = cli.ok("network prune -f --filter label!=keep");
        assert_eq!(gone.trim_end(), "Deleted Networks:\nloose");
        let kept = cli.with_input("network prune", "n\n");
        assert_eq!(
            kept.stdout.trim_end(),
            "WARNING! This will remove all custom networks not used by at least one container.\n\
             Are you sure you want to continue? [y/N]"
        );
        assert!(cli.ok("network ls -q -f name=unused").len() == 12);
        let said = cli.with_input("network prune", "y\n").ok();
        assert!(said.contains("Deleted Networks:\nunused"), "{said}");
        cli.ok("network create unused");
        // The container goes first, and its network with it.
        let said = cli.ok("system prune -f");
        for part in [
            "Deleted Containers:",
            "Deleted Networks:",
            "\nused",
            "\nunused",
        ] {
            assert!(said.contains(part), "{said}");
        }
        assert_eq!(
            names(&cli.ok("network ls --format '{{.Name}}'")),
            ["bridge", "host", "none"]
        );
    }
    d.assert_no_leaks();
}

/// A container that never ran follows a network's name, once it is told.
#[test]
fn a_network_that_is_made_again_under_its_name() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("network create again");
        cli.ok("create --name one --network again busybox sleep 1000");
        cli.ok("network rm again");
        cli.ok("network create again");
        assert_ne!(cli.code("start one"), 0);
        cli.ok("network connect again one");
        cli.ok("start one");
        let names =
            "inspect -f '{{range $name, $end := .NetworkSettings.Networks}}{{$name}}{{end}}' one";
        assert_eq!(cli.ok(names), "again");
        cli.ok("rm -f one");
        cli.ok("network rm again");
    }
    d.assert_no_leaks();
}

/// What one has chosen and not made yet is nothing that the other could see.
#[test]
fn two_daemons_of_a_host_choose_different_subnets() {
    let host = Host::new();
    let one = Daemon::start(&host, Opts::default());
    let two = Daemon::start(&host, Opts::args(&["--bridge=two0"]));
    std::thread::scope(|scope| {
        for d in [&one, &two] {
            for n in 0..8 {
                scope.spawn(move || d.docker().ok(&format!("network create n{n}")));
            }
        }
    });
    let mut all = std::collections::BTreeSet::new();
    for d in [&one, &two] {
        for n in 0..8 {
            let ask = format!("network inspect -f '{{{{(index .IPAM.Config 0).Subnet}}}}' n{n}");
            let subnet = d.docker().ok(&ask);
            assert!(all.insert(subnet.clone()), "{subnet} was given twice");
        }
    }
}

#[test]
fn what_cannot_be_is_refused_in_dockers_words() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("network create --subnet 10.94.0.0/24 taken");
        cli.ok("network create plain");
        cli.ok("run -d --name box --network name=taken,ip=10.94.0.5 busybox sleep 1000");
        for (line, parts) in [
            (
                "network create taken",
                "network with name taken already exists",
            ),
            (
                "network create bridge",
                "operation is not permitted on predefined bridge network",
            ),
            ("network create ' '", "invalid name"),
            ("network create ..", "invalid name"),
            ("network create /x", "invalid name"),
            (
                "run --rm --network name=taken,driver-opt=com.docker.network.endpoint.ifname=lan0 \
                 --network name=plain,driver-opt=com.docker.network.endpoint.ifname=lan0 busybox true",
                "both ask for the link lan0",
            ),
            (
                "network connect --driver-opt com.docker.network.endpoint.ifname=eth0 plain box",
                "the link eth0 that is asked for in the network plain is another network's",
            ),
            (
                "network create --subnet 10.94.0.128/25 x",
                "Pool overlaps with other one on this address space",
            ),
            (
                "network create --subnet 10.95.0.1/24 x",
                "invalid network config:\ninvalid subnet 10.95.0.1/24: it should be 10.95.0.0/24",
            ),
            (
                "network create --subnet 10.96.0.0/24 --gateway 10.96.0.1 --aux-address x=10.96.0.1 x",
                "failed to allocate secondary ip address (x:10.96.0.1): Address already in use",
            ),
            (
                "network create --subnet 10.96.0.0/24 --aux-address x=10.96.0.9 --aux-address y=10.96.0.9 x",
                "failed to allocate secondary ip address (y:10.96.0.9): Address already in use",
            ),
            (
                "network create --subnet 10.96.0.0/24 --gateway 10.96.0.0 x",
                "failed to allocate gateway (10.96.0.0): Address already in use",
            ),
            (
                "network create --subnet 10.96.0.0/24 --gateway 10.96.0.255 x",
                "failed to allocate gateway (10.96.0.255): Address already in use",
            ),
            (
                "network create --subnet 127.0.0.0/24 x",
                "no link can have addresses of the subnet 127.0.0.0/24",
            ),
            (
                "network create --subnet 224.0.0.0/24 x",
                "no link can have addresses of the subnet 224.0.0.0/24",
            ),
            (
                "network create --subnet 255.255.255.0/24 x",
                "no link can have addresses of the subnet 255.255.255.0/24",
            ),
            (
                "network create --subnet nonsense x",
                "invalid subnet nonsense: invalid CIDR block notation",
            ),
            ("network create --driver nosuch x", "nosuch"),
            ("network create --ipam-driver nosuch x", "nosuch"),
            ("network create --config-from taken x", "config-only"),
            ("network create --scope swarm x", "swarm"),
            ("network create -d overlay x", "swarm"),
            ("network create -d macvlan -o parent=nosuch0 x", "nosuch0"),
            (
                "network rm bridge",
                "bridge is a pre-defined network and cannot be removed",
            ),
            ("network rm nosuch", "network nosuch not found"),
            ("network rm taken", "has active endpoints"),
            ("network inspect nosuch", "network nosuch not found"),
            ("network connect nosuch box", "network nosuch not found"),
            ("network connect plain nosuch", "No such container: nosuch"),
            (
                "network connect taken box",
                "endpoint with name box already exists in network taken",
            ),
            (
                "network connect --ip 10.0.0.9 plain box",
                "user specified IP address is supported only when connecting to networks with user configured subnets",
            ),
            (
                "network connect --ip 10.94.9.9 taken box",
                "no configured subnet contains IP address 10.94.9.9",
            ),
            (
                "network connect --ip zz plain box",
                "invalid IPv4 address: zz",
            ),
            ("network connect host box", "host network"),
            ("network disconnect plain box", "is not connected to"),
            ("network disconnect nosuch box", "network nosuch not found"),
            (
                "run --rm --network taken --ip 10.94.0.5 busybox true",
                "Address already in use: 10.94.0.5",
            ),
            (
                "run --rm --network nosuch busybox true",
                "network nosuch not found",
            ),
            (
                "run --rm --network plain --network bridge busybox true",
                "cannot attach both user-defined and non-user-defined",
            ),
            (
                "run --rm --network name=plain,driver-opt=odd=1 busybox true",
                "the driver option odd of an endpoint is not supported",
            ),
            ("network prune -f --filter name=x", "invalid filter 'name'"),
            ("network ls --filter color=red", "invalid filter 'color'"),
        ] {
            cli.refused(line, &[parts]);
        }
        assert_eq!(cli.ok("network rm -f nosuch"), "");
        let both = cli.run("network rm nosuch plain");
        assert_eq!((both.code, both.stdout.as_str()), (1, "plain\n"), "{both}");
        assert_eq!(
            names(&cli.ok("ps -a --format '{{.Names}}'")),
            ["box"],
            "what was refused is not there"
        );
        cli.ok("rm -f box");
        cli.ok("network rm taken");
        assert_eq!(names(&cli.ok("network ls --format '{{.Name}}'")).len(), 3);
    }
    d.assert_no_leaks();
}

#[test]
fn statuses_and_what_older_versions_see() {
    let d = Daemon::fresh();
    let cli = d.docker();
    let api = d.api();
    let post = |path: &str, body: Value| api.post(path, Some(&body)).status;
    assert_eq!(post("/networks/create", json!({"Name": "n"})), 201);
    assert_eq!(post("/networks/create", json!({"Name": "n"})), 409);
    assert_eq!(post("/networks/create", json!({"Name": "host"})), 403);
    assert_eq!(post("/networks/create", json!({"Name": ""})), 400);
    assert_eq!(
        post("/networks/create", json!({"Name": "o", "Driver": "nosuch"})),
        404
    );
    cli.ok("run -d --name box --hostname inn --network n --network-alias al busybox sleep 1000");
    assert_eq!(
        post("/networks/n/connect", json!({"Container": "nosuch"})),
        404
    );
    assert_eq!(
        post("/networks/n/connect", json!({"Container": "box"})),
        403
    );
    assert_eq!(
        post("/networks/n/disconnect", json!({"Container": "box"})),
        200
    );
    assert_eq!(
        post(
            "/networks/n/connect",
            json!({"Container": "box", "EndpointConfig": {"Aliases": ["al"]}})
        ),
        200
    );
    assert_eq!(api.delete("/networks/n").status, 403);
    assert_eq!(api.delete("/networks/bridge").status, 403);
    assert_eq!(api.delete("/networks/nosuch").status, 404);
    let end = |version: &str| {
        let client = d.api().version(version);
        let whole = client.get("/containers/box/json").expect(200).json();
        whole["NetworkSettings"]["Networks"]["n"].clone()
    };
    let id = d.inspect("box")["Id"]
        .as_str()
        .expect("an identifier")
        .to_owned();
    let (new, old) = (end("/v1.51"), end("/v1.43"));
    assert_eq!(new["Aliases"], json!(["al"]));
    assert_eq!(new["DNSNames"], json!(["box", "al", &id[..12], "inn"]));
    assert_eq!(old["Aliases"], json!(["al", &id[..12], "inn"]));
    assert!(old.get("DNSNames").is_none() && old.get("GwPriority").is_none());
    cli.ok("rm -f box");
    assert_eq!(api.delete("/networks/n").status, 204);
    d.assert_no_leaks();
}

#[test]
fn names_of_every_kind() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        for name in ["n", "with.dots_and-dashes", "UPPER", "0123"] {
            cli.ok(&format!("network create {name}"));
            cli.ok(&format!("run --rm --network {name} busybox true"));
            assert_eq!(cli.ok(&format!("network rm {name}")), name);
        }
        for name in ["'a\nb'", "container:x", "default", "none"] {
            assert_ne!(cli.code(&format!("network create {name}")), 0, "{name}");
        }
    }
    d.assert_no_leaks();
}

#[test]
fn what_happens_is_told() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let now = || cli.ok("info -f '{{.SystemTime}}'");
        let since = now();
        let id = cli.ok("network create told");
        cli.ok("run -d --name box --network told busybox sleep 1000");
        cli.ok("network disconnect told box");
        cli.ok("network connect told box");
        cli.ok("rm -f box");
        cli.ok("network rm told");
        cli.ok("network prune -f");
        let range = format!("--since {since} --until {}", now());
        let told = |filter: &str| {
            let line = format!("events {range} {filter} --format '{{{{.Action}}}}'");
            names(&cli.ok(&line)).join(" ")
        };
        let all = "create connect disconnect connect disconnect destroy";
        assert_eq!(told("--filter type=network --filter network=told"), all);
        assert_eq!(
            told(&format!("--filter type=network --filter network={id}")),
            all
        );
        assert!(told("--filter type=network").ends_with("prune"));
        let line = format!("events {range} --filter event=connect --format '{{{{json .Actor}}}}'");
        let actor = cli.ok(&line);
        let actor: Value = serde_json::from_str(actor.lines().next().expect("one")).expect("JSON");
        assert_eq!(actor["ID"], json!(id));
        assert_eq!(actor["Attributes"]["name"], "told");
        assert_eq!(actor["Attributes"]["type"], "bridge");
        assert_eq!(
            actor["Attributes"]["container"].as_str().map(str::len),
            Some(64)
        );
    }
    d.assert_no_leaks();
}

#[test]
fn by_the_sdk() {
    let d = Daemon::fresh();
    let script = r#"
import docker, sys
c = docker.from_env()
pool = docker.types.IPAMPool(subnet="10.96.0.0/24", gateway="10.96.0.254", aux_addresses={"a": "10.96.0.9"})
n = c.networks.create("mine", driver="bridge", ipam=docker.types.IPAMConfig(pool_configs=[pool]),
                      labels={"a": "b"}, internal=False, check_duplicate=True, attachable=True)
assert n.attrs["IPAM"]["Config"][0]["Gateway"] == "10.96.0.254", n.attrs
assert [x.name for x in c.networks.list(names=["mine"])] == ["mine"]
assert [x.name for x in c.networks.list(filters={"label": "a=b"})] == ["mine"]
box = c.containers.run("busybox", "sleep 1000", name="box", network="mine", detach=True)
box.reload()
assert list(box.attrs["NetworkSettings"]["Networks"]) == ["mine"], box.attrs
other = c.networks.create("other")
other.connect(box, aliases=["x"], links=[("box", "self")])
other.reload()
assert [x.name for x in other.containers] == ["box"]
other.disconnect(box)
n.disconnect(box, force=True)
n.connect("box", ipv4_address="10.96.0.7")
box.reload()
assert box.attrs["NetworkSettings"]["Networks"]["mine"]["IPAddress"] == "10.96.0.7"
for bad in (lambda: c.networks.get("nosuch"), lambda: other.connect("nosuch")):
    try:
        bad()
        sys.exit("no error")
    except docker.errors.NotFound:
        pass
try:
    n.remove()
    sys.exit("no error")
except docker.errors.APIError as e:
    assert e.response.status_code == 403, e
box.remove(force=True)
assert sorted(c.networks.prune()["NetworksDeleted"]) == ["mine", "other"]
print("all of it")
"#;
    let mut command = Command::new(python::with_docker_sdk());
    command.args(["-c", script]);
    command.env(
        "DOCKER_HOST",
        format!("unix://{}/d.sock", d.dir().display()),
    );
    assert_eq!(run(&mut command).ok(), "all of it");
    d.assert_no_leaks();
}
