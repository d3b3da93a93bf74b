//! What is wrong with a profile, by member.

use oci_spec::runtime::{
    LinuxSeccomp, LinuxSeccompAction as Action, LinuxSeccompFilterFlag as Flag, LinuxSyscall,
};

use super::{Error, Result, table::Table};

/// The largest error number that the kernel hands to a program.
const MAX_ERRNO: u32 = 4095;

/// Refuses what cannot be made into a filter; gives what is left out of it, for the log.
pub(crate) fn check(seccomp: &LinuxSeccomp) -> Result<Vec<String>> {
    check_with(seccomp, &Table::new())
}

pub(super) fn check_with(seccomp: &LinuxSeccomp, table: &Table) -> Result<Vec<String>> {
    const AT: &str = "linux.seccomp";
    let mut warnings = Vec::new();
    if seccomp.default_action() == Action::ScmpActNotify {
        return Err(Error::config(
            format!("{AT}.defaultAction"),
            "SCMP_ACT_NOTIFY cannot be used as default action",
        ));
    }
    errno(
        &format!("{AT}.defaultErrnoRet"),
        seccomp.default_action(),
        seccomp.default_errno_ret(),
    )?;
    for (i, rule) in seccomp.syscalls().iter().flatten().enumerate() {
        self::rule(&format!("{AT}.syscalls[{i}]"), rule, table, &mut warnings)?;
    }
    let notify = notifies(seccomp);
    if notify && seccomp.listener_path().is_none() {
        return Err(Error::config(
            format!("{AT}.listenerPath"),
            "is needed for SCMP_ACT_NOTIFY, and not set",
        ));
    }
    if let Some(path) = seccomp.listener_path() {
        if !path.is_absolute() {
            return Err(Error::config(
                format!("{AT}.listenerPath"),
                format!("{} is not an absolute path", path.display()),
            ));
        }
        if !notify {
            warnings.push(format!(
                "{AT}.listenerPath: nobody listens there, since no rule has SCMP_ACT_NOTIFY"
            ));
        }
    } else if seccomp.listener_metadata().is_some() {
        return Err(Error::config(
            format!("{AT}.listenerMetadata"),
            "must not be set without listenerPath",
        ));
    }
    let killable = Flag::SeccompFilterFlagWaitKillableRecv;
    if !notify && seccomp.flags().iter().flatten().any(|f| *f == killable) {
        return Err(Error::config(
            format!("{AT}.flags"),
            "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY",
        ));
    }
    Ok(warnings)
}

/// Whether another process is asked about some calls.
pub(super) fn notifies(seccomp: &LinuxSeccomp) -> bool {
    let mut rules = seccomp.syscalls().iter().flatten();
    rules.any(|rule| rule.action() == Action::ScmpActNotify)
}

fn rule(at: &str, rule: &LinuxSyscall, table: &Table, warnings: &mut Vec<String>) -> Result<()> {
    if rule.names().is_empty() {
        return Err(Error::config(format!("{at}.names"), "has no name in it"));
    }
    for (i, name) in rule.names().iter().enumerate() {
        if name.is_empty() {
            return Err(Error::config(
                format!("{at}.names[{i}]"),
                "empty string is not a valid syscall",
            ));
        }
        if rule.action() == Action::ScmpActNotify && name == "write" {
            return Err(Error::config(
                format!("{at}.names[{i}]"),
                "SCMP_ACT_NOTIFY cannot be used for the write syscall: the container could not be \
                 started",
            ));
        }
        if !table.knows(name) {
            warnings.push(format!(
                "{at}.names[{i}]: unknown system call {name:?} ignored"
            ));
        }
    }
    errno(&format!("{at}.errnoRet"), rule.action(), rule.errno_ret())?;
    let args = rule.args().as_deref().unwrap_or_default();
    for (i, arg) in args.iter().enumerate() {
        if arg.index() > 5 {
            return Err(Error::config(
                format!("{at}.args[{i}].index"),
                format!("{}: a system call has arguments 0 to 5", arg.index()),
            ));
        }
        if args[..i].iter().any(|other| other.index() == arg.index()) {
            warnings.push(format!(
                "{at}.args[{i}]: argument {} is in several conditions, so each condition is a rule \
                 of its own",
                arg.index()
            ));
        }
    }
    Ok(())
}

fn errno(field: &str, action: Action, errno: Option<u32>) -> Result<()> {
    let most = match action {
        Action::ScmpActErrno => MAX_ERRNO,
        Action::ScmpActTrace => u16::MAX.into(),
        _ if errno.is_some() => {
            return Err(Error::config(
                field,
                "only SCMP_ACT_ERRNO and SCMP_ACT_TRACE take a number",
            ));
        }
        _ => return Ok(()),
    };
    match errno {
        Some(n) if n > most => Err(Error::config(field, format!("{n} is more than {most}"))),
        _ => Ok(()),
    }
}
