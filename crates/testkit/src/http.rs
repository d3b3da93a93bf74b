//! HTTP without a library: tests see and send exactly the bytes they mean.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;

/// Nothing that a test asks for takes longer between two bytes.
const SILENCE: Duration = Duration::from_secs(60);

/// A connection of either kind.
pub trait Socket: Read + Write + Send {
    /// Says that nothing more will be written.
    fn finish(&self);
}

impl Socket for UnixStream {
    fn finish(&self) {
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}

impl Socket for TcpStream {
    fn finish(&self) {
        let _ = self.shutdown(std::net::Shutdown::Write);
    }
}

/// An answer, read to its end.
#[derive(Debug, Clone)]
pub struct Response {
    /// Status code.
    pub status: u16,
    /// Headers with lower-case names, in order.
    pub headers: Vec<(String, String)>,
    /// The body, without chunks.
    pub body: Vec<u8>,
}

impl Response {
    /// The first header of that (lower-case) name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(n, _)| n == name)
            .map(|(_, v)| v.as_str())
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; panics if it is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|e| panic!("no JSON ({e}), status {}: {}", self.status, self.text()))
    }

    /// `message` of an error answer.
    #[track_caller]
    pub fn message(&self) -> String {
        self.json()["message"]
            .as_str()
            .expect("an error has a message")
            .to_owned()
    }

    /// Panics unless the status is `status`.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text());
        self
    }
}

/// An answer whose body is read as it comes.
pub struct Stream {
    /// Status code.
    pub status: u16,
    /// Headers with lower-case names.
    pub headers: Vec<(String, String)>,
    reader: BufReader<Box<dyn Socket>>,
    chunked: bool,
    /// What of the present chunk is still to come.
    chunk: usize,
}

impl Stream {
    /// The next line of the body, without its newline; none at the end.
    pub fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        let mut byte = [0];
        while self.read(&mut byte).expect("the daemon goes on sending") == 1 {
            if byte[0] == b'\n' {
                return Some(String::from_utf8_lossy(&line).into_owned());
            }
            line.push(byte[0]);
        }
        (!line.is_empty()).then(|| String::from_utf8_lossy(&line).into_owned())
    }

    /// The raw connection after `101 Switching Protocols`: what was read too far comes first.
    pub fn raw(&mut self) -> &mut dyn Socket {
        assert!(
            self.reader.buffer().is_empty(),
            "read what is buffered first"
        );
        self.reader.get_mut().as_mut()
    }

    /// Writes to a hijacked connection.
    pub fn write(&mut self, bytes: &[u8]) {
        let socket = self.reader.get_mut();
        socket
            .write_all(bytes)
            .and_then(|()| socket.flush())
            .expect("the daemon reads");
    }

    /// Ends our direction of a hijacked connection.
    pub fn finish(&mut self) {
        self.reader.get_mut().finish();
    }

    /// The next frame of a multiplexed stream: which of the three it is of, and its bytes.
    pub fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 8];
        self.read_exact(&mut head).ok()?;
        let size = u32::from_be_bytes([head[4], head[5], head[6], head[7]]) as usize;
        assert!(
            head[0] <= 3 && head[1..4] == [0; 3],
            "no frame header: {head:?}"
        );
        let mut body = vec![0; size];
        self.read_exact(&mut body).expect("a whole frame");
        Some((head[0], body))
    }

    /// All frames to the end: standard output and standard error.
    pub fn demultiplexed(&mut self) -> (String, String) {
        let mut parts = [Vec::new(), Vec::new(), Vec::new(), Vec::new()];
        while let Some((stream, bytes)) = self.frame() {
            parts[stream as usize].extend(bytes);
        }
        let text = |i: usize| String::from_utf8_lossy(&parts[i]).into_owned();
        (text(1), text(2))
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.chunked {
            return self.reader.read(buffer);
        }
        if self.chunk == 0 {
            let mut size = String::new();
            self.reader.read_line(&mut size)?;
            let size = size.trim();
            if size.is_empty() {
                return Ok(0); // the connection ended without the last chunk
            }
            self.chunk = usize::from_str_radix(size, 16).map_err(std::io::Error::other)?;
            if self.chunk == 0 {
                self.chunked = false; // what follows is the end
                let mut end = String::new();
                self.reader.read_line(&mut end)?;
                return Ok(0);
            }
        }
        let most = buffer.len().min(self.chunk);
        let n = self.reader.read(&mut buffer[..most])?;
        self.chunk -= n;
        if self.chunk == 0 && n > 0 {
            let mut end = String::new();
            self.reader.read_line(&mut end)?;
        }
        Ok(n)
    }
}

/// Where a server listens.
#[derive(Debug, Clone)]
pub enum Address {
    /// A Unix socket.
    Unix(PathBuf),
    /// A TCP port, reached from the calling thread's network namespace.
    Tcp(SocketAddr),
}

/// A client that makes a connection for every request.
#[derive(Debug, Clone)]
pub struct Client {
    address: Address,
    /// Put before every path: `/v1.51`, or nothing.
    pub prefix: String,
}

impl Client {
    /// A client for a Unix socket.
    pub fn unix(socket: &Path, prefix: &str) -> Self {
        Self {
            address: Address::Unix(socket.to_owned()),
            prefix: prefix.to_owned(),
        }
    }

    /// A client for a TCP address.
    pub fn tcp(address: SocketAddr) -> Self {
        Self {
            address: Address::Tcp(address),
            prefix: String::new(),
        }
    }

    /// The same client asking with another prefix.
    #[must_use]
    pub fn version(&self, prefix: &str) -> Self {
        Self {
            address: self.address.clone(),
            prefix: prefix.to_owned(),
        }
    }

    fn connect(&self) -> std::io::Result<Box<dyn Socket>> {
        Ok(match &self.address {
            Address::Unix(path) => {
                let socket = UnixStream::connect(path)?;
                socket.set_read_timeout(Some(SILENCE))?;
                Box::new(socket)
            }
            Address::Tcp(address) => {
                let socket = TcpStream::connect_timeout(address, Duration::from_secs(5))?;
                socket.set_read_timeout(Some(SILENCE))?;
                Box::new(socket)
            }
        })
    }

    /// Sends a request and reads the head of the answer.
    pub fn try_open(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Stream> {
        let mut socket = self.connect()?;
        let mut head = format!(
            "{method} {}{path} HTTP/1.1\r\nHost: docker\r\n",
            self.prefix
        );
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        let named = |name: &str| headers.iter().any(|(n, _)| n.eq_ignore_ascii_case(name));
        if !named("connection") {
            head += "Connection: close\r\n";
        }
        if !named("transfer-encoding") {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        head += "\r\n";
        socket.write_all(&[head.as_bytes(), body].concat())?;
        let mut reader = BufReader::new(socket);
        let (status, headers) = read_head(&mut reader)?;
        let chunked = headers
            .iter()
            .any(|(n, v)| n == "transfer-encoding" && v == "chunked");
        Ok(Stream {
            status,
            headers,
            reader,
            chunked,
            chunk: 0,
        })
    }

    /// Sends a request and reads the whole answer.
    pub fn try_send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> std::io::Result<Response> {
        let mut stream = self.try_open(method, path, headers, body)?;
        let mut body = Vec::new();
        let length = stream.headers.iter().find(|(n, _)| n == "content-length");
        match length.and_then(|(_, v)| v.parse::<u64>().ok()) {
            Some(length) if method != "HEAD" => {
                (&mut stream).take(length).read_to_end(&mut body)?;
            }
            _ if method == "HEAD" || matches!(stream.status, 204 | 304) => {}
            _ => {
                stream.read_to_end(&mut body)?;
            }
        }
        Ok(Response {
            status: stream.status,
            headers: stream.headers,
            body,
        })
    }

    /// [`Client::try_open`] for what must connect.
    #[track_caller]
    pub fn open(&self, method: &str, path: &str, body: Option<&Value>) -> Stream {
        let (headers, body) = json_body(body);
        self.try_open(method, path, &headers, &body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }

    /// Asks to take the connection over (attach, exec) and checks that it was given.
    #[track_caller]
    pub fn hijack(&self, path: &str, body: Option<&Value>) -> Stream {
        let (mut headers, body) = json_body(body);
        headers.extend([("Connection", "Upgrade"), ("Upgrade", "tcp")]);
        let mut stream = self
            .try_open("POST", path, &headers, &body)
            .unwrap_or_else(|e| panic!("POST {path}: {e}"));
        if stream.status != 101 {
            let mut text = String::new();
            let _ = stream.read_to_string(&mut text);
            panic!("POST {path} gave {} instead of 101: {text}", stream.status);
        }
        stream
    }

    /// GET.
    #[track_caller]
    pub fn get(&self, path: &str) -> Response {
        self.send("GET", path, None)
    }

    /// POST, with a JSON body if there is one.
    #[track_caller]
    pub fn post(&self, path: &str, body: Option<&Value>) -> Response {
        self.send("POST", path, body)
    }

    /// DELETE.
    #[track_caller]
    pub fn delete(&self, path: &str) -> Response {
        self.send("DELETE", path, None)
    }

    /// Any method, with a JSON body if there is one.
    #[track_caller]
    pub fn send(&self, method: &str, path: &str, body: Option<&Value>) -> Response {
        let (headers, body) = json_body(body);
        self.try_send(method, path, &headers, &body)
            .unwrap_or_else(|e| panic!("{method} {path}: {e}"))
    }
}

fn json_body(body: Option<&Value>) -> (Vec<(&'static str, &'static str)>, Vec<u8>) {
    match body {
        Some(body) => (
            vec![("Content-Type", "application/json")],
            body.to_string().into_bytes(),
        ),
        None => (Vec::new(), Vec::new()),
    }
}

type Headers = Vec<(String, String)>;

/// Reads a status line (or a request line, whose status is then 0) and headers.
pub(crate) fn read_head(reader: &mut impl BufRead) -> std::io::Result<(u16, Headers)> {
    let mut line = String::new();
    if reader.read_line(&mut line)? == 0 {
        return Err(std::io::Error::other(
            "the connection ended before an answer",
        ));
    }
    let status = line
        .split_whitespace()
        .nth(1)
        .and_then(|s| s.parse().ok())
        .unwrap_or(0);
    let mut headers = vec![(String::from(":line"), line.trim_end().to_owned())];
    loop {
        let mut line = String::new();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    Ok((status, headers))
}
