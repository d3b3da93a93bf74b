//! Messages that are passed on: looked at as little as can be, so that what we do not know goes
//! through untouched.

use domain::base::Message;
use domain::base::iana::Rcode;

const HEADER: usize = 12;

/// Where the only question of a message ends, if its name is spelt out (as the first name of a
/// message always is).
fn end(message: &[u8]) -> Option<usize> {
    let mut at = HEADER;
    loop {
        let len = usize::from(*message.get(at)?);
        at += 1 + len;
        match len {
            0 => break,
            1..=63 => {}
            _ => return None,
        }
    }
    let end = at + 4;
    (end <= message.len()).then_some(end)
}

/// Can it be passed on?
pub(crate) fn can_be_forwarded(message: &[u8]) -> bool {
    end(message).is_some()
}

/// Puts another id into a message.
pub(crate) fn set_id(message: &mut [u8], id: u16) {
    if let Some(place) = message.first_chunk_mut::<2>() {
        *place = id.to_be_bytes();
    }
}

/// The id of a message.
pub(crate) fn id(message: &[u8]) -> u16 {
    message
        .first_chunk::<2>()
        .map_or(0, |b| u16::from_be_bytes(*b))
}

/// What a message is that came from a server.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// Not of that question: someone else's, or forged.
    Foreign,
    /// The answer, also "no such name".
    Good,
    /// The server could not, or would not; another may.
    Bad,
}

/// Compares what came with what was asked, by this id.
pub(crate) fn compare(question: &[u8], id_sent: u16, answer: &[u8]) -> Answer {
    let Ok(message) = Message::from_octets(answer) else {
        return Answer::Foreign;
    };
    let header = message.header();
    if !header.qr() || header.id() != id_sent {
        return Answer::Foreign;
    }
    let bad = [
        Rcode::SERVFAIL,
        Rcode::REFUSED,
        Rcode::NOTIMP,
        Rcode::FORMERR,
    ]
    .contains(&header.rcode());
    let asked = message.header_counts().qdcount();
    // Servers that understood nothing repeat no question.
    if asked == 0 && bad {
        return Answer::Bad;
    }
    let same = || {
        let end = end(question)?;
        let (ours, theirs) = (question.get(HEADER..end)?, answer.get(HEADER..end)?);
        let (name, kind) = ours.split_at(ours.len() - 4);
        let (their_name, their_kind) = theirs.split_at(theirs.len() - 4);
        Some(kind == their_kind && name.eq_ignore_ascii_case(their_name))
    };
    match (asked == 1 && same() == Some(true), bad) {
        (false, _) => Answer::Foreign,
        (true, true) => Answer::Bad,
        (true, false) => Answer::Good,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: u16, flags: [u8; 2], name: &str, kind: u8) -> Vec<u8> {
        let mut all = id.to_be_bytes().to_vec();
        all.extend(flags);
        all.extend([0, 1, 0, 0, 0, 0, 0, 0]);
        for label in name.split('.') {
            all.push(u8::try_from(label.len()).unwrap());
            all.extend(label.as_bytes());
        }
        all.extend([0, 0, kind, 0, 1]);
        all
    }

    #[test]
    fn only_the_answer_to_the_question() {
        let question = message(1, [1, 0], "www.Example", 0x41);
        assert!(can_be_forwarded(&question));
        let check = |answer: &[u8]| compare(&question, 7, answer);
        let good = message(7, [0x81, 0x80], "WWW.example", 0x41);
        assert_eq!(check(&good), Answer::Good);
        assert_eq!(
            check(&message(7, [0x81, 0x83], "www.example", 0x41)),
            Answer::Good
        );
        assert_eq!(
            check(&message(7, [0x81, 0x82], "www.example", 0x41)),
            Answer::Bad
        );
        for foreign in [
            message(8, [0x81, 0x80], "www.example", 0x41),
            message(7, [1, 0x80], "www.example", 0x41),
            message(7, [0x81, 0x80], "ww2.example", 0x41),
            // The same but for the bit that letters of either case differ in.
            message(7, [0x81, 0x80], "www.example", 0x61),
            good[..20].to_vec(),
            Vec::new(),
        ] {
            assert_eq!(check(&foreign), Answer::Foreign);
        }
        assert_eq!(
            check(&[0, 7, 0x81, 0x81, 0, 0, 0, 0, 0, 0, 0, 0]),
            Answer::Bad
        );
        assert_eq!(
            check(&[0, 7, 0x81, 0x80, 0, 0, 0, 0, 0, 0, 0, 0]),
            Answer::Foreign
        );
    }

    #[test]
    fn what_is_cut_or_points_around_is_not_forwarded() {
        let whole = message(1, [1, 0], "www.example", 1);
        for len in 0..whole.len() {
            assert!(!can_be_forwarded(&whole[..len]));
        }
        let mut pointing = whole;
        pointing[12] = 0xc0;
        assert!(!can_be_forwarded(&pointing));
    }
}
