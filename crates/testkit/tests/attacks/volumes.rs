//! A volume that is filled from an image while a container has it.

use std::fs;
use std::os::unix::fs::{MetadataExt, symlink};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;

use rustix::fs::{CWD, RenameFlags, renameat_with};
use serde_json::json;
use testkit::{Daemon, images};

/// How many files the image has at the volume's place: their way up is the time for the attack.
const FILES: usize = 1500;
const ROUNDS: usize = 15;

/// A directory of the host's with the names that the image has, too: what is moved out of it by its
/// names is missed.
struct Host(tempfile::TempDir);

impl Host {
    fn new() -> Self {
        let dir = tempfile::Builder::new().prefix("tk-bait-").tempdir();
        let dir = dir.expect("a folder");
        for n in 0..FILES {
            fs::write(dir.path().join(n.to_string()), "host").expect("a file");
        }
        Self(dir)
    }

    /// Names, owner and mode of all that is there, and of itself.
    fn seen(&self) -> Vec<(String, u32, u32, u64)> {
        let all = fs::read_dir(self.0.path()).expect("the host's directory");
        let mut all: Vec<_> = all.map(|e| e.expect("an entry").path()).collect();
        all.push(self.0.path().to_owned());
        let mut seen: Vec<_> = all.iter().map(|path| look(path)).collect();
        seen.sort();
        seen
    }
}

fn look(path: &Path) -> (String, u32, u32, u64) {
    let meta = fs::symlink_metadata(path).expect("it is there");
    (
        path.display().to_string(),
        meta.uid(),
        meta.mode(),
        if meta.is_dir() { 0 } else { meta.size() },
    )
}

/// When the link takes the place of the directory that files come by.
#[derive(Debug, Clone, Copy)]
enum Moment {
    Made,
    Copying,
    Moving,
}

/// Waits in the container's view of its volume for the moment, in each filling once.
struct Attacker {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Attacker {
    fn new(volume: PathBuf, to: PathBuf, moment: Moment, swapped: Arc<AtomicUsize>) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let until = Arc::clone(&stop);
        let link = volume.join(".link");
        let attack = move || {
            while !until.load(Ordering::Relaxed) {
                let names = names(&volume);
                let Some(part) = names.iter().find(|name| name.starts_with(".part-")) else {
                    std::thread::yield_now();
                    continue;
                };
                let part = volume.join(part);
                // Not before: the volume has to be empty for a filling to begin.
                let _ = symlink(&to, &link);
                let now = match moment {
                    Moment::Made => true,
                    Moment::Copying => fs::read_dir(&part).is_ok_and(|mut d| d.next().is_some()),
                    Moment::Moving => names.iter().any(|name| !name.starts_with('.')),
                };
                if now && renameat_with(CWD, &part, CWD, &link, RenameFlags::EXCHANGE).is_ok() {
                    swapped.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        };
        let thread = Some(std::thread::spawn(attack));
        Self { stop, thread }
    }
}

impl Drop for Attacker {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn names(dir: &Path) -> Vec<String> {
    let all = fs::read_dir(dir).into_iter().flatten().flatten();
    all.filter_map(|e| e.file_name().into_string().ok())
        .collect()
}

/// What a volume must not be when it is filled the next time.
fn empty(volume: &Path) {
    for name in names(volume) {
        let path = volume.join(name);
        let _ = fs::remove_file(&path).or_else(|_| fs::remove_dir_all(&path));
    }
}

#[test]
fn attack_20_a_link_where_a_shared_volume_is_filled() {
    let host = Host::new();
    let before = host.seen();
    let d = Daemon::fresh();
    d.load(&images::variant(
        "attack-full",
        |layer| {
            (0..FILES).fold(layer.folder("data", 0o751), |layer, n| {
                layer.file(&format!("data/{n}"), 0o640, "image")
            })
        },
        &json!({}),
    ));
    let docker = d.docker();
    let other = "run -d --name other -v shared:/mnt busybox sleep 1000";
    docker.ok(other);
    let pid = docker.ok("inspect -f {{.State.Pid}} other");
    let volume = PathBuf::from(format!("/proc/{}/root/mnt", pid.trim()));
    let moments = [Moment::Moving, Moment::Copying, Moment::Made];
    let swapped = moments.map(|_| Arc::new(AtomicUsize::new(0)));
    for round in 0..ROUNDS {
        let which = round % moments.len();
        let count = Arc::clone(&swapped[which]);
        empty(&volume);
        let to = host.0.path().to_owned();
        let attacker = Attacker::new(volume.clone(), to, moments[which], count);
        let _ = docker.run("run --rm -v shared:/data attack-full true");
        drop(attacker);
        let now = host.seen();
        assert!(
            now == before,
            "{:?}, round {round}: the host had {} files, and has {}",
            moments[which],
            before.len(),
            now.len()
        );
    }
    let swapped = swapped.map(|count| count.load(Ordering::Relaxed));
    assert!(swapped.iter().sum::<usize>() > 0, "never in time");
    // Nothing of it stays: the next one gets what the image has.
    empty(&volume);
    let count = "sh -c 'ls /data | wc -l'";
    let seen = docker.ok(&format!("run --rm -v shared:/data attack-full {count}"));
    assert_eq!(seen, FILES.to_string());
    docker.ok("rm -f other");
    d.assert_no_leaks();
}
