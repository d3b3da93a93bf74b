//! Limits of a process.

use oci_spec::runtime::{PosixRlimit, PosixRlimitType};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::oci::{Context, Error, Result};

#[derive(Debug, Default)]
pub(super) struct Limits(Vec<(Resource, Rlimit, PosixRlimitType)>);

/// The kernel's number for "no limit" is none.
fn value(n: u64) -> Option<u64> {
    (n != u64::MAX).then_some(n)
}

fn number(n: Option<u64>) -> u64 {
    n.unwrap_or(u64::MAX)
}

impl Limits {
    pub(super) fn new(given: &[PosixRlimit]) -> Result<Self> {
        let mut limits: Vec<(Resource, Rlimit, PosixRlimitType)> = Vec::new();
        for (i, limit) in given.iter().enumerate() {
            let field = || format!("process.rlimits[{i}]");
            if limit.soft() > limit.hard() {
                return Err(Error::config(
                    field(),
                    format!("{}: soft must not be above hard", limit.typ()),
                ));
            }
            let resource = resource(limit.typ());
            if limits.iter().any(|(known, ..)| *known == resource) {
                return Err(Error::config(
                    field(),
                    format!("{} is given twice", limit.typ()),
                ));
            }
            let wanted = Rlimit {
                current: value(limit.soft()),
                maximum: value(limit.hard()),
            };
            limits.push((resource, wanted, limit.typ()));
        }
        Ok(Self(limits))
    }

    /// Raises our own hard limits to those that are asked for, where they are below.
    pub(super) fn raise_ours(&self) -> Result<()> {
        for (resource, wanted, name) in &self.0 {
            let mut ours = getrlimit(*resource);
            if number(ours.maximum) < number(wanted.maximum) {
                ours.maximum = wanted.maximum;
                setrlimit(*resource, ours)
                    .context(|| format!("error setting rlimit type {name}: raise it"))?;
            }
        }
        Ok(())
    }

    /// Sets them for this process. What it still has to do must not need more.
    pub(super) fn apply(&self) -> Result<()> {
        for (resource, wanted, name) in &self.0 {
            setrlimit(*resource, *wanted)
                .context(|| format!("error setting rlimit type {name}"))?;
        }
        Ok(())
    }
}

fn resource(typ: PosixRlimitType) -> Resource {
    use PosixRlimitType as T;
    match typ {
        T::RlimitCpu => Resource::Cpu,
        T::RlimitFsize => Resource::Fsize,
        T::RlimitData => Resource::Data,
        T::RlimitStack => Resource::Stack,
        T::RlimitCore => Resource::Core,
        T::RlimitRss => Resource::Rss,
        T::RlimitNproc => Resource::Nproc,
        T::RlimitNofile => Resource::Nofile,
        T::RlimitMemlock => Resource::Memlock,
        T::RlimitAs => Resource::As,
        T::RlimitLocks => Resource::Locks,
        T::RlimitSigpending => Resource::Sigpending,
        T::RlimitMsgqueue => Resource::Msgqueue,
        T::RlimitNice => Resource::Nice,
        T::RlimitRtprio => Resource::Rtprio,
        T::RlimitRttime => Resource::Rttime,
    }
}
