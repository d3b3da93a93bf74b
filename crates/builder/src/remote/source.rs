//! How git repositories are named, and what in them.

use std::collections::BTreeMap;

use super::url::decoded;

/// `URL[#[ref][:dir]]`, or with the same by `?ref=…&subdir=…` and more.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// Without the name and password that may be in it.
    pub url: String,
    /// These, with their `@`.
    pub user: Option<String>,
    pub reference: String,
    pub dir: String,
    /// The commit that it must be at.
    pub checksum: Option<String>,
    pub keep_git_dir: Option<bool>,
    pub without_submodules: bool,
}

/// As Go reads it; a key without a value says yes.
fn yes(key: &str, value: &str) -> Result<bool, String> {
    match value {
        "" | "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err(format!(
            "invalid value {value:?} of {key}: write true or false"
        )),
    }
}

impl Source {
    /// # Errors
    /// In words that do not repeat the URL.
    pub(super) fn parse(source: &str) -> Result<Self, String> {
        let (url, fragment) = source.split_once('#').unwrap_or((source, ""));
        let (url, query) = url.split_once('?').unwrap_or((url, ""));
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
        let mut found = Self {
            url,
            user,
            reference: reference.to_owned(),
            dir: crate::select::clean(dir),
            ..Self::default()
        };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            found.set(key, &decoded(value))?;
        }
        // Who names nothing but a commit wants that one.
        if let Some(commit) = found
            .checksum
            .as_deref()
            .filter(|c| matches!(c.len(), 40 | 64))
            && found.reference.is_empty()
        {
            found.reference = commit.to_owned();
        }
        Ok(found)
    }

    /// One of the query's pairs.
    fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let conflict = || Err(format!("{key} says again what is said already"));
        match key {
            "ref" | "tag" | "branch" => {
                if !self.reference.is_empty() {
                    return conflict();
                }
                self.reference = match key {
                    "tag" if !value.is_empty() => format!("refs/tags/{value}"),
                    "branch" if !value.is_empty() => format!("refs/heads/{value}"),
                    _ => value.to_owned(),
                };
            }
            "subdir" => {
                if !self.dir.is_empty() {
                    return conflict();
                }
                self.dir = crate::select::clean(value);
            }
            "checksum" | "commit" => {
                if self.checksum.is_some() {
                    return conflict();
                }
                self.checksum = Some(value.to_owned());
            }
            "keep-git-dir" => self.keep_git_dir = Some(yes(key, value)?),
            "submodules" => self.without_submodules = !yes(key, value)?,
            _ => return Err(format!("unexpected query {key:?}")),
        }
        Ok(())
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
            ..Source::default()
        };
        assert_eq!(parsed, Ok(expected));
        let parsed = Source::parse("https://a:b@c@x.org/y@z.git").unwrap();
        assert_eq!(parsed.url, "https://x.org/y@z.git");
        assert_eq!(parsed.user.as_deref(), Some("a:b@c@"));
        assert_eq!(parsed.host(), Some(("https", "x.org")));
        for ssh in ["git@x.org:a/b.git#main", "ssh://me@x.org:22/b"] {
            let parsed = Source::parse(ssh).unwrap();
            assert!(parsed.is_ssh() && parsed.user.is_none() && parsed.url.contains('@'));
        }
    }

    #[test]
    fn queries_say_the_same_and_more() {
        let parsed = Source::parse(
            "https://x.org/a.git?branch=b%2Fc&subdir=./d/&checksum=0123456&keep-git-dir&submodules=0",
        );
        let expected = Source {
            url: "https://x.org/a.git".to_owned(),
            reference: "refs/heads/b/c".to_owned(),
            dir: "d".to_owned(),
            checksum: Some("0123456".to_owned()),
            keep_git_dir: Some(true),
            without_submodules: true,
            ..Source::default()
        };
        assert_eq!(parsed, Ok(expected));
        let whole = "0123456789abcdef0123456789abcdef01234567";
        let parsed = Source::parse(&format!("https://x.org/a.git?commit={whole}")).unwrap();
        assert_eq!(parsed.wanted(), whole);
        for bad in [
            "ref=a#b",
            "x=1",
            "tag=a&branch=b",
            "subdir=a#:b",
            "submodules=no",
            "commit=a&checksum=b",
        ] {
            let parsed = Source::parse(&format!("https://x.org/a.git?{bad}"));
            assert!(parsed.is_err(), "{bad}");
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
