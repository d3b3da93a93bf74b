//! The loop.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::time::Instant;

use companion::NEEDED;
use companion::control::{Control, Listener};

use crate::doors::{Doors, Held};
use crate::flows::Flows;
use crate::limits::Limits;
use crate::poll::{Due, Event, Poll, Ready, Source};
use crate::protocol::Status;
use crate::sessions::Sessions;

/// Serves until it is told to make room and its connections have ended, or until there is nobody left
/// whom it could serve.
///
/// # Errors
/// When another one serves there already, or the kernel refuses what is needed at the start.
pub fn serve(control: &Path, limits: Limits) -> io::Result<()> {
    let mut server = Server::start(control, limits)?;
    let mut events = Vec::new();
    while !server.stopping {
        server.measure();
        server.idle(Instant::now());
        if server.is_over() {
            break;
        }
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
    Ok(())
}

pub(crate) struct Server {
    pub(crate) poll: Poll,
    pub(crate) limits: Limits,
    pub(crate) doors: Doors,
    pub(crate) flows: Flows,
    pub(crate) sessions: Sessions,
    pub(crate) controls: HashMap<u64, Control>,
    pub(crate) counted: Status,
    pub(crate) buffer: Vec<u8>,
    /// Where the daemon connects; nothing once it has made room for another one.
    listener: Option<(Listener, u64)>,
    stopping: bool,
    /// Whether [`Due::Idle`] is to come.
    ending: bool,
    /// When somebody needed it last.
    needed: Instant,
}

impl Server {
    fn start(control: &Path, limits: Limits) -> io::Result<Self> {
        let listener = Listener::bind(control)?;
        let mut poll = Poll::new()?;
        let number = poll.add(&listener.socket, Source::Listener, Ready::IN)?;
        Ok(Self {
            poll,
            limits,
            doors: Doors::default(),
            flows: Flows::default(),
            sessions: Sessions::default(),
            controls: HashMap::new(),
            counted: Status::default(),
            buffer: vec![0; 65_536],
            listener: Some((listener, number)),
            stopping: false,
            ending: false,
            needed: Instant::now(),
        })
    }

    fn handle(&mut self, event: &Event) {
        match event.source {
            Source::Listener => {
                let accepted = self.listener.as_ref().and_then(|(l, _)| l.accept());
                if let Some(control) = accepted
                    && let Ok(number) = self.poll.add(&control, Source::Control, control.wants())
                {
                    self.controls.insert(number, control);
                }
            }
            Source::Control => self.control_ready(event.number),
            Source::Door => match self.doors.get(event.number).map(|p| &p.socket) {
                Some(Held::Tcp(_)) => self.accept(event.number),
                Some(Held::Udp(_)) => self.datagrams(event.number),
                None => {}
            },
            Source::Life(served) => {
                let id = self.doors.served(served).map(|s| s.id.clone());
                if let Some(id) = id {
                    self.remove(&id);
                }
            }
            Source::Client(flow) | Source::Target(flow) => self.flow_ready(flow),
            Source::Session => self.answers(event.number),
        }
    }

    fn due(&mut self, due: Due, now: Instant) {
        match due {
            Due::Flow(number) => self.flow_due(number),
            Due::Again(number) => self.flow_again(number),
            Due::Session(number) => self.session_due(number, now),
            Due::Doors => {
                let most = self.limits.connections_of_one;
                self.doors.open_again(&self.poll, most);
            }
            Due::Idle => {
                self.ending = false;
                self.stopping = !self.is_needed() && now >= self.needed + NEEDED;
            }
        }
    }

    /// Doors leave less for others, or more.
    fn measure(&mut self) {
        let limits = self.limits.beside(self.doors.descriptors());
        if limits != self.limits {
            self.limits = limits;
            if self.flows.len() < limits.connections {
                self.doors.open_again(&self.poll, limits.connections_of_one);
            }
        }
    }

    fn is_needed(&self) -> bool {
        let under_way = self.flows.len() > 0;
        under_way || self.listener.is_some() && (self.doors.any() || !self.controls.is_empty())
    }

    /// Has it made room for another one, and nothing left to do?
    fn is_over(&self) -> bool {
        self.listener.is_none() && self.controls.is_empty() && self.flows.len() == 0
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

    /// Lets go of a container.
    pub(crate) fn remove(&mut self, id: &str) {
        if let Some(served) = self.doors.remove(&mut self.poll, id) {
            self.let_go(served);
        }
    }

    /// What is under way to a container's address ends.
    pub(crate) fn let_go(&mut self, number: u64) {
        self.close_sessions(|served, _| served == number);
        self.finish_flows(number);
    }

    /// Lets go of everything but the connections that are under way.
    pub(crate) fn retire(&mut self) {
        self.doors.close_all(&mut self.poll);
        self.close_sessions(|_, _| true);
        if let Some((listener, number)) = self.listener.take() {
            self.poll.remove(&listener.socket, number);
        }
    }

    pub(crate) fn status(&self) -> Status {
        Status {
            version: crate::VERSION,
            pid: std::process::id(),
            serving: self.doors.all(),
            connections: self.flows.len(),
            sessions: self.sessions.len(),
            ..self.counted.clone()
        }
    }
}
