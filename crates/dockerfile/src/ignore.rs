//! `.dockerignore`, as moby reads it: the last pattern that matches a path or a directory above
//! it decides; one with `!` brings it back.

use crate::glob::Glob;

/// What of a context is left out.
#[derive(Clone, Debug, Default)]
pub struct Patterns(Vec<Pattern>);

#[derive(Clone, Debug)]
struct Pattern {
    /// `!`: matches are not left out.
    back: bool,
    glob: Glob,
}

impl Patterns {
    /// Reads an ignore file.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn parse(text: &[u8]) -> Result<Self, String> {
        let text = text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text);
        let text = String::from_utf8_lossy(text);
        let mut patterns = Vec::new();
        for (number, line) in text.lines().enumerate() {
            // Only what begins with it is a comment; a name may have one further right.
            if line.starts_with('#') {
                continue;
            }
            let read = pattern(line).map_err(|why| format!("line {}: {why}", number + 1))?;
            patterns.extend(read);
        }
        Ok(Self(patterns))
    }

    /// Takes patterns that were read already.
    ///
    /// # Errors
    /// A pattern that is none.
    pub fn new(list: &[String]) -> Result<Self, String> {
        let mut patterns = Vec::new();
        for text in list {
            patterns.extend(pattern(text)?);
        }
        Ok(Self(patterns))
    }

    /// Whether a path (relative, with slashes) is left out, by itself or by a directory above.
    #[must_use]
    pub fn ignores(&self, path: &str) -> bool {
        let path = clean(path);
        let path = path.trim_start_matches('/');
        if path == "." {
            return false;
        }
        let mut ignored = false;
        for pattern in &self.0 {
            // One that would change nothing need not be asked.
            if pattern.back == ignored && pattern.glob.matches_with_parents(path) {
                ignored = !pattern.back;
            }
        }
        ignored
    }

    /// Whether something below a directory may come back by a `!` pattern, so that the directory
    /// must be walked although it is left out.
    #[must_use]
    pub fn may_have_exceptions_below(&self, dir: &str) -> bool {
        let dir = clean(dir);
        let dir = dir.trim_start_matches('/');
        let mut back = self.0.iter().filter(|pattern| pattern.back);
        back.any(|pattern| dir == "." || pattern.glob.may_match_below(dir))
    }

    /// Whether anything may come back at all.
    pub(crate) fn has_exceptions(&self) -> bool {
        self.0.iter().any(|pattern| pattern.back)
    }

    /// Whether nothing is left out.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|pattern| pattern.back)
    }
}

/// Reads a line; nothing if it is empty.
fn pattern(line: &str) -> Result<Option<Pattern>, String> {
    let line = line.trim();
    let (back, text) = match line.strip_prefix('!') {
        Some(text) => (true, text.trim()),
        None => (false, line),
    };
    if text.is_empty() {
        return match back {
            true => Err("illegal exclusion pattern: \"!\"".to_owned()),
            false => Ok(None),
        };
    }
    let cleaned = clean(text);
    let text = match cleaned.strip_prefix('/') {
        Some(rest) if !rest.is_empty() => rest,
        _ => &cleaned,
    };
    Ok(Some(Pattern {
        back,
        glob: Glob::of_ignore_file(text)?,
    }))
}

/// The shortest path that is the same, as Go's `filepath.Clean` finds it.
pub(crate) fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| *last != "..") => {
                parts.pop();
            }
            ".." if rooted => {}
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    match (rooted, path.is_empty()) {
        (true, _) => format!("/{path}"),
        (false, true) => ".".to_owned(),
        (false, false) => path,
    }
}

#[cfg(test)]
mod tests;
