//! Every setting of the daemon: its flag, its key in the configuration file, and what becomes of it.
//! `docs/daemon.md` has the same table in words.

/// What values a setting has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `--flag` or `--flag=false`; `true` and `false` in the file.
    Bool,
    Text,
    Number,
    /// May be given several times; an array in the file.
    List,
    /// May be given several times as `NAME=VALUE`; an object in the file.
    Map,
}

/// What wharf does with a setting.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Fate {
    /// It does what it says.
    Works,
    /// It means nothing here: accepted, and told once unless the value is one of these.
    Idle(&'static [&'static str], &'static str),
    /// Only these values can be had; others are refused, and this is why.
    Only(&'static [&'static str], &'static str),
}

/// One setting.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Setting {
    /// Its flag without the dashes; empty for what only the file has.
    pub flag: &'static str,
    /// Its key in the file; empty for what only the command line has.
    pub key: &'static str,
    pub short: Option<char>,
    pub kind: Kind,
    pub fate: Fate,
    /// What `--help` calls the value.
    pub value: &'static str,
    pub help: &'static str,
}

impl Setting {
    /// What it is called in messages, and known by.
    pub(crate) const fn name(&self) -> &'static str {
        if self.key.is_empty() {
            self.flag
        } else {
            self.key
        }
    }

    const fn short(mut self, letter: char) -> Self {
        self.short = Some(letter);
        self
    }

    const fn key(mut self, key: &'static str) -> Self {
        self.key = key;
        self
    }
}

const fn new(
    flag: &'static str,
    kind: Kind,
    value: &'static str,
    fate: Fate,
    help: &'static str,
) -> Setting {
    Setting {
        flag,
        key: flag,
        short: None,
        kind,
        fate,
        value,
        help,
    }
}

const fn bool(flag: &'static str, fate: Fate, help: &'static str) -> Setting {
    new(flag, Kind::Bool, "BOOL", fate, help)
}

const fn text(flag: &'static str, value: &'static str, fate: Fate, help: &'static str) -> Setting {
    new(flag, Kind::Text, value, fate, help)
}

const fn number(flag: &'static str, fate: Fate, help: &'static str) -> Setting {
    new(flag, Kind::Number, "N", fate, help)
}

const fn list(
    flag: &'static str,
    key: &'static str,
    value: &'static str,
    fate: Fate,
    help: &'static str,
) -> Setting {
    new(flag, Kind::List, value, fate, help).key(key)
}

const fn map(
    flag: &'static str,
    key: &'static str,
    value: &'static str,
    fate: Fate,
    help: &'static str,
) -> Setting {
    new(flag, Kind::Map, value, fate, help).key(key)
}

/// Of the command line alone.
const fn only_flag(setting: Setting) -> Setting {
    setting.key("")
}

/// Of the file alone.
const fn only_file(key: &'static str, kind: Kind, fate: Fate) -> Setting {
    new("", kind, "", fate, "").key(key)
}

use Fate::{Idle, Only, Works};

const CONTAINERD: Fate = Idle(&[], "wharf needs no containerd");
const NO_PROXY: Fate = Only(&[""], "wharf does not reach registries through a proxy yet");
const NO_SWARM: Fate = Idle(&[], "there is no swarm mode yet");
const OWN_FIREWALL: &str = "wharf keeps its own nftables table, without which there are neither \
    ports nor isolation; it never touches the rules of others";

/// The table, by name.
pub(crate) const SETTINGS: &[Setting] = &[
    map("add-runtime", "runtimes", "NAME=PATH", Works, "Further OCI runtime (may be repeated)"),
    bool("allow-direct-routing", Only(&["false"], "unpublished ports are never reachable from other hosts"), "Let other hosts reach containers' addresses"),
    list("allow-nondistributable-artifacts", "allow-nondistributable-artifacts", "REGISTRY", Idle(&[], "every layer of an image is pushed"), "Registry that foreign layers are pushed to"),
    text("api-cors-header", "HEADER", Only(&[""], "the API is not for pages of other sites"), "Header for pages of other sites"),
    text("apparmor-profile", "FILE", Only(&[""], "wharf brings its own profile; name a loaded one with --security-opt apparmor=NAME"), "Template of the AppArmor profile"),
    list("authorization-plugin", "authorization-plugins", "NAME", Works, "Plugin that every request is shown to (may be repeated)"),
    text("bip", "CIDR", Works, "Address and prefix of the bridge [default: the first of 172.17.0.1/16 … that is free]"),
    text("bip6", "CIDR", Works, "IPv6 address and prefix of the bridge, with --ipv6"),
    text("bridge", "NAME", Works, "Name of the bridge; none for no default network [default: wharf0]").short('b'),
    text("bridge-accept-fwmark", "MARK", Only(&[""], OWN_FIREWALL), "Mark of packets that bridges accept"),
    list("cdi-spec-dir", "cdi-spec-dirs", "DIR", Works, "Directory of device specifications (may be repeated) [default: /etc/cdi and /run/cdi]"),
    text("cgroup-parent", "PATH", Works, "Parent of the containers' cgroups [default: /wharf]"),
    only_flag(text("config-file", "FILE", Works, "JSON file of settings, with dockerd's keys [default: /etc/wharf/daemon.json, as dockerd /etc/docker/daemon.json]")),
    text("containerd", "SOCKET", CONTAINERD, "Socket of containerd"),
    text("containerd-namespace", "NAME", CONTAINERD, "Namespace in containerd"),
    text("containerd-plugins-namespace", "NAME", CONTAINERD, "Namespace of plugins in containerd").key("containerd-plugin-namespace"),
    bool("cri-containerd", CONTAINERD, "Start containerd with CRI"),
    number("cpu-rt-period", Only(&["0"], "real-time scheduling of cgroups is not supported"), "Period of real-time scheduling in microseconds"),
    number("cpu-rt-runtime", Only(&["0"], "real-time scheduling of cgroups is not supported"), "Real-time runtime in microseconds"),
    text("data-root", "DIR", Works, "Directory of what lasts: images, containers, volumes [default: /var/lib/wharf]"),
    bool("debug", Works, "Log more").short('D'),
    list("default-address-pool", "default-address-pools", "base=CIDR,size=N", Works, "Addresses for the bridge if --bip is not given: subnets of that size (may be repeated)"),
    text("default-cgroupns-mode", "MODE", Works, "host or private, for containers that do not say [default: private on cgroup v2]"),
    text("default-gateway", "ADDRESS", Works, "Way out of the default network, where it is not the bridge"),
    text("default-gateway-v6", "ADDRESS", Works, "IPv6 way out of the default network, where it is not the bridge"),
    text("default-ipc-mode", "MODE", Works, "private or shareable, for containers that do not say [default: private]"),
    map("default-network-opt", "default-network-opts", "DRIVER=KEY=VALUE", Works, "Option of new networks of a driver that do not say otherwise (may be repeated)"),
    text("default-runtime", "NAME", Works, "OCI runtime for containers that name none [default: wharf]"),
    text("default-shm-size", "BYTES", Works, "Size of /dev/shm for containers that do not say [default: 64m]"),
    map("default-ulimit", "default-ulimits", "NAME=SOFT[:HARD]", Works, "Limit of processes for containers that do not set it (may be repeated)"),
    list("dns", "dns", "ADDRESS", Works, "DNS server for containers"),
    list("dns-opt", "dns-opts", "OPTION", Works, "Option of resolv.conf for containers"),
    list("dns-search", "dns-search", "DOMAIN", Works, "Search domain for containers"),
    list("exec-opt", "exec-opts", "NAME=VALUE", Only(&["native.cgroupdriver=cgroupfs"], "wharf makes cgroups itself (cgroupfs)"), "Option of the runtime"),
    text("exec-root", "DIR", Works, "Directory of what a reboot ends: sockets and run states [default: /run/wharf]"),
    bool("experimental", Idle(&["false"], "there are no experimental features"), "Turn experimental features on"),
    map("feature", "features", "NAME=BOOL", Idle(&[], "wharf has no features to turn on or off"), "Turn a feature on"),
    text("firewall", "MODE", Only(&["", "own", "integrate"], "own leaves other tables alone; integrate lets containers' packets pass chains of others that drop"), "What is done about others' firewall rules: own or integrate"),
    text("firewall-backend", "NAME", Only(&["", "nftables"], OWN_FIREWALL), "What makes firewall rules"),
    text("fixed-cidr", "CIDR", Works, "Part of the bridge's addresses for containers"),
    text("fixed-cidr-v6", "CIDR", Works, "Part of the bridge's IPv6 addresses for containers, with --ipv6"),
    text("group", "GROUP", Works, "Group of the Unix sockets, by name or number [as dockerd: docker]").short('G'),
    list("host", "hosts", "URL", Works, "Socket to listen on: unix:///path, tcp://address:port or fd:// (may be repeated)").short('H'),
    list("host-gateway-ip", "host-gateway-ips", "ADDRESS", Works, "Address of host-gateway"),
    text("http-proxy", "URL", NO_PROXY, "Proxy for http"),
    text("https-proxy", "URL", NO_PROXY, "Proxy for https"),
    bool("icc", Works, "Let containers on the bridge reach each other"),
    bool("init", Works, "Run an init in containers that do not say"),
    text("init-path", "FILE", Idle(&[], "wharf brings its own init"), "Program that is init"),
    list("insecure-registry", "insecure-registries", "REGISTRY", Works, "Registry that may be spoken to without verified TLS: host[:port] or CIDR (may be repeated)"),
    only_flag(bool("insecure-tcp", Works, "Allow tcp:// without TLS: whoever reaches the port is root on this host")),
    text("ip", "ADDRESS", Works, "Address that ports of containers in the default network are published on [default: 0.0.0.0]"),
    bool("ip-forward", Works, "Turn the kernel's forwarding on"),
    bool("ip-forward-no-drop", Idle(&["true"], "wharf never changes the policy of FORWARD"), "Leave the policy of FORWARD alone"),
    bool("ip-masq", Works, "Masquerade what leaves the default bridge"),
    bool("ip6tables", Idle(&[], "wharf keeps its own nftables table"), "Make rules for IPv6"),
    bool("iptables", Only(&["true"], OWN_FIREWALL), "Make firewall rules"),
    bool("ipv6", Works, "IPv6 on the default bridge"),
    list("label", "labels", "KEY=VALUE", Works, "Label of the daemon (may be repeated)"),
    bool("live-restore", Idle(&["true"], "containers always outlive the daemon"), "Let containers outlive the daemon"),
    text("log-driver", "NAME", Works, "Log driver for containers that do not say: json-file, local or none [default: json-file]"),
    text("log-format", "FORMAT", Only(&["", "text"], "the log is text"), "Form of the daemon's own log"),
    text("log-level", "LEVEL", Works, "debug, info, warn, error or fatal [default: info]").short('l'),
    map("log-opt", "log-opts", "NAME=VALUE", Works, "Option of the log driver (may be repeated)"),
    number("max-concurrent-downloads", Works, "Layers fetched at the same time [default: 3]"),
    number("max-concurrent-uploads", Works, "Layers pushed at the same time [default: 5]"),
    number("max-download-attempts", Works, "How often a download is tried [default: 5]"),
    text("metrics-addr", "ADDRESS", Only(&[""], "wharf does not serve metrics yet"), "Address to serve metrics on"),
    number("mtu", Works, "Largest packet of the bridge and its links [default: the kernel's]"),
    number("network-control-plane-mtu", NO_SWARM, "Largest packet of the cluster"),
    bool("no-new-privileges", Works, "Forbid new privileges in containers that do not say"),
    text("no-proxy", "HOSTS", NO_PROXY, "Hosts that are reached without a proxy"),
    list("node-generic-resource", "node-generic-resources", "NAME=VALUE", Only(&[], "there is no swarm mode yet"), "Resource of the node"),
    number("oom-score-adjust", Idle(&["0"], "set OOMScoreAdjust= in the unit file"), "The daemon's place in line when memory ends"),
    text("pidfile", "FILE", Works, "File for the daemon's process number [default: /run/wharf.pid, as dockerd /var/run/docker.pid]").short('p'),
    list("plugin-socket-dir", "plugin-socket-dirs", "DIR", Works, "Directory of sockets of volume drivers (may be repeated) [default: /run/docker/plugins]"),
    list("plugin-spec-dir", "plugin-spec-dirs", "DIR", Works, "Directory of .spec and .json files of volume drivers (may be repeated) [default: /etc/docker/plugins and /usr/lib/docker/plugins]"),
    number("plugin-timeout", Works, "Seconds that a volume driver may take for an answer [default: 60]"),
    bool("raw-logs", Works, "Log without colours"),
    text("registry-certs-dir", "DIR", Works, "Directory of certificates for single registries, DIR/HOST[:PORT]/*.crt [default: /etc/docker/certs.d]"),
    list("registry-mirror", "registry-mirrors", "URL", Works, "Mirror of Docker Hub, asked before it (may be repeated)"),
    bool("rootless", Only(&["false"], "the daemon needs root"), "Run without root"),
    text("seccomp-profile", "PROFILE", Works, "File of a seccomp profile, builtin or unconfined, for containers that do not say [default: builtin]"),
    bool("selinux-enabled", Only(&["false"], "wharf does not set SELinux labels"), "Use SELinux"),
    number("shutdown-timeout", Idle(&["15"], "containers outlive the daemon, so nothing is waited for"), "Seconds that containers get when the daemon ends"),
    text("storage-driver", "NAME", Only(&["", "overlay2", "overlay", "overlayfs"], "wharf uses overlayfs"), "Storage driver").short('s'),
    list("storage-opt", "storage-opts", "NAME=VALUE", Only(&[], "overlayfs has no options here"), "Option of the storage driver"),
    text("swarm-default-advertise-addr", "ADDRESS", NO_SWARM, "Address that the cluster knows this node by"),
    bool("tls", Works, "Use TLS on tcp://; implied by --tlsverify; =false allows tcp:// without TLS"),
    text("tlscacert", "FILE", Works, "Certificates of the CAs that clients' are signed by [default: ~/.docker/ca.pem]"),
    text("tlscert", "FILE", Works, "The daemon's certificate [default: ~/.docker/cert.pem]"),
    text("tlskey", "FILE", Works, "The daemon's private key [default: ~/.docker/key.pem]"),
    bool("tlsverify", Works, "Use TLS and demand a certificate of clients"),
    bool("userland-proxy", Idle(&["false"], "ports are published by the kernel"), "Publish ports by a process"),
    text("userland-proxy-path", "FILE", Idle(&[""], "ports are published by the kernel"), "Program that publishes ports"),
    text("userns-remap", "USER[:GROUP]", Works, "Give containers users of their own: default, or USER[:GROUP] with ranges in /etc/subuid"),
    only_flag(bool("validate", Works, "Check the settings and end")),
    only_flag(bool("version", Works, "Show the version and end").short('v')),
    only_file("builder", Kind::Map, Works),
    only_file("gc", Kind::Map, Works),
    only_file("host-gateway-ip", Kind::Text, Works),
    only_file("proxies", Kind::Map, NO_PROXY),
];

/// The setting with a key of the file.
pub(crate) fn by_key(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|s| s.key == key && !key.is_empty())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_name_is_there_once() {
        let names: BTreeSet<_> = SETTINGS.iter().map(Setting::name).collect();
        assert_eq!(names.len(), SETTINGS.len());
        let shorts: Vec<_> = SETTINGS.iter().filter_map(|s| s.short).collect();
        assert_eq!(shorts.iter().collect::<BTreeSet<_>>().len(), shorts.len());
    }
}
