//! The ways in which instructions split their text.

use crate::text::{Fault, Text};

/// Splits at white space outside quotes; quotes and escapes stay.
pub(super) fn quoted<'a>(text: Text<'a>, escape: char) -> Vec<Text<'a>> {
    let mut words = Vec::new();
    let mut begun: Option<usize> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.text.char_indices();
    while let Some((at, c)) = chars.next() {
        if quote.is_none() && c.is_whitespace() {
            words.extend(begun.take().map(|from| text.part(from, at)));
            continue;
        }
        begun.get_or_insert(at);
        if c == escape && quote != Some('\'') {
            chars.next();
            continue;
        }
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\'' | '"', None) => quote = Some(c),
            _ => {}
        }
    }
    words.extend(begun.map(|from| text.from(from)));
    words
}

/// A JSON list of strings. Nothing if it is no JSON list, which makes it text; an error if it is
/// one of other things.
pub(super) fn json(text: Text<'_>) -> Result<Option<Vec<String>>, Fault> {
    if !text.text.trim_start().starts_with('[') {
        return Ok(None);
    }
    let Ok(list) = serde_json::from_str::<Vec<serde_json::Value>>(text.text) else {
        return Ok(None);
    };
    let strings: Option<Vec<String>> = list
        .into_iter()
        .map(|value| match value {
            serde_json::Value::String(text) => Some(text),
            _ => None,
        })
        .collect();
    match strings {
        Some(strings) => Ok(Some(strings)),
        None => Err(Fault::new(
            text.trim(),
            "when using JSON array syntax, arrays must be comprised of strings only",
        )
        .hint("put each element into double quotes")),
    }
}

/// A JSON list, or words between white space.
pub(super) fn list<'a>(text: Text<'a>) -> Result<(Vec<Word<'a>>, bool), Fault> {
    if let Some(strings) = json(text)? {
        let words = strings.into_iter().map(|value| Word {
            value,
            place: text.trim(),
        });
        return Ok((words.collect(), true));
    }
    let words = text.words().into_iter().map(|place| Word {
        value: place.text.to_owned(),
        place,
    });
    Ok((words.collect(), false))
}

/// A word and where it stands.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Word<'a> {
    pub(super) value: String,
    pub(super) place: Text<'a>,
}

/// `name=value` pairs, or the old `name value`; the latter is told.
pub(super) fn pairs(
    keyword: &str,
    text: Text<'_>,
    escape: char,
) -> Result<(Vec<(String, String)>, bool), Fault> {
    let words = quoted(text, escape);
    let Some(first) = words.first() else {
        return Err(Fault::new(
            text,
            format!("{keyword} requires at least one argument"),
        ));
    };
    if !first.text.contains('=') {
        let (name, value) = text.split_word();
        if value.text.is_empty() {
            return Err(
                Fault::new(name, format!("{keyword} must have two arguments"))
                    .hint(format!("write it as {keyword} {}=value", name.text)),
            );
        }
        check(name, escape)?;
        check(value, escape)?;
        return Ok((vec![(name.text.to_owned(), value.text.to_owned())], true));
    }
    let mut pairs = Vec::new();
    for word in words {
        let Some((name, value)) = word.text.split_once('=') else {
            return Err(Fault::new(
                word,
                format!(
                    "Syntax error - can't find = in {}. Must be of the form: name=value",
                    expand_quote(word.text)
                ),
            )
            .hint("a value with white space needs quotes"));
        };
        if name.is_empty() {
            return Err(Fault::new(
                word,
                format!("{keyword} names can not be blank"),
            ));
        }
        check(word, escape)?;
        pairs.push((name.to_owned(), value.to_owned()));
    }
    Ok((pairs, false))
}

/// Refuses a word that could not be expanded whatever its variables are.
pub(super) fn check(word: Text<'_>, escape: char) -> Result<(), Fault> {
    crate::expand::syntax(word.text, escape).map_err(|why| {
        let quote = why.ends_with("-quote");
        let fault = Fault::new(
            word,
            format!("failed to process {}: {why}", expand_quote(word.text)),
        );
        if quote {
            fault.hint("close the quote, or put an escape character before it")
        } else {
            fault
        }
    })
}

pub(super) fn expand_quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_escapes_hold_words_together() {
        for (text, words) in [
            ("a b", vec!["a", "b"]),
            ("a='b c' d", vec!["a='b c'", "d"]),
            (r#"a="b \" c" d"#, vec![r#"a="b \" c""#, "d"]),
            (r"a\ b c", vec![r"a\ b", "c"]),
            (r"'a\' b", vec![r"'a\'", "b"]),
            ("\"\" x", vec!["\"\"", "x"]),
            ("\"open x", vec!["\"open x"]),
            ("", vec![]),
        ] {
            let found: Vec<&str> = quoted(Text::new(text), '\\')
                .iter()
                .map(|word| word.text)
                .collect();
            assert_eq!(found, words, "{text}");
        }
    }

    #[test]
    fn only_lists_of_strings_are_json() {
        assert_eq!(
            json(Text::new(r#" ["a", "b\n"]"#)).unwrap().unwrap(),
            ["a", "b\n"]
        );
        for text in ["['a']", "[a]", "[\"a\"", "\"a\"", "[\"a\"] x", ""] {
            assert_eq!(json(Text::new(text)).unwrap(), None, "{text}");
        }
        assert!(json(Text::new("[\"a\", 1]")).is_err());
        assert_eq!(json(Text::new("[]")).unwrap(), Some(Vec::new()));
    }
}
