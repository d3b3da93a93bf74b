//! What is made once and used by many tests, under `target/fixtures`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The workspace's root.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("crates/testkit is two levels down")
        .to_owned()
}

/// Cargo's target folder.
pub fn target_dir() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace().join("target"), PathBuf::from)
}

/// The path of the fixture `name`; the first who asks makes it with `make`, others wait. The name
/// must change when what it is made from changes.
pub fn cached(name: &str, make: impl FnOnce(&Path)) -> PathBuf {
    let folder = target_dir().join("fixtures");
    fs::create_dir_all(&folder).expect("target/ is writable");
    let path = folder.join(name);
    if path.exists() {
        return path;
    }
    let lock = File::create(folder.join(format!("{name}.lock"))).expect("target/ is writable");
    lock.lock().expect("flock works");
    if !path.exists() {
        let partial = folder.join(format!("{name}.partial"));
        remove(&partial);
        make(&partial);
        fs::rename(&partial, &path).expect("the fixture was made");
    }
    path
}

fn remove(path: &Path) {
    if path.is_dir() {
        fs::remove_dir_all(path).expect("an old partial fixture");
    } else if path.exists() {
        fs::remove_file(path).expect("an old partial fixture");
    }
}
