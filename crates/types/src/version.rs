//! Versions of the Docker Engine API, `major.minor`.

use std::{fmt, str::FromStr};

/// A version of the Docker Engine API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ApiVersion(
    /// Major.
    pub u16,
    /// Minor.
    pub u16,
);

impl ApiVersion {
    /// The oldest version answered.
    pub const MIN: Self = Self(1, 24);
    /// The newest version answered, and the default without a prefix.
    pub const MAX: Self = Self(1, 51);
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

impl FromStr for ApiVersion {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (major, minor) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self(major.parse()?, minor.parse()?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_order_by_number_not_by_letters() {
        assert!("1.9".parse::<ApiVersion>().unwrap() < ApiVersion::MIN);
        assert_eq!(ApiVersion::MAX.to_string(), "1.51");
        assert!("1".parse::<ApiVersion>().is_err() && "1.x".parse::<ApiVersion>().is_err());
    }
}
