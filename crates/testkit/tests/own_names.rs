//! Containers of users' own networks find each other by name.

pub(crate) mod dns;

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::process::Command;

use testkit::{Daemon, Opts, alive, cached, eventually, images, kill, parent_of, run};

use crate::userns::remapped;
use dns::{A, AAAA, Inside, NO_SUCH_NAME, PTR, Said, knows_all, knows_all_inside, reverse};

const STUB: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// A daemon whose host has a name server on its loopback.
fn with_stub() -> Daemon {
    Daemon::with(Opts {
        files: vec![(
            "/etc/resolv.conf".into(),
            "nameserver 127.0.0.53\nsearch a.example\noptions timeout:2\n".into(),
        )],
        ..Opts::default()
    })
}

/// Starts a container that does nothing; its address in a network.
#[track_caller]
fn idle(d: &Daemon, name: &str, network: &str, flags: &str) -> String {
    d.docker().ok(&format!(
        "run -d --name {name} --network {network} {flags} busybox sleep 1000"
    ));
    address(d, name, network)
}

#[track_caller]
fn address(d: &Daemon, name: &str, network: &str) -> String {
    let place = &d.inspect(name)["NetworkSettings"]["Networks"][network];
    place["IPAddress"].as_str().expect("an address").to_owned()
}

/// The name server's process.
#[track_caller]
fn server(d: &Daemon) -> u32 {
    try_server(d).expect("a name server")
}

fn try_server(d: &Daemon) -> Option<u32> {
    d.processes().into_iter().find(|pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline"));
        line.is_ok_and(|line| line.starts_with("wharf-dns"))
    })
}

#[test]
fn names_aliases_identifiers_and_addresses() {
    let d = with_stub();
    for cli in d.clis() {
        cli.ok("network create front");
        cli.ok("network create other");
        let web = idle(&d, "web", "front", "--network-alias app --hostname www");
        let db = idle(&d, "db", "front", "--network-alias app");
        let far = idle(&d, "far", "other", "");
        let inside = Inside::of(&d, "web");
        let id = cli.ok("inspect -f '{{.Id}}' db");
        for name in ["db", "DB", "db.front", &id[..12]] {
            inside.ask(name, A).is(&[&db]);
            inside.ask_tcp(name, A).is(&[&db]);
            // It exists, and has no such address.
            inside.ask(name, AAAA).is(&[""; 0]);
        }
        let mut both = [web.clone(), db.clone()];
        both.sort();
        inside.ask("app", A).is(&both);
        inside.ask("www", A).is(&[&web]);
        let names = cli.ok("inspect -f '{{json .NetworkSettings.Networks.front.DNSNames}}' web");
        let names: Vec<String> = serde_json::from_str(&names).expect("names");
        assert_eq!(names.len(), 4, "{names:?}");
        for name in &names {
            assert!(inside.ask(name, A).1.contains(&web), "{name}");
        }
        inside.ask(&reverse(&db), PTR).is(&["db.front"]);
        inside.ask_tcp(&reverse(&web), PTR).is(&["web.front"]);

        // Only who shares a network has a name.
        let other = Inside::of(&d, "far");
        assert_ne!(inside.ask("far", A).0, 0);
        assert_ne!(other.ask("web", A).0, 0);
        cli.ok("network connect --alias store front far");
        let here = address(&d, "far", "front");
        for name in ["far", "store"] {
            inside.ask(name, A).is(&[&here]);
        }
        other.ask("web", A).is(&[&web]);
        // Its own name in each of its networks.
        assert!([&far, &here].contains(&&other.address("far")));
        cli.ok("network disconnect front far");
        assert_ne!(inside.ask("far", A).0, 0);
        assert_ne!(other.ask("web", A).0, 0);

        cli.ok("rename db store");
        inside.ask("store", A).is(&[&db]);
        inside.ask(&reverse(&db), PTR).is(&["store.front"]);
        assert_ne!(inside.ask("db", A).0, 0);
        cli.ok("rm -f web store far");
        cli.ok("network rm front other");
    }
    d.assert_no_leaks();
}

#[test]
fn a_new_address_is_known_at_once() {
    let d = with_stub();
    let cli = d.docker();
    cli.ok("network create --subnet 10.77.5.0/24 shop");
    let first = idle(&d, "db", "shop", "");
    idle(&d, "web", "shop", "");
    let web = Inside::of(&d, "web");
    web.ask("db", A).is(&[&first]);
    cli.ok("stop -t 0 db");
    assert_ne!(web.ask("db", A).0, 0);
    // Somebody else has its address when it comes back.
    idle(&d, "thief", "shop", &format!("--ip {first}"));
    cli.ok("start db");
    let second = address(&d, "db", "shop");
    assert_ne!(second, first);
    web.ask("db", A).is(&[&second]);
    let got = cli.ok("exec web nslookup -type=a db.");
    assert!(got.contains(&second) && !got.contains(&first), "{got}");
    cli.ok("rm -f db web thief");
    d.docker().ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn both_families() {
    let d = Daemon::fresh();
    let cli = d.docker();
    cli.ok("network create --ipv6 --subnet fd00:5::/64 dual");
    let v4 = idle(&d, "one", "dual", "");
    idle(&d, "two", "dual", "");
    let place = &d.inspect("one")["NetworkSettings"]["Networks"]["dual"];
    let v6 = place["GlobalIPv6Address"].as_str().expect("an address");
    let two = Inside::of(&d, "two");
    two.ask("one", A).is(&[&v4]);
    two.ask("one", AAAA).is(&[v6]);
    cli.ok("rm -f one two");
}

#[test]
fn answers_go_on_without_the_daemon() {
    let mut d = with_stub();
    d.docker().ok("network create net");
    let one = idle(&d, "one", "net", "");
    let two = idle(&d, "two", "net", "--restart always");
    let inside = Inside::of(&d, "one");
    let before = server(&d);
    let pid = d.pid_of("two");
    let shim = parent_of(pid).expect("a shim");
    d.kill9();
    inside.ask("two", A).is(&[&two]);
    inside.ask_tcp("one", A).is(&[&one]);
    // One that ends meanwhile has no name any more.
    kill(shim);
    kill(pid);
    eventually("its name to be gone", || inside.ask("two", A).0 != 0);
    d.restart();
    assert_eq!(server(&d), before, "it is the same process");
    inside.ask("one", A).is(&[&one]);
    // It is started again, and known again.
    d.until("two", "running");
    let again = address(&d, "two", "net");
    inside.ask("two", A).is(&[&again]);
    d.docker().ok("rm -f one two");
    d.docker().ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn a_killed_name_server_comes_back() {
    let d = Daemon::fresh();
    d.docker().ok("network create net");
    idle(&d, "one", "net", "");
    let two = idle(&d, "two", "net", "");
    let inside = Inside::of(&d, "one");
    let before = server(&d);
    kill(before);
    let again = |name: &str, ip: &str| {
        eventually("an answer", || {
            inside.try_ask(name, A) == Some(Said(0, vec![ip.to_owned()]))
        });
    };
    again("two", &two);
    assert_ne!(server(&d), before);
    assert!(!alive(before), "it was waited for");
    let three = idle(&d, "three", "net", "");
    again("three", &three);
    d.docker().ok("rm -f one two three");
    d.docker().ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn a_newer_program_takes_over() {
    // The program that `NEWER` names, if it is set.
    let before = ["sh", "-c", "exec \"${NEWER:-$0}\" \"$@\""];
    let mut d = Daemon::with(Opts {
        before: before.map(str::to_owned).to_vec(),
        ..Opts::default()
    });
    d.docker().ok("network create net");
    let one = idle(&d, "one", "net", "");
    let inside = Inside::of(&d, "one");
    let before = server(&d);
    // Another program, of which only what it says to who uses it wrongly differs.
    d.set_newer("Usage: wharf-dns");
    d.kill9();
    let over = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !over.load(std::sync::atomic::Ordering::Relaxed) {
                inside.ask("one", A).is(&[&one]);
            }
        });
        d.restart();
        over.store(true, std::sync::atomic::Ordering::Relaxed);
        asking.join().expect("all questions were answered");
    });
    assert_ne!(server(&d), before);
    inside.ask_tcp("one", A).is(&[&one]);
    d.docker().ok("rm -f one");
    d.docker().ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn internal_networks_ask_nobody_outside() {
    let d = with_stub();
    let host = knows_all(d.host().ns(), STUB.into());
    let cli = d.docker();
    cli.ok("network create --internal closed");
    cli.ok("network create open");
    let one = idle(&d, "one", "closed", "");
    idle(&d, "two", "closed", "--dns 127.0.0.1");
    let (inside, own) = (Inside::of(&d, "one"), Inside::of(&d, "two"));
    let theirs = knows_all_inside(&own, Ipv4Addr::LOCALHOST.into());
    for inside in [&inside, &own] {
        for secret in ["secret.evil.example", "secret"] {
            assert_eq!(inside.ask(secret, A).0, NO_SUCH_NAME);
            assert_eq!(inside.ask_tcp(secret, A).0, NO_SUCH_NAME);
        }
        inside.ask("one", A).is(&[&one]);
    }
    assert!(host.lock().expect("asked").is_empty());
    assert!(theirs.lock().expect("asked").is_empty());
    // With a way out, names have one too.
    cli.ok("network connect open one");
    assert_eq!(inside.address("www.example"), "192.0.2.99");
    cli.ok("network disconnect open one");
    assert_eq!(inside.ask("www.example", A).0, NO_SUCH_NAME);
    cli.ok("rm -f one two");
}

#[test]
fn others_names_are_asked_of_the_host_or_of_whom_one_says() {
    let d = with_stub();
    let host = knows_all(d.host().ns(), STUB.into());
    let cli = d.docker();
    cli.ok("network create net");
    idle(&d, "plain", "net", "");
    let file = |name: &str| cli.ok(&format!("exec {name} cat /etc/resolv.conf"));
    assert_eq!(
        file("plain"),
        "nameserver 127.0.0.11\nsearch a.example\noptions timeout:2 ndots:0"
    );
    let plain = Inside::of(&d, "plain");
    assert_eq!(plain.address("www.example"), "192.0.2.99");
    assert_eq!(*host.lock().expect("asked"), ["www.example"]);

    idle(
        &d,
        "own",
        "net",
        "--dns 127.0.0.1 --dns-search b.example --dns-option ndots:2",
    );
    assert_eq!(
        file("own"),
        "nameserver 127.0.0.11\nsearch b.example\noptions ndots:2"
    );
    // A server of the container's own, on port 53, which is free.
    let own = Inside::of(&d, "own");
    let asked = knows_all_inside(&own, Ipv4Addr::LOCALHOST.into());
    assert_eq!(own.address("www.example"), "192.0.2.99");
    assert_eq!(*asked.lock().expect("asked"), ["www.example"]);
    // With `ndots`, names without a dot are for the search domains.
    assert_eq!(own.ask("printer", A).0, NO_SUCH_NAME);
    assert_eq!(plain.address("printer"), "192.0.2.99");
    own.within(|| {
        TcpListener::bind(("0.0.0.0", 53)).expect("port 53 is free");
    });
    plain.within(|| {
        UdpSocket::bind(("0.0.0.0", 53)).expect("port 53 is free");
    });
    // In the default network nothing is ours.
    cli.ok("run -d --name old busybox sleep 1000");
    assert!(!file("old").contains("127.0.0.11"));
    // Connected while it runs it finds names, too.
    cli.ok("network connect net old");
    assert!(file("old").starts_with("nameserver 127.0.0.11\n"));
    let ip = address(&d, "plain", "net");
    Inside::of(&d, "old").ask("plain", A).is(&[&ip]);
    cli.ok("rm -f plain own old");
    d.docker().ok("network prune -f");
    d.assert_no_leaks();
}

#[test]
fn links_and_shared_networks() {
    let d = with_stub();
    let cli = d.docker();
    cli.ok("network create net");
    let db = idle(&d, "db", "net", "");
    idle(&d, "web", "net", "--link db:database");
    idle(&d, "plain", "net", "");
    let web = Inside::of(&d, "web");
    web.ask("database", A).is(&[&db]);
    assert_ne!(Inside::of(&d, "plain").ask("database", A).0, 0);
    // The link holds on to the container, not to its name.
    cli.ok("rename db store");
    web.ask("database", A).is(&[&db]);
    let shared = cli.ok("run --rm --network container:web busybox nslookup -type=a database.");
    assert!(shared.contains(&db), "{shared}");
    cli.ok("rm -f store web plain");
}

#[test]
fn containers_with_users_of_their_own() {
    let d = remapped();
    d.docker().ok("network create net");
    let one = idle(&d, "one", "net", "");
    idle(&d, "two", "net", "");
    Inside::of(&d, "two").ask("one", A).is(&[&one]);
    let got = d.docker().ok("exec two nslookup -type=a one.");
    assert!(got.contains(&one), "{got}");
    d.docker().ok("rm -f one two");
    d.docker().ok("network prune -f");
    d.assert_no_leaks();
}

/// A program that looks a name up as musl does: both families at once.
fn musl_lookup() -> Vec<u8> {
    let source = testkit::workspace().join("crates/testkit/helpers/lookup.c");
    let path = cached("musl-lookup-1", |path| {
        let mut cc = Command::new("musl-gcc");
        cc.args(["-static", "-O1", "-s", "-o"])
            .arg(path)
            .arg(&source);
        run(&mut cc).ok();
    });
    std::fs::read(path).expect("just made")
}

#[test]
fn the_libraries_find_names() {
    let d = with_stub();
    let _host = knows_all(d.host().ns(), STUB.into());
    d.load(&images::debian_tar());
    d.load(&images::variant(
        "musl",
        |layer| layer.file("bin/lookup", 0o755, musl_lookup()),
        &serde_json::json!({}),
    ));
    let cli = d.docker();
    cli.ok("network create shop");
    cli.ok("network create --internal closed");
    for (network, outside) in [("shop", true), ("closed", false)] {
        let db = idle(&d, "db", network, "--network-alias store");
        for image in ["debian getent ahostsv4", "musl lookup"] {
            let look = |flags: &str, name: &str| {
                cli.run(&format!(
                    "run --rm --network {network} {flags} {image} {name}"
                ))
            };
            for name in ["db", "store", "db.shop", "db.closed"] {
                let wanted = !name.contains('.') || name.ends_with(network);
                let out = look("", name);
                let found = out.stdout.split_whitespace().next() == Some(&db);
                assert!(!wanted || found, "{image} {name}: {out}");
            }
            // Search domains, and options that send them first.
            let out = look("--dns-option ndots:3 --dns-search x.example", "db");
            assert!(out.stdout.starts_with(&db), "{image}: {out}");
            let out = look("", "www.example");
            assert_eq!(
                out.stdout.starts_with("192.0.2.99"),
                outside,
                "{image}: {out}"
            );
        }
        cli.ok("rm -f db");
    }
    cli.ok("network prune -f");
    d.assert_no_leaks();
}

/// Run with `--run-ignored only --no-capture`, of a release build.
#[test]
#[ignore = "prints numbers"]
fn how_fast() {
    let d = Daemon::fresh();
    d.docker().ok("network create net");
    let one = idle(&d, "one", "net", "");
    let inside = Inside::of(&d, "one");
    inside.ask("one", A).is(&[&one]);
    println!("{}", dns::speed(&inside, "one"));
    d.docker().ok("rm -f one");
}
