//! Values as docker shows them.

pub(crate) mod ago;
pub(crate) mod indent;
pub(crate) mod names;
pub(crate) mod output;
pub(crate) mod ports;
pub(crate) mod size;
pub(crate) mod template;
pub(crate) mod time;

/// `text` in quotes, as Go's `%q` writes it (for the characters that occur here).
pub(crate) fn quote(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\x07' => out.push_str("\\a"),
            '\x08' => out.push_str("\\b"),
            '\x0b' => out.push_str("\\v"),
            '\x0c' => out.push_str("\\f"),
            c if c.is_ascii_control() => out.push_str(&format!("\\x{:02x}", u32::from(c))),
            c if c.is_control() => out.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

/// At most `columns` columns of `text`, the last one `…` where something was cut: between what is
/// read as one, never between a letter and its signs.
pub(crate) fn ellipsis(text: &str, columns: usize) -> String {
    use unicode_segmentation::UnicodeSegmentation;
    use unicode_width::UnicodeWidthStr;
    if text.width() <= columns {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for cluster in text.graphemes(true) {
        used += cluster.width();
        if used > columns.saturating_sub(1) {
            break;
        }
        out.push_str(cluster);
    }
    out.push('…');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoting_is_gos() {
        assert_eq!(quote("a\"b\\c\n\x1b"), "\"a\\\"b\\\\c\\n\\x1b\"");
    }

    #[test]
    fn what_is_too_long_ends_in_an_ellipsis() {
        assert_eq!(ellipsis("0123456789", 10), "0123456789");
        assert_eq!(ellipsis("0123456789a", 10), "012345678…");
        assert_eq!(ellipsis("文字文字文字", 5), "文字…");
        assert_eq!(ellipsis("контейнеры", 6), "конте…");
        // Signs stay with their letters.
        assert_eq!(ellipsis("e\u{301}e\u{301}e\u{301}", 2), "e\u{301}…");
        assert_eq!(ellipsis("👩‍👩‍👧‍👦 family", 4), "👩‍👩‍👧‍👦 …");
        let cut = ellipsis("স্ক্রিপ্ট চালানো হচ্ছে", 6);
        let kept = cut.strip_suffix('…').unwrap();
        assert!("স্ক্রিপ্ট চালানো হচ্ছে".starts_with(kept));
        let whole = unicode_segmentation::UnicodeSegmentation::graphemes("স্ক্রিপ্ট চালানো হচ্ছে", true);
        let ends: Vec<usize> = whole
            .scan(0, |at, c| {
                *at += c.len();
                Some(*at)
            })
            .collect();
        assert!(ends.contains(&kept.len()), "{cut}");
    }
}
