//! What the tests share: a real registry, a scripted one, layers good and bad, and a way to look
//! into a detached mount.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    reason = "each test file uses a part"
)]

pub mod scripted;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use image::{CancellationToken, Digest, Error, Options, Progress, Pulled, Reference, Store};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};

pub const USER: &str = "ali";
pub const PASSWORD: &str = "opensesame";
/// What `htpasswd -B` makes of the two.
const HTPASSWD: &str = "ali:$2y$05$abcdefghijklmnopqrstuuQbLfdQZSxZ9gjhA5V9o8Tyc6aQRO0Qi";

/// Polls until it holds.
pub fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    let end = Instant::now() + Duration::from_secs(30);
    while !holds() {
        assert!(Instant::now() < end, "{what} did not come about");
        std::thread::sleep(Duration::from_millis(10));
    }
}

pub fn temp() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

pub fn open(root: &Path) -> Store {
    Store::open(root, Options::default()).unwrap()
}

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

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[derive(Clone)]
pub struct TestLayer {
    pub tar: Vec<u8>,
    pub packed: Vec<u8>,
    pub suffix: &'static str,
}

impl TestLayer {
    pub fn plain(tar: Vec<u8>) -> Self {
        Self {
            packed: tar.clone(),
            tar,
            suffix: "",
        }
    }

    pub fn gzip(tar: Vec<u8>) -> Self {
        Self {
            packed: gzip(&tar),
            tar,
            suffix: "+gzip",
        }
    }

    pub fn zstd(tar: Vec<u8>) -> Self {
        Self {
            packed: zstd::stream::encode_all(tar.as_slice(), 3).unwrap(),
            tar,
            suffix: "+zstd",
        }
    }

    pub fn diff_id(&self) -> Digest {
        Digest::of(&self.tar)
    }

    pub fn digest(&self) -> Digest {
        Digest::of(&self.packed)
    }
}

pub fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[derive(Clone)]
pub struct TestImage {
    pub layers: Vec<TestLayer>,
    pub diff_ids: Vec<Digest>,
    pub extra: String,
    pub arch: String,
}

impl TestImage {
    pub fn new(layers: Vec<TestLayer>) -> Self {
        let diff_ids = layers.iter().map(TestLayer::diff_id).collect();
        let arch = if cfg!(target_arch = "aarch64") {
            "arm64"
        } else {
            "amd64"
        };
        Self {
            layers,
            diff_ids,
            extra: String::new(),
            arch: arch.to_owned(),
        }
    }

    pub fn config(&self) -> String {
        let ids: Vec<_> = self.diff_ids.iter().map(|id| format!("\"{id}\"")).collect();
        format!(
            r#"{{"architecture":"{}","os":"linux","config":{{"Cmd":["x"]}}{},"rootfs":{{"type":"layers","diff_ids":[{}]}}}}"#,
            self.arch,
            self.extra,
            ids.join(",")
        )
    }

    pub fn id(&self) -> Digest {
        Digest::of(self.config().as_bytes())
    }

    pub fn manifest(&self) -> String {
        let config = self.config();
        let layers: Vec<_> = self
            .layers
            .iter()
            .map(|l| {
                format!(
                    r#"{{"mediaType":"application/vnd.oci.image.layer.v1.tar{}","digest":"{}","size":{}}}"#,
                    l.suffix,
                    l.digest(),
                    l.packed.len()
                )
            })
            .collect();
        format!(
            r#"{{"schemaVersion":2,"mediaType":"{OCI_MANIFEST}","config":{{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"{}","size":{}}},"layers":[{}]}}"#,
            Digest::of(config.as_bytes()),
            config.len(),
            layers.join(",")
        )
    }
}

/// Makes archives, also such as no honest tool makes: names are put down as they are.
pub struct Tar(tar::Builder<Vec<u8>>);

impl Default for Tar {
    fn default() -> Self {
        Self::new()
    }
}

impl Tar {
    pub fn new() -> Self {
        Self(tar::Builder::new(Vec::new()))
    }

    fn entry(
        mut self,
        kind: tar::EntryType,
        name: &str,
        link: &str,
        mode: u32,
        data: &[u8],
    ) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_size(data.len() as u64);
        header.set_mtime(1_000_000);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.as_old_mut().linkname[..link.len()].copy_from_slice(link.as_bytes());
        header.set_cksum();
        self.0.append(&header, data).unwrap();
        self
    }

    pub fn file(self, name: &str, data: &str) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, data.as_bytes())
    }

    pub fn bytes(self, name: &str, data: &[u8]) -> Self {
        self.entry(tar::EntryType::Regular, name, "", 0o644, data)
    }

    pub fn mode(self, name: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Regular, name, "", mode, b"m")
    }

    pub fn dir(self, name: &str) -> Self {
        self.entry(tar::EntryType::Directory, name, "", 0o755, b"")
    }

    pub fn dir_mode(self, name: &str, mode: u32) -> Self {
        self.entry(tar::EntryType::Directory, name, "", mode, b"")
    }

    pub fn symlink(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Symlink, name, target, 0o777, b"")
    }

    pub fn hard_link(self, name: &str, target: &str) -> Self {
        self.entry(tar::EntryType::Link, name, target, 0o644, b"")
    }

    pub fn fifo(self, name: &str) -> Self {
        self.entry(tar::EntryType::Fifo, name, "", 0o600, b"")
    }

    pub fn char_device(mut self, name: &str, major: u32, minor: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(tar::EntryType::Char);
        header.set_mode(0o666);
        header.set_size(0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_cksum();
        self.0.append(&header, &b""[..]).unwrap();
        self
    }

    pub fn owned(mut self, name: &str, uid: u64, gid: u64, mode: u32) -> Self {
        let mut header = tar::Header::new_gnu();
        header.set_mode(mode);
        header.set_size(0);
        header.set_uid(uid);
        header.set_gid(gid);
        header.set_cksum();
        self.0.append_data(&mut header, name, &b""[..]).unwrap();
        self
    }

    /// A PAX header with these records before whatever comes next.
    pub fn pax(mut self, records: &[(&str, &[u8])]) -> Self {
        self.0
            .append_pax_extensions(records.iter().copied())
            .unwrap();
        self
    }

    /// A header made by hand.
    pub fn raw(mut self, header: &tar::Header, data: &[u8]) -> Self {
        self.0.append(header, data).unwrap();
        self
    }

    pub fn build(self) -> Vec<u8> {
        self.0.into_inner().unwrap()
    }

    pub fn layer(self) -> TestLayer {
        TestLayer::gzip(self.build())
    }
}

/// Collects what a pull reports.
#[derive(Default)]
pub struct Log(Mutex<Vec<Progress>>);

impl Log {
    pub fn add(&self, progress: Progress) {
        self.0.lock().unwrap().push(progress);
    }

    pub fn lines(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .map(|p| serde_json::to_string(&p.line()).unwrap())
            .collect()
    }

    pub fn statuses(&self) -> Vec<String> {
        self.0
            .lock()
            .unwrap()
            .iter()
            .filter_map(|p| p.line().status)
            .collect()
    }
}

pub async fn pull(store: &Store, reference: &Reference) -> Result<Pulled, Error> {
    store
        .pull(reference, None, None, &|_| (), CancellationToken::new())
        .await
}

/// Everything in a directory, by path: kind, and content or link target.
pub fn tree(root: &OwnedFd) -> BTreeMap<String, String> {
    let mut all = BTreeMap::new();
    walk(root, "", &mut all);
    all
}

fn walk(dir: &OwnedFd, prefix: &str, all: &mut BTreeMap<String, String>) {
    let list =
        rustix::fs::openat(dir, ".", OFlags::RDONLY | OFlags::DIRECTORY, Mode::empty()).unwrap();
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(&list).unwrap() {
        let name = entry.unwrap().file_name().to_string_lossy().into_owned();
        if name != "." && name != ".." {
            names.push(name);
        }
    }
    for name in names {
        let path = if prefix.is_empty() {
            name.clone()
        } else {
            format!("{prefix}/{name}")
        };
        // An overlay lists a whiteout in a directory that has nothing below it to merge with,
        // though it hides it; only archives that delete what never was have such.
        let stat = match rustix::fs::statat(dir, &name, AtFlags::SYMLINK_NOFOLLOW) {
            Err(rustix::io::Errno::NOENT) => continue,
            stat => stat.unwrap(),
        };
        let text = match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW;
                walk(
                    &rustix::fs::openat(dir, &name, flags, Mode::empty()).unwrap(),
                    &path,
                    all,
                );
                "dir".to_owned()
            }
            FileType::RegularFile => {
                let file = rustix::fs::openat(dir, &name, OFlags::RDONLY, Mode::empty()).unwrap();
                let mut text = String::new();
                std::fs::File::from(file).read_to_string(&mut text).unwrap();
                format!("file {text}")
            }
            FileType::Symlink => {
                let target = rustix::fs::readlinkat(dir, &name, Vec::new()).unwrap();
                format!("link {}", target.to_string_lossy())
            }
            FileType::Fifo => "fifo".to_owned(),
            FileType::CharacterDevice => format!("char {:x}", stat.st_rdev),
            other => format!("{other:?}"),
        };
        all.insert(path, text);
    }
}

pub fn stat(root: &impl AsFd, path: &str) -> rustix::fs::Stat {
    rustix::fs::statat(root, path, AtFlags::SYMLINK_NOFOLLOW).unwrap()
}

pub fn read(root: &impl AsFd, path: &str) -> String {
    let file = rustix::fs::openat(root, path, OFlags::RDONLY, Mode::empty()).unwrap();
    let mut text = String::new();
    std::fs::File::from(file).read_to_string(&mut text).unwrap();
    text
}

/// Makes an image of these layers and mounts a container of it.
pub fn mounted(store: &Store, layers: &[&[u8]]) -> Result<OwnedFd, Error> {
    let image = store.add_image(
        &Reference::parse("t").unwrap(),
        image::ImageConfig {
            os: "linux".into(),
            ..Default::default()
        },
        layers,
    )?;
    let id = format!("c{}", image.id.short());
    store.create_container(&id, &image.id.to_string())?;
    store.mount_container(&id)
}

/// What is below a store's parts, for "nothing is left".
pub fn names(store: &Store, part: &str) -> Vec<String> {
    let mut names: Vec<_> = std::fs::read_dir(store.root().join(part))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

pub fn nothing_left(store: &Store) {
    wait_for("an empty tmp", || names(store, "tmp").is_empty());
}

/// What a registry answers that has one image under every name.
pub fn content(image: &TestImage, request: &scripted::Request) -> scripted::Answer {
    use scripted::Answer;
    if request.path.contains("/manifests/") {
        return Answer::new(200, image.manifest()).with("Content-Type", OCI_MANIFEST);
    }
    let config = image.config().into_bytes();
    for blob in image
        .layers
        .iter()
        .map(|layer| layer.packed.clone())
        .chain([config])
    {
        if request.path.ends_with(&Digest::of(&blob).to_string()) {
            let from = request.header("range").and_then(|range| {
                range
                    .strip_prefix("bytes=")?
                    .strip_suffix('-')?
                    .parse()
                    .ok()
            });
            return match from {
                Some(from) if from < blob.len() => Answer::new(206, &blob[from..]),
                Some(_) => Answer::new(416, ""),
                None => Answer::new(200, blob),
            };
        }
    }
    Answer::new(
        404,
        r#"{"errors":[{"code":"NAME_UNKNOWN","message":"no"}]}"#,
    )
}
