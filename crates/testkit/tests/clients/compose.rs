//! Debian's `docker-compose`, version 1.29, with its plain verbs. Networks and named volumes of a
//! project's own come later; these services use the daemon's bridge.

use testkit::{Daemon, Output};

const FILE: &str = r#"
version: "2.4"
services:
  web:
    image: busybox
    command: ["sh", "-c", "echo web is up; exec httpd -f -p 80 -h /etc"]
    network_mode: bridge
    ports: ["8081:80"]
    environment: {KEY: value}
    labels: {part: web}
    mem_limit: 64m
    restart: unless-stopped
    stop_grace_period: 0s
    healthcheck: {test: ["CMD", "true"], interval: 1s}
  worker:
    image: busybox
    command: ["sleep", "1000"]
    network_mode: bridge
    depends_on: [web]
    stop_grace_period: 0s
    tmpfs: /scratch
    volumes: ["./content:/data:ro"]
"#;

fn compose(d: &Daemon, args: &[&str]) -> Output {
    let file = d.dir().join("docker-compose.yml").display().to_string();
    let args = [&["-f", &file, "-p", "app", "--no-ansi"], args].concat();
    super::client(d, "docker-compose", &args, &[])
}

#[test]
fn plain_verbs() {
    let d = Daemon::fresh();
    std::fs::create_dir(d.dir().join("content")).unwrap();
    std::fs::write(d.dir().join("content/note"), "from the host").unwrap();
    std::fs::write(d.dir().join("docker-compose.yml"), FILE).unwrap();
    compose(&d, &["config", "-q"]).ok();
    compose(&d, &["up", "-d"]).ok();
    let ps = compose(&d, &["ps"]).ok();
    assert!(
        ps.contains("app_web_1") && ps.contains("8081->80/tcp"),
        "{ps}"
    );
    assert!(ps.contains("app_worker_1") && ps.contains("Up"), "{ps}");
    assert!(compose(&d, &["logs", "web"]).ok().contains("web is up"));
    let said = compose(&d, &["exec", "-T", "worker", "cat", "/data/note"]).ok();
    assert_eq!(said, "from the host");
    assert_eq!(
        compose(&d, &["exec", "-T", "web", "sh", "-c", "echo $KEY"]).ok(),
        "value"
    );
    assert_eq!(
        compose(&d, &["run", "--rm", "worker", "echo", "once"]).ok(),
        "once"
    );
    assert!(compose(&d, &["top", "worker"]).ok().contains("sleep 1000"));
    assert!(compose(&d, &["port", "web", "80"]).ok().ends_with(":8081"));
    assert!(compose(&d, &["images"]).ok().contains("busybox"));
    // Nothing changed: nothing is made anew.
    let before = d.inspect("app_worker_1")["Id"].clone();
    compose(&d, &["up", "-d"]).ok();
    assert_eq!(d.inspect("app_worker_1")["Id"], before);
    // One service changed: that one is made anew, in the place of the old.
    let changed = FILE.replace("sleep\", \"1000", "sleep\", \"1001");
    std::fs::write(d.dir().join("docker-compose.yml"), changed).unwrap();
    compose(&d, &["up", "-d"]).ok();
    assert_ne!(d.inspect("app_worker_1")["Id"], before);
    compose(&d, &["pause"]).ok();
    assert_eq!(d.inspect("app_web_1")["State"]["Status"], "paused");
    compose(&d, &["unpause"]).ok();
    compose(&d, &["restart", "worker"]).ok();
    compose(&d, &["stop"]).ok();
    d.until("app_web_1", "exited");
    compose(&d, &["start"]).ok();
    d.until("app_web_1", "running");
    compose(&d, &["kill", "worker"]).ok();
    d.until("app_worker_1", "exited");
    compose(&d, &["rm", "-f", "worker"]).ok();
    compose(&d, &["down"]).ok();
    assert_eq!(d.docker().ok("ps -aq"), "");
    d.assert_no_leaks();
}
