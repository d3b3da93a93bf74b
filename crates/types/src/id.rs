//! Identifiers: 64 hexadecimal digits for containers and execs.

use rand::RngExt;

/// The length of a full identifier.
pub const FULL: usize = 64;
/// The length of a short identifier, as shown in tables.
pub const SHORT: usize = 12;

/// A new random identifier. Never all digits in its short form, so that it can't be taken for
/// a number (it becomes the default host name).
#[must_use]
pub fn generate() -> String {
    loop {
        let bytes: [u8; 32] = rand::rng().random();
        let id = hex(&bytes);
        if id[..SHORT].bytes().any(|b| !b.is_ascii_digit()) {
            return id;
        }
    }
}

/// The short form of `id`; a digest loses its algorithm first.
#[must_use]
pub fn short(id: &str) -> &str {
    let id = id.split_once(':').map_or(id, |(_, hex)| hex);
    id.get(..SHORT).unwrap_or(id)
}

/// Whether `text` could be an identifier or the beginning of one.
#[must_use]
pub fn is_prefix(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= FULL
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Lower-case hexadecimal digits of `bytes`.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes
        .iter()
        .flat_map(|b| [DIGITS[usize::from(b >> 4)], DIGITS[usize::from(b & 15)]])
        .map(char::from)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_identifiers_are_full_and_differ() {
        let (a, b) = (generate(), generate());
        assert_eq!(a.len(), FULL);
        assert!(is_prefix(&a) && a != b);
        assert_eq!(short(&a).len(), SHORT);
    }

    #[test]
    fn short_drops_the_algorithm() {
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(short("abc"), "abc");
    }
}
