//! The inner side of a start: from a copy of the runtime to the container's program.

use std::{convert::Infallible, os::fd::AsFd};

use oci_spec::runtime::LinuxNamespaceType as Kind;
use rustix::{
    process::{
        DumpableBehavior, Signal, set_dumpable_behavior, set_parent_process_death_signal, setsid,
    },
    system::sethostname,
};
use sys::clone::exit_now;

use super::{
    Gate, Prepared, namespaces,
    sync::{End, Note},
};
use crate::oci::{
    Context, Result,
    console::{self, Pty},
    filter,
    hooks::{self, Moment},
    process,
};

/// Everything inside. What goes wrong is told to whoever waits for the outcome just then.
pub(super) fn main(prepared: &mut Prepared, outside: End, gate: Option<&Gate>) -> ! {
    let mut listens = outside;
    let Err(error) = begin(prepared, &mut listens, gate);
    let _ = listens.send(&Note::failed(&error));
    exit_now(1)
}

fn begin(prepared: &mut Prepared, listens: &mut End, gate: Option<&Gate>) -> Result<Infallible> {
    die_with_parent()?;
    if prepared.namespaces.need_go_between() {
        // Nothing can be said before it is known outside whose words they are.
        listens.expect(&Note::Done)?;
    }
    // While the cgroup namespace is the host's: what follows counts as the container's.
    if let Some(entry) = &prepared.entry {
        let born = entry.directory().is_some() && !prepared.namespaces.joins_users();
        entry
            .enter(born)
            .context(|| "enter the container's cgroup")?;
    }
    let _ = setsid();
    if let Some(score) = prepared.setup.oom_score_adj()
        && !prepared.scored_from_outside()
    {
        let text = score.to_string();
        prepared.proc.write_own("oom_score_adj", text.as_bytes())?;
    }
    enter_namespaces(prepared, listens)?;
    let labels = prepared.setup.labels().open(&prepared.proc)?;
    name_things(prepared)?;
    if hooks::any(&prepared.config.spec, Moment::Prestart)
        || hooks::any(&prepared.config.spec, Moment::CreateRuntime)
    {
        listens.send(&Note::Namespaces)?;
        listens.expect(&Note::Done)?;
    }
    enter_root(prepared)?;
    if let Some(stdio) = &prepared.options.stdio {
        process::take_stdio(stdio)?;
    }
    prepared.setup.own_stdio()?;
    let program = prepared.setup.become_user()?;
    die_with_parent()?;
    if let Some(gate) = gate {
        set_parent_process_death_signal(None).context(|| "prctl")?;
        listens.send(&Note::Created)?;
        *listens = gate.wait()?;
        listens.send(&Note::Done)?;
    }
    let pid = prepared.proc.own_pid()?;
    hooks::run(prepared.about(Some(pid), "created"), Moment::StartContainer)?;
    set_parent_process_death_signal(None).context(|| "prctl")?;
    let setup = &prepared.setup;
    Err(match &prepared.filter {
        None => setup.exec(&program, labels, &[listens.as_fd()], None),
        Some(filter) => {
            let about = prepared.about(Some(pid), "creating");
            let installer = filter::Installer::new(filter, prepared.listener.as_ref(), about);
            let keep = installer.keep(&*listens);
            setup.exec(&program, labels, &keep, Some(&mut || installer.install()))
        }
    })
}

/// Without the one outside nobody would ever know of us. The kernel forgets it with each change of user.
fn die_with_parent() -> Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL)).context(|| "prctl")
}

fn enter_namespaces(prepared: &Prepared, listens: &End) -> Result<()> {
    let namespaces = &prepared.namespaces;
    if namespaces.makes(Kind::User) {
        listens.expect(&Note::Mapped)?;
        namespaces::become_root()?;
        die_with_parent()?;
    }
    if !namespaces.need_go_between() {
        namespaces.join()?;
    }
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context(|| "prctl")?;
    if namespaces.makes(Kind::Cgroup) {
        let kind = namespaces::flag(Kind::Cgroup);
        sys::clone::unshare(kind).context(|| "unshare cgroup namespace")?;
    }
    if namespaces.makes(Kind::Time) {
        sys::clone::unshare(namespaces::flag(Kind::Time)).context(|| "unshare time namespace")?;
        if !namespaces.time_offsets().is_empty() {
            let text = namespaces.time_offsets().as_bytes();
            prepared.proc.write_own("timens_offsets", text)?;
        }
        let made = prepared.proc.open_own_namespace("time_for_children")?;
        sys::clone::join(made.as_fd(), namespaces::flag(Kind::Time))
            .context(|| "join the new time namespace")?;
    }
    if namespaces.makes(Kind::Network) {
        sys::attributes::loopback_up().context(|| "set lo up")?;
    }
    Ok(())
}

/// Names of the host, kernel parameters, the keyring.
fn name_things(prepared: &Prepared) -> Result<()> {
    let spec = &prepared.config.spec;
    // An empty one is none: there may be no namespace of names to write it in.
    if let Some(name) = spec.hostname().as_ref().filter(|n| !n.is_empty()) {
        sethostname(name.as_bytes()).context(|| format!("set hostname {name:?}"))?;
    }
    if let Some(name) = spec.domainname().as_ref().filter(|n| !n.is_empty()) {
        sys::attributes::set_domain_name(name).context(|| format!("set domainname {name:?}"))?;
    }
    let sysctls = spec.linux().as_ref().and_then(|l| l.sysctl().as_ref());
    for (name, value) in sysctls.into_iter().flatten() {
        prepared.proc.write_sysctl(name, value)?;
    }
    if !prepared.options.no_new_keyring {
        process::new_keyring(&prepared.options.id)?;
    }
    Ok(())
}

/// Mounts, the new root, the terminal.
fn enter_root(prepared: &mut Prepared) -> Result<()> {
    let creating = hooks::any(&prepared.config.spec, Moment::CreateContainer);
    let pid = if creating {
        Some(prepared.proc.own_pid()?)
    } else {
        None
    };
    let Some(mut plan) = prepared.mounts.take() else {
        hooks::run(prepared.about(pid, "creating"), Moment::CreateContainer)?;
        return take_console(prepared, console::open_in_container);
    };
    plan.build()?;
    hooks::run(prepared.about(pid, "creating"), Moment::CreateContainer)?;
    plan.pivot()?;
    take_console(prepared, || {
        let (master, slave) = plan.open_pty()?;
        plan.console(slave.as_fd())?;
        Ok(Pty { master, slave })
    })?;
    plan.finish()
}

fn take_console(prepared: &Prepared, open: impl FnOnce() -> Result<Pty>) -> Result<()> {
    let Some(socket) = &prepared.options.console else {
        return Ok(());
    };
    let pty = open()?;
    console::hand_over(&pty, socket, prepared.setup.size)?;
    console::take(&pty)
}
