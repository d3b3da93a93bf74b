//! The small things: scheduler, priorities, personality, umask is the user's.

use oci_spec::runtime::{
    IOPriorityClass, LinuxPersonality, LinuxPersonalityDomain, LinuxSchedulerFlag,
    LinuxSchedulerPolicy, Process, Scheduler,
};
use sys::attributes::{SchedAttr, set_io_priority, set_personality, set_scheduler};

use crate::oci::{Context, Error, Result};

#[derive(Debug, Default)]
pub(super) struct Attributes {
    pub(super) oom_score_adj: Option<i32>,
    scheduler: Option<SchedAttr>,
    /// Class and level.
    io_priority: Option<(u32, u32)>,
    personality: Option<u64>,
}

impl Attributes {
    pub(super) fn new(process: &Process) -> Result<Self> {
        let io_priority = match process.io_priority() {
            None => None,
            Some(given) => {
                let class = match given.class() {
                    IOPriorityClass::IoprioClassRt => 1,
                    IOPriorityClass::IoprioClassBe => 2,
                    IOPriorityClass::IoprioClassIdle => 3,
                };
                let level = u32::try_from(given.priority()).ok().filter(|n| *n < 8);
                let level = level.ok_or_else(|| {
                    Error::config("process.ioPriority.priority", "must be from 0 to 7")
                })?;
                Some((class, level))
            }
        };
        Ok(Self {
            oom_score_adj: process.oom_score_adj(),
            scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
            io_priority,
            personality: None,
        })
    }

    pub(super) fn set_personality(&mut self, given: &LinuxPersonality) -> Result<()> {
        if given.flags().as_ref().is_some_and(|f| !f.is_empty()) {
            return Err(Error::config(
                "linux.personality.flags",
                "no flags are defined by the specification",
            ));
        }
        self.personality = Some(match given.domain() {
            LinuxPersonalityDomain::PerLinux => 0,
            LinuxPersonalityDomain::PerLinux32 => 8,
        });
        Ok(())
    }

    pub(super) fn apply(&self) -> Result<()> {
        if let Some(attr) = self.scheduler {
            set_scheduler(attr).context(|| "set process.scheduler")?;
        }
        if let Some((class, level)) = self.io_priority {
            set_io_priority(class, level).context(|| "set process.ioPriority")?;
        }
        if let Some(personality) = self.personality {
            set_personality(personality).context(|| "set linux.personality")?;
        }
        Ok(())
    }
}

fn scheduler(given: &Scheduler) -> Result<SchedAttr> {
    use LinuxSchedulerPolicy as P;
    let policy = match given.policy() {
        P::SchedOther => 0,
        P::SchedFifo => 1,
        P::SchedRr => 2,
        P::SchedBatch => 3,
        P::SchedIso => 4,
        P::SchedIdle => 5,
        P::SchedDeadline => 6,
    };
    let flag = |flag: &LinuxSchedulerFlag| match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    };
    let priority = given.priority().unwrap_or_default();
    Ok(SchedAttr {
        policy,
        flags: given
            .flags()
            .iter()
            .flatten()
            .map(flag)
            .fold(0, |a, b| a | b),
        nice: given.nice().unwrap_or_default(),
        priority: u32::try_from(priority)
            .map_err(|_| Error::config("process.scheduler.priority", "must not be negative"))?,
        runtime: given.runtime().unwrap_or_default(),
        deadline: given.deadline().unwrap_or_default(),
        period: given.period().unwrap_or_default(),
        ..SchedAttr::default()
    })
}
