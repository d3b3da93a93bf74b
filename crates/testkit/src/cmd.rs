//! Running a program to its end with a deadline, its output kept.

use std::io::{Read, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::poll::{eventually, poll};

/// A program that takes longer than this hangs.
const LIMIT: Duration = Duration::from_secs(60);

/// What a program that ended left behind.
#[derive(Debug, Clone)]
pub struct Output {
    /// The command line, for messages.
    pub what: String,
    /// The exit code, or 128 plus the signal that ended it.
    pub code: i32,
    /// Standard output.
    pub stdout: String,
    /// Standard error.
    pub stderr: String,
}

impl Output {
    /// Panics unless the program succeeded; gives its standard output without the last newline.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self}");
        self.stdout.trim_end_matches('\n').to_owned()
    }

    /// Panics if the program succeeded, or if what it said lacks one of the `parts`.
    #[track_caller]
    pub fn refused(self, parts: &[&str]) -> Self {
        assert_ne!(self.code, 0, "should have failed: {self}");
        for part in parts {
            assert!(self.stderr.contains(part), "no {part:?} in: {self}");
        }
        self
    }
}

impl std::fmt::Display for Output {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            what,
            code,
            stdout,
            stderr,
        } = self;
        write!(
            f,
            "`{what}` gave {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}"
        )
    }
}

/// Runs `command` to its end; panics if it cannot be started or hangs.
#[track_caller]
pub fn run(command: &mut Command) -> Output {
    Running::start(command.stdin(Stdio::null())).wait()
}

/// A program that is running, its output gathered as it comes.
pub struct Running {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    out: Gathered,
    err: Gathered,
}

struct Gathered {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Gathered {
    fn new(source: Option<impl Read + Send + 'static>) -> Self {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let sink = bytes.clone();
        let reader = source.map(|mut source| {
            std::thread::spawn(move || {
                let mut buffer = [0; 8192];
                while let Ok(n @ 1..) = source.read(&mut buffer) {
                    sink.lock().expect("reader").extend_from_slice(&buffer[..n]);
                }
            })
        });
        Self { bytes, reader }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().expect("reader")).into_owned()
    }

    fn finish(&mut self) -> String {
        // A child of the program may keep the pipe open for ever; the end of the program counts.
        if let Some(reader) = self.reader.take() {
            let end = std::time::Instant::now() + Duration::from_secs(2);
            while !reader.is_finished() && std::time::Instant::now() < end {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        self.text()
    }
}

impl Running {
    /// Starts `command` with its output gathered; its standard input is as `command` says.
    #[track_caller]
    pub fn start(command: &mut Command) -> Self {
        let what = describe(command);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| panic!("cannot start `{what}`: {e}"));
        let stdin = child.stdin.take();
        let (out, err) = (
            Gathered::new(child.stdout.take()),
            Gathered::new(child.stderr.take()),
        );
        Self {
            what,
            child,
            stdin,
            out,
            err,
        }
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes to its standard input (which must be piped).
    pub fn send(&mut self, text: &str) {
        let stdin = self
            .stdin
            .as_mut()
            .expect("standard input is piped and open");
        stdin
            .write_all(text.as_bytes())
            .and_then(|()| stdin.flush())
            .expect("the program reads");
    }

    /// Closes its standard input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.out.text()
    }

    /// What it has complained about so far.
    pub fn stderr(&self) -> String {
        self.err.text()
    }

    /// Waits until its standard output has `text`.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        eventually(&format!("{text:?} from `{}`", self.what), || {
            self.stdout().contains(text)
        });
    }

    /// True while it has not ended.
    pub fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        crate::processes::signal(self.pid(), signal);
    }

    fn wait_for_the_end(&self) {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::process::{Pid, PidfdFlags, pidfd_open};
        let Ok(pidfd) = pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()) else {
            return;
        };
        let limit = Timespec::try_from(LIMIT).expect("a short time");
        let _ = poll(&mut [PollFd::new(&pidfd, PollFlags::IN)], Some(&limit));
    }

    /// Waits for its end; panics if it hangs.
    #[track_caller]
    pub fn wait(mut self) -> Output {
        let what = self.what.clone();
        // To the moment, which looks now and then are not: benches count the time.
        self.wait_for_the_end();
        let status = poll(LIMIT, &format!("the end of `{what}`"), || {
            self.child.try_wait().expect("our own child")
        });
        let (stdout, stderr) = (self.out.finish(), self.err.finish());
        Output {
            what,
            code: code(status),
            stdout,
            stderr,
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
            if std::thread::panicking() {
                eprintln!(
                    "`{}` was still running:\n--- stdout\n{}\n--- stderr\n{}",
                    self.what,
                    self.out.text(),
                    self.err.text()
                );
            }
        }
    }
}

/// The exit code as a shell tells it.
pub(crate) fn code(status: ExitStatus) -> i32 {
    status
        .code()
        .unwrap_or_else(|| 128 + status.signal().unwrap_or(0))
}

/// The command line, for messages.
pub(crate) fn describe(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(|w| w.to_string_lossy())
        .collect::<Vec<_>>()
        .join(" ")
}
