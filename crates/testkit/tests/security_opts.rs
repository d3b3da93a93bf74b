//! `--security-opt`, `--group-add` and what is masked, read back from inside.

use testkit::Daemon;

fn field(status: &str, name: &str) -> String {
    let line = status
        .lines()
        .find_map(|l| l.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {name} in {status}"))
        .trim()
        .to_owned()
}

#[test]
fn seccomp() {
    let d = Daemon::fresh();
    let dir = tempfile::tempdir().expect("/tmp");
    let profile = dir.path().join("profile.json");
    let text = r#"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        {"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5}]}"#;
    std::fs::write(&profile, text).expect("/tmp");
    for cli in d.clis() {
        let flag = format!("--security-opt seccomp={}", profile.display());
        let out = cli.run(&format!("run --rm {flag} busybox mkdir /x"));
        assert!(
            out.code == 1 && out.stderr.contains("Input/output error"),
            "{out}"
        );
        // An exec has the same filter.
        cli.ok(&format!("run -d --name boxs {flag} busybox sleep 1000"));
        let out = cli.run("exec boxs mkdir /x");
        assert!(
            out.code == 1 && out.stderr.contains("Input/output error"),
            "{out}"
        );
        assert_eq!(
            field(&cli.ok("exec boxs cat /proc/self/status"), "Seccomp"),
            "2"
        );
        cli.ok("rm -f boxs");
        let status =
            |flags: &str| cli.ok(&format!("run --rm {flags} busybox cat /proc/self/status"));
        assert_eq!(
            field(&status("--security-opt seccomp=unconfined"), "Seccomp"),
            "0"
        );
        let status = status("--privileged --security-opt no-new-privileges");
        assert_eq!(field(&status, "NoNewPrivs"), "1");
        std::fs::write(dir.path().join("bad.json"), r#"{"syscalls": []}"#).expect("/tmp");
        let bad = dir.path().join("bad.json");
        let out = cli.run(&format!(
            "run --rm --security-opt seccomp={} busybox true",
            bad.display()
        ));
        assert!(out.code != 0 && out.stderr.contains("seccomp"), "{out}");
    }
}

#[test]
fn system_paths() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let count = |flags: &str| {
            let out = cli.ok(&format!(
                "run --rm {flags} busybox sh -c 'grep -c \" /proc/\" /proc/mounts || true'"
            ));
            out.trim().parse::<u32>().expect("a number")
        };
        assert!(count("") > 5);
        assert_eq!(count("--security-opt systempaths=unconfined"), 0);
        cli.ok("create --name boxp --security-opt systempaths=unconfined busybox true");
        assert_eq!(
            cli.ok("inspect -f '{{json .HostConfig.MaskedPaths}}' boxp"),
            "[]"
        );
        cli.ok("rm boxp");
    }
    let body = serde_json::json!({
        "Image": "busybox",
        "HostConfig": {"MaskedPaths": ["/etc/passwd"], "ReadonlyPaths": ["/tmp"]},
        "Cmd": ["sh", "-c", "wc -c </etc/passwd; touch /tmp/x 2>/dev/null || echo ro"]
    });
    let created = d.api().post("/containers/create?name=own", Some(&body));
    created.expect(201);
    assert_eq!(d.docker().ok("start -a own"), "0\nro");
}

#[test]
fn what_the_host_does_not_have_is_refused_by_name() {
    let d = Daemon::fresh();
    if std::fs::exists("/sys/module/apparmor").unwrap_or(false) || !d.engine().is_wharf() {
        return;
    }
    for cli in d.clis() {
        let refused = |option: &str, words: &[&str]| {
            cli.refused(
                &format!("run --rm --security-opt {option} busybox true"),
                words,
            );
        };
        refused(
            "apparmor=mine",
            &["apparmor=mine", "AppArmor is not enabled"],
        );
        refused(
            "label=type:mine",
            &["label=type:mine", "SELinux is not enabled"],
        );
        refused("colour=red", &["colour=red"]);
        refused("no-new-privileges=maybe", &["no-new-privileges"]);
        cli.ok(
            "run --rm --security-opt apparmor=unconfined --security-opt label=disable busybox true",
        );
    }
}

#[test]
fn further_groups() {
    let d = Daemon::fresh();
    for cli in d.clis() {
        let groups =
            cli.ok("run --rm -u 1000:1000 --group-add 4242 --group-add root busybox id -G");
        for wanted in ["1000", "4242", "0"] {
            assert!(groups.split(' ').any(|g| g == wanted), "{groups}");
        }
        assert_ne!(cli.code("run --rm --group-add nobody-here busybox true"), 0);
    }
}

#[test]
fn a_cgroup_of_its_own_to_write_to() {
    let d = Daemon::fresh();
    if !d.engine().is_wharf() {
        return; // newer than Debian's
    }
    let cli = d.wharf();
    let options = |flags: &str| {
        let line = format!(
            "run --rm --cgroupns private {flags} busybox sh -c 'grep \" /sys/fs/cgroup\" /proc/mounts | tail -n 1'"
        );
        cli.ok(&line).split(' ').nth(3).expect("options").to_owned()
    };
    assert!(options("").starts_with("ro"));
    assert!(options("--security-opt writable-cgroups=true").starts_with("rw"));
}
