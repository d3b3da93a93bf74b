//! A real registry.

use std::io::{Read, Write};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use image::{Digest, Reference};

use super::{HTPASSWD, OCI_MANIFEST, PASSWORD, TestImage, USER, temp};

/// Debian's `docker-registry` on a port of its own.
pub struct Registry {
    child: Child,
    pub dir: tempfile::TempDir,
    pub port: u16,
    auth: bool,
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Registry {
    pub fn start() -> Self {
        Self::start_with(false)
    }

    pub fn start_with(auth: bool) -> Self {
        let dir = temp();
        let root = dir.path().display();
        // Another process may take the port between the two; then the next one is tried.
        for _ in 0..20 {
            let port = std::net::TcpListener::bind("127.0.0.1:0")
                .unwrap()
                .local_addr()
                .unwrap()
                .port();
            let mut config = format!(
                "version: 0.1\nlog: {{level: error, accesslog: {{disabled: true}}}}\n\
                 storage: {{filesystem: {{rootdirectory: {root}/data}}, delete: {{enabled: true}}}}\n\
                 http: {{addr: '127.0.0.1:{port}', secret: x}}\n"
            );
            if auth {
                std::fs::write(dir.path().join("htpasswd"), format!("{HTPASSWD}\n")).unwrap();
                config += &format!("auth: {{htpasswd: {{realm: here, path: {root}/htpasswd}}}}\n");
            }
            let file = dir.path().join("config.yml");
            std::fs::write(&file, config).unwrap();
            let log = std::fs::File::create(dir.path().join("log")).unwrap();
            let mut child = Command::new("docker-registry")
                .arg("serve")
                .arg(&file)
                .stdout(log.try_clone().unwrap())
                .stderr(log)
                .stdin(Stdio::null())
                .spawn()
                .unwrap();
            let end = Instant::now() + Duration::from_secs(20);
            while Instant::now() < end && child.try_wait().unwrap().is_none() {
                if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
                    return Self {
                        child,
                        dir,
                        port,
                        auth,
                    };
                }
                std::thread::sleep(Duration::from_millis(20));
            }
            let _ = child.kill();
            let _ = child.wait();
        }
        panic!("docker-registry does not start");
    }

    pub fn reference(&self, name: &str) -> Reference {
        Reference::parse(&format!("127.0.0.1:{}/{name}", self.port)).unwrap()
    }

    /// Where a blob's bytes are on the registry's disk.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        let hex = digest.hex();
        self.dir.path().join(format!(
            "data/docker/registry/v2/blobs/sha256/{}/{hex}/data",
            &hex[..2]
        ))
    }

    fn curl(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> String {
        let url = if path.starts_with("http") {
            path.to_owned()
        } else {
            format!("http://127.0.0.1:{}{path}", self.port)
        };
        let (host, target) = url
            .strip_prefix("http://")
            .unwrap()
            .split_once('/')
            .unwrap();
        let mut stream = std::net::TcpStream::connect(host).unwrap();
        let mut request = format!(
            "{method} /{target} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {}\r\n",
            body.len()
        );
        if self.auth {
            use base64::Engine as _;
            let basic =
                base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
            request += &format!("Authorization: Basic {basic}\r\n");
        }
        for (key, value) in headers {
            request += &format!("{key}: {value}\r\n");
        }
        stream.write_all(request.as_bytes()).unwrap();
        stream.write_all(b"\r\n").unwrap();
        stream.write_all(body).unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).unwrap();
        let answer = String::from_utf8_lossy(&answer).into_owned();
        let status = answer.split(' ').nth(1).unwrap_or_default().to_owned();
        assert!(status.starts_with('2'), "{method} {url}: {answer}");
        answer
    }

    pub fn push_blob(&self, repository: &str, bytes: &[u8]) -> Digest {
        let digest = Digest::of(bytes);
        let answer = self.curl(
            "POST",
            &format!("/v2/{repository}/blobs/uploads/"),
            &[],
            b"",
        );
        let location = answer
            .lines()
            .find_map(|line| {
                line.to_lowercase()
                    .starts_with("location: ")
                    .then(|| line[10..].trim())
            })
            .unwrap()
            .to_owned();
        let separator = if location.contains('?') { '&' } else { '?' };
        let url = format!("{location}{separator}digest={digest}");
        self.curl(
            "PUT",
            &url,
            &[("Content-Type", "application/octet-stream")],
            bytes,
        );
        digest
    }

    pub fn push_manifest(
        &self,
        repository: &str,
        tag: &str,
        media_type: &str,
        text: &str,
    ) -> Digest {
        let path = format!("/v2/{repository}/manifests/{tag}");
        self.curl(
            "PUT",
            &path,
            &[("Content-Type", media_type)],
            text.as_bytes(),
        );
        Digest::of(text.as_bytes())
    }

    /// Pushes an image and returns its manifest's digest.
    pub fn push(&self, repository: &str, tag: &str, image: &TestImage) -> Digest {
        for layer in &image.layers {
            self.push_blob(repository, &layer.packed);
        }
        self.push_blob(repository, image.config().as_bytes());
        self.push_manifest(repository, tag, OCI_MANIFEST, &image.manifest())
    }
}
