//! What a start finds after crashes, damage and keys that changed.

mod crash;
mod damage;
mod keys;
mod random;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use openraft::{CommittedLeaderId, EntryPayload};
use swarm_api::{Change, Config, Id};
use types::swarm::cluster::ConfigSpec;

use super::{Disk, Options};
use crate::types::{Body, Entry, LogId, Proposal, SnapshotMeta};

fn id(term: u64, index: u64) -> LogId {
    LogId::new(CommittedLeaderId::new(term, 1), index)
}

/// An entry with something in it to be found again.
fn entry(term: u64, index: u64) -> Entry {
    let spec = ConfigSpec {
        name: format!("marker-{term}-{index}"),
        ..ConfigSpec::default()
    };
    let config = Config {
        id: Id::from(format!("{index}").as_str()),
        spec: Arc::new(spec),
        ..Config::default()
    };
    let body = Body::Changes(Arc::new(vec![Change::put(config)]));
    Entry {
        log_id: id(term, index),
        payload: EntryPayload::Normal(Proposal { term, body }),
    }
}

fn entries(term: u64, range: std::ops::Range<u64>) -> Vec<Entry> {
    range.map(|index| entry(term, index)).collect()
}

fn open(path: &Path) -> crate::Result<Disk> {
    Disk::open(path, Options::default())
}

/// All entries of a log.
fn all(disk: &Disk) -> Vec<Entry> {
    disk.log().read(0..u64::MAX, usize::MAX).unwrap()
}

fn meta(term: u64, index: u64) -> SnapshotMeta {
    SnapshotMeta {
        last_log_id: Some(id(term, index)),
        snapshot_id: format!("{term}-{index}"),
        ..SnapshotMeta::default()
    }
}

/// The files of a folder with their content.
fn files(path: &Path) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = std::fs::read_dir(path)
        .unwrap()
        .map(|file| {
            let file = file.unwrap();
            let name = file.file_name().into_string().unwrap();
            (name, std::fs::read(file.path()).unwrap())
        })
        .collect();
    files.sort();
    files
}

fn restore(path: &Path, files: &[(String, Vec<u8>)]) {
    let _ = std::fs::remove_dir_all(path);
    std::fs::create_dir_all(path).unwrap();
    for (name, content) in files {
        std::fs::write(path.join(name), content).unwrap();
    }
}

fn newest_log(path: &Path) -> PathBuf {
    let mut files = files(path);
    files.retain(|(name, _)| name.starts_with("log-"));
    path.join(&files.pop().unwrap().0)
}

#[test]
fn what_was_written_is_there_after_a_start() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    disk.claim(7).unwrap();
    let vote = crate::types::Vote::new(3, 7);
    disk.log().save_vote(vote).unwrap();
    disk.log().append(entries(1, 0..5)).unwrap();
    disk.log().commit(Some(id(1, 3)));
    disk.log().append(entries(2, 5..9)).unwrap();
    drop(disk);

    let disk = open(dir.path()).unwrap();
    assert_eq!((disk.id(), disk.log().vote()), (7, Some(vote)));
    assert_eq!(disk.log().committed(), Some(id(1, 3)));
    assert_eq!(disk.log().last(), Some(id(2, 8)));
    assert_eq!(all(&disk), [entries(1, 0..5), entries(2, 5..9)].concat());
    assert!(matches!(
        disk.claim(8),
        Err(crate::Error::Identity { there: 7, .. })
    ));
    assert!(open(dir.path()).is_err(), "it is open already");
}

#[test]
fn a_conflict_takes_entries_back() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    disk.log().append(entries(1, 0..10)).unwrap();
    disk.log().truncate(4).unwrap();
    assert_eq!(disk.log().last(), Some(id(1, 3)));
    disk.log().append(entries(3, 4..6)).unwrap();
    let wanted = [entries(1, 0..4), entries(3, 4..6)].concat();
    assert_eq!(all(&disk), wanted);
    drop(disk);
    assert_eq!(all(&open(dir.path()).unwrap()), wanted);
}

#[test]
fn a_hole_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    disk.log().append(entries(1, 0..2)).unwrap();
    assert!(disk.log().append(entries(1, 3..4)).is_err());
}

#[test]
fn a_snapshot_lets_old_files_go_and_an_older_snapshot() {
    let dir = tempfile::tempdir().unwrap();
    let options = Options {
        segment: 600,
        ..Options::default()
    };
    let disk = Disk::open(dir.path(), options.clone()).unwrap();
    for index in 0..40 {
        disk.log().append(vec![entry(1, index)]).unwrap();
    }
    let count = |what: &str| {
        let files = files(dir.path());
        files
            .iter()
            .filter(|(name, _)| name.starts_with(what))
            .count()
    };
    assert!(count("log-") > 5);
    // Two in a row.
    disk.write_snapshot(&meta(1, 20), &[1; 100]).unwrap();
    disk.write_snapshot(&meta(1, 35), &vec![2; 3 << 20])
        .unwrap();
    assert_eq!(count("snapshot-"), 1);
    disk.log().purge(id(1, 35)).unwrap();
    assert!(count("log-") <= 3, "{}", count("log-"));
    drop(disk);

    let disk = Disk::open(dir.path(), options).unwrap();
    assert_eq!(all(&disk), entries(1, 36..40));
    assert_eq!(disk.log().purged(), Some(id(1, 35)));
    let (found, data) = disk.read_snapshot().unwrap().unwrap();
    assert_eq!(found, meta(1, 35));
    assert_eq!(data, vec![2; 3 << 20]);
    // One that came from the leader is ahead of the log.
    disk.write_snapshot(&meta(2, 100), &[3]).unwrap();
    disk.log().purge(id(2, 100)).unwrap();
    assert_eq!(disk.log().last(), Some(id(2, 100)));
    disk.log().append(entries(2, 101..103)).unwrap();
    drop(disk);
    assert_eq!(all(&open(dir.path()).unwrap()), entries(2, 101..103));
}

#[test]
fn a_new_cluster_from_one_disk_keeps_all_entries() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    assert!(matches!(
        disk.force_new_cluster("a"),
        Err(crate::Error::Empty(_))
    ));
    disk.claim(3).unwrap();
    disk.log().append(entries(5, 0..4)).unwrap();
    disk.force_new_cluster("addr").unwrap();
    drop(disk);
    let disk = open(dir.path()).unwrap();
    let found = all(&disk);
    assert_eq!(found[..4], entries(5, 0..4));
    assert!(matches!(found[4].payload, EntryPayload::Membership(_)));
    assert_eq!(disk.log().vote().unwrap().leader_id.term, 6);
}
