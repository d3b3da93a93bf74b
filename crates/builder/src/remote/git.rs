//! Git repositories: what a commit has, as a context.

use std::{fs::File, os::fd::AsRawFd, sync::Arc};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::{CacheRecord, Digest};
use serde_json::json;

use super::{
    Fetcher,
    checked_out::{below, of_directory, remove_git_dirs},
    program::{Git, installed},
    redacted,
    source::{Source, commit_of},
};
use crate::{
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

impl Fetcher<'_> {
    /// The files of a repository's commit.
    pub(super) fn git(
        self,
        source: &str,
        wanted: Option<&str>,
        keep_git_dir: bool,
    ) -> Result<Arc<Context>> {
        let shown = redacted(source);
        let at = Source::parse(source).map_err(|e| Error::invalid(format!("{shown}: {e}")))?;
        let keep_git_dir = at.keep_git_dir.unwrap_or(keep_git_dir);
        let wanted = match (wanted, at.checksum.as_deref()) {
            (Some(wanted), Some(own)) if wanted != own => {
                return Err(Error::invalid(format!(
                    "{shown}: checksum {own} conflicts with {wanted}"
                )));
            }
            (wanted, own) => wanted.or(own),
        };
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
        let inputs = match at.without_submodules {
            true => json!([at.url, commit, at.dir, keep_git_dir, "no submodules"]),
            false => json!([at.url, commit, at.dir, keep_git_dir]),
        };
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
    let modules = git.repository().join(".gitmodules");
    if !at.without_submodules && modules.symlink_metadata().is_ok() {
        let update = ["submodule", "update", "--quiet", "--init", "--recursive"];
        match git.run(&[&update[..], &["--depth=1"]].concat()) {
            Ok(_) => {}
            Err(Error::Cancelled) => return Err(Error::Cancelled),
            // Again those that give no single commits.
            Err(_) => _ = git.run(&update)?,
        }
    }
    Ok(())
}
