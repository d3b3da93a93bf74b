//! load, import, tag, list, inspect, rmi.

use serde_json::json;
use tar::EntryType;
use testkit::{Daemon, Host, Lan, Opts, images};

#[test]
fn load_list_tag_remove() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let archive = images::busybox_tar();
    for cli in d.clis() {
        let out = cli.ok(&format!("load -i {}", archive.display()));
        assert!(out.contains("Loaded image: busybox:latest"), "{out}");
        assert_eq!(
            cli.ok("images --format '{{.Repository}}:{{.Tag}}'"),
            "busybox:latest"
        );
        assert!(
            cli.ok("images")
                .starts_with("REPOSITORY   TAG       IMAGE ID")
        );
        cli.ok("tag busybox team/box:1.0");
        let id = cli.ok("images -q --no-trunc team/box");
        assert!(id.starts_with("sha256:") && id.len() == 71, "{id}");
        assert_eq!(cli.ok("inspect -f '{{.Id}}' busybox"), id);
        assert_eq!(cli.ok("images -q busybox"), id["sha256:".len()..][..12]);
        assert_eq!(
            cli.ok("images -f reference=team/* --format '{{.Tag}}'"),
            "1.0"
        );
        let tags =
            cli.ok("image inspect -f '{{json .RepoTags}} {{.Os}} {{json .Config.Cmd}}' busybox");
        assert_eq!(tags, "[\"busybox:latest\",\"team/box:1.0\"] linux [\"sh\"]");
        assert_eq!(cli.ok("rmi team/box:1.0"), "Untagged: team/box:1.0");
        cli.refused("rmi team/box:1.0", &["No such image: team/box:1.0"]);
        cli.refused("tag nothing other", &["No such image: nothing"]);
        cli.refused("tag busybox UPPER", &["UPPER"]);
        let gone = cli.ok("rmi busybox");
        assert!(
            gone.contains("Untagged: busybox:latest") && gone.contains("Deleted: sha256:"),
            "{gone}"
        );
        assert_eq!(cli.ok("images -q"), "");
    }
}

#[test]
fn removal_rules() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let id = cli.ok("images -q busybox");
        cli.ok("tag busybox second");
        cli.refused(&format!("rmi {id}"), &["multiple repositories"]);
        cli.ok("rmi second");
        cli.ok("create --name user busybox true");
        cli.refused("rmi busybox", &["container"]);
        cli.ok("run -d --name active busybox sleep 1000");
        cli.refused(&format!("rmi -f {id}"), &["running container"]);
        cli.ok("rm -f user active");
        assert_eq!(cli.code("run --rm busybox true"), 0, "it is still there");
    }
}

#[test]
fn load_from_standard_input_and_import() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let layer = d.dir().join("root.tar");
    std::fs::write(&layer, images::busybox_layer()).expect("our own file");
    for cli in d.clis() {
        let mut command = cli.command("load");
        command.stdin(std::fs::File::open(images::busybox_tar()).expect("the fixture"));
        assert!(
            testkit::Running::start(&mut command)
                .wait()
                .ok()
                .contains("busybox:latest")
        );
        let id = cli.ok(&format!(
            "import -c 'CMD [\"echo\", \"hi\"]' -c 'ENV A=b' {} flat:1",
            layer.display()
        ));
        assert!(id.starts_with("sha256:"), "{id}");
        assert_eq!(cli.ok("run --rm flat:1"), "hi");
        assert_eq!(cli.ok("run --rm flat:1 sh -c 'echo $A'"), "b");
        cli.ok("rmi flat:1 busybox");
    }
}

#[test]
fn whiteouts_links_and_modes() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let archive = images::variant(
        "layered",
        |layer| {
            layer
                .file("etc/.wh.passwd", 0o644, "")
                .folder("home", 0o750)
                .file("home/.wh..wh..opq", 0o644, "")
                .file("home/new", 0o4711, "x")
                .hardlink("home/same", 0o4711, "home/new")
                .symlink("home/link", "/etc/group")
                .folder("tmp", 0o1777)
        },
        &json!({"Env": ["PATH=/bin", "FROM=image"], "WorkingDir": "/home", "Entrypoint": ["sh", "-c"], "User": "1000"}),
    );
    d.load(&archive);
    let cli = d.docker();
    assert_eq!(
        cli.ok("run --rm layered 'pwd; id -u; echo $FROM'"),
        "/home\n1000\nimage"
    );
    assert_eq!(
        cli.ok("run --rm -u 0 layered 'ls /etc/passwd 2>&1; ls /home'")
            .lines()
            .last(),
        Some("same")
    );
    let stat = cli.ok(
        "run --rm -u 0 layered 'stat -c \"%a %h\" new same; stat -c %a /tmp . ; readlink link'",
    );
    assert_eq!(stat, "4711 2\n4711 2\n1777\n750\n/etc/group");
    assert_ne!(cli.code("run --rm -u 0 layered 'test -e /etc/passwd'"), 0);
}

#[test]
fn extended_attributes() {
    // CAP_NET_RAW, permitted and effective, as `setcap` writes it.
    let mut capability = vec![0_u8; 20];
    capability[..8].copy_from_slice(&[1, 0, 0, 2, 0, 0x20, 0, 0]);
    let d = Daemon::start(&Host::new(), Opts::default());
    let value = capability.clone();
    let archive = images::variant(
        "attributed",
        move |layer| {
            layer
                .attributed("able", "security.capability", &value)
                .attributed("noted", "user.note", b"kept")
        },
        &json!({}),
    );
    d.load(&archive);
    d.docker().ok("run -d --name box attributed sleep 1000");
    let root = format!("/proc/{}/root", d.pid_of("box"));
    let get = |file: &str, name: &str| {
        let mut buffer = [0_u8; 64];
        let n = rustix::fs::getxattr(format!("{root}/{file}"), name, &mut buffer[..]);
        buffer[..n.unwrap_or_else(|e| panic!("{file} {name}: {e}"))].to_vec()
    };
    assert_eq!(get("able", "security.capability"), capability);
    if d.engine().is_wharf() {
        assert_eq!(get("noted", "user.note"), b"kept"); // Docker takes security.capability only
    }
}

#[test]
fn a_layer_never_writes_outside() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let target = d.dir().join("pwned");
    let up = format!(
        "{}{}",
        "../".repeat(20),
        target.strip_prefix("/").expect("absolute").display()
    );
    let attempts = [
        (
            "dotdot",
            images::Layer::new().hostile(&up, EntryType::Regular, "", b"x"),
        ),
        (
            "absolute",
            images::Layer::new().hostile(
                target.to_str().expect("text"),
                EntryType::Regular,
                "",
                b"x",
            ),
        ),
        (
            "symlink",
            images::Layer::new()
                .hostile(
                    "way",
                    EntryType::Symlink,
                    d.dir().to_str().expect("text"),
                    b"",
                )
                .hostile("way/pwned", EntryType::Regular, "", b"x"),
        ),
        (
            "hardlink",
            images::Layer::new()
                .hostile(
                    "leak",
                    EntryType::Link,
                    d.dir().join("pid").to_str().expect("text"),
                    b"",
                )
                .hostile("leak", EntryType::Regular, "", b"x"),
        ),
    ];
    let pid = std::fs::read(d.dir().join("pid")).expect("the pid file");
    for (name, layer) in attempts {
        let archive = d.dir().join(format!("{name}.tar"));
        images::write_archive(
            &archive,
            &format!("{name}:latest"),
            &[images::busybox_layer(), layer.finish()],
            &images::busybox_config(),
        );
        // Refused, or unpacked with everything inside; never outside.
        d.docker().run(&format!("load -i {}", archive.display()));
        d.docker().run(&format!("run --rm {name} true"));
        assert!(!target.exists(), "{name} wrote {}", target.display());
        assert_eq!(
            std::fs::read(d.dir().join("pid")).expect("the pid file"),
            pid,
            "{name}"
        );
    }
    d.load(&images::busybox_tar());
    assert_eq!(
        d.docker().code("run --rm busybox true"),
        0,
        "the daemon is well"
    );
}

#[test]
fn broken_archives_are_refused_and_leave_nothing() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let good = std::fs::read(images::busybox_tar()).expect("the fixture");
    let half = d.dir().join("half.tar");
    std::fs::write(&half, &good[..good.len() / 2]).expect("our own file");
    let text = d.dir().join("text.tar");
    std::fs::write(&text, "this is no archive").expect("our own file");
    for cli in d.clis() {
        for broken in [&half, &text] {
            assert_ne!(cli.code(&format!("load -i {}", broken.display())), 0);
            assert_eq!(cli.ok("images -aq"), "");
        }
        assert_ne!(cli.code("load -i /no/such/file"), 0);
    }
}

#[test]
fn import_of_what_is_on_the_web() {
    let d = Daemon::start(&Host::new(), Opts::default());
    let dir = tempfile::tempdir().expect("/tmp");
    std::fs::write(dir.path().join("root.tar"), images::busybox_layer()).expect("our own folder");
    let outside = d.host().outside();
    let at = format!("{}:8099", Lan::OUTSIDE);
    let mut server = std::process::Command::new("busybox");
    server
        .args(["httpd", "-f", "-p", &at, "-h"])
        .arg(dir.path());
    let _server = outside.start(&mut server);
    testkit::eventually("the server", || {
        outside.within(|| std::net::TcpStream::connect(&at).is_ok())
    });
    for cli in d.clis() {
        let url = format!("http://{at}/root.tar");
        let out = cli.ok(&format!("import -c 'CMD echo hi' {url} web:1"));
        assert!(
            out.starts_with(&format!("Downloading from {url}\n")),
            "{out}"
        );
        let last = out.lines().last().unwrap_or_default();
        assert!(last.starts_with("sha256:"), "{out}");
        assert_eq!(cli.ok("run --rm web:1"), "hi");
        cli.ok("rmi web:1");
        cli.refused(&format!("import http://{at}/none.tar web:2"), &["404"]);
        assert_eq!(cli.ok("images -aq"), "");
    }
}
