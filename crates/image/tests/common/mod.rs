//! What the tests share: a real registry, a scripted one, layers good and bad, and a way to look
//! into a detached mount.
#![allow(
    dead_code,
    missing_docs,
    unreachable_pub,
    unused_imports,
    reason = "each test file uses a part"
)]

mod archives;
mod look;
mod made;
mod registry;
pub mod scripted;

use std::path::Path;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use image::{CancellationToken, Error, Options, Progress, Pulled, Reference, Store};

pub use archives::Tar;
pub use look::{mounted, read, stat, tree};
pub use made::{TestImage, TestLayer, content, gzip};
pub use registry::Registry;

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

pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";

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
