//! Prometheus finds containers by `docker_sd_configs`.

use std::process::Command;

use serde_json::Value;
use testkit::{Daemon, PATIENCE, poll};

#[test]
fn prometheus_finds_containers() {
    let d = Daemon::fresh();
    d.docker()
        .ok("run -d --name metrics --label team=a -p 9001:9100 busybox sleep 1000");
    d.docker()
        .ok("run -d --name off --network none busybox sleep 1000");
    let config = format!(
        "scrape_configs:\n- job_name: d\n  docker_sd_configs:\n  - host: unix://{}\n    \
         refresh_interval: 1s\n",
        super::socket(&d)
    );
    let file = d.dir().join("prometheus.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = Command::new("prometheus");
    command.arg(format!("--config.file={}", file.display()));
    command.arg(format!(
        "--storage.tsdb.path={}",
        d.dir().join("tsdb").display()
    ));
    command.arg("--web.listen-address=127.0.0.1:9090");
    let running = d.host().ns().start(&mut command);
    let targets = || {
        let mut curl = Command::new("curl");
        curl.args(["-s", "http://127.0.0.1:9090/api/v1/targets?state=active"]);
        let answer = d.host().run(&mut curl).stdout;
        let value: Value = serde_json::from_str(&answer).ok()?;
        let found = value["data"]["activeTargets"].as_array()?.clone();
        (!found.is_empty()).then_some(found)
    };
    let found = poll(PATIENCE, "Prometheus has found the container", targets);
    let labels = |key: &str| -> Vec<&str> {
        found
            .iter()
            .filter_map(|t| t["discoveredLabels"][key].as_str())
            .collect()
    };
    assert!(
        labels("__meta_docker_container_name").contains(&"/metrics"),
        "{found:?}"
    );
    assert!(
        labels("__meta_docker_container_label_team").contains(&"a"),
        "{found:?}"
    );
    assert!(
        labels("__meta_docker_network_name").contains(&"bridge"),
        "{found:?}"
    );
    assert!(
        labels("__meta_docker_port_public").contains(&"9001"),
        "{found:?}"
    );
    drop(running);
}
