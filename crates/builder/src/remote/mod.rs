//! Files from elsewhere: `ADD` of URLs and git repositories, and remote contexts.

mod checked_out;
mod git;
mod program;
mod source;
mod url;

use std::{collections::BTreeMap, io::Read, sync::Arc};

use archive::TarReader;
use image::Digest;
use types::build::{BuildRequest, ContextEntry, EntryKind};

use crate::{
    Builder,
    contexts::Context,
    copy::checksum,
    error::{Error, Result},
    session::Session,
    stage::StageRun,
};

/// Bytes that a Dockerfile may have.
pub(crate) const MAX_DOCKERFILE: u64 = 2 << 20;

/// Who fetches, and for whom.
#[derive(Clone, Copy)]
pub(crate) struct Fetcher<'a> {
    pub builder: &'a Builder,
    pub session: &'a Session,
    pub request: &'a BuildRequest,
}

/// Whether a source of `ADD` is a URL or a git repository. One without a scheme is a path there,
/// though it may name a context.
pub(crate) fn is_remote(source: &str) -> bool {
    is_web(source) || is_git(source) && !source.starts_with("github.com/")
}

fn is_web(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://")
}

/// Whether it is a git repository: as Docker, by its scheme, or by the end of its path.
pub(crate) fn is_git(source: &str) -> bool {
    let by_scheme = ["git://", "git@", "ssh://", "github.com/"];
    if by_scheme.iter().any(|s| source.starts_with(s)) {
        return true;
    }
    let path = source.split(['#', '?']).next().unwrap_or_default();
    is_web(source) && path.ends_with(".git")
}

/// The files of a URL or repository that `ADD` names.
pub(crate) fn add(
    run: &StageRun<'_, '_>,
    source: &str,
    wanted: Option<&str>,
    keep_git_dir: bool,
) -> Result<Arc<Context>> {
    let solver = run.solver;
    let fetcher = Fetcher {
        builder: solver.builder,
        session: solver.session,
        request: solver.request,
    };
    let shown = redacted(source);
    if is_git(source) {
        let title = format!("[internal] git {shown}");
        return fetcher
            .session
            .step(title, |_| fetcher.git(source, wanted, keep_git_dir));
    }
    let wanted = wanted.map(checksum).transpose()?;
    let name = url::name_of(source);
    let title = format!("[internal] load {shown}");
    let found = fetcher
        .session
        .step(title, |_| fetcher.url(source, wanted.as_ref()))?;
    if let Some(wanted) = wanted.filter(|w| *w != found.digest) {
        return Err(Error::invalid(format!(
            "{shown}: digest mismatch {}: {wanted} was expected",
            found.digest
        )));
    }
    let entry = ContextEntry {
        kind: EntryKind::File,
        mode: 0o600,
        mtime: found.modified.unwrap_or(0),
        size: found.size,
        digest: found.digest.hex().to_owned(),
        link: String::new(),
    };
    Ok(Arc::new(Context {
        entries: BTreeMap::from([(name, entry)]),
    }))
}

/// The context that a remote names: a repository, an archive, or a lone Dockerfile, whose text is
/// the second.
pub(crate) fn context(
    fetcher: Fetcher<'_>,
    source: &str,
    keep_git_dir: bool,
) -> Result<(Arc<Context>, Option<String>)> {
    if is_git(source) {
        return Ok((fetcher.git(source, None, keep_git_dir)?, None));
    }
    if !is_web(source) {
        return Err(Error::invalid(format!(
            "{source:?} is no context: give the URL of an archive, a Dockerfile or a git repository"
        )));
    }
    let found = fetcher.url(source, None)?;
    let contexts = &fetcher.builder.contexts;
    if !is_archive(fetcher.builder, &found.digest)? {
        return Ok((Arc::default(), Some(text(fetcher.builder, source, &found)?)));
    }
    let file = contexts.pool.file(&found.digest)?;
    let reader = std::io::BufReader::with_capacity(64 << 10, file);
    let context = contexts.unpack(reader, &fetcher.session.cancel)?;
    Ok((context, None))
}

/// A Dockerfile at a URL.
pub(crate) fn dockerfile(fetcher: Fetcher<'_>, source: &str) -> Result<String> {
    if !is_web(source) {
        return Err(Error::invalid(format!("{source:?} is no URL")));
    }
    let found = fetcher.url(source, None)?;
    text(fetcher.builder, source, &found)
}

fn text(builder: &Builder, source: &str, found: &url::Found) -> Result<String> {
    let shown = redacted(source);
    if found.size > MAX_DOCKERFILE {
        return Err(Error::invalid(format!(
            "{shown} is neither an archive nor a Dockerfile: it has more than {MAX_DOCKERFILE} bytes"
        )));
    }
    let mut text = String::new();
    let mut file = builder.contexts.pool.file(&found.digest)?;
    file.read_to_string(&mut text).map_err(|_| {
        Error::invalid(format!(
            "{shown} is neither an archive nor a Dockerfile: it is no text"
        ))
    })?;
    Ok(text)
}

/// Whether a content looks like an archive, packed or not. What a server calls it does not count:
/// many know nothing but `application/octet-stream`.
fn is_archive(builder: &Builder, digest: &Digest) -> Result<bool> {
    const PACKED: [&[u8]; 4] = [
        &[0x1f, 0x8b],
        &[0x28, 0xb5, 0x2f, 0xfd],
        b"BZh",
        b"\xfd7zXZ\0",
    ];
    let mut head = Vec::new();
    let file = builder.contexts.pool.file(digest)?;
    file.take(4 << 10)
        .read_to_end(&mut head)
        .map_err(Error::io("look at a file of the cache"))?;
    if PACKED.iter().any(|magic| head.starts_with(magic)) {
        return Ok(true);
    }
    // Its first header has a sum that is right.
    Ok(head.len() >= 512 && matches!(TarReader::new(head.as_slice()).next(), Ok(Some(_))))
}

/// A URL without the name and password in it.
pub(crate) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://xxxxx@{host}{path}"),
        None => url.to_owned(),
    }
}

/// A line of a Dockerfile as it may be shown and remembered: its URLs without passwords.
pub(crate) fn without_passwords(line: &str) -> String {
    let words = line.split_inclusive(char::is_whitespace);
    words.map(redacted).collect()
}

/// Whether there is one in a line.
pub(crate) fn has_password(line: &str) -> bool {
    line.contains("://") && without_passwords(line) != line
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources() {
        for git in [
            "https://example.org/a/b.git#main:dir",
            "git@example.org:a/b",
            "git://example.org/a",
            "github.com/a/b",
        ] {
            assert!(is_git(git), "{git}");
            assert_eq!(is_remote(git), git != "github.com/a/b", "{git}");
        }
        assert!(is_remote("http://example.org/a.tar.gz") && !is_git("http://example.org/a.tar.gz"));
        assert!(!is_remote("app/https://x"));
        assert_eq!(
            redacted("https://a:b@x.org/y.git"),
            "https://xxxxx@x.org/y.git"
        );
        assert_eq!(redacted("https://a:b@x.org?y@z"), "https://xxxxx@x.org?y@z");
        let line = "ADD --chmod=1 http://a:b@x.org/y http://z/@ /t";
        assert_eq!(
            without_passwords(line),
            "ADD --chmod=1 http://xxxxx@x.org/y http://z/@ /t"
        );
        assert!(has_password(line) && !has_password("ADD http://z/@ /t"));
    }
}
