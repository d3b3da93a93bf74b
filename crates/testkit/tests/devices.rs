//! `--device`, `--device-cgroup-rule`, and devices that vendors describe (CDI).

use testkit::{Daemon, Opts};

#[test]
fn devices_of_the_host() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let listed = cli.ok("run --rm --device /dev/null:/dev/mine:r busybox ls -l /dev/mine");
        assert!(
            listed.starts_with("crw") && listed.contains("1,   3"),
            "{listed}"
        );
        cli.ok("run --rm --device /dev/null:/dev/mine:r busybox cat /dev/mine");
        // fuse is nobody's by default, so its rule shows.
        if std::fs::exists("/dev/fuse").unwrap_or(false) {
            cli.ok("run --rm --device /dev/fuse:/dev/f:rw busybox sh -c ': <>/dev/f'");
            let out = cli.run("run --rm --device /dev/fuse:/dev/f:r busybox sh -c ': >/dev/f'");
            assert_ne!(out.code, 0, "only reading is allowed: {out}");
            let make = "mknod /f c 10 229 && : </f";
            let line = |flags: &str| format!("run --rm {flags} busybox sh -c '{make}'");
            assert_ne!(cli.code(&line("")), 0);
            cli.ok(&line("--device-cgroup-rule 'c 10:229 rwm'"));
        }
        let many = cli.ok("run --rm --device /dev/net:/dev/mynet busybox ls /dev/mynet");
        assert_eq!(many, "tun", "a directory's devices");
        let shown = "{{(index .HostConfig.Devices 0).PathInContainer}}";
        cli.ok("create --name boxd --device /dev/null:/dev/mine:r busybox true");
        assert_eq!(cli.ok(&format!("inspect -f '{shown}' boxd")), "/dev/mine");
        cli.ok("rm boxd");
        cli.refused(
            "run --rm --device /dev/nothing busybox true",
            &["/dev/nothing", "no such file or directory"],
        );
        cli.refused(
            "run --rm --device /etc/passwd busybox true",
            &["/etc/passwd", "not a device node"],
        );
        cli.refused(
            "run --rm --device-cgroup-rule 'x 1:3 r' busybox true",
            &["x 1:3 r"],
        );
    }
}

const TOY: &str = r#"cdiVersion: "0.6.0"
kind: acme.com/toy
containerEdits:
  env: ["TOY=yes"]
devices:
- name: one
  containerEdits:
    deviceNodes:
    - path: /dev/toy
      hostPath: /dev/null
      permissions: r
    mounts:
    - hostPath: /etc/hostname
      containerPath: /toy.txt
      options: ["ro", "bind"]
    additionalGids: [4242]
"#;

#[test]
fn devices_that_vendors_describe() {
    let dir = tempfile::tempdir().expect("/tmp");
    std::fs::write(dir.path().join("toy.yaml"), TOY).expect("/tmp");
    let flag = format!("--cdi-spec-dir={}", dir.path().display());
    let d = Daemon::with(Opts::args(&[&flag]));
    let info = d.api().get("/info").expect(200).json();
    assert_eq!(info["CDISpecDirs"][0], dir.path().to_str().expect("text"));
    assert_eq!(info["DiscoveredDevices"][0]["ID"], "acme.com/toy=one");
    let cli = d.wharf();
    let out = cli.ok("run --rm --device acme.com/toy=one busybox sh -c 'echo $TOY; ls -l /dev/toy; cat /toy.txt; id -G'");
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(lines[0], "yes");
    assert!(lines[1].contains("1,   3"), "{out}");
    assert!(lines.last().expect("groups").contains("4242"), "{out}");
    cli.refused(
        "run --rm --device acme.com/toy=two busybox true",
        &["unresolvable CDI devices acme.com/toy=two"],
    );
    // Nothing but a request asks for a device: no label, no annotation (GO-2026-5064).
    let line = "run --rm --label cdi.k8s.io/x=acme.com/toy=one --annotation cdi.k8s.io/x=acme.com/toy=one busybox sh -c 'echo [$TOY]'";
    assert_eq!(cli.ok(line), "[]");
}
