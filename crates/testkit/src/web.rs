//! A small server of the web, whose answers a test decides on, well-behaved or not.

use std::io::{BufReader, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::host::Ns;
use crate::http::read_head;

/// What a [`Web`] is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`.
    pub method: String,
    /// The path without its query.
    pub path: String,
    /// The query without its question mark.
    pub query: String,
    /// Headers with lower-case names.
    pub headers: Vec<(String, String)>,
    /// What was sent along.
    pub body: Vec<u8>,
}

impl Request {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

/// Where an answer goes: as the test wants it, to the byte.
pub struct Answer(TcpStream);

impl Answer {
    /// A whole answer.
    pub fn send(&mut self, status: &str, headers: &[&str], body: &[u8]) {
        let mut head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head += header;
            head += "\r\n";
        }
        head += "Connection: close\r\n\r\n";
        let _ = self.0.write_all(&[head.as_bytes(), body].concat());
    }

    /// Bytes as they are; false when nobody takes them any more.
    pub fn raw(&mut self, bytes: &[u8]) -> bool {
        self.0.write_all(bytes).is_ok()
    }

    /// Waits until the other side has gone away.
    pub fn until_gone(&mut self) {
        let mut buffer = [0; 512];
        while matches!(self.0.read(&mut buffer), Ok(1..)) {}
    }
}

type Handler = dyn Fn(&Request, &mut Answer) + Send + Sync;

/// A running server. It ends when it is dropped.
pub struct Web {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<Request>>>,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Web {
    /// A server that listens at `ip` in `ns`; `handler` answers, each request in its own thread.
    pub fn start(
        ns: &Ns,
        ip: impl Into<IpAddr>,
        handler: impl Fn(&Request, &mut Answer) + Send + Sync + 'static,
    ) -> Self {
        let ip = ip.into();
        let handler: Arc<Handler> = Arc::new(handler);
        let asked = Arc::new(Mutex::new(Vec::new()));
        let stop = Arc::new(AtomicBool::new(false));
        let (theirs, until) = (Arc::clone(&asked), Arc::clone(&stop));
        let (address, thread) = ns.within(move || {
            let listener = TcpListener::bind((ip, 0)).expect("a free port");
            listener.set_nonblocking(true).expect("a socket");
            let address = listener.local_addr().expect("a bound socket");
            // Started from a thread inside of the namespace, it is inside as well.
            let serve = move || accept(&listener, &handler, &theirs, &until);
            (address, std::thread::spawn(serve))
        });
        Self {
            address,
            asked,
            stop,
            thread: Some(thread),
        }
    }

    /// One that answers with git's own server for the repositories below `root`.
    pub fn git(ns: &Ns, ip: impl Into<IpAddr>, root: &Path) -> Self {
        let root = root.to_owned();
        Self::start(ns, ip, move |request, answer| {
            git_http_backend(&root, request, answer);
        })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `http://ADDRESS/path`.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// What it was asked since it was asked for this the last time.
    pub fn asked(&self) -> Vec<Request> {
        std::mem::take(&mut *self.asked.lock().expect("no handler panics with it"))
    }
}

impl Drop for Web {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn accept(
    listener: &TcpListener,
    handler: &Arc<Handler>,
    asked: &Arc<Mutex<Vec<Request>>>,
    stop: &AtomicBool,
) {
    while !stop.load(Ordering::Relaxed) {
        let Ok((stream, _)) = listener.accept() else {
            std::thread::sleep(Duration::from_millis(3));
            continue;
        };
        let (handler, asked) = (Arc::clone(handler), Arc::clone(asked));
        std::thread::spawn(move || {
            if stream.set_nonblocking(false).is_ok()
                && let Some(request) = receive(&stream)
            {
                asked.lock().expect("asked").push(request.clone());
                handler(&request, &mut Answer(stream));
            }
        });
    }
}

fn receive(stream: &TcpStream) -> Option<Request> {
    let mut reader = BufReader::new(stream);
    let (_, headers) = read_head(&mut reader).ok()?;
    let line = headers.first()?.1.clone();
    let mut words = line.split(' ');
    let method = words.next()?.to_owned();
    let target = words.next()?;
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut request = Request {
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: Vec::new(),
    };
    if request.header("transfer-encoding") == Some("chunked") {
        request.body = chunks(&mut reader)?;
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().ok()?;
        reader.take(length).read_to_end(&mut request.body).ok()?;
    }
    Some(request)
}

fn chunks(reader: &mut impl std::io::BufRead) -> Option<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let mut size = String::new();
        reader.read_line(&mut size).ok()?;
        let size = u64::from_str_radix(size.trim(), 16).ok()?;
        reader.by_ref().take(size).read_to_end(&mut body).ok()?;
        reader.read_line(&mut String::new()).ok()?;
        if size == 0 {
            return Some(body);
        }
    }
}

/// Asks git's CGI program.
fn git_http_backend(root: &Path, request: &Request, answer: &mut Answer) {
    let mut command = Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        // The folder is another user's where tests run as root in a container.
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("REMOTE_ADDR", "127.0.0.1")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.header(header) {
            command.env(variable, value);
        }
    }
    let mut child = command.spawn().expect("git is installed");
    let mut stdin = child.stdin.take().expect("a pipe");
    let body = request.body.clone();
    let writing = std::thread::spawn(move || stdin.write_all(&body));
    let out = child.wait_with_output().expect("git ends");
    let _ = writing.join();
    let text = &out.stdout;
    let end = text.windows(4).position(|w| w == b"\r\n\r\n");
    let (head, body) = text.split_at(end.map_or(text.len(), |at| at + 4));
    let head = String::from_utf8_lossy(head);
    let mut status = "200 OK";
    let mut headers = Vec::new();
    for line in head.lines().filter(|l| !l.is_empty()) {
        match line.strip_prefix("Status: ") {
            Some(told) => status = told,
            None => headers.push(line),
        }
    }
    answer.send(status, &headers, body);
}
