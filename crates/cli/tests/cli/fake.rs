//! A small daemon that knows one container, and records what it is asked.

use std::{
    io::{BufRead, BufReader, Read, Write},
    os::unix::net::{UnixListener, UnixStream},
    path::PathBuf,
    process::{Command, Stdio},
    sync::{Arc, Condvar, Mutex},
    thread,
    time::Duration,
};

/// How the daemon behaves.
#[derive(Clone, Default)]
pub(crate) struct Behaviour {
    /// What the container writes on its streams.
    pub(crate) out: &'static str,
    pub(crate) err: &'static str,
    /// It gives its input back.
    pub(crate) echo: bool,
    /// How it ends.
    pub(crate) code: i64,
    /// The start fails with this.
    pub(crate) refuse: Option<&'static str>,
    /// Its image is not there until it is pulled.
    pub(crate) no_image: bool,
    /// The newest version it speaks.
    pub(crate) api: Option<&'static str>,
}

#[derive(Default)]
struct State {
    asked: Vec<String>,
    bodies: Vec<String>,
    pulled: bool,
    started: bool,
    ended: bool,
}

struct Shared {
    behaviour: Behaviour,
    state: Mutex<State>,
    changed: Condvar,
}

/// The daemon.
pub(crate) struct Fake {
    pub(crate) socket: PathBuf,
    shared: Arc<Shared>,
    _dir: tempfile::TempDir,
}

pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

const LIMIT: Duration = Duration::from_secs(20);

impl Fake {
    pub(crate) fn start(behaviour: Behaviour) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("api.sock");
        let listener = UnixListener::bind(&socket).unwrap();
        let shared = Arc::new(Shared {
            behaviour,
            state: Mutex::default(),
            changed: Condvar::new(),
        });
        let all = Arc::clone(&shared);
        // The threads end with the test's process.
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&all);
                thread::spawn(move || shared.serve(stream));
            }
        });
        Self {
            socket,
            shared,
            _dir: dir,
        }
    }

    /// Every request so far, without versions and parameters.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().asked.clone()
    }

    /// The bodies of requests.
    pub(crate) fn bodies(&self) -> Vec<String> {
        self.shared.state.lock().unwrap().bodies.clone()
    }

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let mut command = cli(args);
        command.env("DOCKER_HOST", format!("unix://{}", self.socket.display()));
        command
    }

    /// Runs the CLI to its end with `input`.
    pub(crate) fn run(&self, args: &[&str], input: &str) -> Ended {
        finish(self.command(args), input)
    }
}

/// The CLI as a program.
pub(crate) fn cli(args: &[&str]) -> Command {
    let mut path = std::env::current_exe().unwrap();
    path.pop();
    if path.ends_with("deps") {
        path.pop();
    }
    let mut command = Command::new(path.join("examples/cli"));
    command.args(args).env("HOME", "/nonexistent");
    for name in [
        "DOCKER_CONFIG",
        "DOCKER_CONTEXT",
        "DOCKER_HOST",
        "WHARF_HOST",
        "DOCKER_TLS_VERIFY",
    ] {
        command.env_remove(name);
    }
    command
}

pub(crate) fn finish(mut command: Command, input: &str) -> Ended {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let done = child.wait_with_output().unwrap();
    Ended {
        code: done.status.code().unwrap_or(-1),
        out: String::from_utf8(done.stdout).unwrap(),
        err: String::from_utf8(done.stderr).unwrap(),
    }
}

impl Shared {
    fn until(&self, test: impl Fn(&State) -> bool) {
        let state = self.state.lock().unwrap();
        let (state, timeout) = self
            .changed
            .wait_timeout_while(state, LIMIT, |s| !test(s))
            .unwrap();
        assert!(
            !timeout.timed_out(),
            "the client never did what it should: {:?}",
            state.asked
        );
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.state.lock().unwrap());
        self.changed.notify_all();
    }

    fn serve(&self, stream: UnixStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let mut writer = stream;
        loop {
            let mut first = String::new();
            if reader.read_line(&mut first).unwrap_or(0) == 0 {
                return;
            }
            let mut length = 0;
            loop {
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                let line = line.trim().to_lowercase();
                if let Some(n) = line.strip_prefix("content-length:") {
                    length = n.trim().parse().unwrap();
                }
                if line.is_empty() {
                    break;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let mut words = first.split(' ');
            let (method, target) = (words.next().unwrap(), words.next().unwrap());
            let (version, path) = match target.strip_prefix("/v").and_then(|t| t.split_once('/')) {
                Some((version, path)) => (version, format!("/{path}")),
                None => ("", target.to_owned()),
            };
            let path = path.split('?').next().unwrap().to_owned();
            if let Some(newest) = self.behaviour.api
                && !version.is_empty()
                && version != newest
            {
                let text = format!(
                    "client version {version} is too new. Maximum supported API version is {newest}"
                );
                answer(
                    &mut writer,
                    newest,
                    400,
                    &format!("{{\"message\":\"{text}\"}}"),
                );
                continue;
            }
            self.change(|s| {
                s.asked.push(format!("{method} {path}"));
                s.bodies.push(String::from_utf8(body).unwrap());
            });
            if !self.route(&format!("{method} {path}"), &mut reader, &mut writer) {
                return;
            }
        }
    }

    /// Answers; false when the connection is no longer HTTP.
    fn route(
        &self,
        what: &str,
        reader: &mut BufReader<UnixStream>,
        writer: &mut UnixStream,
    ) -> bool {
        let api = self.behaviour.api.unwrap_or("1.51");
        match what {
            "POST /containers/create" => {
                let pulled = self.state.lock().unwrap().pulled;
                if self.behaviour.no_image && !pulled {
                    answer(
                        writer,
                        api,
                        404,
                        r#"{"message":"No such image: busybox:latest"}"#,
                    );
                } else {
                    answer(writer, api, 201, r#"{"Id":"c0ffee","Warnings":null}"#);
                }
            }
            "POST /images/create" => {
                self.change(|s| s.pulled = true);
                answer(
                    writer,
                    api,
                    200,
                    "{\"status\":\"Pulling from library/busybox\",\"id\":\"latest\"}\r\n{\"status\":\"Digest: sha256:00\"}\r\n",
                );
            }
            "POST /containers/c0ffee/attach" => {
                writer
                    .write_all(
                        b"HTTP/1.1 101 UPGRADED\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n",
                    )
                    .unwrap();
                self.until(|s| s.started || self.behaviour.refuse.is_some() && s.ended);
                let _ = writer.write_all(&frame(1, self.behaviour.out));
                let _ = writer.write_all(&frame(2, self.behaviour.err));
                if self.behaviour.echo {
                    let mut input = String::new();
                    reader.read_to_string(&mut input).unwrap();
                    let _ = writer.write_all(&frame(1, &input));
                }
                self.change(|s| s.ended = true);
                let _ = writer.shutdown(std::net::Shutdown::Both);
                return false;
            }
            "POST /containers/c0ffee/wait" => {
                writer.write_all(format!("HTTP/1.1 200 OK\r\nApi-Version: {api}\r\nTransfer-Encoding: chunked\r\n\r\n").as_bytes()).unwrap();
                self.until(|s| s.ended);
                let body = format!(
                    "{{\"Error\":null,\"StatusCode\":{}}}\n",
                    self.behaviour.code
                );
                let _ = write!(writer, "{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
            }
            "POST /containers/c0ffee/start" => match self.behaviour.refuse {
                Some(text) => {
                    answer(
                        writer,
                        api,
                        400,
                        &serde_json::json!({"message": text}).to_string(),
                    );
                    self.change(|s| s.ended = true);
                }
                None => {
                    answer(writer, api, 204, "");
                    self.change(|s| s.started = true);
                }
            },
            "GET /containers/json" => answer(writer, api, 200, "[]"),
            "GET /containers/c0ffee/json" => {
                answer(
                    writer,
                    api,
                    200,
                    r#"{"Id":"c0ffee","Config":{"Tty":true,"Labels":null},"N":1.0}"#,
                );
            }
            "GET /containers/c0ffee/logs" => {
                let _ = writer.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
                let line = "x".repeat(1000) + "\n";
                // More than any pipe holds; ends when the client goes away.
                while write!(writer, "{:x}\r\n{line}\r\n", line.len()).is_ok() {}
                return false;
            }
            _ => answer(
                writer,
                api,
                404,
                r#"{"message":"No such container: nosuch"}"#,
            ),
        }
        true
    }
}

fn answer(writer: &mut UnixStream, api: &str, status: u16, body: &str) {
    let length = if status == 204 {
        String::new()
    } else {
        format!("Content-Length: {}\r\n", body.len())
    };
    let head = format!("HTTP/1.1 {status} X\r\nApi-Version: {api}\r\n{length}\r\n{body}");
    let _ = writer.write_all(head.as_bytes());
}

fn frame(stream: u8, text: &str) -> Vec<u8> {
    let mut out = vec![stream, 0, 0, 0];
    out.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
    out.extend(text.as_bytes());
    out
}
