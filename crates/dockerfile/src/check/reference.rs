//! Whether a name could be an image's.

/// As Docker's references are made: `[domain/]path[:tag][@digest]`.
pub(super) fn is_valid(name: &str) -> bool {
    let (name, digest) = match name.split_once('@') {
        Some((name, digest)) => (name, Some(digest)),
        None => (name, None),
    };
    if let Some(digest) = digest {
        let Some((algorithm, hex)) = digest.split_once(':') else {
            return false;
        };
        let hex_only = hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit());
        if algorithm.is_empty() || !hex_only {
            return false;
        }
    }
    let (name, tag) = match name.rsplit_once(':') {
        Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
        _ => (name, None),
    };
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return false;
    }
    let mut parts = name.split('/').peekable();
    let first = parts.peek().copied().unwrap_or_default();
    let domain = name.contains('/')
        && (first.contains(['.', ':']) || first == "localhost" || first != first.to_lowercase());
    if domain {
        parts.next();
    }
    name.len() <= 255 && parts.all(is_component)
}

fn is_tag(tag: &str) -> bool {
    let letters = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(letters)
        && tag.bytes().all(|b| letters(b) || b == b'.' || b == b'-')
}

/// Letters and digits, with one `.`, one or two `_`, or any number of `-` between them.
fn is_component(text: &str) -> bool {
    let outside = |c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit();
    if text.is_empty() || text.starts_with(outside) || text.ends_with(outside) {
        return false;
    }
    let mut separators = text.split(|c| !outside(c)).filter(|part| !part.is_empty());
    separators.all(|part| matches!(part, "." | "_" | "__") || part.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::is_valid;

    #[test]
    fn names_of_images() {
        for (name, valid) in [
            ("debian", true),
            ("debian:12", true),
            ("a/b/c:x_1.2-3", true),
            ("localhost:5000/a", true),
            (
                "example.com/a@sha256:0123456789abcdef0123456789abcdef",
                true,
            ),
            ("a__b--c.d", true),
            ("", false),
            (":12", false),
            ("debian:", false),
            ("a..b", false),
            ("Debian", false),
            ("a/", false),
            ("a b", false),
            ("a@b", false),
        ] {
            assert_eq!(is_valid(name), valid, "{name}");
        }
    }
}
