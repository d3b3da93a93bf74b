//! All connections.

use std::collections::HashMap;
use std::os::fd::OwnedFd;
use std::time::Instant;

use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use crate::doors::Held;
use crate::flow::{Flow, Outcome, reset};
use crate::limits::{CONNECTING, IN_A_ROW, LAST_WORDS, SHORT_OF};
use crate::poll::Due;
use crate::pump::Pipes;
use crate::server::Server;

/// All connections.
#[derive(Default)]
pub(crate) struct Flows {
    all: HashMap<u64, Flow>,
    pipes: Pipes,
}

impl Flows {
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }
}

impl Server {
    /// Somebody knocks.
    pub(crate) fn accept(&mut self, door: u64) {
        for _ in 0..IN_A_ROW {
            let Some(place) = self.doors.get(door) else {
                return;
            };
            let Held::Tcp(listener) = &place.socket else {
                return;
            };
            let served = place.served;
            let to = self.doors.target(door);
            let of_one = self.doors.served(served).map_or(0, |s| s.connections);
            let full = self.flows.len() >= self.limits.connections
                || of_one >= self.limits.connections_of_one;
            if full {
                // They wait in the kernel, which has a limit of its own for them.
                self.doors.shut(&self.poll, door);
                return;
            }
            match accept_with(listener, SocketFlags::CLOEXEC | SocketFlags::NONBLOCK) {
                Ok(client) => {
                    self.counted.accepted += 1;
                    match to {
                        Some(to) => self.open(served, client, to),
                        None => {
                            self.counted.failed += 1;
                            reset(&client);
                        }
                    }
                }
                Err(Errno::AGAIN) => return,
                Err(Errno::INTR | Errno::CONNABORTED) => {}
                Err(_) => {
                    self.doors.shut(&self.poll, door);
                    self.poll.at(Instant::now() + SHORT_OF, Due::Doors);
                    return;
                }
            }
        }
    }

    fn open(&mut self, served: u64, client: OwnedFd, to: std::net::SocketAddr) {
        let number = self.poll.number();
        match Flow::open(number, served, client, to) {
            Ok(mut flow) => {
                let due = Instant::now() + CONNECTING;
                flow.due = Some(due);
                self.poll.at(due, Due::Flow(number));
                if let Some(served) = self.doors.served_mut(served) {
                    served.connections += 1;
                }
                self.flows.all.insert(number, flow);
                self.flow_ready(number);
            }
            Err(_) => self.counted.failed += 1,
        }
    }

    /// One of its ends is ready.
    pub(crate) fn flow_ready(&mut self, number: u64) {
        let Some(flow) = self.flows.all.get_mut(&number) else {
            return;
        };
        let due = flow.due;
        let outcome = flow.run(&mut self.poll, &mut self.flows.pipes);
        if let Some(due) = due.filter(|_| flow.due.is_none()) {
            self.poll.not_at(due, Due::Flow(number));
        }
        match outcome {
            Outcome::Alive => {
                if flow.is_short() && flow.again.is_none() {
                    let again = Instant::now() + SHORT_OF;
                    flow.again = Some(again);
                    self.poll.at(again, Due::Again(number));
                }
            }
            Outcome::Over => self.close_flow(number, true),
            Outcome::Broken => self.close_flow(number, false),
            Outcome::Failed => {
                self.counted.failed += 1;
                self.close_flow(number, false);
            }
        }
    }

    /// There may be a pipe for it by now.
    pub(crate) fn flow_again(&mut self, number: u64) {
        if let Some(flow) = self.flows.all.get_mut(&number) {
            flow.again = None;
            self.flow_ready(number);
        }
    }

    /// Its patience is over.
    pub(crate) fn flow_due(&mut self, number: u64) {
        if self.flows.all.get(&number).is_some_and(Flow::is_connecting) {
            self.counted.failed += 1;
        }
        self.close_flow(number, false);
    }

    fn close_flow(&mut self, number: u64, proper: bool) {
        let Some(flow) = self.flows.all.remove(&number) else {
            return;
        };
        if let Some(due) = flow.due {
            self.poll.not_at(due, Due::Flow(number));
        }
        if let Some(again) = flow.again {
            self.poll.not_at(again, Due::Again(number));
        }
        if let Some(served) = self.doors.served_mut(flow.served) {
            served.connections -= 1;
        }
        flow.close(&mut self.poll, proper);
        if self.flows.len() < self.limits.connections {
            let most = self.limits.connections_of_one;
            self.doors.open_again(&self.poll, most);
        }
    }

    /// A container's address is not its own any more: what came from there is passed on, no more.
    pub(crate) fn finish_flows(&mut self, served: u64) {
        let of_it = |(number, flow): (&u64, &Flow)| (flow.served == served).then_some(*number);
        let numbers: Vec<_> = self.flows.all.iter().filter_map(of_it).collect();
        let end = Instant::now() + LAST_WORDS;
        for number in numbers {
            let Some(flow) = self.flows.all.get_mut(&number) else {
                continue;
            };
            if flow.is_connecting() {
                self.counted.failed += 1;
                self.close_flow(number, false);
                continue;
            }
            flow.finish();
            if flow.due.is_none() {
                flow.due = Some(end);
                self.poll.at(end, Due::Flow(number));
            }
            self.flow_ready(number);
        }
    }
}
