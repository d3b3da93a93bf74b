//! From a container's definition to the OCI configuration that its shim hands to the runtime.

mod outline;
mod security;

use std::{
    os::fd::{AsFd, BorrowedFd},
    path::{Path, PathBuf},
    sync::{Arc, LazyLock},
};

use runtime::{
    Host,
    filters::Filter,
    protocol::{IPCNS, NETNS, PIDNS, SHM, Size, USERNS},
    spec::{self, BindMount, ContainerSpec, ExecSpec, Namespace, Shm, Tmpfs, UserNamespace},
};
use types::{
    container::{ContainerConfig, HostConfig, Ulimit},
    exec::ExecConfig,
};

pub(crate) use outline::{DEFAULT_SHM, resources, shm_size};

use crate::{
    Engine,
    container::Container,
    error::{Error, Result},
    merge,
    network_mode::NetworkMode,
    record::{MountKind, Record},
    remap::Remap,
    rootfs,
};

/// Name of the init program under the exec root.
pub(crate) const INIT: &str = "wharf-init";

/// What this host holds itself: looked at once.
pub(crate) static HOST: LazyLock<Host> = LazyLock::new(Host::detect);

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
pub(crate) fn check(
    engine: &Engine,
    config: &ContainerConfig,
    host: &HostConfig,
) -> Result<Vec<String>> {
    let mut spec = outline::outline(config, host, "check", engine.ulimits())?;
    spec.cdi = crate::cdi::resolve(&engine.config().cdi_spec_dirs, host)?;
    let spec = ContainerSpec {
        args: vec!["-".into()],
        cwd: "/".into(),
        ..spec
    };
    Ok(spec::build(&spec, &HOST)?.warnings)
}

/// The AppArmor profile of a container; empty where there is none.
pub(crate) fn apparmor(host: &HostConfig) -> String {
    let security = security::read(host);
    security.ok().and_then(|s| s.apparmor).unwrap_or_default()
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

/// What a start has made ready for a container.
pub(crate) struct Place<'a> {
    /// Its root file system.
    pub root: BorrowedFd<'a>,
    /// The places on the host of the record's mounts, in their order.
    pub sources: &'a [PathBuf],
    /// What its environment says of the containers that it is linked to.
    pub linked: Vec<String>,
    /// How its users are remapped, if they are.
    pub remap: Option<&'a Remap>,
}

/// The configuration of a container.
pub(crate) fn build(
    engine: &Engine,
    container: &Container,
    record: &Record,
    place: Place<'_>,
) -> Result<Built> {
    let Place {
        root,
        sources,
        linked,
        remap,
    } = place;
    let (config, host) = (&record.config, &record.host_config);
    let cgroup = engine.cgroup(record);
    let mut spec = outline::outline(
        config,
        host,
        cgroup.trim_start_matches('/'),
        engine.ulimits(),
    )?;
    spec.cdi = crate::cdi::resolve(&engine.config().cdi_spec_dirs, host)?;
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
        // In a build it is the user's, as BuildKit's.
        let owner = match record.is_step() {
            true => (spec.user.uid, spec.user.gid),
            false => remap.map_or((0, 0), Remap::root),
        };
        rootfs::make_dirs(root, &spec.cwd, owner).map_err(Error::io(format!(
            "the working directory {} of container {} cannot be made",
            spec.cwd, record.id
        )))?;
    }
    let hostname = engine.hostname(container, record);
    spec.env = merge::environment(config, &hostname, config.tty, &[]);
    if record.is_step() && !config.env.iter().any(|p| p.starts_with("HOSTNAME=")) {
        // What a build makes must not depend on it.
        spec.env.retain(|pair| !pair.starts_with("HOSTNAME="));
    }
    merge::add(&mut spec.env, linked);
    add_home(&mut spec.env, &found.home);
    spec.hostname = hostname;
    let [height, width] = host.console_size;
    spec.size = (width > 0 && height > 0).then_some(Size { width, height });
    spec.mounts = binds(engine, container, record, sources);
    let in_memory = record.mounts.iter().filter(|m| m.kind == MountKind::Tmpfs);
    spec.tmpfs.extend(in_memory.map(|m| Tmpfs {
        destination: m.destination.clone(),
        options: m.options.clone(),
    }));
    spec.shares_network = matches!(NetworkMode::of(host)?, NetworkMode::Container(_));
    let at = |name: &str| text(&container.run_dir.join(name));
    for (namespace, link) in [
        (&mut spec.network, NETNS),
        (&mut spec.pid, PIDNS),
        (&mut spec.ipc, IPCNS),
    ] {
        if matches!(namespace, Namespace::Path(_)) {
            *namespace = Namespace::Path(at(link));
        }
    }
    if matches!(spec.shm, Shm::Bind(_)) && spec.ipc != Namespace::Host {
        spec.shm = Shm::Bind(at(SHM));
    }
    spec.user_namespace = remap.map(|map| UserNamespace {
        path: at(USERNS),
        uids: map.uids.clone(),
        gids: map.gids.clone(),
    });
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
    defaults: &[Ulimit],
) -> Result<String> {
    let what = || format!("run a process in container {}", record.id);
    let spec = outline::outline(&record.config, &record.host_config, &record.id, defaults)?;
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
        let nodename = record.host_config.uts_mode == "host";
        match NetworkMode::of(&record.host_config) {
            Ok(mode)
                if nodename || mode == NetworkMode::Host && record.config.hostname.is_empty() =>
            {
                rustix::system::uname()
                    .nodename()
                    .to_string_lossy()
                    .into_owned()
            }
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
        .filter(|(mount, _)| mount.kind != MountKind::Tmpfs)
        .map(|(mount, source)| BindMount {
            source: text(source),
            destination: mount.destination.clone(),
            readonly: mount.read_only,
            readonly_below: mount.read_only && !mount.flat_read_only,
            recursive: !mount.flat,
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
    // A build may write a host name into an image.
    let own: &[&str] = match record.is_step() {
        true => &["resolv.conf", "hosts"],
        false => &["resolv.conf", "hostname", "hosts"],
    };
    for name in own {
        let destination = format!("/etc/{name}");
        if binds.iter().all(|b| b.destination != destination) {
            binds.push(BindMount {
                source: text(&dir.join(name)),
                destination,
                readonly: record.host_config.readonly_rootfs,
                readonly_below: false,
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
