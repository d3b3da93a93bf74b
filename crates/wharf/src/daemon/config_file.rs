//! dockerd's configuration file. A key that means something to dockerd and nothing to us yet is
//! refused as such; any other unknown key is refused by name.

use std::{
    collections::{BTreeMap, HashMap},
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;
use serde_json::{Map, Value};
use types::container::Ulimit;

/// The settings of a file.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case", default)]
pub(crate) struct File {
    pub hosts: Option<Vec<String>>,
    pub data_root: Option<PathBuf>,
    pub exec_root: Option<PathBuf>,
    pub pidfile: Option<PathBuf>,
    pub bridge: Option<String>,
    pub bip: Option<String>,
    pub cgroup_parent: Option<String>,
    pub insecure_registries: Option<Vec<String>>,
    pub registry_certs_dir: Option<PathBuf>,
    pub log_level: Option<String>,
    pub debug: Option<bool>,
    pub default_runtime: Option<String>,
    pub runtimes: Option<HashMap<String, Runtime>>,
    pub default_ulimits: Option<BTreeMap<String, Ulimit>>,
    pub cdi_spec_dirs: Option<Vec<PathBuf>>,
    pub userns_remap: Option<String>,
    pub log_driver: Option<String>,
    pub log_opts: Option<BTreeMap<String, String>>,
    pub dns: Option<Vec<std::net::IpAddr>>,
    pub dns_opts: Option<Vec<String>>,
    pub dns_search: Option<Vec<String>>,
    pub host_gateway_ip: Option<std::net::IpAddr>,
    pub host_gateway_ips: Option<Vec<std::net::IpAddr>>,
    #[serde(flatten)]
    pub other: Map<String, Value>,
}

/// An OCI runtime of a file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Runtime {
    pub path: PathBuf,
}

/// What dockerd 28 reads and we do not yet.
const DOCKERD: &[&str] = &[
    "allow-direct-routing",
    "allow-nondistributable-artifacts",
    "api-cors-header",
    "authorization-plugins",
    "bip6",
    "builder",
    "containerd",
    "containerd-namespace",
    "containerd-plugin-namespace",
    "cpu-rt-period",
    "cpu-rt-runtime",
    "default-address-pools",
    "default-cgroupns-mode",
    "default-gateway",
    "default-gateway-v6",
    "default-ipc-mode",
    "default-network-opts",
    "default-shm-size",
    "exec-opts",
    "experimental",
    "features",
    "fixed-cidr",
    "fixed-cidr-v6",
    "firewall-backend",
    "group",
    "http-proxy",
    "https-proxy",
    "icc",
    "init",
    "init-path",
    "ip",
    "ip-forward",
    "ip-forward-no-drop",
    "ip-masq",
    "ip6tables",
    "iptables",
    "ipv6",
    "labels",
    "live-restore",
    "log-format",
    "max-concurrent-downloads",
    "max-concurrent-uploads",
    "max-download-attempts",
    "metrics-addr",
    "mtu",
    "network-control-plane-mtu",
    "no-new-privileges",
    "no-proxy",
    "node-generic-resources",
    "oom-score-adjust",
    "proxies",
    "raw-logs",
    "registry-mirrors",
    "rootless",
    "seccomp-profile",
    "selinux-enabled",
    "shutdown-timeout",
    "storage-driver",
    "storage-opts",
    "swarm-default-advertise-addr",
    "tls",
    "tlscacert",
    "tlscert",
    "tlskey",
    "tlsverify",
    "userland-proxy",
    "userland-proxy-path",
    "validate",
];

/// Reads `path`; a file that is not there is empty unless it was `asked` for, and so is an empty
/// one (`/dev/null`).
pub(crate) fn read(path: &Path, asked: bool) -> Result<File, String> {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(e) if e.kind() == io::ErrorKind::NotFound && !asked => return Ok(File::default()),
        Err(e) => return Err(unable(path, e)),
    };
    if text.trim().is_empty() {
        return Ok(File::default());
    }
    parse(&text).map_err(|e| unable(path, e))
}

fn unable(path: &Path, why: impl std::fmt::Display) -> String {
    format!(
        "unable to configure the daemon with file {}: {why}",
        path.display()
    )
}

fn parse(text: &str) -> Result<File, String> {
    let file: File = serde_json::from_str(text).map_err(|e| e.to_string())?;
    let keys = file.other.keys().map(String::as_str);
    let (known, unknown): (Vec<&str>, Vec<&str>) = keys.partition(|k| DOCKERD.contains(k));
    if !unknown.is_empty() {
        return Err(format!(
            "the following directives don't match any configuration option: {}",
            unknown.join(", ")
        ));
    }
    if !known.is_empty() {
        return Err(format!(
            "the following directives are not supported by wharf yet: {}; take them out",
            known.join(", ")
        ));
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_known_refused_or_unknown() {
        let file = parse(r#"{"data-root": "/x", "runtimes": {"crun": {"path": "/usr/bin/crun"}}}"#);
        assert_eq!(file.unwrap().data_root.unwrap(), PathBuf::from("/x"));
        let error = parse(r#"{"colour": 1, "icc": true}"#).unwrap_err();
        assert!(
            error.contains("don't match") && error.contains("colour"),
            "{error}"
        );
        let error = parse(r#"{"icc": true}"#).unwrap_err();
        assert!(error.contains("not supported by wharf yet: icc"), "{error}");
    }

    #[test]
    fn an_empty_file_is_no_file() {
        assert!(read(Path::new("/dev/null"), true).is_ok());
        assert!(read(Path::new("/nowhere/daemon.json"), false).is_ok());
        assert!(
            read(Path::new("/nowhere/daemon.json"), true)
                .unwrap_err()
                .contains("/nowhere")
        );
    }
}
