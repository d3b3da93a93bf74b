//! The kept inputs of a target: one file, an input a line, as JSON texts whose characters
//! U+0000 to U+00FF are the bytes. So they can be read, and a change shows what it changed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

fn file(target: &str) -> PathBuf {
    let name = format!("corpus/{target}.jsonl");
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Reads a target's inputs.
///
/// # Errors
/// When there are none, or a line is not such a text.
pub fn read(target: &str) -> io::Result<Vec<Vec<u8>>> {
    fs::read_to_string(file(target))?
        .lines()
        .map(bytes)
        .collect()
}

fn bytes(line: &str) -> io::Result<Vec<u8>> {
    let text: String = serde_json::from_str(line)?;
    let byte = |c| u8::try_from(u32::from(c)).map_err(io::Error::other);
    text.chars().map(byte).collect()
}

/// Replaces a target's inputs, in order and without repetitions.
///
/// # Errors
/// When the file cannot be written.
pub fn write(target: &str, mut inputs: Vec<Vec<u8>>) -> io::Result<()> {
    inputs.sort();
    inputs.dedup();
    let mut text = String::new();
    for input in inputs {
        let latin: String = input.into_iter().map(char::from).collect();
        text.push_str(&serde_json::to_string(&latin)?);
        text.push('\n');
    }
    fs::write(file(target), text)
}
