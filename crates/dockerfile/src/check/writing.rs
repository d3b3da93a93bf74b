//! Rules on how a file is written.

use std::collections::BTreeSet;

use super::{Found, rules};
use crate::Dockerfile;
use crate::parse::Note;

pub(super) fn run(file: &Dockerfile, found: &mut Found) {
    for span in &file.notes.empty_lines {
        let message = "Empty continuation line".to_owned();
        found.add(&rules::NO_EMPTY_CONTINUATION, *span, message);
    }
    casing(file, found);
    let mut stages = BTreeSet::new();
    for note in &file.notes.instructions {
        match note.keyword.to_uppercase().as_str() {
            "FROM" => stage(note, &mut stages, found),
            "MAINTAINER" => found.add(
                &rules::MAINTAINER_DEPRECATED,
                note.span,
                "Maintainer instruction is deprecated in favor of using label".to_owned(),
            ),
            "ARG" => {
                let words = note.rest.split_whitespace();
                let names = words.map(|word| word.split('=').next().unwrap_or(word));
                described("ARG", &names.collect::<Vec<_>>(), note, found);
            }
            "ENV" | "LABEL" if note.legacy => {
                let name = &note.keyword;
                found.add(
                    &rules::LEGACY_KEY_VALUE_FORMAT,
                    note.span,
                    format!(
                        "\"{name} key=value\" should be used instead of legacy \"{name} key \
                         value\" format"
                    ),
                );
            }
            _ => {}
        }
    }
}

fn is_lower(text: &str) -> bool {
    text == text.to_lowercase()
}

fn is_upper(text: &str) -> bool {
    text == text.to_uppercase()
}

/// What most keywords of the stages are written in, the others should be too.
fn casing(file: &Dockerfile, found: &mut Found) {
    let notes = || {
        let from_first = |note: &&Note| !note.keyword.eq_ignore_ascii_case("FROM");
        file.notes.instructions.iter().skip_while(from_first)
    };
    let lower = notes().filter(|note| is_lower(&note.keyword)).count();
    let upper = notes().filter(|note| is_upper(&note.keyword)).count();
    for note in notes() {
        let (right, name) = if lower > upper {
            (is_lower(&note.keyword), "lowercase")
        } else {
            (is_upper(&note.keyword), "uppercase")
        };
        if !right {
            found.add(
                &rules::CONSISTENT_INSTRUCTION_CASING,
                note.span,
                format!(
                    "Command '{}' should match the case of the command majority ({name})",
                    note.keyword
                ),
            );
        }
    }
}

/// The name of a stage and the word before it.
fn stage<'a>(note: &'a Note, before: &mut BTreeSet<String>, found: &mut Found) {
    let words: Vec<&'a str> = note.rest.split_whitespace().collect();
    let [.., r#as, name] = words.as_slice() else {
        return;
    };
    if !r#as.eq_ignore_ascii_case("as") {
        return;
    }
    let from = &note.keyword;
    let same = is_lower(from) && is_lower(r#as) || is_upper(from) && is_upper(r#as);
    if !same && (is_lower(from) || is_upper(from)) {
        found.add(
            &rules::FROM_AS_CASING,
            note.span,
            format!("'{as}' and '{from}' keywords' casing do not match", as = r#as),
        );
    }
    if !is_lower(name) {
        found.add(
            &rules::STAGE_NAME_CASING,
            note.span,
            format!("Stage name '{name}' should be lowercase"),
        );
    }
    let lower = name.to_lowercase();
    if matches!(lower.as_str(), "context" | "scratch") {
        found.add(
            &rules::RESERVED_STAGE_NAME,
            note.span,
            format!("Stage name should not use the same name as reserved stage {lower:?}"),
        );
    }
    described("FROM", &[&lower], note, found);
    if before.contains(&lower) {
        found.add(
            &rules::DUPLICATE_STAGE_NAME,
            note.span,
            format!("Duplicate stage name {lower:?}, stage names should be unique"),
        );
    }
    before.insert(lower);
}

/// A comment right above a stage or an argument describes it.
fn described(keyword: &str, names: &[&str], note: &Note, found: &mut Found) {
    let Some(comment) = note.comments.last() else {
        return;
    };
    let first = comment.split(' ').next().unwrap_or_default();
    if names.contains(&first) {
        return;
    }
    let name = match names {
        [name] => name,
        _ => "<arg_key>",
    };
    found.add(
        &rules::INVALID_DEFINITION_DESCRIPTION,
        note.span,
        format!("Comment for {keyword} should follow the format: `# {name} <description>`"),
    );
}
