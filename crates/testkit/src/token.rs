//! A server that gives the tokens which a registry with bearer authentication asks for.

use std::io::{BufReader, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD};
use serde_json::json;

use crate::cmd::run;
use crate::host::Ns;
use crate::http::read_head;
use crate::registry::Registry;

/// The server and its key.
pub(crate) struct TokenServer {
    address: SocketAddr,
    certificate: PathBuf,
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Signer {
    key: PathBuf,
    /// The certificate in base64 without lines, as a token's header carries it.
    x5c: String,
    anonymous: bool,
}

impl TokenServer {
    pub(crate) fn start(ns: &Ns, ip: IpAddr, dir: &Path, anonymous: bool) -> Self {
        let (key, certificate) = (dir.join("token.key"), dir.join("token.crt"));
        let mut openssl = Command::new("openssl");
        openssl
            .args([
                "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
            ])
            .args(["-subj", "/CN=testkit", "-keyout"])
            .arg(&key)
            .arg("-out")
            .arg(&certificate);
        run(&mut openssl).ok();
        let pem = std::fs::read_to_string(&certificate).expect("openssl wrote it");
        let x5c = pem.lines().filter(|l| !l.starts_with('-')).collect();
        let listener = ns.within(|| TcpListener::bind((ip, 0)).expect("a free port"));
        let address = listener.local_addr().expect("a bound socket");
        listener.set_nonblocking(true).expect("a socket");
        let stop = Arc::new(AtomicBool::new(false));
        let (signer, stopped) = (
            Signer {
                key,
                x5c,
                anonymous,
            },
            stop.clone(),
        );
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                match listener.accept() {
                    Ok((socket, _)) => drop(signer.serve(&socket)),
                    Err(_) => std::thread::sleep(Duration::from_millis(5)),
                }
            }
        });
        Self {
            address,
            certificate,
            stop,
            thread: Some(thread),
        }
    }

    pub(crate) fn realm(&self) -> String {
        format!("http://{}/token", self.address)
    }

    pub(crate) fn certificate(&self) -> &Path {
        &self.certificate
    }
}

impl Drop for TokenServer {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Signer {
    /// Answers one request: a token for every scope that is asked for, if the password is right;
    /// without one, at most the right to pull.
    fn serve(&self, socket: &TcpStream) -> std::io::Result<()> {
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(Duration::from_secs(10)))?;
        let (_, headers) = read_head(&mut BufReader::new(socket))?;
        let line = headers[0].1.clone();
        let user = BASE64_STANDARD.encode(format!("{}:{}", Registry::USER, Registry::PASSWORD));
        let given = headers
            .iter()
            .find(|(n, _)| n == "authorization")
            .map(|(_, v)| v.as_str());
        let known = given == Some(&format!("Basic {user}"));
        let (status, body) = if known || (self.anonymous && given.is_none()) {
            let token = self.token(&line, known);
            (
                "200 OK",
                json!({"token": token, "access_token": token, "expires_in": 300}),
            )
        } else {
            let error = json!({"code": "UNAUTHORIZED", "message": "wrong user or password"});
            ("401 Unauthorized", json!({"errors": [error]}))
        };
        let body = body.to_string();
        let mut socket = socket;
        write!(
            socket,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nConnection: close\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }

    fn token(&self, request: &str, known: bool) -> String {
        let query = request.split([' ', '?']).nth(2).unwrap_or_default();
        let access: Vec<_> = query
            .split('&')
            .filter_map(|pair| pair.strip_prefix("scope="))
            .map(|scope| {
                scope
                    .replace("%3A", ":")
                    .replace("%2F", "/")
                    .replace("%2C", ",")
            })
            .flat_map(|scopes| {
                scopes
                    .split(['+', ' '])
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            })
            .filter_map(|scope| {
                let (kind, rest) = scope.split_once(':')?;
                let (name, actions) = rest.rsplit_once(':')?;
                let allowed: Vec<_> = actions
                    .split(',')
                    .filter(|a| known || *a == "pull")
                    .collect();
                Some(json!({"type": kind, "name": name, "actions": allowed}))
            })
            .collect();
        let now = SystemTime::UNIX_EPOCH
            .elapsed()
            .unwrap_or_default()
            .as_secs();
        let header = json!({"typ": "JWT", "alg": "RS256", "x5c": [self.x5c]});
        let claims = json!({
            "iss": "testkit", "sub": Registry::USER, "aud": "test", "jti": now.to_string(),
            "iat": now - 10, "nbf": now - 10, "exp": now + 300, "access": access,
        });
        let encode = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        let signed = format!(
            "{}.{}",
            encode(header.to_string().as_bytes()),
            encode(claims.to_string().as_bytes())
        );
        format!("{signed}.{}", encode(&self.sign(signed.as_bytes())))
    }

    fn sign(&self, bytes: &[u8]) -> Vec<u8> {
        let input = tempfile::NamedTempFile::new().expect("/tmp is writable");
        std::fs::write(input.path(), bytes).expect("/tmp is writable");
        let output = Command::new("openssl")
            .args(["dgst", "-sha256", "-sign"])
            .arg(&self.key)
            .arg(input.path())
            .output()
            .expect("openssl is installed");
        assert!(output.status.success(), "openssl signs");
        output.stdout
    }
}
