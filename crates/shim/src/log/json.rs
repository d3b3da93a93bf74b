//! Text as Go writes it in JSON.

/// Appends `bytes` as the inside of a JSON string, as Go's json does: `<`, `>`, `&`, U+2028 and
/// U+2029 are escaped too, and each byte that is not UTF-8 becomes U+FFFD.
pub(super) fn escape(out: &mut Vec<u8>, bytes: &[u8]) {
    for chunk in bytes.utf8_chunks() {
        escape_valid(out, chunk.valid().as_bytes());
        for _ in chunk.invalid() {
            out.extend_from_slice(b"\\ufffd");
        }
    }
}

fn escape_valid(out: &mut Vec<u8>, bytes: &[u8]) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let mut from = 0;
    for (i, &b) in bytes.iter().enumerate() {
        if !SPECIAL[usize::from(b)] {
            continue;
        }
        // The three bytes of U+2028 and U+2029 begin like those of other characters.
        let separator = b == 0xe2 && bytes[i + 1] == 0x80 && matches!(bytes[i + 2], 0xa8 | 0xa9);
        if b == 0xe2 && !separator {
            continue;
        }
        out.extend_from_slice(&bytes[from..i]);
        from = i + 1;
        match b {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', b]),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            0xe2 => {
                out.extend_from_slice(if bytes[i + 2] == 0xa8 {
                    b"\\u2028"
                } else {
                    b"\\u2029"
                });
                from = i + 3;
            }
            b => out.extend_from_slice(&[
                b'\\',
                b'u',
                b'0',
                b'0',
                HEX[usize::from(b >> 4)],
                HEX[usize::from(b & 15)],
            ]),
        }
    }
    out.extend_from_slice(&bytes[from..]);
}

/// The bytes at which [`escape_valid`] must look twice.
const SPECIAL: [bool; 256] = {
    let mut special = [false; 256];
    let mut b = 0;
    while b < 0x20 {
        special[b] = true;
        b += 1;
    }
    let more = b"\"\\<>&\xe2";
    let mut i = 0;
    while i < more.len() {
        special[more[i] as usize] = true;
        i += 1;
    }
    special
};

#[cfg(test)]
mod tests {
    use super::*;

    fn escaped(bytes: &[u8]) -> String {
        let mut out = Vec::new();
        escape(&mut out, bytes);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn escapes_as_go_does() {
        assert_eq!(escaped(b"plain"), "plain");
        assert_eq!(escaped(b"a\"b\\c\td\re\x1b"), r#"a\"b\\c\u0009d\re\u001b"#);
        assert_eq!(escaped(b"<a&b>"), r"\u003ca\u0026b\u003e");
        assert_eq!(
            escaped("h\u{e9}\u{2028}\u{2029}\u{2027}\u{20ac}".as_bytes()),
            "h\u{e9}\\u2028\\u2029\u{2027}\u{20ac}"
        );
        assert_eq!(escaped(b"\xff\xe2\x82x\xe2"), r"\ufffd\ufffd\ufffdx\ufffd");
    }
}
