//! A server with backends that only pretend, and a client that speaks bytes.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    clippy::unwrap_used,
    reason = "test code, of which each test uses its part"
)]

mod backends;
mod builds;
mod files;
mod image_work;
mod life;
mod live;
mod networks;
mod registry_work;
mod volumes;

pub use backends::Fake;

use std::{collections::BTreeMap, future::Future, sync::Arc, time::Duration};

use api::{Listener, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, UnixListener, UnixStream},
    sync::oneshot,
    task::JoinHandle,
};

/// Longer than anything here takes; only a hang meets it.
pub const DEADLINE: Duration = Duration::from_secs(20);

pub async fn within<T>(work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work)
        .await
        .expect("timed out")
}

pub async fn eventually(mut condition: impl FnMut() -> bool) {
    within(async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await;
}

pub struct Running {
    pub fake: Arc<Fake>,
    pub path: std::path::PathBuf,
    pub address: std::net::SocketAddr,
    pub stop: Option<oneshot::Sender<()>>,
    pub task: JoinHandle<()>,
    _dir: tempfile::TempDir,
}

pub fn server(fake: &Arc<Fake>) -> Server {
    Server {
        containers: fake.clone(),
        files: fake.clone(),
        life: fake.clone(),
        live: fake.clone(),
        images: fake.clone(),
        image_work: fake.clone(),
        registry_work: fake.clone(),
        builds: fake.clone(),
        networks: fake.clone(),
        volumes: fake.clone(),
        system: fake.clone(),
        authorization: None,
    }
}

impl Running {
    pub fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("s");
        let unix = UnixListener::bind(&path).unwrap();
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        tcp.set_nonblocking(true).unwrap();
        let address = tcp.local_addr().unwrap();
        let tcp = TcpListener::from_std(tcp).unwrap();
        let fake = Arc::new(Fake::default());
        let (stop, stopped) = oneshot::channel();
        let server = server(&fake);
        let task = tokio::spawn(async move {
            let shutdown = async {
                let _ = stopped.await;
            };
            let listeners = vec![Listener::Unix(unix), Listener::Tcp(tcp)];
            server.serve(listeners, shutdown).await;
        });
        Self {
            fake,
            path,
            address,
            stop: Some(stop),
            task,
            _dir: dir,
        }
    }

    pub async fn connect(&self) -> UnixStream {
        UnixStream::connect(&self.path).await.unwrap()
    }

    /// Sends bytes, reads to the end.
    pub async fn raw(&self, request: &[u8]) -> Vec<u8> {
        let mut socket = self.connect().await;
        within(async {
            socket.write_all(request).await.unwrap();
            let mut answer = Vec::new();
            socket.read_to_end(&mut answer).await.unwrap();
            answer
        })
        .await
    }

    pub async fn request(&self, method: &str, path: &str, body: Option<&str>) -> Reply {
        let headers = body.map_or(String::new(), |body| {
            format!(
                "Content-Type: application/json\r\nContent-Length: {}\r\n",
                body.len()
            )
        });
        self.with(method, path, &headers, body.unwrap_or_default())
            .await
    }

    pub async fn with(&self, method: &str, path: &str, headers: &str, body: &str) -> Reply {
        let request = format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n{body}"
        );
        Reply::parse(&self.raw(request.as_bytes()).await)
    }

    pub async fn get(&self, path: &str) -> Reply {
        self.request("GET", path, None).await
    }

    pub async fn post(&self, path: &str) -> Reply {
        self.request("POST", path, None).await
    }
}

#[derive(Debug)]
pub struct Reply {
    pub status: u16,
    pub headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Reply {
    pub fn parse(bytes: &[u8]) -> Self {
        let at = bytes
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("no head");
        let head = String::from_utf8(bytes[..at].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status = lines
            .next()
            .unwrap()
            .split(' ')
            .nth(1)
            .unwrap()
            .parse()
            .unwrap();
        let headers: BTreeMap<String, String> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let mut body = bytes[at + 4..].to_vec();
        if headers
            .get("transfer-encoding")
            .is_some_and(|e| e == "chunked")
        {
            body = dechunk(&body);
        }
        Self {
            status,
            headers,
            body,
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub fn message(&self) -> String {
        self.json()["message"].as_str().unwrap().to_owned()
    }
}

fn dechunk(mut bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    while let Some(at) = bytes.windows(2).position(|w| w == b"\r\n") {
        let length = std::str::from_utf8(&bytes[..at]).unwrap();
        let length = usize::from_str_radix(length, 16).unwrap();
        if length == 0 {
            break;
        }
        out.extend_from_slice(&bytes[at + 2..at + 2 + length]);
        bytes = &bytes[at + 4 + length..];
    }
    out
}

/// Reads a head, byte by byte, leaving what follows.
pub async fn read_head(socket: &mut UnixStream) -> String {
    within(async {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(socket.read_u8().await.unwrap());
        }
        String::from_utf8(head).unwrap()
    })
    .await
}
