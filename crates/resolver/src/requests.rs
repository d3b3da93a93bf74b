//! What the daemon asks for.

use std::io;
use std::os::fd::OwnedFd;

use crate::model::Asker;
use crate::protocol::{Op, Reply, Role};
use crate::server::Server;

impl Server {
    /// A connection of the daemon's is ready: whatever it says wrong ends it.
    pub(crate) fn control_ready(&mut self, number: u64) {
        let fine = self.requests(number).unwrap_or(false);
        let wanted = self.controls.get(&number).is_some_and(|control| {
            let changed = self.poll.change(control, number, control.wants());
            fine && changed.is_ok()
        });
        if !wanted {
            self.end_control(number);
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
                Ok((Op::Descriptors { id }, _)) => {
                    self.descriptors(number, &id)?;
                    continue;
                }
                Ok((op, fds)) => self.request(op, fds),
                Err(reason) => Reply::Refused { reason },
            };
            if let Some(control) = self.controls.get_mut(&number) {
                control.say(&reply, &[])?;
            }
        }
    }

    fn request(&mut self, op: Op, fds: Vec<OwnedFd>) -> Reply {
        match op {
            Op::SetAsker { asker, fds: roles } => {
                let fds: Vec<_> = roles.into_iter().zip(fds).collect();
                if let Err(reason) = self.set_asker(asker, fds) {
                    return Reply::Refused { reason };
                }
            }
            Op::RemoveAsker { id } => self.remove_asker(&id),
            Op::SetNetwork { network } => self.zones.set(network),
            Op::RemoveNetwork { id } => self.zones.remove(&id),
            Op::SetEndpoint {
                network,
                key,
                endpoint,
            } => {
                if !self.zones.set_endpoint(&network, key, endpoint) {
                    let reason = format!("network {network} is not known");
                    return Reply::Refused { reason };
                }
            }
            Op::RemoveEndpoint { network, key } => self.zones.remove_endpoint(&network, &key),
            Op::Retain { askers, networks } => {
                let (served, waiting) = self.askers.ids();
                for id in served.iter().chain(&waiting) {
                    if !askers.contains(id) {
                        self.remove_asker(id);
                    }
                }
                self.zones.retain(&networks);
            }
            Op::Status => {
                let status = self.status();
                return Reply::Status { status };
            }
            Op::Stop => {
                self.stopping = true;
                return Reply::Done;
            }
            // Answered where the connection is at hand.
            Op::Descriptors { .. } => return Reply::Done,
        }
        self.changed();
        Reply::Done
    }

    fn set_asker(&mut self, asker: Asker, fds: Vec<(Role, OwnedFd)>) -> Result<(), String> {
        let id = asker.id.clone();
        let refused = |why: String| format!("asker {id}: {why}");
        if fds.is_empty() {
            let known = self.askers.change(asker);
            return known
                .then_some(())
                .ok_or_else(|| refused("its sockets were never handed over".into()));
        }
        self.remove_asker(&id);
        let added = self.askers.add(&mut self.poll, asker, fds);
        added.map_err(|error| refused(error.to_string()))
    }

    fn descriptors(&mut self, number: u64, id: &str) -> io::Result<()> {
        let served = self.askers.number(id).and_then(|n| self.askers.get(n));
        let Some(control) = self.controls.get_mut(&number) else {
            return Ok(());
        };
        let Some(served) = served else {
            let reason = format!("asker {id} is not served");
            return control.say(&Reply::Refused { reason }, &[]);
        };
        let (roles, fds): (Vec<_>, Vec<_>) = served.descriptors().into_iter().unzip();
        control.say(&Reply::Descriptors { fds: roles }, &fds)
    }
}
