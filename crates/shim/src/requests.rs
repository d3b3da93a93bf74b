//! What clients ask, one frame at a time.

use std::{net::SocketAddr, os::fd::OwnedFd};

use runtime::protocol::{
    BoundTo, ErrorReason, Event, ExecRequest, ExecState, Frame, FrameError, Request, Response,
    State, VERSION,
};

use crate::{
    conn::{Conn, Mode},
    log::Log,
    prepare::{own_pid, version_error},
    process::{Phase, Process},
    server::Shim,
};

impl Shim {
    /// Must this connection's next frame wait? For an answer, or until a process takes input.
    pub(crate) fn paused(&self, conn: &Conn) -> bool {
        if conn.waiting || conn.closing {
            return true;
        }
        match conn.mode {
            Mode::Stream {
                process,
                stdin: true,
                ..
            } => {
                let process = if process == 0 {
                    Some(&self.main)
                } else {
                    self.execs.iter().find(|e| e.key == process)
                };
                process.is_some_and(|p| p.input.full())
            }
            _ => false,
        }
    }

    /// Carries out what has arrived whole.
    pub(crate) fn take_frames(&mut self) {
        for i in 0..self.conns.len() {
            loop {
                let conn = &self.conns[i];
                if conn.dead || self.paused(conn) {
                    break;
                }
                match self.conns[i].decoder.next_frame() {
                    Ok(Some(frame)) => self.frame(i, frame),
                    Ok(None) => {
                        if self.conns[i].eof {
                            self.half_closed(i);
                        }
                        break;
                    }
                    // A message that is wrong was at least a whole frame: what follows is not lost.
                    Err(e @ FrameError::Message { .. }) => {
                        let conn = &mut self.conns[i];
                        conn.refuse(ErrorReason::Message, e.to_string());
                        if conn.mode == Mode::Fresh {
                            conn.close();
                        }
                    }
                    Err(e) => {
                        let conn = &mut self.conns[i];
                        conn.refuse(ErrorReason::Message, e.to_string());
                        self.input_done(i);
                        self.conns[i].close();
                    }
                }
            }
        }
        // A client that vanished was perhaps the one whose end ends the input.
        for i in 0..self.conns.len() {
            if self.conns[i].dead {
                self.input_done(i);
            }
        }
    }

    /// The client will send no more; a stream may still want to receive.
    fn half_closed(&mut self, i: usize) {
        self.input_done(i);
        let conn = &mut self.conns[i];
        if !matches!(conn.mode, Mode::Stream { .. }) && !conn.watch {
            conn.close();
        }
    }

    /// The client of a stream has given all the input it will.
    fn input_done(&mut self, i: usize) {
        if let Mode::Stream { process, stdin, .. } = &mut self.conns[i].mode
            && std::mem::take(stdin)
        {
            let process = *process;
            if let Some(process) = self.process_mut(process)
                && process.input_once
            {
                process.close_input();
            }
        }
    }

    fn frame(&mut self, i: usize, frame: Frame) {
        match (self.conns[i].mode, frame) {
            (Mode::Fresh, Frame::Request(Request::Hello { version })) => {
                let conn = &mut self.conns[i];
                if version == VERSION {
                    conn.mode = Mode::Control;
                    conn.answer(Response::Hello { version: VERSION });
                } else {
                    conn.refuse(ErrorReason::Version, version_error(version).to_string());
                    conn.close();
                }
            }
            (Mode::Fresh, _) => {
                let conn = &mut self.conns[i];
                conn.refuse(ErrorReason::Message, "the first message must be a hello");
                conn.close();
            }
            (Mode::Control, Frame::Request(request)) => {
                let fds = std::mem::take(&mut self.conns[i].fds);
                self.request(i, request, fds);
            }
            (Mode::Control, Frame::Fds) => {}
            (
                Mode::Stream {
                    process,
                    stdin: true,
                    ..
                },
                Frame::Stdin(bytes),
            ) => {
                if let Some(process) = self.process_mut(process) {
                    process.input.push(&bytes);
                }
            }
            (Mode::Stream { stdin: true, .. }, Frame::CloseStdin) => self.input_done(i),
            // What comes after the end of input, or without any having been announced.
            (Mode::Stream { .. }, Frame::Stdin(_) | Frame::CloseStdin) => {}
            (_, frame) => {
                let name = match frame {
                    Frame::Request(_) => "a request on a connection that is a stream",
                    Frame::Response(_) => "a response",
                    Frame::Event(_) => "an event",
                    Frame::Fds => "descriptors",
                    Frame::Stdin(_) | Frame::CloseStdin => "input outside of a stream",
                    Frame::Stdout(_) | Frame::Stderr(_) => "output",
                };
                self.conns[i].refuse(
                    ErrorReason::Message,
                    format!("{name} was not expected by the shim"),
                );
            }
        }
    }

    fn request(&mut self, i: usize, request: Request, fds: Vec<OwnedFd>) {
        match request {
            Request::Hello { .. } | Request::Launch(_) => self.conns[i].refuse(
                ErrorReason::Message,
                "a connection begins once: hello and launch cannot be repeated",
            ),
            Request::State => {
                let state = self.state();
                self.conns[i].answer(Response::State(state));
            }
            Request::Start => self.start(i),
            Request::Signal { exec, signal } => self.signal(i, exec.as_deref(), signal),
            Request::Resize { exec, size } => {
                let result = match self.named(exec.as_deref()) {
                    None => Err((ErrorReason::NotFound, no_exec(exec.as_deref()))),
                    Some(p) if !p.tty => Err((
                        ErrorReason::State,
                        "there is no terminal to resize".to_owned(),
                    )),
                    Some(p) => p
                        .resize(size)
                        .map_err(|e| (ErrorReason::System, e.to_string())),
                };
                self.done(i, result);
            }
            Request::Watch => self.watch(i),
            Request::Attach {
                stdin,
                stdout,
                stderr,
                logs,
            } => {
                let log = self.log.as_ref().filter(|_| logs);
                let conn = &mut self.conns[i];
                conn.answer(Response::Attached {
                    log: log.map(Log::end),
                });
                // The log's reader takes over where the stream begins: with the line under way.
                for (stream, wanted) in [stdout, stderr].into_iter().enumerate() {
                    if let Some(log) = log.filter(|log| wanted && !log.pending(stream).is_empty()) {
                        conn.send_data(stream == 1, log.pending(stream));
                    }
                }
                conn.mode = Mode::Stream {
                    process: 0,
                    stdin,
                    wants: [stdout, stderr],
                };
            }
            Request::Exec(request) => self.exec(i, &request),
            Request::Hold { .. } if self.main.exit().is_some() => {
                self.conns[i].refuse(ErrorReason::State, "the container has ended");
            }
            Request::Hold { release } => {
                self.held.retain(|fd| !is_bound(fd, &release));
                self.held.extend(fds);
                self.done(i, Ok(()));
            }
            Request::Ports => self.ports(i),
            Request::Abandon => {
                if self.unborn {
                    self.abandoned = true;
                    self.done(i, Ok(()));
                } else {
                    let e = "the container was started: it can only be ended";
                    self.conns[i].refuse(ErrorReason::State, e);
                }
            }
        }
    }

    fn ports(&mut self, i: usize) {
        // Namespaces are held, too.
        let is_socket = |fd: &&OwnedFd| rustix::net::sockopt::socket_type(fd).is_ok();
        let sockets: Vec<_> = self.held.iter().filter(is_socket).collect();
        let conn = &mut self.conns[i];
        match conn.pass(&sockets) {
            Ok(()) => conn.answer(Response::Ports {
                count: sockets.len(),
            }),
            Err(e) => conn.refuse(ErrorReason::System, e.to_string()),
        }
    }

    fn done(&mut self, i: usize, result: Result<(), (ErrorReason, String)>) {
        match result {
            Ok(()) => self.conns[i].answer(Response::Done),
            Err((reason, message)) => self.conns[i].refuse(reason, message),
        }
    }

    /// An exec that has not ended, or the container.
    fn named(&mut self, exec: Option<&str>) -> Option<&mut Process> {
        match exec {
            None => Some(&mut self.main),
            Some(id) => self
                .execs
                .iter_mut()
                .find(|e| e.id == id && e.exit().is_none()),
        }
    }

    fn state(&self) -> State {
        let raw = |p: &Process| p.pid().map(|p| p.as_raw_nonzero().get());
        State {
            version: VERSION,
            id: self.launch.id.clone(),
            shim_pid: own_pid(),
            pid: raw(&self.main),
            status: self.main.status(),
            exit: self.main.exit().cloned(),
            execs: self
                .execs
                .iter()
                .map(|e| ExecState {
                    id: e.id.clone(),
                    pid: raw(e),
                    exit: e.exit().cloned(),
                })
                .collect(),
            log_lost: self.log.as_ref().map_or(0, Log::lost),
        }
    }

    fn start(&mut self, i: usize) {
        if self.main.phase != Phase::Created {
            let e = "the container was started already";
            return self.conns[i].refuse(ErrorReason::State, e);
        }
        self.unborn = false;
        self.conns[i].waiting = true;
        if let Err(e) = self.main.start(&self.launch, self.filter.as_ref(), None) {
            self.start_failed(&e.to_string());
        }
    }

    fn signal(&mut self, i: usize, exec: Option<&str>, signal: i32) {
        let result = match self.named(exec) {
            None => Err((ErrorReason::NotFound, no_exec(exec))),
            // Not reaped yet, or it would not be running: the number is still its own.
            Some(p) => match p.pid() {
                Some(pid) => sys::process::kill(pid, signal)
                    .map_err(|e| (ErrorReason::System, format!("signal {signal}: {e}"))),
                None => Err((ErrorReason::State, "it is not running".to_owned())),
            },
        };
        self.done(i, result);
    }

    fn watch(&mut self, i: usize) {
        let mut events = Vec::new();
        if let Some(pid) = self.main.pid() {
            events.push(Event::Started {
                pid: pid.as_raw_nonzero().get(),
            });
        }
        events.extend(self.execs.iter().filter_map(|e| {
            e.exit().map(|exit| Event::ExecExited {
                id: e.id.clone(),
                exit: exit.clone(),
            })
        }));
        let conn = &mut self.conns[i];
        conn.answer(Response::Done);
        conn.watch = true;
        events.iter().for_each(|e| conn.tell(e));
    }

    fn exec(&mut self, i: usize, request: &ExecRequest) {
        if let Err((reason, message)) = self.may_exec(request) {
            return self.conns[i].refuse(reason, message);
        }
        let key = self.next_key;
        self.next_key += 1;
        let made = Process::exec(key, request).and_then(|mut process| {
            let (filter, container) = (self.filter.as_ref(), self.main.pid());
            process
                .start(&self.launch, filter, container)
                .map(|()| process)
        });
        match made {
            Ok(process) => {
                self.execs.push(process);
                let conn = &mut self.conns[i];
                conn.waiting = true;
                conn.mode = Mode::Stream {
                    process: key,
                    stdin: request.stdin,
                    wants: [request.stdout || request.tty, request.stderr],
                };
            }
            Err(e) => {
                crate::command::Files::of(key).remove();
                self.conns[i].refuse(ErrorReason::System, format!("cannot exec: {e}"));
            }
        }
    }

    fn may_exec(&self, request: &ExecRequest) -> Result<(), (ErrorReason, String)> {
        let id = &request.id;
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
        if id.is_empty() || id.len() > 128 || !id.bytes().all(plain) {
            return Err((ErrorReason::Message, format!("{id:?} is no id of an exec")));
        }
        if self.main.pid().is_none() {
            return Err((
                ErrorReason::State,
                "the container is not running".to_owned(),
            ));
        }
        if self.execs.iter().any(|e| &e.id == id) {
            return Err((ErrorReason::State, format!("exec {id} was started already")));
        }
        Ok(())
    }
}

/// Whether this is a socket, and bound to one of these.
fn is_bound(fd: &OwnedFd, to: &[BoundTo]) -> bool {
    let Ok(Some(protocol)) = rustix::net::sockopt::socket_protocol(fd) else {
        return false;
    };
    let address = rustix::net::getsockname(fd).ok();
    let Some(address) = address.and_then(|a| SocketAddr::try_from(a).ok()) else {
        return false;
    };
    to.iter().any(|to| {
        u32::from(to.protocol) == protocol.as_raw().get() && same_place(to.address, address)
    })
}

/// Sockets of IPv6 have more to their addresses than what was bound.
fn same_place(a: SocketAddr, b: SocketAddr) -> bool {
    (a.ip(), a.port()) == (b.ip(), b.port())
}

fn no_exec(exec: Option<&str>) -> String {
    format!("no exec {} is running", exec.unwrap_or_default())
}
