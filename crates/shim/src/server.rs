//! The poll loop, and what happens when something starts or ends.

use std::{
    os::{fd::OwnedFd, unix::net::UnixListener},
    time::Duration,
};

use runtime::{
    protocol::{
        ErrorReason, Event, Exit, Frame, IPCNS, Launch, NETNS, PIDNS, ROOTFS, Response, USERNS,
    },
    time::now,
};
use rustix::{
    event::PollFlags,
    mount::{UnmountFlags, unmount},
    process::Pid,
};
use sys::{cgroup::Cgroup, process::SignalFd};

use crate::{
    command::{exec_failure, start_failure},
    conn::{Conn, Mode},
    log::Log,
    prepare::Made,
    process::{Phase, Process},
    record::{self, ExitRecord},
    stdio::{Got, Output},
    wait::Ready,
};

/// As much as a pipe holds: one read takes all that is there.
const SCRATCH: usize = 64 << 10;
/// What is read at most from an output whose process has ended. The largest pipe holds as much;
/// whoever still writes is not the process.
const REMAINDER: usize = 1 << 20;
/// How many execs that have ended are remembered. Their records are in the bundle anyway.
const REMEMBERED: usize = 64;
/// After so long without anything to do, memory is given back. To take it again costs as much as
/// the logging of ten lines, so each time that this proves to have been too early doubles it.
const IDLE_MS: u64 = 500;
/// As far as that goes: what happens less often may cost it every time.
const MAX_IDLE_MS: u64 = 4000;
/// How often a record that could not be written is tried again.
const RETRY_MS: u64 = 250;
/// How long strays that were killed may take to die before the end is recorded without them.
const STRAYS: Duration = Duration::from_secs(10);
/// Connections at once; more than any daemon needs, and fewer than would starve the container.
const MAX_CONNS: usize = 1024;

/// The whole shim.
pub(crate) struct Shim {
    pub(crate) launch: Launch,
    pub(crate) signals: SignalFd,
    /// Absent once the container has ended.
    pub(crate) listener: Option<UnixListener>,
    pub(crate) conns: Vec<Conn>,
    pub(crate) main: Process,
    /// Execs, ended ones among them.
    pub(crate) execs: Vec<Process>,
    /// The number of the next exec.
    pub(crate) next_key: u64,
    pub(crate) log: Option<Log>,
    /// Outputs that outlive their exec: read and thrown away, so that nobody dies of writing.
    pub(crate) orphans: Vec<Output>,
    /// New connections cannot be taken just now.
    pub(crate) deafened: bool,
    /// The connection we were born with is there, and nothing was started yet.
    pub(crate) unborn: bool,
    /// Nothing was started, nothing will be.
    pub(crate) abandoned: bool,
    /// The compiled filter of system calls, for our own runtime.
    pub(crate) filter: Option<OwnedFd>,
    /// The container has a process namespace of its own: nothing in it outlives its first process.
    own_pids: bool,
    exit_record: ExitRecord,
    /// The record of the end could not be written yet.
    unrecorded: Option<Exit>,
    pub(crate) held: Vec<OwnedFd>,
    /// Children that ended and are not known (yet).
    strangers: Vec<(Pid, i32)>,
    scratch: Vec<u8>,
}

impl Shim {
    pub(crate) fn new(launch: Launch, signals: SignalFd, mut born: Conn, made: Made) -> Self {
        born.mode = Mode::Control;
        born.born = true;
        Self {
            launch,
            signals,
            listener: Some(made.listener),
            conns: vec![born],
            main: made.main,
            execs: Vec::new(),
            next_key: 1,
            log: made.log,
            orphans: Vec::new(),
            deafened: false,
            unborn: true,
            abandoned: false,
            filter: made.filter,
            own_pids: false,
            exit_record: made.exit_record,
            unrecorded: None,
            held: made.held,
            strangers: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Runs until the container has ended and everybody knows.
    pub(crate) fn serve(mut self) {
        let (mut idle, mut patience) = (false, IDLE_MS);
        loop {
            let timeout = if self.unrecorded.is_some() || self.deafened {
                Some(RETRY_MS)
            } else if idle {
                None
            } else {
                Some(patience)
            };
            let ready = self.wait(timeout, idle);
            self.deafened = false;
            if ready.is_empty() && !idle {
                idle = true;
                self.scratch = Vec::new();
                sys::memory::trim();
            } else if idle && !ready.is_empty() {
                idle = false;
                patience = (patience * 2).min(MAX_IDLE_MS);
            }
            self.handle(&ready);
            self.take_frames();
            self.conns.retain(|c| !c.dead);
            if self.unborn && !self.conns.iter().any(|c| c.born && !c.eof) {
                self.abandoned = true;
            }
            if let Some(exit) = self.unrecorded.take() {
                self.record(exit);
            }
            if self.abandoned && self.unborn {
                return self.give_up();
            }
            if self.main.exit().is_some() && self.conns.is_empty() && self.unrecorded.is_none() {
                return;
            }
        }
    }

    fn handle(&mut self, ready: &[Ready]) {
        let mut ended_orphans = Vec::new();
        for ready in ready {
            match *ready {
                Ready::Signal => {
                    // All are blocked. Only the end of a child means anything to us.
                    while let Ok(Some(_)) = self.signals.next() {}
                    self.reap();
                }
                Ready::Listener => self.accept(),
                Ready::Conn(i, flags) => self.conn_ready(i, flags),
                Ready::Output(key, stream) => {
                    self.read_output(key, stream);
                }
                Ready::Input(key) => {
                    if let Some(process) = self.process_mut(key) {
                        process.input.flush();
                    }
                }
                Ready::Orphan(i) => {
                    self.scratch.resize(SCRATCH, 0);
                    if let Some(orphan) = self.orphans.get(i)
                        && matches!(orphan.read(&mut self.scratch), Got::End)
                    {
                        ended_orphans.push(i);
                    }
                }
            }
        }
        for i in ended_orphans.into_iter().rev() {
            // Those added meanwhile are behind.
            self.orphans.remove(i);
        }
    }

    fn accept(&mut self) {
        while let Some(accepted) = self.listener.as_ref().map(UnixListener::accept) {
            let stream = match accepted {
                Ok((stream, _)) => stream,
                Err(e) if e.kind() == std::io::ErrorKind::WouldBlock => break,
                // Too many open files, say. It would be reported again and again.
                Err(e) => {
                    eprintln!("wharf-shim: cannot take a connection: {e}");
                    self.deafened = true;
                    break;
                }
            };
            // The socket lies where only we can reach it; this is the second lock on the door.
            let same_user = rustix::net::sockopt::socket_peercred(&stream)
                .is_ok_and(|peer| peer.uid == rustix::process::geteuid());
            if same_user
                && self.conns.len() < MAX_CONNS
                && let Ok(conn) = Conn::new(stream)
            {
                self.conns.push(conn);
            }
        }
    }

    fn conn_ready(&mut self, i: usize, flags: PollFlags) {
        self.scratch.resize(SCRATCH, 0);
        let Some(conn) = self.conns.get_mut(i) else {
            return;
        };
        if conn.backlog() > 0 && flags.intersects(PollFlags::OUT | PollFlags::ERR | PollFlags::HUP)
        {
            conn.flush();
        }
        if flags.intersects(PollFlags::IN | PollFlags::HUP | PollFlags::ERR) && !conn.eof {
            conn.read(&mut self.scratch);
        } else if conn.eof && flags.intersects(PollFlags::HUP | PollFlags::ERR) {
            conn.dead = true;
        }
    }

    pub(crate) fn process_mut(&mut self, key: u64) -> Option<&mut Process> {
        if key == 0 {
            Some(&mut self.main)
        } else {
            self.execs.iter_mut().find(|e| e.key == key)
        }
    }

    /// Reads once; is there perhaps more?
    fn read_output(&mut self, key: u64, stream: usize) -> usize {
        let mut scratch = std::mem::take(&mut self.scratch);
        scratch.resize(SCRATCH, 0);
        let mut got = 0;
        if let Some(process) = self.process_mut(key)
            && let Some(output) = &process.outputs[stream]
        {
            match output.read(&mut scratch) {
                Got::Some(n) => got = n,
                Got::Nothing => {}
                Got::End => process.outputs[stream] = None,
            }
        }
        if got > 0 {
            if key == 0
                && let Some(log) = &mut self.log
            {
                log.append(stream, &scratch[..got]);
            }
            for conn in self.conns.iter_mut().filter(|c| c.takes(key, stream)) {
                conn.send_data(stream == 1, &scratch[..got]);
            }
        }
        self.scratch = scratch;
        got
    }

    /// Reads what a process that ended left in its outputs.
    fn read_remainder(&mut self, key: u64) {
        for stream in 0..2 {
            let mut total = 0;
            while total < REMAINDER {
                match self.read_output(key, stream) {
                    0 => break,
                    n => total += n,
                }
            }
        }
    }

    /// Collects children that have ended, and draws the consequences.
    fn reap(&mut self) {
        let mut ended = Vec::new();
        while let Some(child) = sys::process::reap() {
            ended.push(child);
        }
        self.ended(ended);
    }

    fn ended(&mut self, mut ended: Vec<(Pid, i32)>) {
        if let Some(log) = &mut self.log {
            ended.retain(|(pid, code)| !log.child_ended(*pid, *code));
        }
        self.strangers.extend(ended);
        // Runtimes first: they tell which processes are ours.
        let runtimes: Vec<(u64, Pid)> = std::iter::once(&self.main)
            .chain(&self.execs)
            .filter_map(|p| match p.phase {
                Phase::Starting(runtime) => Some((p.key, runtime)),
                _ => None,
            })
            .collect();
        for (key, runtime) in runtimes {
            if let Some(code) = self.take_stranger(runtime) {
                self.runtime_done(key, code);
            }
        }
        let running: Vec<(u64, Pid)> = self
            .execs
            .iter()
            .chain(std::iter::once(&self.main))
            .filter_map(|p| p.pid().map(|pid| (p.key, pid)))
            .collect();
        for (key, pid) in running {
            if let Some(code) = self.take_stranger(pid) {
                if key == 0 {
                    self.container_ended(code);
                } else {
                    self.exec_ended(key, code);
                }
            }
        }
        // Who is left matters only while a runtime may yet say that it is one of ours.
        let starting = |p: &Process| matches!(p.phase, Phase::Starting(_));
        if !starting(&self.main) && !self.execs.iter().any(starting) {
            self.strangers = Vec::new();
        }
    }

    fn take_stranger(&mut self, pid: Pid) -> Option<i32> {
        let at = self.strangers.iter().position(|(p, _)| *p == pid)?;
        Some(self.strangers.swap_remove(at).1)
    }

    fn runtime_done(&mut self, key: u64, code: i32) {
        let Some(process) = self.process_mut(key) else {
            return;
        };
        match process.started(code) {
            Ok(pid) => {
                let pid = pid.as_raw_nonzero().get();
                if key == 0 {
                    self.own_pids = has_own_pids(pid);
                    self.answer_start(Response::Started { pid });
                    self.tell(&Event::Started { pid });
                } else {
                    self.answer_exec(key, Response::ExecStarted { pid });
                }
            }
            Err(message) if key == 0 => self.start_failed(&message),
            Err(message) => self.exec_failed(key, &message),
        }
    }

    pub(crate) fn start_failed(&mut self, message: &str) {
        let (code, message) = start_failure(message);
        let exit = self.exit(code, Some(message.clone()));
        // What was written until now are the runtime's own complaints.
        self.main.outputs = [None, None];
        self.log = None;
        self.finish(exit, Some(Response::StartFailed { code, message }));
    }

    pub(crate) fn exec_failed(&mut self, key: u64, message: &str) {
        let (code, message) = exec_failure(message);
        self.answer_exec(key, Response::ExecFailed { code, message });
        for conn in &mut self.conns {
            if matches!(conn.mode, Mode::Stream { process, .. } if process == key) {
                conn.close();
            }
        }
        if let Some(at) = self.execs.iter().position(|e| e.key == key) {
            self.execs.remove(at).files.remove();
        }
    }

    fn answer_start(&mut self, response: Response) {
        for conn in &mut self.conns {
            if conn.waiting && conn.mode == Mode::Control {
                conn.answer(response.clone());
            }
        }
    }

    fn answer_exec(&mut self, key: u64, response: Response) {
        for conn in &mut self.conns {
            if conn.waiting && matches!(conn.mode, Mode::Stream { process, .. } if process == key) {
                conn.answer(response.clone());
            }
        }
    }

    fn tell(&mut self, event: &Event) {
        for conn in self.conns.iter_mut().filter(|c| c.watch) {
            conn.tell(event);
        }
    }

    fn exit(&self, code: i32, error: Option<String>) -> Exit {
        Exit {
            code,
            finished_at: now(),
            oom_killed: false,
            error,
            log_lost: self.log.as_ref().map_or(0, Log::lost),
        }
    }

    fn exec_ended(&mut self, key: u64, code: i32) {
        self.read_remainder(key);
        let exit = Exit {
            log_lost: 0,
            ..self.exit(code, None)
        };
        let Some(process) = self.process_mut(key) else {
            return;
        };
        process.end(exit.clone());
        let left: Vec<Output> = process
            .outputs
            .iter_mut()
            .filter_map(Option::take)
            .collect();
        let id = process.id.clone();
        self.orphans.extend(left);
        if let Err(e) = record::write_exec(&id, &exit) {
            eprintln!("wharf-shim: cannot record the end of exec {id}: {e}");
        }
        let event = Event::ExecExited { id, exit };
        self.tell(&event);
        for conn in &mut self.conns {
            if matches!(conn.mode, Mode::Stream { process, .. } if process == key) {
                conn.tell(&event);
                conn.close();
            }
        }
        let ended = self.execs.iter().filter(|e| e.exit().is_some()).count();
        if ended > REMEMBERED
            && let Some(oldest) = self.execs.iter().position(|e| e.exit().is_some())
        {
            self.execs.remove(oldest);
        }
    }

    fn container_ended(&mut self, code: i32) {
        let mut exit = self.exit(code, None);
        match Cgroup::new(&self.launch.cgroup) {
            Ok(cgroup) => {
                exit.oom_killed = cgroup.oom_kills() > 0;
                if !self.own_pids {
                    self.kill_strays(&cgroup);
                }
            }
            Err(e) => eprintln!("wharf-shim: {e}"),
        }
        self.end_execs();
        self.read_remainder(0);
        if let Some(log) = &mut self.log {
            log.finish(0);
            log.finish(1);
            log.tell_lost();
            exit.log_lost = log.lost();
        }
        self.finish(exit, None);
    }

    /// Ends what outlived the container's first process, because the container shares the host's
    /// (or another's) process namespace.
    fn kill_strays(&mut self, cgroup: &Cgroup) {
        let mut ended = Vec::new();
        let result = cgroup.kill_all(STRAYS, || {
            while let Some(child) = sys::process::reap() {
                ended.push(child);
            }
        });
        if let Err(e) = result {
            eprintln!("wharf-shim: {e}");
        }
        self.strangers.extend(ended);
    }

    /// Execs end with their container.
    fn end_execs(&mut self) {
        while let Some(child) = sys::process::reap() {
            self.strangers.push(child);
        }
        let keys: Vec<(u64, Phase)> = self
            .execs
            .iter()
            .map(|e| (e.key, e.phase.clone()))
            .collect();
        for (key, phase) in keys {
            match phase {
                Phase::Running(pid) => {
                    let code = self.take_stranger(pid).unwrap_or(128 + 9);
                    self.exec_ended(key, code);
                }
                Phase::Starting(runtime) => {
                    let _ = sys::process::kill(runtime, 9);
                    self.exec_failed(key, "the container has ended");
                }
                Phase::Created | Phase::Ended(_) => {}
            }
        }
    }

    /// Lets go of everything, records the end, then tells everybody.
    fn finish(&mut self, exit: Exit, answer: Option<Response>) {
        self.main.end(exit.clone());
        self.main.outputs = [None, None];
        self.orphans = Vec::new();
        self.release();
        self.record(exit.clone());
        self.listener = None;
        if let Some(answer) = answer {
            self.answer_start(answer);
        }
        let event = Event::Exited(exit);
        for conn in &mut self.conns {
            if conn.watch || matches!(conn.mode, Mode::Stream { process: 0, .. }) {
                conn.tell(&event);
            }
            if conn.waiting {
                conn.refuse(ErrorReason::State, "the container has ended");
            }
            conn.close();
        }
    }

    /// Whoever reads the exit record may take down the network and unmount the layers.
    fn release(&mut self) {
        self.held = Vec::new();
        for link in [NETNS, PIDNS, IPCNS, USERNS] {
            let _ = std::fs::remove_file(link);
        }
        // What else is attached goes with this process's mount namespace.
        let _ = unmount(ROOTFS, UnmountFlags::DETACH);
    }

    fn record(&mut self, exit: Exit) {
        match self.exit_record.write(&exit) {
            Ok(()) => {}
            // The bundle itself is gone: nobody will look for a record in it.
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                eprintln!("wharf-shim: the bundle is gone");
            }
            Err(e) => {
                eprintln!("wharf-shim: cannot record the container's end, will try again: {e}");
                self.unrecorded = Some(exit);
            }
        }
    }

    /// Nothing was started: leaves no trace but the socket's name.
    fn give_up(mut self) {
        self.release();
        for conn in &mut self.conns {
            conn.send(&Frame::Response(Response::Error {
                reason: ErrorReason::State,
                message: "the container was given up before it was started".to_owned(),
            }));
        }
        let _ = std::fs::remove_file(runtime::protocol::SOCKET);
        let _ = std::fs::remove_file("exit.json.new");
    }
}

/// Is this process in another process namespace than we are? If in doubt, it is not.
fn has_own_pids(pid: i32) -> bool {
    let namespace = |of: &str| std::fs::read_link(format!("/proc/{of}/ns/pid")).ok();
    match (namespace(&pid.to_string()), namespace("self")) {
        (Some(theirs), Some(ours)) => theirs != ours && leads_its_namespace(pid),
        _ => false,
    }
}

/// One that joined another container's namespace does not take the others along when it ends.
fn leads_its_namespace(pid: i32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    status
        .lines()
        .find_map(|line| line.strip_prefix("NSpid:"))
        .is_some_and(|pids| pids.split_whitespace().next_back() == Some("1"))
}
