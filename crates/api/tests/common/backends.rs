//! Backends that answer by the names they are asked for and write down what they were asked.

use std::{
    io,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use api::backend::{
    AttachOptions, Attachment, Body, Containers, EventsOptions, Images, ImagesOptions,
    ImportOptions, ListOptions, LogsOptions, Output, Progress, RemoveOptions, Result, StdStream,
    System, WaitCondition,
};
use async_trait::async_trait;
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, future::BoxFuture, stream, stream::BoxStream};
use tokio::{
    io::AsyncReadExt,
    sync::{Notify, mpsc},
};
use types::{
    ErrorKind, Failure,
    container::{
        ContainerConfig, ContainerInspect, ContainerState, ContainerSummary, CreateRequest,
        CreateResponse, GraphDriver, HostConfig, NEVER, NetworkSettings, WaitResponse,
    },
    event::{Actor, Event},
    exec::{ExecConfig, ExecInspect, ExecStart},
    image::{ImageDeleted, ImageInspect, ImageSummary, ProgressLine, RegistryAuth},
    system::{Info, Version},
};

/// Counts what was dropped.
#[derive(Default, Clone)]
pub struct GuardCount(pub Arc<AtomicUsize>);

impl Drop for Dropped {
    fn drop(&mut self) {
        self.0.0.fetch_add(1, Ordering::SeqCst);
    }
}

pub struct Dropped(GuardCount);

#[derive(Default)]
pub struct Fake {
    pub calls: Mutex<Vec<String>>,
    pub created: Mutex<Option<CreateRequest>>,
    pub dropped: GuardCount,
    pub finished: AtomicUsize,
    pub go: Notify,
}

impl Fake {
    pub fn note(&self, call: impl Into<String>) {
        self.calls.lock().unwrap().push(call.into());
    }

    pub fn last(&self) -> String {
        self.calls
            .lock()
            .unwrap()
            .last()
            .cloned()
            .unwrap_or_default()
    }

    pub fn drops(&self) -> usize {
        self.dropped.0.load(Ordering::SeqCst)
    }

    fn guard(&self) -> Dropped {
        Dropped(self.dropped.clone())
    }

    /// Without end, counted when dropped.
    fn endless<T: Send + 'static>(&self, first: T) -> BoxStream<'static, T> {
        let guard = self.guard();
        stream::once(async { first })
            .chain(stream::pending())
            .map(move |item| {
                let _held = &guard;
                item
            })
            .boxed()
    }

    /// Writes back what it reads; at the end of its input says so on standard error and ends.
    fn echo(&self, tty: bool) -> Attachment {
        let (input, mut reader) = tokio::io::duplex(1024);
        let (sender, receiver) = mpsc::unbounded_channel();
        let guard = self.guard();
        tokio::spawn(async move {
            let mut chunk = Vec::new();
            while reader.read_buf(&mut chunk).await.is_ok_and(|n| n > 0) {
                let bytes = Bytes::from(std::mem::take(&mut chunk));
                if sender.send(Ok((StdStream::Out, bytes))).is_err() {
                    return;
                }
            }
            let _ = sender.send(Ok((StdStream::Err, Bytes::from_static(b"bye"))));
        });
        let chunks = stream::unfold((receiver, guard), |(mut receiver, guard)| async move {
            Some((receiver.recv().await?, (receiver, guard)))
        });
        Attachment {
            output: Output {
                tty,
                chunks: chunks.boxed(),
            },
            input: Some(Box::pin(input)),
            detached: Box::new(|| ()),
        }
    }
}

pub fn known(name: &str) -> Result<()> {
    let kind = match name {
        "missing" => ErrorKind::NotFound,
        "same" => ErrorKind::NotModified,
        "busy" => ErrorKind::Conflict,
        "secret" => ErrorKind::Forbidden,
        "anonymous" => ErrorKind::Unauthorized,
        "later" => ErrorKind::Unavailable,
        "gone" => ErrorKind::Cancelled,
        "broken" => ErrorKind::System,
        _ => return Ok(()),
    };
    Err(Failure::new(kind, format!("No such container: {name}")))
}

#[async_trait]
impl Containers for Fake {
    async fn create(
        &self,
        name: Option<String>,
        platform: Option<String>,
        request: CreateRequest,
    ) -> Result<CreateResponse> {
        self.note(format!("create {name:?} {platform:?}"));
        *self.created.lock().unwrap() = Some(request);
        Ok(CreateResponse {
            id: "c0ffee".into(),
            warnings: Vec::new(),
        })
    }
    async fn start(&self, name: &str) -> Result<()> {
        self.note(format!("start {name}"));
        if name == "slow" {
            self.go.notified().await;
            self.finished.fetch_add(1, Ordering::SeqCst);
        }
        known(name)
    }
    async fn stop(&self, name: &str, signal: Option<String>, timeout: Option<i64>) -> Result<()> {
        self.note(format!("stop {name} {signal:?} {timeout:?}"));
        known(name)
    }
    async fn restart(&self, name: &str, signal: Option<String>, t: Option<i64>) -> Result<()> {
        self.note(format!("restart {name} {signal:?} {t:?}"));
        known(name)
    }
    async fn kill(&self, name: &str, signal: Option<String>) -> Result<()> {
        self.note(format!("kill {name} {signal:?}"));
        known(name)
    }
    async fn wait(
        &self,
        name: &str,
        condition: WaitCondition,
    ) -> Result<BoxFuture<'static, Result<WaitResponse>>> {
        self.note(format!("wait {name} {condition:?}"));
        known(name)?;
        let guard = self.guard();
        let forever = name == "forever";
        let failing = name == "failing";
        Ok(async move {
            let _held = guard;
            if forever {
                std::future::pending::<()>().await;
            }
            if failing {
                return Err(Failure::system("no removal"));
            }
            Ok(WaitResponse {
                status_code: 3,
                error: None,
            })
        }
        .boxed())
    }
    async fn remove(&self, name: &str, options: RemoveOptions) -> Result<()> {
        self.note(format!("remove {name} {options:?}"));
        known(name)
    }
    async fn list(&self, options: ListOptions) -> Result<Vec<ContainerSummary>> {
        self.note(format!("list {options:?}"));
        Ok(vec![ContainerSummary {
            id: "c0ffee".repeat(11),
            names: vec!["/web".into()],
            image: "busybox".into(),
            command: "true".into(),
            state: "running".into(),
            status: "Up 1 second".into(),
            ..Default::default()
        }])
    }
    async fn inspect(&self, name: &str, size: bool) -> Result<ContainerInspect> {
        self.note(format!("inspect {name} {size}"));
        known(name)?;
        Ok(ContainerInspect {
            id: "c0ffee".into(),
            created: NEVER.into(),
            path: "true".into(),
            args: Vec::new(),
            state: ContainerState {
                status: "running".into(),
                running: true,
                paused: false,
                restarting: false,
                oom_killed: false,
                dead: false,
                pid: 1,
                exit_code: 0,
                error: String::new(),
                started_at: NEVER.into(),
                finished_at: NEVER.into(),
                health: None,
            },
            image: "sha256:00".into(),
            resolv_conf_path: String::new(),
            hostname_path: String::new(),
            hosts_path: String::new(),
            log_path: String::new(),
            name: "/web".into(),
            restart_count: 0,
            driver: "overlay2".into(),
            platform: "linux".into(),
            mount_label: String::new(),
            process_label: String::new(),
            app_armor_profile: String::new(),
            exec_ids: None,
            host_config: HostConfig::default(),
            graph_driver: GraphDriver::default(),
            size_rw: None,
            size_root_fs: None,
            mounts: Vec::new(),
            config: ContainerConfig {
                tty: name == "tty",
                ..Default::default()
            },
            network_settings: NetworkSettings::default(),
        })
    }
    async fn logs(&self, name: &str, options: LogsOptions) -> Result<Output> {
        self.note(format!("logs {name} {options:?}"));
        known(name)?;
        let line = Ok((StdStream::Out, Bytes::from_static(b"hello\n")));
        if options.follow {
            let chunks = self
                .endless(0)
                .map(move |_| io::Result::Ok((StdStream::Out, Bytes::from_static(b"hello\n"))));
            return Ok(Output {
                tty: false,
                chunks: chunks.boxed(),
            });
        }
        let error = Ok((StdStream::Err, Bytes::from_static(b"oh\n")));
        Ok(Output {
            tty: name == "tty",
            chunks: stream::iter([line, error]).boxed(),
        })
    }
    async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        self.note(format!("attach {name} {options:?}"));
        known(name)?;
        Ok(self.echo(name == "tty"))
    }
    async fn resize(&self, name: &str, rows: u16, columns: u16) -> Result<()> {
        self.note(format!("resize {name} {rows} {columns}"));
        known(name)
    }
    async fn exec_create(&self, name: &str, config: ExecConfig) -> Result<String> {
        self.note(format!("exec_create {name} {:?}", config.cmd));
        known(name)?;
        Ok("e0".into())
    }
    async fn exec_start(&self, exec: &str, start: ExecStart) -> Result<Option<Attachment>> {
        self.note(format!("exec_start {exec} {start:?}"));
        known(exec)?;
        if exec == "held" {
            self.go.notified().await;
            return Err(Failure::system("no such program"));
        }
        Ok((!start.detach).then(|| self.echo(start.tty)))
    }
    async fn exec_resize(&self, exec: &str, rows: u16, columns: u16) -> Result<()> {
        self.note(format!("exec_resize {exec} {rows} {columns}"));
        known(exec)
    }
    async fn exec_inspect(&self, exec: &str) -> Result<ExecInspect> {
        known(exec)?;
        Ok(ExecInspect {
            id: exec.into(),
            exit_code: Some(0),
            can_remove: exec == "ended",
            ..Default::default()
        })
    }
}

fn progress() -> Progress {
    let line = ProgressLine {
        status: Some("done".into()),
        ..Default::default()
    };
    stream::iter([line.clone(), line]).boxed()
}

async fn size(mut body: Body) -> Result<usize> {
    let mut total = 0;
    while let Some(chunk) = body.next().await {
        total += chunk.map_err(Failure::invalid)?.len();
    }
    Ok(total)
}

#[async_trait]
impl Images for Fake {
    async fn pull(
        &self,
        reference: &str,
        platform: Option<String>,
        auth: Option<RegistryAuth>,
    ) -> Result<Progress> {
        self.note(format!("pull {reference} {platform:?} {auth:?}"));
        known(reference.split(':').next().unwrap())?;
        if reference.starts_with("endless") {
            return Ok(self.endless(ProgressLine::default()));
        }
        Ok(progress())
    }
    async fn load(&self, archive: Body, quiet: bool, platform: Option<String>) -> Result<Progress> {
        let size = size(archive).await?;
        let platform = platform.unwrap_or_default();
        self.note(format!("load {size} {quiet}{platform}"));
        Ok(progress())
    }
    async fn import(&self, archive: Body, options: ImportOptions) -> Result<Progress> {
        let size = size(archive).await?;
        self.note(format!("import {size} {options:?}"));
        Ok(progress())
    }
    async fn list(&self, options: ImagesOptions) -> Result<Vec<ImageSummary>> {
        self.note(format!("images {} {:?}", options.all, options.filters));
        Ok(vec![ImageSummary::default()])
    }
    async fn inspect(&self, name: &str, platform: Option<String>, _: bool) -> Result<ImageInspect> {
        let platform = platform.unwrap_or_default();
        self.note(format!("image {name}{platform}"));
        known(name)?;
        Ok(ImageInspect::default())
    }
    async fn tag(&self, name: &str, reference: &str) -> Result<()> {
        self.note(format!("tag {name} {reference}"));
        known(name)
    }
    async fn remove(&self, name: &str, force: bool, noprune: bool) -> Result<Vec<ImageDeleted>> {
        self.note(format!("rmi {name} {force} {noprune}"));
        known(name)?;
        Ok(vec![ImageDeleted {
            untagged: Some(name.into()),
            deleted: None,
        }])
    }
}

#[async_trait]
impl System for Fake {
    async fn version(&self) -> Result<Version> {
        Ok(Version {
            version: "0".into(),
            api_version: "1.51".into(),
            min_api_version: "1.24".into(),
            ..Default::default()
        })
    }
    async fn info(&self) -> Result<Info> {
        Ok(Info::default())
    }
    async fn events(&self, options: EventsOptions) -> Result<BoxStream<'static, Event>> {
        self.note(format!("events {options:?}"));
        let event = Event {
            status: "start".into(),
            id: "c0ffee".into(),
            from: String::new(),
            kind: "container".into(),
            action: "start".into(),
            actor: Actor::default(),
            scope: "local".into(),
            time: 1,
            time_nano: 1_000_000_000,
        };
        if options.until.is_some() {
            return Ok(stream::iter([event]).boxed());
        }
        if options.filters.contains_key("image") {
            let guard = self.guard();
            return Ok(stream::pending()
                .map(move |e| {
                    let _held = &guard;
                    e
                })
                .boxed());
        }
        Ok(self.endless(event))
    }
}
