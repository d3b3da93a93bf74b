//! From text to values.

use crate::{Dockerfile, Error, Instruction, Located};

/// How things were written, for the checks.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Notes {}

/// Parses a whole file; `name` is what errors call it.
///
/// # Errors
/// The first thing that is wrong, with its place.
pub fn parse(_name: &str, _text: &[u8]) -> Result<Dockerfile, Error> {
    todo!()
}

/// Parses one instruction: an `ONBUILD` trigger kept by an image, or `commit --change`.
///
/// # Errors
/// What is wrong with it.
pub fn parse_instruction(_text: &str) -> Result<Located<Instruction>, Error> {
    todo!()
}

pub(crate) fn is_heredoc(_word: &str) -> bool {
    todo!()
}
