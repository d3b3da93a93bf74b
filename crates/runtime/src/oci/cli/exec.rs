//! `exec`: another process in a container.

use oci_spec::runtime::Process;
use rustix::process::Pid;
use serde_json::{Value, json};

use super::{
    Global,
    args::Given,
    create::{connect, descriptors, prefixed, write_pid},
    foreground::{Foreground, console},
    group::Group,
    id, inspect,
};
use crate::{
    caps,
    oci::{
        Config, Context, Error, Result, config,
        exec::{Exec, Options},
        start::Started,
        state::{State, Status},
    },
};

pub(super) fn exec(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    let state = container.finished_state()?;
    let status = inspect::status(&container, &state);
    let init = match (status, state.init) {
        (Status::Running | Status::Created | Status::Paused, Some(init)) => init,
        _ => {
            return Err(Error::State(
                "cannot exec in a stopped container".to_owned(),
            ));
        }
    };
    if status == Status::Paused && !given.on("ignore-paused") {
        return Err(Error::State(
            "cannot exec in a paused container (use --ignore-paused to override)".to_owned(),
        ));
    }
    let config = container.config()?;
    let mut process = process(given, &config)?;
    let terminal = process.terminal() == Some(true);
    let preserve_fds = descriptors(given, Some(&mut process))?;

    let detach = given.on("detach");
    let socket = given.path("console-socket");
    let (ours, theirs) = match (detach, socket) {
        (true, socket) => (None, connect(socket)?),
        (false, None) => console(terminal)?,
        (false, Some(_)) => {
            return Err(Error::State(
                "--console-socket needs --detach: else the terminal is the caller's own".to_owned(),
            ));
        }
    };
    // Before the process is made, so that no signal is lost.
    let foreground = (!detach).then(|| Foreground::prepare(ours)).transpose()?;
    let options = Options {
        id: state.id.clone(),
        bundle: state.bundle.clone(),
        console: theirs,
        preserve_fds,
        cgroup: entry(given, &state)?,
        ..Options::default()
    };
    let pid = rustix::process::Pid::from_raw(init.pid)
        .ok_or_else(|| Error::State("cannot exec in a stopped container".to_owned()))?;
    let exec = Exec::new(config, process, pid, options).map_err(failed)?;
    // It was held on to just now; had the number passed to another one, this would not be true.
    if !init.is_alive() {
        return Err(Error::State(
            "cannot exec in a stopped container".to_owned(),
        ));
    }
    sys::fds::close_inherited_from(3 + preserve_fds);
    let started = exec.run().map_err(failed)?;
    if let Some(path) = given.path("pid-file")
        && let Err(e) = write_pid(&path, started.pid.as_raw_nonzero().get())
    {
        end(&started);
        return Err(e);
    }
    match foreground {
        None => Ok(0),
        Some(foreground) => foreground.wait(started.pid, &started.pidfd),
    }
}

fn failed(error: Error) -> Error {
    prefixed("exec failed", error)
}

/// Ends a process that nobody was told of.
fn end(started: &Started) {
    use rustix::process::{Signal, WaitOptions, pidfd_send_signal, waitpid};
    let _ = pidfd_send_signal(&started.pidfd, Signal::KILL);
    let _ = waitpid(Some(started.pid), WaitOptions::empty());
}

/// The way into the container's cgroup.
fn entry(given: &Given, state: &State) -> Result<Option<crate::oci::cgroup::Entry>> {
    if given.has("cgroup") {
        return Err(Error::Unsupported(
            "--cgroup is not supported: the process gets the container's own cgroup".to_owned(),
        ));
    }
    let group = Group::of(state)?;
    let init = state.init.and_then(|init| Pid::from_raw(init.pid));
    if state.cgroup.is_empty() {
        return Ok(None);
    }
    let init = init.ok_or_else(|| Error::State("the container has no process".to_owned()))?;
    group.cgroup()?.entry_beside(init).map(Some)
}

/// What is to be run: `--process` whole, else the container's own process as the options change it.
fn process(given: &Given, config: &Config) -> Result<Process> {
    if let Some(path) = given.path("process") {
        if given.args.len() > 1 {
            return Err(Error::State(
                "--process and a program are two ways to say what to run".to_owned(),
            ));
        }
        let text = std::fs::read(&path).context(|| format!("open {}", path.display()))?;
        return config::parse_process(&text);
    }
    let args = given.words(1).map_err(Error::State)?;
    if args.is_empty() {
        return Err(Error::State("process args cannot be empty".to_owned()));
    }
    let own = config.spec.process().as_ref();
    let mut json = serde_json::to_value(own).map_err(|e| Error::State(e.to_string()))?;
    change(&mut json, given, args)?;
    config::parse_process(json.to_string().as_bytes())
}

/// Applies the options to a process as JSON.
fn change(process: &mut Value, given: &Given, args: Vec<String>) -> Result<()> {
    let text = |name: &str| given.text(name).map_err(Error::State);
    process["args"] = json!(args);
    process["terminal"] = json!(given.on("tty"));
    if let Some(members) = process.as_object_mut() {
        // It went with the arguments that are replaced.
        members.remove("commandLine");
    }
    if let Some(cwd) = text("cwd")? {
        process["cwd"] = json!(cwd);
    }
    if let Some(label) = text("process-label")? {
        process["selinuxLabel"] = json!(label);
    }
    if let Some(profile) = text("apparmor")? {
        process["apparmorProfile"] = json!(profile);
    }
    if given.has("no-new-privs") {
        process["noNewPrivileges"] = json!(given.on("no-new-privs"));
    }
    append(&mut process["env"], given.all("env").map_err(Error::State)?);
    if let Some(user) = text("user")? {
        let (uid, gid) = user
            .split_once(':')
            .map_or((user, None), |(u, g)| (u, Some(g)));
        let number = |text: &str| {
            text.parse::<u32>()
                .map_err(|_| Error::State(format!("--user {user:?}: not <uid>[:<gid>]")))
        };
        process["user"]["uid"] = json!(number(uid)?);
        if let Some(gid) = gid {
            process["user"]["gid"] = json!(number(gid)?);
        }
    }
    for gid in given.all("additional-gids").map_err(Error::State)? {
        let number = gid
            .parse::<u32>()
            .map_err(|_| Error::State(format!("--additional-gids {gid:?}: not a number")))?;
        append(&mut process["user"]["additionalGids"], vec![number]);
    }
    let known = caps::CapSet::all().names();
    for cap in given.all("cap").map_err(Error::State)? {
        if !known.contains(&cap.as_str()) {
            return Err(Error::State(format!("--cap {cap:?}: no such capability")));
        }
        for set in ["bounding", "effective", "permitted"] {
            append(&mut process["capabilities"][set], vec![cap.clone()]);
        }
    }
    Ok(())
}

/// Appends to a list, which may not be there yet.
fn append<T: serde::Serialize>(list: &mut Value, more: Vec<T>) {
    if more.is_empty() {
        return;
    }
    if !list.is_array() {
        *list = json!([]);
    }
    if let Some(list) = list.as_array_mut() {
        list.extend(more.into_iter().map(|m| json!(m)));
    }
}
