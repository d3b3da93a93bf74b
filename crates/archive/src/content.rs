//! Making what an entry describes, for who has decided where.

use std::io::{self, BufRead};
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode};
use rustix::io::Errno;

use crate::read::{Header, Kind, TarReader};

/// Writes the data of the present entry, `header`, into a new file; holes stay holes.
///
/// # Errors
/// When the data end early or cannot be written.
pub fn write_content<R: BufRead>(
    file: &OwnedFd,
    header: &Header,
    tar: &mut TarReader<R>,
) -> io::Result<()> {
    let Some(map) = &header.sparse else {
        while write_some(file, tar, u64::MAX)? > 0 {}
        return Ok(());
    };
    for (offset, length) in map {
        rustix::fs::seek(file, rustix::fs::SeekFrom::Start(*offset))?;
        let mut left = *length;
        while left > 0 {
            match write_some(file, tar, left)? {
                0 => {
                    let why = "its data end early";
                    return Err(io::Error::new(io::ErrorKind::InvalidData, why));
                }
                written => left -= written,
            }
        }
    }
    Ok(rustix::fs::ftruncate(file, header.size)?)
}

/// Zeros that are worth a hole, and where one may begin.
const HOLE: usize = 64 << 10;

/// Writes the data of the present entry into a new file, leaving holes where there are only zeros.
///
/// # Errors
/// As [`write_content`].
pub(crate) fn write_with_holes<R: BufRead>(
    file: &OwnedFd,
    tar: &mut TarReader<R>,
) -> io::Result<()> {
    let mut at = 0_u64;
    let mut hole = false;
    loop {
        let data = tar.data()?;
        let to_edge = HOLE - usize::try_from(at % HOLE as u64).unwrap_or(0);
        let length = data.len().min(to_edge);
        if length == 0 {
            break;
        }
        let data = &data[..length];
        hole = data.iter().all(|b| *b == 0);
        let done = match hole {
            true => length,
            false => match rustix::io::pwrite(file, data, at) {
                Err(Errno::INTR) => 0,
                wrote => wrote?,
            },
        };
        tar.consume(done);
        at += done as u64;
    }
    if hole {
        rustix::fs::ftruncate(file, at)?;
    }
    Ok(())
}

/// Writes what is at hand, at most `limit` bytes; 0 at the end of the entry.
fn write_some<R: BufRead>(file: &OwnedFd, tar: &mut TarReader<R>, limit: u64) -> io::Result<u64> {
    let data = tar.data()?;
    let length = data.len().min(usize::try_from(limit).unwrap_or(usize::MAX));
    if length == 0 {
        return Ok(0);
    }
    let written = loop {
        match rustix::io::write(file, &data[..length]) {
            Err(Errno::INTR) => {}
            done => break done?,
        }
    };
    tar.consume(written);
    Ok(written as u64)
}

/// Makes a device or a pipe, for its owner alone at first.
///
/// # Errors
/// The kernel's.
pub fn make_node(parent: BorrowedFd<'_>, name: &[u8], header: &Header) -> rustix::io::Result<()> {
    let (kind, device) = match header.kind {
        Kind::Char => (FileType::CharacterDevice, header.device),
        Kind::Block => (FileType::BlockDevice, header.device),
        _ => (FileType::Fifo, (0, 0)),
    };
    let device = rustix::fs::makedev(device.0, device.1);
    rustix::fs::mknodat(parent, name, kind, Mode::from(0o600), device)
}
