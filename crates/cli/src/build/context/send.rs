//! Sending what the daemon does not have.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    os::fd::AsFd,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use bytes::{BufMut, Bytes, BytesMut};
use ring::digest::{Context as Hash, SHA256};
use tokio::sync::mpsc;
use types::build::{ContextAnswer, ContextEntry, ContextUpdate, content_header};

use super::{
    file::Failure,
    hash::{finish, hex, open},
    picture::{Content, Difference},
};
use crate::{
    client::{self, Client, Request},
    error::Result,
};

/// Bytes that are sent in one piece; contents that fit are known to be right before they are sent.
const PIECE: usize = 256 << 10;
/// Pieces that wait for the network.
const WAITING: usize = 4;
/// Entries of one request: with the longest names they are less than the 128 MiB that are taken.
const ENTRIES: usize = 25_000;

/// How far it is.
pub(super) type Sent = Arc<AtomicU64>;

/// Tells the daemon what the context is. None where it does not know the base.
pub(super) async fn update(
    client: &Client,
    difference: Difference,
    sent: &Sent,
) -> Result<Option<ContextAnswer>> {
    let Difference {
        mut base,
        mut entries,
        removed,
    } = difference;
    let mut removed = Some(removed);
    let mut missing = Vec::new();
    loop {
        let mut rest = BTreeMap::new();
        if entries.len() > ENTRIES {
            // What is above comes first, so that each part stands by itself.
            let cut: Option<String> = entries.keys().nth(ENTRIES).cloned();
            if let Some(cut) = cut {
                rest = entries.split_off(&cut);
            }
        }
        let update = ContextUpdate {
            base: base.take(),
            entries,
            removed: removed.take().unwrap_or_default(),
            more: !rest.is_empty(),
        };
        let known = update.base.is_some();
        let request = Request::post("/wharf/build/context").json(&update);
        sent.fetch_add(size(&update), Ordering::Relaxed);
        let answer: ContextAnswer = match request.decode(client).await {
            Err(e) if known && e.is_not_found() => return Ok(None),
            answer => answer?,
        };
        missing.extend(answer.missing);
        if rest.is_empty() {
            missing.sort_unstable();
            missing.dedup();
            return Ok(Some(ContextAnswer {
                id: answer.id,
                missing,
            }));
        }
        base = Some(answer.id);
        entries = rest;
    }
}

/// About what travels for `update`.
fn size(update: &ContextUpdate) -> u64 {
    let entry =
        |(path, e): (&String, &ContextEntry)| path.len() + e.digest.len() + e.link.len() + 60;
    let entries: usize = update.entries.iter().map(entry).sum();
    let removed: usize = update.removed.iter().map(String::len).sum();
    (entries + removed + 2) as u64
}

/// How a transfer of contents ended.
pub(super) enum Transfer {
    /// The daemon has them all.
    Done,
    /// These files were not what had been read of them.
    Changed(Vec<String>),
    /// One cannot be read.
    Failed(Failure),
}

/// Where contents are read from.
pub(super) trait Source: Send + 'static {
    /// The content of `what`, at its beginning; none where it is no more.
    fn open(&self, what: &Content) -> std::result::Result<Option<Box<dyn Read + '_>>, Failure>;
}

/// Files below a directory.
pub(super) struct Files(pub(super) std::fs::File);

impl Source for Files {
    fn open(&self, what: &Content) -> std::result::Result<Option<Box<dyn Read + '_>>, Failure> {
        let file = open(self.0.as_fd(), &what.path)?;
        Ok(file.map(|file| Box::new(file) as Box<dyn Read>))
    }
}

/// Sends `contents`.
pub(super) async fn contents(
    client: &Client,
    source: impl Source,
    contents: Vec<Content>,
    sent: &Sent,
) -> Result<Transfer> {
    let (sender, receiver) = mpsc::channel(WAITING);
    let counter = Arc::clone(sent);
    let reading = tokio::task::spawn_blocking(move || {
        let mut feed = Feed {
            sender,
            piece: BytesMut::with_capacity(PIECE * 2),
            sent: counter,
        };
        feed.all(&source, &contents)
    });
    let request = Request::post("/wharf/build/content").pieces(receiver);
    let answered = request.done(client).await;
    let read = reading
        .await
        .map_err(|e| crate::error::Error::msg(e.to_string()))?;
    match read {
        // Our own fault is the cause of whatever the daemon says of half a body.
        Fed::Changed(paths) => Ok(Transfer::Changed(paths)),
        Fed::Failed(failure) => Ok(Transfer::Failed(failure)),
        Fed::All | Fed::Gone => {
            answered.map_err(|e: client::Error| crate::error::Error::from(e))?;
            Ok(Transfer::Done)
        }
    }
}

enum Fed {
    All,
    /// Nobody takes more.
    Gone,
    Changed(Vec<String>),
    Failed(Failure),
}

struct Feed {
    sender: mpsc::Sender<io::Result<Bytes>>,
    piece: BytesMut,
    sent: Sent,
}

impl Feed {
    fn all(&mut self, source: &impl Source, contents: &[Content]) -> Fed {
        let mut changed = Vec::new();
        let mut buffer = vec![0; PIECE];
        for content in contents {
            let small = usize::try_from(content.size).is_ok_and(|size| size < PIECE);
            let done = match source.open(content) {
                Ok(Some(file)) if small => self.small(file, content, &mut buffer),
                Ok(Some(file)) => self.large(file, content, &mut buffer),
                Ok(None) => Ok(false),
                Err(failure) => return self.broken(Fed::Failed(failure)),
            };
            match done {
                Ok(true) => {}
                Ok(false) if small => changed.push(content.path.clone()),
                Ok(false) => {
                    // A header that promised something else has gone already.
                    changed.push(content.path.clone());
                    return self.broken(Fed::Changed(changed));
                }
                Err(e) if e.kind() == io::ErrorKind::BrokenPipe => return Fed::Gone,
                Err(e) => {
                    return self.broken(Fed::Failed(Failure::new("read", &content.path, e)));
                }
            }
        }
        if self.flush().is_err() {
            return Fed::Gone;
        }
        if changed.is_empty() {
            Fed::All
        } else {
            Fed::Changed(changed)
        }
    }

    /// Ends the body so that the daemon sees that it is not whole.
    fn broken(&mut self, fed: Fed) -> Fed {
        let why = io::Error::other("a file of the context changed while it was sent");
        let _ = self.sender.blocking_send(Err(why));
        fed
    }

    fn flush(&mut self) -> io::Result<()> {
        let piece = self.piece.split().freeze();
        if piece.is_empty() {
            return Ok(());
        }
        self.sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
        let sent = self.sender.blocking_send(Ok(piece));
        sent.map_err(|_| io::ErrorKind::BrokenPipe.into())
    }

    fn header(&mut self, content: &Content) {
        let header = content_header(&content.digest, content.size);
        self.piece.put_slice(header.as_bytes());
    }

    /// Whether it is what it was; only then it is sent.
    fn small(
        &mut self,
        file: Box<dyn Read + '_>,
        content: &Content,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        let mut length = 0;
        let mut file = file.take(content.size);
        loop {
            match file.read(&mut buffer[length..]) {
                Ok(0) => break,
                Ok(n) => length += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        let bytes = &buffer[..length];
        if hex(&super::hash::sha256(bytes)) != content.digest {
            return Ok(false);
        }
        self.header(content);
        self.piece.put_slice(bytes);
        if self.piece.len() >= PIECE {
            self.flush()?;
        }
        Ok(true)
    }

    /// Whether it was what it was.
    fn large(
        &mut self,
        mut file: Box<dyn Read + '_>,
        content: &Content,
        buffer: &mut [u8],
    ) -> io::Result<bool> {
        self.header(content);
        let mut hash = Hash::new(&SHA256);
        let mut left = content.size;
        while left > 0 {
            let most = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let n = match file.read(&mut buffer[..most]) {
                Ok(0) => return Ok(false),
                Ok(n) => n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
                Err(e) => return Err(e),
            };
            hash.update(&buffer[..n]);
            left -= n as u64;
            if left == 0 && hex(&finish(&hash.clone().finish())) != content.digest {
                return Ok(false);
            }
            self.piece.put_slice(&buffer[..n]);
            if self.piece.len() >= PIECE {
                self.flush()?;
            }
        }
        Ok(true)
    }
}
