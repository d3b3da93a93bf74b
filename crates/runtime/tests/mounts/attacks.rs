//! Named attacks, by their advisories: the attempt, and that it comes to nothing.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, symlink};
use std::path::Path;

use rustix::fs::{Mode, OFlags, ResolveFlags};

use super::harness::{Scene, at, isolated, mounted};
use super::sees::tmpfs;

/// CVE-2025-31133: `/dev/null` is exchanged for a link before paths are masked with it.
#[test]
fn cve_2025_31133_dev_null_is_a_link_when_masking() {
    isolated(
        "attacks::cve_2025_31133_dev_null_is_a_link_when_masking",
        || {
            for old_kernel in [false, true] {
                let mut scene = Scene::docker("plain.json");
                scene.old_kernel = old_kernel;
                scene
                    .stepwise(
                        |_| (),
                        |_| {
                            fs::remove_file("/dev/null").unwrap();
                            symlink("/proc/sys/kernel/core_pattern", "/dev/null").unwrap();
                        },
                        |_| {
                            for mount in mounted() {
                                assert!(!mount.root.contains("core_pattern"), "{mount:?}");
                            }
                            let masked = fs::metadata("/proc/interrupts").unwrap();
                            assert!(masked.file_type().is_char_device());
                            assert_eq!(fs::read("/proc/interrupts").unwrap(), b"");
                        },
                    )
                    .unwrap();
            }
        },
    );
}

/// CVE-2025-52565: a link where the terminal is, or where it is to be bound.
#[test]
fn cve_2025_52565_console() {
    isolated("attacks::cve_2025_52565_console", || {
        let scene = Scene::docker("plain.json");
        let victim = "/proc/sys/kernel/core_pattern";
        scene
            .stepwise(
                |_| (),
                |plan| {
                    let (_master, slave) = plan.open_pty().unwrap();
                    symlink(victim, "/dev/console").unwrap();
                    let error = plan.console(slave.as_fd()).unwrap_err();
                    assert!(error.to_string().contains("symbolic link"), "{error}");
                    fs::remove_file("/dev/console").unwrap();
                    // The terminal's name does not matter: it is known by descriptor.
                    tmpfs(Path::new("/dev/pts"));
                    symlink(victim, "/dev/pts/0").unwrap();
                    plan.console(slave.as_fd()).unwrap();
                },
                |_| {
                    let mounts = mounted();
                    assert_eq!(at(&mounts, "/dev/console").fs, "devpts");
                    assert!(mounts.iter().all(|m| m.point != victim));
                },
            )
            .unwrap();
    });
}

/// CVE-2025-52881: what is written to `/proc/self/attr` or `/proc/sys` goes elsewhere, because
/// something is mounted there.
#[test]
fn cve_2025_52881_writes_to_procfs_redirected() {
    isolated(
        "attacks::cve_2025_52881_writes_to_procfs_redirected",
        || {
            for destination in [
                "/proc/self/attr",
                "/proc/sys/kernel",
                "/proc/sysrq-trigger",
                "/link/sys/kernel",
                "/proc/../proc/sys",
            ] {
                let mut scene = Scene::bare();
                fs::create_dir(scene.root().join("proc")).unwrap();
                symlink("/proc", scene.root().join("link")).unwrap();
                scene.proc();
                let fake = scene.host_dir("fake");
                let file = fake.join("file");
                let is_file = destination.ends_with("trigger");
                scene.bind(if is_file { &file } else { &fake }, destination, &[]);
                scene.refused(&["mounts[1]", "/proc"]);
                // Neither by a tmpfs.
                scene.spec.mounts_mut().as_mut().unwrap().pop();
                if !is_file {
                    scene.add("tmpfs", Path::new("tmpfs"), destination, &[]);
                    scene.refused(&["mounts[1]", "/proc"]);
                }
            }
            // What is written through the plan's descriptor reaches the kernel in any case.
            let mut scene = Scene::bare();
            scene.proc();
            scene
                .stepwise(
                    |_| (),
                    |plan| {
                        tmpfs(Path::new("/proc"));
                        fs::create_dir_all("/proc/sys/kernel").unwrap();
                        fs::write("/proc/sys/kernel/shmmni", "fake").unwrap();
                        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
                        let resolve = ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
                        let real = rustix::fs::openat2(
                            plan.proc().unwrap(),
                            "sys/kernel/shmmni",
                            flags,
                            Mode::empty(),
                            resolve,
                        )
                        .unwrap();
                        let mut buffer = [0; 16];
                        let length = rustix::io::read(&real, &mut buffer).unwrap();
                        assert_ne!(&buffer[..length], b"fake");
                    },
                    |_| (),
                )
                .unwrap();
            // Programs that show the container's own limits still can.
            let mut scene = Scene::bare();
            scene.proc();
            let file = scene.host_dir("lxcfs").join("file");
            scene.bind(&file, "/proc/meminfo", &[]);
            scene
                .run(|_| assert_eq!(fs::read_to_string("/proc/meminfo").unwrap(), "lxcfs"))
                .unwrap();
        },
    );
}

/// CVE-2026-41579: `/dev` of the image is a link to where nodes and links shall not be made.
#[test]
fn cve_2026_41579_dev_is_a_link() {
    isolated("attacks::cve_2026_41579_dev_is_a_link", || {
        for sample in [true, false] {
            let scene = if sample {
                Scene::docker("plain.json")
            } else {
                Scene::bare()
            };
            let victim = scene.host_dir("victim");
            symlink(&victim, scene.root().join("dev")).unwrap();
            scene.refused(&["/dev", "ordinary directory"]);
            assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
        }
    });
}

/// CVE-2019-19921: the root is a shared mount in which another container works at the same time. It
/// moves `/proc` away under the runtime, and puts there what only looks like it.
#[test]
fn cve_2019_19921_shared_root() {
    isolated("attacks::cve_2019_19921_shared_root", || {
        for old_kernel in [false, true] {
            let mut scene = Scene::docker("plain.json");
            scene.old_kernel = old_kernel;
            let root = scene.root();
            tmpfs(&root);
            fs::create_dir(root.join("proc")).unwrap();
            let (go, told) = std::sync::mpsc::channel();
            let (done, finished) = std::sync::mpsc::channel();
            std::thread::scope(|scope| {
                let root = &root;
                scope.spawn(move || {
                    told.recv().unwrap();
                    fs::rename(root.join("proc"), root.join("old")).unwrap();
                    fs::create_dir_all(root.join("proc/sys/kernel")).unwrap();
                    fs::write(root.join("proc/interrupts"), "fake").unwrap();
                    done.send(()).unwrap();
                });
                scene
                    .stepwise(
                        |_| (),
                        move |_| {
                            go.send(()).unwrap();
                            finished.recv().unwrap();
                            assert_eq!(fs::read("/proc/interrupts").unwrap(), b"fake");
                        },
                        |plan| {
                            let proc = rustix::fs::fstatfs(plan.proc().unwrap()).unwrap();
                            assert_eq!(proc.f_type, 0x9fa0);
                            // What was to be protected is, wherever it is now.
                            assert_eq!(fs::read("/old/interrupts").unwrap(), b"");
                            assert!(fs::write("/old/sys/kernel/domainname", "x").is_err());
                            assert_eq!(fs::read("/proc/interrupts").unwrap(), b"fake");
                        },
                    )
                    .unwrap();
            });
            // That no mount arrived in the shared mount outside, the harness looks at.
            rustix::mount::unmount(&root, rustix::mount::UnmountFlags::DETACH).unwrap();
        }
    });
}

/// CVE-2024-45310: while mount points are made, somebody exchanges directories on the way for links,
/// and files or directories appear on the host.
#[test]
fn cve_2024_45310_race_of_mount_points() {
    isolated("attacks::cve_2024_45310_race_of_mount_points", || {
        let mut scene = Scene::bare();
        let victim = scene.host_dir("victim");
        let (source, volume) = (scene.host_dir("source"), scene.host_dir("volume"));
        fs::create_dir(volume.join("a")).unwrap();
        symlink(&victim, volume.join("b")).unwrap();
        scene.bind(&volume, "/v", &[]);
        for n in 0..20 {
            scene.bind(&source, &format!("/v/a/made{n}/x"), &[]);
            scene.bind(&source.join("file"), &format!("/v/a/file{n}"), &[]);
        }
        let stop = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let (a, b) = (volume.join("a"), volume.join("b"));
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    let exchange = rustix::fs::RenameFlags::EXCHANGE;
                    let cwd = rustix::fs::CWD;
                    let _ = rustix::fs::renameat_with(cwd, &a, cwd, &b, exchange);
                }
            });
            for _ in 0..30 {
                // It may fail, for the way may lead nowhere; but nothing may come of it outside.
                let _ = scene.run(|_| ());
            }
            stop.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(fs::read_dir(&victim).unwrap().count(), 1);
    });
}

/// `/proc` or `/sys` of the image is a link, so that the runtime writes to what only looks so.
#[test]
fn proc_or_sys_is_a_link() {
    isolated("attacks::proc_or_sys_is_a_link", || {
        for name in ["proc", "sys"] {
            for target in ["/", "tmp", "/tmp", "nowhere"] {
                let scene = Scene::docker("plain.json");
                fs::create_dir(scene.root().join("tmp")).unwrap();
                symlink(target, scene.root().join(name)).unwrap();
                scene.refused(&["must be mounted on ordinary directory", name]);
            }
        }
    });
}

/// A mount point is a link that leads nowhere inside, but somewhere on the host; also one that
/// climbs out, or goes in a circle.
#[test]
fn dangling_links_as_mount_points() {
    isolated("attacks::dangling_links_as_mount_points", || {
        let victim = Scene::bare();
        let victim = victim.host_dir("victim");
        let made = victim.join("made");
        for directory in [true, false] {
            for destination in ["/link", "/link/below"] {
                let mut scene = Scene::bare();
                let mut source = scene.host_dir("source");
                if !directory {
                    source.push("file");
                }
                symlink(&made, scene.root().join("link")).unwrap();
                scene.bind(&source, destination, &[]);
                if directory || destination != "/link" {
                    scene.refused(&["leads nowhere"]);
                } else {
                    // The file is made where the link leads inside.
                    let inside = made.clone();
                    scene.run(move |_| assert!(inside.is_file())).unwrap();
                }
                assert!(!made.exists());
            }
        }
    });
}

/// Links that climb, or lead to one another, as mount points of files.
#[test]
fn links_that_climb_or_circle() {
    isolated("attacks::links_that_climb_or_circle", || {
        let mut scene = Scene::bare();
        let source = scene.host_dir("source").join("file");
        fs::create_dir(scene.root().join("etc")).unwrap();
        let up = "../../../../../../run/made";
        symlink(up, scene.root().join("etc/resolv.conf")).unwrap();
        scene.bind(&source, "/etc/resolv.conf", &[]);
        scene
            .run(|_| assert!(Path::new("/run/made").is_file()))
            .unwrap();
        assert!(!Path::new("/run/made").exists());
        for (target, words) in [
            ("b", "Too many levels of symbolic links"),
            ("missing/../../../escape", "No such file"),
        ] {
            let mut scene = Scene::bare();
            let source = scene.host_dir("source").join("file");
            symlink(target, scene.root().join("a")).unwrap();
            symlink("a", scene.root().join("b")).unwrap();
            scene.bind(&source, "/a", &[]);
            scene.refused(&[words]);
        }
    });
}

/// A masked path leads through a link of the image to what is not to be masked on the host.
#[test]
fn masked_paths_stay_inside() {
    isolated("attacks::masked_paths_stay_inside", || {
        let mut scene = Scene::bare();
        let victim = scene.host_dir("victim");
        fs::create_dir(scene.root().join("etc")).unwrap();
        fs::write(scene.root().join("etc/secret"), "x").unwrap();
        symlink("../../../../../../etc", scene.root().join("way")).unwrap();
        symlink(&victim, scene.root().join("out")).unwrap();
        scene.proc();
        let linux = scene.spec.linux_mut().as_mut().unwrap();
        linux.set_masked_paths(Some(vec!["/way/secret".to_owned(), "/out/file".to_owned()]));
        linux.set_readonly_paths(Some(vec!["/way".to_owned(), "/out".to_owned()]));
        scene
            .run(|_| {
                assert_eq!(fs::read("/etc/secret").unwrap(), b"");
                assert!(fs::write("/etc/new", "").is_err());
            })
            .unwrap();
        fs::write(victim.join("file"), "still").unwrap();
    });
}

/// Mount points are made by descriptor only: a link with the name of a magic one is of no use.
#[test]
fn magic_links_are_not_followed() {
    isolated("attacks::magic_links_are_not_followed", || {
        for way in [
            "/proc/self/root/tmp/x",
            "/proc/self/cwd/x",
            "/proc/1/root/x",
        ] {
            let mut scene = Scene::bare();
            scene.proc();
            let source = scene.host_dir("source");
            symlink(way, scene.root().join("link")).unwrap();
            scene.bind(&source, "/link", &[]);
            assert!(scene.run(|_| ()).is_err(), "{way}");
        }
    });
}

/// A masked or read-only path in a mount that is shared with the host would change the host.
#[test]
fn masks_do_not_reach_a_shared_mount() {
    isolated("attacks::masks_do_not_reach_a_shared_mount", || {
        for masked in [true, false] {
            let mut scene = Scene::bare();
            let source = scene.host_dir("source");
            symlink("/shared", scene.root().join("link")).unwrap();
            scene.proc();
            scene.bind(&source, "/shared", &["rshared"]);
            let paths = Some(vec!["/link/file".to_owned()]);
            let linux = scene.spec.linux_mut().as_mut().unwrap();
            if masked {
                linux.set_masked_paths(paths);
            } else {
                linux.set_readonly_paths(paths);
            }
            scene.refused(&["/link/file", "shared with the host"]);
        }
    });
}
