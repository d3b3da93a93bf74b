//! The files that a build is given.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// What an entry of a context is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EntryKind {
    /// A regular file.
    File,
    /// A directory.
    Dir,
    /// A symbolic link.
    Symlink,
}

/// A file, directory or link of a context. Other kinds of files are no part of a context.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ContextEntry {
    /// Which of them.
    pub kind: EntryKind,
    /// Permissions, with the set-user-id bits.
    pub mode: u32,
    /// Seconds since 1970.
    pub mtime: i64,
    /// Bytes of a file.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub size: u64,
    /// SHA-256 of a file's content, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub digest: String,
    /// Where a link points to. Files with the same text here are names of one file (hard links); of
    /// a file with one name it is empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub link: String,
}

fn is_zero(number: &u64) -> bool {
    *number == 0
}

/// What a context's files are, whole or as differences.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextUpdate {
    /// The context that the rest is a difference to; a whole context where there is none. A daemon
    /// that does not know it any more answers 404.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base: Option<String>,
    /// New and changed entries by their paths: relative, parts joined by `/`, none of them empty,
    /// `.` or `..`. Directories have entries of their own.
    pub entries: BTreeMap<String, ContextEntry>,
    /// Paths that are no more.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Another update follows, with this one's context as its base, which nothing needs after that.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub more: bool,
}

/// A context that the daemon knows now.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContextAnswer {
    /// Names it in [`super::BuildRequest`] and in later updates. The same files have the same name.
    pub id: String,
    /// Digests of the contents that are still to be sent.
    pub missing: Vec<String>,
}

/// What stands before each content in the body of `POST /wharf/build/content`: its digest as 64
/// hexadecimal digits and its length in bytes as 16, then `\n`. The contents follow one another.
#[must_use]
pub fn content_header(digest: &str, length: u64) -> String {
    format!("{digest}{length:016x}\n")
}
