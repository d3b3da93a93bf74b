//! The loop: what comes is judged and answered at once, or passed on.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use companion::NEEDED;
use companion::control::{Control, Listener};

use crate::answer::{self, Verdict};
use crate::askers::Askers;
use crate::forward::{Ask, Done, For, Forwarder};
use crate::poll::{Due, Event, Poll, Ready, Source};
use crate::protocol::Status;
use crate::random::Random;
use crate::state::State;
use crate::tcp::{self, Conn};
use crate::zones::Zones;

/// Changes that follow one another are written down together.
const SAVE_AFTER: Duration = Duration::from_millis(100);
/// So many packets of one asker are taken before others have their turn.
const IN_A_ROW: usize = 32;

/// Where a name server is told, and where it keeps what it was told.
#[derive(Debug, Clone)]
pub struct Options {
    /// The Unix socket that it listens on.
    pub control: PathBuf,
    /// The file that it keeps what it knows in.
    pub state: PathBuf,
}

/// Serves until it is told to stop, or until there is nobody left who could ask or tell anything.
///
/// # Errors
/// When another one serves there already, or the kernel refuses what is needed at the start.
pub fn serve(options: &Options) -> io::Result<()> {
    let mut server = Server::start(options)?;
    let mut events = Vec::new();
    while !server.stopping {
        server.idle(Instant::now());
        server.poll.wait(&mut events)?;
        for event in events.drain(..) {
            if server.poll.has(event.number) {
                server.handle(&event);
            }
        }
        let now = Instant::now();
        while let Some(due) = server.poll.due(now) {
            server.due(due, now);
        }
    }
    server.save();
    Ok(())
}

pub(crate) struct Server {
    pub(crate) poll: Poll,
    pub(crate) askers: Askers,
    pub(crate) zones: Zones,
    pub(crate) stopping: bool,
    pub(crate) controls: HashMap<u64, Control>,
    listener: Listener,
    forwarder: Forwarder,
    conns: HashMap<u64, Conn>,
    random: Random,
    state: State,
    saving: bool,
    /// Whether [`Due::Idle`] is to come.
    ending: bool,
    /// When somebody needed it last.
    needed: Instant,
    counted: Status,
    /// Given up for a moment when no descriptor is left, so that a connection can be refused.
    spare: Option<File>,
    pub(crate) buffer: Vec<u8>,
}

impl Server {
    fn start(options: &Options) -> io::Result<Self> {
        let listener = Listener::bind(&options.control)?;
        let mut poll = Poll::new()?;
        poll.add(&listener.socket, Source::Listener, Ready::IN)?;
        let state = State::new(&options.state);
        let known = state.load();
        let mut server = Self {
            poll,
            askers: Askers::default(),
            zones: Zones::default(),
            stopping: false,
            controls: HashMap::new(),
            listener,
            forwarder: Forwarder::new(File::open("/proc/thread-self/ns/net")?.into()),
            conns: HashMap::new(),
            random: Random::new(),
            state,
            saving: false,
            ending: false,
            needed: Instant::now(),
            counted: Status::default(),
            spare: File::open("/dev/null").ok(),
            buffer: vec![0; 65_536],
        };
        server.askers.restore(known.askers);
        for network in known.networks {
            server.zones.set(network);
        }
        Ok(server)
    }

    fn handle(&mut self, event: &Event) {
        match event.source {
            Source::Listener => {
                if let Some(control) = self.listener.accept()
                    && let Ok(number) = self.poll.add(&control, Source::Control, control.wants())
                {
                    self.controls.insert(number, control);
                }
            }
            Source::Control => self.control_ready(event.number),
            Source::Udp(asker) => self.udp_ready(asker),
            Source::Accept(asker) => self.accept(asker),
            Source::Life(asker) => self.gone(asker),
            Source::Conn => self.conn_ready(event),
            Source::Try => {
                let (poll, random) = (&mut self.poll, &mut self.random);
                if let Some(done) = self.forwarder.ready(poll, random, event.number) {
                    self.forwarded(done);
                }
            }
        }
    }

    fn due(&mut self, due: Due, now: Instant) {
        match due {
            Due::Query(number) => {
                let (poll, random) = (&mut self.poll, &mut self.random);
                if let Some(done) = self.forwarder.due(poll, random, number) {
                    self.forwarded(done);
                }
            }
            Due::Conn(number) => {
                let Some(conn) = self.conns.get_mut(&number) else {
                    return;
                };
                // While questions of it are passed on it is not idle; those have their own end.
                if conn.end() > now || conn.waiting > 0 {
                    conn.due = conn.end().max(now + Duration::from_secs(1));
                    self.poll.at(conn.due, Due::Conn(number));
                } else {
                    self.close(number);
                }
            }
            Due::Save => self.save(),
            Due::Idle => {
                self.ending = false;
                self.stopping = !self.is_needed() && now >= self.needed + NEEDED;
            }
        }
    }

    fn is_needed(&self) -> bool {
        self.askers.any() || !self.controls.is_empty()
    }

    /// Looks again later, when nobody needs it now.
    fn idle(&mut self, now: Instant) {
        if self.is_needed() {
            self.needed = now;
        } else if !self.ending {
            self.ending = true;
            self.poll.at(self.needed + NEEDED, Due::Idle);
        }
    }

    /// An asker's packets.
    fn udp_ready(&mut self, number: u64) {
        for _ in 0..IN_A_ROW {
            let socket = self.askers.get(number).and_then(|s| s.udp.as_ref());
            let Some(socket) = socket else {
                return;
            };
            let Ok((len, from)) = socket.recv_from(&mut self.buffer) else {
                return;
            };
            let message = std::mem::take(&mut self.buffer);
            if let Some(reply) = self.answer(number, &message[..len], For::Udp(from)) {
                self.say(number, &reply, from);
            }
            self.buffer = message;
        }
    }

    /// A client that takes no answer is not waited for.
    fn say(&self, asker: u64, message: &[u8], to: SocketAddr) {
        if let Some(socket) = self.askers.get(asker).and_then(|s| s.udp.as_ref()) {
            let _ = socket.send_to(message, to);
        }
    }

    /// What is to be said to a question at once.
    fn answer(&mut self, number: u64, message: &[u8], whom: For) -> Option<Vec<u8>> {
        let served = self.askers.get(number)?;
        let tcp = matches!(whom, For::Conn(_));
        let random = &mut self.random;
        match answer::judge(message, &served.asker, &self.zones, random, tcp) {
            Verdict::Reply(reply) => {
                self.counted.own += 1;
                Some(reply)
            }
            Verdict::Ignore => {
                self.counted.ignored += 1;
                None
            }
            Verdict::Forward => {
                let ask = Ask {
                    asker: number,
                    namespace: served.namespace.clone(),
                    upstreams: &served.asker.upstreams,
                    message,
                    whom,
                };
                let done = self.forwarder.start(&mut self.poll, random, ask);
                let Some(done) = done else {
                    if let For::Conn(conn) = whom
                        && let Some(conn) = self.conns.get_mut(&conn)
                    {
                        conn.waiting += 1;
                    }
                    return None;
                };
                self.count(&done);
                done.message
            }
        }
    }

    fn count(&mut self, done: &Done) {
        if done.answered {
            self.counted.forwarded += 1;
        } else {
            self.counted.failed += 1;
        }
    }

    /// A question that was passed on has found its end.
    fn forwarded(&mut self, done: Done) {
        self.count(&done);
        match done.whom {
            For::Udp(to) => {
                if let Some(message) = done.message {
                    self.say(done.asker, &message, to);
                }
            }
            For::Conn(number) => {
                if let Some(conn) = self.conns.get_mut(&number) {
                    conn.waiting -= 1;
                    if let Some(message) = done.message {
                        conn.say(&message);
                    }
                    self.pump(number);
                }
            }
        }
    }

    fn accept(&mut self, number: u64) {
        for _ in 0..IN_A_ROW {
            let Some(served) = self.askers.get_mut(number) else {
                return;
            };
            let Some(listener) = &served.tcp else {
                return;
            };
            let stream = match listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) => {
                    let errno = rustix::io::Errno::from_io_error(&error);
                    if errno == Some(rustix::io::Errno::MFILE) {
                        self.spare = None;
                        drop(listener.accept());
                        self.spare = File::open("/dev/null").ok();
                    }
                    return;
                }
            };
            let full = served.connections >= tcp::MOST_OF_ONE || self.conns.len() >= tcp::MOST;
            if full || stream.set_nonblocking(true).is_err() {
                continue;
            }
            let conn = Conn::new(number, stream);
            if let Ok(token) = self.poll.add(&conn.stream, Source::Conn, conn.wants()) {
                served.connections += 1;
                self.poll.at(conn.due, Due::Conn(token));
                self.conns.insert(token, conn);
            }
        }
    }

    fn conn_ready(&mut self, event: &Event) {
        let Some(conn) = self.conns.get_mut(&event.number) else {
            return;
        };
        let broken = event.ready.intersects(Ready::ERR | Ready::HUP);
        if broken || conn.read(&mut self.buffer).is_err() {
            self.close(event.number);
        } else {
            self.pump(event.number);
        }
    }

    /// Takes on the questions of a connection that it may have, and sends what there is to send.
    fn pump(&mut self, number: u64) {
        loop {
            let Some(conn) = self.conns.get_mut(&number) else {
                return;
            };
            let asker = conn.asker;
            let Some(message) = conn.next() else {
                break;
            };
            if let Some(reply) = self.answer(asker, &message, For::Conn(number))
                && let Some(conn) = self.conns.get_mut(&number)
            {
                conn.say(&reply);
            }
        }
        let Some(conn) = self.conns.get_mut(&number) else {
            return;
        };
        let fine = conn.write().is_ok() && !conn.is_done();
        if !fine
            || self
                .poll
                .change(&conn.stream, number, conn.wants())
                .is_err()
        {
            self.close(number);
        }
    }

    fn close(&mut self, number: u64) {
        let Some(conn) = self.conns.remove(&number) else {
            return;
        };
        self.poll.remove(&conn.stream, number);
        self.poll.not_at(conn.due, Due::Conn(number));
        if let Some(served) = self.askers.get_mut(conn.asker) {
            served.connections -= 1;
        }
        let of_it = |_, whom| whom == For::Conn(number);
        self.forwarder.cancel(&mut self.poll, of_it);
    }

    /// An asker's life has ended: it has no sockets and no names any more.
    fn gone(&mut self, number: u64) {
        let id = self
            .askers
            .get(number)
            .map(|served| served.asker.id.clone());
        if let Some(id) = id {
            self.remove_asker(&id);
            self.zones.remove_everywhere(&id);
            self.changed();
        }
    }

    /// Forgets an asker, its connections, and what is asked for it.
    pub(crate) fn remove_asker(&mut self, id: &str) {
        let Some(number) = self.askers.remove(&mut self.poll, id) else {
            return;
        };
        let of_it = |(token, conn): (&u64, &Conn)| (conn.asker == number).then_some(*token);
        let tokens: Vec<_> = self.conns.iter().filter_map(of_it).collect();
        for token in tokens {
            self.close(token);
        }
        self.forwarder
            .cancel(&mut self.poll, |asker, _| asker == number);
    }

    /// Something is known that is not on disk.
    pub(crate) fn changed(&mut self) {
        if !self.saving {
            self.saving = true;
            self.poll.at(Instant::now() + SAVE_AFTER, Due::Save);
        }
    }

    fn save(&mut self) {
        self.saving = false;
        if let Err(error) = self.state.save(self.askers.all(), self.zones.networks()) {
            crate::say(&format!("cannot keep what is known: {error}"));
        }
    }

    pub(crate) fn status(&self) -> Status {
        let (serving, waiting) = self.askers.ids();
        let networks = self.zones.networks().iter().map(|n| n.id.clone()).collect();
        Status {
            version: crate::VERSION,
            pid: std::process::id(),
            serving,
            waiting,
            networks,
            in_flight: self.forwarder.in_flight(),
            connections: self.conns.len(),
            ..self.counted.clone()
        }
    }

    pub(crate) fn end_control(&mut self, number: u64) {
        if let Some(control) = self.controls.remove(&number) {
            self.poll.remove(control.as_fd(), number);
        }
    }
}
