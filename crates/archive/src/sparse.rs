//! Files with holes, as GNU tar writes them in PAX archives (its sparse format 1.0): only what is
//! between the holes is stored, after a list of the places where it belongs.

use std::os::fd::OwnedFd;

use rustix::fs::{SeekFrom, Stat, seek};

use crate::read::Header;

const BLOCK: usize = 512;
/// Most pieces that are told apart; readers have such bounds, too.
const MOST: usize = 1 << 15;

/// What is between the holes of a file, in order; none where it has no holes to speak of, or where
/// its file system does not tell.
pub(crate) fn pieces(file: &OwnedFd, stat: &Stat) -> Option<Vec<(u64, u64)>> {
    let size = u64::try_from(stat.st_size).ok()?;
    let stored = u64::try_from(stat.st_blocks).ok()?.saturating_mul(512);
    if size == 0 || stored >= size {
        return None;
    }
    let pieces = walk(file, size);
    // Whoever reads it dense begins at the beginning.
    let _ = seek(file, SeekFrom::Start(0));
    pieces.filter(|all| *all != [(0, size)])
}

fn walk(file: &OwnedFd, size: u64) -> Option<Vec<(u64, u64)>> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < size {
        let start = match seek(file, SeekFrom::Data(at)) {
            Ok(start) => start.min(size),
            // Only a hole is left.
            Err(rustix::io::Errno::NXIO) => break,
            Err(_) => return None,
        };
        let end = seek(file, SeekFrom::Hole(start)).ok()?.min(size);
        if end > start {
            pieces.push((start, end - start));
        } else if start < size {
            return None;
        }
        if pieces.len() > MOST {
            return None;
        }
        at = end.max(start);
    }
    Some(pieces)
}

/// The list that goes before the data, and what both take.
pub(crate) fn map(header: &Header, pieces: &[(u64, u64)]) -> (Vec<u8>, u64) {
    // The file's end, which GNU tar wants to see where a hole is there.
    let end = (header.size, 0);
    let mut text = format!("{}\n", pieces.len() + 1);
    for (offset, length) in pieces.iter().chain([&end]) {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut map = text.into_bytes();
    map.resize(map.len().next_multiple_of(BLOCK), 0);
    let data: u64 = pieces.iter().map(|(_, length)| length).sum();
    let stored = map.len() as u64 + data;
    (map, stored)
}
