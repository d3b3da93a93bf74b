//! `create`, `start` and `run`.

use std::{
    fs,
    os::{
        fd::{OwnedFd, RawFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
};

use super::{
    Global,
    args::Given,
    delete,
    foreground::{Foreground, console},
    id, signal,
};
use crate::oci::{
    Config, Context, Error, Result,
    hooks::{self, Moment},
    start::{self, Gate, Options, Prepared, Started},
    state::{Container, Lock, Process, State, Status},
};

/// Makes a container that waits for [`start`].
pub(super) fn create(global: &Global, given: &Given) -> Result<u8> {
    let request = Request::new(global, given)?;
    let console = connect(given.path("console-socket"))?;
    let made = Made::new(global, request)?;
    made.begin(global, given, console, true)
        .map_err(|e| prefixed("create failed", e))?;
    Ok(0)
}

/// Lets the program of a created container begin.
pub(super) fn start(global: &Global, given: &Given) -> Result<u8> {
    let container = global.store.open(&id(given)?)?;
    let _lock = container.lock()?;
    let state = container.finished_state()?;
    match container.status(Some(&state), || false) {
        Status::Created => {}
        Status::Running | Status::Paused => {
            return Err(Error::State(
                "cannot start an already running container".to_owned(),
            ));
        }
        Status::Stopped | Status::Creating => {
            return Err(Error::State(
                "cannot start a container that has stopped".to_owned(),
            ));
        }
    }
    start::open_gate(container.dir())?;
    let config = container.config()?;
    let bundle = state.bundle.display().to_string();
    let about = hooks::About {
        spec: &config.spec,
        id: container.id(),
        bundle: &bundle,
        pid: state.init.map(|p| p.pid),
        status: "running",
    };
    hooks::run(about, Moment::Poststart).inspect_err(|_| {
        if let Some(init) = state.init {
            let _ = init.kill(signal::KILL);
        }
    })?;
    Ok(0)
}

/// Makes a container, lets its program begin, and waits for its end unless told not to.
pub(super) fn run(global: &Global, given: &Given) -> Result<u8> {
    let request = Request::new(global, given)?;
    let detach = given.on("detach");
    let terminal = request.terminal();
    let socket = given.path("console-socket");
    if !detach && socket.is_some() {
        return Err(Error::State(
            "--console-socket needs --detach: else the terminal is the caller's own".to_owned(),
        ));
    }
    if detach {
        let console = connect(socket)?;
        Made::new(global, request)?
            .begin(global, given, console, false)
            .map_err(|e| prefixed("run failed", e))?;
        return Ok(0);
    }
    if !given.on("no-subreaper") {
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
            .context(|| "become subreaper")?;
    }
    let (ours, theirs) = console(terminal)?;
    let foreground = Foreground::prepare(ours)?;
    let made = Made::new(global, request)?;
    let (container, started) = made
        .begin(global, given, theirs, false)
        .map_err(|e| prefixed("run failed", e))?;
    let code = foreground.wait(started.pid, &started.pidfd);
    if !given.on("keep") {
        let cleaned = container
            .lock()
            .and_then(|lock| delete::clean(&container, lock));
        // The program's own end is what was waited for.
        if let Err(error) = cleaned {
            global.log.warn(&error.to_string());
        }
    }
    code
}

/// What is wanted, judged as far as it can be before anything is made.
struct Request {
    id: String,
    bundle: PathBuf,
    /// `config.json`, as it is kept.
    text: Vec<u8>,
    config: Config,
    preserve_fds: RawFd,
}

impl Request {
    fn new(global: &Global, given: &Given) -> Result<Self> {
        let id = id(given)?;
        let bundle = given.path("bundle").unwrap_or_else(|| PathBuf::from("."));
        let bundle =
            fs::canonicalize(&bundle).context(|| format!("bundle {}", bundle.display()))?;
        if bundle.to_str().is_none() {
            return Err(Error::State(format!(
                "the path of the bundle is not UTF-8: {}",
                bundle.display()
            )));
        }
        let path = bundle.join("config.json");
        let text = fs::read(&path).context(|| format!("open {}", path.display()))?;
        let mut config = Config::load(&bundle)?;
        for warning in &config.warnings {
            global.log.warn(warning);
        }
        let preserve_fds = descriptors(given, config.spec.process_mut().as_mut())?;
        Ok(Self {
            id,
            bundle,
            text,
            config,
            preserve_fds,
        })
    }

    fn terminal(&self) -> bool {
        let process = self.config.spec.process().as_ref();
        process.is_some_and(|p| p.terminal() == Some(true))
    }
}

/// How many descriptors from 3 on the process gets: those of socket activation, of which it is
/// told, then those of `--preserve-fds`.
pub(super) fn descriptors(
    given: &Given,
    process: Option<&mut oci_spec::runtime::Process>,
) -> Result<RawFd> {
    let more: RawFd = given
        .number("preserve-fds")
        .map_err(Error::State)?
        .unwrap_or(0);
    let number = |name: &str| {
        std::env::var(name)
            .ok()
            .and_then(|v| v.parse::<RawFd>().ok())
    };
    let ours = number("LISTEN_PID") == Some(rustix::process::getpid().as_raw_nonzero().get());
    let activated = number("LISTEN_FDS").filter(|n| ours && *n > 0).unwrap_or(0);
    let total = activated
        .checked_add(more)
        .filter(|n| (0..1 << 20).contains(n) && more >= 0);
    let total = total.ok_or_else(|| Error::State("--preserve-fds: no such number".to_owned()))?;
    for fd in 3..3 + total {
        // One that is closed on exec is not inherited but ours.
        if !sys::fds::is_inherited(fd) {
            return Err(Error::State(format!(
                "--preserve-fds: descriptor {fd} is not open"
            )));
        }
    }
    if let Some(process) = process.filter(|_| activated > 0) {
        let mut env = process.env().clone().unwrap_or_default();
        env.push(format!("LISTEN_FDS={activated}"));
        env.push("LISTEN_PID=1".to_owned());
        process.set_env(Some(env));
    }
    Ok(total)
}

/// A container of which there is a directory, which goes again unless a process comes into being.
struct Made {
    container: Container,
    lock: Lock,
    state: State,
    request: Request,
}

impl Made {
    fn new(global: &Global, request: Request) -> Result<Self> {
        let (container, lock) = global.store.make(&request.id)?;
        let state = State::new(&request.id, &request.bundle, &request.config);
        let saved = container
            .save_config(&request.text)
            .and_then(|()| container.save(&state));
        if let Err(e) = saved {
            let _ = container.remove(lock);
            return Err(e);
        }
        Ok(Self {
            container,
            lock,
            state,
            request,
        })
    }

    /// Makes the process; on failure nothing is left.
    fn begin(
        mut self,
        global: &Global,
        given: &Given,
        console: Option<OwnedFd>,
        wait: bool,
    ) -> Result<(Container, Started)> {
        match self.process(global, given, console, wait) {
            Ok(started) => Ok((self.container, started)),
            Err(error) => {
                let state = self.state.init.is_some().then_some(&self.state);
                if let Err(e) = delete::remains(&self.container, self.lock, state) {
                    global.log.warn(&e.to_string());
                }
                Err(error)
            }
        }
    }

    fn process(
        &mut self,
        global: &Global,
        given: &Given,
        console: Option<OwnedFd>,
        wait: bool,
    ) -> Result<Started> {
        let options = Options {
            id: self.request.id.clone(),
            console,
            preserve_fds: self.request.preserve_fds,
            no_pivot: given.on("no-pivot"),
            no_new_keyring: given.on("no-new-keyring"),
            rootless: global.rootless,
            driver: global.driver,
            ..Options::default()
        };
        let prepared = Prepared::new(self.request.config.clone(), &self.request.bundle, options)?;
        let others = prepared.cgroup().pids().len();
        if others > 0 {
            return Err(Error::State(format!(
                "container's cgroup is not empty: {others} process(es) found"
            )));
        }
        // Whoever dies from here on leaves a cgroup that `delete` finds.
        self.state.cgroup = prepared.cgroup().paths();
        self.state.unit = prepared.cgroup().unit().map(str::to_owned);
        self.container.save(&self.state)?;
        sys::fds::close_inherited_from(3 + self.request.preserve_fds);
        let started = if wait {
            prepared.create(Gate::new(self.container.dir())?)?.init
        } else {
            prepared.run()?.init
        };
        let pid = started.pid.as_raw_nonzero().get();
        // One that has ended already is not waited for yet, so the number is still its own.
        self.state.init = Some(Process::of(pid)?);
        self.container.save(&self.state)?;
        if let Some(path) = given.path("pid-file") {
            write_pid(&path, pid)?;
        }
        global
            .log
            .debug(&format!("container {} has process {pid}", self.request.id));
        Ok(started)
    }
}

/// Writes a process's number so that whoever waits for the file finds it whole.
pub(super) fn write_pid(path: &Path, pid: i32) -> Result<()> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let new = path.with_file_name(format!(".{name}.new"));
    fs::write(&new, pid.to_string())
        .and_then(|()| fs::rename(&new, path))
        .inspect_err(|_| drop(fs::remove_file(&new)))
        .context(|| format!("write {}", path.display()))
}

/// Connects to whoever wants the terminal.
pub(super) fn connect(path: Option<PathBuf>) -> Result<Option<OwnedFd>> {
    let Some(path) = path else { return Ok(None) };
    let stream = UnixStream::connect(&path)
        .context(|| format!("connect to the console socket {}", path.display()))?;
    Ok(Some(stream.into()))
}

/// Says first which command did not work, as other runtimes do.
pub(super) fn prefixed(what: &str, error: Error) -> Error {
    Error::Inside {
        message: format!("{what}: {error}"),
        errno: error.errno().unwrap_or_default(),
    }
}
