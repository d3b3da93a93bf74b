//! `cp`: files between a container and this host, as archives.
//!
//! What comes out of a container is placed by the kernel below the destination's own directory
//! (`archive::Placer`), so that no link in it leads elsewhere on this host (CVE-2018-15664).

mod place;
mod source;

use std::io::{self, Write};

use base64::Engine;
use bytes::Bytes;
use serde::Deserialize;
use tokio::sync::mpsc;
use tokio_util::io::{StreamReader, SyncIoBridge};

use place::Place;
use source::{Source, pack};

use super::Context;
use crate::{
    client::{Answer, Request},
    error::{Error, Result},
    flags::{Flag, Matches, switch},
    format::{output, size},
    progress::Meter,
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
const DEVICE: u32 = 1 << 26;

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
    let quiet = m
        .switch("quiet")
        .unwrap_or_else(|| !tty::is_terminal(io::stdout()));
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
            let meter = Meter::new("Copying from container - ", quiet);
            let copied = from_container(context, &m, container, path, destination, meter).await?;
            let whole = std::path::absolute(destination);
            let whole = whole.map(|path| path.display().to_string());
            (copied, whole.unwrap_or_else(|_| destination.clone()))
        }
        (None, Some((container, path))) => {
            let meter = Meter::new("Copying to container - ", quiet);
            to_container(context, &m, source, container, path, meter).await?
        }
    };
    if !quiet {
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

/// The path with its link followed, if that was asked for; and the name that it keeps, where the
/// link's end has another one.
async fn followed(
    context: &Context,
    m: &Matches,
    container: &str,
    path: &str,
) -> Result<(String, Option<String>)> {
    if !m.on("follow-link") {
        return Ok((path.to_owned(), None));
    }
    let Ok(stat) = look(context, container, path).await else {
        // Whoever asks for its content is told why not.
        return Ok((path.to_owned(), None));
    };
    if stat.mode & LINK == 0 || stat.link_target.is_empty() {
        return Ok((path.to_owned(), None));
    }
    let end = beside(path, &stat.link_target);
    let base = |path: &str| path.rsplit('/').next().unwrap_or_default().to_owned();
    let (own, ends) = (base(path), base(&end));
    Ok((end, (own != ends).then_some(own)))
}

/// Where a link at `path` leads.
fn beside(path: &str, target: &str) -> String {
    if target.starts_with('/') {
        return target.to_owned();
    }
    let above = path.rsplit_once('/').map_or("", |(above, _)| above);
    format!("{above}/{target}")
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
    let (path, _) = followed(context, m, container, path).await?;
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
    mut meter: Meter,
) -> Result<u64> {
    place::check(destination)?;
    let (path, name) = followed(context, m, container, path).await?;
    let (mut answer, mut stat) = open(context, container, &path).await?;
    if let Some(name) = name {
        stat.name = name;
    }
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
                meter.show(copied);
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

/// Copies to a container; the bytes of the archive, and where they went.
async fn to_container(
    context: &Context,
    m: &Matches,
    source: &str,
    container: &str,
    path: &str,
    meter: Meter,
) -> Result<(u64, String)> {
    let found = Found::at(context, container, path).await?;
    let owners = m.on("archive");
    if source == "-" {
        if !found.is_dir {
            return Err(Error::msg(format!(
                "destination \"{container}:{path}\" must be a directory"
            )));
        }
        let (reader, count) = meter.reader(tokio::io::stdin());
        put(context, container, &found.path, owners, reader).await?;
        return Ok((count.get(), format!("{container}:{}", found.path)));
    }
    let source = Source::new(source, m.on("follow-link"))?;
    let (dir, name) = found.place(container, path, &source)?;
    let (writer, reader) = tokio::io::duplex(CHUNK * 4);
    let writer = SyncIoBridge::new(writer);
    let (reader, _) = meter.reader(reader);
    let told = source.told.clone();
    let packing = tokio::task::spawn_blocking(move || pack(&source.path, &name, writer));
    let sent = put(context, container, &dir, owners, reader).await;
    let packed = packing.await.map_err(|e| Error::msg(e.to_string()))?;
    let copied = match (sent, packed) {
        // Our own fault is the cause of whatever the daemon says of half an archive.
        (_, Err(e)) if e.kind() != io::ErrorKind::BrokenPipe => {
            return Err(Error::file("read", &told, &e));
        }
        (Err(e), _) => return Err(e),
        // It had read all it wanted.
        (Ok(()), packed) => packed.unwrap_or_default(),
    };
    Ok((copied, format!("{container}:{}", found.path)))
}

/// What is at the destination in a container.
struct Found {
    /// The path, its link followed.
    path: String,
    exists: bool,
    is_dir: bool,
}

impl Found {
    async fn at(context: &Context, container: &str, asked: &str) -> Result<Self> {
        let mut path = if asked.is_empty() { "/" } else { asked }.to_owned();
        let mut stat = look(context, container, &path).await;
        if let Ok(found) = &stat
            && found.mode & LINK != 0
            && !found.link_target.is_empty()
        {
            path = beside(&path, &found.link_target);
            stat = look(context, container, &path).await;
        }
        match stat {
            Ok(found) if found.mode & DEVICE != 0 => Err(Error::msg(format!(
                "destination \"{container}:{asked}\" must be a directory or a regular file: got a device"
            ))),
            Ok(found) => Ok(Self {
                exists: true,
                is_dir: found.is_dir(),
                path,
            }),
            Err(Error::Client(e)) if e.is_not_found() => Ok(Self {
                exists: false,
                is_dir: false,
                path,
            }),
            Err(e) => Err(e),
        }
    }

    /// The directory that the archive goes to, and its first name there; empty for what is in a
    /// directory.
    fn place(&self, container: &str, asked: &str, source: &Source) -> Result<(String, Vec<u8>)> {
        let slash = asked.ends_with('/') || asked.ends_with("/.");
        if self.is_dir {
            let name = if source.is_dir && source.contents {
                Vec::new()
            } else {
                source.name.clone()
            };
            return Ok((self.path.clone(), name));
        }
        if self.exists && source.is_dir {
            return Err(Error::msg("cannot copy directory"));
        }
        if self.exists && slash {
            return Err(Error::msg(format!(
                "destination \"{container}:{asked}\" is not a directory"
            )));
        }
        if !self.exists && slash && !source.is_dir {
            return Err(Error::msg("no such directory"));
        }
        let trimmed = self.path.trim_end_matches("/.").trim_end_matches('/');
        let (dir, name) = trimmed.rsplit_once('/').unwrap_or(("", trimmed));
        let dir = if dir.is_empty() { "/" } else { dir };
        Ok((dir.to_owned(), name.as_bytes().to_vec()))
    }
}

async fn put(
    context: &Context,
    container: &str,
    path: &str,
    owners: bool,
    source: impl tokio::io::AsyncRead + Send + 'static,
) -> Result {
    Ok(Request::put(&format!("/containers/{container}/archive"))
        .query("path", path)
        .query("noOverwriteDirNonDir", "true")
        .query_on("copyUIDGID", owners)
        .stream(source)
        .done(&context.client)
        .await?)
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
