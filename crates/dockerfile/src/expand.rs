//! Variables in words.

/// Where the values of variables come from.
pub trait Variables {
    /// The value of one, if it is set.
    fn get(&self, name: &str) -> Option<String>;
}

/// An expanded word.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expanded {
    /// The text.
    pub text: String,
    /// Names of variables in it that had no value.
    pub unmatched: Vec<String>,
}

/// Expands one word and takes its quotes away.
///
/// # Errors
/// Bad syntax, or a variable that must be set (`${x:?…}`).
pub fn expand(_word: &str, _escape: char, _variables: &dyn Variables) -> Result<Expanded, String> {
    todo!()
}

/// Expands text and splits it at white space outside quotes.
///
/// # Errors
/// As [`expand`].
pub fn expand_words(
    _text: &str,
    _escape: char,
    _variables: &dyn Variables,
) -> Result<Vec<String>, String> {
    todo!()
}

/// Expands variables and keeps everything else, quotes and escapes included.
///
/// # Errors
/// As [`expand`].
pub fn expand_raw(
    _text: &str,
    _escape: char,
    _variables: &dyn Variables,
) -> Result<Expanded, String> {
    todo!()
}
