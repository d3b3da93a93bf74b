use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

struct Map(BTreeMap<&'static str, &'static str>);

impl Variables for Map {
    fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| (*value).to_owned())
    }
}

fn variables() -> Map {
    Map(BTreeMap::from([
        ("foo", "abc"),
        ("empty", ""),
        ("path", "/usr/local/bin.tar.gz"),
        ("spaced", "a b  c"),
        ("star", "a*b"),
        ("str", "foobarbaz"),
        ("Ü1", "u"),
    ]))
}

#[test]
fn forms_of_substitution() {
    for (word, out) in [
        ("", ""),
        ("plain", "plain"),
        ("$foo", "abc"),
        ("${foo}", "abc"),
        ("x${foo}y$foo.z", "xabcyabc.z"),
        ("$none", ""),
        ("$", "$"),
        ("$.", "$."),
        ("$foo$", "abc$"),
        ("$$foo", "foo"),
        ("$1a", "a"),
        ("$Ü1", "u"),
        (r"\$foo", "$foo"),
        (r"\\$foo", r"\abc"),
        (r"a\b", "ab"),
        (r"a\", "a"),
        ("'$foo'", "$foo"),
        (r"'\'", r"\"),
        ("\"$foo\"", "abc"),
        (r#""\$foo \" \\ \n""#, r#"$foo " \ \n"#),
        ("a'b'\"c\"d", "abcd"),
        ("${none:-word}", "word"),
        ("${empty:-word}", "word"),
        ("${empty-word}", ""),
        ("${none-word}", "word"),
        ("${foo:-word}", "abc"),
        ("${foo:+word}", "word"),
        ("${empty:+word}", ""),
        ("${empty+word}", "word"),
        ("${none+word}", ""),
        ("${none:-${empty:-$foo}}", "abc"),
        ("${none:-'a}b'}", "a}b"),
        (r"${none:-a\}b}", "a}b"),
        ("${foo:?}", "abc"),
        ("${foo?why}", "abc"),
        ("${empty?}", ""),
        ("${path#*/}", "usr/local/bin.tar.gz"),
        ("${path##*/}", "bin.tar.gz"),
        ("${path%.*}", "/usr/local/bin.tar"),
        ("${path%%.*}", "/usr/local/bin"),
        ("${path%/*}", "/usr/local"),
        ("${path#x}", "/usr/local/bin.tar.gz"),
        ("${str#f?o}", "barbaz"),
        (r"${star#a\*}", "b"),
        ("${star#a*}", "*b"),
        ("${star##a*}", ""),
        ("${str/ba/BA}", "fooBArbaz"),
        ("${str//ba/BA}", "fooBArBAz"),
        ("${str//b?/_}", "foo_r_z"),
        ("${str/o*a/_}", "f_z"),
        (r"${path/\/usr/}", "/local/bin.tar.gz"),
        (r"${path//\//-}", "-usr-local-bin.tar.gz"),
        ("${str/foo/$foo}", "abcbarbaz"),
        ("${none/a/b}", ""),
    ] {
        let read = expand(word, '\\', &variables()).map(|read| read.text);
        assert_eq!(read.as_deref(), Ok(out), "{word}");
    }
}

#[test]
fn what_is_no_substitution() {
    for (word, why) in [
        ("${", "syntax error: missing '}'"),
        ("${foo", "syntax error: missing '}'"),
        ("${foo:-a", "syntax error: missing '}'"),
        ("${foo:", "syntax error: missing '}'"),
        ("${}", "syntax error: bad substitution"),
        ("${{foo}}", "syntax error: bad substitution"),
        ("${foo:=a}", "unsupported modifier (:=) in substitution"),
        ("${foo^}", "unsupported modifier (^) in substitution"),
        ("${foo/a", "syntax error: missing '/' in ${}"),
        ("${foo/a/b", "syntax error: missing '}'"),
        (
            r"${foo#\a}",
            r"invalid pattern (\a) in substitution: invalid escape '\a'",
        ),
        ("${none?}", "none: is not allowed to be unset"),
        ("${empty:?}", "empty: is not allowed to be empty"),
        ("${none:?set it}", "none: set it"),
        (
            "'a",
            "unexpected end of statement while looking for matching single-quote",
        ),
        (
            "\"a",
            "unexpected end of statement while looking for matching double-quote",
        ),
        (
            r#""a\"#,
            "unexpected end of statement while looking for matching double-quote",
        ),
    ] {
        let said = expand(word, '\\', &variables()).unwrap_err();
        let all = format!("failed to process {}: {why}", lexer::quote(word));
        assert_eq!(said, all, "{word}");
    }
}

#[test]
fn another_escape_character() {
    let read = expand(r"C:\dir`$foo", '`', &variables()).unwrap();
    assert_eq!(read.text, r"C:\dir$foo");
}

#[test]
fn words_are_split_outside_quotes_and_within_values() {
    for (text, words) in [
        ("  a  b ", vec!["a", "b"]),
        ("$spaced x", vec!["a", "b", "c", "x"]),
        ("\"$spaced\" x", vec!["a b  c", "x"]),
        ("'a b'c d", vec!["a bc", "d"]),
        (r"a\ b c", vec!["a b", "c"]),
        ("$none", vec![]),
        ("80$none 81/${empty:-udp}", vec!["80", "81/udp"]),
        ("\"\"", vec![]),
    ] {
        assert_eq!(
            expand_words(text, '\\', &variables()).unwrap(),
            words,
            "{text}"
        );
    }
}

#[test]
fn documents_keep_their_quotes() {
    for (text, out) in [
        ("\"$foo\" 'it'\n", "\"abc\" 'it'\n"),
        ("it's ${none:-x}\n", "it's x\n"),
        ("\\$foo\n", "$foo\n"),
        ("\\\n", "\n"),
        ("\\\\\n", "\\\n"),
    ] {
        assert_eq!(expand_raw(text, '\\', &variables()).unwrap().text, out);
    }
}

#[test]
fn names_without_a_value_are_told_once() {
    let read = expand("$a ${b} $a ${c:-x} ${d##x} ${foo}", '\\', &variables()).unwrap();
    assert_eq!(read.unmatched, ["a", "b", "d"]);
}

#[test]
fn depth_and_length_have_an_end() {
    let deep = format!("{}x{}", "${a:-".repeat(100_000), "}".repeat(100_000));
    let why = expand(&deep, '\\', &variables()).unwrap_err();
    assert!(
        why.ends_with("nested too deeply"),
        "{}",
        &why[why.len() - 60..]
    );
    struct Long;
    impl Variables for Long {
        fn get(&self, _: &str) -> Option<String> {
            Some("x".repeat(1 << 18))
        }
    }
    let why = expand("$a$a$a$a$a", '\\', &Long).unwrap_err();
    assert!(why.contains("longer than"), "{why}");
}

proptest! {
    #[test]
    fn never_panics(word in "[${}:+\\-#%/?*'\"\\\\`a-z 0-9é]{0,40}") {
        for escape in ['\\', '`'] {
            let _ = expand(&word, escape, &variables());
            let _ = expand_raw(&word, escape, &variables());
            let _ = expand_words(&word, escape, &variables());
            let _ = syntax(&word, escape);
        }
    }

    /// What is quoted comes back as it is.
    #[test]
    fn quoted_text_stays(text in "[^']{0,20}") {
        let read = expand(&format!("'{text}'"), '\\', &variables()).unwrap();
        prop_assert_eq!(read.text, text);
    }

    /// Trimming takes away a beginning and an end.
    #[test]
    fn trimming_only_takes_away(value in "[ab.]{0,8}", pattern in "[ab.?*]{1,4}") {
        struct One(String);
        impl Variables for One {
            fn get(&self, _: &str) -> Option<String> {
                Some(self.0.clone())
            }
        }
        let one = One(value.clone());
        let of = |modifier: &str| {
            expand(&format!("${{v{modifier}{pattern}}}"), '\\', &one).unwrap().text
        };
        prop_assert!(value.ends_with(&of("#")) && of("#").ends_with(&of("##")));
        prop_assert!(value.starts_with(&of("%")) && of("%").starts_with(&of("%%")));
    }
}
