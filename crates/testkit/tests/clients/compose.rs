//! Debian's `docker-compose`, version 1.29: services on the daemon's bridge, and services on the
//! networks of their project, which know one another by name.

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

const OWN: &str = r#"
version: "3.8"
services:
  web:
    image: busybox
    command: ["sleep", "1000"]
    networks:
      front: {aliases: [site]}
      back: {ipv4_address: 10.97.0.10}
    stop_grace_period: 0s
  asker:
    image: busybox
    command: ["sleep", "1000"]
    depends_on: [web]
    networks: [front]
    stop_grace_period: 0s
  apart:
    image: busybox
    command: ["sleep", "1000"]
    networks: [back]
    stop_grace_period: 0s
networks:
  front: {labels: {part: front}}
  back:
    internal: true
    ipam: {config: [{subnet: 10.97.0.0/24}]}
"#;

#[test]
fn networks_of_a_project() {
    let d = Daemon::fresh();
    std::fs::write(d.dir().join("docker-compose.yml"), OWN).unwrap();
    compose(&d, &["up", "-d"]).ok();
    let listed = d.docker().ok(
        "network ls -f label=com.docker.compose.project=app --format '{{.Name}} {{.Internal}}'",
    );
    assert_eq!(listed, "app_back true\napp_front false");
    // busybox's wget is a static program of glibc's, which dies of its own look-ups; its ping does not.
    let ask = |service: &str, name: &str| {
        compose(
            &d,
            &["exec", "-T", service, "ping", "-c", "1", "-W", "3", name],
        )
    };
    for name in ["web", "site", "app_web_1"] {
        ask("asker", name).ok();
    }
    assert!(ask("apart", "web").ok().contains("10.97.0.10"));
    // Names of another network are nobody's.
    assert_ne!(ask("apart", "asker").code, 0);
    assert_ne!(ask("apart", "site").code, 0);
    // Two of them answer to one name.
    compose(&d, &["up", "-d", "--scale", "asker=2"]).ok();
    let text = compose(&d, &["exec", "-T", "web", "nslookup", "asker"]);
    assert_eq!(text.stdout.matches("Address").count(), 3, "{text}");
    // Nothing changed: nothing is made anew.
    let before = d.inspect("app_web_1")["Id"].clone();
    compose(&d, &["up", "-d", "--scale", "asker=2"]).ok();
    assert_eq!(d.inspect("app_web_1")["Id"], before);
    compose(&d, &["restart", "web"]).ok();
    ask("asker", "web").ok();
    compose(&d, &["down"]).ok();
    let left = d.docker().ok("network ls --format '{{.Name}}'");
    assert_eq!(left, "bridge\nhost\nnone");
    d.assert_no_leaks();
}
