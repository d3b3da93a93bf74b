//! Names of links and tables, derived so that a restarted daemon finds its own again.

use std::hash::{BuildHasher, RandomState};

use crate::error::{Error, Result};

const DIGITS: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// FNV-1a: a hash that is the same in every build for ever, which the standard library's is not.
fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |h, b| {
        (h ^ u64::from(b)).wrapping_mul(0x0100_0000_01b3)
    })
}

fn digits(mut value: u64, count: usize) -> String {
    // FNV's low bits mix least; fold the high ones in.
    value ^= value >> 29;
    (0..count)
        .map(|i| char::from(DIGITS[(value >> (5 * i)) as usize & 31]))
        .collect()
}

/// See [`random`].
pub(crate) struct Random(u64);

impl From<Random> for std::net::Ipv6Addr {
    fn from(random: Random) -> Self {
        Self::from(u128::from(random.0))
    }
}

/// What the names of all container links of a bridge begin with.
pub(crate) fn link_prefix(bridge: &str) -> String {
    format!("wh{}", digits(hash(bridge), 4))
}

/// A name for the host's end of a container's link, never used before: 15 characters, the most
/// there can be, the last nine of them (45 bits) random.
pub(crate) fn link(bridge: &str) -> String {
    format!("{}{}", link_prefix(bridge), digits(random().0, 9))
}

/// A number that nobody has had.
pub(crate) fn random() -> Random {
    // Each RandomState has keys of its own, from the system's random numbers.
    Random(RandomState::new().hash_one(()))
}

/// The link that leads nowhere of the network with this identifier.
pub(crate) fn dead_end(network: &str) -> String {
    let start: String = network.chars().take(12).collect();
    format!("de-{start}")
}

/// Its other end.
pub(crate) fn dead_end_peer(network: &str) -> String {
    dead_end(network).replacen("de-", "dp-", 1)
}

/// The nftables table of a bridge.
pub(crate) fn table(bridge: &str) -> String {
    if bridge == "wharf0" {
        "wharf".into()
    } else {
        format!("wharf-{bridge}")
    }
}

pub(crate) fn check_bridge(name: &str) -> Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    if name.is_empty() || name.len() > 15 || !name.bytes().all(fine) || [".", ".."].contains(&name)
    {
        return Err(Error::Config(format!(
            "'{name}' cannot name a bridge: 1 to 15 letters, digits and any of _.- are allowed"
        )));
    }
    Ok(())
}

pub(crate) fn check_table(name: &str) -> Result<()> {
    let fine = |b: u8| b.is_ascii_alphanumeric() || b"_.-".contains(&b);
    let first = name
        .bytes()
        .next()
        .is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    if !first || name.len() > 64 || !name.bytes().all(fine) {
        return Err(Error::Config(format!(
            "'{name}' cannot name an nftables table: letters, digits and any of _.- are allowed"
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_fit_and_differ() {
        assert_eq!(link("wharf0").len(), 15);
        assert!(link("wharf0").starts_with(&link_prefix("wharf0")));
        assert_ne!(link_prefix("wharf0"), link_prefix("wharf1"));
        // Fixed for ever: a new build must find an old build's links.
        assert_eq!(link_prefix("wharf0"), "whb7s6");
        assert!(check_bridge("wharf0").is_ok());
        for bad in ["", "a/b", "..", "0123456789abcdef", "a b"] {
            assert!(check_bridge(bad).is_err(), "{bad}");
        }
        assert_eq!(table("wharf0"), "wharf");
        assert!(check_table(&table("br-x.1")).is_ok());
    }

    #[test]
    fn few_collisions() {
        let all: std::collections::HashSet<_> = (0..50_000).map(|_| link("wharf0")).collect();
        assert_eq!(all.len(), 50_000);
    }
}
