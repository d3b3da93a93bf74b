//! The keys that detach.

/// Reads `ctrl-p,ctrl-q` into bytes.
pub(crate) fn parse_keys(text: &str) -> Result<Vec<u8>, String> {
    text.split(',')
        .map(|key| {
            let mut chars = key.chars();
            if let (Some(c), None) = (chars.next(), chars.next())
                && c.is_ascii()
            {
                return Ok(c as u8);
            }
            let control = key.strip_prefix("ctrl-").and_then(|k| match k.as_bytes() {
                [c @ b'a'..=b'z'] => Some(c - b'a' + 1),
                [b'@'] => Some(0),
                [b'['] => Some(27),
                [b'\\'] => Some(28),
                [b']'] => Some(29),
                [b'^'] => Some(30),
                [b'_'] => Some(31),
                _ => None,
            });
            control.ok_or_else(|| format!("Unknown character: '{key}'"))
        })
        .collect()
}

/// Watches input for the keys. What may be their beginning is held back until the next key
/// tells.
#[derive(Debug)]
pub(crate) struct Keys {
    keys: Vec<u8>,
    seen: usize,
}

impl Keys {
    /// Watches for `keys`; never matches when they are empty.
    pub(crate) fn new(keys: Vec<u8>) -> Self {
        Self { keys, seen: 0 }
    }

    /// Takes `input`; answers what to pass on, and whether the keys were complete. Input behind
    /// them is dropped.
    pub(crate) fn feed(&mut self, input: &[u8]) -> (Vec<u8>, bool) {
        if self.keys.is_empty() {
            return (input.to_vec(), false);
        }
        let mut out = Vec::with_capacity(input.len() + self.seen);
        for &byte in input {
            if byte == self.keys[self.seen] {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    self.seen = 0;
                    return (out, true);
                }
                continue;
            }
            out.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(byte == self.keys[0]);
            if self.seen == 0 {
                out.push(byte);
            }
        }
        (out, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read() {
        assert_eq!(parse_keys("ctrl-p,ctrl-q"), Ok(vec![16, 17]));
        assert_eq!(parse_keys("a,ctrl-[,ctrl-@"), Ok(vec![b'a', 27, 0]));
        assert!(parse_keys("zz").is_err() && parse_keys("").is_err());
    }

    #[test]
    fn keys_are_found_across_reads_and_what_only_began_like_them_is_passed_on() {
        let mut keys = Keys::new(vec![16, 17]);
        assert_eq!(keys.feed(b"ab\x10"), (b"ab".to_vec(), false));
        assert_eq!(keys.feed(b"c"), (b"\x10c".to_vec(), false));
        assert_eq!(keys.feed(b"\x10\x10"), (b"\x10".to_vec(), false));
        assert_eq!(keys.feed(b"\x11rest"), (Vec::new(), true));
    }
}
