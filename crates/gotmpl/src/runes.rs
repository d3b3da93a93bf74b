//! Go's strings are bytes that are usually UTF-8. Templates can cut them anywhere (`slice`,
//! `truncate`), so strings are bytes here too, and characters are decoded as Go decodes them:
//! every byte that is not part of valid UTF-8 stands for U+FFFD and has length one.

/// One decoded character of a byte string.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Rune {
    /// The character; U+FFFD where the bytes are not UTF-8.
    pub(crate) ch: char,
    /// How many bytes it took.
    pub(crate) len: usize,
    /// Whether the bytes were UTF-8.
    pub(crate) valid: bool,
}

/// The characters of `bytes`, in order.
pub(crate) fn runes(bytes: &[u8]) -> impl Iterator<Item = Rune> {
    bytes.utf8_chunks().flat_map(|chunk| {
        let good = chunk.valid().chars().map(|ch| Rune {
            ch,
            len: ch.len_utf8(),
            valid: true,
        });
        let bad = chunk.invalid().iter().map(|_| Rune {
            ch: char::REPLACEMENT_CHARACTER,
            len: 1,
            valid: false,
        });
        good.chain(bad)
    })
}

/// The first `count` characters of `bytes`.
pub(crate) fn prefix(bytes: &[u8], count: usize) -> &[u8] {
    let end: usize = runes(bytes).take(count).map(|rune| rune.len).sum();
    &bytes[..end]
}

/// Whether Go would print the character as itself: letters, marks, numbers, punctuation,
/// symbols and the ASCII space.
///
/// The standard library has the same table behind `escape_debug`; the letter in front keeps
/// combining marks from being escaped for standing first.
pub(crate) fn is_print(ch: char) -> bool {
    match ch {
        ' '..='~' => true,
        '\0'..='\u{7f}' => false,
        _ => {
            let mut text = String::from("a");
            text.push(ch);
            text.escape_debug().nth(1) != Some('\\')
        }
    }
}

/// `U+0040 '@'`, as Go's `%#U` prints a character.
pub(crate) fn code_point(ch: char) -> String {
    if is_print(ch) {
        format!("U+{:04X} '{ch}'", u32::from(ch))
    } else {
        format!("U+{:04X}", u32::from(ch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broken_bytes_count_one_each() {
        let decoded: Vec<_> = runes(b"a\xe2\x82z")
            .map(|rune| (rune.ch, rune.len))
            .collect();
        assert_eq!(
            decoded,
            [('a', 1), ('\u{fffd}', 1), ('\u{fffd}', 1), ('z', 1)]
        );
        assert_eq!(prefix("äöü".as_bytes(), 2), "äö".as_bytes());
    }

    #[test]
    fn printable_is_what_go_says() {
        assert!(is_print('ä') && is_print('漢') && is_print('\u{301}') && is_print('😀'));
        assert!(!is_print('\u{a0}') && !is_print('\u{200b}') && !is_print('\u{e000}'));
        assert_eq!(code_point('\u{1}'), "U+0001");
    }
}
