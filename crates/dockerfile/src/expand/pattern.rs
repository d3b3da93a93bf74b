//! The shell's patterns in `${x#p}`, `${x%p}` and `${x/p/r}`: `*` and `?`, no brackets.

/// A part of a pattern.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Part {
    Char(char),
    Any,
    Many,
}

#[derive(Debug)]
pub(super) struct Pattern(Vec<Part>);

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            parts.push(match c {
                '*' => Part::Many,
                '?' => Part::Any,
                '\\' => match chars.next() {
                    // The last two end parts of a substitution and are escaped for that.
                    Some(next @ ('*' | '?' | '\\' | '}' | '/')) => Part::Char(next),
                    Some(next) => return Err(format!("invalid escape '\\{next}'")),
                    None => return Err("invalid escape '\\' at its end".to_owned()),
                },
                c => Part::Char(c),
            });
        }
        Ok(Self(parts))
    }

    /// Lengths of the text's beginnings that match, the shortest first. All states of the pattern
    /// are followed at once, so that no pattern takes more than its length times the text's.
    fn prefixes(parts: &[Part], text: impl Iterator<Item = char>) -> Vec<usize> {
        let close = |states: &mut Vec<bool>| {
            for at in 0..parts.len() {
                if states[at] && parts[at] == Part::Many {
                    states[at + 1] = true;
                }
            }
        };
        let mut states = vec![false; parts.len() + 1];
        states[0] = true;
        close(&mut states);
        let mut found = Vec::new();
        if states[parts.len()] {
            found.push(0);
        }
        for (count, c) in text.enumerate() {
            let mut next = vec![false; parts.len() + 1];
            for (at, part) in parts.iter().enumerate().filter(|(at, _)| states[*at]) {
                match part {
                    Part::Char(wanted) if *wanted == c => next[at + 1] = true,
                    // As in BuildKit a line's end is matched by itself only.
                    Part::Any if c != '\n' => next[at + 1] = true,
                    Part::Many if c != '\n' => next[at] = true,
                    _ => {}
                }
            }
            if !next.contains(&true) {
                break;
            }
            close(&mut next);
            if next[parts.len()] {
                found.push(count + 1);
            }
            states = next;
        }
        found
    }

    fn of(found: &[usize], longest: bool) -> usize {
        let length = if longest { found.last() } else { found.first() };
        length.copied().unwrap_or(0)
    }

    pub(super) fn without_prefix(&self, text: &str, longest: bool) -> String {
        let found = Self::prefixes(&self.0, text.chars());
        text.chars().skip(Self::of(&found, longest)).collect()
    }

    pub(super) fn without_suffix(&self, text: &str, longest: bool) -> String {
        let parts: Vec<Part> = self.0.iter().rev().copied().collect();
        let found = Self::prefixes(&parts, text.chars().rev());
        let kept = text.chars().count() - Self::of(&found, longest);
        text.chars().take(kept).collect()
    }

    /// With the first match, or all of them, replaced; nothing if that is longer than `most`.
    pub(super) fn replace(
        &self,
        text: &str,
        replacement: &str,
        all: bool,
        most: usize,
    ) -> Option<String> {
        let chars: Vec<char> = text.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        let mut after_match = false;
        while at <= chars.len() {
            let found = Self::prefixes(&self.0, chars[at..].iter().copied());
            match found.last().copied() {
                // An empty match right behind another one is none.
                Some(length) if length > 0 || !after_match => {
                    out.push_str(replacement);
                    if !all {
                        out.extend(&chars[at + length..]);
                        return (out.len() <= most).then_some(out);
                    }
                    after_match = length > 0;
                    if length == 0 {
                        out.extend(chars.get(at));
                        at += 1;
                    } else {
                        at += length;
                    }
                }
                _ => {
                    after_match = false;
                    out.extend(chars.get(at));
                    at += 1;
                }
            }
            if out.len() > most {
                return None;
            }
        }
        Some(out)
    }
}

#[cfg(test)]
mod tests {
    use super::Pattern;

    #[test]
    fn all_places_and_empty_ones() {
        let replace = |pattern: &str, text: &str| {
            Pattern::parse(pattern)
                .unwrap()
                .replace(text, "-", true, 99)
        };
        for (pattern, text, out) in [
            ("a", "banana", "b-n-n-"),
            ("a*", "xaya", "x-"),
            ("", "ab", "-a-b-"),
            ("*", "ab", "-"),
            ("?", "ab", "--"),
            ("z", "", ""),
        ] {
            assert_eq!(replace(pattern, text).unwrap(), out, "{pattern} in {text}");
        }
        assert_eq!(replace("?", &"x".repeat(200)), None);
    }

    #[test]
    fn no_pattern_takes_long() {
        let pattern = Pattern::parse(&"*a".repeat(200)).unwrap();
        assert_eq!(
            pattern.without_prefix(&"b".repeat(20_000), true).len(),
            20_000
        );
    }
}
