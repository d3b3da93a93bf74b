//! Random work, a crash after any byte of the last write, and what a start makes of it.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone)]
enum Step {
    Append(u64),
    Truncate(u64),
    Purge(u64),
    Snapshot,
    Restart,
    Rotate,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (1_u64..5).prop_map(Step::Append),
        2 => (0_u64..6).prop_map(Step::Truncate),
        1 => (0_u64..6).prop_map(Step::Purge),
        1 => Just(Step::Snapshot),
        1 => Just(Step::Restart),
        1 => Just(Step::Rotate),
    ]
}

/// What there should be.
#[derive(Default, Clone)]
struct Model {
    entries: Vec<Entry>,
    purged: u64,
    snapshot: u64,
    term: u64,
}

impl Model {
    fn next(&self) -> u64 {
        self.purged + self.entries.len() as u64
    }
}

fn options() -> Options {
    Options {
        segment: 600,
        ..Options::default()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_found_has_all_that_was_acknowledged(
        steps in prop::collection::vec(step(), 1..25),
        last in 1_u64..5,
        cut in 0_usize..10_000,
    ) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        let mut disk = Disk::open(&path, options()).unwrap();
        let mut model = Model { term: 1, ..Model::default() };
        for step in steps {
            match step {
                Step::Append(count) => {
                    let new = entries(model.term, model.next()..model.next() + count);
                    disk.log().append(new.clone()).unwrap();
                    model.entries.extend(new);
                }
                Step::Truncate(back) => {
                    // What is in a snapshot is agreed on.
                    let from = model.next().saturating_sub(back).max(model.snapshot);
                    if from < model.next() {
                        disk.log().truncate(from).unwrap();
                        model.entries.truncate((from - model.purged) as usize);
                        model.term += 1;
                    }
                }
                Step::Snapshot if model.next() > model.snapshot => {
                    let entry = model.entries.last().unwrap().log_id;
                    disk.write_snapshot(&meta(entry.leader_id.term, entry.index), &[1; 30]).unwrap();
                    model.snapshot = entry.index + 1;
                }
                Step::Purge(keep) => {
                    let upto = model.snapshot.saturating_sub(keep);
                    if upto > model.purged {
                        let gone = (upto - model.purged) as usize;
                        disk.log().purge(model.entries[gone - 1].log_id).unwrap();
                        model.entries.drain(..gone);
                        model.purged = upto;
                    }
                }
                Step::Rotate => disk.rotate().unwrap(),
                Step::Restart => {
                    drop(disk);
                    disk = Disk::open(&path, options()).unwrap();
                }
                Step::Snapshot => {}
            }
            prop_assert_eq!(&all(&disk), &model.entries);
        }
        // The last write, cut after any of its bytes.
        let before = newest_log(&path);
        let length = std::fs::metadata(&before).unwrap().len() as usize;
        let new = entries(model.term, model.next()..model.next() + last);
        disk.log().append(new.clone()).unwrap();
        let after = newest_log(&path);
        let written = std::fs::metadata(&after).unwrap().len() as usize;
        let kept = if before == after { length } else {
            // It is the first of a new file, which begins with a frame that was whole before.
            let bytes = std::fs::read(&after).unwrap();
            let start = super::super::frame::HEADER;
            start + 12 + u32::from_le_bytes(bytes[start..start + 4].try_into().unwrap()) as usize
        };
        let mut found = files(&path);
        drop(disk);
        let name = after.file_name().unwrap().to_str().unwrap();
        let log = found.iter_mut().find(|(n, _)| n == name).unwrap();
        log.1.truncate(kept + cut % (written - kept + 1));
        let path = dir.path().join("crashed");
        restore(&path, &found);
        let disk = Disk::open(&path, options()).unwrap();
        let there = all(&disk);
        let whole = [model.entries.clone(), new].concat();
        prop_assert!(there.len() >= model.entries.len());
        prop_assert_eq!(&there[..], &whole[..there.len()]);
    }
}
