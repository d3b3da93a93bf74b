//! The image that is in the binary.

use testkit::{Daemon, Host, Opts};

#[test]
fn serves_its_host_name_without_a_registry() {
    if !testkit::Engine::under_test().is_wharf() {
        return;
    }
    let d = Daemon::start(&Host::new(), Opts::default());
    for cli in d.clis() {
        cli.ok("run -d --name hi --hostname greeter -p 8080:80 wharf/hello");
        let url = format!("http://{}:8080/", d.host().address());
        testkit::eventually("its page", || {
            let mut curl = std::process::Command::new("curl");
            let out = d.host().outside().run(curl.args(["-s", "-m", "2", &url]));
            out.stdout.contains("greeter")
        });
        cli.ok("rm -f hi");
    }
    assert!(
        d.docker()
            .ok("images --format '{{.Repository}}'")
            .contains("wharf/hello")
    );
    d.assert_no_leaks();
}
