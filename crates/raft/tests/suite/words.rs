//! What users read.

use raft::{Disk, Error, UnlockKey};

#[test]
fn errors_say_it_in_dockers_words() {
    let dir = tempfile::tempdir().unwrap();
    let with = |unlock| raft::disk::Options {
        unlock,
        ..raft::disk::Options::default()
    };
    drop(Disk::open(dir.path(), with(Some(UnlockKey::new([1; 32])))).unwrap());
    let locked = Disk::open(dir.path(), with(None)).unwrap_err();
    assert!(
        locked
            .to_string()
            .starts_with("Swarm is encrypted and needs to be unlocked")
    );
    assert_eq!(locked.kind(), types::ErrorKind::Unavailable);
    let wrong = Disk::open(dir.path(), with(Some(UnlockKey::new([2; 32])))).unwrap_err();
    assert!(matches!(wrong, Error::WrongKey) && wrong.to_string().starts_with("invalid key"));
    let quorum = Error::LosesQuorum {
        reachable: 1,
        left: 2,
        needed: 2,
    };
    let text = quorum.to_string();
    assert!(
        text.contains("member cannot be removed, because removing it may result in loss of quorum")
    );
}
