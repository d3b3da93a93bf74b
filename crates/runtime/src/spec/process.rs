//! The process: of the container, and of an exec in it.

use oci_spec::runtime::{
    BoxBuilder, LinuxCapabilities, PosixRlimit, PosixRlimitBuilder, PosixRlimitType, Process,
    User as OciUser,
};
use rustix::process::{Resource, getrlimit};

use super::{ContainerSpec, INIT_PATH, Rlimit, User};
use crate::{
    Error,
    caps::{self, CapSet},
    descriptors,
    host::Host,
    protocol::Size,
};

/// A further process in a container.
#[derive(Debug, Clone, Default)]
pub struct ExecSpec {
    /// Program and arguments; not empty.
    pub args: Vec<String>,
    /// The whole environment.
    pub env: Vec<String>,
    /// Working directory, absolute.
    pub cwd: String,
    /// As whom it runs.
    pub user: User,
    /// With a terminal?
    pub tty: bool,
    /// The terminal's first size.
    pub size: Option<Size>,
    /// With all capabilities?
    pub privileged: bool,
}

/// The process of an exec, and warnings. It has exactly the container's restrictions: capabilities,
/// limits, no new privileges, AppArmor; the seccomp filter the runtime takes from the container.
pub fn exec_process(
    container: &ContainerSpec,
    exec: &ExecSpec,
    host: &Host,
) -> Result<(Process, Vec<String>), Error> {
    let mut warnings = Vec::new();
    let caps = held_caps(container, exec.privileged, host, &mut warnings)?;
    let mut process = Process::default();
    common(&mut process, container, host, &mut warnings)?;
    if exec.privileged && !container.privileged && container.apparmor_profile.is_some() {
        process.set_apparmor_profile(Some("unconfined".to_owned()));
    }
    set(
        &mut process,
        Given {
            args: exec.args.clone(),
            env: &exec.env,
            cwd: &exec.cwd,
            user: &exec.user,
            tty: exec.tty,
            size: exec.size,
            caps,
        },
    )?;
    Ok((process, warnings))
}

/// The container's own process, and the capabilities it gets.
pub(super) fn main_process(
    container: &ContainerSpec,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<(Process, CapSet), Error> {
    let caps = held_caps(container, container.privileged, host, warnings)?;
    let mut process = Process::default();
    common(&mut process, container, host, warnings)?;
    let mut args = container.args.clone();
    if container.init.is_some() {
        args.splice(0..0, [INIT_PATH.to_owned(), "--".to_owned()]);
    }
    set(
        &mut process,
        Given {
            args,
            env: &container.env,
            cwd: &container.cwd,
            user: &container.user,
            tty: container.tty,
            size: container.size,
            caps,
        },
    )?;
    Ok((process, caps))
}

struct Given<'a> {
    args: Vec<String>,
    env: &'a [String],
    cwd: &'a str,
    user: &'a User,
    tty: bool,
    size: Option<Size>,
    caps: CapSet,
}

fn set(process: &mut Process, given: Given<'_>) -> Result<(), Error> {
    if given.args.is_empty() {
        return Err(Error::Invalid("No command specified".to_owned()));
    }
    let cwd = if given.cwd.is_empty() { "/" } else { given.cwd };
    if !cwd.starts_with('/') {
        return Err(Error::Invalid(format!(
            "Cwd must be an absolute path: {cwd:?}"
        )));
    }
    process.set_args(Some(given.args));
    process.set_env(Some(given.env.to_vec()));
    process.set_cwd(cwd.into());
    process.set_terminal(Some(given.tty));
    let size = given.size.filter(|_| given.tty).map(|size| {
        BoxBuilder::default()
            .height(size.height)
            .width(size.width)
            .build()
    });
    process.set_console_size(
        size.transpose()
            .map_err(|e| Error::Invalid(e.to_string()))?,
    );
    let mut user = OciUser::default();
    user.set_uid(given.user.uid);
    user.set_gid(given.user.gid);
    if !given.user.additional_gids.is_empty() {
        user.set_additional_gids(Some(given.user.additional_gids.clone()));
    }
    process.set_user(user);

    // Nothing inheritable and nothing ambient: the one made files' capabilities more than they
    // say (CVE-2022-24769), the other would give them to every user.
    let all = given.caps.to_oci();
    let root = given.user.uid == 0;
    let mut caps = LinuxCapabilities::default();
    caps.set_bounding(Some(all.clone()));
    // What execve would leave to others than root anyway.
    caps.set_permitted(root.then(|| all.clone()));
    caps.set_effective(root.then_some(all));
    caps.set_inheritable(None);
    caps.set_ambient(None);
    process.set_capabilities(Some(caps));
    Ok(())
}

fn common(
    process: &mut Process,
    container: &ContainerSpec,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<(), Error> {
    process.set_no_new_privileges(Some(container.no_new_privileges));
    process.set_apparmor_profile(container.apparmor_profile.clone());
    process.set_oom_score_adj(Some(oom_score_adj(container, host, warnings)?));
    let mut limits = Vec::new();
    for limit in &container.rlimits {
        limits.push(rlimit(limit, host, warnings)?);
    }
    let files = |l: &PosixRlimit| l.typ() == PosixRlimitType::RlimitNofile;
    if !limits.iter().any(files) {
        limits.extend(descriptors::inherited());
    }
    process.set_rlimits((!limits.is_empty()).then_some(limits));
    Ok(())
}

fn held_caps(
    container: &ContainerSpec,
    privileged: bool,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<CapSet, Error> {
    let wanted = caps::resolve(&container.cap_add, &container.cap_drop, privileged)?;
    let missing = wanted.minus(host.caps);
    if !missing.is_empty() {
        warnings.push(format!(
            "The daemon itself does not have {}: left out",
            missing.names().join(", ")
        ));
    }
    Ok(wanted.and(host.caps))
}

fn oom_score_adj(
    container: &ContainerSpec,
    host: &Host,
    warnings: &mut Vec<String>,
) -> Result<i32, Error> {
    let wanted = container.oom_score_adj;
    if !(-1000..=1000).contains(&wanted) {
        return Err(Error::Invalid(format!(
            "Invalid value {wanted}, range for oom score adj is [-1000, 1000]"
        )));
    }
    if wanted >= host.oom_score_adj || host.may_raise() {
        return Ok(wanted);
    }
    if wanted != 0 {
        warnings.push(format!(
            "The daemon may not lower oom_score_adj to {wanted} (it lacks CAP_SYS_RESOURCE): {} is \
             used",
            host.oom_score_adj
        ));
    }
    Ok(host.oom_score_adj)
}

fn rlimit(limit: &Rlimit, host: &Host, warnings: &mut Vec<String>) -> Result<PosixRlimit, Error> {
    use PosixRlimitType as T;
    let name = limit.name.to_ascii_lowercase();
    let (typ, resource) = match name.as_str() {
        "as" => (T::RlimitAs, Resource::As),
        "core" => (T::RlimitCore, Resource::Core),
        "cpu" => (T::RlimitCpu, Resource::Cpu),
        "data" => (T::RlimitData, Resource::Data),
        "fsize" => (T::RlimitFsize, Resource::Fsize),
        "locks" => (T::RlimitLocks, Resource::Locks),
        "memlock" => (T::RlimitMemlock, Resource::Memlock),
        "msgqueue" => (T::RlimitMsgqueue, Resource::Msgqueue),
        "nice" => (T::RlimitNice, Resource::Nice),
        "nofile" => (T::RlimitNofile, Resource::Nofile),
        "nproc" => (T::RlimitNproc, Resource::Nproc),
        "rss" => (T::RlimitRss, Resource::Rss),
        "rtprio" => (T::RlimitRtprio, Resource::Rtprio),
        "rttime" => (T::RlimitRttime, Resource::Rttime),
        "sigpending" => (T::RlimitSigpending, Resource::Sigpending),
        "stack" => (T::RlimitStack, Resource::Stack),
        _ => {
            return Err(Error::Invalid(format!(
                "invalid ulimit type: {}",
                limit.name
            )));
        }
    };
    // -1 is all ones, which is what the kernel calls infinity.
    let (soft, hard) = (limit.soft as u64, limit.hard as u64);
    if soft > hard {
        return Err(Error::Invalid(format!(
            "ulimit soft limit must be less than or equal to hard limit: {} > {}",
            limit.soft, limit.hard
        )));
    }
    let ours = getrlimit(resource).maximum.unwrap_or(u64::MAX);
    let bounded = if host.may_raise() {
        hard
    } else {
        hard.min(ours)
    };
    if bounded < hard {
        warnings.push(format!(
            "The limit {name} of {} is above the daemon's own, which lacks CAP_SYS_RESOURCE to \
             raise it: {bounded} is used",
            if hard == u64::MAX {
                "unlimited".to_owned()
            } else {
                hard.to_string()
            }
        ));
    }
    PosixRlimitBuilder::default()
        .typ(typ)
        .hard(bounded)
        .soft(soft.min(bounded))
        .build()
        .map_err(|e| Error::Invalid(e.to_string()))
}
