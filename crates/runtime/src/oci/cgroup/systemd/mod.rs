//! Cgroups that systemd makes: a transient scope for each container.
//!
//! systemd refuses a scope without a process, and limits shall stand before the container's first
//! process exists. So a placeholder is started, which does nothing, and is ended when the first
//! process is inside. The scope is delegated: below it and in the controllers that systemd does not
//! use everything is as without systemd, and the limits are written and read back by us too;
//! systemd is told the main ones, so that it does not reset them when it reloads.

mod bus;
mod wire;

use std::path::PathBuf;

use oci_spec::runtime::LinuxResources;
use sys::{cgroup::Hierarchy, placeholder::Placeholder};

use super::super::error::{Context, Error, Result};
use super::limits;
use bus::{Bus, Failure};
use wire::{Value, Writer};

/// A scope, by its name.
#[derive(Debug, Clone)]
pub(super) struct Unit {
    /// `prefix-name.scope`
    pub(super) name: String,
    /// `machine.slice`; empty where only the name is known.
    slice: String,
    /// Of this user's manager, not the machine's.
    pub(super) user: bool,
}

impl Unit {
    /// Out of `linux.cgroupsPath`, which is `slice:prefix:name`.
    pub(super) fn plan(path: Option<&str>, id: &str, user: bool) -> Result<Self> {
        let wrong = |problem: String| Err(Error::config("linux.cgroupsPath", problem));
        let path = path.filter(|p| !p.is_empty());
        let (slice, prefix, name) = match path {
            None => ("", "wharf", id),
            Some(path) => match path.split(':').collect::<Vec<_>>()[..] {
                [slice, prefix, name] if !name.is_empty() => (slice, prefix, name),
                _ => {
                    return wrong(format!(
                        "{path:?} must have the form slice:prefix:name, since systemd makes the \
                         cgroup"
                    ));
                }
            },
        };
        let slice = match (slice, user) {
            ("", true) => "user.slice",
            ("", false) => "system.slice",
            (slice, _) => slice,
        };
        if name.ends_with(".slice") {
            return wrong(format!("{name:?}: a container cannot be a slice"));
        }
        let valid = |text: &str| {
            let letters = |b: u8| b.is_ascii_alphanumeric() || b":-_.\\@".contains(&b);
            text.len() < 200 && text.bytes().all(letters) && !text.contains("..")
        };
        let name = if prefix.is_empty() {
            format!("{name}.scope")
        } else {
            format!("{prefix}-{name}.scope")
        };
        if !valid(&name) {
            return wrong(format!("{name:?} is no name of a unit"));
        }
        if expand(slice).is_none() || !valid(slice) {
            return wrong(format!("{slice:?} is no slice"));
        }
        Ok(Self {
            name,
            slice: slice.to_owned(),
            user,
        })
    }

    /// One that another process made.
    pub(super) fn known(name: &str, user: bool) -> Self {
        Self {
            name: name.to_owned(),
            slice: String::new(),
            user,
        }
    }

    /// Its directory in every hierarchy.
    pub(super) fn directories(&self, all: &[Hierarchy]) -> Result<Vec<(Hierarchy, PathBuf)>> {
        // The machine's manager has the root; a user's is told where it is.
        let root = if self.user {
            let mut bus = Bus::connect(true).map_err(|e| self.failed("ask", &e))?;
            control_group(&mut bus).map_err(|e| self.failed("ask", &e))?
        } else {
            String::new()
        };
        let slice = expand(&self.slice).unwrap_or_default();
        let relative = format!("{root}/{slice}{}", self.name);
        let relative = relative.trim_start_matches('/');
        let usable = all.iter().filter(|h| !self.user || h.controllers.is_none());
        Ok(usable
            .map(|h| (h.clone(), h.mount.join(relative)))
            .collect())
    }

    fn failed(&self, what: &str, e: &Failure) -> Error {
        Error::Unsupported(format!(
            "{what} systemd (cgroup driver) for {}: {e}",
            self.name
        ))
    }

    /// Makes the scope, around a process that holds it open.
    pub(super) fn start(
        &self,
        id: &str,
        resources: Option<&LinuxResources>,
    ) -> Result<Placeholder> {
        let holder =
            Placeholder::start().context(|| "start a placeholder for the container's scope")?;
        let mut bus = Bus::connect(self.user).map_err(|e| self.failed("ask", &e))?;
        self.start_on(&mut bus, id, holder.pid(), resources)?;
        Ok(holder)
    }

    fn start_on(
        &self,
        bus: &mut Bus,
        id: &str,
        pid: u32,
        resources: Option<&LinuxResources>,
    ) -> Result<()> {
        let failed = |e: &Failure| self.failed("make a scope by", e);
        let mut properties = vec![
            ("Description", Value::Text(format!("wharf container {id}"))),
            ("Slice", Value::Text(self.slice.clone())),
            ("Delegate", Value::Bool(true)),
            ("PIDs", Value::Numbers(vec![pid])),
            ("DefaultDependencies", Value::Bool(false)),
            // Nothing of it shall stay when it is over, however it ended.
            ("CollectMode", Value::Text("inactive-or-failed".into())),
        ];
        for accounting in ["CPUAccounting", "MemoryAccounting", "TasksAccounting"] {
            properties.push((accounting, Value::Bool(true)));
        }
        if let Some(resources) = resources {
            properties.extend(limits_of(resources));
        }
        bus.subscribe().map_err(|e| failed(&e))?;
        let body = || {
            let mut w = Writer::default();
            w.text(&self.name);
            w.text("fail");
            w.properties(&properties);
            w.array(8, |_| ());
            w
        };
        const SIGNATURE: &str = "ssa(sv)a(sa(sv))";
        let mut answer = bus.ask("StartTransientUnit", SIGNATURE, body());
        if answer.as_ref().is_err_and(|e| e.is("UnitExists")) {
            // One that failed stays until somebody has seen it; one that runs is not ours to take.
            let mut w = Writer::default();
            w.text(&self.name);
            let _ = bus.ask("ResetFailedUnit", "s", w);
            answer = bus.ask("StartTransientUnit", SIGNATURE, body());
        }
        let job = answer
            .and_then(|m| Ok(m.reader().text()?))
            .map_err(|e| failed(&e))?;
        let result = bus.job_ended(&job).map_err(|e| failed(&Failure::Io(e)))?;
        if result != "done" {
            return Err(Error::Unsupported(format!(
                "systemd did not make the scope {}: its job ended with {result:?}",
                self.name
            )));
        }
        Ok(())
    }

    /// Tells it limits that have changed.
    pub(super) fn update(&self, resources: &LinuxResources) -> Result<()> {
        let properties = limits_of(resources);
        if properties.is_empty() {
            return Ok(());
        }
        let failed = |e: Failure| self.failed("tell limits to", &e);
        let mut bus = Bus::connect(self.user).map_err(failed)?;
        let mut w = Writer::default();
        w.text(&self.name);
        // Until the next start, and there is none.
        w.u32(1);
        w.properties(&properties);
        bus.ask("SetUnitProperties", "sba(sv)", w).map_err(failed)?;
        Ok(())
    }

    /// Ends it, with whatever is in it. One that is gone is success.
    pub(super) fn stop(&self) -> Result<()> {
        let mut bus = Bus::connect(self.user).map_err(|e| self.failed("stop a scope by", &e))?;
        self.stop_on(&mut bus)
    }

    fn stop_on(&self, bus: &mut Bus) -> Result<()> {
        let failed = |e: Failure| self.failed("stop a scope by", &e);
        bus.subscribe().map_err(failed)?;
        let mut w = Writer::default();
        w.text(&self.name);
        w.text("replace");
        let job = match bus.ask("StopUnit", "ss", w) {
            Ok(m) => m.reader().text().map_err(|e| failed(e.into()))?,
            Err(e) if e.is("NoSuchUnit") => return Ok(()),
            Err(e) => return Err(failed(e)),
        };
        bus.job_ended(&job).map_err(|e| failed(e.into()))?;
        Ok(())
    }
}

/// The limits that systemd would reset otherwise. Those of version 2 and of version 1 have names
/// of their own; systemd takes either, and translates.
fn limits_of(r: &LinuxResources) -> Vec<(&'static str, Value)> {
    // Negative is no limit, which is the greatest number.
    let number = |n: i64| Value::Number(u64::try_from(n).unwrap_or(u64::MAX));
    let mut all = Vec::new();
    if let Some(m) = r.memory() {
        if let Some(n) = m.limit().filter(|n| *n != 0) {
            all.push(("MemoryMax", number(n)));
        }
        if let Some(n) = m.reservation().filter(|n| *n != 0) {
            all.push(("MemoryLow", number(n)));
        }
        if let Ok(Some(n)) = limits::swap(m.limit().unwrap_or(0), m.swap().unwrap_or(0)) {
            all.push(("MemorySwapMax", number(n)));
        }
    }
    if let Some(c) = r.cpu() {
        if let Some(n) = c.shares().filter(|n| *n != 0) {
            all.push(("CPUWeight", Value::Number(limits::weight_of_shares(n))));
        }
        if let Some(n) = c.quota().filter(|n| *n != 0) {
            let period = c.period().filter(|p| *p != 0).unwrap_or(100_000);
            let a_second = match u64::try_from(n) {
                // systemd keeps it in hundredths of a processor, rounded up.
                Ok(n) => (n.saturating_mul(1_000_000) / period).next_multiple_of(10_000),
                Err(_) => u64::MAX,
            };
            all.push(("CPUQuotaPerSecUSec", Value::Number(a_second)));
        }
    }
    if let Some(p) = r.pids().filter(|p| p.limit() != 0) {
        all.push(("TasksMax", number(p.limit())));
    }
    all
}

fn control_group(bus: &mut Bus) -> Result<String, Failure> {
    let mut w = Writer::default();
    w.text("org.freedesktop.systemd1.Manager");
    w.text("ControlGroup");
    let answer = bus.ask_of("org.freedesktop.DBus.Properties", "Get", "ss", w)?;
    let mut r = answer.reader();
    // A variant, of a string.
    r.signature()?;
    Ok(r.text()?)
}

/// Where a slice is: `a-b.slice` is below `a.slice`; `-.slice` is the root.
fn expand(slice: &str) -> Option<String> {
    let name = slice.strip_suffix(".slice")?;
    if name == "-" {
        return Some(String::new());
    }
    let mut path = String::new();
    let mut so_far = String::new();
    for part in name.split('-') {
        if part.is_empty() || part.contains('/') {
            return None;
        }
        so_far.push_str(part);
        path.push_str(&so_far);
        path.push_str(".slice/");
        so_far.push('-');
    }
    Some(path)
}

#[cfg(test)]
mod tests;
