//! Walking a context: what is there, as the kernel tells it, compared with what is remembered.
//!
//! Several threads take directories from one heap. Of what did not change nothing is kept but its
//! place in the memory, so that a walk of an unchanged context makes nothing but system calls.

use std::{
    io,
    mem::MaybeUninit,
    os::fd::BorrowedFd,
    sync::{
        Arc, Condvar, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use rustix::{
    fs::{AtFlags, OFlags, RawDir, statat},
    io::Errno,
};
use types::build::EntryKind;

use super::{
    file::{Failure, Stat, linked, open_below},
    ignore::Ignore,
    memory::Memory,
};

/// More threads than this only wait for one another.
const THREADS: usize = 4;

/// Something new, or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: String,
    pub(super) stat: Stat,
    /// What it has in common with the other names of its file.
    pub(super) linked: String,
    /// Its place in the memory, if it has one.
    pub(super) old: Option<u32>,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// Places in the memory of what is as it was.
    pub(super) same: Vec<u32>,
    pub(super) found: Vec<Found>,
}

/// A directory that is left out itself, and is walked for what comes back below it.
#[derive(Debug)]
struct Ghost {
    found: Found,
    same: bool,
    /// Something below it is a part of the context, hence it is one, too.
    needed: AtomicBool,
    above: Option<Arc<Ghost>>,
}

impl Ghost {
    fn need(mut ghost: Option<&Arc<Self>>) {
        while let Some(this) = ghost {
            if this.needed.swap(true, Ordering::Relaxed) {
                return;
            }
            ghost = this.above.as_ref();
        }
    }
}

/// A directory that is to be walked.
struct Task {
    path: String,
    ghost: Option<Arc<Ghost>>,
}

#[derive(Default)]
struct Heap {
    tasks: Vec<Task>,
    working: usize,
    failed: bool,
}

struct Walk<'a> {
    root: BorrowedFd<'a>,
    ignore: &'a Ignore,
    memory: &'a Memory<'a>,
    heap: Mutex<Heap>,
    changed: Condvar,
}

/// Walks everything below `root`.
pub(super) fn scan(
    root: BorrowedFd<'_>,
    ignore: &Ignore,
    memory: &Memory<'_>,
) -> Result<Scan, Failure> {
    let walk = Walk {
        root,
        ignore,
        memory,
        heap: Mutex::new(Heap {
            tasks: vec![Task {
                path: String::new(),
                ghost: None,
            }],
            ..Heap::default()
        }),
        changed: Condvar::new(),
    };
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    let results: Vec<Result<Scan, Failure>> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(|| walk.work())).collect();
        let mut results = vec![walk.work()];
        results.extend(others.into_iter().filter_map(|other| other.join().ok()));
        results
    });
    let mut all = Scan::default();
    for result in results {
        let mut one = result?;
        all.same.append(&mut one.same);
        all.found.append(&mut one.found);
    }
    Ok(all)
}

impl Walk<'_> {
    fn heap(&self) -> std::sync::MutexGuard<'_, Heap> {
        // A panic elsewhere ends the whole walk anyway.
        self.heap.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self, finished: bool, new: &mut Vec<Task>) -> Option<Task> {
        let mut heap = self.heap();
        heap.tasks.append(new);
        heap.working -= usize::from(finished);
        loop {
            if heap.failed {
                return None;
            }
            if let Some(task) = heap.tasks.pop() {
                heap.working += 1;
                if !heap.tasks.is_empty() {
                    self.changed.notify_one();
                }
                return Some(task);
            }
            if heap.working == 0 {
                self.changed.notify_all();
                return None;
            }
            heap = self
                .changed
                .wait(heap)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn work(&self) -> Result<Scan, Failure> {
        let mut scan = Scan::default();
        let mut ghosts = Vec::new();
        let mut new = Vec::new();
        let mut buffer = vec![MaybeUninit::uninit(); 32 << 10];
        let mut finished = false;
        while let Some(task) = self.next(finished, &mut new) {
            finished = true;
            let done = self.directory(&task, &mut buffer, &mut scan, &mut new, &mut ghosts);
            if let Err(failure) = done {
                self.heap().failed = true;
                self.changed.notify_all();
                return Err(failure);
            }
        }
        // All threads are done when the heap is empty, so that nobody can need one later.
        for ghost in ghosts {
            if ghost.needed.load(Ordering::Relaxed) {
                match (ghost.same, ghost.found.old) {
                    (true, Some(old)) => scan.same.push(old),
                    _ => scan.found.push(ghost.found.clone()),
                }
            }
        }
        Ok(scan)
    }

    fn directory(
        &self,
        task: &Task,
        buffer: &mut [MaybeUninit<u8>],
        scan: &mut Scan,
        new: &mut Vec<Task>,
        ghosts: &mut Vec<Arc<Ghost>>,
    ) -> Result<(), Failure> {
        let failed = |op, path: &str, e: Errno| Failure::new(op, path, e);
        let dir = match open_below(self.root, &task.path, OFlags::DIRECTORY) {
            Ok(dir) => dir,
            // It went away, or became something else, while we walked.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) if !task.path.is_empty() => {
                return Ok(());
            }
            Err(e) => return Err(failed("open", &task.path, e)),
        };
        let mut path = task.path.clone();
        if !path.is_empty() {
            path.push('/');
        }
        let base = path.len();
        let mut entries = RawDir::new(&dir, buffer);
        while let Some(entry) = entries.next() {
            let entry = entry.map_err(|e| failed("read", &task.path, e))?;
            let name = entry.file_name();
            if matches!(name.to_bytes(), b"." | b"..") {
                continue;
            }
            path.truncate(base);
            let Ok(text) = name.to_str() else {
                path.push_str(&name.to_string_lossy());
                let why = io::Error::other("the name is not UTF-8, and the API takes only that");
                return Err(Failure::new("read", &path, why));
            };
            path.push_str(text);
            let ignored = self.ignore.ignores(&path);
            if ignored && !self.ignore.may_come_back_below(&path) {
                continue;
            }
            let stat = match statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW) {
                Ok(stat) => stat,
                Err(Errno::NOENT) => continue,
                Err(e) => return Err(failed("lstat", &path, e)),
            };
            let linked = linked(&stat);
            let Some(stat) = Stat::of(&stat) else {
                continue;
            };
            let is_dir = stat.kind == EntryKind::Dir;
            if ignored && !is_dir {
                continue;
            }
            let old = self.memory.find(&path);
            let known = old.and_then(|old| self.memory.at(old));
            let same = known.is_some_and(|k| k.stat == stat && k.settled);
            let mut ghost = None;
            if ignored {
                let one = Arc::new(Ghost {
                    found: Found {
                        path: path.clone(),
                        stat,
                        linked,
                        old,
                    },
                    same,
                    needed: AtomicBool::new(false),
                    above: task.ghost.clone(),
                });
                ghosts.push(Arc::clone(&one));
                ghost = Some(one);
            } else {
                Ghost::need(task.ghost.as_ref());
                match old.filter(|_| same) {
                    Some(old) => scan.same.push(old),
                    None => scan.found.push(Found {
                        path: path.clone(),
                        stat,
                        linked,
                        old,
                    }),
                }
            }
            if is_dir {
                new.push(Task {
                    path: path.clone(),
                    ghost,
                });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{FileType, Mode};

    use super::*;

    fn names(root: &std::path::Path, ignore: &Ignore) -> Vec<String> {
        let dir = std::fs::File::open(root).unwrap();
        let scan = scan(dir.as_fd(), ignore, &Memory::default()).unwrap();
        let mut names: Vec<String> = scan.found.into_iter().map(|f| f.path).collect();
        names.sort();
        names
    }

    #[test]
    fn what_is_left_out_is_not_walked_and_exceptions_bring_their_directories() {
        let root = tempfile::tempdir().unwrap();
        let at = |name: &str| root.path().join(name);
        for dir in ["a/b/c", "node_modules/x", "empty"] {
            std::fs::create_dir_all(at(dir)).unwrap();
        }
        for file in ["a/b/c/keep", "a/b/drop", "node_modules/x/y", "top"] {
            std::fs::write(at(file), file).unwrap();
        }
        std::os::unix::fs::symlink("/etc", at("out")).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            at("pipe"),
            FileType::Fifo,
            Mode::from(0o600),
            0,
        )
        .unwrap();
        let none = Ignore::default();
        assert_eq!(
            names(root.path(), &none),
            [
                "a",
                "a/b",
                "a/b/c",
                "a/b/c/keep",
                "a/b/drop",
                "empty",
                "node_modules",
                "node_modules/x",
                "node_modules/x/y",
                "out",
                "top",
            ]
        );
        let some = Ignore::parse("x", b"node_modules\na\nempty\n!a/b/c/keep\n").unwrap();
        assert_eq!(
            names(root.path(), &some),
            ["a", "a/b", "a/b/c", "a/b/c/keep", "out", "top"]
        );
    }
}
