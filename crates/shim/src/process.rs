//! A process the runtime starts for us: the container's first, or an exec's.

use std::{
    io,
    os::{fd::OwnedFd, unix::net::UnixListener},
};

use runtime::protocol::{ExecRequest, Exit, Launch, OWN_RUNTIME, Size, Status};
use rustix::{
    fs::{Gid, Uid},
    process::Pid,
    termios::Winsize,
};

use crate::{
    command::{self, Files},
    own,
    prepare::listen,
    stdio::{Ends, Input, Output, receive_terminal},
};

/// Where it is in its life. It only ever moves down this list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Not started yet.
    Created,
    /// The runtime, this process, is at work.
    Starting(Pid),
    /// It runs.
    Running(Pid),
    /// It ended, or could not be started.
    Ended(Exit),
}

/// A process, its input and its output.
pub(crate) struct Process {
    /// 0 is the container's.
    pub(crate) key: u64,
    /// The exec's name, or the container's.
    pub(crate) id: String,
    pub(crate) tty: bool,
    size: Option<Size>,
    pub(crate) phase: Phase,
    pub(crate) files: Files,
    pub(crate) input: Input,
    /// Output and error; a terminal has the first only.
    pub(crate) outputs: [Option<Output>; 2],
    /// Which of the two are given to the process at all.
    ends: Option<Ends>,
    console: Option<UnixListener>,
    /// For setting its size.
    terminal: Option<std::os::fd::OwnedFd>,
    /// The OCI `process` of an exec.
    description: String,
    /// Whether input ends with the first client that gives some.
    pub(crate) input_once: bool,
}

impl Process {
    /// The container's.
    pub(crate) fn container(launch: &Launch) -> io::Result<Self> {
        let wants = [launch.open_stdin, true, true];
        let mut process = Self::new(0, launch.id.clone(), launch.tty, launch.size, wants)?;
        process.input_once = launch.stdin_once;
        Ok(process)
    }

    /// An exec's.
    pub(crate) fn exec(key: u64, request: &ExecRequest) -> io::Result<Self> {
        let wants = [request.stdin, request.stdout, request.stderr];
        let mut process = Self::new(key, request.id.clone(), request.tty, request.size, wants)?;
        process.input_once = true;
        process.description.clone_from(&request.process);
        Ok(process)
    }

    fn new(
        key: u64,
        id: String,
        tty: bool,
        size: Option<Size>,
        [stdin, stdout, stderr]: [bool; 3],
    ) -> io::Result<Self> {
        let files = Files::of(key);
        let mut ends = Ends::default();
        let mut outputs = [None, None];
        let mut input = Input::nobody();
        let mut console = None;
        if tty {
            console = Some(listen(&files.console)?);
            if stdin {
                input = Input::default();
            }
        } else {
            if stdin {
                let (ours, end) = Input::pipe()?;
                input = ours;
                ends.0[0] = Some(end);
            }
            let mut pipe = |at: usize, wanted: bool| -> io::Result<Option<OwnedFd>> {
                if !wanted {
                    return Ok(None);
                }
                let (output, end) = Output::pipe()?;
                outputs[at] = Some(output);
                Ok(Some(end))
            };
            ends.0[1] = pipe(0, stdout)?;
            ends.0[2] = pipe(1, stderr)?;
        }
        Ok(Self {
            key,
            id,
            tty,
            size,
            phase: Phase::Created,
            files,
            input,
            outputs,
            ends: Some(ends),
            console,
            terminal: None,
            description: String::new(),
            input_once: false,
        })
    }

    /// Gives its pipes to `owner`, so that whoever is root in the container can open them again
    /// by `/dev/stdout`.
    fn give_to(&self, owner: Option<(u32, u32)>) -> io::Result<()> {
        let Some((uid, gid)) = owner.filter(|_| !self.tty) else {
            return Ok(());
        };
        let outputs = self.outputs.iter().flatten().map(Output::fd);
        for fd in outputs.chain(self.input.fd()) {
            let (uid, gid) = (Uid::from_raw(uid), Gid::from_raw(gid));
            rustix::fs::fchown(fd, Some(uid), Some(gid))?;
        }
        Ok(())
    }

    /// Lets the runtime start it; `container` is the container's first process, if there is one.
    pub(crate) fn start(
        &mut self,
        launch: &Launch,
        filter: Option<&OwnedFd>,
        container: Option<Pid>,
    ) -> io::Result<()> {
        self.give_to(launch.owner)?;
        let ends = self
            .ends
            .take()
            .ok_or_else(|| io::Error::other("was started before"))?;
        let description = std::mem::take(&mut self.description);
        let runtime = if launch.runtime == OWN_RUNTIME {
            own::fork(own::Job {
                launch,
                files: &self.files,
                tty: self.tty,
                ends,
                filter,
                exec: container.map(|pid| (pid, description.as_str())),
            })?
        } else {
            if let Some(name) = &self.files.process {
                use std::io::Write;
                crate::stdio::fresh_file(name)?.write_all(description.as_bytes())?;
            }
            command::spawn(launch, &self.files, self.tty, ends)?
        };
        self.phase = Phase::Starting(runtime);
        Ok(())
    }

    /// The runtime has ended with `code`: does the process run?
    pub(crate) fn started(&mut self, code: i32) -> Result<Pid, String> {
        if code != 0 {
            return Err(command::last_error(&self.files.log)
                .unwrap_or_else(|| format!("the OCI runtime ended with code {code}")));
        }
        let pid = self
            .files
            .read_pid()
            .map_err(|e| format!("no process id: {e}"))?;
        if let Some(listener) = self.console.take() {
            let _ = std::fs::remove_file(&self.files.console);
            self.take_terminal(&listener)
                .map_err(|e| format!("no terminal: {e}"))?;
        }
        self.phase = Phase::Running(pid);
        if self.key != 0 {
            self.files.remove();
        }
        Ok(pid)
    }

    fn take_terminal(&mut self, listener: &UnixListener) -> io::Result<()> {
        let master = receive_terminal(listener)?;
        self.input.connect(master.try_clone()?);
        self.outputs[0] = Some(Output::terminal(master.try_clone()?));
        self.terminal = Some(master);
        if let Some(size) = self.size {
            self.resize(size)?;
        }
        Ok(())
    }

    /// Sets the terminal's size, now or as soon as there is one.
    pub(crate) fn resize(&mut self, size: Size) -> io::Result<()> {
        self.size = Some(size);
        if let Some(terminal) = &self.terminal {
            let size = Winsize {
                ws_row: size.height,
                ws_col: size.width,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            rustix::termios::tcsetwinsize(terminal, size)?;
        }
        Ok(())
    }

    /// Input ends, unless it is a terminal's: that one has no end.
    pub(crate) fn close_input(&mut self) {
        if !self.tty {
            self.input.close();
        }
    }

    /// It has ended. Its outputs remain for what else may write to them.
    pub(crate) fn end(&mut self, exit: Exit) {
        self.phase = Phase::Ended(exit);
        self.input.abandon();
        self.terminal = None;
        self.ends = None;
        self.console = None;
    }

    pub(crate) fn pid(&self) -> Option<Pid> {
        match self.phase {
            Phase::Running(pid) => Some(pid),
            _ => None,
        }
    }

    pub(crate) fn exit(&self) -> Option<&Exit> {
        match &self.phase {
            Phase::Ended(exit) => Some(exit),
            _ => None,
        }
    }

    pub(crate) fn status(&self) -> Status {
        match self.phase {
            Phase::Created => Status::Created,
            Phase::Starting(_) => Status::Starting,
            Phase::Running(_) => Status::Running,
            Phase::Ended(_) => Status::Exited,
        }
    }
}
