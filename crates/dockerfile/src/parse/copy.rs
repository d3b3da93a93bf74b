//! `COPY` and `ADD`.

use super::flags::Flags;
use super::heredoc;
use super::words::{self, Word};
use crate::text::{Fault, Text};
use crate::{Copy, Heredoc, Source};

const COPY: [&str; 5] = ["from", "chown", "chmod", "link", "parents"];
const ADD: [&str; 6] = [
    "chown",
    "chmod",
    "link",
    "checksum",
    "keep-git-dir",
    "unpack",
];

/// Reads the arguments; documents are put into their places later.
pub(super) fn parse(
    keyword: &str,
    flags: &Flags<'_>,
    text: Text<'_>,
    escape: char,
) -> Result<(Copy, bool), Fault> {
    let (mut words, json) = words::list(text)?;
    let add = keyword == "ADD";
    flags.known(if add { &ADD } else { &COPY }, &["exclude"])?;
    if words.len() < 2 {
        return Err(Fault::new(
            text,
            format!(
                "{keyword} requires at least two arguments, but only one was provided. \
                 Destination could not be determined"
            ),
        )
        .hint(format!("write {keyword} SOURCE... TARGET")));
    }
    let target = words.pop().unwrap_or_else(|| Word {
        value: String::new(),
        place: text,
    });
    if !json && heredoc::is_heredoc(&target.value) {
        return Err(Fault::new(
            target.place,
            format!("{keyword} cannot accept a heredoc as a destination"),
        ));
    }
    for word in words.iter().chain([&target]) {
        if !json && !heredoc::is_heredoc(&word.value) {
            syntax(word, escape)?;
        }
    }
    let copy = Copy {
        sources: words
            .into_iter()
            .map(|word| Source::Path(word.value))
            .collect(),
        target: target.value,
        from: from(flags)?,
        chown: flags.text("chown")?,
        chmod: flags.text("chmod")?,
        link: flags.switch("link")?.unwrap_or(false),
        parents: flags.switch("parents")?.unwrap_or(false),
        exclude: excluded(flags)?,
        checksum: flags.text("checksum")?,
        keep_git_dir: flags.switch("keep-git-dir")?.unwrap_or(false),
        unpack: flags.switch("unpack")?,
    };
    Ok((copy, json))
}

fn from(flags: &Flags<'_>) -> Result<Option<String>, Fault> {
    let Some((from, place)) = flags.placed("from")? else {
        return Ok(None);
    };
    if from.contains('$') && !from.ends_with('$') {
        return Err(Fault::new(
            place,
            "variable expansion is not supported for --from, define a new stage with FROM using \
             ARG from global scope as a workaround",
        ));
    }
    Ok(Some(from).filter(|from| !from.is_empty()))
}

fn excluded(flags: &Flags<'_>) -> Result<Vec<String>, Fault> {
    let mut all = Vec::new();
    for (pattern, place) in flags.all("exclude")? {
        if !pattern.contains('$') {
            crate::Patterns::new(std::slice::from_ref(&pattern))
                .map_err(|why| Fault::new(place, why))?;
        }
        all.push(pattern);
    }
    Ok(all)
}

/// As for other words, with a hint on names with white space.
fn syntax(word: &Word<'_>, escape: char) -> Result<(), Fault> {
    words::check(word.place, escape).map_err(|fault| {
        if fault.message.ends_with("-quote") {
            fault.hint("for names with white space use the JSON form: [\"a b\", \"/to/\"]")
        } else {
            fault
        }
    })
}

/// Puts documents in the places of the words that opened them.
pub(super) fn attach(copy: &mut Copy, documents: &[Heredoc]) {
    let mut documents = documents.iter();
    for source in &mut copy.sources {
        if let Source::Path(word) = source
            && heredoc::is_heredoc(word)
            && let Some(document) = documents.next()
        {
            *source = Source::Heredoc(document.clone());
        }
    }
}
