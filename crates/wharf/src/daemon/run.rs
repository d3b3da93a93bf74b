//! Start-up order and the end.

use std::{os::unix::net::UnixListener, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use engine::{Engine, Events, Programs};
use tokio::signal::unix::{SignalKind, signal};

use super::{
    info::Host,
    instance::Instance,
    listen::{self, Socket},
    options::Settings,
};
use crate::{adapters, embedded};

/// Sends the log to stderr, where a service manager picks it up.
pub(crate) fn log_to_stderr(level: &str) {
    let level = match level {
        "debug" => "debug",
        "warn" => "warn",
        "error" | "fatal" => "error",
        _ => "info",
    };
    let filter = tracing_subscriber::EnvFilter::new(level);
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(rustix::termios::isatty(rustix::stdio::stderr()))
        .with_target(level == "debug")
        .init();
}

/// Opens the state, serves the API, and ends on SIGTERM or SIGINT with containers left running.
pub(crate) async fn serve(settings: Settings) -> Result<()> {
    // Before anything slow: a signal during start-up must not be lost.
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // Like dockerd, which reloads its configuration on SIGHUP and does not end.
    let _hangup = signal(SignalKind::hangup())?;
    let instance = Instance::take(&settings.data_root, &settings.exec_root, &settings.pidfile)?;
    // Refused before containers are touched, opened for clients after.
    let sockets = settings
        .hosts
        .iter()
        .map(|url| listen::open(url, settings.insecure_tcp))
        .collect::<Result<Vec<_>>>()?;
    let paths: Vec<PathBuf> = sockets
        .iter()
        .filter_map(|s| {
            if let Socket::Unix(_, path) = s {
                Some(path.clone())
            } else {
                None
            }
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
    let images = Arc::new(adapters::Images::new(Arc::clone(&engine)));
    let server = api::Server {
        containers: containers.clone(),
        files: containers.clone(),
        life: containers.clone(),
        live: containers.clone(),
        networks: containers,
        images: images.clone(),
        image_work: images,
        system: Arc::new(adapters::System::new(
            Arc::clone(&engine),
            Arc::clone(&host),
        )),
    };
    let listeners = sockets
        .into_iter()
        .map(listener)
        .collect::<Result<Vec<_>>>()?;
    tracing::info!(hosts = ?settings.hosts, "wharf {} is ready", env!("CARGO_PKG_VERSION"));
    let end = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        tracing::info!("ending; containers go on running");
    };
    server.serve(listeners, end).await;
    // Bounded: the kernel may be busy, and a service manager waits.
    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), engine.settle()).await;
    for path in paths {
        // Only tidiness: a left socket is recognised as such.
        let _ = std::fs::remove_file(path);
    }
    drop(instance);
    Ok(())
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
    })
}

fn to_tokio(listener: UnixListener) -> Result<tokio::net::UnixListener> {
    Ok(tokio::net::UnixListener::from_std(listener)?)
}

/// Images, network, engine: each finds its state again before the next one needs it.
async fn open(settings: &Settings) -> Result<Arc<Engine>> {
    let images = {
        let root = settings.data_root.clone();
        let options = image::Options {
            insecure_registries: settings.insecure_registries.clone(),
            certs_dir: Some(settings.registry_certs_dir.clone()),
            ..image::Options::default()
        };
        tokio::task::spawn_blocking(move || image::Store::open(&root, options)).await?
    };
    let images = images.context("cannot open the image store")?;
    let config = network::Config {
        bridge: settings.bridge.clone(),
        bip: settings.bip.clone(),
        ..network::Config::default()
    };
    let network = tokio::task::spawn_blocking(move || network::Network::open(&config)).await?;
    let network = Arc::new(network.context("cannot set up the network")?);
    for warning in network.warnings() {
        tracing::warn!("{warning}");
    }
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
        resolver: settings.resolver.clone(),
    };
    let programs = Programs {
        shim: embedded::SHIM,
        init: embedded::INIT,
    };
    let engine = Engine::open(
        config,
        images,
        network,
        Arc::new(Events::default()),
        programs,
    )
    .await;
    engine.context("cannot open the engine's state")
}
