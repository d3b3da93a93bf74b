//! The daemon and its host for the API.

use std::sync::Arc;

use api::backend::{self, Result};
use async_trait::async_trait;
use engine::Engine;
use futures_util::{StreamExt, stream::BoxStream};
use types::{
    event::Event,
    options::EventsOptions,
    system::{Info, Version},
};

use crate::daemon::Host;

pub(crate) struct System {
    engine: Arc<Engine>,
    host: Arc<Host>,
}

impl System {
    pub(crate) fn new(engine: Arc<Engine>, host: Arc<Host>) -> Self {
        Self { engine, host }
    }
}

#[async_trait]
impl backend::System for System {
    async fn version(&self) -> Result<Version> {
        Ok(self.host.version())
    }

    async fn info(&self) -> Result<Info> {
        let (running, paused, stopped) = self.engine.counts();
        let count = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        Ok(Info {
            containers: count(running + paused + stopped),
            containers_running: count(running),
            containers_paused: count(paused),
            containers_stopped: count(stopped),
            images: count(self.engine.images().list().len()),
            n_events_listener: count(self.engine.events.listeners()),
            ..self.host.info()
        })
    }

    async fn events(&self, options: EventsOptions) -> Result<BoxStream<'static, Event>> {
        Ok(self.engine.events.listen(options).boxed())
    }
}
