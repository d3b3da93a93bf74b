//! An authorization plugin that a test holds in its hand: it keeps every question, and a closure of
//! the test's decides.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};

use crate::http::read_head;
use crate::poll::{PATIENCE, poll};

/// Where Docker looks for plugins, and so does everyone else.
const PLACE: &str = "/run/docker/plugins";
static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What the plugin was asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// Whether it is about an answer (`AuthZRes`) and not about a request (`AuthZReq`).
    pub about_answer: bool,
    /// All of it.
    pub value: Value,
}

impl Question {
    fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }

    /// The request's method.
    pub fn method(&self) -> &str {
        self.text("RequestMethod")
    }

    /// The request's path and query.
    pub fn uri(&self) -> &str {
        self.text("RequestUri")
    }

    /// The name in the client's certificate.
    pub fn user(&self) -> &str {
        self.text("User")
    }

    /// The request's body.
    pub fn body(&self) -> String {
        decoded(self.text("RequestBody"))
    }

    /// The answer's body.
    pub fn answer(&self) -> String {
        decoded(self.text("ResponseBody"))
    }
}

fn decoded(text: &str) -> String {
    let bytes = BASE64_STANDARD.decode(text).expect("bodies are base64");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// What it says.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// It may be.
    Allow,
    /// It may not, and why.
    Deny(String),
    /// It could not decide, and why.
    Fail(String),
    /// These bytes in place of an HTTP answer.
    Garbage(&'static [u8]),
}

impl Verdict {
    /// [`Verdict::Deny`] if so.
    pub fn deny_if(so: bool) -> Self {
        if so {
            Self::Deny("not here".into())
        } else {
            Self::Allow
        }
    }
}

type Judge = dyn Fn(&Question) -> Verdict + Send + Sync;

/// A plugin that answers until it is dropped.
pub struct Plugin {
    name: String,
    socket: PathBuf,
    asked: Arc<Mutex<Vec<Question>>>,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Plugin {
    /// A plugin with a name of its own; `judge` is asked for each question, on threads of its own.
    pub fn start(judge: impl Fn(&Question) -> Verdict + Send + Sync + 'static) -> Self {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("tk-{}-{number}", std::process::id());
        let socket = Path::new(PLACE).join(format!("{name}.sock"));
        // Another test may be removing the folder that it found empty.
        let listener = poll(PATIENCE, "a socket for the plugin", || {
            std::fs::create_dir_all(PLACE).ok()?;
            UnixListener::bind(&socket).ok()
        });
        let (asked, stop) = (
            Arc::<Mutex<Vec<Question>>>::default(),
            Arc::<AtomicBool>::default(),
        );
        let judge: Arc<Judge> = Arc::new(judge);
        let (kept, stopped) = (asked.clone(), stop.clone());
        let thread = std::thread::spawn(move || {
            for client in listener.incoming() {
                if stopped.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (judge, kept) = (judge.clone(), kept.clone());
                std::thread::spawn(move || serve(client, &*judge, &kept));
            }
        });
        Self {
            name,
            socket,
            asked,
            stop,
            thread: Some(thread),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The flag that makes a daemon ask it.
    pub fn flag(&self) -> String {
        format!("--authorization-plugin={}", self.name)
    }

    /// What it was asked since the last time.
    pub fn asked(&self) -> Vec<Question> {
        std::mem::take(&mut self.asked.lock().expect("asked"))
    }

    /// Ends it: nobody listens any more.
    pub fn end(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = UnixStream::connect(&self.socket);
        let _ = std::fs::remove_file(&self.socket);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Plugin {
    fn drop(&mut self) {
        self.end();
        // Only what is empty goes.
        let _ = std::fs::remove_dir(PLACE);
        let _ = std::fs::remove_dir("/run/docker");
    }
}

fn serve(client: UnixStream, judge: &Judge, kept: &Mutex<Vec<Question>>) {
    let mut reader = BufReader::new(client);
    let Ok((_, headers)) = read_head(&mut reader) else {
        return;
    };
    let of = |name: &str| headers.iter().find(|(n, _)| n == name).map(|(_, v)| v);
    let line = of(":line").cloned().unwrap_or_default();
    let length: u64 = of("content-length")
        .and_then(|v| v.parse().ok())
        .unwrap_or(0);
    let mut body = Vec::new();
    let _ = (&mut reader as &mut dyn BufRead)
        .take(length)
        .read_to_end(&mut body);
    let verdict = if line.contains("/Plugin.Activate") {
        json!({"Implements": ["authz"]})
    } else {
        let question = Question {
            about_answer: line.contains("/AuthZPlugin.AuthZRes"),
            value: serde_json::from_slice(&body).unwrap_or_default(),
        };
        let verdict = judge(&question);
        kept.lock().expect("asked").push(question);
        match verdict {
            Verdict::Allow => json!({"Allow": true}),
            Verdict::Deny(why) => json!({"Allow": false, "Msg": why}),
            Verdict::Fail(why) => json!({"Allow": true, "Err": why}),
            Verdict::Garbage(bytes) => {
                let _ = reader.get_mut().write_all(bytes);
                return;
            }
        }
    };
    let body = verdict.to_string();
    let _ = write!(
        reader.get_mut(),
        "HTTP/1.1 200 OK\r\nContent-Type: application/vnd.docker.plugins.v1.1+json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}
