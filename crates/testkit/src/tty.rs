//! A program on a terminal of its own.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use crate::cmd::code;
use crate::poll::{PATIENCE, eventually, poll};

/// A program whose standard streams are a terminal, and the terminal's other end.
pub struct Tty {
    what: String,
    child: Child,
    master: std::fs::File,
    screen: Arc<Mutex<Vec<u8>>>,
}

impl Tty {
    /// Starts `program` with `args` as the leader of a session on a new terminal of 24 rows and
    /// 80 columns.
    pub fn start(command: &Command) -> Self {
        let what = crate::cmd::describe(command);
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)
            .expect("the kernel has pseudo terminals");
        grantpt(&master)
            .and_then(|()| unlockpt(&master))
            .expect("a new terminal");
        let name = ptsname(&master, Vec::new()).expect("a new terminal");
        resize(&master, 24, 80);
        let open = || {
            let path = name.to_str().expect("/dev/pts/…");
            Stdio::from(
                std::fs::File::options()
                    .read(true)
                    .write(true)
                    .open(path)
                    .expect("a pts"),
            )
        };
        // `setsid --ctty` makes its standard input the terminal of a new session.
        let mut wrapped = Command::new("setsid");
        wrapped
            .args(["--ctty", "--wait"])
            .arg(command.get_program())
            .args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => wrapped.env(key, value),
                None => wrapped.env_remove(key),
            };
        }
        let child = wrapped
            .stdin(open())
            .stdout(open())
            .stderr(open())
            .spawn()
            .expect("`setsid` of util-linux is installed");
        drop(wrapped);
        let master = std::fs::File::from(master);
        let screen = Arc::new(Mutex::new(Vec::new()));
        let (mut source, sink) = (master.try_clone().expect("a descriptor"), screen.clone());
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            // Ends with EIO when the last one who had the terminal open has gone.
            while let Ok(n @ 1..) = source.read(&mut buffer) {
                sink.lock().expect("reader").extend_from_slice(&buffer[..n]);
            }
        });
        Self {
            what,
            child,
            master,
            screen,
        }
    }

    /// Types `text`.
    pub fn send(&mut self, text: &str) {
        self.master
            .write_all(text.as_bytes())
            .expect("the terminal takes input");
    }

    /// Everything that was printed so far.
    pub fn screen(&self) -> String {
        String::from_utf8_lossy(&self.screen.lock().expect("reader")).into_owned()
    }

    /// Waits until `text` has been printed.
    #[track_caller]
    pub fn expect(&self, text: &str) {
        let end = std::time::Instant::now() + PATIENCE;
        while !self.screen().contains(text) {
            assert!(
                std::time::Instant::now() < end,
                "no {text:?} from `{}`; its screen:\n{}",
                self.what,
                self.screen()
            );
            std::thread::sleep(std::time::Duration::from_millis(5));
        }
    }

    /// Sends `text` again and again until `answer` has been printed: for programs that throw away
    /// what was typed before they were ready.
    #[track_caller]
    pub fn ask(&mut self, text: &str, answer: &str) {
        eventually(&format!("{answer:?} from `{}`", self.what), || {
            self.send(text);
            let end = std::time::Instant::now() + std::time::Duration::from_millis(400);
            while std::time::Instant::now() < end {
                if self.screen().contains(answer) {
                    return true;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            false
        });
    }

    /// Gives the terminal another size, which its foreground program is told by a signal.
    pub fn resize(&self, rows: u16, columns: u16) {
        resize(&self.master, rows, columns);
    }

    /// Resizes and asks with `text` until `answer` comes: a client that has only just started may
    /// miss the first signal.
    #[track_caller]
    pub fn resize_until(&mut self, rows: u16, columns: u16, text: &str, answer: &str) {
        eventually(&format!("{answer:?} from `{}`", self.what), || {
            self.resize(rows - 1, columns);
            self.resize(rows, columns);
            self.send(text);
            let end = std::time::Instant::now() + std::time::Duration::from_millis(400);
            while std::time::Instant::now() < end && !self.screen().contains(answer) {
                std::thread::sleep(std::time::Duration::from_millis(5));
            }
            self.screen().contains(answer)
        });
    }

    /// Process id of the program.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for its end and gives its exit code.
    #[track_caller]
    pub fn wait(&mut self) -> i32 {
        let what = format!("the end of `{}`", self.what);
        code(poll(PATIENCE, &what, || {
            self.child.try_wait().expect("our own child")
        }))
    }
}

fn resize(terminal: impl std::os::fd::AsFd, rows: u16, columns: u16) {
    let size = Winsize {
        ws_row: rows,
        ws_col: columns,
        ws_xpixel: 0,
        ws_ypixel: 0,
    };
    tcsetwinsize(terminal, size).expect("a terminal has a size");
}

impl Drop for Tty {
    fn drop(&mut self) {
        if let Ok(None) = self.child.try_wait() {
            let _ = self.child.kill();
            let _ = self.child.wait();
        }
        if std::thread::panicking() {
            eprintln!("screen of `{}`:\n{}", self.what, self.screen());
        }
    }
}
