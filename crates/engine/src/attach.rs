//! Connecting to a container's first process.

use std::{pin::Pin, sync::Arc};

use futures_util::{
    FutureExt, Stream, StreamExt,
    stream::{self, BoxStream},
};
use tokio::{io::AsyncWrite, sync::oneshot};
use types::options::{AttachOptions, LogsOptions};

use crate::{
    Engine,
    container::{Container, Waiting},
    error::{Error, Result},
    link::{Input, Link},
    logs::{self, Chunk},
    state::Phase,
    sync::lock,
};
use runtime::protocol::{Request, Response, Size};

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
        let (tty, kind) =
            container.with_record(|r| (r.config.tty, r.host_config.log_config.kind.clone()));
        if kind == "none" {
            return Err(Error::NotSupported(
                "configured logging driver does not support reading".into(),
            ));
        }
        let chunks = logs::read(container.log_path(), options, container.watch());
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
        let past = if options.logs {
            self.past(&container, options)
        } else {
            None
        };
        let (output, input) = if options.stream {
            self.connect(&container, AttachOptions { stdin, ..options })
                .await?
        } else {
            (stream::empty().boxed(), None)
        };
        self.tell(&container, "attach", &[]);
        let chunks = match past {
            Some(past) => past.chain(output).boxed(),
            None => output,
        };
        Ok(Attachment {
            output: Output { tty, chunks },
            input,
        })
    }

    fn past(
        &self,
        container: &Container,
        options: AttachOptions,
    ) -> Option<impl Stream<Item = Chunk> + Send + 'static> {
        let AttachOptions { stdout, stderr, .. } = options;
        let options = LogsOptions {
            stdout,
            stderr,
            ..LogsOptions::default()
        };
        Some(logs::read(container.log_path(), options, container.watch()))
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
            let link = match self.link(container, options).await {
                Ok(link) => link,
                // It ended this very moment: there is nothing more to come.
                Err(_) if container.ends_now(state.exits).await => {
                    return Ok((stream::empty().boxed(), None));
                }
                Err(error) => return Err(error),
            };
            let (output, input) = link.into_io(options.stdin, |_| ());
            return Ok((output.boxed(), input.map(boxed)));
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
        tokio::spawn(async move {
            let link = tokio::select! {
                link = link => link,
                () = halves.closed() => return,
            };
            if let Ok(link) = link {
                let (chunks, input) = link.into_io(options.stdin, |_| ());
                // Whoever attached may have gone away meanwhile.
                let _ = halves.send(chunks.boxed());
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
    pub(crate) async fn link(&self, container: &Container, options: AttachOptions) -> Result<Link> {
        let what = || format!("attach to container {}", container.id);
        let mut link = Link::connect(&container.run_dir)
            .await
            .map_err(Error::io(what()))?;
        attach(&mut link, options)
            .await
            .map_err(Error::io(what()))?;
        Ok(link)
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
pub(crate) async fn attach(link: &mut Link, options: AttachOptions) -> std::io::Result<()> {
    let AttachOptions {
        stdin,
        stdout,
        stderr,
        ..
    } = options;
    link.ask(Request::Attach {
        stdin,
        stdout,
        stderr,
    })
    .await
    .map(|_| ())
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
