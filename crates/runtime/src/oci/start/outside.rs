//! The outer side of a start: makes the process, gives it what only we can give, and waits for its
//! program to begin.

use oci_spec::runtime::LinuxNamespaceType;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal,
    set_dumpable_behavior, waitpid,
};
use sys::clone::{Clone, Fork, clone, exit_now};

use super::{
    Gate, Prepared, Started, idmap, inside,
    sync::{self, End, Note},
};
use crate::oci::{
    Context, Error, Result, filter,
    hooks::{self, Moment},
};

/// Starts the container; with a gate its process waits there.
pub(super) fn start(mut prepared: Prepared, gate: Option<Gate>) -> Result<Started> {
    prepared.setup.raise_limits()?;
    if !prepared.options.rootless {
        // From here on nobody inside may look into a copy of this process. (Without root it can
        // only be said when the mappings are written, which the kernel would otherwise refuse.)
        set_dumpable_behavior(DumpableBehavior::NotDumpable).context(|| "prctl")?;
    }
    prepared.listener = filter::connect(prepared.filter.as_ref())?;
    let (ours, theirs) = sync::pair()?;
    let started = make(&mut prepared, &ours, theirs, gate.as_ref())?;
    let outcome = accompany(&prepared, &ours, &started, gate.is_some());
    if let Err(error) = outcome {
        end(&started);
        let _ = hooks::run(prepared.about(None, "stopped"), Moment::Poststop);
        return Err(error);
    }
    if gate.is_none() {
        poststart(&prepared, &started)?;
    }
    Ok(started)
}

/// Hooks of a program that has begun; one that fails ends it.
fn poststart(prepared: &Prepared, started: &Started) -> Result<()> {
    let pid = Some(started.pid.as_raw_nonzero().get());
    hooks::run(prepared.about(pid, "running"), Moment::Poststart).inspect_err(|_| {
        end(started);
        let _ = hooks::run(prepared.about(None, "stopped"), Moment::Poststop);
    })
}

fn end(started: &Started) {
    let _ = pidfd_send_signal(&started.pidfd, Signal::KILL);
    let _ = waitpid(Some(started.pid), WaitOptions::empty());
}

/// The clone. Does not return inside.
fn make(prepared: &mut Prepared, ours: &End, theirs: End, gate: Option<&Gate>) -> Result<Started> {
    let what = Clone {
        namespaces: prepared.namespaces.clone_flags(),
        ..Clone::default()
    };
    if !prepared.namespaces.need_go_between() {
        return match clone(what).context(|| "make the container's process (clone3)")? {
            Fork::Parent { pid, pidfd } => Ok(Started { pid, pidfd }),
            Fork::Child => inside::main(prepared, theirs, gate),
        };
    }
    let between = match clone(Clone::default()).context(|| "clone3")? {
        Fork::Parent { pid, .. } => pid,
        Fork::Child => go_between(prepared, theirs, gate, what),
    };
    drop(theirs);
    let told = ours.receive();
    let _ = waitpid(Some(between), WaitOptions::empty());
    match told? {
        Some(Note::Pid(raw)) => {
            let pid =
                Pid::from_raw(raw).ok_or_else(|| Error::State(format!("{raw} is no process")))?;
            // It is our child and not waited for: the number is its own.
            let pidfd = pidfd_open(pid, PidfdFlags::empty()).context(|| "pidfd_open")?;
            Ok(Started { pid, pidfd })
        }
        _ => Err(Error::State(
            "the process that joins namespaces has ended without a word".to_owned(),
        )),
    }
}

/// A copy of us that goes into namespaces first and makes the container's process there, as its
/// sibling.
fn go_between(prepared: &mut Prepared, theirs: End, gate: Option<&Gate>, what: Clone<'_>) -> ! {
    let made = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context(|| "prctl")
        .and_then(|()| prepared.namespaces.join())
        .and_then(|()| {
            let sibling = Clone {
                sibling: true,
                ..what
            };
            clone(sibling).context(|| "make the container's process (clone3)")
        });
    let note = match made {
        Ok(Fork::Child) => inside::main(prepared, theirs, gate),
        Ok(Fork::Parent { pid, .. }) => Note::Pid(pid.as_raw_nonzero().get()),
        Err(error) => Note::failed(&error),
    };
    let _ = theirs.send(&note);
    exit_now(0)
}

/// Everything between the clone and the program.
fn accompany(prepared: &Prepared, ours: &End, started: &Started, gated: bool) -> Result<()> {
    let raw = started.pid.as_raw_nonzero().get();
    if let Some(score) = prepared.setup.oom_score_adj() {
        prepared.proc.write(
            &format!("{raw}/oom_score_adj"),
            score.to_string().as_bytes(),
        )?;
    }
    if prepared.namespaces.makes(LinuxNamespaceType::User) {
        let (uids, gids) = (&prepared.namespaces.uids, &prepared.namespaces.gids);
        idmap::write(&prepared.proc, raw, uids, gids, prepared.options.rootless)?;
        ours.send(&Note::Mapped)?;
    }
    loop {
        match ours.receive()? {
            Some(Note::Namespaces) => {
                let about = prepared.about(Some(raw), "creating");
                hooks::run(about, Moment::Prestart)?;
                hooks::run(about, Moment::CreateRuntime)?;
                ours.send(&Note::Done)?;
            }
            Some(Note::Created) if gated => return Ok(()),
            // Closed by exec, or by its end: that is for whoever waits for it.
            None if !gated => return Ok(()),
            None => return Err(Error::State("the container's process has ended".to_owned())),
            Some(note) => return Err(Error::State(format!("{note:?} came during the start"))),
        }
    }
}
