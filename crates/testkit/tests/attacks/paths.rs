//! What an image or a volume puts in the way of devices, of what is hidden, and of kernel settings.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};
use testkit::{Bundle, Daemon, Tty};

use crate::bait::{Bait, HostSetting, SECRET, Swapper};

/// Takes the mounts out that lie at or under `path`.
fn without_mount(bundle: &mut Bundle, path: &str) {
    let mounts = bundle.at("/mounts").as_array_mut().expect("a list");
    mounts.retain(|m| {
        let destination = Path::new(m["destination"].as_str().expect("a path"));
        !destination.starts_with(path)
    });
}

fn add_mount(bundle: &mut Bundle, mount: Value) {
    bundle
        .at("/mounts")
        .as_array_mut()
        .expect("a list")
        .push(mount);
}

fn bind(source: &Path, destination: &str) -> Value {
    json!({"type": "bind", "source": source, "destination": destination, "options": ["bind"]})
}

/// Whether the hidden `/proc/kcore` is anything but nothing, or the host's setting can be written.
const PROBE: &str = "for f in /proc/kcore /proc/keys /proc/timer_list /dev/console; do \
    (echo '|/pwned' > $f) 2>/dev/null; done; cat /proc/keys 2>/dev/null; true";

#[test]
fn attack_03_dev_null_as_a_link_when_paths_are_hidden() {
    let setting = HostSetting::new();
    let bait = Bait::new();
    for target in [HostSetting::PATH, bait.secret().to_str().expect("text")] {
        let mut bundle = Bundle::new().shell(PROBE);
        without_mount(&mut bundle, "/dev");
        symlink(target, bundle.root().join("dev/null")).expect("a link");
        let out = bundle.run();
        assert!(!out.stdout.contains(SECRET), "{out}");

        let d = Daemon::fresh();
        let dev = d.dir().join("dev");
        fs::create_dir(&dev).expect("a folder");
        symlink(target, dev.join("null")).expect("a link");
        let dev = dev.display();
        let out = d
            .docker()
            .run(&format!("run --rm -v {dev}:/dev busybox sh -c \"{PROBE}\""));
        assert!(!out.stdout.contains(SECRET), "{out}");
    }
    setting.untouched();
    bait.untouched();
}

#[test]
fn attack_04_the_console_over_a_link() {
    let setting = HostSetting::new();
    let bait = Bait::new();
    let secret = bait.secret();
    for name in ["console", "pts", "ptmx"] {
        for target in [Path::new(HostSetting::PATH), &secret] {
            let mut bundle = Bundle::new().shell(PROBE);
            without_mount(&mut bundle, "/dev");
            symlink(target, bundle.root().join("dev").join(name)).expect("a link");
            *bundle.at("/process/terminal") = json!(true);
            bundle.write();
            let id = bundle.id().to_owned();
            let mut tty = Tty::start(&bundle.command(&["run", &id]));
            tty.wait();
            assert!(!tty.screen().contains(SECRET), "{}", tty.screen());

            let d = Daemon::fresh();
            let dev = d.dir().join("dev");
            fs::create_dir(&dev).expect("a folder");
            symlink(target, dev.join(name)).expect("a link");
            let line = format!(
                "run --rm -t -v {}:/dev busybox sh -c \"{PROBE}\"",
                dev.display()
            );
            let out = d.docker().run(&line);
            assert!(!out.stdout.contains(SECRET), "{out}");
        }
    }
    setting.untouched();
    bait.untouched();
}

#[test]
fn attack_05_writes_to_procfs_led_elsewhere() {
    let bait = Bait::new();
    let fake = bait.path().parent().expect("a parent").join(format!(
        "{}-proc",
        bait.path().file_name().expect("a name").to_string_lossy()
    ));
    let settings = fake.join("sys/net/ipv4");
    fs::create_dir_all(&settings).expect("folders");
    for name in ["ping_group_range", "ip_unprivileged_port_start"] {
        symlink(bait.secret(), settings.join(name)).expect("a link");
    }
    let attr = fake.join("self/attr");
    fs::create_dir_all(&attr).expect("folders");
    for name in ["exec", "current", "fscreate"] {
        symlink(bait.secret(), attr.join(name)).expect("a link");
    }
    // In the place of all of /proc, of a part of it, and in an image without one.
    for place in [
        "/proc",
        "/proc/sys",
        "/proc/sys/net/ipv4",
        "/proc/self",
        "/proc/self/attr",
    ] {
        let mut bundle = Bundle::new().args(&["true"]);
        let source = fake.join(place.trim_start_matches("/proc").trim_start_matches('/'));
        add_mount(&mut bundle, bind(&source, place));
        let _ = bundle.run();
        bait.untouched();
        let d = Daemon::fresh();
        let flags = "--sysctl net.ipv4.ip_unprivileged_port_start=1";
        let line = format!(
            "run --rm {flags} -v {}:{place} busybox true",
            source.display()
        );
        let _ = d.docker().run(&line);
        bait.untouched();
    }
    let mut bundle = Bundle::new().args(&["true"]);
    without_mount(&mut bundle, "/proc");
    fs::remove_dir(bundle.root().join("proc")).expect("an empty folder");
    fs::rename(&fake, bundle.root().join("proc")).expect("to be moved");
    let _ = bundle.run();
    bait.untouched();
}

#[test]
fn attack_06_dev_as_a_link_in_the_image() {
    let bait = Bait::new();
    let outside = bait.path().display();
    let targets = [
        format!("{outside}"),
        format!("../../../../../../../../../..{outside}"),
        "/proc/1/root/dev".to_owned(),
    ];
    for target in targets {
        let mut bundle = Bundle::new().args(&["true"]);
        fs::remove_dir(bundle.root().join("dev")).expect("an empty folder");
        symlink(&target, bundle.root().join("dev")).expect("a link");
        let _ = bundle.run();
        bait.untouched();
        // Without a mount of its own there, the devices themselves would be made.
        without_mount(&mut bundle, "/dev");
        let _ = bundle.run();
        bait.untouched();
        if target.starts_with('/') {
            continue;
        }
        let name = "attack-dev-link";
        let image = testkit::images::variant(
            name,
            |layer| layer.file(".wh.dev", 0o644, "").symlink("dev", &target),
            &json!({}),
        );
        let d = Daemon::fresh();
        d.load(&image);
        let _ = d.docker().run(&format!("run --rm {name} true"));
        bait.untouched();
    }
}

#[test]
fn attack_08_a_race_while_mount_points_are_made() {
    let bait = Bait::new();
    let mut bundle = Bundle::new().args(&["true"]);
    let source = bundle.dir().join("source");
    fs::write(&source, "x").expect("a file");
    let root = bundle.root();
    fs::create_dir(root.join("race")).expect("a folder");
    symlink(bait.path(), root.join("other")).expect("a link");
    for n in 0..4 {
        add_mount(&mut bundle, bind(&source, &format!("/race/file{n}")));
        let folder = json!({"type": "tmpfs", "source": "tmpfs",
            "destination": format!("/race/deep{n}/folder"), "options": ["nosuid"]});
        add_mount(&mut bundle, folder);
    }
    let swapper = Swapper::new(root.join("race"), root.join("other"));
    for _ in 0..40 {
        let _ = bundle.run();
        bait.untouched();
    }
    drop(swapper);

    // The same with a volume of another container's, by the daemon.
    let d = Daemon::fresh();
    let shared = d.dir().join("shared");
    fs::create_dir_all(shared.join("race")).expect("folders");
    symlink(bait.path(), shared.join("other")).expect("a link");
    let swapper = Swapper::new(shared.join("race"), shared.join("other"));
    let (shared, source) = (shared.display(), source.display());
    for _ in 0..15 {
        let line = format!(
            "run --rm -v {shared}:/x -v {source}:/x/race/file --tmpfs /x/race/deep busybox true"
        );
        let _ = d.docker().run(&line);
        bait.untouched();
    }
    drop(swapper);
}

#[test]
fn attack_10_bind_targets_that_are_dangling_links() {
    let bait = Bait::new();
    let made = bait.path().join("made");
    let climbing = format!("../../../../../../../../..{}", made.display());
    for target in [made.to_str().expect("text"), &climbing] {
        let mut bundle = Bundle::new().args(&["true"]);
        let source = bundle.dir().join("source");
        fs::write(&source, "x").expect("a file");
        symlink(target, bundle.root().join("link")).expect("a link");
        add_mount(&mut bundle, bind(&source, "/link"));
        let folder = bundle.dir().to_owned();
        add_mount(&mut bundle, bind(&folder, "/link/below"));
        let _ = bundle.run();
        bait.untouched();

        let d = Daemon::fresh();
        let image = testkit::images::variant(
            "attack-dangling",
            |layer| layer.symlink("link", target),
            &json!({}),
        );
        d.load(&image);
        for flags in [
            format!("-v {}:/link", source.display()),
            format!("-v {}:/link", folder.display()),
            "--tmpfs /link".to_owned(),
            "-v named:/link".to_owned(),
        ] {
            let _ = d
                .docker()
                .run(&format!("run --rm {flags} attack-dangling true"));
            bait.untouched();
        }
        // Docker's own behaviour is kept: a link that leads to a place inside is followed there.
        let out = d
            .docker()
            .ok("run --rm -v named:/var/run/x busybox sh -c 'ls -d /var/run/x'");
        assert_eq!(out, "/var/run/x");
    }
}
