//! What the daemon asks for.

use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;

use crate::model::Door;
use crate::protocol::{Op, Reply};
use crate::server::Server;

impl Server {
    /// A connection of the daemon's is ready: whatever it says wrong ends it.
    pub(crate) fn control_ready(&mut self, number: u64) {
        let fine = self.requests(number).unwrap_or(false);
        let wanted = self.controls.get(&number).is_some_and(|control| {
            let changed = self.poll.change(control, number, control.wants());
            fine && changed.is_ok()
        });
        if !wanted && let Some(control) = self.controls.remove(&number) {
            self.poll.remove(&control, number);
        }
    }

    /// Does what was asked; false at the connection's end.
    fn requests(&mut self, number: u64) -> io::Result<bool> {
        let Some(control) = self.controls.get_mut(&number) else {
            return Ok(false);
        };
        control.write()?;
        let more = control.read(&mut self.buffer)?;
        loop {
            let Some(control) = self.controls.get_mut(&number) else {
                return Ok(false);
            };
            let Some(request) = control.next_request::<Op>()? else {
                return Ok(more);
            };
            let reply = match request {
                Ok((op, fds)) => self.request(op, fds),
                Err(reason) => Reply::Refused { reason },
            };
            if let Some(control) = self.controls.get_mut(&number) {
                control.say(&reply, &[])?;
            }
        }
    }

    fn request(&mut self, op: Op, fds: Vec<OwnedFd>) -> Reply {
        let done = match op {
            Op::Serve {
                id,
                to,
                doors,
                life,
            } => self.serve_doors(&id, to, doors, life, fds),
            Op::Lead { id, to } => self.lead(&id, to),
            Op::Keep { id, doors } => {
                for door in self.doors.of(&id) {
                    if !doors.contains(&door) {
                        self.close_door(&id, &door);
                    }
                }
                Ok(())
            }
            Op::Remove { id } => {
                self.remove(&id);
                Ok(())
            }
            Op::Retain { ids } => {
                for id in self.doors.ids() {
                    if !ids.contains(&id) {
                        self.remove(&id);
                    }
                }
                Ok(())
            }
            Op::Status => {
                let status = self.status();
                return Reply::Status { status };
            }
            Op::Retire => {
                self.retire();
                Ok(())
            }
        };
        match done {
            Ok(()) => Reply::Done,
            Err(reason) => Reply::Refused { reason },
        }
    }

    fn serve_doors(
        &mut self,
        id: &str,
        to: Option<IpAddr>,
        doors: Vec<Door>,
        life: bool,
        mut fds: Vec<OwnedFd>,
    ) -> Result<(), String> {
        let refused = |what: String, error: io::Error| format!("container {id}: {what}: {error}");
        if life && let Some(life) = fds.pop() {
            let watched = self.doors.watch(&mut self.poll, id, life);
            watched.map_err(|e| refused("its end".into(), e))?;
        }
        let mut failures = Vec::new();
        for (door, socket) in doors.into_iter().zip(fds) {
            self.close_door(id, &door);
            // One that cannot be had does not keep the others from theirs.
            if let Err(error) = self.doors.add(&mut self.poll, id, door, socket) {
                failures.push(refused(door.at.to_string(), error));
            }
        }
        // Nothing to lead anywhere, where there was no door after all.
        let _ = self.lead(id, to);
        failures.into_iter().next().map_or(Ok(()), Err)
    }

    fn close_door(&mut self, id: &str, door: &Door) {
        if let Some(old) = self.doors.close_at(&mut self.poll, id, door) {
            self.close_sessions(|_, door| door == old);
        }
    }

    fn lead(&mut self, id: &str, to: Option<IpAddr>) -> Result<(), String> {
        let number = self.doors.number(id);
        let served = number.and_then(|n| Some((n, self.doors.served_mut(n)?)));
        let Some((number, served)) = served else {
            return Err(format!("container {id} has no doors"));
        };
        if served.to != to {
            served.to = to;
            self.let_go(number);
        }
        Ok(())
    }
}
