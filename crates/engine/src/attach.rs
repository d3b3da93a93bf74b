//! Connecting to a container's first process.

use std::{pin::Pin, sync::Arc};

use futures_util::{
    FutureExt, StreamExt,
    stream::{self, BoxStream},
};
use tokio::{io::AsyncWrite, sync::oneshot};
use types::options::{AttachOptions, LogsOptions};

use crate::{
    Engine,
    container::{Container, Waiting},
    error::{Error, Result},
    link::{Input, Link},
    logs::{self, Chunk, Hub},
    state::Phase,
    sync::lock,
};
use runtime::{
    logfile::LogEnd,
    protocol::{Request, Response, Size},
};

/// What a process writes.
pub struct Output {
    /// One raw stream; otherwise the streams are told apart.
    pub tty: bool,
    /// Ends with the process.
    pub chunks: BoxStream<'static, Chunk>,
}

/// A connection to a process.
pub struct Attachment {
    /// What it writes.
    pub output: Output,
    /// What it reads; `shutdown` ends its input, dropping lets go.
    pub input: Option<Pin<Box<dyn AsyncWrite + Send>>>,
}

impl Engine {
    /// What a container wrote.
    pub fn logs(&self, name: &str, options: LogsOptions) -> Result<Output> {
        let container = self.find(name)?;
        let tty = container.with_record(|r| r.config.tty);
        let Some(place) = container.log() else {
            return Err(Error::NotSupported(
                "configured logging driver does not support reading".into(),
            ));
        };
        let chunks = logs::read(place, options, None, container.watch(), &self.log_hub);
        Ok(Output {
            tty,
            chunks: chunks.boxed(),
        })
    }

    /// Connects to a container's first process; before its start too, and then nothing is missed.
    pub async fn attach(&self, name: &str, options: AttachOptions) -> Result<Attachment> {
        let container = self.find(name)?;
        if container.state().paused {
            return Err(Error::Conflict(format!(
                "container {name} is paused, unpause the container before attach"
            )));
        }
        let (tty, open_stdin) = container.with_record(|r| (r.config.tty, r.config.open_stdin));
        let stdin = options.stdin && open_stdin;
        let (output, input) = if options.stream {
            self.connect(&container, AttachOptions { stdin, ..options })
                .await?
        } else {
            let past = self.past(&container, options, None);
            (past, None)
        };
        self.tell(&container, "attach", &[]);
        Ok(Attachment {
            output: Output {
                tty,
                chunks: output,
            },
            input,
        })
    }

    fn past(
        &self,
        container: &Container,
        options: AttachOptions,
        end: Option<LogEnd>,
    ) -> BoxStream<'static, Chunk> {
        past(container, options, end, &self.log_hub)
    }

    /// A client let go of a container by its keys.
    pub fn detached(&self, name: &str) {
        // One that is gone by now has told more than this.
        if let Ok(container) = self.find(name) {
            self.tell(&container, "detach", &[]);
        }
    }

    async fn connect(
        &self,
        container: &Arc<Container>,
        options: AttachOptions,
    ) -> Result<(
        BoxStream<'static, Chunk>,
        Option<Pin<Box<dyn AsyncWrite + Send>>>,
    )> {
        let state = container.state();
        if state.is_running() {
            let (link, end) = match self.link(container, options).await {
                Ok(link) => link,
                // It ended this very moment: there is nothing more to come.
                Err(_) if container.ends_now(state.exits).await => {
                    return Ok((self.past(container, options, None), None));
                }
                Err(error) => return Err(error),
            };
            let (output, input) = link.into_io(options.stdin, |_| ());
            let past = self.past(container, options, end);
            return Ok((past.chain(output).boxed(), input.map(boxed)));
        }
        if container.state().phase == Phase::Removing {
            return Err(Error::Conflict(format!(
                "container {} is being removed",
                container.id
            )));
        }
        let (sender, link) = oneshot::channel();
        {
            let mut waiting = lock(&container.waiting);
            // Those who went away before it started.
            waiting.retain(|w| !w.link.is_closed());
            waiting.push(Waiting {
                options,
                link: sender,
            });
        }
        // It may have started, or gone, since it was looked at above.
        let now = container.state();
        if now.is_running() {
            self.serve_waiting(container).await;
        } else if now.removed || now.phase == Phase::Removing {
            container.drop_waiting();
        }
        // The two directions of a connection that is still to come.
        let (mut halves, output) = oneshot::channel();
        let (input_end, input) = oneshot::channel();
        let (container, hub) = (Arc::clone(container), Arc::clone(&self.log_hub));
        tokio::spawn(async move {
            let link = tokio::select! {
                link = link => link,
                () = halves.closed() => return,
            };
            if let Ok((link, end)) = link {
                let past = past(&container, options, end, &hub);
                let (chunks, input) = link.into_io(options.stdin, |_| ());
                // Whoever attached may have gone away meanwhile.
                let _ = halves.send(past.chain(chunks).boxed());
                let _ = input.map(|input| input_end.send(input));
            }
        });
        let chunks = output.map(|o| o.unwrap_or_else(|_| stream::empty().boxed()));
        let input = options.stdin.then(|| {
            boxed(LateInput {
                waiting: Some(input),
                input: None,
            })
        });
        Ok((chunks.flatten_stream().boxed(), input))
    }

    /// A connection to a running container's shim, as an attachment.
    /// Tells where the log ended at that moment, if that was asked for.
    pub(crate) async fn link(
        &self,
        container: &Container,
        options: AttachOptions,
    ) -> Result<(Link, Option<LogEnd>)> {
        let what = || format!("attach to container {}", container.id);
        let mut link = Link::connect(&container.run_dir)
            .await
            .map_err(Error::io(what()))?;
        let end = attach(&mut link, options)
            .await
            .map_err(Error::io(what()))?;
        Ok((link, end))
    }

    /// Sets the size of a container's terminal.
    pub async fn resize(&self, name: &str, height: u16, width: u16) -> Result<()> {
        let container = self.find(name)?;
        if !container.state().is_running() {
            return Err(Error::NotRunning(container.id.clone()));
        }
        let size = Size { width, height };
        self.ask(&container, Request::Resize { exec: None, size })
            .await?;
        let sides = [("height", height.to_string()), ("width", width.to_string())];
        self.tell(&container, "resize", &sides);
        Ok(())
    }

    /// Sends one request to a running container's shim.
    pub(crate) async fn ask(&self, container: &Container, request: Request) -> Result<Response> {
        let run = container.state().exits;
        let answer = async {
            let mut link = Link::connect(&container.run_dir).await?;
            link.ask(request).await
        };
        match answer.await {
            Ok(response) => Ok(response),
            // Its end took the shim along this very moment.
            Err(_) if container.ends_now(run).await => Err(Error::NotRunning(container.id.clone())),
            Err(error) => Err(Error::io(format!(
                "ask the shim of container {}",
                container.id
            ))(error)),
        }
    }
}

/// Makes a connection an attachment.
pub(crate) async fn attach(
    link: &mut Link,
    options: AttachOptions,
) -> std::io::Result<Option<LogEnd>> {
    let AttachOptions {
        stdin,
        stdout,
        stderr,
        logs,
        ..
    } = options;
    let request = Request::Attach {
        stdin,
        stdout,
        stderr,
        logs,
    };
    match link.ask(request).await? {
        Response::Attached { log } => Ok(log),
        _ => Ok(None),
    }
}

/// What was logged, if it is wanted: up to `end`, where the stream goes on, if there is one.
fn past(
    container: &Container,
    options: AttachOptions,
    end: Option<LogEnd>,
    hub: &Arc<Hub>,
) -> BoxStream<'static, Chunk> {
    let Some(place) = container.log().filter(|_| options.logs) else {
        return stream::empty().boxed();
    };
    let AttachOptions { stdout, stderr, .. } = options;
    let options = LogsOptions {
        stdout,
        stderr,
        ..LogsOptions::default()
    };
    logs::read(place, options, end, container.watch(), hub).boxed()
}

fn boxed(input: impl AsyncWrite + Send + 'static) -> Pin<Box<dyn AsyncWrite + Send>> {
    Box::pin(input)
}

/// Input for a process that is still to start: what is written waits for it.
struct LateInput {
    waiting: Option<oneshot::Receiver<Input>>,
    input: Option<Input>,
}

impl LateInput {
    fn ready(
        &mut self,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<Pin<&mut Input>>> {
        use std::task::{Poll, ready};
        if let Some(waiting) = &mut self.waiting {
            let input = ready!(waiting.poll_unpin(cx));
            self.waiting = None;
            self.input = input.ok();
        }
        Poll::Ready(match &mut self.input {
            Some(input) => Ok(Pin::new(input)),
            None => Err(std::io::ErrorKind::BrokenPipe.into()),
        })
    }
}

impl AsyncWrite for LateInput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
        bytes: &[u8],
    ) -> std::task::Poll<std::io::Result<usize>> {
        std::task::ready!(self.ready(cx))?.poll_write(cx, bytes)
    }

    fn poll_flush(
        self: Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::Poll::Ready(Ok(()))
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        cx: &mut std::task::Context<'_>,
    ) -> std::task::Poll<std::io::Result<()>> {
        std::task::ready!(self.ready(cx))?.poll_shutdown(cx)
    }
}
