//! Sealing, locking and new keys.

use super::*;
use crate::disk::UnlockKey;
use crate::error::Error;

fn with(unlock: Option<UnlockKey>) -> Options {
    Options {
        unlock,
        ..Options::default()
    }
}

fn holds(path: &Path, what: &[u8]) -> bool {
    let files = files(path);
    files
        .iter()
        .any(|(_, bytes)| bytes.windows(what.len()).any(|w| w == what))
}

#[test]
fn nothing_can_be_read_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    disk.log().append(entries(1, 0..3)).unwrap();
    disk.write_snapshot(&meta(1, 1), b"marker-of-a-snapshot")
        .unwrap();
    assert!(!holds(dir.path(), b"marker"));
}

#[test]
fn the_same_is_never_sealed_alike() {
    let dir = tempfile::tempdir().unwrap();
    let mut salts = std::collections::BTreeSet::new();
    let mut seen = 0;
    for _ in 0..20 {
        // Each start and each conflict would write the same entry in the same place again.
        let disk = open(dir.path()).unwrap();
        disk.log().append(entries(1, 0..1)).unwrap();
        let newest = std::fs::read(newest_log(dir.path())).unwrap();
        salts.insert(newest[24..56].to_vec());
        seen += 1;
        disk.log().truncate(0).unwrap();
    }
    assert_eq!(salts.len(), seen);
}

#[test]
fn a_locked_folder_opens_with_its_key_alone() {
    let dir = tempfile::tempdir().unwrap();
    let key = UnlockKey::new([5; 32]);
    let text = key.to_string();
    assert!(text.starts_with("SWMKEY-1-"), "{text}");
    assert_eq!(text.parse::<UnlockKey>().unwrap(), key);
    assert!(matches!(
        "SWMKEY-1-x".parse::<UnlockKey>(),
        Err(Error::NoKey)
    ));

    let disk = Disk::open(dir.path(), with(Some(key.clone()))).unwrap();
    assert!(disk.locked());
    disk.log().append(entries(1, 0..3)).unwrap();
    drop(disk);
    let before = files(dir.path());
    assert!(matches!(open(dir.path()), Err(Error::Locked)));
    let wrong = Some(UnlockKey::new([6; 32]));
    assert!(matches!(
        Disk::open(dir.path(), with(wrong)),
        Err(Error::WrongKey)
    ));
    assert_eq!(files(dir.path()), before);

    // Another key, then none.
    let other = UnlockKey::new([7; 32]);
    let disk = Disk::open(dir.path(), with(Some(key.clone()))).unwrap();
    disk.lock(Some(other.clone())).unwrap();
    drop(disk);
    assert!(matches!(
        Disk::open(dir.path(), with(Some(key))),
        Err(Error::WrongKey)
    ));
    let disk = Disk::open(dir.path(), with(Some(other))).unwrap();
    disk.lock(None).unwrap();
    drop(disk);
    let disk = open(dir.path()).unwrap();
    assert!(!disk.locked());
    assert_eq!(all(&disk), entries(1, 0..3));
}

#[test]
fn a_new_data_key_takes_the_place_of_the_old_one() {
    let dir = tempfile::tempdir().unwrap();
    let disk = open(dir.path()).unwrap();
    disk.log().append(entries(1, 0..3)).unwrap();
    disk.rotate().unwrap();
    disk.log().append(entries(1, 3..6)).unwrap();
    assert_eq!(disk.data_keys(), 2);
    drop(disk);
    let disk = open(dir.path()).unwrap();
    assert_eq!(all(&disk), entries(1, 0..6));
    assert_eq!(disk.data_keys(), 2);
    disk.write_snapshot(&meta(1, 5), &[1]).unwrap();
    disk.log().purge(id(1, 5)).unwrap();
    disk.drop_keys().unwrap();
    assert_eq!(disk.data_keys(), 1);
    drop(disk);
    assert_eq!(open(dir.path()).unwrap().log().last(), Some(id(1, 5)));
}

#[test]
fn keys_that_are_gone_are_not_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()).unwrap());
    std::fs::remove_file(dir.path().join("keys")).unwrap();
    assert!(matches!(open(dir.path()), Err(Error::Damaged { .. })));
}
