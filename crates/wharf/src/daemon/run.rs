//! Start-up order and the end.

use std::{ffi::OsString, os::unix::net::UnixListener, path::PathBuf, sync::Arc, time::Duration};

use anyhow::{Context, Result};
use engine::{DefaultBridge, Engine, Events, Programs};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    info::{self, Host},
    instance::Instance,
    listen::{self, Socket},
    notify::Notify,
    reload::{Log, Reload},
    settings::Settings,
};
use crate::{adapters, authz, embedded};

/// What a daemon starts with.
pub(crate) struct Start {
    pub settings: Settings,
    /// The command line, to be read again with the file.
    pub args: Vec<OsString>,
    pub activation: sys::activation::Activation,
    pub log: Log,
}

/// Sends the log to stderr, where a service manager picks it up.
pub(crate) fn log_to_stderr(settings: &Settings) -> Log {
    use tracing_subscriber::{layer::SubscriberExt as _, util::SubscriberInitExt as _};
    let level = &settings.live.log_level;
    let (filter, log) = Log::new(level);
    let terminal = rustix::termios::isatty(rustix::stdio::stderr());
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(terminal && !settings.raw_logs)
        .with_target(level == "debug");
    tracing_subscriber::registry()
        .with(filter)
        .with(lines)
        .init();
    log
}

/// Opens the state, serves the API, and ends on SIGTERM or SIGINT with containers left running.
pub(crate) async fn serve(start: Start) -> Result<()> {
    // Before anything slow: a signal during start-up must not be lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Like dockerd, which reloads its configuration on SIGHUP and does not end.
    let hangup = signal(SignalKind::hangup())?;
    let tell = signal(SignalKind::user_defined1())?;
    let Start {
        settings,
        args,
        activation,
        log,
    } = start;
    if let Err(error) = runtime::descriptors::raise() {
        tracing::warn!(%error, "the limit of open files cannot be raised: few ports can be published");
    }
    for warning in &settings.warnings {
        tracing::warn!("{warning}");
    }
    let notify = Notify::new(activation.notify, activation.watchdog);
    let instance = Instance::take(&settings.data_root, &settings.exec_root, &settings.pidfile)?;
    // Refused before containers are touched, opened for clients after.
    let sockets = listen::open(&settings.hosts, &settings.listening, activation.sockets)?;
    let plugins = Arc::new(authz::Plugins::default());
    plugins
        .set(&settings.live.authorization_plugins)
        .await
        .context("error validating authorization plugin")?;
    let paths: Vec<PathBuf> = sockets
        .iter()
        .filter_map(|s| match s {
            Socket::Unix(_, path) => path.clone(),
            _ => None,
        })
        .collect();
    let engine = tokio::select! {
        engine = open(&settings) => engine?,
        _ = terminate.recv() => return Ok(()),
        _ = interrupt.recv() => return Ok(()),
    };
    let host = Arc::new(Host::look(&settings)?);
    for warning in host.warnings() {
        tracing::warn!("{warning}");
    }
    let containers = Arc::new(adapters::Containers::new(Arc::clone(&engine)));
    let images = Arc::new(adapters::Images::new(
        Arc::clone(&engine),
        settings.image_gc.clone(),
    ));
    let builds = {
        let (root, engine) = (settings.data_root.clone(), Arc::clone(&engine));
        let bound = settings.build_cache.clone();
        let entitlements = settings.entitlements;
        tokio::task::spawn_blocking(move || {
            adapters::Builds::open(&root, &engine, bound, entitlements)
        })
        .await?
    };
    let builds = Arc::new(builds.context("cannot open the builder's state")?);
    let keeper = images.clone();
    let server = api::Server {
        containers: containers.clone(),
        files: containers.clone(),
        life: containers.clone(),
        live: containers.clone(),
        networks: containers.clone(),
        volumes: containers,
        builds: builds.clone(),
        images: images.clone(),
        image_work: images.clone(),
        registry_work: images,
        system: Arc::new(adapters::System::new(
            Arc::clone(&engine),
            Arc::clone(&host),
        )),
        authorization: Some(plugins.clone()),
    };
    let listeners = sockets
        .into_iter()
        .map(listener)
        .collect::<Result<Vec<_>>>()?;
    tracing::info!(hosts = ?settings.hosts, "wharf {} is ready", env!("CARGO_PKG_VERSION"));
    notify.ready();
    let reload = Reload {
        args,
        settings: settings.clone(),
        host,
        engine: Arc::clone(&engine),
        plugins,
        log,
        notify: notify.clone(),
    };
    tokio::spawn(reload.serve(hangup, tell));
    tokio::spawn(notify.clone().live());
    tokio::spawn(stay_small());
    tokio::spawn(keeper.keep_clean());
    let end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        notify.stopping();
        tracing::info!("ending; containers go on running");
        // While their clients still listen.
        builds.end().await;
    };
    server.serve(listeners, end).await;
    // Bounded: the kernel may be busy, and a service manager waits.
    let _ = tokio::time::timeout(Duration::from_secs(2), engine.settle()).await;
    for path in paths {
        // Only tidiness: a left socket is recognised as such.
        let _ = std::fs::remove_file(path);
    }
    drop(instance);
    Ok(())
}

/// How long after its start, and then how often, the daemon lets go of code that it has run.
const FIRST_REST: Duration = Duration::from_secs(5);
const REST: Duration = Duration::from_secs(600);

/// Most of what a start or a build runs is not run again for long: its pages stay in the file that
/// they came from, for whoever needs the memory.
async fn stay_small() {
    let mut pause = FIRST_REST;
    loop {
        tokio::time::sleep(pause).await;
        sys::process::forget_code();
        pause = REST;
    }
}

fn listener(socket: Socket) -> Result<api::Listener> {
    Ok(match socket {
        Socket::Unix(listener, _) => {
            listener.set_nonblocking(true)?;
            api::Listener::Unix(to_tokio(listener)?)
        }
        Socket::Tcp(listener) => {
            listener.set_nonblocking(true)?;
            api::Listener::Tcp(tokio::net::TcpListener::from_std(listener)?)
        }
        Socket::Tls(listener, tls) => {
            listener.set_nonblocking(true)?;
            api::Listener::Tls(tokio::net::TcpListener::from_std(listener)?, tls)
        }
    })
}

fn to_tokio(listener: UnixListener) -> Result<tokio::net::UnixListener> {
    Ok(tokio::net::UnixListener::from_std(listener)?)
}

/// The default network. Its IPv6 addresses, where nobody chooses them, last with the data root.
fn default_bridge(settings: &Settings) -> Result<Option<DefaultBridge>> {
    let Some(bridge) = settings.default_bridge.clone() else {
        return Ok(None);
    };
    let identity = info::identity(&settings.data_root)?;
    let digits: String = identity.chars().filter(|c| *c != '-').take(14).collect();
    let seed = u64::from_str_radix(&digits, 16).unwrap_or_default();
    Ok(Some(DefaultBridge { seed, ..bridge }))
}

/// Images, network, engine: each finds its state again before the next one needs it.
async fn open(settings: &Settings) -> Result<Arc<Engine>> {
    let images = {
        let root = settings.data_root.clone();
        let usual = image::Options::default();
        let options = image::Options {
            insecure_registries: settings.live.insecure_registries.clone(),
            registry_mirrors: settings.live.registry_mirrors.clone(),
            certs_dir: Some(settings.registry_certs_dir.clone()),
            max_concurrent_downloads: settings
                .max_concurrent_downloads
                .unwrap_or(usual.max_concurrent_downloads),
            max_concurrent_uploads: settings
                .max_concurrent_uploads
                .unwrap_or(usual.max_concurrent_uploads),
            max_download_attempts: settings
                .max_download_attempts
                .unwrap_or(usual.max_download_attempts),
            ..usual
        };
        tokio::task::spawn_blocking(move || image::Store::open(&root, options)).await?
    };
    let images = images.context("cannot open the image store")?;
    let config = network::Config {
        table: network::Config::table_of(&settings.bridge),
        pools: settings.pools.clone(),
        integrate: settings.integrate,
        leaves_forwarding: !settings.ip_forward,
    };
    let network = tokio::task::spawn_blocking(move || network::Fabric::open(&config)).await?;
    let network = Arc::new(network.context("cannot set up the network")?);
    let config = engine::Config {
        data_root: settings.data_root.clone(),
        exec_root: settings.exec_root.clone(),
        cgroup_parent: settings.cgroup_parent.clone(),
        runtimes: settings.runtimes.clone(),
        default_runtime: settings.default_runtime.clone(),
        default_ulimits: settings.default_ulimits.clone(),
        cdi_spec_dirs: settings.cdi_spec_dirs.clone(),
        log: settings.log.clone(),
        remap: settings.remap.clone(),
        defaults: settings.defaults.clone(),
        resolver: settings.resolver.clone(),
        default_bridge: default_bridge(settings)?,
        network_options: settings.network_options.clone(),
        plugins: settings.plugins.clone(),
        plugin_caller: Arc::new(crate::plugins::Http),
    };
    let programs = Programs {
        shim: embedded::SHIM,
        init: embedded::INIT,
        dns: embedded::DNS,
        relay: embedded::RELAY,
    };
    let engine = Engine::open(
        config,
        images,
        Arc::clone(&network),
        Arc::new(Events::default()),
        programs,
    )
    .await;
    let engine = engine.context("cannot open the engine's state")?;
    for warning in network.warnings() {
        tracing::warn!("{warning}");
    }
    Ok(engine)
}
