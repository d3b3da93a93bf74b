//! Platforms, and which entry of an index fits one.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// An operating system and processor that an image is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, Default)]
pub struct Platform {
    /// `linux`.
    #[serde(default)]
    pub os: String,
    /// `amd64`, `arm64`, …
    #[serde(default)]
    pub architecture: String,
    /// `v7`, `v8`, …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// Operating systems that images are made for besides Linux.
const OTHERS: [&str; 6] = [
    "darwin",
    "dragonfly",
    "freebsd",
    "netbsd",
    "openbsd",
    "windows",
];

impl Platform {
    /// This host's.
    pub fn host() -> Self {
        let (architecture, variant) = match std::env::consts::ARCH {
            "x86_64" => ("amd64", None),
            "x86" => ("386", None),
            "aarch64" => ("arm64", None),
            "arm" => ("arm", Some("v7")),
            "powerpc64" => ("ppc64le", None),
            other => (other, None),
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: variant.map(str::to_owned),
        }
    }

    /// Of `os[/arch[/variant]]`; a lone word may also be an architecture.
    ///
    /// # Errors
    /// When a part is empty, has other characters than letters, digits, `-`, `_`, `.`, or there
    /// are more than three.
    pub fn parse(text: &str) -> Result<Self> {
        let parts: Vec<_> = text.split('/').map(str::to_lowercase).collect();
        let fits = |part: &String| {
            !part.is_empty()
                && part
                    .bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
        };
        if !parts.iter().all(fits) || parts.len() > 3 {
            return Err(Error::Invalid(format!(
                "{text:?} is not a platform: write os[/arch[/variant]], such as linux/amd64"
            )));
        }
        let host = Self::host();
        let platform = match parts.as_slice() {
            [word] if word == "linux" => host,
            [word] => {
                let known = [
                    "amd64", "arm64", "arm", "386", "x86_64", "aarch64", "ppc64le", "s390x",
                    "riscv64", "mips64le", "loong64",
                ];
                if known.contains(&word.as_str()) {
                    Self {
                        os: host.os,
                        architecture: word.clone(),
                        variant: None,
                    }
                } else if OTHERS.contains(&word.as_str()) {
                    Self {
                        os: word.clone(),
                        architecture: host.architecture,
                        variant: None,
                    }
                } else {
                    return Err(Error::Invalid(format!(
                        "{text:?}: unknown operating system or architecture: write \
                         os[/arch[/variant]], such as linux/amd64"
                    )));
                }
            }
            [os, architecture, rest @ ..] => Self {
                os: os.clone(),
                architecture: architecture.clone(),
                variant: rest.first().cloned(),
            },
            [] => host,
        };
        Ok(platform.normalised())
    }

    fn normalised(mut self) -> Self {
        let (architecture, variant) = match (self.architecture.as_str(), self.variant.as_deref()) {
            ("x86_64" | "x86-64", variant) => ("amd64", variant),
            ("aarch64", variant) => ("arm64", variant),
            ("armhf", _) => ("arm", Some("v7")),
            ("armel", _) => ("arm", Some("v6")),
            ("i386" | "i686", _) => ("386", None),
            (other, variant) => (other, variant),
        };
        let variant = match (architecture, variant) {
            ("arm64", Some("v8" | "8")) | ("amd64", Some("v1")) => None,
            ("arm", None) => Some("v7"),
            ("arm", Some("7")) => Some("v7"),
            ("arm", Some("6")) => Some("v6"),
            ("arm", Some("5")) => Some("v5"),
            (_, variant) => variant,
        };
        (self.architecture, self.variant) = (architecture.to_owned(), variant.map(str::to_owned));
        self
    }

    /// Whether what is made for `offered` serves this platform.
    pub fn accepts(&self, offered: &Self) -> bool {
        self.distance(offered).is_some()
    }

    /// How well `offered` serves this platform: none when not at all, 0 when exactly.
    pub(crate) fn distance(&self, offered: &Self) -> Option<u32> {
        let (wanted, offered) = (self.clone().normalised(), offered.clone().normalised());
        if wanted.os != offered.os || wanted.architecture != offered.architecture {
            return None;
        }
        if wanted.variant == offered.variant {
            return Some(0);
        }
        match (
            wanted.architecture.as_str(),
            wanted.variant,
            offered.variant,
        ) {
            (_, Some(_), None) => Some(1),
            // An ARM or x86 processor also runs code for its predecessors.
            ("arm" | "amd64" | "arm64", Some(wanted), Some(offered)) => {
                let level = |text: &str| text.trim_start_matches('v').parse::<u32>().ok();
                level(&wanted)?.checked_sub(level(&offered)?)
            }
            _ => None,
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        match &self.variant {
            Some(variant) => write!(f, "/{variant}"),
            None => Ok(()),
        }
    }
}

/// Refuses an image that is not for the platform asked for.
pub(crate) fn check(image: &crate::image::Image, wanted: Option<&Platform>) -> Result<()> {
    let actual = image.platform();
    match wanted {
        Some(wanted) if !wanted.accepts(&actual) => Err(Error::NotForPlatform {
            reference: image.tags.first().map_or_else(
                || image.id.to_string(),
                types::reference::Reference::familiar,
            ),
            wanted: wanted.to_string(),
            actual: actual.to_string(),
        }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(wanted: &str, offered: &str) -> Option<u32> {
        let offered: Vec<_> = offered.split('/').map(str::to_owned).collect();
        let offered = Platform {
            os: offered[0].clone(),
            architecture: offered[1].clone(),
            variant: offered.get(2).cloned(),
        };
        Platform::parse(wanted).unwrap().distance(&offered)
    }

    #[test]
    fn nearest_predecessor_fits() {
        assert_eq!(distance("linux/amd64", "linux/amd64"), Some(0));
        assert_eq!(distance("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(distance("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(distance("linux/arm/v7", "linux/arm/v5"), Some(2));
        assert_eq!(distance("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(distance("linux/amd64", "linux/arm64"), None);
        assert_eq!(distance("linux/amd64", "windows/amd64"), None);
        assert_eq!(distance("linux/amd64", "unknown/unknown"), None);
        assert_eq!(Platform::parse("arm64").unwrap().to_string(), "linux/arm64");
        for bad in ["", "a/b/c/d", "linux//", "li nux"] {
            assert!(Platform::parse(bad).is_err(), "{bad}");
        }
    }
}
