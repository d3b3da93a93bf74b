//! Archives that are on the web, read as they come.

use std::{
    io::{self, Cursor, Read, Write},
    sync::mpsc::{Receiver, SyncSender, sync_channel},
};

use image::{CancellationToken, Store};

/// Pieces under way.
const PIECES: usize = 4;

/// An empty piece is the end.
type Piece = io::Result<Vec<u8>>;

struct Sink(SyncSender<Piece>);

impl Write for Sink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !bytes.is_empty() {
            let sent = self.0.send(Ok(bytes.to_vec()));
            sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What comes; its end is only an end where the server said so.
pub(super) struct Source {
    pieces: Receiver<Piece>,
    piece: Cursor<Vec<u8>>,
    whole: bool,
}

impl Read for Source {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.piece.read(into)?;
            if read > 0 || self.whole || into.is_empty() {
                return Ok(read);
            }
            let next = self.pieces.recv();
            let next = next.map_err(|_| io::Error::from(io::ErrorKind::UnexpectedEof))??;
            self.whole = next.is_empty();
            self.piece = Cursor::new(next);
        }
    }
}

/// Begins to fetch `url`. Whoever reads is on a thread of its own.
pub(super) fn download(store: &Store, url: String, cancel: &CancellationToken) -> Source {
    let (sender, pieces) = sync_channel(PIECES);
    let (store, cancel) = (store.clone(), cancel.clone());
    let runtime = tokio::runtime::Handle::current();
    tokio::task::spawn_blocking(move || {
        let mut sink = Sink(sender.clone());
        let fetched = runtime.block_on(store.download_file(&url, &mut sink, &cancel));
        // Nobody may be reading any more; then there is a better reason.
        let _ = sender.send(fetched.map(|_| Vec::new()).map_err(io::Error::other));
    });
    Source {
        pieces,
        piece: Cursor::default(),
        whole: false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(pieces: Vec<Piece>) -> Source {
        let (sender, receiver) = sync_channel(pieces.len());
        for piece in pieces {
            sender.send(piece).unwrap();
        }
        Source {
            pieces: receiver,
            piece: Cursor::default(),
            whole: false,
        }
    }

    #[test]
    fn what_breaks_off_has_no_end() {
        let piece = |text: &str| Ok(text.as_bytes().to_vec());
        let mut text = String::new();
        let mut whole = source(vec![piece("one"), piece("two"), Ok(Vec::new())]);
        whole.read_to_string(&mut text).unwrap();
        assert_eq!(text, "onetwo");
        let mut cut = source(vec![piece("one")]);
        let error = cut.read_to_string(&mut text).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        let mut failed = source(vec![piece("one"), Err(io::Error::other("404"))]);
        let error = failed.read_to_string(&mut text).unwrap_err();
        assert_eq!(error.to_string(), "404");
    }
}
