//! `process`: what is run.

use std::collections::HashSet;

use oci_spec::runtime::{
    LinuxIOPriority, LinuxSchedulerPolicy as Policy, Process, Scheduler, User,
};

use super::{
    super::{Error, Result},
    absolute, no_nul, number_list,
};

/// What the kernel takes at most.
const MAX_GROUPS: usize = 65536;

pub(super) fn check(process: &Process, warnings: &mut Vec<String>) -> Result<()> {
    if process.command_line().is_some() {
        return Err(Error::config(
            "process.commandLine",
            "is for Windows: use process.args",
        ));
    }
    if process.cwd().as_os_str().is_empty() {
        return Err(Error::config("process.cwd", "property must not be empty"));
    }
    if !process.cwd().is_absolute() {
        return Err(Error::config("process.cwd", "must be an absolute path"));
    }
    absolute(|| "process.cwd".to_owned(), process.cwd())?;
    let args = process.args().as_deref().unwrap_or_default();
    if args.is_empty() {
        return Err(Error::config("process.args", "must not be empty"));
    }
    for (i, arg) in args.iter().enumerate() {
        no_nul(|| format!("process.args[{i}]"), arg.as_bytes())?;
    }
    env(
        "process.env",
        process.env().as_deref().unwrap_or_default(),
        warnings,
    )?;
    user(process.user())?;
    capabilities(process)?;
    rlimits(process)?;
    if let Some(adj) = process.oom_score_adj()
        && !(-1000..=1000).contains(&adj)
    {
        return Err(Error::config(
            "process.oomScoreAdj",
            format!("{adj} is not between -1000 and 1000"),
        ));
    }
    if let Some(size) = process.console_size()
        && (size.height() > u16::MAX.into() || size.width() > u16::MAX.into())
    {
        return Err(Error::config(
            "process.consoleSize",
            format!(
                "{}x{} is more than a terminal has",
                size.width(),
                size.height()
            ),
        ));
    }
    for (name, text) in [
        ("apparmorProfile", process.apparmor_profile()),
        ("selinuxLabel", process.selinux_label()),
    ] {
        let bytes = text.as_deref().unwrap_or_default().as_bytes();
        no_nul(|| format!("process.{name}"), bytes)?;
    }
    if let Some(priority) = process.io_priority() {
        io_priority(priority)?;
    }
    if let Some(of) = process.scheduler() {
        scheduler(of)?;
    }
    if let Some(affinity) = process.exec_cpu_affinity() {
        for (name, list) in [
            ("initial", affinity.initial()),
            ("final", affinity.cpu_affinity_final()),
        ] {
            let field = || format!("process.execCPUAffinity.{name}");
            number_list(field, list.as_deref().unwrap_or_default())?;
        }
    }
    Ok(())
}

/// A variable without a name or value is refused; of two of one name the later holds, as in runc.
pub(super) fn env(at: &str, env: &[String], warnings: &mut Vec<String>) -> Result<()> {
    let mut names = HashSet::with_capacity(env.len());
    for (i, pair) in env.iter().enumerate() {
        no_nul(|| format!("{at}[{i}]"), pair.as_bytes())?;
        let Some((name, _)) = pair.split_once('=') else {
            return Err(Error::config(
                format!("{at}[{i}]"),
                format!("invalid environment variable {pair:?}: missing '='"),
            ));
        };
        if name.is_empty() {
            return Err(Error::config(
                format!("{at}[{i}]"),
                format!("invalid environment variable {pair:?}: name cannot be empty"),
            ));
        }
        if !names.insert(name) {
            warnings.push(format!("{at}[{i}]: {name:?} is set twice, the later holds"));
        }
    }
    Ok(())
}

/// Numbers above the signed ones turn into something else, such as root, in programs that take them
/// for negative (CVE-2024-40635).
fn user(user: &User) -> Result<()> {
    let small = |field: String, id: u32| {
        if id > i32::MAX.cast_unsigned() {
            return Err(Error::config(
                field,
                format!("{id} is not between 0 and {}", i32::MAX),
            ));
        }
        Ok(())
    };
    small("process.user.uid".to_owned(), user.uid())?;
    small("process.user.gid".to_owned(), user.gid())?;
    let groups = user.additional_gids().as_deref().unwrap_or_default();
    for (i, gid) in groups.iter().enumerate() {
        small(format!("process.user.additionalGids[{i}]"), *gid)?;
    }
    if groups.len() > MAX_GROUPS {
        return Err(Error::config(
            "process.user.additionalGids",
            format!("{} are more than {MAX_GROUPS}", groups.len()),
        ));
    }
    if let Some(umask) = user.umask()
        && umask > 0o777
    {
        return Err(Error::config(
            "process.user.umask",
            format!("{umask} is more than 511 (0777)"),
        ));
    }
    if user
        .username()
        .as_deref()
        .is_some_and(|name| !name.is_empty())
    {
        return Err(Error::config(
            "process.user.username",
            "is for Windows: use process.user.uid",
        ));
    }
    Ok(())
}

fn capabilities(process: &Process) -> Result<()> {
    let Some(caps) = process.capabilities() else {
        return Ok(());
    };
    let none = HashSet::new();
    let permitted = caps.permitted().as_ref().unwrap_or(&none);
    if let Some(cap) = caps
        .effective()
        .iter()
        .flatten()
        .find(|c| !permitted.contains(c))
    {
        return Err(Error::config(
            "process.capabilities.effective",
            format!("{cap} is not in process.capabilities.permitted"),
        ));
    }
    // An ambient one that is not inheritable has no effect, and runc's own configurations have some.
    Ok(())
}

fn rlimits(process: &Process) -> Result<()> {
    let mut seen = Vec::new();
    for (i, limit) in process.rlimits().iter().flatten().enumerate() {
        if seen.contains(&limit.typ()) {
            return Err(Error::config(
                format!("process.rlimits[{i}].type"),
                format!("{} is there twice", limit.typ()),
            ));
        }
        seen.push(limit.typ());
        if limit.soft() > limit.hard() {
            return Err(Error::config(
                format!("process.rlimits[{i}].soft"),
                format!(
                    "{} is more than the hard limit, {}",
                    limit.soft(),
                    limit.hard()
                ),
            ));
        }
    }
    Ok(())
}

fn io_priority(priority: &LinuxIOPriority) -> Result<()> {
    if !(0..=7).contains(&priority.priority()) {
        return Err(Error::config(
            "process.ioPriority.priority",
            format!("{} is not between 0 and 7", priority.priority()),
        ));
    }
    Ok(())
}

fn scheduler(of: &Scheduler) -> Result<()> {
    let policy = *of.policy();
    let field = |name: &str| format!("process.scheduler.{name}");
    if policy == Policy::SchedIso {
        return Err(Error::config(field("policy"), "SCHED_ISO: Linux has none"));
    }
    if let Some(nice) = *of.nice()
        && !(-20..=19).contains(&nice)
    {
        return Err(Error::config(
            field("nice"),
            format!("{nice} is not between -20 and 19"),
        ));
    }
    let realtime = matches!(policy, Policy::SchedFifo | Policy::SchedRr);
    match of.priority().unwrap_or(0) {
        0 if realtime => Err(Error::config(
            field("priority"),
            "SCHED_FIFO and SCHED_RR need one between 1 and 99",
        )),
        0 => Ok(()),
        _ if !realtime => Err(Error::config(
            field("priority"),
            "can only be specified for SCHED_FIFO or SCHED_RR",
        )),
        1..=99 => Ok(()),
        other => Err(Error::config(
            field("priority"),
            format!("{other} is not between 1 and 99"),
        )),
    }?;
    let times = [
        ("runtime", of.runtime().unwrap_or(0)),
        ("deadline", of.deadline().unwrap_or(0)),
        ("period", of.period().unwrap_or(0)),
    ];
    if policy != Policy::SchedDeadline {
        return match times.iter().find(|(_, time)| *time != 0) {
            Some((name, _)) => Err(Error::config(
                field(name),
                "can only be specified for SCHED_DEADLINE",
            )),
            None => Ok(()),
        };
    }
    let [(_, runtime), (_, deadline), (_, period)] = times;
    // Without a period the deadline is meant.
    let period = if period == 0 { deadline } else { period };
    if runtime < 1024 || runtime > deadline || deadline > period || period >> 63 != 0 {
        return Err(Error::config(
            field("runtime"),
            "SCHED_DEADLINE needs 1024 ns <= runtime <= deadline <= period",
        ));
    }
    Ok(())
}
