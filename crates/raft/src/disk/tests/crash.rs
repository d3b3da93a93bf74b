//! Crashes at each durable step, and writes that fail.

use std::io;
use std::sync::Mutex;

use super::*;
use crate::disk::Hook;
use crate::error::Error;

#[test]
fn a_last_entry_cut_short_anywhere_is_dropped_and_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let source = dir.path().join("source");
    let disk = open(&source).unwrap();
    disk.log().append(entries(1, 0..3)).unwrap();
    let kept = std::fs::metadata(newest_log(&source)).unwrap().len();
    disk.log().append(entries(1, 3..4)).unwrap();
    let whole = std::fs::metadata(newest_log(&source)).unwrap().len();
    let good = files(&source);
    let name = newest_log(&source)
        .file_name()
        .unwrap()
        .to_str()
        .unwrap()
        .to_owned();
    let path = dir.path().join("torn");
    for length in kept..=whole {
        for zeroes in [0, 100] {
            let mut torn = good.clone();
            let log = torn.iter_mut().find(|(n, _)| *n == name).unwrap();
            log.1.truncate(length as usize);
            // A file system may have made it longer before the bytes came.
            if length == kept {
                log.1.extend(vec![0; zeroes]);
            }
            restore(&path, &torn);
            let disk = open(&path).unwrap();
            let there = if length == whole { 4 } else { 3 };
            assert_eq!(
                all(&disk),
                entries(1, 0..there),
                "{length} of {kept}..{whole}"
            );
            disk.log().append(entries(2, there..there + 1)).unwrap();
            drop(disk);
            assert_eq!(all(&open(&path).unwrap()).len() as u64, there + 1);
        }
    }
}

/// Does all there is to do, and answers how many entries were acknowledged.
fn work(disk: &Disk, done: &Mutex<u64>) -> crate::Result<()> {
    disk.claim(1)?;
    for round in 0..12 {
        disk.log().save_vote(crate::types::Vote::new(round, 1))?;
        let next = round * 2;
        disk.log().append(entries(1, next..next + 2))?;
        *done.lock().unwrap() = next + 2;
        if round % 4 == 3 {
            disk.write_snapshot(&meta(1, next), &[9; 50])?;
            disk.log().purge(id(1, next - 2))?;
            disk.rotate()?;
        }
    }
    Ok(())
}

/// The folder as it is at the `n`th step from which on nothing is written any more.
fn until(path: &Path, n: usize, error: fn() -> io::Error) -> (Option<String>, u64) {
    let at = Arc::new(Mutex::new((0, None)));
    let seen = at.clone();
    let hook: Hook = Arc::new(move |step| {
        let mut at = at.lock().unwrap();
        at.0 += 1;
        if at.0 <= n {
            return Ok(());
        }
        at.1.get_or_insert_with(|| step.to_owned());
        Err(error())
    });
    let options = Options {
        segment: 700,
        hook: Some(hook),
        ..Options::default()
    };
    let done = Mutex::new(0);
    let worked = Disk::open(path, options).and_then(|disk| {
        let worked = work(&disk, &done);
        if worked.is_err() {
            // It is closed then.
            let next = *done.lock().unwrap();
            let again = disk.log().append(entries(1, next..next + 1));
            assert!(again.is_err() || next >= 24 || seen.lock().unwrap().1.is_some());
        }
        worked
    });
    let step = seen.lock().unwrap().1.clone();
    assert_eq!(worked.is_err(), step.is_some());
    (step, done.into_inner().unwrap())
}

#[test]
fn a_crash_at_any_step_loses_nothing_acknowledged() {
    let mut steps = std::collections::BTreeSet::new();
    for n in 0.. {
        let dir = tempfile::tempdir().unwrap();
        let (step, done) = until(dir.path(), n, || io::Error::other("power"));
        let Some(step) = step else { break };
        let disk = open(dir.path()).unwrap_or_else(|e| panic!("after {step}: {e}"));
        let found = all(&disk);
        let purged = disk.log().purged().map_or(0, |id| id.index + 1);
        let last = purged + found.len() as u64;
        assert!(last >= done && last <= done + 2, "{step}: {last} of {done}");
        assert_eq!(found, entries(1, purged..last), "after {step}");
        let has = disk
            .read_snapshot()
            .unwrap()
            .map_or(0, |(m, _)| m.last_log_id.unwrap().index + 1);
        assert!(has >= purged);
        // It goes on from there.
        disk.log().append(entries(2, last..last + 1)).unwrap();
        steps.insert(step);
    }
    for step in [
        "raft.append.begin",
        "raft.append.written",
        "raft.append.synced",
        "raft.vote.written",
        "raft.vote.renamed",
        "raft.snapshot.written",
        "raft.snapshot.renamed",
        "raft.snapshot.removed",
        "raft.purge.noted",
        "raft.purge.removed",
        "raft.segment.written",
        "raft.segment.renamed",
        "raft.keys.renamed",
    ] {
        assert!(steps.contains(step), "{step} of {steps:?}");
    }
}

#[test]
fn a_full_disk_closes_the_log() {
    for code in [28, 5] {
        let dir = tempfile::tempdir().unwrap();
        let full = Arc::new(std::sync::atomic::AtomicBool::new(false));
        let now = full.clone();
        let hook: Hook = Arc::new(move |step| match step {
            "raft.append.begin" if now.load(std::sync::atomic::Ordering::SeqCst) => {
                Err(io::Error::from_raw_os_error(code))
            }
            _ => Ok(()),
        });
        let options = Options {
            hook: Some(hook),
            ..Options::default()
        };
        let disk = Disk::open(dir.path(), options).unwrap();
        disk.log().append(entries(1, 0..2)).unwrap();
        full.store(true, std::sync::atomic::Ordering::SeqCst);
        assert!(matches!(
            disk.log().append(entries(1, 2..3)),
            Err(Error::Io { .. })
        ));
        full.store(false, std::sync::atomic::Ordering::SeqCst);
        // Not before it was read again: nobody knows what is there.
        let error = disk.log().append(entries(1, 2..3)).unwrap_err();
        assert!(matches!(error, Error::Failed(_)), "{error}");
        assert!(disk.log().save_vote(crate::types::Vote::new(9, 1)).is_err());
        drop(disk);
        assert_eq!(all(&open(dir.path()).unwrap()), entries(1, 0..2));
    }
}
