//! A relay between a client and a daemon that compares every answer with Docker's description of
//! the API: whatever a real client asks for in a test is so a test of what the description says.

mod http;

use std::io::Write;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::Value;

use crate::spec::Spec;
use http::{Head, Length, Pipe};

/// Answers are kept up to this size; longer ones are not compared.
const KEPT: usize = 16 << 20;

/// A Unix socket in front of a daemon's. Dropping it panics with everything that was wrong.
pub struct Checker {
    socket: PathBuf,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    daemon: PathBuf,
    specs: [(&'static str, Spec); 2],
    stop: AtomicBool,
    checked: AtomicUsize,
    wrong: Mutex<Vec<String>>,
}

impl Checker {
    /// Listens at `socket`, in front of the daemon that listens at `daemon`.
    pub fn start(socket: &Path, daemon: &Path) -> Self {
        let listener = UnixListener::bind(socket).expect("a new socket");
        listener.set_nonblocking(true).expect("a socket");
        let shared = Arc::new(Shared {
            daemon: daemon.to_owned(),
            specs: ["1.41", "1.51"].map(|version| (version, Spec::load(version))),
            stop: AtomicBool::new(false),
            checked: AtomicUsize::new(0),
            wrong: Mutex::default(),
        });
        let theirs = shared.clone();
        let thread = std::thread::spawn(move || accept(&listener, &theirs));
        Self {
            socket: socket.to_owned(),
            shared,
            thread: Some(thread),
        }
    }

    /// Where it listens, as `DOCKER_HOST` has it.
    pub fn host(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// How many answers were compared so far.
    pub fn checked(&self) -> usize {
        self.shared.checked.load(Ordering::Relaxed)
    }
}

impl Drop for Checker {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        let _ = std::fs::remove_file(&self.socket);
        let mut wrong = std::mem::take(&mut *self.shared.wrong.lock().expect("wrong"));
        wrong.sort();
        wrong.dedup();
        if !wrong.is_empty() && !std::thread::panicking() {
            panic!("answers are not as described:\n{}", wrong.join("\n"));
        }
    }
}

fn accept(listener: &UnixListener, shared: &Arc<Shared>) {
    while !shared.stop.load(Ordering::Relaxed) {
        let Ok((client, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(2));
            continue;
        };
        client.set_nonblocking(false).expect("a socket");
        let shared = shared.clone();
        std::thread::spawn(move || {
            if let Ok(daemon) = UnixStream::connect(&shared.daemon) {
                // Either end went away, as clients and daemons in tests do.
                let _ = serve(client, daemon, &shared);
            }
        });
    }
}

/// Relays one connection: request by request, and bytes both ways once it is taken over.
fn serve(client: UnixStream, daemon: UnixStream, shared: &Shared) -> std::io::Result<()> {
    let (mut from_client, mut from_daemon) = (Pipe::new(&client), Pipe::new(&daemon));
    while let Some(request) = from_client.head()? {
        (&daemon).write_all(&request.bytes)?;
        let length = request.request_length();
        let answer = std::thread::scope(|scope| {
            // A daemon may answer before it has read the whole request.
            let body = scope.spawn(|| from_client.body(length, &mut &daemon, |_| {}));
            let answer = answer(&request, &mut from_daemon, &client, shared);
            if answer.as_ref().is_ok_and(|taken_over| *taken_over) {
                return answer;
            }
            if !body.is_finished() {
                std::thread::sleep(Duration::from_millis(20));
            }
            if !body.is_finished() {
                let _ = client.shutdown(std::net::Shutdown::Read);
            }
            body.join().expect("no panic").and(answer)
        })?;
        if answer {
            return taken_over(from_client, from_daemon, &client, &daemon);
        }
    }
    Ok(())
}

/// Both ways until both have ended; one's end is passed on.
fn taken_over(
    mut from_client: Pipe<'_>,
    mut from_daemon: Pipe<'_>,
    client: &UnixStream,
    daemon: &UnixStream,
) -> std::io::Result<()> {
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _ = from_client.body(Length::UntilEnd, &mut { daemon }, |_| {});
            let _ = daemon.shutdown(std::net::Shutdown::Write);
        });
        let copied = from_daemon.body(Length::UntilEnd, &mut { client }, |_| {});
        let _ = client.shutdown(std::net::Shutdown::Both);
        copied
    })
}

/// Relays an answer and compares it; true if the connection is taken over with it.
fn answer<'a>(
    request: &Head,
    from_daemon: &mut Pipe<'a>,
    client: &'a UnixStream,
    shared: &Shared,
) -> std::io::Result<bool> {
    let head = loop {
        let Some(head) = from_daemon.head()? else {
            let _ = client.shutdown(std::net::Shutdown::Both);
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        };
        (&mut { client }).write_all(&head.bytes)?;
        if head.status() != 100 {
            break head;
        }
    };
    let kind = head.header("content-type").unwrap_or_default().to_owned();
    if head.status() == 101 || kind.starts_with("application/vnd.docker.") && takes_over(request) {
        return Ok(true);
    }
    let json = kind.starts_with("application/json");
    let mut kept = Vec::new();
    let length = head.answer_length(request.method() == "HEAD");
    let relayed = from_daemon.body_while_there(length, client, |part| {
        if json && kept.len() < KEPT {
            kept.extend_from_slice(part);
        }
    });
    let whole = relayed.is_ok();
    if kept.len() < KEPT {
        shared.compare(request, head.status(), &kept, whole);
    }
    relayed.map(|()| false)
}

fn takes_over(request: &Head) -> bool {
    let path = request.path();
    request.method() == "POST"
        && (path.ends_with("/attach") || path.contains("/exec/") && path.ends_with("/start"))
}

impl Shared {
    fn compare(&self, request: &Head, status: u16, body: &[u8], whole: bool) {
        let path = request.path();
        let (version, rest) = match path.strip_prefix("/v").and_then(|p| p.split_once('/')) {
            Some((version, rest)) => (version, format!("/{rest}")),
            // The newest, where a client does not say.
            None => ("1.51", path.to_owned()),
        };
        // 1.50, which docker 28.2 speaks, has no description here; 1.51 differs in one field.
        let version = if version == "1.50" { "1.51" } else { version };
        let Some((_, spec)) = self.specs.iter().find(|(known, _)| *known == version) else {
            return;
        };
        self.checked.fetch_add(1, Ordering::Relaxed);
        let mut wrong = Vec::new();
        let mut values = serde_json::Deserializer::from_slice(body).into_iter::<Value>();
        let mut any = false;
        for value in &mut values {
            match value {
                Ok(value) => {
                    any = true;
                    wrong.extend(spec.check_answer(request.method(), &rest, status, Some(&value)));
                }
                Err(error) => {
                    // A stream that its client left ends anywhere.
                    if whole {
                        wrong.push(format!("no JSON: {error}"));
                    }
                    break;
                }
            }
        }
        if !any {
            wrong.extend(spec.check_answer(request.method(), &rest, status, None));
        }
        let text = |w| format!("{} {path} {status}: {w}", request.method());
        let wrong = wrong.into_iter().map(text);
        self.wrong.lock().expect("wrong").extend(wrong);
    }
}
