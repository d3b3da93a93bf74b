//! What a process does to itself on the way from our copy to the program that was asked for: for
//! the container's first process and for those of `exec` the same, step by step.
//!
//! [`Setup::new`] judges and converts everything outside, before the clone; [`Setup::become_user`]
//! and [`Setup::exec`] run inside and are the last that is heard of us.

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
    /// Signals that the program must find at their defaults.
    ignored: u64,
    /// With a terminal of its own?
    pub terminal: bool,
    /// The terminal's rows and columns, if they are said.
    pub size: Option<(u16, u16)>,
    /// How many descriptors after the standard ones are given to the program.
    pub preserve_fds: RawFd,
}

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
            ignored: sys::exec::ignored_signals().context(|| "read /proc/self/status")?,
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
    pub fn set_personality(
        &mut self,
        personality: &oci_spec::runtime::LinuxPersonality,
    ) -> Result<()> {
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

    /// Becomes the user, enters the working directory and finds the program. What was permitted is
    /// kept back for [`Setup::exec`], out of the way: it is no longer effective.
    pub fn become_user(&mut self) -> Result<CString> {
        self.attributes.apply()?;
        if self.no_new_privileges {
            rustix::thread::set_no_new_privs(true).context(|| "set no_new_privs")?;
        }
        // As whoever we still are: root may enter where the user may not; else the other way round.
        let entered = rustix::process::chdir(&*self.cwd).is_ok();
        self.caps.bound()?;
        self.user.apply()?;
        self.caps.hold_back()?;
        if !entered {
            rustix::process::chdir(&*self.cwd).context(|| {
                starting(format!(
                    "chdir to cwd ({:?}) set in config.json failed",
                    lossy(&self.cwd)
                ))
            })?;
        }
        verify_cwd()?;
        environment::add_home(&mut self.env, self.user.uid);
        find::program(&self.args[0], &self.env)
    }

    /// Gives up what the process shall not have and becomes the program; returns only why not.
    /// `keep` stay open until then: they must be closed on exec. `install` puts on the filter, with
    /// as few system calls after it as can be: it may forbid them.
    pub fn exec(
        &self,
        program: &CStr,
        labels: labels::Opened,
        keep: &[BorrowedFd<'_>],
        install: Option<&mut dyn FnMut() -> Result<()>>,
    ) -> Error {
        let error = match self.last_steps(labels, keep, install) {
            Ok(()) => sys::exec::execve(program, &self.args, &self.env),
            Err(e) => return e,
        };
        Error::System {
            what: starting(format!("exec {}", lossy(program))),
            source: error,
        }
    }

    fn last_steps(
        &self,
        labels: labels::Opened,
        keep: &[BorrowedFd<'_>],
        install: Option<&mut dyn FnMut() -> Result<()>>,
    ) -> Result<()> {
        labels.write()?;
        let first = 3 + self.preserve_fds;
        let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).collect();
        keep.sort_unstable();
        sys::exec::close_from_except(first, &keep)
            .and_then(|()| sys::exec::reset_signals(self.ignored))
            .context(|| "close what is not the container's")?;
        self.limits.apply()?;
        match install {
            None => self.caps.apply(),
            // Needs the capability that the next step gives away.
            Some(install) if !self.no_new_privileges => {
                self.caps.regain()?;
                install()?;
                self.caps.apply()
            }
            Some(install) => {
                self.caps.apply()?;
                install()
            }
        }
    }
}

/// A directory outside of the root is one that was reached through a descriptor of ours
/// (CVE-2024-21626): the kernel then gives no absolute path.
fn verify_cwd() -> Result<()> {
    match rustix::process::getcwd(Vec::new()) {
        Ok(path) if path.as_bytes().first() == Some(&b'/') => Ok(()),
        Ok(_) | Err(rustix::io::Errno::NOENT) => Err(Error::State(starting(
            "current working directory is outside of container mount namespace root -- possible \
             container breakout detected"
                .to_owned(),
        ))),
        Err(e) => Err(e).context(|| "getcwd"),
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

/// A session keyring of the container's own. Kernels without keyrings have nothing to hide.
pub fn new_keyring(id: &str) -> Result<()> {
    let name = string("id", format!("_ses.{id}").as_bytes())?;
    match sys::attributes::new_keyring(&name) {
        Err(e) if e.raw_os_error() == Some(rustix::io::Errno::NOSYS.raw_os_error()) => Ok(()),
        other => other.context(|| "make a session keyring"),
    }
}
