//! Containers for the API, done by the engine.

use std::sync::Arc;

use api::backend::{self, Attachment, Output, Result};
use async_trait::async_trait;
use engine::Engine;
use futures_util::{FutureExt, future::BoxFuture};
use types::{
    Failure,
    container::{ContainerInspect, ContainerSummary, CreateRequest, CreateResponse, WaitResponse},
    exec::{ExecConfig, ExecInspect, ExecStart},
    options::{AttachOptions, ListOptions, LogsOptions, RemoveOptions, WaitCondition},
};

use super::to_the_end;

pub(crate) struct Containers {
    pub(super) engine: Arc<Engine>,
}

impl Containers {
    pub(crate) fn new(engine: Arc<Engine>) -> Self {
        Self { engine }
    }

    pub(super) fn parts(&self, name: &str) -> (Arc<Engine>, String) {
        (Arc::clone(&self.engine), name.to_owned())
    }
}

fn output(output: engine::Output) -> Output {
    Output {
        tty: output.tty,
        chunks: output.chunks,
    }
}

fn attachment(
    attachment: engine::Attachment,
    detached: impl FnOnce() + Send + 'static,
) -> Attachment {
    Attachment {
        output: output(attachment.output),
        input: attachment.input,
        detached: Box::new(detached),
    }
}

#[async_trait]
impl backend::Containers for Containers {
    async fn create(
        &self,
        name: Option<String>,
        platform: Option<String>,
        request: CreateRequest,
    ) -> Result<CreateResponse> {
        let engine = Arc::clone(&self.engine);
        to_the_end(async move { engine.create(name, platform, request).await }).await
    }

    async fn start(&self, name: &str) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.start(&name).await }).await
    }

    async fn stop(&self, name: &str, signal: Option<String>, timeout: Option<i64>) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.stop(&name, signal.as_deref(), timeout).await }).await
    }

    async fn restart(
        &self,
        name: &str,
        signal: Option<String>,
        timeout: Option<i64>,
    ) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.restart(&name, signal.as_deref(), timeout).await }).await
    }

    async fn kill(&self, name: &str, signal: Option<String>) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.kill(&name, signal.as_deref()).await }).await
    }

    async fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<WaitResponse>>> {
        let wait = self.engine.wait(name, condition)?;
        Ok(async { Ok(wait.await?) }.boxed())
    }

    async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        let (engine, name) = self.parts(name);
        to_the_end(async move { engine.remove(&name, options).await }).await
    }

    async fn list(&self, options: ListOptions) -> Result<Vec<ContainerSummary>> {
        Ok(self.engine.list(options).await?)
    }

    async fn inspect(&self, name: &str, size: bool) -> Result<ContainerInspect> {
        Ok(self.engine.inspect(name, size).await?)
    }

    async fn logs(&self, name: &str, options: LogsOptions) -> Result<Output> {
        Ok(output(self.engine.logs(name, options)?))
    }

    async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        let attached = self.engine.attach(name, options).await?;
        let (engine, name) = self.parts(name);
        Ok(attachment(attached, move || engine.detached(&name)))
    }

    async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        Ok(self.engine.resize(name, rows, columns).await?)
    }

    async fn exec_create(&self, name: &str, config: ExecConfig) -> Result<String> {
        Ok(self.engine.exec_create(name, config)?)
    }

    async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        let (engine, id) = self.parts(exec);
        let started = to_the_end(async move { engine.exec_start(&id, start).await });
        let (engine, id) = self.parts(exec);
        let detached = move || engine.exec_detached(&id);
        Ok(started.await?.map(|started| attachment(started, detached)))
    }

    async fn exec_resize(&self, exec: &str, rows: u16, columns: u16) -> Result<()> {
        Ok(self.engine.exec_resize(exec, rows, columns).await?)
    }

    async fn exec_inspect(&self, exec: &str) -> Result<ExecInspect> {
        self.engine.exec_inspect(exec).map_err(Failure::from)
    }
}
