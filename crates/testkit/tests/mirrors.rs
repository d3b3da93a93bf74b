//! `--registry-mirror`: an image of Docker Hub's from elsewhere, where the Hub cannot be reached.

use testkit::{Auth, Daemon, Host, Lan, Opts, Registry, images};

#[test]
fn what_is_the_hubs_comes_from_a_mirror() {
    let host = Host::new();
    let registry = Registry::start(host.outside(), Lan::OUTSIDE, Auth::None);
    registry.push(host.outside(), &images::busybox_tar(), "library/box:1");
    let with = |mirror: &str| format!(r#"{{"registry-mirrors": ["{mirror}"]}}"#);
    let opts = Opts {
        config: Some(with("http://192.0.2.99:1")),
        ..Opts::default()
    };
    let d = Daemon::start(&host, opts);
    let mirrors = || {
        let info = d.api().get("/info").expect(200).json();
        let hub = info["RegistryConfig"]["IndexConfigs"]["docker.io"]["Mirrors"].clone();
        assert_eq!(hub, info["RegistryConfig"]["Mirrors"]);
        hub[0].as_str().expect("a mirror").to_owned()
    };
    assert_eq!(mirrors(), "http://192.0.2.99:1/");
    let ours = format!("http://{}/", registry.address());
    d.configure(&with(&ours));
    d.sighup();
    testkit::eventually("the other mirror", || mirrors() == ours);
    for cli in d.clis() {
        let out = cli.ok("pull box:1");
        assert!(
            out.contains("Status: Downloaded newer image for box:1"),
            "{out}"
        );
        assert_eq!(cli.ok("run --rm box:1 echo here"), "here");
        let info = cli.ok("info");
        assert!(info.contains(&ours), "{info}");
        cli.ok("rmi box:1");
    }
}
