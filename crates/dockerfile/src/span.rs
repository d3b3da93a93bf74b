//! Where in a file something stands.

/// A place in a file; lines and columns count from 1, columns in characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span {
    /// The line where it begins.
    pub line: u32,
    /// The column where it begins.
    pub column: u32,
    /// The line where it ends, itself included.
    pub end_line: u32,
}

/// A value with its place and how it was written.
#[derive(Clone, Debug, PartialEq)]
pub struct Located<T> {
    /// The value.
    pub value: T,
    /// The place.
    pub span: Span,
    /// The instruction as written: continuation lines joined, the keyword in capitals, a lone
    /// heredoc summed up by its first line as in `RUN <<EOF (apt-get update...)`.
    pub source: String,
}
