//! From a container's definition to the OCI configuration that its shim hands to the runtime.

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use runtime::{
    Host,
    filters::Filter,
    protocol::{NETNS, Size},
    spec::{
        self, BindMount, ContainerSpec, ExecSpec, Namespace, Resources, Rlimit, Seccomp, Shm, Tmpfs,
    },
};
use types::{
    container::{ContainerConfig, HostConfig},
    exec::ExecConfig,
};

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    merge,
    network_mode::NetworkMode,
    record::Record,
    rootfs,
};

/// Name of the init program under the exec root.
pub(crate) const INIT: &str = "wharf-init";
/// Bytes of `/dev/shm` where nobody says otherwise.
pub(crate) const DEFAULT_SHM: i64 = 64 << 20;

/// What this host holds itself: looked at once.
static HOST: LazyLock<Host> = LazyLock::new(Host::detect);

/// A configuration ready to be written.
pub(crate) struct Built {
    pub json: Vec<u8>,
    /// The compiled seccomp profile, if there is one and our own runtime starts the container.
    pub filter: Option<Arc<Filter>>,
    /// What was left out or brought within the host's bounds.
    pub warnings: Vec<String>,
}

/// Refuses what no host could do, before anything is made.
/// Answers what will be left out or brought within the host's bounds.
pub(crate) fn check(config: &ContainerConfig, host: &HostConfig) -> Result<Vec<String>> {
    let spec = outline(config, host, "check")?;
    let spec = ContainerSpec {
        args: vec!["-".into()],
        cwd: "/".into(),
        ..spec
    };
    Ok(spec::build(&spec, &HOST)?.warnings)
}

/// Completes and checks `--cgroupns`. As Docker: private on v2, the host's on v1 and for privileged
/// containers.
pub(crate) fn settle_cgroupns(host: &mut HostConfig) -> Result<()> {
    match host.cgroupns_mode.as_str() {
        "private" | "host" => {}
        "" if host.privileged || !HOST.cgroup2 => host.cgroupns_mode = "host".into(),
        "" => host.cgroupns_mode = "private".into(),
        other => {
            return Err(Error::Invalid(format!(
                "invalid cgroup namespace mode: {other}"
            )));
        }
    }
    Ok(())
}

/// The part of the configuration that depends on the definition alone.
fn outline(config: &ContainerConfig, host: &HostConfig, cgroup: &str) -> Result<ContainerSpec> {
    let (mut seccomp, mut no_new_privileges) = (Seccomp::Default, false);
    for option in &host.security_opt {
        match option.replacen(':', "=", 1).as_str() {
            "no-new-privileges" | "no-new-privileges=true" => no_new_privileges = true,
            "no-new-privileges=false" => no_new_privileges = false,
            "seccomp=unconfined" => seccomp = Seccomp::Unconfined,
            "seccomp=builtin" => seccomp = Seccomp::Default,
            // What is the case anyway.
            "label=disable" | "apparmor=unconfined" => {}
            _ => {
                return Err(Error::NotSupported(format!(
                    "HostConfig.SecurityOpt {option} is not supported by wharf yet"
                )));
            }
        }
    }
    if host.cgroup_parent.split('/').any(|p| p == "." || p == "..") {
        return Err(Error::Invalid(format!(
            "invalid cgroup parent {}: write it without . and ..",
            host.cgroup_parent
        )));
    }
    let bytes = |n: i64| u64::try_from(n).unwrap_or(0);
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
        seccomp,
        no_new_privileges,
        rlimits: host
            .ulimits
            .iter()
            .map(|u| Rlimit {
                name: u.name.clone(),
                soft: u.soft,
                hard: u.hard,
            })
            .collect(),
        resources: Resources {
            memory: host.memory,
            memory_swap: host.memory_swap,
            nano_cpus: host.nano_cpus,
            pids_limit: host.pids_limit,
            ..Resources::default()
        },
        cgroup: format!("/{cgroup}"),
        // As Docker: private on v2, the host's on v1.
        host_cgroupns: host.cgroupns_mode == "host",
        shm: Shm::Own(bytes(if host.shm_size == 0 {
            DEFAULT_SHM
        } else {
            host.shm_size
        })),
        ..ContainerSpec::default()
    })
}

/// The configuration of a container whose root file system is `root`. `sources` are the places on
/// the host of the record's mounts, in their order.
pub(crate) fn build(
    engine: &Engine,
    container: &Container,
    record: &Record,
    root: BorrowedFd<'_>,
    sources: &[PathBuf],
    own_network: bool,
) -> Result<Built> {
    let (config, host) = (&record.config, &record.host_config);
    let mut spec = outline(config, host, engine.cgroup(record).trim_start_matches('/'))?;
    let found = runtime::user::resolve(root, &config.user, &host.group_add)?;
    spec.user = found.user;
    spec.args = record.argv();
    spec.cwd = if config.working_dir.is_empty() {
        "/".into()
    } else {
        config.working_dir.clone()
    };
    if spec.cwd != "/" {
        // Root's, as Docker's: what an image does not give its user stays out of that one's hands.
        rootfs::make_dirs(root, &spec.cwd, (0, 0)).map_err(Error::io(format!(
            "the working directory {} of container {} cannot be made",
            spec.cwd, record.id
        )))?;
    }
    let shares_host = NetworkMode::of(host)? == NetworkMode::Host;
    let hostname = engine.hostname(container, record);
    spec.env = merge::environment(config, &hostname, config.tty, &[]);
    add_home(&mut spec.env, &found.home);
    spec.hostname = hostname;
    let [height, width] = host.console_size;
    spec.size = (width > 0 && height > 0).then_some(Size { width, height });
    spec.mounts = binds(engine, container, record, sources);
    spec.network = if own_network {
        Namespace::Path(text(&container.run_dir.join(NETNS)))
    } else {
        debug_assert!(shares_host);
        Namespace::Host
    };
    if host.init == Some(true) {
        spec.init = Some(text(&engine.config().exec_root.join(INIT)));
    }
    let built = spec::build(&spec, &HOST)?;
    let json = serde_json::to_vec(&built.spec).map_err(|e| Error::Io {
        what: format!("write the configuration of container {}", record.id),
        source: e.into(),
    })?;
    let filter = match engine.own_runtime(host) {
        true => engine
            .filters
            .get(&built.spec)
            .map_err(|e| Error::Invalid(e.to_string()))?,
        false => None,
    };
    Ok(Built {
        json,
        filter,
        warnings: built.warnings,
    })
}

/// The OCI process of an exec in the container whose first process is `pid`.
pub(crate) fn exec_process(
    record: &Record,
    asked: &ExecConfig,
    hostname: &str,
    pid: u32,
) -> Result<String> {
    let what = || format!("run a process in container {}", record.id);
    let spec = outline(&record.config, &record.host_config, &record.id)?;
    let root = rustix::fs::open(
        format!("/proc/{pid}/root"),
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(|e| Error::io(what())(e.into()))?;
    let user = if asked.user.is_empty() {
        &record.config.user
    } else {
        &asked.user
    };
    let found = runtime::user::resolve(root.as_fd(), user, &record.host_config.group_add)?;
    let mut env = merge::environment(&record.config, hostname, asked.tty, &asked.env);
    add_home(&mut env, &found.home);
    let cwd = [&asked.working_dir, &record.config.working_dir]
        .into_iter()
        .find(|d| !d.is_empty());
    let exec = ExecSpec {
        args: asked.cmd.clone(),
        env,
        cwd: cwd.cloned().unwrap_or_else(|| "/".into()),
        user: found.user,
        tty: asked.tty,
        size: asked
            .console_size
            .filter(|[rows, columns]| *rows > 0 && *columns > 0)
            .map(|[height, width]| Size { width, height }),
        // As Docker: what the container's own process may, an exec may too.
        privileged: asked.privileged || record.host_config.privileged,
    };
    let (process, warnings) = spec::exec_process(&spec, &exec, &HOST)?;
    for warning in warnings {
        tracing::warn!(container = %record.id, "{warning}");
    }
    serde_json::to_string(&process).map_err(|e| Error::io(what())(e.into()))
}

impl Engine {
    /// The host name inside a container: its own, the host's, or that of the container whose
    /// network it shares.
    pub(crate) fn hostname(&self, container: &Container, record: &Record) -> String {
        let own = || record.hostname().to_owned();
        match NetworkMode::of(&record.host_config) {
            Ok(NetworkMode::Host) if record.config.hostname.is_empty() => rustix::system::uname()
                .nodename()
                .to_string_lossy()
                .into_owned(),
            Ok(NetworkMode::Container(other)) if other != container.id => self
                .find(&other)
                .map_or_else(|_| own(), |o| o.with_record(|r| r.hostname().to_owned())),
            _ => own(),
        }
    }
}

/// Volumes and binds, then the small files of `/etc` that nothing of the user's covers.
fn binds(
    engine: &Engine,
    container: &Container,
    record: &Record,
    sources: &[PathBuf],
) -> Vec<BindMount> {
    let mut binds: Vec<BindMount> = record
        .mounts
        .iter()
        .zip(sources)
        .map(|(mount, source)| BindMount {
            source: text(source),
            destination: mount.destination.clone(),
            readonly: mount.read_only,
            recursive: true,
            propagation: if mount.propagation.is_empty() {
                "rprivate".into()
            } else {
                mount.propagation.clone()
            },
        })
        .collect();
    // Those of the container whose network it shares are the same files.
    let dir = match NetworkMode::of(&record.host_config) {
        Ok(NetworkMode::Container(other)) => engine
            .find(&other)
            .map_or_else(|_| container.data_dir.clone(), |o| o.data_dir.clone()),
        _ => container.data_dir.clone(),
    };
    for name in ["resolv.conf", "hostname", "hosts"] {
        let destination = format!("/etc/{name}");
        if binds.iter().all(|b| b.destination != destination) {
            binds.push(BindMount {
                source: text(&dir.join(name)),
                destination,
                readonly: record.host_config.readonly_rootfs,
                recursive: true,
                propagation: "rprivate".into(),
            });
        }
    }
    binds
}

fn add_home(env: &mut Vec<String>, home: &str) {
    if !env.iter().any(|pair| pair.starts_with("HOME=")) {
        env.push(format!("HOME={home}"));
    }
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}
