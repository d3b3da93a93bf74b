//! How git repositories are named, and what in them.

use std::collections::BTreeMap;

/// `URL[#[ref][:dir]]`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Source {
    /// Without the name and password that may be in it.
    pub url: String,
    /// These, with their `@`.
    pub user: Option<String>,
    pub reference: String,
    pub dir: String,
}

impl Source {
    pub(super) fn parse(source: &str) -> Self {
        let (url, fragment) = source.split_once('#').unwrap_or((source, ""));
        let (reference, dir) = fragment.split_once(':').unwrap_or((fragment, ""));
        let mut url = match url.strip_prefix("github.com/") {
            Some(_) => format!("https://{url}"),
            None => url.to_owned(),
        };
        let mut user = None;
        if let Some((scheme, rest)) = url.split_once("://")
            && scheme != "ssh"
        {
            let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
            if let Some((name, host)) = host.rsplit_once('@') {
                user = Some(format!("{name}@"));
                url = format!("{scheme}://{host}{path}");
            }
        }
        Self {
            url,
            user,
            reference: reference.to_owned(),
            dir: crate::select::clean(dir),
        }
    }

    pub(super) fn is_ssh(&self) -> bool {
        self.url.starts_with("git@") || self.url.starts_with("ssh://")
    }

    /// `https://host/`, where it is one of the web.
    pub(super) fn host(&self) -> Option<(&str, &str)> {
        let (scheme, rest) = self.url.split_once("://")?;
        let host = rest.split('/').next()?;
        matches!(scheme, "http" | "https").then_some((scheme, host))
    }

    pub(super) fn wanted(&self) -> &str {
        match self.reference.as_str() {
            "" => "HEAD",
            reference => reference,
        }
    }
}

/// Which commit a name means, by the lines of `git ls-remote`.
pub(super) fn commit_of(told: &str, wanted: &str) -> Option<String> {
    let refs: BTreeMap<&str, &str> = told
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(commit, name)| (name, commit))
        .collect();
    let names = [
        // What an annotated tag is of.
        format!("{wanted}^{{}}"),
        wanted.to_owned(),
        format!("refs/tags/{wanted}^{{}}"),
        format!("refs/tags/{wanted}"),
        format!("refs/heads/{wanted}"),
    ];
    let found = names.iter().find_map(|name| refs.get(name.as_str()));
    if let Some(found) = found {
        return Some((*found).to_owned());
    }
    let whole = matches!(wanted.len(), 40 | 64) && wanted.bytes().all(|b| b.is_ascii_hexdigit());
    whole.then(|| wanted.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_have_parts() {
        let parsed = Source::parse("github.com/a/b.git#v1:sub/./dir/");
        let expected = Source {
            url: "https://github.com/a/b.git".to_owned(),
            user: None,
            reference: "v1".to_owned(),
            dir: "sub/dir".to_owned(),
        };
        assert_eq!(parsed, expected);
        let parsed = Source::parse("https://a:b@c@x.org/y@z.git");
        assert_eq!(parsed.url, "https://x.org/y@z.git");
        assert_eq!(parsed.user.as_deref(), Some("a:b@c@"));
        assert_eq!(parsed.host(), Some(("https", "x.org")));
        for ssh in ["git@x.org:a/b.git#main", "ssh://me@x.org:22/b"] {
            let parsed = Source::parse(ssh);
            assert!(parsed.is_ssh() && parsed.user.is_none() && parsed.url.contains('@'));
        }
    }

    #[test]
    fn names_mean_commits() {
        let told = "aa\tHEAD\naa\trefs/heads/main\nbb\trefs/heads/v1\ncc\trefs/tags/v1\n\
                    dd\trefs/tags/v1^{}\nee\trefs/pull/1/head\n";
        for (wanted, commit) in [
            ("HEAD", Some("aa")),
            ("main", Some("aa")),
            ("v1", Some("dd")),
            ("refs/tags/v1", Some("dd")),
            ("refs/heads/v1", Some("bb")),
            ("refs/pull/1/head", Some("ee")),
            ("none", None),
        ] {
            assert_eq!(commit_of(told, wanted).as_deref(), commit, "{wanted}");
        }
        let whole = "0123456789abcdef0123456789abcdef01234567";
        assert_eq!(commit_of(told, whole).as_deref(), Some(whole));
    }
}
