//! Further processes in running containers.

use std::{
    pin::Pin,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use runtime::protocol::{ExecRequest, Request, Response, Size};
use tokio::io::AsyncWrite;
use types::{
    exec::{ExecConfig, ExecInspect, ExecProcess, ExecStart},
    id,
    options::StdStream,
};

use crate::{
    Engine,
    attach::{Attachment, Output},
    blocking,
    container::Container,
    error::{Error, Result},
    link::Link,
    pause, spec,
    sync::lock,
};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Created,
    Running { pid: u32 },
    Ended { code: i32, at: Instant },
}

/// How long an ended exec can still be asked about, as in Docker.
const REMEMBERED: Duration = Duration::from_secs(300);

/// A further process in a container.
pub(crate) struct Exec {
    id: String,
    container: Arc<Container>,
    config: ExecConfig,
    phase: Mutex<Phase>,
    made: Instant,
}

impl Engine {
    /// Defines a further process; answers its identifier.
    pub fn exec_create(&self, name: &str, config: ExecConfig) -> Result<String> {
        let container = self.find(name)?;
        if !container.state().is_running() {
            return Err(Error::NotRunning(container.id.clone()));
        }
        pause::not_paused(&container)?;
        if config.cmd.is_empty() {
            return Err(Error::Invalid("No exec command specified".into()));
        }
        let exec = Exec {
            id: id::generate(),
            container,
            config,
            phase: Mutex::new(Phase::Created),
            made: Instant::now(),
        };
        let id = exec.id.clone();
        self.tell_exec(&exec, "exec_create", true, &[]);
        let mut execs = lock(&self.execs);
        execs.retain(|_, e| match *lock(&e.phase) {
            Phase::Ended { at, .. } => at.elapsed() < REMEMBERED,
            Phase::Created => e.made.elapsed() < REMEMBERED,
            Phase::Running { .. } => true,
        });
        execs.insert(id.clone(), Arc::new(exec));
        drop(execs);
        Ok(id)
    }

    /// Starts a further process, connected unless `start.detach`.
    pub async fn exec_start(
        self: &Arc<Self>,
        id: &str,
        start: ExecStart,
    ) -> Result<Option<Attachment>> {
        let exec = self.find_exec(id)?;
        let state = exec.container.state();
        if !state.is_running() {
            return Err(Error::NotRunning(exec.container.id.clone()));
        }
        pause::not_paused(&exec.container)?;
        let run = state.exits;
        {
            let mut phase = lock(&exec.phase);
            if *phase != Phase::Created {
                return Err(Error::Conflict(format!("exec {id} has already run")));
            }
            *phase = Phase::Running { pid: 0 };
        }
        // As Docker: before it may have ended.
        self.tell_exec(&exec, "exec_start", true, &[]);
        let link = match self.launch_exec(&exec, &start).await {
            Ok((link, pid)) => {
                let mut phase = lock(&exec.phase);
                // It may have ended already.
                if let Phase::Running { .. } = *phase {
                    *phase = Phase::Running { pid };
                }
                link
            }
            Err(mut error) => {
                // The container may have ended this very moment.
                let over = match &error {
                    Error::Io { .. } => exec.container.ends_now(run).await,
                    // The shim knows of the end before everybody else does.
                    Error::Start { .. } if !is_there(state.pid()) => {
                        exec.container.ends_now(run).await
                    }
                    _ => false,
                };
                if over {
                    error = Error::NotRunning(exec.container.id.clone());
                }
                let code = match &error {
                    Error::Start { code, .. } => *code,
                    _ => 126,
                };
                *lock(&exec.phase) = Phase::Ended {
                    code,
                    at: Instant::now(),
                };
                self.tell_exec(&exec, "exec_die", false, &[("exitCode", code.to_string())]);
                if start.detach || !matches!(error, Error::Start { .. }) {
                    return Err(error);
                }
                // As Docker: a client that is connected reads why, then asks for the exit code.
                let text = Bytes::from(format!("{error}\r\n"));
                let chunks = stream::iter([Ok((StdStream::Out, text))]).boxed();
                let output = Output {
                    tty: start.tty,
                    chunks,
                };
                return Ok(Some(Attachment {
                    output,
                    input: None,
                }));
            }
        };
        let stdin = exec.config.attach_stdin && !start.detach;
        let (engine, ended) = (Arc::clone(self), exec.id.clone());
        let (output, input) = link.into_io(stdin, move |exit| engine.exec_ended(&ended, exit.code));
        if start.detach {
            // Read to its end all the same: the last frame tells how it ended.
            tokio::spawn(output.for_each(|_| std::future::ready(())));
            return Ok(None);
        }
        // As Docker: this connection's own form, whatever the process has.
        let output = Output {
            tty: start.tty,
            chunks: output.boxed(),
        };
        let input = input.map(|i| Box::pin(i) as Pin<Box<dyn AsyncWrite + Send>>);
        Ok(Some(Attachment { output, input }))
    }

    async fn launch_exec(&self, exec: &Arc<Exec>, start: &ExecStart) -> Result<(Link, u32)> {
        let config = &exec.config;
        let (record, pid) = (exec.container.record(), exec.container.state().pid());
        let asked = config.clone();
        let hostname = self.hostname(&exec.container, &record);
        let ulimits = self.ulimits().to_vec();
        let process =
            blocking(move || spec::exec_process(&record, &asked, &hostname, pid, &ulimits)).await?;
        let size = start.console_size.or(config.console_size);
        let request = ExecRequest {
            id: exec.id.clone(),
            process,
            tty: config.tty,
            size: size
                .filter(|[rows, columns]| *rows > 0 && *columns > 0)
                .map(|[height, width]| Size { width, height }),
            stdin: config.attach_stdin && !start.detach,
            stdout: config.attach_stdout && !start.detach,
            stderr: config.attach_stderr && !start.detach,
        };
        let what = || format!("run a process in container {}", exec.container.id);
        let mut link = Link::connect(&exec.container.run_dir)
            .await
            .map_err(Error::io(what()))?;
        let answer = link.ask(Request::Exec(Box::new(request))).await;
        match answer.map_err(Error::io(what()))? {
            Response::ExecStarted { pid } => Ok((link, u32::try_from(pid).unwrap_or(0))),
            Response::ExecFailed { code, message } => Err(Error::Start { code, message }),
            other => Err(Error::io(what())(std::io::Error::other(format!(
                "{other:?}"
            )))),
        }
    }

    /// Sets the size of an exec's terminal.
    pub async fn exec_resize(&self, id: &str, height: u16, width: u16) -> Result<()> {
        let exec = self.find_exec(id)?;
        if !matches!(*lock(&exec.phase), Phase::Running { .. }) {
            return Err(Error::Conflict(format!("exec {id} is not running")));
        }
        let size = Size { width, height };
        let request = Request::Resize {
            exec: Some(id.into()),
            size,
        };
        self.ask(&exec.container, request).await.map(|_| ())
    }

    /// Everything about an exec.
    pub fn exec_inspect(&self, id: &str) -> Result<ExecInspect> {
        let exec = self.find_exec(id)?;
        let phase = *lock(&exec.phase);
        let config = &exec.config;
        Ok(ExecInspect {
            id: exec.id.clone(),
            running: matches!(phase, Phase::Running { .. }),
            exit_code: if let Phase::Ended { code, .. } = phase {
                Some(code)
            } else {
                None
            },
            process_config: ExecProcess {
                tty: config.tty,
                entrypoint: config.cmd.first().cloned().unwrap_or_default(),
                arguments: config.cmd.iter().skip(1).cloned().collect(),
                privileged: config.privileged,
                user: config.user.clone(),
            },
            open_stdin: config.attach_stdin,
            open_stderr: config.attach_stderr,
            open_stdout: config.attach_stdout,
            can_remove: matches!(phase, Phase::Ended { .. }),
            container_id: exec.container.id.clone(),
            detach_keys: config.detach_keys.clone(),
            pid: if let Phase::Running { pid } = phase {
                pid
            } else {
                0
            },
        })
    }

    /// Identifiers of a container's execs that run.
    pub(crate) fn execs_of(&self, container: &Container) -> Vec<String> {
        let execs = lock(&self.execs);
        let mut ids: Vec<_> = execs
            .values()
            .filter(|e| e.container.id == container.id)
            .filter(|e| matches!(*lock(&e.phase), Phase::Running { .. }))
            .map(|e| e.id.clone())
            .collect();
        ids.sort();
        ids
    }

    /// An exec ended; told by the shim, perhaps twice.
    pub(crate) fn exec_ended(&self, id: &str, code: i32) {
        let Some(exec) = lock(&self.execs).get(id).cloned() else {
            return;
        };
        {
            let mut phase = lock(&exec.phase);
            if matches!(*phase, Phase::Ended { .. }) {
                return;
            }
            *phase = Phase::Ended {
                code,
                at: Instant::now(),
            };
        }
        self.tell_exec(&exec, "exec_die", false, &[("exitCode", code.to_string())]);
    }

    /// The container ended, and with it every process in it.
    pub(crate) fn execs_over(&self, container: &Container) {
        for id in self.execs_of(container) {
            self.exec_ended(&id, 137);
        }
    }

    /// The first process of an exec that runs, as the host sees it.
    pub(crate) fn exec_pid(&self, id: &str) -> Option<u32> {
        let exec = lock(&self.execs).get(id).cloned()?;
        let phase = *lock(&exec.phase);
        match phase {
            Phase::Running { pid } if pid != 0 => Some(pid),
            _ => None,
        }
    }

    /// Nobody asks about it any more.
    pub(crate) fn forget_exec(&self, id: &str) {
        lock(&self.execs).remove(id);
    }

    pub(crate) fn forget_execs(&self, container: &Container) {
        lock(&self.execs).retain(|_, e| e.container.id != container.id);
    }

    /// A client let go of an exec by its keys.
    pub fn exec_detached(&self, id: &str) {
        if let Ok(exec) = self.find_exec(id) {
            self.tell_exec(&exec, "exec_detach", false, &[]);
        }
    }

    fn find_exec(&self, id: &str) -> Result<Arc<Exec>> {
        lock(&self.execs)
            .get(id)
            .cloned()
            .ok_or_else(|| Error::NoSuchExec(id.into()))
    }

    /// Docker writes the command into the action's name.
    fn tell_exec(&self, exec: &Exec, action: &str, command: bool, further: &[(&str, String)]) {
        let action = if command {
            // Events are kept for a while: of a command that is a whole script, its beginning will do.
            let command = exec.config.cmd.join(" ");
            let shown: String = command.chars().take(4096).collect();
            format!("{action}: {shown}")
        } else {
            action.to_owned()
        };
        let mut attributes = vec![("execID", exec.id.clone())];
        attributes.extend(further.iter().cloned());
        self.tell(&exec.container, &action, &attributes);
    }
}

/// Whether there is a process with that number.
fn is_there(pid: u32) -> bool {
    std::path::Path::new("/proc").join(pid.to_string()).exists()
}
