//! SIGHUP: the configuration file is read again, and what can change without a restart changes.
//! SIGUSR1: a line in the log about the daemon's state.

use std::{collections::BTreeMap, ffi::OsString, sync::Arc};

use engine::Engine;
use tokio::signal::unix::Signal;
use tracing_subscriber::{EnvFilter, Registry, reload};

use super::{
    info::Host,
    notify::Notify,
    settings::{self, Settings},
};
use crate::authz;

/// The log's level, which can change.
pub(crate) struct Log(reload::Handle<EnvFilter, Registry>);

impl Log {
    pub(crate) fn new(level: &str) -> (reload::Layer<EnvFilter, Registry>, Self) {
        let (layer, handle) = reload::Layer::new(filter(level));
        (layer, Self(handle))
    }

    fn set(&self, level: &str) {
        if let Err(error) = self.0.reload(filter(level)) {
            tracing::warn!("cannot change the level of the log: {error}");
        }
    }
}

fn filter(level: &str) -> EnvFilter {
    EnvFilter::new(match level {
        "debug" => "debug",
        "warn" => "warn",
        "error" | "fatal" => "error",
        _ => "info",
    })
}

/// What a reload works on.
pub(crate) struct Reload {
    pub args: Vec<OsString>,
    /// As they were at the start.
    pub settings: Settings,
    pub host: Arc<Host>,
    pub engine: Arc<Engine>,
    pub plugins: Arc<authz::Plugins>,
    pub log: Log,
    pub notify: Notify,
}

impl Reload {
    /// Serves signals for ever.
    pub(crate) async fn serve(self, mut hangup: Signal, mut tell: Signal) {
        loop {
            tokio::select! {
                Some(()) = hangup.recv() => {
                    self.notify.reloading();
                    if let Err(error) = self.reload().await {
                        tracing::error!("the configuration is as it was: {error}");
                    }
                    self.notify.ready();
                }
                Some(()) = tell.recv() => self.tell(),
                else => return,
            }
        }
    }

    async fn reload(&self) -> Result<(), String> {
        let new = settings::reread(self.settings.listening.name, &self.args)?;
        let plugins = &new.live.authorization_plugins;
        self.plugins
            .set(plugins)
            .await
            .map_err(|e| format!("error validating authorization plugin: {e:#}"))?;
        let images = self.engine.images();
        images
            .change_registries(&new.live.insecure_registries, &new.live.registry_mirrors)
            .map_err(|e| e.to_string())?;
        self.log.set(&new.live.log_level);
        self.host.set_live(new.live.clone());
        let waiting = self.settings.waiting(&new);
        if !waiting.is_empty() {
            tracing::warn!(
                "these settings have changed and need a restart of the daemon: {}",
                waiting.join(", ")
            );
        }
        tracing::info!("the configuration was read again");
        let attributes = BTreeMap::from([
            ("name".to_owned(), self.host.name().to_owned()),
            ("debug".into(), (new.live.log_level == "debug").to_string()),
            ("labels".into(), json(&new.live.labels)),
            ("authorization-plugins".into(), json(plugins)),
            ("live-restore".into(), "true".into()),
            (
                "insecure-registries".into(),
                json(&new.live.insecure_registries),
            ),
            ("registry-mirrors".into(), json(&new.live.registry_mirrors)),
            (
                "default-runtime".into(),
                self.settings.default_runtime.clone(),
            ),
            ("shutdown-timeout".into(), "15".into()),
        ]);
        self.engine
            .events
            .tell("daemon", "reload", self.host.id(), attributes);
        Ok(())
    }

    fn tell(&self) {
        let (running, paused, stopped) = self.engine.counts();
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        tracing::info!(
            running,
            paused,
            stopped,
            descriptors,
            listeners = self.engine.events.listeners(),
            "the daemon's state"
        );
    }
}

fn json(list: &[String]) -> String {
    serde_json::to_string(list).unwrap_or_default()
}
