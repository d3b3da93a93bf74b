//! POSIX access lists, in the kernel's form: who is in them by number is somebody else where users
//! are remapped.

use crate::pack::Ids;

/// The list of a file, and the one that what is made in a directory gets.
pub(crate) const ACCESS: &[u8] = b"system.posix_acl_access";
pub(crate) const DEFAULT: &[u8] = b"system.posix_acl_default";

/// A version, then entries of a tag, what is allowed, and a number.
const VERSION: [u8; 4] = [2, 0, 0, 0];
const ENTRY: usize = 8;
const USER: u8 = 0x02;
const GROUP: u8 = 0x08;

pub(crate) fn is_acl(key: &[u8]) -> bool {
    key == ACCESS || key == DEFAULT
}

/// The list with other numbers. What is no list stays: the kernel refuses it.
pub(crate) fn map(value: &mut [u8], ids: Ids<'_>) {
    let Some(entries) = value.strip_prefix(&VERSION) else {
        return;
    };
    if entries.len() % ENTRY != 0 {
        return;
    }
    for entry in value[VERSION.len()..].chunks_exact_mut(ENTRY) {
        let id = u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
        let new = match (entry[0], entry[1]) {
            (USER, 0) => ids(id, 0).0,
            (GROUP, 0) => ids(0, id).1,
            _ => continue,
        };
        entry[4..].copy_from_slice(&new.to_le_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_who_have_numbers_get_others() {
        let entry = |tag: u8, id: u32| [&[tag, 0, 7, 0][..], &id.to_le_bytes()].concat();
        let list = |user, group| {
            let owner = entry(0x01, u32::MAX);
            [
                &VERSION[..],
                &owner,
                &entry(USER, user),
                &entry(GROUP, group),
            ]
            .concat()
        };
        let mut value = list(5, 6);
        map(&mut value, &|uid, gid| (uid + 100, gid + 200));
        assert_eq!(value, list(105, 206));
        for other in [&b"x"[..], b"", &list(5, 6)[..9]] {
            let mut value = other.to_vec();
            map(&mut value, &|_, _| (0, 0));
            assert_eq!(value, other);
        }
    }
}
