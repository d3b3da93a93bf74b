//! Image references: what people write (`busybox`, `localhost:5000/a/b:1`) and what it means.
//!
//! The grammar and the wording of refusals are those of Docker's reference library, because
//! scripts match on them and because an image must have the same name under both engines.

use std::fmt;

/// The registry that a name without one belongs to.
pub const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DEFAULT_DOMAIN: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
/// The tag that is meant when none is given.
pub const DEFAULT_TAG: &str = "latest";
const MAX_NAME: usize = 255;
const MAX_TAG: usize = 128;

/// Why a text is not a reference. The texts are Docker's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// It does not follow the grammar.
    #[error("invalid reference format")]
    Format,
    /// The repository has capital letters.
    #[error("invalid reference format: repository name ({0}) must be lowercase")]
    Uppercase(String),
    /// The name as a whole is too long.
    #[error("repository name must not be more than {MAX_NAME} characters")]
    TooLong,
    /// It looks like an image id, which cannot be a name.
    #[error("invalid repository name ({0}), cannot specify 64-byte hexadecimal strings")]
    LooksLikeId(String),
    /// The digest's algorithm is not known.
    #[error("unsupported digest algorithm")]
    DigestAlgorithm,
    /// The digest has the wrong length.
    #[error("invalid checksum digest length")]
    DigestLength,
    /// The digest has characters that are not lower-case hexadecimal.
    #[error("invalid checksum digest format")]
    DigestFormat,
}

/// A normalised image reference: always with a registry, maybe with a tag, a digest or both.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl Reference {
    /// Parses what a person wrote, adding the default registry and `library/` where they are
    /// meant.
    ///
    /// # Errors
    /// With Docker's text, when the text is not a reference.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        if is_full_id(text) {
            return Err(ReferenceError::LooksLikeId(text.to_owned()));
        }
        let (domain, rest) = split_domain(text);
        let remote = rest.split(':').next().unwrap_or_default();
        if remote.chars().any(char::is_uppercase) {
            return Err(ReferenceError::Uppercase(remote.to_owned()));
        }
        let (named, digest) = match rest.split_once('@') {
            Some((named, digest)) => (named, Some(digest)),
            None => (rest.as_str(), None),
        };
        let (path, tag) = match named.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (named, None),
        };
        let fits = is_domain(&domain)
            && is_path(path)
            && tag.is_none_or(is_tag)
            && digest.is_none_or(looks_like_digest);
        if !fits {
            return Err(ReferenceError::Format);
        }
        if path.len() > MAX_NAME {
            return Err(ReferenceError::TooLong);
        }
        if let Some(digest) = digest {
            check_digest(digest)?;
        }
        Ok(Self {
            domain,
            path: path.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The registry, with its port.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// The repository within its registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, when there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest with its algorithm, when there is one.
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }

    /// Registry and repository, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// [`Self::name`] as people know it: `busybox` for `docker.io/library/busybox`. The whole
    /// name where the short one would be read as another's, as in `docker.io/a.b/c`.
    pub fn familiar_name(&self) -> String {
        let short = match self.path.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short,
            _ => &self.path,
        };
        let the_same = self.domain == DEFAULT_DOMAIN
            && !is_full_id(short)
            && split_domain(short) == (self.domain.clone(), self.path.clone());
        if the_same {
            short.to_owned()
        } else {
            self.name()
        }
    }

    /// The whole reference as people know it.
    pub fn familiar(&self) -> String {
        self.with_suffix(self.familiar_name())
    }

    /// The same, with `:latest` when it has neither tag nor digest.
    #[must_use]
    pub fn with_default_tag(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some(DEFAULT_TAG.to_owned());
        }
        self
    }

    /// The same repository by this digest only.
    ///
    /// # Errors
    /// When the digest is not one.
    pub fn with_digest(&self, digest: &str) -> Result<Self, ReferenceError> {
        check_digest(digest)?;
        Ok(Self {
            domain: self.domain.clone(),
            path: self.path.clone(),
            tag: None,
            digest: Some(digest.to_owned()),
        })
    }

    /// The same repository under this tag only.
    ///
    /// # Errors
    /// When the tag is not one.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        if !is_tag(tag) {
            return Err(ReferenceError::Format);
        }
        Ok(Self {
            domain: self.domain.clone(),
            path: self.path.clone(),
            tag: Some(tag.to_owned()),
            digest: None,
        })
    }

    fn with_suffix(&self, mut name: String) -> String {
        if let Some(tag) = &self.tag {
            name.push(':');
            name.push_str(tag);
        }
        if let Some(digest) = &self.digest {
            name.push('@');
            name.push_str(digest);
        }
        name
    }
}

/// The full, normalised form.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.with_suffix(self.name()))
    }
}

impl std::str::FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text)
    }
}

/// Whether the text is 64 lower-case hexadecimal digits.
pub fn is_full_id(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(is_lower_hex)
}

fn is_lower_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}

/// Splits off the registry: only what has a dot, a colon, a capital letter or is `localhost`
/// can be one; everything else is the beginning of a repository at the default registry.
fn split_domain(text: &str) -> (String, String) {
    let (domain, rest) = match text.split_once('/') {
        Some((first, rest)) if first == LEGACY_DEFAULT_DOMAIN => (DEFAULT_DOMAIN, rest),
        Some((first, rest))
            if first == "localhost"
                || first.contains(['.', ':'])
                || first.chars().any(char::is_uppercase) =>
        {
            (first, rest)
        }
        _ => (DEFAULT_DOMAIN, text),
    };
    let rest = if domain == DEFAULT_DOMAIN && !rest.contains('/') {
        format!("{OFFICIAL_PREFIX}{rest}")
    } else {
        rest.to_owned()
    };
    (domain.to_owned(), rest)
}

fn is_domain(text: &str) -> bool {
    let (host, port) = match text.strip_prefix('[') {
        Some(rest) => {
            let Some((address, port)) = rest.split_once(']') else {
                return false;
            };
            let inside =
                !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || b == b':');
            if !inside {
                return false;
            }
            (None, port)
        }
        None => match text.find(':') {
            Some(at) => (Some(&text[..at]), &text[at..]),
            None => (Some(text), ""),
        },
    };
    let port_fits = port.is_empty()
        || port
            .strip_prefix(':')
            .is_some_and(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_digit()));
    port_fits && host.is_none_or(|host| host.split('.').all(is_domain_component))
}

fn is_domain_component(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_path(text: &str) -> bool {
    text.split('/').all(is_path_component)
}

/// Lower-case letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_path_component(text: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    if !bytes.first().copied().is_some_and(is_plain) || !bytes.last().copied().is_some_and(is_plain)
    {
        return false;
    }
    bytes
        .split(|b| is_plain(*b))
        .filter(|separator| !separator.is_empty())
        .all(|s| s == b"." || s == b"_" || s == b"__" || s.iter().all(|b| *b == b'-'))
}

fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    !text.is_empty()
        && text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

fn looks_like_digest(text: &str) -> bool {
    let Some((algorithm, hex)) = text.split_once(':') else {
        return false;
    };
    let parts_fit = algorithm.split(['-', '_', '+', '.']).all(|part| {
        part.bytes().next().is_some_and(|b| b.is_ascii_alphabetic())
            && part.bytes().all(|b| b.is_ascii_alphanumeric())
    });
    parts_fit && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
}

fn check_digest(text: &str) -> Result<(), ReferenceError> {
    let (algorithm, hex) = text.split_once(':').ok_or(ReferenceError::DigestFormat)?;
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return Err(ReferenceError::DigestAlgorithm),
    };
    if hex.len() != length {
        return Err(ReferenceError::DigestLength);
    }
    if !hex.bytes().all(is_lower_hex) {
        return Err(ReferenceError::DigestFormat);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "86e0e091d0da6bde2456dbb48306f3956bbeb2eae1b5b9a43045843f69fe4aaa";

    #[test]
    fn names_are_completed_and_printed_short() {
        let long = "a".repeat(255);
        for (given, full, familiar) in [
            ("busybox", "docker.io/library/busybox", "busybox"),
            (
                "busybox:1.36",
                "docker.io/library/busybox:1.36",
                "busybox:1.36",
            ),
            ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
            (
                "docker.io/library/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            (
                "index.docker.io/busybox",
                "docker.io/library/busybox",
                "busybox",
            ),
            ("library/busybox", "docker.io/library/busybox", "busybox"),
            ("wharf/hello", "docker.io/wharf/hello", "wharf/hello"),
            ("library/a/b", "docker.io/library/a/b", "library/a/b"),
            ("localhost/a", "localhost/a", "localhost/a"),
            ("localhost:5000/a", "localhost:5000/a", "localhost:5000/a"),
            (
                "localhost:5000",
                "docker.io/library/localhost:5000",
                "localhost:5000",
            ),
            (
                "127.0.0.1:5000/a/b:t",
                "127.0.0.1:5000/a/b:t",
                "127.0.0.1:5000/a/b:t",
            ),
            ("[::1]:5000/a", "[::1]:5000/a", "[::1]:5000/a"),
            ("Foo/bar", "Foo/bar", "Foo/bar"),
            ("a--b/c__d.e_f", "docker.io/a--b/c__d.e_f", "a--b/c__d.e_f"),
            (long.as_str(), "", long.as_str()),
        ] {
            let Ok(reference) = Reference::parse(given) else {
                assert!(full.is_empty(), "{given} refused");
                continue;
            };
            assert_eq!(reference.to_string(), full);
            assert_eq!(reference.familiar(), familiar);
        }
    }

    #[test]
    fn digests_are_checked() {
        let reference = Reference::parse(&format!("busybox:1@sha256:{HEX}")).unwrap();
        assert_eq!(reference.tag(), Some("1"));
        assert_eq!(reference.digest(), Some(format!("sha256:{HEX}").as_str()));
        assert_eq!(reference.familiar(), format!("busybox:1@sha256:{HEX}"));
        let cases = [
            (
                format!("a@sha256:{}", &HEX[1..]),
                ReferenceError::DigestLength,
            ),
            (
                format!("a@md5:{}", &HEX[..32]),
                ReferenceError::DigestAlgorithm,
            ),
            (
                format!("a@sha256:{}", HEX.to_uppercase()),
                ReferenceError::DigestFormat,
            ),
            ("a@sha256:abc".to_owned(), ReferenceError::Format),
            ("a@".to_owned(), ReferenceError::Format),
        ];
        for (given, error) in cases {
            assert_eq!(Reference::parse(&given), Err(error), "{given}");
        }
    }

    #[test]
    fn refusals_use_dockers_words() {
        for given in [
            "",
            ":",
            "a:",
            "a:b:c",
            "-a",
            "a-",
            "a..b",
            "a___b",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a:b c",
            "a:-b",
            "x.y:/a",
            "[::1/a",
            "-x.y/a",
            "localhost:x/a",
        ] {
            let error = Reference::parse(given).unwrap_err();
            assert_eq!(error.to_string(), "invalid reference format", "{given}");
        }
        assert_eq!(
            Reference::parse("Busybox").unwrap_err().to_string(),
            "invalid reference format: repository name (library/Busybox) must be lowercase"
        );
        assert!(
            Reference::parse(HEX)
                .unwrap_err()
                .to_string()
                .contains("64-byte hexadecimal")
        );
        assert!(matches!(
            Reference::parse(&format!("x.y/{}", "a".repeat(256))),
            Err(ReferenceError::TooLong)
        ));
        assert!(Reference::parse(&format!("a:{}", "t".repeat(128))).is_ok());
        assert!(Reference::parse(&format!("a:{}", "t".repeat(129))).is_err());
    }

    #[test]
    fn default_tag_only_where_nothing_is_given() {
        let tagged = |text: &str| {
            Reference::parse(text)
                .unwrap()
                .with_default_tag()
                .familiar()
        };
        assert_eq!(tagged("a"), "a:latest");
        assert_eq!(tagged("a:b"), "a:b");
        assert_eq!(
            tagged(&format!("a@sha256:{HEX}")),
            format!("a@sha256:{HEX}")
        );
    }
}
