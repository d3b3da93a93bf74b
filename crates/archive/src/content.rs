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
