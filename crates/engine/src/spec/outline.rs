//! The part of a container's configuration that depends on its definition alone.

use runtime::spec::{ContainerSpec, Device, DeviceRate, Namespace, Resources, Rlimit, Shm, Tmpfs};
use types::container::{ContainerConfig, HostConfig, ThrottleDevice, Ulimit};

use super::security;
use crate::{
    error::{Error, Result},
    modes::{Ipc, Pid},
    network_mode::NetworkMode,
};

/// Bytes of `/dev/shm` where nobody says otherwise.
pub(crate) const DEFAULT_SHM: i64 = 64 << 20;

/// Namespaces of other containers appear as paths that only a start can know.
const LATER: &str = "/later";

/// What the definition says. `defaults` are the daemon's limits of processes.
pub(crate) fn outline(
    config: &ContainerConfig,
    host: &HostConfig,
    cgroup: &str,
    defaults: &[Ulimit],
) -> Result<ContainerSpec> {
    let security = security::read(host)?;
    if host.cgroup_parent.split('/').any(|p| p == "." || p == "..") {
        return Err(Error::Invalid(format!(
            "invalid cgroup parent {}: write it without . and ..",
            host.cgroup_parent
        )));
    }
    let later = || Namespace::Path(LATER.into());
    let paths = |given: &Option<Vec<String>>| {
        let open = security.open_paths.then(Vec::new);
        given.clone().or(open)
    };
    Ok(ContainerSpec {
        domainname: config.domainname.clone(),
        tty: config.tty,
        readonly_rootfs: host.readonly_rootfs,
        tmpfs: host
            .tmpfs
            .iter()
            .map(|(destination, options)| Tmpfs {
                destination: destination.clone(),
                options: options.clone(),
            })
            .collect(),
        cap_add: host.cap_add.clone(),
        cap_drop: host.cap_drop.clone(),
        privileged: host.privileged,
        masked_paths: paths(&host.masked_paths),
        readonly_paths: paths(&host.readonly_paths),
        seccomp: security.seccomp,
        no_new_privileges: security.no_new_privileges,
        apparmor_profile: security.apparmor,
        writable_cgroups: security.writable_cgroups,
        rlimits: rlimits(&host.ulimits, defaults),
        oom_score_adj: i32::try_from(host.oom_score_adj).unwrap_or(i32::MAX),
        resources: resources(host),
        cgroup: format!("/{cgroup}"),
        // As Docker: private on v2, the host's on v1.
        host_cgroupns: host.cgroupns_mode == "host",
        sysctls: host.sysctls.clone(),
        devices: host
            .devices
            .iter()
            .map(|d| Device {
                host: d.path_on_host.clone(),
                container: d.path_in_container.clone(),
                permissions: d.cgroup_permissions.clone(),
            })
            .collect(),
        device_cgroup_rules: host.device_cgroup_rules.clone().unwrap_or_default(),
        annotations: host.annotations.clone(),
        pid: match Pid::of(host)? {
            Pid::Own => Namespace::Private,
            Pid::Host => Namespace::Host,
            Pid::Container(_) => later(),
        },
        ipc: match Ipc::of(host)? {
            Ipc::Private | Ipc::Shareable | Ipc::None => Namespace::Private,
            Ipc::Host => Namespace::Host,
            Ipc::Container(_) => later(),
        },
        network: match NetworkMode::of(host)? {
            NetworkMode::Host => Namespace::Host,
            _ => later(),
        },
        uts: match host.uts_mode.as_str() {
            "" => Namespace::Private,
            "host" => Namespace::Host,
            other => return Err(Error::Invalid(format!("invalid UTS mode: {other}"))),
        },
        shm: match Ipc::of(host)? {
            Ipc::None => Shm::None,
            Ipc::Host => Shm::Bind("/dev/shm".into()),
            Ipc::Shareable | Ipc::Container(_) => Shm::Bind(LATER.into()),
            Ipc::Private => Shm::Own(shm_size(host)),
        },
        ..ContainerSpec::default()
    })
}

/// Bytes of `/dev/shm`.
pub(crate) fn shm_size(host: &HostConfig) -> u64 {
    let given = if host.shm_size == 0 {
        DEFAULT_SHM
    } else {
        host.shm_size
    };
    u64::try_from(given).unwrap_or(0)
}

/// The container's own, and the daemon's where it has none.
fn rlimits(own: &[Ulimit], defaults: &[Ulimit]) -> Vec<Rlimit> {
    let is_own = |d: &&Ulimit| own.iter().any(|u| u.name.eq_ignore_ascii_case(&d.name));
    let all = own.iter().chain(defaults.iter().filter(|d| !is_own(d)));
    all.map(|u| Rlimit {
        name: u.name.clone(),
        soft: u.soft,
        hard: u.hard,
    })
    .collect()
}

/// The limits of the whole container.
pub(crate) fn resources(host: &HostConfig) -> Resources {
    let rates = |given: &[ThrottleDevice]| {
        let rate = |d: &ThrottleDevice| DeviceRate {
            path: d.path.clone(),
            rate: d.rate,
        };
        given.iter().map(rate).collect()
    };
    Resources {
        memory: host.memory,
        memory_reservation: host.memory_reservation,
        memory_swap: host.memory_swap,
        memory_swappiness: host.memory_swappiness,
        oom_kill_disable: host.oom_kill_disable,
        nano_cpus: host.nano_cpus,
        cpu_shares: host.cpu_shares,
        cpu_period: host.cpu_period,
        cpu_quota: host.cpu_quota,
        cpuset_cpus: host.cpuset_cpus.clone(),
        cpuset_mems: host.cpuset_mems.clone(),
        pids_limit: host.pids_limit,
        cpu_rt_period: host.cpu_realtime_period,
        cpu_rt_runtime: host.cpu_realtime_runtime,
        kernel_memory: host.kernel_memory,
        kernel_memory_tcp: host.kernel_memory_tcp,
        blkio_weight: host.blkio_weight,
        blkio_weight_device: host
            .blkio_weight_device
            .iter()
            .map(|d| (d.path.clone(), d.weight))
            .collect(),
        read_bps: rates(&host.blkio_device_read_bps),
        write_bps: rates(&host.blkio_device_write_bps),
        read_iops: rates(&host.blkio_device_read_iops),
        write_iops: rates(&host.blkio_device_write_iops),
    }
}
