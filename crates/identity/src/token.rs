//! Join tokens: `SWMTKN-1-<digest of the root>-<secret>`, in Docker's form.
//!
//! The digest tells the node which root to believe before it trusts anybody; the secret tells the managers
//! which role the node may have.

use std::fmt;
use std::str::FromStr;

use ring::digest::{SHA256, digest};

use crate::error::{Error, Result};

const PREFIX: &str = "SWMTKN";
const VERSION: &str = "1";
/// 32 bytes in base 36.
const DIGEST_LENGTH: usize = 50;
/// 16 bytes in base 36.
const SECRET_LENGTH: usize = 25;

/// The digest of a root's certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Digest([u8; 32]);

impl Digest {
    /// That of a certificate in PEM.
    #[must_use]
    pub fn of(pem: &str) -> Self {
        let mut bytes = [0; 32];
        bytes.copy_from_slice(digest(&SHA256, pem.trim().as_bytes()).as_ref());
        Self(bytes)
    }

    /// As tools write it.
    #[must_use]
    pub fn hex(&self) -> String {
        types::id::hex(&self.0)
    }
}

/// A join token.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    /// The root that it is for.
    pub root: Digest,
    secret: String,
}

impl Token {
    /// A token for the root, of these random bytes.
    #[must_use]
    pub fn new(root: Digest, random: [u8; 16]) -> Self {
        Self {
            root,
            secret: base36(&random, SECRET_LENGTH),
        }
    }

    /// Whether it is this one. Takes the same time wherever they differ.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        let pairs = self.secret.bytes().zip(other.secret.bytes());
        let differences = pairs.fold(0, |all, (a, b)| all | (a ^ b));
        self.root == other.root && self.secret.len() == other.secret.len() && differences == 0
    }
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = base36(&self.root.0, DIGEST_LENGTH);
        write!(f, "{PREFIX}-{VERSION}-{root}-{}", self.secret)
    }
}

/// Without the secret: it must not come into a log.
impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{PREFIX}-{VERSION}-{}-…",
            base36(&self.root.0, DIGEST_LENGTH)
        )
    }
}

impl FromStr for Token {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let mut parts = text.trim().split('-');
        let mut part = || parts.next().ok_or(Error::BadToken);
        let (prefix, version, root, secret) = (part()?, part()?, part()?, part()?);
        let digits = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
        let good = prefix == PREFIX
            && version == VERSION
            && secret.len() == SECRET_LENGTH
            && secret.bytes().all(digits)
            && parts.next().is_none();
        let root = from_base36(root).filter(|_| good).ok_or(Error::BadToken)?;
        Ok(Self {
            root: Digest(root),
            secret: secret.to_owned(),
        })
    }
}

fn base36(bytes: &[u8], length: usize) -> String {
    let mut number = bytes.to_vec();
    let mut digits = vec![b'0'; length];
    for digit in digits.iter_mut().rev() {
        let mut rest = 0u32;
        for byte in &mut number {
            let value = rest << 8 | u32::from(*byte);
            *byte = u8::try_from(value / 36).unwrap_or(u8::MAX);
            rest = value % 36;
        }
        *digit = char::from_digit(rest, 36).map_or(b'0', |c| c as u8);
    }
    digits.into_iter().map(char::from).collect()
}

fn from_base36(text: &str) -> Option<[u8; 32]> {
    if text.len() != DIGEST_LENGTH || text.bytes().any(|b| b.is_ascii_uppercase()) {
        return None;
    }
    let mut number = [0u8; 32];
    for digit in text.chars() {
        let mut carry = digit.to_digit(36)?;
        for byte in number.iter_mut().rev() {
            let value = u32::from(*byte) * 36 + carry;
            *byte = (value & 0xff) as u8;
            carry = value >> 8;
        }
        if carry != 0 {
            return None;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_token_is_read_as_it_was_written(pem in ".{0,200}", random: [u8; 16]) {
            let token = Token::new(Digest::of(&pem), random);
            let read: Token = token.to_string().parse().expect("a token");
            prop_assert!(read.is(&token));
            let shown = format!("{token:?}");
            prop_assert!(!shown.contains(&token.secret));
        }

        #[test]
        fn nothing_else_is_one(text in "(SWMTKN-1-)?[a-z0-9A-Z-]{0,90}") {
            if let Ok(token) = text.parse::<Token>() {
                prop_assert_eq!(token.to_string(), text);
            }
        }
    }

    #[test]
    fn what_is_no_token() {
        let good = Token::new(Digest::of("root"), [7; 16]).to_string();
        assert_eq!(
            good.len(),
            "SWMTKN-1-".len() + DIGEST_LENGTH + 1 + SECRET_LENGTH
        );
        let zs = format!("SWMTKN-1-{}-{}", "z".repeat(50), "0".repeat(25));
        for bad in [
            "",
            "SWMTKN",
            &good[1..],
            &good[..good.len() - 1],
            &format!("{good}-x"),
            &zs,
        ] {
            assert_eq!(bad.parse::<Token>(), Err(Error::BadToken), "{bad}");
        }
        assert_eq!(
            good.replacen("SWMTKN-1", "SWMTKN-2", 1).parse::<Token>(),
            Err(Error::BadToken)
        );
    }

    #[test]
    fn two_tokens_of_one_root_differ_by_their_secret() {
        let (a, b) = ([1; 16], [2; 16]);
        let root = Digest::of("root");
        assert!(!Token::new(root, a).is(&Token::new(root, b)));
        assert!(!Token::new(root, a).is(&Token::new(Digest::of("other"), a)));
        assert!(Token::new(root, a).is(&Token::new(root, a)));
    }
}
