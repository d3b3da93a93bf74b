//! The common name of a certificate's subject. The certificate was verified before; this only
//! walks to the name.

/// `2.5.4.3`.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OID: u8 = 0x06;
const VERSION: u8 = 0xa0;

/// The name, empty if there is none; the last of several, as in Go. `None` when it cannot be read.
pub(crate) fn of(certificate: &[u8]) -> Option<String> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (mut rest, _) = element(certificate, SEQUENCE)?;
    if rest.first() == Some(&VERSION) {
        rest = any(rest)?.2;
    }
    // Serial number, algorithm, issuer, validity.
    for _ in 0..4 {
        rest = any(rest)?.2;
    }
    let (mut names, _) = element(rest, SEQUENCE)?;
    let mut found = String::new();
    while !names.is_empty() {
        let (mut set, others) = element(names, SET)?;
        names = others;
        while !set.is_empty() {
            let (pair, more) = element(set, SEQUENCE)?;
            set = more;
            let (oid, value) = element(pair, OID)?;
            if oid == COMMON_NAME {
                found = text(value)?;
            }
        }
    }
    Some(found)
}

/// UTF-8, numeric, printable, IA5 and BMP strings.
fn text(value: &[u8]) -> Option<String> {
    let (tag, bytes, _) = any(value)?;
    match tag {
        0x0c => String::from_utf8(bytes.to_vec()).ok(),
        0x12 | 0x13 | 0x16 => bytes
            .is_ascii()
            .then(|| String::from_utf8_lossy(bytes).into()),
        0x1e => {
            let units: Vec<u16> = bytes
                .chunks(2)
                .map(|pair| Some(u16::from_be_bytes(pair.try_into().ok()?)))
                .collect::<Option<_>>()?;
            String::from_utf16(&units).ok()
        }
        _ => None,
    }
}

/// The content of the element at the front, which has this tag, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (found, content, rest) = any(bytes)?;
    (found == tag).then_some((content, rest))
}

fn any(bytes: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, bytes) = bytes.split_first()?;
    let (&first, bytes) = bytes.split_first()?;
    let (length, bytes) = match first {
        0..=0x7f => (usize::from(first), bytes),
        0x81..=0x84 => {
            let (length, bytes) = bytes.split_at_checked(usize::from(first & 0x7f))?;
            let number = |all: usize, byte: &u8| (all << 8) | usize::from(*byte);
            (length.iter().fold(0, number), bytes)
        }
        _ => return None,
    };
    let (content, rest) = bytes.split_at_checked(length)?;
    Some((tag, content, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wrap(tag: u8, content: &[u8]) -> Vec<u8> {
        let length = u8::try_from(content.len()).unwrap();
        let mut out = vec![tag];
        if length >= 0x80 {
            out.push(0x81);
        }
        out.push(length);
        out.extend_from_slice(content);
        out
    }

    fn certificate(values: &[(u8, &[u8])]) -> Vec<u8> {
        let mut names = Vec::new();
        for (tag, value) in values {
            let pair = [wrap(OID, COMMON_NAME), wrap(*tag, value)].concat();
            names.extend(wrap(SET, &wrap(SEQUENCE, &pair)));
        }
        let empty = wrap(SEQUENCE, &[]);
        let signed = [
            wrap(VERSION, &wrap(2, &[2])),
            wrap(2, &[1]),
            empty.clone(),
            empty.clone(),
            empty.clone(),
            wrap(SEQUENCE, &names),
            empty,
        ];
        wrap(SEQUENCE, &wrap(SEQUENCE, &signed.concat()))
    }

    #[test]
    fn names_are_found_or_not_understood() {
        let name = |values: &[(u8, &[u8])]| of(&certificate(values));
        assert_eq!(name(&[]).unwrap(), "");
        assert_eq!(name(&[(0x0c, "anna".as_bytes())]).unwrap(), "anna");
        assert_eq!(name(&[(0x13, b"a"), (0x1e, &[0, b'b'])]).unwrap(), "b");
        assert_eq!(name(&[(0x0c, &[0xff])]), None);
        assert_eq!(name(&[(0x14, b"teletex")]), None);
        let whole = certificate(&[(0x0c, b"x")]);
        for end in 0..whole.len() {
            assert!(of(&whole[..end]).is_none(), "{end}");
        }
    }
}
