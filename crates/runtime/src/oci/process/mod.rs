//! What a process does to itself on the way from our copy to the program that was asked for: for
//! the container's first process and for those of `exec` the same, step by step.
//!
//! [`Setup::new`] judges and converts everything outside, before the clone; [`Setup::become_program`]
//! runs inside and is the last that is heard of us.

mod attributes;
mod caps;
mod environment;
mod find;
mod labels;
mod limits;
mod user;

use std::{
    ffi::{CStr, CString},
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd},
};

use oci_spec::runtime::Process;

use super::{Context, Error, Result};
pub use labels::Labels;

/// Everything a process becomes.
#[derive(Debug)]
pub struct Setup {
    args: Vec<CString>,
    env: Vec<CString>,
    cwd: CString,
    user: user::User,
    caps: caps::Caps,
    limits: limits::Limits,
    attributes: attributes::Attributes,
    no_new_privileges: bool,
    labels: Labels,
    /// With a terminal of its own?
    pub terminal: bool,
    /// The terminal's rows and columns, if they are said.
    pub size: Option<(u16, u16)>,
    /// How many descriptors after the standard ones are given to the program.
    pub preserve_fds: RawFd,
}

/// How the filter of system calls is put on. It is called once.
pub type InstallFilter<'a> = &'a mut dyn FnMut() -> Result<()>;

impl Setup {
    /// Judges `process`, and converts it into what the kernel takes.
    pub fn new(process: &Process) -> Result<Self> {
        let args = process.args().as_deref().unwrap_or_default();
        if args.is_empty() {
            return Err(Error::config("process.args", "must not be empty"));
        }
        let cwd = process.cwd();
        if !cwd.is_absolute() {
            return Err(Error::config("process.cwd", "must be an absolute path"));
        }
        let size = process.console_size().map(|size| {
            let fit = |n: u64| u16::try_from(n).unwrap_or(u16::MAX);
            (fit(size.height()), fit(size.width()))
        });
        Ok(Self {
            args: strings("process.args", args)?,
            env: environment::prepare(process.env().as_deref().unwrap_or_default())?,
            cwd: string("process.cwd", cwd.as_os_str().as_encoded_bytes())?,
            user: user::User::new(process.user())?,
            caps: caps::Caps::new(process.capabilities().as_ref()),
            limits: limits::Limits::new(process.rlimits().as_deref().unwrap_or_default())?,
            attributes: attributes::Attributes::new(process)?,
            no_new_privileges: process.no_new_privileges() == Some(true),
            labels: Labels::new(process)?,
            terminal: process.terminal() == Some(true),
            size,
            preserve_fds: 0,
        })
    }

    /// The labels, to be opened before the root changes.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// The personality of the whole container, which is not the process's own but `linux`'s.
    pub fn set_personality(&mut self, personality: &oci_spec::runtime::LinuxPersonality) -> Result<()> {
        self.attributes.set_personality(personality)
    }

    /// Raises what limits this process itself must have raised for the other to have them. Only the
    /// host's root may, and inside a user namespace it is too late.
    pub fn raise_limits(&self) -> Result<()> {
        self.limits.raise_ours()
    }

    /// The score the process shall have when memory runs out.
    pub fn oom_score_adj(&self) -> Option<i32> {
        self.attributes.oom_score_adj
    }

    /// Lets the descriptors 0 to 2 belong to the user, so that he may open them anew.
    pub fn own_stdio(&self) -> Result<()> {
        self.user.own_stdio()
    }

    /// Is the program there and may it be executed? As the user who will; the real answer is
    /// [`Setup::become_program`]'s, this one is for those who create now and start later.
    ///
    /// Becomes the user, gives up the capabilities, puts on the filter; then finds the program.
    /// `keep` are our own descriptors, which must be closed on exec.
    pub fn drop_privileges(
        &mut self,
        labels: labels::Opened,
        filter: Option<InstallFilter<'_>>,
    ) -> Result<CString> {
        self.attributes.apply()?;
        self.limits.apply()?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).context(|| "set no_new_privs")?;
        }
        // As whoever we still are: root may enter where the user may not; else the other way round.
        let entered = rustix::process::chdir(&*self.cwd).is_ok();
        self.caps.bound()?;
        self.user.apply()?;
        self.caps.regain()?;
        if !entered {
            rustix::process::chdir(&*self.cwd)
                .context(|| starting(format!("chdir to cwd ({:?}) set in config.json failed", lossy(&self.cwd))))?;
        }
        self.verify_cwd()?;
        environment::add_home(&mut self.env, self.user.uid);
        labels.write()?;
        let mut filter = filter;
        if !self.no_new_privileges
            && let Some(install) = filter.take()
        {
            // Needs the capability that the next step gives away.
            install()?;
        }
        self.caps.apply()?;
        let program = find::program(&self.args[0], &self.env)?;
        if let Some(install) = filter {
            install()?;
        }
        Ok(program)
    }

    /// Becomes the program; returns only why not. `keep` stay open until then.
    pub fn exec(&self, program: &CStr, keep: &[BorrowedFd<'_>]) -> Error {
        let first = 3 + self.preserve_fds;
        let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
        keep.sort_unstable();
        if let Err(source) = sys::exec::close_on_exec_from(first)
            .and_then(|()| sys::exec::close_from_except(first, &keep))
            .and_then(|()| sys::exec::reset_signals())
        {
            return Error::System {
                what: "close what is not the container's".to_owned(),
                source,
            };
        }
        let source = sys::exec::execve(program, &self.args, &self.env);
        Error::System {
            what: starting(format!("exec {}", lossy(program))),
            source,
        }
    }

    /// A directory outside of the root is one that was reached through a descriptor of ours
    /// (CVE-2024-21626): the kernel then gives no absolute path.
    fn verify_cwd(&self) -> Result<()> {
        let cwd = rustix::process::getcwd(Vec::new());
        match cwd {
            Ok(path) if path.as_bytes().first() == Some(&b'/') => Ok(()),
            Ok(_) => Err(Error::State(starting(
                "current working directory is outside of container mount namespace root -- possible \
                 container breakout detected"
                    .to_owned(),
            ))),
            Err(rustix::io::Errno::NOENT) => Err(Error::State(starting(
                "current working directory is outside of container mount namespace root -- possible \
                 container breakout detected"
                    .to_owned(),
            ))),
            Err(e) => Err(e).context(|| "getcwd"),
        }
    }
}

/// As runc begins what it says about a process.
pub(crate) fn starting(what: String) -> String {
    format!("unable to start container process: {what}")
}

/// For messages.
pub(crate) fn lossy(text: &CStr) -> String {
    String::from_utf8_lossy(text.to_bytes()).into_owned()
}

fn string(field: &str, bytes: &[u8]) -> Result<CString> {
    CString::new(bytes).map_err(|_| Error::config(field, "must not contain a zero byte"))
}

fn strings(field: &str, list: &[String]) -> Result<Vec<CString>> {
    list.iter()
        .enumerate()
        .map(|(i, s)| string(&format!("{field}[{i}]"), s.as_bytes()))
        .collect()
}

/// Makes `fds` the standard input, output and error of this process.
pub fn take_stdio(fds: &[OwnedFd; 3]) -> Result<()> {
    use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout};
    let [stdin, stdout, stderr] = fds;
    dup2_stdin(stdin.as_fd())
        .and_then(|()| dup2_stdout(stdout.as_fd()))
        .and_then(|()| dup2_stderr(stderr.as_fd()))
        .context(|| "set standard input and output")
}
