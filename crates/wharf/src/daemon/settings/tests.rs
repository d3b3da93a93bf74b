//! Tests of the settings as a whole.

use super::*;

fn settings(name: Name, args: &[&str]) -> Result<Settings, String> {
    let args = [&["x", "--config-file=/dev/null"], args].concat();
    let args: Vec<OsString> = args.iter().map(Into::into).collect();
    reread(name, &args)
}

#[test]
fn hosts_repeat_and_default() {
    let hosts = |name, args: &[&str]| settings(name, args).unwrap().hosts;
    assert_eq!(
        hosts(
            Name::Wharf,
            &["-H", "unix:///a", "-H", "tcp://:1", "-H", "unix:///a"]
        ),
        ["unix:///a", "tcp://:1"]
    );
    assert_eq!(hosts(Name::Wharf, &[]), ["unix:///run/wharf/wharf.sock"]);
    assert_eq!(hosts(Name::Dockerd, &[]), ["unix:///var/run/docker.sock"]);
    assert_eq!(
        hosts(Name::Dockerd, &["-H", "unix://"]),
        ["unix:///var/run/docker.sock"]
    );
}

#[test]
fn tls_is_turned_on_as_in_dockerd() {
    let tls = |args: &[&str]| settings(Name::Dockerd, args).unwrap().listening.tls;
    assert_eq!(tls(&[]), None);
    assert_eq!(tls(&["--tls=false"]), None);
    assert!(!tls(&["--tls"]).unwrap().verify);
    assert!(!tls(&["--tlsverify=false"]).unwrap().verify);
    let all = tls(&[
        "--tlsverify",
        "--tlscacert=/a",
        "--tlscert=/b",
        "--tlskey=/c",
    ]);
    let (ca, cert, key) = ("/a".into(), "/b".into(), "/c".into());
    assert_eq!(
        all,
        Some(Tls {
            verify: true,
            ca,
            cert,
            key
        })
    );
}

#[test]
fn the_file_and_the_flags_are_one() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("daemon.json");
    std::fs::write(
        &path,
        r#"{"debug": true, "labels": ["a=b"], "default-shm-size": "1g"}"#,
    )
    .unwrap();
    let file = format!("--config-file={}", path.display());
    let found = settings(Name::Dockerd, &[&file, "--init"]).unwrap();
    assert_eq!(
        (&found.live.log_level[..], &found.live.labels[..]),
        ("debug", &["a=b".to_owned()][..])
    );
    assert_eq!(
        (found.defaults.shm_size, found.defaults.init),
        (Some(1 << 30), true)
    );
    let error = settings(Name::Dockerd, &[&file, "--label=c=d"]).unwrap_err();
    assert!(
        error.contains("labels: (from flag: [c=d], from file: [a=b])"),
        "{error}"
    );
}

#[test]
fn what_makes_no_sense_is_refused() {
    for wrong in [
        "--label=a",
        "--log-level=loud",
        "--default-ipc-mode=host",
        "--default-runtime=other",
        "--default-ulimit=nofile",
        "--max-concurrent-downloads=0",
        "--authorization-plugin=../x",
        "--host=ftp://x",
        "--iptables=false",
        "--seccomp-profile=/nowhere",
        "--default-shm-size=-1",
    ] {
        assert!(settings(Name::Wharf, &[wrong]).is_err(), "{wrong}");
    }
}
