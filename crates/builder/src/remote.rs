//! Files from elsewhere: `ADD` of URLs and git repositories, and remote contexts.

use std::{
    collections::BTreeMap,
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        process::CommandExt,
    },
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use image::{CancellationToken, Digest};
use types::build::{ContextEntry, EntryKind};

use crate::{
    Builder,
    contexts::Context,
    copy::checksum,
    error::{Error, Result},
    pool,
    stage::StageRun,
};

/// Whether a source is a URL or a git repository.
pub(crate) fn is_remote(source: &str) -> bool {
    source.starts_with("http://") || source.starts_with("https://") || is_git(source)
}

/// Whether it is a git repository: as Docker, by its scheme, or by the end of its path.
pub(crate) fn is_git(source: &str) -> bool {
    let by_scheme = ["git://", "git@", "ssh://", "github.com/"];
    if by_scheme.iter().any(|s| source.starts_with(s)) {
        return true;
    }
    let path = source.split(['#', '?']).next().unwrap_or_default();
    (source.starts_with("http://") || source.starts_with("https://")) && path.ends_with(".git")
}

/// The files of a URL or repository that `ADD` names.
pub(crate) fn add(
    run: &StageRun<'_, '_>,
    source: &str,
    wanted: Option<&str>,
    keep_git_dir: bool,
) -> Result<Arc<Context>> {
    let solver = run.solver;
    let builder = solver.builder;
    let cancel = &solver.session.cancel;
    if is_git(source) {
        return solver
            .session
            .step(format!("[internal] git {}", redacted(source)), |_| {
                git(builder, source, wanted, keep_git_dir, cancel)
            });
    }
    let wanted = wanted.map(checksum).transpose()?;
    let name = name_of(source)?;
    if let Some(digest) = &wanted
        && let Ok(meta) = builder.contexts.pool.file(digest).and_then(|file| {
            file.metadata()
                .map_err(Error::io("look at a file of the cache"))
        })
    {
        return Ok(single(&name, digest, meta.len(), solver.epoch.unwrap_or(0)));
    }
    solver
        .session
        .step(format!("[internal] load {}", redacted(source)), |_| {
            let mut writer = builder.contexts.pool.writer()?;
            let fetched = builder.worker.fetch(source, &mut writer, cancel)?;
            let found = writer.digest();
            if let Some(wanted) = wanted.filter(|w| *w != found) {
                return Err(Error::invalid(format!(
                    "{}: digest mismatch {found}: {wanted} was expected",
                    redacted(source)
                )));
            }
            let (digest, size) = writer.keep()?;
            Ok(single(&name, &digest, size, fetched.modified.unwrap_or(0)))
        })
}

fn single(name: &str, digest: &Digest, size: u64, mtime: i64) -> Arc<Context> {
    let entry = ContextEntry {
        kind: EntryKind::File,
        mode: 0o600,
        mtime,
        size,
        digest: digest.hex().to_owned(),
        link: String::new(),
    };
    Arc::new(Context {
        entries: BTreeMap::from([(name.to_owned(), entry)]),
    })
}

/// The file's name by its URL.
fn name_of(url: &str) -> Result<String> {
    let path = url.split(['?', '#']).next().unwrap_or_default();
    let path = path.split_once("://").map_or(path, |(_, rest)| rest);
    match path
        .split_once('/')
        .map(|(_, path)| path.rsplit('/').next().unwrap_or_default())
    {
        Some(name) if !matches!(name, "" | "." | "..") => Ok(name.to_owned()),
        _ => Err(Error::invalid(format!(
            "cannot determine filename for source {url}: its path ends with a slash"
        ))),
    }
}

/// The context that a remote names: a repository, an archive, or a lone Dockerfile, whose text is
/// the second.
pub(crate) fn context(
    builder: &Builder,
    source: &str,
    keep_git_dir: bool,
    cancel: &CancellationToken,
) -> Result<(Arc<Context>, Option<String>)> {
    if is_git(source) {
        return Ok((git(builder, source, None, keep_git_dir, cancel)?, None));
    }
    if !is_remote(source) {
        return Err(Error::invalid(format!(
            "{source:?} is no context: give the URL of an archive, a Dockerfile or a git repository"
        )));
    }
    let mut writer = builder.contexts.pool.writer()?;
    let fetched = builder.worker.fetch(source, &mut writer, cancel)?;
    let (digest, size) = writer.keep()?;
    let text = fetched.media_type.starts_with("text/plain");
    let mut file = builder.contexts.pool.file(&digest)?;
    if text && size <= MAX_DOCKERFILE {
        let mut text = String::new();
        std::io::Read::read_to_string(&mut file, &mut text)
            .map_err(|e| Error::invalid(format!("{source}: no text: {e}")))?;
        return Ok((Arc::default(), Some(text)));
    }
    let reader = std::io::BufReader::with_capacity(64 << 10, file);
    Ok((builder.contexts.unpack(reader, cancel)?, None))
}

/// Bytes that a Dockerfile may have.
pub(crate) const MAX_DOCKERFILE: u64 = 2 << 20;

/// `URL[#[ref][:dir]]`.
fn parts(source: &str) -> (String, String, String) {
    let (url, fragment) = source.split_once('#').unwrap_or((source, ""));
    let (reference, dir) = fragment.split_once(':').unwrap_or((fragment, ""));
    let url = match url.strip_prefix("github.com/") {
        Some(_) => format!("https://{url}"),
        None => url.to_owned(),
    };
    (url, reference.to_owned(), dir.to_owned())
}

/// A URL without the name and password in it.
pub(crate) fn redacted(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else {
        return url.to_owned();
    };
    let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    match host.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://xxxxx@{host}{path}"),
        None => url.to_owned(),
    }
}

/// Fetches a repository with the host's `git`, by whose own settings and keys nothing is done.
fn git(
    builder: &Builder,
    source: &str,
    wanted: Option<&str>,
    keep_git_dir: bool,
    cancel: &CancellationToken,
) -> Result<Arc<Context>> {
    let (url, reference, dir) = parts(source);
    let shown = redacted(source);
    if url.starts_with('-') || reference.starts_with('-') {
        return Err(Error::invalid(format!("{shown:?} is no git repository")));
    }
    if url.starts_with("git@") || url.starts_with("ssh://") {
        return Err(types::Failure::not_implemented(format!(
            "{shown}: git repositories by ssh are not supported by wharf yet: use https"
        ))
        .into());
    }
    let temp = builder.temp_dir()?;
    let git = Git {
        temp: temp.path(),
        url: &url,
        cancel,
    };
    let repository = git.repository();
    pool::private_dir(&repository)?;
    git.run(&["init", "--quiet", "."])?;
    git.run(&["remote", "add", "origin", &redacted(&url)])?;
    let fetched = if reference.is_empty() {
        "HEAD"
    } else {
        &reference
    };
    let shallow = [
        "fetch",
        "--quiet",
        "--depth=1",
        "--no-tags",
        "--",
        &url,
        fetched,
    ];
    if git.run(&shallow).is_err() {
        // Servers that give no single commits, or a shortened one.
        let all = "+refs/heads/*:refs/remotes/origin/*";
        git.run(&["fetch", "--quiet", "--tags", "--", &url, all])?;
        let remote = format!("origin/{fetched}");
        let found = [fetched, remote.as_str()].iter().any(|name| {
            git.run(&["checkout", "--quiet", "--detach", name, "--"])
                .is_ok()
        });
        if !found {
            return Err(Error::invalid(format!("{shown}: there is no {fetched}")));
        }
    } else {
        git.run(&["checkout", "--quiet", "--detach", "FETCH_HEAD", "--"])?;
    }
    if repository.join(".gitmodules").exists() {
        git.run(&[
            "submodule",
            "update",
            "--quiet",
            "--init",
            "--recursive",
            "--depth=1",
        ])?;
    }
    let commit = git.run(&["rev-parse", "HEAD"])?;
    if let Some(wanted) = wanted
        && !commit.trim().starts_with(wanted)
    {
        let commit = commit.trim();
        return Err(Error::invalid(format!(
            "{shown}: it is at commit {commit}, expected {wanted}"
        )));
    }
    if keep_git_dir {
        // It says where it was fetched from, with the password.
        let _ = std::fs::remove_file(repository.join(".git/FETCH_HEAD"));
    } else {
        std::fs::remove_dir_all(repository.join(".git"))
            .map_err(Error::io("remove .git of a repository"))?;
    }
    let whole = of_directory(builder, &repository, cancel)?;
    let dir = crate::select::clean(&dir);
    if dir.is_empty() {
        return Ok(Arc::new(whole));
    }
    let below = format!("{dir}/");
    let entries: BTreeMap<_, _> = whole
        .entries
        .into_iter()
        .filter_map(|(path, entry)| Some((path.strip_prefix(&below)?.to_owned(), entry)))
        .collect();
    if entries.is_empty() {
        return Err(Error::invalid(format!(
            "{shown}: there is no directory {dir}"
        )));
    }
    Ok(Arc::new(Context { entries }))
}

/// Runs of `git` for one repository.
struct Git<'a> {
    temp: &'a Path,
    url: &'a str,
    cancel: &'a CancellationToken,
}

/// Bytes of what git says that are kept.
const MAX_SAID: u64 = 64 << 10;

impl Git<'_> {
    fn repository(&self) -> std::path::PathBuf {
        self.temp.join("repository")
    }

    /// Runs it to its end; what it wrote.
    fn run(&self, args: &[&str]) -> Result<String> {
        // Into files: a pipe that nobody reads would stop it.
        let said = |name: &str| {
            let path = self.temp.join(name);
            let file = std::fs::File::create(&path).map_err(Error::io("run git"))?;
            Ok::<_, Error>((path, file))
        };
        let ((out_path, out), (err_path, err)) = (said("out")?, said("err")?);
        let mut child = Command::new("git")
            .args([
                "-c",
                "protocol.file.allow=never",
                "-c",
                "core.hooksPath=/dev/null",
            ])
            .args(args)
            .current_dir(self.repository())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.temp)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_ALLOW_PROTOCOL", "http:https:git")
            .stdin(Stdio::null())
            .stdout(out)
            .stderr(err)
            .process_group(0)
            .spawn()
            .map_err(|e| match e.kind() {
                std::io::ErrorKind::NotFound => Error::invalid(
                    "git repositories need the program git on the daemon's host: install it, or \
                     send the files as a context",
                ),
                _ => Error::io("run git")(e),
            })?;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(Error::io("wait for git"))? {
                break status;
            }
            if self.cancel.is_cancelled() {
                // With its helpers; what is gone already is as good.
                let group = rustix::process::Pid::from_child(&child);
                let _ = rustix::process::kill_process_group(group, rustix::process::Signal::KILL);
                let _ = child.wait();
                return Err(Error::Cancelled);
            }
            std::thread::sleep(std::time::Duration::from_millis(5));
        };
        let read = |path: &Path| {
            let mut text = Vec::new();
            let file = std::fs::File::open(path).map_err(Error::io("read what git says"))?;
            std::io::Read::read_to_end(&mut std::io::Read::take(file, MAX_SAID), &mut text)
                .map_err(Error::io("read what git says"))?;
            Ok::<_, Error>(String::from_utf8_lossy(&text).into_owned())
        };
        if !status.success() {
            let text = read(&err_path)?.replace(self.url, &redacted(self.url));
            let verb = args.first().unwrap_or(&"");
            return Err(Error::invalid(format!("git {verb}: {}", text.trim())));
        }
        read(&out_path)
    }
}

/// Names are text here: another one would be copied as something else.
fn text(name: &std::ffi::OsStr) -> Result<String> {
    let found = name.to_str().map(str::to_owned);
    found.ok_or_else(|| Error::invalid(format!("the name {} is not UTF-8", name.display())))
}

/// A context of what a directory has.
fn of_directory(builder: &Builder, dir: &Path, cancel: &CancellationToken) -> Result<Context> {
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
            let mut found = ContextEntry {
                kind: EntryKind::Dir,
                mode: meta.permissions().mode() & 0o7777,
                mtime: meta.mtime(),
                size: 0,
                digest: String::new(),
                link: String::new(),
            };
            if meta.is_dir() {
                waiting.push((entry.path(), format!("{path}/")));
            } else if meta.is_symlink() {
                found.kind = EntryKind::Symlink;
                let link = std::fs::read_link(entry.path()).map_err(Error::io(what()))?;
                found.link = text(link.as_os_str())?;
            } else if meta.is_file() {
                found.kind = EntryKind::File;
                let mut file = std::fs::File::open(entry.path()).map_err(Error::io(what()))?;
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
    fn sources() {
        for git in [
            "https://example.org/a/b.git#main:dir",
            "git@example.org:a/b",
            "git://example.org/a",
            "github.com/a/b",
        ] {
            assert!(is_git(git) && is_remote(git), "{git}");
        }
        assert!(is_remote("http://example.org/a.tar.gz") && !is_git("http://example.org/a.tar.gz"));
        assert!(!is_remote("app/https://x"));
        let (url, reference, dir) = parts("github.com/a/b.git#v1:sub/dir");
        assert_eq!(
            (url.as_str(), reference.as_str(), dir.as_str()),
            ("https://github.com/a/b.git", "v1", "sub/dir")
        );
        assert_eq!(name_of("http://example.org/a/b.txt?x=/y").unwrap(), "b.txt");
        assert!(name_of("http://example.org/a/").is_err());
        assert!(name_of("http://example.org").is_err());
        let url = "https://user:token@example.org/a@b.git";
        assert_eq!(redacted(url), "https://xxxxx@example.org/a@b.git");
        assert_eq!(
            redacted("https://example.org/a@b"),
            "https://example.org/a@b"
        );
    }
}
