//! Git repositories: what a commit has, as a context.

use std::{
    collections::BTreeMap,
    fs::File,
    os::{fd::AsRawFd, unix::fs::PermissionsExt},
    path::Path,
    sync::Arc,
};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{CacheRecord, CancellationToken, Digest};
use serde_json::json;
use types::build::{ContextEntry, EntryKind};

use super::{
    Fetcher,
    program::{Git, installed},
    redacted,
};
use crate::{
    Builder,
    contexts::Context,
    error::{Error, Result},
    keys,
    mounts::AgentSocket,
    pool,
    session::now,
    temp::TempDir,
};

/// Hexadecimal digits of a commit that are enough to mean it.
const ENOUGH: usize = 7;

/// `URL[#[ref][:dir]]`.
#[derive(Debug, PartialEq, Eq)]
struct Source {
    /// Without the name and password that may be in it.
    url: String,
    /// These, with their `@`.
    user: Option<String>,
    reference: String,
    dir: String,
}

impl Source {
    fn parse(source: &str) -> Self {
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

    fn is_ssh(&self) -> bool {
        self.url.starts_with("git@") || self.url.starts_with("ssh://")
    }

    /// `https://host/`, where it is one of the web.
    fn host(&self) -> Option<(&str, &str)> {
        let (scheme, rest) = self.url.split_once("://")?;
        let host = rest.split('/').next()?;
        matches!(scheme, "http" | "https").then_some((scheme, host))
    }

    fn wanted(&self) -> &str {
        match self.reference.as_str() {
            "" => "HEAD",
            reference => reference,
        }
    }
}

impl Fetcher<'_> {
    /// The files of a repository's commit.
    pub(super) fn git(
        self,
        source: &str,
        wanted: Option<&str>,
        keep_git_dir: bool,
    ) -> Result<Arc<Context>> {
        let shown = redacted(source);
        let at = Source::parse(source);
        if at.url.starts_with('-') || at.reference.starts_with('-') {
            return Err(Error::invalid(format!("{shown:?} is no git repository")));
        }
        if let Some(wanted) = wanted
            && (wanted.len() < ENOUGH || !wanted.bytes().all(|b| b.is_ascii_hexdigit()))
        {
            return Err(Error::invalid(format!(
                "invalid checksum {wanted:?} of {shown}: write at least {ENOUGH} hexadecimal digits \
                 of the commit"
            )));
        }
        let temp = self.builder.temp_dir()?;
        let socket = self.agent(&at, &shown, &temp)?;
        let git = Git {
            temp: temp.path(),
            cancel: &self.session.cancel,
            secret: self.secrets(&at)?,
            agent: socket.as_ref().map(|(_, _, path)| path.clone()),
            hidden: at
                .user
                .iter()
                .map(|user| (user.clone(), "xxxxx@".to_owned()))
                .collect(),
        };
        pool::private_dir(&git.repository())?;
        git.run(&["init", "--quiet", "--template=", "."])?;
        git.run(&["remote", "add", "origin", &at.url])?;
        let told = git.run(&["ls-remote", "--", &at.url])?;
        let commit = commit_of(&told, at.wanted());
        if let Some(context) = commit
            .as_deref()
            .and_then(|commit| self.known(&at, commit, keep_git_dir))
        {
            check(&shown, wanted, commit.as_deref().unwrap_or_default())?;
            return Ok(context);
        }
        checkout(&git, &at, &shown)?;
        let commit = git.run(&["rev-parse", "HEAD"])?.trim().to_owned();
        check(&shown, wanted, &commit)?;
        let time = git.run(&["show", "--no-patch", "--format=%ct", "HEAD"])?;
        if keep_git_dir {
            let _ = std::fs::remove_file(git.repository().join(".git/FETCH_HEAD"));
        } else {
            remove_git_dirs(&git.repository())?;
        }
        let time = time.trim().parse().unwrap_or(0);
        let cancel = &self.session.cancel;
        let whole = of_directory(self.builder, &git.repository(), time, cancel)?;
        let context = self.builder.contexts.adopt(below(whole, &at.dir, &shown)?);
        self.remember(&at, &commit, keep_git_dir, &context)?;
        Ok(context.1)
    }

    /// The client's agent, for a repository that is asked by ssh: what keeps it, and its path.
    fn agent(
        self,
        at: &Source,
        shown: &str,
        temp: &TempDir,
    ) -> Result<Option<(AgentSocket, File, String)>> {
        if !self.request.ssh.iter().any(|name| name == "default") {
            return match at.is_ssh() {
                true => Err(Error::invalid(format!(
                    "{shown}: a git repository by ssh is fetched with the keys of your agent: give \
                     --ssh default"
                ))),
                false => Ok(None),
            };
        }
        if !installed("ssh") {
            return match at.is_ssh() {
                true => Err(Error::invalid(format!(
                    "{shown}: git repositories by ssh need the program ssh on the daemon's host: \
                     install it, or use https"
                ))),
                false => Ok(None),
            };
        }
        let listener = Arc::clone(&self.session.listener);
        let socket = AgentSocket::new("default", temp.path(), 0o600, (0, 0), listener)?;
        // By a descriptor: the path may be longer than a socket's may be.
        let dir = File::open(temp.path()).map_err(Error::io("open a temporary directory"))?;
        let (process, number) = (std::process::id(), dir.as_raw_fd());
        let path = format!("/proc/{process}/fd/{number}/agent.sock");
        Ok(Some((socket, dir, path)))
    }

    /// What opens a private repository, as git's settings: the name and password of the URL, and as
    /// with BuildKit the secrets `GIT_AUTH_TOKEN` and `GIT_AUTH_HEADER`, also for one host alone.
    fn secrets(self, at: &Source) -> Result<Vec<(String, String)>> {
        let mut all = Vec::new();
        let Some((scheme, host)) = at.host() else {
            return Ok(all);
        };
        let base = format!("{scheme}://{host}/");
        if let Some(user) = &at.user {
            let with = format!("url.{scheme}://{user}{host}/.insteadOf");
            all.push((with, base.clone()));
        }
        let secret = |name: &str| {
            let own = format!("{name}.{host}");
            let secrets = &self.request.secrets;
            let found = secrets.iter().find(|s| s.id == own);
            let found = found.or_else(|| secrets.iter().find(|s| s.id == name))?;
            let value = STANDARD.decode(&found.value).ok()?;
            Some(String::from_utf8_lossy(&value).trim().to_owned())
        };
        let header = secret("GIT_AUTH_HEADER").or_else(|| {
            let token = secret("GIT_AUTH_TOKEN")?;
            let pair = STANDARD.encode(format!("x-access-token:{token}"));
            Some(format!("basic {pair}"))
        });
        if let Some(header) = header {
            if header.contains(['\n', '\r', '\0']) {
                return Err(Error::invalid("a secret for git has more than one line"));
            }
            let name = format!("http.{base}.extraHeader");
            all.push((name, format!("Authorization: {header}")));
        }
        Ok(all)
    }

    fn key(at: &Source, commit: &str, keep_git_dir: bool) -> Digest {
        let inputs = json!([at.url, commit, at.dir, keep_git_dir]);
        keys::key("git", &[], inputs, None)
    }

    /// What a commit has, where all of it is still here.
    fn known(self, at: &Source, commit: &str, keep_git_dir: bool) -> Option<Arc<Context>> {
        let key = Self::key(at, commit, keep_git_dir);
        let (record, _) = self.builder.store.cached(&key)?;
        self.builder.contexts.whole(&record.note)
    }

    fn remember(
        self,
        at: &Source,
        commit: &str,
        keep_git_dir: bool,
        (id, _): &(String, Arc<Context>),
    ) -> Result<()> {
        let created = now();
        self.builder.store.remember(CacheRecord {
            key: Self::key(at, commit, keep_git_dir),
            kind: "internal".to_owned(),
            description: "what a git repository has".to_owned(),
            parents: Vec::new(),
            layer: None,
            note: id.clone(),
            created: created.clone(),
            last_used: created,
            uses: 1,
        })?;
        Ok(())
    }
}

fn check(shown: &str, wanted: Option<&str>, commit: &str) -> Result<()> {
    match wanted {
        Some(wanted) if !commit.starts_with(&wanted.to_ascii_lowercase()) => Err(Error::invalid(
            format!("{shown}: it is at commit {commit}, expected {wanted}"),
        )),
        _ => Ok(()),
    }
}

/// Which commit a name means, by the lines of `git ls-remote`.
fn commit_of(told: &str, wanted: &str) -> Option<String> {
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

/// Fetches what is wanted, and no more where the server can do that.
fn checkout(git: &Git<'_>, at: &Source, shown: &str) -> Result<()> {
    let wanted = at.wanted();
    let shallow = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--",
        &at.url,
        wanted,
    ];
    match git.run(&shallow) {
        Ok(_) => _ = git.run(&["checkout", "--quiet", "--detach", "FETCH_HEAD", "--"])?,
        Err(Error::Cancelled) => return Err(Error::Cancelled),
        Err(_) => {
            // Servers that give no single commits, or a shortened one.
            let all = "+refs/heads/*:refs/remotes/origin/*";
            git.run(&["fetch", "--quiet", "--tags", "--", &at.url, all])?;
            let remote = format!("origin/{wanted}");
            let head = "FETCH_HEAD".to_owned();
            let names = match wanted {
                "HEAD" => vec![head],
                wanted => vec![wanted.to_owned(), remote],
            };
            let found = names.iter().any(|name| {
                let checkout = ["checkout", "--quiet", "--detach", name, "--"];
                git.run(&checkout).is_ok()
            });
            if !found {
                return Err(Error::invalid(format!("{shown}: there is no {wanted}")));
            }
        }
    }
    if git
        .repository()
        .join(".gitmodules")
        .symlink_metadata()
        .is_ok()
    {
        let update = ["submodule", "update", "--quiet", "--init", "--recursive"];
        git.run(&[&update[..], &["--depth=1"]].concat())?;
    }
    Ok(())
}

/// Removes `.git`, and the files of that name in submodules.
fn remove_git_dirs(repository: &Path) -> Result<()> {
    let mut waiting = vec![repository.to_owned()];
    while let Some(dir) = waiting.pop() {
        let what = || format!("read {}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(Error::io(what()))? {
            let entry = entry.map_err(Error::io(what()))?;
            let kind = entry.file_type().map_err(Error::io(what()))?;
            if entry.file_name() == ".git" {
                let removed = if kind.is_dir() {
                    std::fs::remove_dir_all(entry.path())
                } else {
                    std::fs::remove_file(entry.path())
                };
                removed.map_err(Error::io("remove .git of a repository"))?;
            } else if kind.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    Ok(())
}

/// The part of a context that is below `dir`.
fn below(whole: Context, dir: &str, shown: &str) -> Result<Context> {
    if dir.is_empty() {
        return Ok(whole);
    }
    if whole
        .entries
        .get(dir)
        .is_none_or(|e| e.kind != EntryKind::Dir)
    {
        return Err(Error::invalid(format!(
            "{shown}: there is no directory {dir}"
        )));
    }
    let below = format!("{dir}/");
    let inside = whole.entries.into_iter();
    let entries = inside
        .filter_map(|(path, entry)| Some((path.strip_prefix(&below)?.to_owned(), entry)))
        .collect();
    Ok(Context { entries })
}

/// Names are text here: another one would be copied as something else.
fn text(name: &std::ffi::OsStr) -> Result<String> {
    let found = name.to_str().map(str::to_owned);
    found.ok_or_else(|| Error::invalid(format!("the name {} is not UTF-8", name.display())))
}

/// A context of what a directory has, all of it of one time: the commit's.
fn of_directory(
    builder: &Builder,
    dir: &Path,
    time: i64,
    cancel: &CancellationToken,
) -> Result<Context> {
    let mut buffer = pool::buffer();
    let mut context = Context::default();
    let mut waiting = vec![(dir.to_owned(), String::new())];
    while let Some((dir, prefix)) = waiting.pop() {
        let what = || format!("read {}", dir.display());
        for entry in std::fs::read_dir(&dir).map_err(Error::io(what()))? {
            let entry = entry.map_err(Error::io(what()))?;
            let name = text(&entry.file_name())?;
            let path = format!("{prefix}{name}");
            let meta = entry.metadata().map_err(Error::io(what()))?;
            // As git has it: whatever the daemon's mask is.
            let program = meta.permissions().mode() & 0o100 != 0;
            let mut found = ContextEntry {
                kind: EntryKind::Dir,
                mode: if program { 0o755 } else { 0o644 },
                mtime: time,
                size: 0,
                digest: String::new(),
                link: String::new(),
            };
            if meta.is_dir() {
                waiting.push((entry.path(), format!("{path}/")));
            } else if meta.is_symlink() {
                found.kind = EntryKind::Symlink;
                found.mode = 0o777;
                let link = std::fs::read_link(entry.path()).map_err(Error::io(what()))?;
                found.link = text(link.as_os_str())?;
            } else if meta.is_file() {
                found.kind = EntryKind::File;
                let mut file = File::open(entry.path()).map_err(Error::io(what()))?;
                let mut writer = builder.contexts.pool.writer()?;
                pool::copy(&mut file, &mut writer, &mut buffer, cancel)?;
                let (digest, size) = writer.keep()?;
                digest.hex().clone_into(&mut found.digest);
                found.size = size;
            } else {
                continue;
            }
            context.entries.insert(path, found);
        }
    }
    Ok(context)
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
