//! The keys that detach a client from a terminal: `ctrl-p,ctrl-q`.

use crate::error::Refusal;

/// Docker's default.
const DEFAULT: [u8; 2] = [16, 17];

/// Finds the keys in what a client types, and holds back what might become them.
#[derive(Debug)]
pub(crate) struct Escape {
    keys: Vec<u8>,
    matched: usize,
}

impl Escape {
    /// `text` as clients write it; the default when empty.
    pub(crate) fn new(text: &str) -> Result<Self, Refusal> {
        let keys = if text.is_empty() {
            DEFAULT.to_vec()
        } else {
            text.split(',')
                .map(key)
                .collect::<Option<_>>()
                .ok_or_else(|| Refusal::bad(format!("Invalid detach keys ({text}) provided")))?
        };
        Ok(Self { keys, matched: 0 })
    }

    /// What to pass on of `bytes`, and whether the keys were among them; nothing after them is
    /// passed on.
    pub(crate) fn filter(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.keys[self.matched] != byte {
                out.extend_from_slice(&self.keys[..self.matched]);
                self.matched = 0;
                if self.keys[0] != byte {
                    out.push(byte);
                    continue;
                }
            }
            self.matched += 1;
            if self.matched == self.keys.len() {
                self.matched = 0;
                return (out, true);
            }
        }
        (out, false)
    }

    /// What was held back when the input ends.
    pub(crate) fn into_held(mut self) -> Vec<u8> {
        self.keys.truncate(self.matched);
        self.keys
    }
}

fn key(text: &str) -> Option<u8> {
    match text.as_bytes() {
        [single] => Some(*single),
        b"DEL" => Some(127),
        [b'c', b't', b'r', b'l', b'-', letter] => match letter {
            b'a'..=b'z' => Some(letter - b'a' + 1),
            b'@' => Some(0),
            b'[' => Some(27),
            b'\\' => Some(28),
            b']' => Some(29),
            b'^' => Some(30),
            b'_' => Some(31),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_docker_writes_them() {
        assert_eq!(Escape::new("").unwrap().keys, DEFAULT);
        assert_eq!(
            Escape::new("ctrl-a,b,ctrl-[,DEL").unwrap().keys,
            [1, b'b', 27, 127]
        );
        for bad in ["ctrl-", "ctrl-A", "ab", ",", "a,,b", "ctrl-é"] {
            let refusal = Escape::new(bad).unwrap_err();
            assert_eq!(
                refusal.message,
                format!("Invalid detach keys ({bad}) provided")
            );
        }
    }

    #[test]
    fn partial_keys_are_passed_on_late() {
        let mut escape = Escape::new("ctrl-p,ctrl-q").unwrap();
        assert_eq!(escape.filter(b"a\x10"), (b"a".to_vec(), false));
        assert_eq!(escape.filter(b"b"), (b"\x10b".to_vec(), false));
        assert_eq!(escape.filter(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(escape.filter(b"\x11c"), (Vec::new(), true));
        escape.filter(b"\x10");
        assert_eq!(escape.into_held(), b"\x10");
    }
}
