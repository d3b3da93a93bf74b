//! `--mount` in its full form, parts of volumes, and the mounts of other containers.

use testkit::Daemon;

#[test]
fn binds_volumes_and_memory() {
    let d = Daemon::fresh();
    let folder = d.dir().join("shared");
    std::fs::create_dir(&folder).expect("our own folder");
    std::fs::write(folder.join("in"), "from the host").expect("our own file");
    let host = folder.display();
    for cli in d.clis() {
        let bind = format!("--mount type=bind,src={host},dst=/x");
        assert_eq!(
            cli.ok(&format!("run --rm {bind} busybox cat /x/in")),
            "from the host"
        );
        assert_ne!(
            cli.code(&format!("run --rm {bind},ro busybox touch /x/no")),
            0
        );
        let volume = format!("m-{}", cli.name());
        cli.ok(&format!(
            "run --rm --mount src={volume},dst=/v busybox sh -c 'echo kept > /v/file'"
        ));
        assert_eq!(
            cli.ok(&format!(
                "run --rm --mount type=volume,source={volume},target=/w,readonly busybox cat /w/file"
            )),
            "kept"
        );
        let none = "run --rm --mount dst=/etc,volume-nocopy busybox ls /etc/passwd";
        assert_ne!(cli.code(none), 0);
        let memory = cli.ok(
            "run --rm --mount type=tmpfs,dst=/t,tmpfs-size=1m,tmpfs-mode=700 busybox \
             grep ' /t ' /proc/mounts",
        );
        for part in ["tmpfs", "size=1024k", "mode=700"] {
            assert!(memory.contains(part), "{part}: {memory}");
        }
    }
    d.assert_no_leaks();
}

#[test]
fn inspect_shows_mounts_as_docker_does() {
    let d = Daemon::fresh();
    let folder = d.dir().display().to_string();
    for cli in d.clis() {
        cli.ok(&format!(
            "create --name shown --mount type=bind,src={folder},dst=/b,ro \
             --mount type=tmpfs,dst=/t,tmpfs-size=1m busybox true"
        ));
        let mount = |index: u32| {
            cli.ok(&format!(
                "inspect -f '{{{{with index .Mounts {index}}}}}{{{{.Type}}}} {{{{.Source}}}} \
                 {{{{.Destination}}}} {{{{.Mode}}}} {{{{.RW}}}} {{{{.Propagation}}}}{{{{end}}}}' shown"
            ))
        };
        assert_eq!(mount(0), format!("bind {folder} /b  false rprivate"));
        assert_eq!(mount(1).trim_end(), "tmpfs  /t  true");
        assert_eq!(
            cli.ok("inspect -f '{{json .HostConfig.Mounts}}' shown"),
            format!(
                "[{{\"Type\":\"bind\",\"Source\":\"{folder}\",\"Target\":\"/b\",\"ReadOnly\":true}},\
                 {{\"Type\":\"tmpfs\",\"Target\":\"/t\",\"TmpfsOptions\":{{\"SizeBytes\":1048576}}}}]"
            )
        );
        cli.ok("rm shown");
    }
}

#[test]
fn what_makes_no_sense_is_refused_in_dockers_words() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        for (options, words) in [
            (
                "--mount type=image,src=no-such-image,dst=/i",
                "No such image: no-such-image",
            ),
            (
                "-v xx:/a --mount type=tmpfs,dst=/a",
                "Duplicate mount point: /a",
            ),
            (
                "--mount type=bind,src=rel,dst=/a",
                "invalid mount path: 'rel' mount path must be absolute",
            ),
            ("--volumes-from nosuch", "No such container: nosuch"),
            (
                "--volume-driver other -v xx:/a",
                "plugin \"other\" not found",
            ),
            (
                "--mount src=vv,dst=/a,volume-subpath=../x",
                "subpath must be a relative path within the volume",
            ),
        ] {
            cli.refused(&format!("create {options} busybox true"), &[words]);
        }
    }
}

#[test]
fn a_part_of_a_volume_stays_in_the_volume() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let name = format!("parts-{}", cli.name());
        cli.ok(&format!(
            "run --rm -v {name}:/v busybox sh -c 'mkdir -p /v/a/b && echo deep > /v/a/b/f && \
             ln -s /etc /v/out && ln -s ../../../../../etc /v/up && ln -s a/b /v/in'"
        ));
        for part in ["a/b", "in"] {
            let line = format!(
                "run --rm --mount src={name},dst=/p,volume-subpath={part} busybox cat /p/f"
            );
            assert_eq!(cli.ok(&line), "deep", "{part}");
        }
        let file =
            format!("run --rm --mount src={name},dst=/p,volume-subpath=a/b/f busybox cat /p");
        assert_eq!(cli.ok(&file), "deep");
        for part in ["out", "up", "up/passwd"] {
            cli.refused(
                &format!("run --rm --mount src={name},dst=/p,volume-subpath={part} busybox true"),
                &["escapes the base directory"],
            );
        }
        cli.refused(
            &format!("run --rm --mount src={name},dst=/p,volume-subpath=none busybox true"),
            &["cannot access path"],
        );
    }
    d.assert_no_leaks();
}

#[test]
fn volumes_of_other_containers() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let name = format!("data-{}", cli.name());
        cli.ok(&format!(
            "run --name one -v {name}:/data -v /anon busybox sh -c 'echo 1 > /data/f; echo 2 > /anon/f'"
        ));
        // It has ended, and gives its volumes all the same.
        assert_eq!(
            cli.ok("run --rm --volumes-from one busybox cat /data/f /anon/f"),
            "1\n2"
        );
        assert_ne!(
            cli.code("run --rm --volumes-from one:ro busybox touch /data/x"),
            0
        );
        // A volume of its own goes before one of another's.
        let own = "run --rm --volumes-from one -v /data busybox ls /data";
        assert_eq!(cli.ok(own), "f");
        let own = format!("run --rm --volumes-from one -v other-{name}:/data busybox ls /data");
        assert_eq!(cli.ok(&own), "");
        cli.ok("create --name two --volumes-from one busybox true");
        cli.ok("rm -v one");
        // The anonymous volume is two's as well.
        assert_eq!(
            cli.ok("run --rm --volumes-from two busybox cat /anon/f"),
            "2"
        );
        cli.ok("rm -v two");
    }
    d.assert_no_leaks();
}

#[test]
fn read_only_reaches_what_is_mounted_below() {
    let d = Daemon::fresh();
    let folder = d.dir().join("tree");
    std::fs::create_dir_all(folder.join("below")).expect("our own folder");
    let host = folder.display();
    for cli in d.clis() {
        // A container makes the mount below, in its own namespace only, so nothing is left here.
        let nested = format!("--mount type=bind,src={host},dst=/x,bind-recursive=disabled,ro");
        let mounts = cli.ok(&format!(
            "run --rm {nested} busybox grep ' /x ' /proc/mounts"
        ));
        assert!(mounts.contains(" ro,"), "{mounts}");
    }
}
