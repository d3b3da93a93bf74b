//! Names: hosts and resolver files, links, and what the environment says of linked containers.

use testkit::Daemon;

#[test]
fn hosts_files() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let hosts = cli.ok(
            "run --rm --hostname web --domainname example.org --add-host db:10.9.8.7 \
             --add-host six=[fd00::7] --add-host gate:host-gateway busybox cat /etc/hosts",
        );
        for line in ["10.9.8.7\tdb", "fd00::7\tsix", "web.example.org web"] {
            assert!(hosts.contains(line), "{line}: {hosts}");
        }
        let gateway = cli
            .ok("run --rm busybox sh -c \"ip route | sed -n 's/default via \\([^ ]*\\).*/\\1/p'\"");
        assert!(
            hosts.contains(&format!("{}\tgate", gateway.trim())),
            "{gateway}: {hosts}"
        );
        for network in ["none", "host"] {
            let hosts = cli.ok(&format!(
                "run --rm --network {network} --add-host db:10.9.8.7 busybox cat /etc/hosts"
            ));
            assert!(hosts.contains("127.0.0.1\tlocalhost"), "{network}: {hosts}");
            assert!(hosts.contains("10.9.8.7\tdb"), "{network}: {hosts}");
        }
        cli.ok("run -d --name donor --add-host db:10.9.8.7 busybox sleep 1000");
        let shared = cli.ok("run --rm --network container:donor busybox cat /etc/hosts");
        assert!(shared.contains("10.9.8.7\tdb"), "{shared}");
        cli.refused(
            "create --network container:donor --add-host a:1.2.3.4 busybox",
            &["conflicting options: custom host-to-IP mapping and the network mode"],
        );
        cli.refused(
            "create --network container:donor --dns 1.2.3.4 busybox",
            &["conflicting options: dns and the network mode"],
        );
        cli.ok("rm -f donor");
        cli.refused(
            "create --add-host a busybox",
            &["bad format for add-host: \"a\""],
        );
        assert_eq!(
            cli.ok("run --rm --domainname example.org busybox cat /proc/sys/kernel/domainname"),
            "example.org"
        );
    }
}

#[test]
fn resolver_files() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let flags = "--dns 192.0.2.53 --dns fd00::53 --dns-search a.example --dns-search b.example \
                     --dns-opt ndots:3 --dns-option timeout:1";
        for network in ["bridge", "none", "host"] {
            let text = cli.ok(&format!(
                "run --rm --network {network} {flags} busybox cat /etc/resolv.conf"
            ));
            for line in [
                "nameserver 192.0.2.53",
                "nameserver fd00::53",
                "search a.example b.example",
                "options ndots:3 timeout:1",
            ] {
                assert!(text.lines().any(|l| l == line), "{network}: {line}: {text}");
            }
            assert_eq!(text.matches("nameserver").count(), 2, "{text}");
        }
        let none = cli.ok("run --rm --dns 192.0.2.53 --dns-search . busybox cat /etc/resolv.conf");
        assert!(!none.contains("search"), "{none}");
        let plain = cli.ok("run --rm busybox cat /etc/resolv.conf");
        assert!(!plain.contains("nameserver 127."), "{plain}");
    }
}

#[test]
fn links() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name db -e COLOUR=blue --expose 5432 busybox sleep 1000");
        let address = |name: &str| {
            cli.ok(&format!(
                "inspect -f '{{{{.NetworkSettings.IPAddress}}}}' {name}"
            ))
        };
        let ip = address("db");
        cli.ok("run -d --name web --link db:store busybox sleep 1000");
        let hosts = cli.ok("exec web cat /etc/hosts");
        assert!(hosts.contains(&format!("{ip}\tstore ")), "{hosts}");
        cli.ok("exec web ping -c 1 -W 5 -q db");
        let env = cli.ok("exec web cat /proc/1/environ").replace('\0', "\n");
        for line in [
            format!("STORE_PORT=tcp://{ip}:5432"),
            format!("STORE_PORT_5432_TCP_ADDR={ip}"),
            "STORE_NAME=/web/store".to_owned(),
            "STORE_ENV_COLOUR=blue".to_owned(),
        ] {
            assert!(env.lines().any(|l| l == line), "{line}: {env}");
        }
        assert_eq!(
            cli.ok("inspect -f '{{json .HostConfig.Links}}' web"),
            "[\"/db:/web/store\"]"
        );
        // Its address changes: another takes the old one while it is away.
        cli.ok("stop -t 0 db");
        cli.ok("run -d --name other busybox sleep 1000");
        cli.ok("start db");
        let new = address("db");
        let hosts = cli.ok("exec web cat /etc/hosts");
        assert!(hosts.contains(&format!("{new}\tstore ")), "{new}: {hosts}");
        assert_eq!(hosts.matches("store").count(), 1, "{hosts}");
        cli.ok("stop -t 0 db web");
        cli.refused(
            "start web",
            &["Cannot link to a non running container: /db AS /web/store"],
        );
        cli.refused(
            "create --link nosuch busybox",
            &["could not get container for nosuch: No such container: nosuch"],
        );
        cli.refused(
            "create --network host --link db busybox",
            &["host type networking can't be used with links"],
        );
        cli.ok("rm -f web other db");
    }
    d.assert_no_leaks();
}

/// What others call a container by their links is a name of it.
#[test]
fn names_of_links() {
    let mut d = Daemon::fresh();
    for cli in d.clis() {
        cli.ok("run -d --name db busybox sleep 1000");
        cli.ok("run -d --name web --link db:database --link db:store busybox sleep 1000");
        let id = cli.ok("inspect -f '{{.Id}}' db");
        for name in ["web/database", "web/store"] {
            assert_eq!(cli.ok(&format!("inspect -f '{{{{.Id}}}}' {name}")), id);
        }
        cli.ok("exec web/database true");
        cli.refused("inspect web/none", &["web/none"]);
        let shown = |flags: &str| cli.ok(&format!("ps --format '{{{{.Names}}}}' {flags}"));
        assert_eq!(shown("--filter name=^db$"), "db");
        let full = shown("--no-trunc --filter name=^web/database$");
        let mut names: Vec<&str> = full.split(',').collect();
        names.sort_unstable();
        assert_eq!(names, ["db", "web/database", "web/store"]);

        // A link goes, and what it leads to stays.
        cli.refused(
            "rm --link db",
            &["Conflict, cannot remove the default link name of the container"],
        );
        cli.refused("rm --link web/none", &["No such container: web/none"]);
        cli.ok("rm --link web/database");
        cli.refused(
            "rm --link web/database",
            &["No such container: web/database"],
        );
        assert_eq!(
            cli.ok("inspect -f '{{json .HostConfig.Links}}' web"),
            "[\"/db:/web/store\"]"
        );
        let hosts = cli.ok("exec web cat /etc/hosts");
        assert!(
            !hosts.contains("database") && hosts.contains("store"),
            "{hosts}"
        );

        // Nobody starts without what it is linked to, also where that is gone for good.
        cli.ok("rename db data");
        cli.ok("rm -f data");
        let gone = "Cannot link to a non running container: /data AS /web/store";
        for verb in ["restart -t 0", "start", "restart"] {
            let out = cli.refused(&format!("{verb} web"), &[gone]);
            assert_eq!(out.code, 1, "{verb}");
        }
        assert_eq!(
            cli.ok("inspect -f '{{.State.Status}} {{json .HostConfig.Links}}' web"),
            "exited [\"/data:/web/store\"]"
        );
        cli.refused("inspect web/store", &["web/store"]);
        cli.ok("rm -f web");
    }
    // A daemon that starts later says the same.
    let cli = d.docker();
    cli.ok("run -d --name db busybox sleep 1000");
    cli.ok("create --name web --link db:store busybox true");
    cli.ok("rm -f db");
    d.kill9();
    d.restart();
    let gone = "Cannot link to a non running container: /db AS /web/store";
    d.docker().refused("start web", &[gone]);
    d.docker().ok("rm web");
    d.assert_no_leaks();
}

#[test]
fn addresses_on_the_default_network() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        assert_eq!(
            cli.ok(
                "run --rm --mac-address 02:42:0a:0b:0c:0d busybox cat /sys/class/net/eth0/address"
            ),
            "02:42:0a:0b:0c:0d"
        );
        cli.refused(
            "create --ip 10.1.2.3 busybox",
            &["user specified IP address is supported on user defined networks only"],
        );
        cli.refused(
            "create --network-alias x busybox",
            &["network-scoped aliases are only supported for user-defined networks"],
        );
        cli.refused(
            "create --mac-address zz busybox",
            &["zz is not a valid mac address"],
        );
    }
}
