//! The outer side of a start: makes the process, gives it what only we can give, and waits for its
//! program to begin.

use oci_spec::runtime::LinuxNamespaceType;
use rustix::process::{
    DumpableBehavior, Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, pidfd_send_signal,
    set_dumpable_behavior, waitpid,
};
use sys::clone::{Clone, Fork, clone, exit_now};

use super::{
    Container, Gate, Prepared, Started, idmap, inside,
    sync::{self, End, Note},
};
use crate::oci::{
    Context, Error, Result,
    cgroup::{Cgroup, Entry},
    filter,
    hooks::{self, Moment},
    mounts,
};

/// Starts the container; with a gate its process waits there.
pub(super) fn start(mut prepared: Prepared, gate: Option<Gate>) -> Result<Container> {
    prepared.setup.raise_limits()?;
    if !prepared.options.rootless {
        // From here on nobody inside may look into a copy of this process. (Without root it can
        // only be said when the mappings are written, which the kernel would otherwise refuse.)
        set_dumpable_behavior(DumpableBehavior::NotDumpable).context(|| "prctl")?;
    }
    prepared.listener = filter::connect(prepared.filter.as_ref())?;
    let linux = prepared.config.spec.linux().as_ref();
    let resources = linux.and_then(|l| l.resources().as_ref());
    prepared.entry = Some(prepared.cgroup.create(resources)?);
    sys::failpoint!("oci.start.cgroup");
    match start_in_cgroup(&mut prepared, gate) {
        Ok(init) => Ok(Container {
            init,
            cgroup: prepared.cgroup,
        }),
        Err(error) => {
            let _ = prepared.cgroup.kill_all(|| ());
            let _ = prepared.cgroup.remove();
            let _ = hooks::run(prepared.about(None, "stopped"), Moment::Poststop);
            Err(error)
        }
    }
}

fn start_in_cgroup(prepared: &mut Prepared, gate: Option<Gate>) -> Result<Started> {
    if prepared.namespaces.makes(LinuxNamespaceType::Mount) {
        let context = mounts::Context {
            cgroups: cgroups(&prepared.cgroup),
            user_namespace: prepared.namespaces.has(LinuxNamespaceType::User),
            no_pivot: prepared.options.no_pivot,
            ..mounts::Context::default()
        };
        let spec = &prepared.config.spec;
        let plan = mounts::Plan::prepare(spec, &prepared.bundle, context)?;
        prepared.mounts = Some(plan);
    }
    let (ours, theirs) = sync::pair()?;
    let started = make(prepared, &ours, theirs, gate.as_ref())?;
    sys::failpoint!("oci.start.cloned");
    let gated = gate.is_some();
    let outcome = accompany(prepared, &ours, &started, gated).and_then(|()| {
        let pid = Some(started.pid.as_raw_nonzero().get());
        match gated {
            true => Ok(()),
            false => hooks::run(prepared.about(pid, "running"), Moment::Poststart),
        }
    });
    if let Err(error) = outcome {
        let _ = pidfd_send_signal(&started.pidfd, Signal::KILL);
        let _ = waitpid(Some(started.pid), WaitOptions::empty());
        return Err(error);
    }
    Ok(started)
}

/// The container's cgroup, as it is to be seen at `/sys/fs/cgroup`.
fn cgroups(cgroup: &Cgroup) -> mounts::Cgroups {
    let mut list = Vec::new();
    for (hierarchy, directory) in cgroup.directories() {
        let directory = directory.clone();
        if hierarchy.controllers.is_some() {
            let name = hierarchy.mount.file_name().unwrap_or_default();
            list.push(mounts::Hierarchy {
                name: name.to_string_lossy().into_owned(),
                directory,
            });
        } else if cgroup.directories().len() == 1 {
            return mounts::Cgroups::V2 {
                mount: hierarchy.mount.clone(),
                own: directory,
            };
        }
    }
    if list.is_empty() {
        mounts::Cgroups::Own
    } else {
        mounts::Cgroups::V1(list)
    }
}

/// The clone. Does not return inside.
fn make(prepared: &mut Prepared, ours: &End, theirs: End, gate: Option<&Gate>) -> Result<Started> {
    let namespaces = prepared.namespaces.clone_flags();
    if !prepared.namespaces.need_go_between() {
        let what = with_cgroup(prepared, namespaces);
        return match clone(what).context(|| "make the container's process (clone3)")? {
            Fork::Parent { pid, pidfd } => Ok(Started { pid, pidfd }),
            Fork::Child => inside::main(prepared, theirs, gate),
        };
    }
    // From inside a user namespace that is joined the host's cgroup would be out of reach: then it is
    // the copy of us that is born in it.
    let between = match clone(with_cgroup(prepared, 0)).context(|| "clone3")? {
        Fork::Parent { pid, .. } => pid,
        Fork::Child => go_between(prepared, theirs, gate),
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

fn with_cgroup(prepared: &Prepared, namespaces: u64) -> Clone<'_> {
    let entry = prepared.entry.as_ref();
    let entry = entry.filter(|_| !prepared.namespaces.joins_users());
    Clone {
        namespaces,
        cgroup: entry.and_then(Entry::directory),
        ..Clone::default()
    }
}

/// A copy of us that goes into namespaces first and makes the container's process there, as its
/// sibling.
fn go_between(prepared: &mut Prepared, theirs: End, gate: Option<&Gate>) -> ! {
    let made = set_dumpable_behavior(DumpableBehavior::NotDumpable)
        .context(|| "prctl")
        .and_then(|()| prepared.namespaces.join())
        .and_then(|()| {
            let sibling = Clone {
                sibling: true,
                namespaces: prepared.namespaces.clone_flags(),
                ..Clone::default()
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
    if prepared.scored_from_outside() {
        let score = prepared.setup.oom_score_adj();
        if let Some(score) = score {
            let path = format!("{raw}/oom_score_adj");
            prepared.proc.write(&path, score.to_string().as_bytes())?;
        }
    }
    if prepared.namespaces.need_go_between() {
        ours.send(&Note::Done)?;
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
