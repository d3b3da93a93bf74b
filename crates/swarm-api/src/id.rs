//! Identifiers of the cluster's objects.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// 25 digits and lower-case letters, as Docker's cluster has them. Shared, as indices and objects hold
/// the same one many times.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Id(Arc<str>);

/// How long an identifier is.
pub const LENGTH: usize = 25;

impl Id {
    /// The identifier that these random bits make: all of them count but the uppermost.
    #[must_use]
    pub fn from_bits(mut bits: u128) -> Self {
        let mut text = [b'0'; LENGTH];
        for digit in text.iter_mut().rev() {
            // What is below 36 is a digit of base 36.
            let value = (bits % 36) as u8;
            *digit = match value {
                0..=9 => b'0' + value,
                _ => b'a' + value - 10,
            };
            bits /= 36;
        }
        Self(
            text.iter()
                .map(|b| char::from(*b))
                .collect::<String>()
                .into(),
        )
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether it is the empty one, which names nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Default for Id {
    fn default() -> Self {
        Self("".into())
    }
}

impl From<&str> for Id {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl From<String> for Id {
    fn from(text: String) -> Self {
        Self(text.into())
    }
}

impl std::borrow::Borrow<str> for Id {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_bits_make_25_digits_of_base_36() {
        for bits in [0, 35, 36, u128::MAX] {
            let id = Id::from_bits(bits);
            assert_eq!(id.as_str().len(), LENGTH);
            assert!(
                id.as_str()
                    .bytes()
                    .all(|b| b.is_ascii_digit() || b.is_ascii_lowercase())
            );
        }
        assert!(Id::from_bits(36).as_str().ends_with("010"));
        assert_ne!(Id::from_bits(1), Id::from_bits(2));
    }
}
