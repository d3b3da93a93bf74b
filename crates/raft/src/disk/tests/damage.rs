//! Damage that no crash explains: refused, named, and nothing changed.

use super::*;
use crate::error::Error;

/// A folder with everything in it.
fn full(path: &Path) -> Vec<(String, Vec<u8>)> {
    let options = Options {
        segment: 500,
        ..Options::default()
    };
    let disk = Disk::open(path, options).unwrap();
    disk.claim(1).unwrap();
    for index in 0..8 {
        disk.log()
            .append(entries(1, index * 2..index * 2 + 2))
            .unwrap();
    }
    disk.write_snapshot(&meta(1, 3), &[7; 40]).unwrap();
    disk.log().purge(id(1, 3)).unwrap();
    drop(disk);
    files(path)
}

fn refused(path: &Path, before: &[(String, Vec<u8>)]) -> Error {
    let error = match open(path) {
        Ok(_) => panic!("it starts"),
        Err(error) => error,
    };
    assert!(files(path) == before, "something was changed: {error}");
    error
}

#[test]
fn a_bit_that_flipped_anywhere_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let good = full(&dir.path().join("good"));
    let path = dir.path().join("flipped");
    for file in 0..good.len() {
        // Every byte of what is short, and every seventh of the rest.
        let step = if good[file].1.len() < 300 { 1 } else { 7 };
        for at in (file % step..good[file].1.len()).step_by(step) {
            let mut flipped = good.clone();
            flipped[file].1[at] ^= 1 << (at % 8);
            restore(&path, &flipped);
            let error = refused(&path, &flipped);
            let text = error.to_string();
            assert!(
                matches!(error, Error::Damaged { .. } | Error::Newer { .. }),
                "{text}"
            );
            if matches!(error, Error::Damaged { .. }) {
                assert!(
                    text.contains("backup") && text.contains("join again"),
                    "{text}"
                );
                assert!(text.contains(&good[file].0), "{}: {text}", good[file].0);
            }
        }
    }
}

#[test]
fn a_missing_file_refuses_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let good = full(&dir.path().join("good"));
    let path = dir.path().join("missing");
    assert!(good.len() > 6, "{}", good.len());
    for file in 0..good.len() {
        let mut less = good.clone();
        less.remove(file);
        restore(&path, &less);
        refused(&path, &less);
    }
}

#[test]
fn files_and_frames_in_anothers_place_refuse_to_start() {
    let dir = tempfile::tempdir().unwrap();
    let good = full(&dir.path().join("good"));
    let path = dir.path().join("swapped");
    let logs: Vec<usize> = (0..good.len())
        .filter(|i| good[*i].0.starts_with("log-"))
        .collect();
    let mut swapped = good.clone();
    let (a, b) = (good[logs[0]].1.clone(), good[logs[1]].1.clone());
    (swapped[logs[0]].1, swapped[logs[1]].1) = (b, a);
    restore(&path, &swapped);
    refused(&path, &swapped);

    // A whole file of the log cut short within, though a later one is there.
    let mut short = good.clone();
    short[logs[1]].1.truncate(good[logs[1]].1.len() - 5);
    restore(&path, &short);
    let text = refused(&path, &short).to_string();
    assert!(text.contains("cut short"), "{text}");

    // The same frame twice.
    let mut twice = good.clone();
    let bytes = &good[logs[1]].1;
    let first = super::super::frame::HEADER;
    let length = u32::from_le_bytes(bytes[first..first + 4].try_into().unwrap()) as usize + 12;
    let frame = bytes[first..first + length].to_vec();
    twice[logs[1]].1.extend_from_slice(&frame);
    restore(&path, &twice);
    refused(&path, &twice);
}

#[test]
fn a_newer_format_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let mut good = full(&dir.path().join("good"));
    let path = dir.path().join("newer");
    let log = good
        .iter_mut()
        .find(|(name, _)| name.starts_with("log-"))
        .unwrap();
    log.1[8] = 2;
    let crc = crc32fast::hash(&log.1[..56]);
    log.1[56..60].copy_from_slice(&crc.to_le_bytes());
    restore(&path, &good);
    assert!(matches!(
        refused(&path, &good),
        Error::Newer { version: 2, .. }
    ));
}
