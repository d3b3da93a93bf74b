//! A container's published ports: bound first, led to its address later, and taken from it.

use std::os::fd::OwnedFd;

use crate::endpoint::{PortRequest, Published, PublishedPort, Target};
use crate::error::{Error, Result};
use crate::fabric::{Fabric, State};
use crate::firewall::FAMILIES;
use crate::flows::Stale;
use crate::ports::Bound;
use crate::wishes::{Plan, Ways, Wish};

/// A container's ports.
#[derive(Debug, Default)]
pub(crate) struct Ports {
    /// Those that are its.
    pub(crate) bound: Vec<PublishedPort>,
    /// Those that the tables have, and where they lead to.
    pub(crate) led: Published,
}

/// Who keeps the sockets of a container's ports while it runs.
pub trait Keeper {
    /// Keeps these open.
    ///
    /// # Errors
    /// When they cannot be.
    fn keep(&self, sockets: &[OwnedFd]) -> Result<(), String>;

    /// Closes those of these ports.
    ///
    /// # Errors
    /// When they may be open still.
    fn release(&self, ports: &[PublishedPort]) -> Result<(), String>;
}

impl Fabric {
    /// Binds a container's ports, by the ways that lead to it, without leading them anywhere.
    /// The sockets are to be kept open while the container runs: they keep everyone else from taking
    /// the ports.
    ///
    /// # Errors
    /// When one is taken or cannot be had; then it has none.
    pub fn reserve_ports(
        &self,
        id: &str,
        ways: &Ways,
        requests: &[PortRequest],
    ) -> Result<(Vec<PublishedPort>, Vec<OwnedFd>)> {
        let plan = Plan::new(&[], requests, ways)?;
        let new = self.bind_with(&plan.missing, |state, wishes| {
            let new = state.table.bind(id, wishes)?;
            let ports = Ports {
                bound: new.ports.clone(),
                led: Published::default(),
            };
            state.published.insert(id.to_owned(), ports);
            Ok(new)
        })?;
        Ok((new.ports, new.held))
    }

    /// Makes the ports of a container that runs those that it asks for by the ways that lead to it
    /// now. Those that are new lead nowhere until [`Fabric::publish`]. The same numbers stay where they
    /// can.
    ///
    /// # Errors
    /// When one is taken or cannot be had, or `keeper` fails; then it has those that it had.
    pub fn change_ports(
        &self,
        id: &str,
        ways: &Ways,
        requests: &[PortRequest],
        keeper: &dyn Keeper,
    ) -> Result<()> {
        let Some(has) = self.state().published.get(id).map(|p| p.bound.clone()) else {
            return Ok(());
        };
        let plan = Plan::new(&has, requests, ways)?;
        if plan.gone.is_empty() && plan.missing.is_empty() {
            return Ok(());
        }
        let target = {
            let state = self.state();
            let has = state.published.get(id);
            has.map(|p| p.led.target).unwrap_or_default()
        };
        self.give_up(id, &plan, target, keeper)?;
        let Err(error) = self.take(id, &plan.missing, keeper) else {
            return Ok(());
        };
        let back: Vec<Wish> = plan.gone.iter().map(|p| Wish::exactly(*p)).collect();
        let mut errors = vec![error];
        errors.extend(self.take(id, &back, keeper).err());
        errors.extend(self.publish(id, target).err());
        Err(Error::gather(errors).err().unwrap_or(Error::NoSubnet))
    }

    /// Gives up what is not wanted any more: out of the tables first, so that what comes for who has the
    /// port next is not led here.
    fn give_up(&self, id: &str, plan: &Plan, target: Target, keeper: &dyn Keeper) -> Result<()> {
        if plan.gone.is_empty() {
            return Ok(());
        }
        self.lead(id, plan.kept.clone(), target)?;
        self.reaper.settle();
        let bound = plan.gone.iter().copied().filter(|p| p.host_port != 0);
        let bound: Vec<_> = bound.collect();
        if !bound.is_empty() {
            let released = keeper.release(&bound).map_err(Error::Keeper);
            if released.is_err() {
                self.publish(id, target)?;
            }
            released?;
        }
        let mut state = self.state();
        state.table.remove_all(id, &plan.gone);
        if let Some(ports) = state.published.get_mut(id) {
            ports.bound.clone_from(&plan.kept);
        }
        Ok(())
    }

    /// Binds further ports of a container that runs.
    fn take(&self, id: &str, wishes: &[Wish], keeper: &dyn Keeper) -> Result<()> {
        if wishes.is_empty() {
            return Ok(());
        }
        let new = self.bind_with(wishes, |state, wishes| state.table.bind(id, wishes))?;
        let kept = if new.held.is_empty() {
            Ok(())
        } else {
            keeper.keep(&new.held).map_err(Error::Keeper)
        };
        let mut state = self.state();
        let State {
            table, published, ..
        } = &mut *state;
        match (kept, published.get_mut(id)) {
            (Ok(()), Some(ports)) => {
                ports.bound.extend(new.ports);
                Ok(())
            }
            (kept, _) => {
                // Or it has ended meanwhile.
                table.remove_all(id, &new.ports);
                kept
            }
        }
    }

    /// Binds, and if it fails finds out why: some ports may be about to be free, others may be
    /// somebody's.
    fn bind_with(
        &self,
        wishes: &[Wish],
        bind: impl Fn(&mut State, &[Wish]) -> Result<Bound>,
    ) -> Result<Bound> {
        let mut state = self.state();
        let mut bound = bind(&mut state, wishes);
        if bound.is_err() && state.leaving > 0 {
            drop(state);
            self.reaper.settle();
            state = self.state();
            bound = bind(&mut state, wishes);
        }
        drop(state);
        bound.map_err(Error::with_holder)
    }

    /// Leads a container's ports to an address of its, or to another one than before. What it has then.
    ///
    /// # Errors
    /// When the kernel refuses something.
    pub fn publish(&self, id: &str, target: Target) -> Result<Published> {
        let bound = {
            let state = self.state();
            state.published.get(id).map(|p| p.bound.clone())
        };
        self.lead(id, bound.unwrap_or_default(), target)
    }

    /// Makes the tables lead these ports of a container's there, and no others.
    fn lead(&self, id: &str, ports: Vec<PublishedPort>, target: Target) -> Result<Published> {
        let new = Published { ports, target };
        let mut state = self.state();
        let Some(has) = state.published.get_mut(id) else {
            return Ok(new);
        };
        if has.led == new {
            return Ok(new);
        }
        let old = std::mem::replace(&mut has.led, new.clone());
        // Under the lock: a repair must not put the old ones back.
        for ipv4 in FAMILIES {
            match self.firewall.change(ipv4, &old, &new) {
                // Not all of it is as we left it: the whole table as it has to be.
                Err(e) if e.is_absent() || e.is_present() || e.overlaps() => {
                    self.install(&state, ipv4)?;
                }
                other => other.map_err(self.rules())?,
            }
        }
        drop(state);
        self.reaper.forget(Stale::led(&unlike(&old, &new)));
        self.reaper.forget(Stale::passed(&unlike(&new, &old)));
        Ok(new)
    }

    /// Takes a container's ports from it. They are free when all traces of them are gone, which nobody
    /// waits for but who wants one of them.
    ///
    /// # Errors
    /// When the kernel refuses something; they are free all the same.
    pub fn withdraw(&self, id: &str) -> Result<()> {
        let mut state = self.state();
        let Some(ports) = state.published.remove(id) else {
            return Ok(());
        };
        let withdrawn = self.firewall.withdraw(&ports.led);
        match Stale::led(&ports.led) {
            None => state.table.remove_all(id, &ports.bound),
            stale => {
                state.leaving += 1;
                drop(state);
                self.reaper.forget(stale);
                self.reaper.free(id, ports.bound);
            }
        }
        withdrawn.map_err(self.rules())
    }
}

/// What of `one` is not, or not in the same way, in `other`.
fn unlike(one: &Published, other: &Published) -> Published {
    let same = one.target == other.target;
    let ports = one.ports.iter().copied();
    Published {
        ports: ports
            .filter(|p| !same || !other.ports.contains(p))
            .collect(),
        target: one.target,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::endpoint::Proto;

    #[test]
    fn what_stays_leaves_no_traces() {
        let port = |host_port| PublishedPort {
            proto: Proto::Udp,
            host_ip: [0; 4].into(),
            host_port,
            container_port: 53,
        };
        let all = |ports: &[u16], last| Published {
            ports: ports.iter().map(|p| port(*p)).collect(),
            target: Target {
                ip: Some([172, 17, 0, last].into()),
                ..Target::default()
            },
        };
        let (old, new) = (all(&[1, 2], 2), all(&[2, 3], 2));
        assert_eq!(unlike(&old, &new).ports, [port(1)]);
        assert_eq!(unlike(&new, &old).ports, [port(3)]);
        assert_eq!(unlike(&all(&[2], 3), &new).ports, [port(2)]);
    }
}
