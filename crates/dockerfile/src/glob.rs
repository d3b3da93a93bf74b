//! Patterns of paths: what Go's `filepath.Match` takes, and `**` for any number of directories.

/// A part of a pattern.
#[derive(Clone, Debug, PartialEq)]
enum Part {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[…]`
    Class {
        not: bool,
        ranges: Vec<(char, char)>,
    },
    /// `**/`: nothing, or anything that ends in a slash.
    Directories,
    /// `**` at the end: anything.
    Everything,
}

/// A pattern that was read.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Glob {
    parts: Vec<Part>,
    /// What every match begins with: tells most paths apart at once.
    literal: String,
}

/// Which parts of a pattern the next character may meet. All ways of matching are followed at
/// once, so that no pattern takes longer than its length times the path's; mostly there is one.
struct States<'a> {
    parts: &'a [Part],
    /// Numbers of parts doubled; odd: within the text that a `**/` takes.
    now: Vec<usize>,
    next: Vec<usize>,
    /// The step that put a state in last.
    seen: Vec<usize>,
    step: usize,
}

impl<'a> States<'a> {
    fn new(parts: &'a [Part]) -> Self {
        let mut states = Self {
            parts,
            now: Vec::new(),
            next: Vec::new(),
            seen: vec![0; parts.len() * 2 + 2],
            step: 1,
        };
        states.add(0);
        std::mem::swap(&mut states.now, &mut states.next);
        states
    }

    /// Adds a part that comes next, and those behind it if it may match nothing.
    fn add(&mut self, mut number: usize) {
        while self.put(number * 2) {
            match self.parts.get(number) {
                Some(Part::Directories) => {
                    self.put(number * 2 + 1);
                }
                Some(Part::Many | Part::Everything) => {}
                _ => break,
            }
            number += 1;
        }
    }

    /// False if it is there already.
    fn put(&mut self, state: usize) -> bool {
        let new = self.seen[state] != self.step;
        if new {
            self.seen[state] = self.step;
            self.next.push(state);
        }
        new
    }

    fn take(&mut self, c: char) {
        self.step += 1;
        self.next.clear();
        for at in 0..self.now.len() {
            let state = self.now[at];
            let number = state / 2;
            if state % 2 == 1 {
                self.put(state);
                if c == '/' {
                    self.add(number + 1);
                }
                continue;
            }
            match self.parts.get(number) {
                Some(Part::Char(wanted)) if *wanted == c => self.add(number + 1),
                Some(Part::One) if c != '/' => self.add(number + 1),
                Some(Part::Many) if c != '/' => self.add(number),
                Some(Part::Everything) => self.add(number),
                Some(Part::Class { not, ranges })
                    if ranges.iter().any(|(low, high)| (*low..=*high).contains(&c)) != *not =>
                {
                    self.add(number + 1);
                }
                _ => {}
            }
        }
        std::mem::swap(&mut self.now, &mut self.next);
    }

    fn ended(&self) -> bool {
        self.now.contains(&(self.parts.len() * 2))
    }
}

impl Glob {
    /// `**` counts between slashes only; elsewhere it is `*`.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        Self::read(text, false)
    }

    /// As moby reads ignore files: `**` counts everywhere, and in front of a text without
    /// wildcards it takes anything, parts of names included.
    pub(crate) fn of_ignore_file(text: &str) -> Result<Self, String> {
        let mut glob = Self::read(text, true)?;
        let behind = &mut glob.parts.iter().skip(1);
        let plain = behind.all(|part| matches!(part, Part::Char(_)));
        if text.starts_with("**") && plain && !text.starts_with("**/") {
            glob.parts[0] = Part::Everything;
        }
        Ok(glob)
    }

    fn read(text: &str, anywhere: bool) -> Result<Self, String> {
        let bad = || format!("syntax error in pattern: {text:?}");
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        let mut before = '/';
        while let Some(c) = chars.next() {
            let part = match c {
                '?' => Part::One,
                '\\' => Part::Char(chars.next().ok_or_else(bad)?),
                '[' => class(&mut chars).ok_or_else(bad)?,
                '*' if chars.next_if_eq(&'*').is_some() => match chars.peek() {
                    Some('/') if anywhere || before == '/' => {
                        chars.next();
                        if chars.peek().is_some() {
                            Part::Directories
                        } else {
                            Part::Everything
                        }
                    }
                    None if anywhere || before == '/' => Part::Everything,
                    Some(_) if anywhere => Part::Directories,
                    _ => Part::Many,
                },
                '*' => Part::Many,
                c => Part::Char(c),
            };
            before = if part == Part::Directories { '/' } else { c };
            parts.push(part);
        }
        let literal = parts.iter().map_while(|part| match part {
            Part::Char(c) => Some(*c),
            _ => None,
        });
        Ok(Self {
            literal: literal.collect(),
            parts,
        })
    }

    pub(crate) fn matches(&self, path: &str) -> bool {
        self.after(path).is_some_and(|states| states.ended())
    }

    /// Whether the path or a directory above it matches.
    pub(crate) fn matches_with_parents(&self, path: &str) -> bool {
        if !path.starts_with(&self.literal) {
            return false;
        }
        let mut states = States::new(&self.parts);
        for c in path.chars() {
            if c == '/' && states.ended() {
                return true;
            }
            states.take(c);
            if states.now.is_empty() {
                return false;
            }
        }
        states.ended()
    }

    /// Whether some path that begins so may match.
    pub(crate) fn may_match_below(&self, directory: &str) -> bool {
        let Some(mut states) = self.after(directory) else {
            return false;
        };
        states.take('/');
        // What only ends here matches nothing further below.
        let end = self.parts.len() * 2;
        states.now.iter().any(|state| *state != end)
    }

    fn after(&self, path: &str) -> Option<States<'_>> {
        let mut states = States::new(&self.parts);
        for c in path.chars() {
            states.take(c);
            if states.now.is_empty() {
                return None;
            }
        }
        Some(states)
    }
}

/// `^a-z…]` behind a `[`; nothing if that is not a class.
fn class(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<Part> {
    let not = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
        let low = member(chars)?;
        let high = if chars.next_if_eq(&'-').is_some() {
            member(chars)?
        } else {
            low
        };
        ranges.push((low, high));
    }
    Some(Part::Class { not, ranges })
}

fn member(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Option<char> {
    match chars.next()? {
        '-' | ']' => None,
        '\\' => chars.next(),
        c => Some(c),
    }
}

/// Whether a path matches a pattern, as Go's `filepath.Match` has it, with `**` between slashes
/// for any number of directories.
///
/// # Errors
/// The pattern is no pattern.
pub fn glob_match(pattern: &str, path: &str) -> Result<bool, String> {
    Ok(Glob::parse(pattern)?.matches(path))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_go_has_it() {
        for (pattern, path, matches) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^e-g]", "abc", true),
            (r"a\*b", "a*b", true),
            (r"a\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            (r"[\]a]", "]", true),
            (r"[\-x]", "x", true),
            (r"[x\-]", "z", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(glob_match(pattern, path), Ok(matches), "{pattern} {path}");
        }
        for pattern in [
            "[]a]", "[-]", "[x-]", "[-x]", r"\", "[a-b-c]", "[", "[^", "[^bc", "a[", r"[\",
        ] {
            assert!(glob_match(pattern, "a").is_err(), "{pattern}");
        }
    }

    #[test]
    fn two_stars_take_directories() {
        for (pattern, path, matches) in [
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "a/bx", false),
            ("a/**/x", "a/x", true),
            ("a/**/x", "a/b/c/x", true),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("**", "a/b", true),
            ("a**", "a/b", false),
            ("**/*.rs", "a/b.rs", true),
            ("a/**/b/*", "a/x/y/b/z", true),
            ("a/**/b/*", "a/x/y/b/z/z", false),
        ] {
            assert_eq!(glob_match(pattern, path), Ok(matches), "{pattern} {path}");
        }
    }

    #[test]
    fn what_may_be_below() {
        for (pattern, directory, may) in [
            ("a/b/c", "a", true),
            ("a/b/c", "a/b", true),
            ("a/b/c", "a/b/c", false),
            ("a/b/c", "b", false),
            ("*/x", "a", true),
            ("*", "a", false),
            ("**/x", "a/b", true),
            ("a/**", "a/b", true),
            ("a?/x", "ab", true),
            ("a?/x", "a", false),
        ] {
            let glob = Glob::parse(pattern).unwrap();
            assert_eq!(
                glob.may_match_below(directory),
                may,
                "{pattern} {directory}"
            );
        }
    }
}
