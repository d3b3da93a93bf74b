//! Extended attributes of files.

use std::os::fd::BorrowedFd;

/// Longest value of an extended attribute, by the kernel.
const MAX_XATTR: usize = 64 << 10;

/// The attributes that are content. A file system without any has none.
#[must_use]
pub fn xattrs(file: BorrowedFd<'_>) -> Vec<(Vec<u8>, Vec<u8>)> {
    read_xattrs(file, is_content)
}

pub(crate) fn is_content(key: &[u8]) -> bool {
    key == b"security.capability" || key.starts_with(b"user.") && !key.starts_with(b"user.overlay.")
}

pub(crate) fn read_xattrs(
    file: BorrowedFd<'_>,
    wanted: impl Fn(&[u8]) -> bool,
) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut list = vec![0_u8; MAX_XATTR];
    let Ok(length) = rustix::fs::flistxattr(file, &mut list) else {
        return Vec::new();
    };
    let keys = list[..length].split(|b| *b == 0);
    keys.filter(|key| wanted(key))
        .filter_map(|key| {
            let mut value = vec![0_u8; MAX_XATTR];
            let length = rustix::fs::fgetxattr(file, key, &mut value).ok()?;
            value.truncate(length);
            Some((key.to_vec(), value))
        })
        .collect()
}
