//! `cp`: files between a container and this host, as archives.
//!
//! What comes out of a container is placed by the kernel below the destination's own directory
//! (`archive::Placer`), so that no link in it leads elsewhere on this host (CVE-2018-15664).

use std::{
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
};

use archive::{Packer, Placer};
use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use super::Context;
use crate::{
    client::{Answer, Request},
    error::{Error, Result},
    flags::{Flag, Matches, switch},
    format::{output, size},
    tty,
};

/// Its flags.
pub(crate) const FLAGS: &[Flag] = &[
    switch("archive", "Archive mode (copy all uid/gid information)").short('a'),
    switch("follow-link", "Always follow symbol link in SRC_PATH").short('L'),
    switch(
        "quiet",
        "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached",
    )
    .short('q'),
];

/// Go's bits of directories and symbolic links.
const DIR: u32 = 1 << 31;
const LINK: u32 = 1 << 27;

/// One chunk of an archive on its way.
const CHUNK: usize = 256 << 10;

/// What the daemon says of a path.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stat {
    name: String,
    mode: u32,
    link_target: String,
}

impl Stat {
    fn is_dir(&self) -> bool {
        self.mode & DIR != 0
    }
}

/// `CONTAINER:PATH`; none for a path of this host.
fn split(text: &str) -> Option<(&str, &str)> {
    if text.starts_with(['.', '/']) {
        return None;
    }
    let (container, path) = text.split_once(':')?;
    (!container.contains('/')).then_some((container, path))
}

/// `docker cp`.
pub(crate) async fn cp(context: &Context, m: Matches) -> Result {
    let (source, destination) = (&m.args[0], &m.args[1]);
    if source.is_empty() {
        return Err(Error::msg("source can not be empty"));
    }
    if destination.is_empty() {
        return Err(Error::msg("destination can not be empty"));
    }
    let counted = AtomicU64::new(0);
    let (copied, target) = match (split(source), split(destination)) {
        (Some(_), Some(_)) => {
            return Err(Error::msg("copying between containers is not supported"));
        }
        (None, None) => {
            return Err(Error::msg("must specify at least one container source"));
        }
        (Some((container, path)), None) => {
            if destination == "-" {
                return to_stdout(context, &m, container, path).await;
            }
            from_container(context, &m, container, path, destination, &counted).await?;
            (&counted, destination.clone())
        }
        (None, Some((container, path))) => {
            if source == "-" {
                return put(context, container, path, tokio::io::stdin()).await;
            }
            to_container(context, &m, source, container, path, &counted).await?;
            (&counted, format!("{container}:{path}"))
        }
    };
    if !m.on("quiet") {
        let bytes = i64::try_from(copied.load(Ordering::Relaxed)).unwrap_or(i64::MAX);
        output::complain(&format!(
            "Successfully copied {} to {target}",
            size::human3(bytes)
        ));
    }
    Ok(())
}

async fn look(context: &Context, container: &str, path: &str) -> Result<Stat> {
    let answer = Request::head(&format!("/containers/{container}/archive"))
        .query("path", path)
        .send(&context.client)
        .await?;
    stat_of(&answer)
}

fn stat_of(answer: &Answer<'_>) -> Result<Stat> {
    let text = answer
        .header("x-docker-container-path-stat")
        .unwrap_or_default();
    let bytes = base64::engine::general_purpose::STANDARD.decode(text);
    bytes
        .ok()
        .and_then(|bytes| serde_json::from_slice(&bytes).ok())
        .ok_or_else(|| Error::msg("the daemon's answer does not say what the path is"))
}

/// The path with its link followed, if that was asked for.
async fn followed(context: &Context, m: &Matches, container: &str, path: &str) -> Result<String> {
    if m.on("follow-link") {
        let stat = look(context, container, path).await?;
        if stat.mode & LINK != 0 && !stat.link_target.is_empty() {
            return Ok(stat.link_target);
        }
    }
    Ok(path.to_owned())
}

async fn open<'c>(context: &'c Context, container: &str, path: &str) -> Result<(Answer<'c>, Stat)> {
    let answer = Request::get(&format!("/containers/{container}/archive"))
        .query("path", path)
        .send(&context.client)
        .await?;
    let stat = stat_of(&answer)?;
    Ok((answer, stat))
}

async fn to_stdout(context: &Context, m: &Matches, container: &str, path: &str) -> Result {
    if tty::is_terminal(io::stdout()) {
        return Err(Error::msg(
            "cowardly refusing to copy an archive to a terminal: redirect it",
        ));
    }
    let path = followed(context, m, container, path).await?;
    let (mut answer, _) = open(context, container, &path).await?;
    let mut out = io::stdout().lock();
    while let Some(chunk) = answer.chunk().await? {
        out.write_all(&chunk).map_err(|e| Error::stdio(&e))?;
    }
    out.flush().map_err(|e| Error::stdio(&e))
}

async fn from_container(
    context: &Context,
    m: &Matches,
    container: &str,
    path: &str,
    destination: &str,
    counted: &AtomicU64,
) -> Result {
    let path = followed(context, m, container, path).await?;
    let (mut answer, stat) = open(context, container, &path).await?;
    let place = Place::new(destination, &stat, &path)?;
    let keep_owners = m.on("archive");
    let (sender, mut receiver) = mpsc::channel::<Bytes>(4);
    let work = tokio::task::spawn_blocking(move || {
        let chunks = futures_util::stream::poll_fn(move |cx| receiver.poll_recv(cx));
        let chunks = futures_util::StreamExt::map(chunks, Ok::<_, io::Error>);
        let source = SyncIoBridge::new(StreamReader::new(chunks));
        place.fill(source, keep_owners)
    });
    let mut cut = None;
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                counted.fetch_add(chunk.len() as u64, Ordering::Relaxed);
                if sender.send(chunk).await.is_err() {
                    break;
                }
            }
            Ok(None) => break,
            Err(error) => {
                cut = Some(error);
                break;
            }
        }
    }
    drop(sender);
    let placed = work.await.map_err(|e| Error::msg(e.to_string()))?;
    match cut {
        Some(error) => Err(error.into()),
        None => placed.map_err(|e| Error::file("write", destination, &e)),
    }
}

/// Where an archive from a container goes on this host.
struct Place {
    /// A directory that is there.
    dir: PathBuf,
    /// The archive's first name becomes this one; empty leaves only what is below it.
    name: Vec<u8>,
}

impl Place {
    /// By docker's rules: into a directory that is there, or under the destination's own name.
    fn new(destination: &str, stat: &Stat, source: &str) -> Result<Self> {
        let path = Path::new(destination);
        let contents = source.ends_with("/.");
        let slash = destination.ends_with('/') || destination.ends_with("/.");
        let now = std::fs::metadata(path);
        if now.as_ref().is_ok_and(std::fs::Metadata::is_dir) {
            let name = if contents || stat.name == "/" {
                Vec::new()
            } else {
                stat.name.clone().into_bytes()
            };
            return Ok(Self {
                dir: path.to_owned(),
                name,
            });
        }
        if now.is_ok() && (stat.is_dir() || slash) {
            return Err(Error::msg(if stat.is_dir() {
                "cannot copy directory".to_owned()
            } else {
                format!("destination \"{destination}\" is not a directory")
            }));
        }
        if slash && !stat.is_dir() {
            return Err(Error::msg("no such directory"));
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
        let dir = parent.unwrap_or(Path::new(".")).to_owned();
        let name = path.file_name().map(|n| n.as_bytes().to_vec());
        let missing = || {
            Error::msg(format!(
                "invalid output path: directory {} does not exist",
                dir.display()
            ))
        };
        if !dir.is_dir() {
            return Err(missing());
        }
        Ok(Self {
            name: name.ok_or_else(missing)?,
            dir,
        })
    }

    fn fill(self, source: impl io::Read, keep_owners: bool) -> io::Result<()> {
        let root = std::fs::File::open(&self.dir)?;
        let rename = |path: &[u8]| {
            // The first part is the source's own name.
            let path = path.strip_prefix(b"/").unwrap_or(path);
            let rest = match path.iter().position(|b| *b == b'/') {
                Some(at) => &path[at + 1..],
                None => b"".as_slice(),
            };
            Some(match (self.name.is_empty(), rest.is_empty()) {
                (true, true) => b".".to_vec(),
                (true, false) => rest.to_vec(),
                (false, true) => self.name.clone(),
                (false, false) => [self.name.as_slice(), b"/", rest].concat(),
            })
        };
        let same = |uid, gid| (uid, gid);
        let placer = Placer {
            root: root.as_fd(),
            dest: Vec::new(),
            keep_kinds: true,
            ids: keep_owners.then_some(&same),
            rename: Some(&rename),
        };
        placer.place(io::BufReader::with_capacity(CHUNK, source))?;
        Ok(())
    }
}

async fn to_container(
    context: &Context,
    m: &Matches,
    source: &str,
    container: &str,
    path: &str,
    counted: &AtomicU64,
) -> Result {
    let mut from = PathBuf::from(source);
    if m.on("follow-link") {
        from = std::fs::canonicalize(&from).map_err(|e| Error::file("lstat", source, &e))?;
    }
    let meta = std::fs::symlink_metadata(&from).map_err(|e| Error::file("lstat", source, &e))?;
    if !meta.is_dir() && source.ends_with('/') {
        return Err(Error::msg(format!("not a directory: {source}")));
    }
    let contents = source.ends_with("/.") || source == ".";
    let (dir, name) = destination(context, container, path, meta.is_dir(), contents, &from).await?;
    let (writer, reader) = tokio::io::duplex(CHUNK * 4);
    let (writer, counted_here) = (
        SyncIoBridge::new(writer),
        std::sync::Arc::new(AtomicU64::new(0)),
    );
    let sum = counted_here.clone();
    let packing = tokio::task::spawn_blocking(move || pack(&from, &name, writer, &sum));
    let sent = put(context, container, &dir, reader).await;
    let packed = packing.await.map_err(|e| Error::msg(e.to_string()))?;
    counted.store(counted_here.load(Ordering::Relaxed), Ordering::Relaxed);
    match (sent, packed) {
        // Our own fault is the cause of whatever the daemon says of half an archive.
        (_, Err(e)) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::file("read", source, &e))
        }
        (sent, _) => sent,
    }
}

/// The directory in the container, and the name there; empty for what is in a directory.
async fn destination(
    context: &Context,
    container: &str,
    path: &str,
    is_dir: bool,
    contents: bool,
    from: &Path,
) -> Result<(String, Vec<u8>)> {
    let own_name = || -> Result<Vec<u8>> {
        let whole = std::fs::canonicalize(from);
        let name = from.file_name().map(ToOwned::to_owned);
        let name = name.or_else(|| whole.ok()?.file_name().map(ToOwned::to_owned));
        Ok(name.map(OsStringExt::into_vec).unwrap_or_default())
    };
    let slash = path.ends_with('/') || path.ends_with("/.");
    let mut path = if path.is_empty() {
        "/".to_owned()
    } else {
        path.to_owned()
    };
    let mut stat = look(context, container, &path).await;
    if let Ok(found) = &stat
        && found.mode & LINK != 0
        && !found.link_target.is_empty()
    {
        path.clone_from(&found.link_target);
        stat = look(context, container, &path).await;
    }
    match stat {
        Ok(found) if found.is_dir() => {
            let name = if is_dir && contents {
                Vec::new()
            } else {
                own_name()?
            };
            return Ok((path, name));
        }
        Ok(_) if is_dir => return Err(Error::msg("cannot copy directory")),
        Ok(_) if slash => {
            return Err(Error::msg(format!(
                "destination \"{container}:{path}\" is not a directory"
            )));
        }
        Ok(_) => {}
        Err(Error::Client(e)) if e.is_not_found() => {
            if slash && !is_dir {
                return Err(Error::msg("no such directory"));
            }
        }
        Err(e) => return Err(e),
    }
    let trimmed = path.trim_end_matches("/.").trim_end_matches('/');
    let (dir, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
    let dir = if dir.is_empty() { "/" } else { dir };
    Ok((dir.to_owned(), name.as_bytes().to_vec()))
}

async fn put(
    context: &Context,
    container: &str,
    path: &str,
    source: impl tokio::io::AsyncRead + Send + 'static,
) -> Result {
    Ok(Request::put(&format!("/containers/{container}/archive"))
        .query("path", path)
        .query("noOverwriteDirNonDir", "true")
        .stream(source)
        .done(&context.client)
        .await?)
}

/// Counts what goes through it.
struct Counted<'a, W>(W, &'a AtomicU64);

impl<W: Write> Write for Counted<'_, W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1.fetch_add(written as u64, Ordering::Relaxed);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn pack(from: &Path, name: &[u8], out: impl Write, sum: &AtomicU64) -> io::Result<()> {
    let same = |uid, gid| (uid, gid);
    let out = io::BufWriter::with_capacity(CHUNK, Counted(out, sum));
    let mut packer = Packer::new(out, &same);
    if std::fs::symlink_metadata(from)?.is_dir() {
        let dir = std::fs::File::open(from)?;
        packer.dir(&dir.into(), name)?;
    } else {
        let parent = from.parent().filter(|p| !p.as_os_str().is_empty());
        let parent = std::fs::File::open(parent.unwrap_or(Path::new(".")))?;
        let own = from.file_name().unwrap_or_default();
        packer.tree(parent.as_fd(), own.as_bytes(), name)?;
    }
    packer.finish()?.flush()
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn containers_and_paths_are_told_apart() {
        assert_eq!(split("box:/etc"), Some(("box", "/etc")));
        assert_eq!(split("box:"), Some(("box", "")));
        assert_eq!(split("./box:x"), None);
        assert_eq!(split("/a:b"), None);
        assert_eq!(split("dir/a:b"), None);
        assert_eq!(split("plain"), None);
    }
}
