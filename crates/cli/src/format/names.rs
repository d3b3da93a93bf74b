//! References of images.

/// Whether `text` is 64 hexadecimal digits.
fn is_id(text: &str) -> bool {
    text.len() == 64
        && text
            .bytes()
            .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// A reference in its parts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reference {
    /// Registry, `docker.io` when not named.
    pub(crate) domain: String,
    /// Path in the registry, with `library/` where that is implied.
    pub(crate) path: String,
    /// Tag, if any.
    pub(crate) tag: Option<String>,
    /// Digest, if any.
    pub(crate) digest: Option<String>,
}

impl Reference {
    /// Reads `text`, with docker's error texts.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let broken = || "invalid reference format".to_owned();
        if is_id(text) {
            return Err(format!(
                "invalid repository name ({text}), cannot specify 64-byte hexadecimal strings"
            ));
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        let (name, tag) = match rest.rfind(':') {
            Some(at) if !rest[at..].contains('/') => (&rest[..at], Some(&rest[at + 1..])),
            _ => (rest, None),
        };
        let (domain, path) = match name.split_once('/') {
            Some((first, path))
                if first.contains(['.', ':'])
                    || first == "localhost"
                    || first.bytes().any(|b| b.is_ascii_uppercase()) =>
            {
                (
                    if first == "index.docker.io" {
                        "docker.io"
                    } else {
                        first
                    },
                    path.to_owned(),
                )
            }
            _ => ("docker.io", name.to_owned()),
        };
        let path = if domain == "docker.io" && !path.contains('/') {
            format!("library/{path}")
        } else {
            path
        };
        let word = |c: &str| {
            let b = c.as_bytes();
            let alnum = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
            b.first().is_some_and(alnum)
                && b.last().is_some_and(alnum)
                && b.iter()
                    .all(|b| alnum(b) || matches!(b, b'.' | b'_' | b'-'))
        };
        if path.bytes().any(|b| b.is_ascii_uppercase()) && path.to_lowercase().split('/').all(word)
        {
            return Err(format!(
                "invalid reference format: repository name ({path}) must be lowercase"
            ));
        }
        if !path.split('/').all(word) {
            return Err(broken());
        }
        let tag_ok = |t: &str| {
            t.len() <= 128
                && t.bytes()
                    .next()
                    .is_some_and(|b| b.is_ascii_alphanumeric() || b == b'_')
                && t.bytes()
                    .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-'))
        };
        let digest_ok = |d: &str| {
            d.split_once(':').is_some_and(|(algo, hex)| {
                !algo.is_empty() && hex.len() >= 32 && hex.bytes().all(|b| b.is_ascii_hexdigit())
            })
        };
        if tag.is_some_and(|t| !tag_ok(t)) || digest.is_some_and(|d| !digest_ok(d)) {
            return Err(broken());
        }
        Ok(Self {
            domain: domain.to_owned(),
            path,
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// Without what is implied: `busybox`, `user/app`, `registry:5000/app`.
    pub(crate) fn familiar_name(&self) -> String {
        if self.domain == "docker.io" {
            self.path
                .strip_prefix("library/")
                .unwrap_or(&self.path)
                .to_owned()
        } else {
            format!("{}/{}", self.domain, self.path)
        }
    }

    /// Everything, with the tag `latest` where neither tag nor digest is given.
    pub(crate) fn familiar(&self) -> String {
        let name = self.familiar_name();
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => format!("{name}:{tag}@{digest}"),
            (Some(tag), None) => format!("{name}:{tag}"),
            (None, Some(digest)) => format!("{name}@{digest}"),
            (None, None) => format!("{name}:latest"),
        }
    }

    /// The name alone, with the registry named.
    pub(crate) fn full_name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// [`Self::familiar`] with the registry named.
    pub(crate) fn full(&self) -> String {
        let short = self.familiar();
        let suffix = &short[self.familiar_name().len()..];
        format!("{}/{}{suffix}", self.domain, self.path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_lose_what_is_implied() {
        let r = Reference::parse("docker.io/library/busybox").unwrap();
        assert_eq!(
            (r.familiar().as_str(), r.full().as_str()),
            ("busybox:latest", "docker.io/library/busybox:latest")
        );
        let r = Reference::parse("reg.example:5000/a/b:v1").unwrap();
        assert_eq!(r.familiar(), "reg.example:5000/a/b:v1");
        let r = Reference::parse("localhost/a").unwrap();
        assert_eq!((r.domain.as_str(), r.path.as_str()), ("localhost", "a"));
    }

    #[test]
    fn errors_are_dockers() {
        assert_eq!(
            Reference::parse("X").unwrap_err(),
            "invalid reference format: repository name (library/X) must be lowercase"
        );
        assert_eq!(
            Reference::parse("a b").unwrap_err(),
            "invalid reference format"
        );
        assert!(Reference::parse("a:").is_err() && Reference::parse("").is_err());
    }
}
