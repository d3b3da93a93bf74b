//! What a container sees.

use std::fs;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::Path;

use super::harness::{Mounted, Scene, at, isolated, isolated_as_user, mounted};

fn check_docker() {
    let mounts = mounted();
    assert_eq!(at(&mounts, "/proc").fs, "proc");
    let dev = at(&mounts, "/dev");
    assert!(dev.has("nosuid") && !dev.has("relatime"), "{dev:?}");
    assert!(dev.fs_options.contains("size=65536k"));
    let pts = at(&mounts, "/dev/pts");
    assert!(
        pts.fs_options.contains("gid=5,mode=620,ptmxmode=666"),
        "{pts:?}"
    );
    assert!(at(&mounts, "/sys").has("ro"));
    assert_eq!(at(&mounts, "/dev/mqueue").fs, "mqueue");
    let shm = at(&mounts, "/dev/shm");
    assert_eq!((shm.source.as_str(), shm.fs.as_str()), ("shm", "tmpfs"));
    assert!(shm.has("noexec"));
    assert_eq!(fs::metadata("/dev/shm").unwrap().mode() & 0o7777, 0o1777);
    assert!(at(&mounts, "/sys/fs/cgroup").has("ro"));
    for mount in &mounts {
        assert_eq!(mount.tags, "", "{mount:?}");
    }

    for (name, number) in [
        ("null", (1, 3)),
        ("zero", (1, 5)),
        ("full", (1, 7)),
        ("random", (1, 8)),
        ("urandom", (1, 9)),
        ("tty", (5, 0)),
    ] {
        let meta = fs::symlink_metadata(Path::new("/dev").join(name)).unwrap();
        assert!(meta.file_type().is_char_device(), "{name}");
        assert_eq!(meta.permissions().mode() & 0o777, 0o666, "{name}");
        let rdev = meta.rdev();
        assert_eq!((rustix::fs::major(rdev), rustix::fs::minor(rdev)), number);
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
        ("core", "/proc/kcore"),
        ("ptmx", "pts/ptmx"),
    ] {
        let link = fs::read_link(Path::new("/dev").join(name)).unwrap();
        assert_eq!(link, Path::new(target));
    }
    // Masked and read-only.
    let masked = fs::metadata("/proc/interrupts").unwrap();
    assert!(masked.file_type().is_char_device());
    if Path::new("/sys/firmware").exists() {
        assert_eq!(fs::read_dir("/sys/firmware").unwrap().count(), 0);
        assert!(fs::write("/sys/firmware/x", "").is_err());
    }
    assert!(at(&mounts, "/proc/sys").has("ro"));
    assert!(fs::write("/proc/sys/kernel/domainname", "x").is_err());
    // Nothing of the host is left.
    let root = fs::read_dir("/").unwrap().map(|e| e.unwrap().file_name());
    let mut root: Vec<_> = root.collect();
    root.sort();
    assert_eq!(root, ["dev", "proc", "sys"]);
    // (Files are masked by the host's null device.)
    assert!(
        mounts
            .iter()
            .all(|m| m.fs != "devtmpfs" || m.root == "/null")
    );
    assert_eq!(
        rustix::process::getcwd(Vec::new()).unwrap().as_bytes(),
        b"/"
    );
}

#[test]
fn docker_default() {
    isolated("sees::docker_default", || {
        Scene::docker("plain.json").run(|_| check_docker()).unwrap();
    });
}

#[test]
fn docker_default_on_an_old_kernel() {
    isolated("sees::docker_default_on_an_old_kernel", || {
        let mut scene = Scene::docker("plain.json");
        scene.old_kernel = true;
        scene.run(|_| check_docker()).unwrap();
    });
}

#[test]
fn docker_default_opened_inside() {
    isolated("sees::docker_default_opened_inside", || {
        let mut scene = Scene::docker("plain.json");
        scene.late = true;
        scene.run(|_| check_docker()).unwrap();
    });
}

#[test]
fn docker_default_without_pivot_root() {
    isolated("sees::docker_default_without_pivot_root", || {
        let mut scene = Scene::docker("plain.json");
        scene.no_pivot = true;
        scene.run(|_| check_docker()).unwrap();
    });
}

/// With binds of files, directories, read-only and recursive, and a read-only root.
fn much(old_kernel: bool) {
    let mut scene = Scene::docker("much.json");
    scene.old_kernel = old_kernel;
    let (a, b) = (scene.host_dir("a"), scene.host_dir("b"));
    let init = scene.path("init");
    fs::write(&init, "init").unwrap();
    for mount in scene.spec.mounts_mut().as_mut().unwrap() {
        match mount.destination().to_str().unwrap() {
            "/data" => mount.set_source(Some(b.clone())),
            "/data/deep/a" => mount.set_source(Some(a.clone())),
            "/sbin/docker-init" => mount.set_source(Some(init.clone())),
            _ => continue,
        };
    }
    scene
        .run(|_| {
            let mounts = mounted();
            assert!(at(&mounts, "/").has("ro"));
            assert!(fs::write("/x", "").is_err());
            // The root's being read-only does not reach what is mounted in it.
            fs::write("/data/new", "").unwrap();
            fs::write("/dev/shm/new", "").unwrap();
            assert_eq!(fs::read_to_string("/data/deep/a/file").unwrap(), "a");
            assert!(fs::write("/data/deep/a/new", "").is_err());
            assert_eq!(fs::read_to_string("/sbin/docker-init").unwrap(), "init");
            assert!(at(&mounts, "/sbin/docker-init").has("ro"));
            assert!(at(&mounts, "/data/deep/a").tags.starts_with("master:"));
            assert_eq!(at(&mounts, "/data").tags, "");
        })
        .unwrap();
    assert!(b.join("new").exists());
    assert!(b.join("deep/a").is_dir(), "made where it is missing");
}

#[test]
fn binds_and_a_read_only_root() {
    isolated("sees::binds_and_a_read_only_root", || much(false));
}

#[test]
fn binds_and_a_read_only_root_on_an_old_kernel() {
    isolated("sees::binds_and_a_read_only_root_on_an_old_kernel", || {
        much(true);
    });
}

#[test]
fn links_of_the_image_are_followed_inside_it() {
    isolated("sees::links_of_the_image_are_followed_inside_it", || {
        let mut scene = Scene::bare();
        let data = scene.host_dir("data");
        fs::create_dir(scene.root().join("run")).unwrap();
        fs::create_dir(scene.root().join("var")).unwrap();
        // As Debian has it.
        symlink("/run", scene.root().join("var/run")).unwrap();
        symlink("../../../../run", scene.root().join("up")).unwrap();
        scene.bind(&data, "/var/run/a", &[]);
        scene.bind(&data, "/up/b", &[]);
        scene
            .run(|_| {
                assert_eq!(fs::read_to_string("/run/a/file").unwrap(), "data");
                assert_eq!(fs::read_to_string("/run/b/file").unwrap(), "data");
            })
            .unwrap();
    });
}

#[test]
fn recursive_attributes() {
    isolated("sees::recursive_attributes", || {
        let mut scene = Scene::bare();
        let outer = scene.host_dir("outer");
        fs::create_dir(outer.join("inner")).unwrap();
        tmpfs(&outer.join("inner"));
        scene.proc();
        scene.add("bind", &outer, "/all", &["rbind", "rro", "rnosuid"]);
        scene.add("bind", &outer, "/top", &["rbind", "ro"]);
        scene.add("bind", &outer, "/one", &["bind", "noatime"]);
        scene
            .run(|_| {
                let mounts = mounted();
                let inner = at(&mounts, "/all/inner");
                assert!(inner.has("ro") && inner.has("nosuid"), "{inner:?}");
                assert!(at(&mounts, "/top").has("ro"));
                assert!(!at(&mounts, "/top/inner").has("ro"));
                assert!(at(&mounts, "/one").has("noatime"));
                assert!(!mounts.iter().any(|m| m.point == "/one/inner"));
            })
            .unwrap();
        scene.old_kernel = true;
        scene.refused(&["Linux 5.12", "/all"]);
    });
}

pub(crate) fn tmpfs(path: &Path) {
    rustix::mount::mount(
        "tmpfs",
        path,
        "tmpfs",
        rustix::mount::MountFlags::empty(),
        None,
    )
    .unwrap();
}

#[test]
fn propagation_as_asked() {
    isolated("sees::propagation_as_asked", || {
        let mut scene = Scene::bare();
        let source = scene.host_dir("source");
        fs::create_dir(source.join("inner")).unwrap();
        tmpfs(&source);
        fs::create_dir(source.join("inner")).unwrap();
        tmpfs(&source.join("inner"));
        scene.proc();
        for kind in [
            "shared", "rshared", "slave", "rslave", "private", "rprivate",
        ] {
            scene.add("bind", &source, &format!("/{kind}"), &["rbind", kind]);
        }
        scene.add("bind", &source, "/none", &["rbind"]);
        let tags = |mounts: &[Mounted], path: &str| {
            let tags = &at(mounts, path).tags;
            tags.split(':').next().unwrap().to_owned()
        };
        scene
            .run(|_| {
                let mounts = mounted();
                for (path, expected) in [
                    ("/rshared", "shared"),
                    ("/rshared/inner", "shared"),
                    ("/shared", "shared"),
                    ("/rslave", "master"),
                    ("/rslave/inner", "master"),
                    ("/slave", "master"),
                    ("/slave/inner", "master"),
                    ("/private", ""),
                    ("/private/inner", "master"),
                    ("/rprivate", ""),
                    ("/rprivate/inner", ""),
                    ("/none", ""),
                    ("/none/inner", ""),
                ] {
                    assert_eq!(tags(&mounts, path), expected, "{path}");
                }
            })
            .unwrap();
        let linux = scene.spec.linux_mut().as_mut().unwrap();
        linux.set_rootfs_propagation(Some("shared".to_owned()));
        scene
            .run(|_| assert_eq!(tags(&mounted(), "/"), "shared"))
            .unwrap();
    });
}

#[test]
fn tmpcopyup() {
    isolated("sees::tmpcopyup", || {
        let mut scene = Scene::bare();
        let below = scene.root().join("srv");
        fs::create_dir_all(below.join("a/b")).unwrap();
        fs::write(below.join("a/b/file"), "text").unwrap();
        std::os::unix::fs::chown(below.join("a/b/file"), Some(7), Some(8)).unwrap();
        fs::set_permissions(below.join("a/b/file"), fs::Permissions::from_mode(0o4750)).unwrap();
        symlink("/etc/passwd", below.join("link")).unwrap();
        fs::set_permissions(&below, fs::Permissions::from_mode(0o711)).unwrap();
        scene.add("tmpfs", Path::new("tmpfs"), "/srv", &["tmpcopyup", "ro"]);
        scene.proc();
        scene
            .run(|_| {
                assert_eq!(fs::read_to_string("/srv/a/b/file").unwrap(), "text");
                let meta = fs::metadata("/srv/a/b/file").unwrap();
                assert_eq!(
                    (meta.uid(), meta.gid(), meta.mode() & 0o7777),
                    (7, 8, 0o4750)
                );
                assert_eq!(fs::metadata("/srv").unwrap().mode() & 0o777, 0o711);
                let link = fs::read_link("/srv/link").unwrap();
                assert_eq!(link, Path::new("/etc/passwd"));
                assert!(at(&mounted(), "/srv").has("ro"));
            })
            .unwrap();
    });
}

#[test]
fn id_mapped_binds() {
    isolated("sees::id_mapped_binds", || {
        let mut scene = Scene::bare();
        let data = scene.host_dir("data");
        scene.add("bind", &data, "/mapped", &["rbind", "ridmap"]);
        let mapping = oci_spec::runtime::LinuxIdMappingBuilder::default()
            .container_id(0_u32)
            .host_id(5000_u32)
            .size(10_u32)
            .build()
            .unwrap();
        let mount = scene
            .spec
            .mounts_mut()
            .as_mut()
            .unwrap()
            .last_mut()
            .unwrap();
        mount.set_uid_mappings(Some(vec![mapping]));
        mount.set_gid_mappings(Some(vec![mapping]));
        scene
            .run(|_| {
                let meta = fs::metadata("/mapped/file").unwrap();
                assert_eq!((meta.uid(), meta.gid()), (5000, 5000));
            })
            .unwrap();
        scene.spec.mounts_mut().as_mut().unwrap()[0].set_gid_mappings(None);
        scene.refused(&["mounts[0]", "uidMappings without gidMappings"]);
        scene.spec.mounts_mut().as_mut().unwrap()[0].set_uid_mappings(None);
        scene.refused(&["mounts[0].options", "idmap"]);
    });
}

#[test]
fn devices_of_the_configuration() {
    isolated("sees::devices_of_the_configuration", || {
        let mut scene = Scene::docker("plain.json");
        let device = |path: &str, typ: &str, major: i64, minor: i64| {
            serde_json::from_value(serde_json::json!({
                "path": path, "type": typ, "major": major, "minor": minor,
                "fileMode": 0o640, "uid": 3, "gid": 4,
            }))
            .unwrap()
        };
        let linux = scene.spec.linux_mut().as_mut().unwrap();
        linux.set_devices(Some(vec![
            device("/dev/net/tun", "c", 10, 200),
            device("/dev/loop7", "b", 7, 7),
            device("/dev/null", "c", 1, 3),
            device("/run/pipe", "p", 0, 0),
            device("/dev/ptmx", "c", 5, 2),
        ]));
        scene
            .run(|_| {
                let tun = fs::symlink_metadata("/dev/net/tun").unwrap();
                assert_eq!(tun.rdev(), rustix::fs::makedev(10, 200));
                assert_eq!((tun.uid(), tun.gid(), tun.mode() & 0o777), (3, 4, 0o640));
                let disk = fs::symlink_metadata("/dev/loop7").unwrap();
                assert!(disk.file_type().is_block_device());
                assert_eq!(fs::metadata("/dev/null").unwrap().mode() & 0o777, 0o640);
                let pipe = fs::symlink_metadata("/run/pipe").unwrap();
                assert!(pipe.file_type().is_fifo());
                assert!(fs::read_link("/dev/ptmx").is_ok());
            })
            .unwrap();
    });
}

#[test]
fn a_dev_that_is_bound_is_left_alone() {
    isolated("sees::a_dev_that_is_bound_is_left_alone", || {
        let mut scene = Scene::bare();
        let dev = scene.host_dir("dev");
        scene.bind(&dev, "/dev", &[]);
        scene.run(|_| ()).unwrap();
        let found: Vec<_> = fs::read_dir(&dev).unwrap().collect();
        assert_eq!(found.len(), 1, "{found:?}");
    });
}

#[test]
fn the_console() {
    isolated("sees::the_console", || {
        for old_kernel in [false, true] {
            let mut scene = Scene::docker("plain.json");
            scene.old_kernel = old_kernel;
            scene
                .stepwise(
                    |_| (),
                    |plan| {
                        let (master, slave) = plan.open_pty().unwrap();
                        plan.console(slave.as_fd()).unwrap();
                        let console = fs::metadata("/dev/console").unwrap();
                        let slave = rustix::fs::fstat(&slave).unwrap();
                        assert_eq!(console.rdev(), slave.st_rdev);
                        drop(master);
                        let null = fs::File::open("/dev/null").unwrap();
                        let error = plan.console(null.as_fd()).unwrap_err();
                        assert!(error.to_string().contains("terminal"), "{error}");
                    },
                    |_| {
                        let mounts = mounted();
                        assert_eq!(at(&mounts, "/dev/console").fs, "devpts");
                    },
                )
                .unwrap();
        }
    });
}

#[test]
fn own_cgroups_only() {
    isolated("sees::own_cgroups_only", || {
        let scene = Scene::docker("plain.json");
        let own = fs::read_to_string("/proc/self/cgroup").unwrap();
        scene
            .run(|_| {
                for mount in mounted().iter().filter(|m| m.fs.starts_with("cgroup")) {
                    assert!(mount.has("ro") && mount.has("noexec"), "{mount:?}");
                    let line = own
                        .lines()
                        .any(|l| l.ends_with(&format!(":{}", mount.root)));
                    assert!(line, "{mount:?} is none of {own}");
                    assert!(mount.point.starts_with("/sys/fs/cgroup"));
                }
            })
            .unwrap();
    });
}

#[test]
fn as_root_of_a_user_namespace() {
    isolated_as_user("sees::as_root_of_a_user_namespace", || {
        for late in [false, true] {
            let mut scene = Scene::docker("plain.json");
            scene.late = late;
            scene.user_namespace = true;
            let options = scene.spec.mounts_mut().as_mut().unwrap();
            for mount in options {
                // No other group than the user's own exists there.
                if let Some(options) = mount.options_mut() {
                    options.retain(|o| o != "gid=5");
                }
            }
            scene
                .run(|_| {
                    let null = fs::metadata("/dev/null").unwrap();
                    assert!(null.file_type().is_char_device());
                    fs::write("/dev/null", "x").unwrap();
                    assert_eq!(fs::read("/proc/interrupts").unwrap(), b"");
                    assert!(fs::write("/proc/sys/kernel/domainname", "x").is_err());
                })
                .unwrap();
        }
    });
}

/// The kernel does not mount sysfs for a network namespace of somebody else's: the host's is shown,
/// and nothing in it can be written (CVE-2023-25809: nor in the cgroups below).
#[test]
fn the_hosts_sys_for_the_hosts_network() {
    let name = "sees::the_hosts_sys_for_the_hosts_network";
    isolated_as_user(name, || {
        let mut scene = Scene::bare();
        scene.user_namespace = true;
        scene.host_network = true;
        scene.proc();
        scene.add("sysfs", Path::new("sysfs"), "/sys", &["nosuid"]);
        scene
            .run(|_| {
                let mounts = mounted();
                assert_eq!(at(&mounts, "/sys").fs, "sysfs");
                for mount in mounts.iter().filter(|m| m.point.starts_with("/sys")) {
                    assert!(mount.has("ro") && mount.has("nosuid"), "{mount:?}");
                }
            })
            .unwrap();
        scene.old_kernel = true;
        scene.refused(&["Linux 5.12", "/sys"]);
    });
}

#[test]
fn a_tmpfs_is_as_open_as_what_it_covers() {
    isolated("sees::a_tmpfs_is_as_open_as_what_it_covers", || {
        let mut scene = Scene::bare();
        let run = scene.root().join("run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o750)).unwrap();
        let tmpfs = Path::new("tmpfs");
        scene.add("tmpfs", tmpfs, "/run", &[]);
        scene.add("tmpfs", tmpfs, "/new", &[]);
        scene.add("tmpfs", tmpfs, "/run/own", &["mode=700"]);
        scene
            .run(|_| {
                for (path, mode) in [("/run", 0o750), ("/new", 0o1777), ("/run/own", 0o700)] {
                    assert_eq!(fs::metadata(path).unwrap().mode() & 0o7777, mode, "{path}");
                }
            })
            .unwrap();
    });
}

#[test]
fn refused_by_name() {
    isolated("sees::refused_by_name", || {
        let data = Path::new("/tmp");
        for (typ, destination, options, words) in [
            ("bind", "/", &["bind"] as &[_], "mounts[0].destination"),
            ("bind", "/a", &["bind", "size=1"], "\"size\""),
            ("bind", "/a", &["bind", "fly"], "\"fly\""),
            ("tmpfs", "/a", &["fly"], "\"fly\""),
            ("tmpfs", "/a", &["idmap"], "id-mapped"),
            ("proc", "/proc", &["tmpcopyup"], "tmpcopyup"),
            ("nofs", "/a", &[], "nofs"),
            ("", "/a", &[], "mounts[0].type"),
        ] {
            let mut scene = Scene::bare();
            scene.add(typ, data, destination, options);
            scene.refused(&[words]);
        }
        let mut scene = Scene::bare();
        scene.bind(&scene.path("missing"), "/a", &[]);
        scene.refused(&["missing", "No such file"]);
        let mut scene = Scene::bare();
        let file = scene.host_dir("d").join("file");
        fs::create_dir(scene.root().join("dir")).unwrap();
        scene.bind(&file, "/dir", &[]);
        scene.refused(&["Are you trying to mount a directory onto a file"]);
        let mut scene = Scene::bare();
        let linux = scene.spec.linux_mut().as_mut().unwrap();
        linux.set_mount_label(Some("system_u:object_r:x_t:s0".to_owned()));
        if !Path::new("/sys/fs/selinux/enforce").exists() {
            scene.refused(&["linux.mountLabel"]);
        }
    });
}
