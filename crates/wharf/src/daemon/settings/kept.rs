//! What a reload cannot change.

use super::Settings;

impl Settings {
    /// What is other in `new` and waits for a restart, by name.
    pub(crate) fn waiting(&self, new: &Self) -> Vec<&'static str> {
        let (old, listening) = (self, &self.listening);
        let all = [
            ("hosts", old.hosts != new.hosts),
            ("tls", listening.tls != new.listening.tls),
            (
                "insecure-tcp",
                listening.insecure_tcp != new.listening.insecure_tcp,
            ),
            ("group", listening.group != new.listening.group),
            ("data-root", old.data_root != new.data_root),
            ("exec-root", old.exec_root != new.exec_root),
            ("pidfile", old.pidfile != new.pidfile),
            ("bridge", old.bridge != new.bridge),
            (
                "what the default network is like",
                old.default_bridge != new.default_bridge,
            ),
            (
                "default-network-opts",
                old.network_options != new.network_options,
            ),
            ("ip-forward", old.ip_forward != new.ip_forward),
            ("default-address-pools", old.pools != new.pools),
            ("firewall", old.integrate != new.integrate),
            ("cgroup-parent", old.cgroup_parent != new.cgroup_parent),
            (
                "registry-certs-dir",
                old.registry_certs_dir != new.registry_certs_dir,
            ),
            (
                "max-concurrent-uploads",
                old.max_concurrent_uploads != new.max_concurrent_uploads,
            ),
            (
                "max-concurrent-downloads",
                old.max_concurrent_downloads != new.max_concurrent_downloads,
            ),
            (
                "max-download-attempts",
                old.max_download_attempts != new.max_download_attempts,
            ),
            ("runtimes", old.runtimes != new.runtimes),
            (
                "default-runtime",
                old.default_runtime != new.default_runtime,
            ),
            (
                "default-ulimits",
                old.default_ulimits != new.default_ulimits,
            ),
            ("log-driver and log-opts", old.log != new.log),
            ("cdi-spec-dirs", old.cdi_spec_dirs != new.cdi_spec_dirs),
            (
                "plugin-socket-dirs, plugin-spec-dirs and plugin-timeout",
                old.plugins != new.plugins,
            ),
            ("gc", old.image_gc != new.image_gc),
            ("userns-remap", old.remap != new.remap),
            (
                "default-ipc-mode",
                old.defaults.ipc_mode != new.defaults.ipc_mode,
            ),
            (
                "default-cgroupns-mode",
                old.defaults.cgroupns_mode != new.defaults.cgroupns_mode,
            ),
            (
                "default-shm-size",
                old.defaults.shm_size != new.defaults.shm_size,
            ),
            ("init", old.defaults.init != new.defaults.init),
            (
                "no-new-privileges",
                old.defaults.no_new_privileges != new.defaults.no_new_privileges,
            ),
            (
                "seccomp-profile",
                old.defaults.seccomp != new.defaults.seccomp,
            ),
            ("dns", old.resolver.servers != new.resolver.servers),
            ("dns-opts", old.resolver.options != new.resolver.options),
            ("dns-search", old.resolver.search != new.resolver.search),
            (
                "host-gateway-ips",
                old.resolver.host_gateways != new.resolver.host_gateways,
            ),
            ("raw-logs", old.raw_logs != new.raw_logs),
        ];
        all.into_iter()
            .filter(|(_, other)| *other)
            .map(|(name, _)| name)
            .collect()
    }
}
