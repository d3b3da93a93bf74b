//! Reading files for their digests.

use std::{
    fs::File,
    io::{self, Read},
    os::fd::BorrowedFd,
    sync::atomic::{AtomicUsize, Ordering},
};

use ring::digest::{Context, SHA256};
use rustix::{fs::OFlags, io::Errno};
use types::build::EntryKind;

use super::{
    file::{Failure, Stat, open_below},
    picture::Fresh,
};

/// More threads than this wait for the disk.
const THREADS: usize = 4;
/// Files that a thread takes at a time.
const TAKEN: usize = 16;
/// Longest target of a link.
const BUFFER: usize = 128 << 10;

/// Hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut out = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        out.push(char::from(DIGITS[usize::from(byte >> 4)]));
        out.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    out
}

/// SHA-256 of `bytes`.
pub(super) fn sha256(bytes: &[u8]) -> [u8; 32] {
    finish(&ring::digest::digest(&SHA256, bytes))
}

/// `digest` as bytes.
pub(super) fn finish(digest: &ring::digest::Digest) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest.as_ref());
    out
}

/// Fills digests and links' targets in.
pub(super) fn read(root: BorrowedFd<'_>, all: &mut Vec<Fresh>) -> Result<(), Failure> {
    let work: Vec<usize> = (0..all.len())
        .filter(|at| all[*at].stat.kind != EntryKind::Dir)
        .collect();
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get().min(THREADS));
    let threads = threads.min(work.len().div_ceil(TAKEN)).max(1);
    let next = AtomicUsize::new(0);
    let one = |taken: &[usize], buffer: &mut Vec<u8>, done: &mut Vec<(usize, Option<Fresh>)>| {
        for &at in taken {
            done.push((at, one_file(root, &all[at], buffer)?));
        }
        Ok(())
    };
    let run = || -> Result<Vec<(usize, Option<Fresh>)>, Failure> {
        let mut done = Vec::new();
        let mut buffer = vec![0; BUFFER];
        loop {
            let start = next.fetch_add(TAKEN, Ordering::Relaxed);
            if start >= work.len() {
                return Ok(done);
            }
            let end = (start + TAKEN).min(work.len());
            one(&work[start..end], &mut buffer, &mut done)?;
        }
    };
    let results: Vec<_> = std::thread::scope(|scope| {
        let others: Vec<_> = (1..threads).map(|_| scope.spawn(run)).collect();
        let mut results = vec![run()];
        results.extend(others.into_iter().filter_map(|other| other.join().ok()));
        results
    });
    let mut gone = Vec::new();
    for result in results {
        for (at, fresh) in result? {
            match fresh {
                Some(fresh) => all[at] = fresh,
                None => gone.push(at),
            }
        }
    }
    gone.sort_unstable();
    for at in gone.into_iter().rev() {
        all.swap_remove(at);
    }
    Ok(())
}

/// None where it went away, or became something else, since the walk: the next build sees that.
fn one_file(
    root: BorrowedFd<'_>,
    fresh: &Fresh,
    buffer: &mut [u8],
) -> Result<Option<Fresh>, Failure> {
    let mut fresh = fresh.clone();
    if fresh.stat.kind == EntryKind::Symlink {
        let failed = |e: Errno| Failure::new("readlink", &fresh.path, e);
        let (above, name) = fresh.path.rsplit_once('/').unwrap_or(("", &fresh.path));
        let target = open_below(root, above, OFlags::DIRECTORY)
            .and_then(|dir| rustix::fs::readlinkat(dir, name, Vec::new()));
        let target = match target {
            Ok(target) => target,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::INVAL) => return Ok(None),
            Err(e) => return Err(failed(e)),
        };
        fresh.link = target.into_string().map_err(|_| {
            let why = io::Error::other("its target is not UTF-8, and the API takes only that");
            Failure::new("readlink", &fresh.path, why)
        })?;
        return Ok(Some(fresh));
    }
    let Some(mut file) = open(root, &fresh.path)? else {
        return Ok(None);
    };
    let before = stat(&file, &fresh.path)?;
    let (digest, size) =
        content(&mut file, buffer).map_err(|e| Failure::new("read", &fresh.path, e))?;
    let Some(mut found) = before else {
        return Ok(None);
    };
    if stat(&file, &fresh.path)? != Some(found) || size != found.size {
        // It is being written: what was read is what is sent, and it is read again next time.
        fresh.settled = false;
        found.size = size;
    }
    (fresh.stat, fresh.digest) = (found, digest);
    Ok(Some(fresh))
}

/// Opens a file; none where there is no regular one any more.
pub(super) fn open(root: BorrowedFd<'_>, path: &str) -> Result<Option<File>, Failure> {
    // A pipe that took its place would keep us waiting for a writer.
    match open_below(root, path, OFlags::NONBLOCK) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP | Errno::NXIO) => Ok(None),
        Err(e) => Err(Failure::new("open", path, e)),
    }
}

fn stat(file: &File, path: &str) -> Result<Option<Stat>, Failure> {
    let stat = rustix::fs::fstat(file).map_err(|e| Failure::new("stat", path, e))?;
    Ok(Stat::of(&stat).filter(|s| s.kind == EntryKind::File))
}

fn content(file: &mut File, buffer: &mut [u8]) -> io::Result<([u8; 32], u64)> {
    let mut context = Context::new(&SHA256);
    let mut size = 0;
    loop {
        match file.read(buffer) {
            Ok(0) => return Ok((finish(&context.finish()), size)),
            Ok(n) => {
                context.update(&buffer[..n]);
                size += n as u64;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_sha256() {
        assert_eq!(
            hex(&sha256(b"abc")),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
