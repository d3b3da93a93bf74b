//! Words that open a document: `<<EOF`, `<<-EOF`, `<<"EOF"`, `3<<EOF`.

use super::instruction::{Parsed, Value};
use crate::Instruction;
use crate::expand;
use crate::text::Fault;

/// A document that a line opens.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Opened {
    /// The delimiter.
    pub(super) name: String,
    /// `<<-`: tabs at the beginnings of lines go.
    pub(super) tabs: bool,
    /// The delimiter was not quoted.
    pub(super) expand: bool,
    /// Where it stands, for messages.
    at: usize,
    length: usize,
}

impl Opened {
    pub(super) fn unterminated(&self) -> Fault {
        Fault {
            at: self.at,
            length: self.length,
            message: "unterminated heredoc".to_owned(),
            hint: Some(format!("end it with a line that is only {}", self.name)),
        }
    }
}

/// The document that a word opens, if it is one that does.
pub(super) fn of(word: &str) -> Option<Opened> {
    let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
    let rest = digits.strip_prefix("<<")?;
    let (tabs, name) = match rest.strip_prefix('-') {
        Some(name) => (true, name),
        None => (false, rest),
    };
    if name.is_empty() || name.contains('<') {
        return None;
    }
    let written = expand::split_raw(name).ok()?;
    let plain = expand::split_unquoted(name).ok()?;
    let ([written], [plain]) = (written.as_slice(), plain.as_slice()) else {
        return None;
    };
    Some(Opened {
        name: plain.clone(),
        tabs,
        expand: written == plain,
        at: 0,
        length: 0,
    })
}

/// Whether a word opens a document.
pub(crate) fn is_heredoc(word: &str) -> bool {
    of(word).is_some()
}

/// The documents that an instruction opens, in their order.
pub(super) fn opened(parsed: &Parsed, line: &str) -> Result<Vec<Opened>, Fault> {
    if !line.contains("<<") || !takes(&parsed.value) || parsed.json {
        return Ok(Vec::new());
    }
    // What only a shell can read (`${a[0]}`, `$((1<<3))`) opens none.
    let Ok(words) = expand::split_raw(line) else {
        return Ok(Vec::new());
    };
    let spaced = matches!(instruction(&parsed.value), Some(Instruction::Run(_)));
    // In `$(( 1 << 2 ))` it is no document.
    let mut sums = 0_usize;
    let mut words = words.into_iter().peekable();
    let mut from = 0;
    let mut all = Vec::new();
    while let Some(mut word) = words.next() {
        // `cat << EOF`: the name may stand apart.
        sums += word.matches("((").count();
        sums = sums.saturating_sub(word.matches("))").count());
        let bare = word.trim_start_matches(|c: char| c.is_ascii_digit()) == "<<";
        if bare
            && spaced
            && sums == 0
            && let Some(name) = words.peek()
            && of(&format!("<<{name}")).is_some()
        {
            from = line[from..].find(&word).map_or(from, |at| from + at);
            word = format!("{word}{name}");
            words.next();
        }
        let Some(mut opened) = of(&word) else {
            continue;
        };
        opened.at = line[from..].find(&word).map_or(from, |at| from + at);
        opened.length = word.len();
        from = (opened.at + word.len()).min(line.len());
        if !line.is_char_boundary(from) {
            from = line.len();
        }
        all.push(opened);
    }
    Ok(all)
}

/// The instruction itself, also of a trigger.
fn instruction(value: &Value) -> Option<&Instruction> {
    match value {
        Value::Other(Instruction::Onbuild(inner)) => Some(&inner.value),
        Value::Other(value) => Some(value),
        Value::From(_) => None,
    }
}

fn takes(value: &Value) -> bool {
    matches!(
        instruction(value),
        Some(Instruction::Run(_) | Instruction::Copy(_) | Instruction::Add(_))
    )
}
