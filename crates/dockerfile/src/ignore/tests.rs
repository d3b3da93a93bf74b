use proptest::prelude::*;

use super::*;

fn patterns(text: &str) -> Patterns {
    Patterns::parse(text.as_bytes()).unwrap()
}

#[test]
fn single_patterns() {
    for (pattern, path, ignored) in [
        ("file", "file", true),
        ("file", "dir/file", false),
        ("dir", "dir/a/b", true),
        ("dir/", "dir/a", true),
        ("/dir", "dir/a", true),
        ("./dir", "dir", true),
        ("a/../dir", "dir", true),
        ("dir/*", "dir", false),
        ("dir/*", "dir/a/b", true),
        ("*/temp*", "dir/temporary.txt", true),
        ("*/*/temp*", "dir/temp", false),
        ("temp?", "tempa", true),
        ("temp?", "temp", false),
        ("*.md", "README.md", true),
        ("*.md", "dir/README.md", false),
        ("**/*.md", "README.md", true),
        ("**/*.md", "a/b/README.md", true),
        ("**", "a/b", true),
        ("**/", "a/b", true),
        ("dir/**", "dir/a", true),
        ("dir/**", "dir", false),
        ("**/dir2/*", "dir/dir2/file", true),
        ("**/dir2/*", "dir2/file", true),
        ("**/**/dir2/*", "dir/dir/dir2/file", true),
        ("**file", "a/myfile", true),
        ("**/file", "a/myfile", false),
        ("a/**b", "a/x/b", true),
        ("a**/b", "ac/d/b", true),
        ("[a-c].txt", "b.txt", true),
        ("[^a-c].txt", "b.txt", false),
        (r"\*.txt", "*.txt", true),
        (r"\*.txt", "a.txt", false),
        ("a(b)+.txt", "a(b)+.txt", true),
        ("äöü*", "äöüß", true),
        (" dir ", "dir", true),
        (".", "anything", false),
        ("*", ".", false),
        ("..", "a", false),
    ] {
        assert_eq!(patterns(pattern).ignores(path), ignored, "{pattern} {path}");
    }
}

#[test]
fn the_last_that_matches_decides() {
    for (text, path, ignored) in [
        ("*.md\n!README.md", "README.md", false),
        (
            "*.md\n!README*.md\nREADME-secret.md",
            "README-secret.md",
            true,
        ),
        (
            "*.md\nREADME-secret.md\n!README*.md",
            "README-secret.md",
            false,
        ),
        ("*\n!src\n", "src/a/b", false),
        ("*\n!src/a\n", "src/a/b", false),
        ("*\n!src/a\n", "src/b", true),
        ("*\n! src\nsrc/a", "src/a/x", true),
        ("!src", "src", false),
        ("# *\n#\n\n", "a", false),
        (" # a", "# a", true),
        ("\u{feff}a", "a", true),
        ("a\r\nb\r\n", "a", true),
        ("**\n!**/keep", "x/keep", false),
    ] {
        assert_eq!(patterns(text).ignores(path), ignored, "{text:?} {path}");
    }
}

#[test]
fn what_is_no_pattern() {
    for (text, why) in [
        ("!", "line 1: illegal exclusion pattern: \"!\""),
        ("a\n[", "line 2: syntax error in pattern: \"[\""),
        ("a\\", "line 1: syntax error in pattern: \"a\\\\\""),
    ] {
        assert_eq!(Patterns::parse(text.as_bytes()).unwrap_err(), why);
    }
}

#[test]
fn directories_that_need_not_be_walked() {
    for (text, dir, walked) in [
        ("*", "node_modules", false),
        ("*\n!src", "node_modules", false),
        ("*\n!src/a", "src", true),
        ("*\n!src/a", "src/b", false),
        ("*\n!**/keep", "src/b", true),
        ("*\n!*/keep", "src", true),
        ("*\n!*/keep", "src/b", false),
        ("a\n!/a/b/", "a", true),
    ] {
        let patterns = patterns(text);
        assert!(patterns.ignores(dir), "{text:?} {dir}");
        assert_eq!(
            patterns.may_have_exceptions_below(dir),
            walked,
            "{text:?} {dir}"
        );
    }
    assert!(patterns("#x\n").is_empty() && !patterns("x").is_empty());
}

/// What the documentation says, written down as simply as can be.
fn naive(lines: &[(bool, Vec<&str>)], path: &[&str]) -> bool {
    fn one(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.first(), name.first()) {
            (None, None) => true,
            (Some(b'*'), _) => {
                one(&pattern[1..], name) || !name.is_empty() && one(pattern, &name[1..])
            }
            (Some(b'?'), Some(_)) => one(&pattern[1..], &name[1..]),
            (Some(a), Some(b)) => a == b && one(&pattern[1..], &name[1..]),
            _ => false,
        }
    }
    fn all(pattern: &[&str], path: &[&str]) -> bool {
        match pattern.split_first() {
            None => path.is_empty(),
            Some((&"**", [])) => !path.is_empty(),
            Some((&"**", rest)) => (0..=path.len()).any(|at| all(rest, &path[at..])),
            Some((first, rest)) => path.split_first().is_some_and(|(name, names)| {
                one(first.as_bytes(), name.as_bytes()) && all(rest, names)
            }),
        }
    }
    let mut ignored = false;
    for (back, pattern) in lines {
        if (1..=path.len()).any(|end| all(pattern, &path[..end])) {
            ignored = !back;
        }
    }
    ignored
}

proptest! {
    #[test]
    fn never_panics(text in ".{0,60}", path in ".{0,30}") {
        if let Ok(patterns) = Patterns::parse(text.as_bytes()) {
            let _ = patterns.ignores(&path);
            let _ = patterns.may_have_exceptions_below(&path);
        }
    }

    #[test]
    fn agrees_with_the_naive_model(
        lines in prop::collection::vec(
            (any::<bool>(), prop::collection::vec("\\*\\*|\\*|a|b|ab|a\\*|\\?|\\?b", 1..4)),
            0..4,
        ),
        path in prop::collection::vec("a|b|ab|ba", 1..5),
    ) {
        let text: String = lines
            .iter()
            .map(|(back, parts)| format!("{}{}\n", if *back { "!" } else { "" }, parts.join("/")))
            .collect();
        let lines: Vec<(bool, Vec<&str>)> = lines
            .iter()
            .map(|(back, parts)| (*back, parts.iter().map(String::as_str).collect()))
            .collect();
        let parts: Vec<&str> = path.iter().map(String::as_str).collect();
        let patterns = patterns(&text);
        let path = parts.join("/");
        prop_assert_eq!(patterns.ignores(&path), naive(&lines, &parts), "{} {}", text, path);
        // A directory that is not walked has nothing below it that comes back.
        for end in 1..parts.len() {
            let dir = parts[..end].join("/");
            if patterns.ignores(&dir) && !patterns.may_have_exceptions_below(&dir) {
                prop_assert!(patterns.ignores(&path), "{} {} {}", text, dir, path);
            }
        }
    }
}

/// Whoever writes patterns cannot make matching slow.
#[test]
fn patterns_that_take_long_elsewhere() {
    let stars = "*".repeat(50_000) + &"**/".repeat(2_000) + &"*a".repeat(2_000);
    let patterns = patterns(&stars);
    assert!(!patterns.ignores(&"b".repeat(2_000)));
    assert!(!patterns.may_have_exceptions_below("x"));
}
