//! `cp`: files between a container and this host, as archives.
//!
//! What comes out of a container is placed by the kernel below the destination's own directory
//! (`archive::Placer`), so that no link in it leads elsewhere on this host (CVE-2018-15664).

mod place;

use std::{
    io::{self, Write},
    os::{
        fd::AsFd,
        unix::ffi::{OsStrExt, OsStringExt},
    },
    path::{Path, PathBuf},
};

use archive::Packer;
use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use place::Place;

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
            let copied = from_container(context, &m, container, path, destination).await?;
            (copied, destination.clone())
        }
        (None, Some((container, path))) => {
            if source == "-" {
                return put(context, container, path, tokio::io::stdin()).await;
            }
            let copied = to_container(context, &m, source, container, path).await?;
            (copied, format!("{container}:{path}"))
        }
    };
    if !m.on("quiet") {
        let bytes = i64::try_from(copied).unwrap_or(i64::MAX);
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

/// Copies to this host; the bytes of the archive.
async fn from_container(
    context: &Context,
    m: &Matches,
    container: &str,
    path: &str,
    destination: &str,
) -> Result<u64> {
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
    let (mut copied, mut cut) = (0, None);
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) => {
                copied += chunk.len() as u64;
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
        None => match placed {
            Ok(()) => Ok(copied),
            Err(e) => Err(Error::file("write", destination, &e)),
        },
    }
}

/// Copies to a container; the bytes of the archive.
async fn to_container(
    context: &Context,
    m: &Matches,
    source: &str,
    container: &str,
    path: &str,
) -> Result<u64> {
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
    let writer = SyncIoBridge::new(writer);
    let packing = tokio::task::spawn_blocking(move || pack(&from, &name, writer));
    let sent = put(context, container, &dir, reader).await;
    let packed = packing.await.map_err(|e| Error::msg(e.to_string()))?;
    match (sent, packed) {
        // Our own fault is the cause of whatever the daemon says of half an archive.
        (_, Err(e)) if e.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::file("read", source, &e))
        }
        (Err(e), _) => Err(e),
        // It had read all it wanted.
        (Ok(()), packed) => Ok(packed.unwrap_or_default()),
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
struct Counted<W>(W, u64);

impl<W: Write> Write for Counted<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1 += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Writes the archive to `out`; its bytes.
fn pack(from: &Path, name: &[u8], out: impl Write) -> io::Result<u64> {
    let same = |uid, gid| (uid, gid);
    let out = io::BufWriter::with_capacity(CHUNK, Counted(out, 0));
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
    let out = packer.finish()?.into_inner()?;
    Ok(out.1)
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
